"""What a role knows of a thing: what it logged of it, and how it stands, which the role itself says."""

import re
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import trio

from euca_box.messages import service as messages
from euca_box.messages.base import Call
from euca_box.model.errors import InvalidParameterValue
from euca_box.model.stories import Happening, Story, naming
from euca_box.observe import logs
from euca_box.observe.log_reading import Wanted, fields_of, newest

if TYPE_CHECKING:
    from euca_box.services.service import Service

SHORTEST, LONGEST = 2, 128
MOST_LINES = 200


async def tell_story(service: "Service", call: Call, op: messages.TellStory) -> Story:
    """Raises InvalidParameterValue."""
    if not SHORTEST <= len(op.thing) <= LONGEST or not op.thing.isprintable():
        raise InvalidParameterValue(f"A name has {SHORTEST} to {LONGEST} characters.")
    told = await service.tell(service.role_itself, op.thing) if service.tell is not None else Story()
    file = logs.log_file()
    lines: list[str] = []
    if file is not None:
        wanted = Wanted((service.role,), about=op.thing, level="INFO")
        lines = await trio.to_thread.run_sync(partial(newest, file.paths(), wanted, MOST_LINES))
    return Story((*told.happenings, *_logged(service.role, lines, naming(op.thing))), told.standings)


def _logged(role: str, lines: Iterable[str], names: re.Pattern[str]) -> Iterable[Happening]:
    for line in lines:
        fields = fields_of(line)
        if not names.search(f"{fields.get('message')} {fields.get('request')}"):
            continue
        try:
            at = datetime.fromisoformat(str(fields["time"])).timestamp()
        except (KeyError, ValueError):
            continue
        level = str(fields.get("level", ""))
        mark = "" if level == "INFO" else f"{level.lower()}: "
        failed = fields.get("traceback")
        why = f" ({str(failed).splitlines()[-1][:200]})" if failed else ""
        yield Happening(at, role, f"{mark}{fields.get('message', '')}{why}")
