"""The lines of a role, for who may see them: from the files, or as they come."""

from functools import partial
from typing import TYPE_CHECKING

import trio

from euca_box.messages import service as messages
from euca_box.messages.base import Call
from euca_box.model.errors import InvalidParameterValue
from euca_box.observe import logs
from euca_box.observe.log_file import LogFile
from euca_box.observe.log_reading import Wanted, newest

if TYPE_CHECKING:
    from euca_box.services.service import Service

MOST_LINES = 5000
LONGEST_WAIT_SECONDS = 30.0
LOOK_SECONDS = 0.2


async def get_logs(service: "Service", call: Call, op: messages.GetLogs) -> messages.LogLines:
    """Raises InvalidParameterValue."""
    if op.level and op.level not in logs.LEVELS:
        raise InvalidParameterValue(f"The level must be one of {', '.join(logs.LEVELS)}.")
    if not 1 <= op.most <= MOST_LINES:
        raise InvalidParameterValue(f"The number of lines must be from 1 to {MOST_LINES}.")
    file = logs.log_file()
    if file is None:
        return messages.LogLines(service.host, (), "")
    roles = (service.role, logs.BOX) if op.process else (service.role,)
    wanted = Wanted(roles, op.request, op.about, op.since, op.level)
    if op.after:
        return await _follow(service, file, op, wanted)
    cursor = file.cursor
    find = partial(newest, file.paths(), wanted, op.most)
    return messages.LogLines(service.host, tuple(await trio.to_thread.run_sync(find)), cursor)


async def _follow(
    service: "Service", file: LogFile, op: messages.GetLogs, wanted: Wanted
) -> messages.LogLines:
    cursor, found = op.after, list[str]()
    with trio.move_on_after(min(op.wait_seconds, LONGEST_WAIT_SECONDS)):
        while True:
            before, cursor = cursor, file.cursor
            found = [line for line in file.after(before) if wanted.takes(line)] if cursor != before else []
            if found:
                break
            await trio.sleep(LOOK_SECONDS)
    return messages.LogLines(service.host, tuple(found[-op.most :]), cursor)
