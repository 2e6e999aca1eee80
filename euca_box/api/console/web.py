"""What every page of the console has: who looks, how the cloud is asked, and the answer to a refusal.

Every action is an operation of the bus, asked as the person who is logged in: authorised and noted as a
call of the API is.
"""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from quart import Response, g, redirect, render_template, request

from euca_box.api.roles.relay import Stream, nowhere
from euca_box.messages.base import Call, Op
from euca_box.messages.events import NoteEvent
from euca_box.messages.logins import Session
from euca_box.model.accounts import AccessKey, Principal
from euca_box.model.errors import EucaError
from euca_box.model.rights import Grants
from euca_box.objects.engine import Objects

Ask = Callable[[str, Op[Any], Call], Awaitable[Any]]
LOOKING = "console"  # the user agent of calls that only show a page


@dataclass
class Web:
    """`status()` as for the admin socket; `names`: under which this host may be called; `open_console`:
    see Relays.open; `objects` None where Walrus does not run."""

    ask: Ask
    status: Callable[[], dict[str, Any]]
    names: tuple[str, ...] = ()
    open_console: Callable[[str, str, str, str], Awaitable[Stream]] = nowhere
    objects: Objects | None = None
    grants: Callable[[], Grants] = Grants
    key_of: Callable[[Principal], AccessKey | None] = lambda _: None  # a key of the person, for links
    ca_pem: Callable[[], str] = str
    settings: Callable[[], list[tuple[str, str, str]]] = list  # name, value, meaning
    addresses: Callable[[], list[str]] = list  # of all roles that can be asked
    sign_up: bool = True
    mail: bool = False  # a forgotten password can be chosen anew by mail
    metrics_from: tuple[str, ...] = ()  # networks whose hosts may read /metrics
    tasks: set[Any] = field(default_factory=set)

    async def look(self, op: Op[Any]) -> Any:
        """Ask for what a page shows."""
        return await self.ask("clc", op, call(LOOKING))

    async def note(self, action: str, resource: str, error: EucaError | None = None) -> None:
        """What was done with objects, which pass no bus, is an event too."""
        code, text = (error.code, error.message) if error is not None else ("", "")
        await self.ask("clc", NoteEvent(action, resource, code, text), call())

    async def do(self, op: Op[Any]) -> Any:
        """Ask for what somebody clicked."""
        return await self.ask("clc", op, call())


def session() -> Session:
    found: Session = g.session
    return found


def call(agent: str = "") -> Call:
    return Call(
        session().principal,
        str(uuid.uuid4()),
        source_ip=request.remote_addr or "",
        secure=True,
        user_agent=agent or (request.user_agent.string or "browser")[:256],
    )


async def page(template: str, /, **values: Any) -> str:
    return await render_template(template, **values)


def back(path: str, said: str = "", error: str = "") -> Response:
    """To a page, which says what happened."""
    words = {key: text[:500] for key, text in (("said", said), ("error", error)) if text}
    where = f"{path}{'&' if '?' in path else '?'}{urlencode(words)}" if words else path
    found: Response = redirect(where, 303)  # type: ignore[assignment]
    return found


async def done(web: Web, op: Op[Any], path: str, said: str) -> Response:
    """Do it and go back, with what was refused said there."""
    try:
        await web.do(op)
    except EucaError as error:
        return back(path, error=f"{error.code}: {error.message}")
    return back(path, said=said)


async def form() -> dict[str, str]:
    """The fields of the form, the last of each name."""
    return {name: value.strip() for name, value in (await request.form).items()}


async def chosen(name: str = "id") -> tuple[str, ...]:
    """The rows that were ticked."""
    return tuple(dict.fromkeys((await request.form).getlist(name)))[:1000]


def endpoint_of(web: Web) -> str:
    """As the browser reaches this host: the API is on another port of it."""
    api = str(web.status()["api"])
    port = api.rpartition(":")[2]
    host = request.host.rpartition(":")[0] or request.host
    is_local = host in ("127.0.0.1", "localhost", "[::1]")
    return api if is_local else f"https://{host}:{port}"
