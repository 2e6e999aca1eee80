"""/livez: the process answers. /readyz: every role that shall run here does; else 503 with the reasons.

/healthz: the state of each role here; /healthz/ROLE: 200 when it works, 503 with the reason, 404 elsewhere.
"""

import json
from collections.abc import Callable

from euca_box.api.query import answer
from euca_box.api.s3.asgi import Receive, Scope, Send


class Health:
    """`waiting()` names what is not ready yet: role -> reason. Empty when all is. `roles()`: role -> "runs",
    or why it does not."""

    def __init__(
        self, waiting: Callable[[], dict[str, str]], roles: Callable[[], dict[str, str]] = dict
    ) -> None:
        self._waiting, self._roles = waiting, roles

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = scope["method"] == "HEAD"
        if scope["path"] == "/not-here":
            body = {"error": "no role of this process answers this request"}
            await _json(send, 503, body, head=head)
        elif scope["method"] not in ("GET", "HEAD"):
            await _json(send, 405, {"error": "only GET and HEAD"}, head=head)
        elif scope["path"] == "/livez":
            await _json(send, 200, {"status": "ok"}, head=head)
        elif scope["path"].startswith("/healthz"):
            await self._roles_of(send, scope["path"].removeprefix("/healthz").strip("/"), head=head)
        else:
            waiting = self._waiting()
            state = {"status": "waiting" if waiting else "ok", "waiting": waiting}
            await _json(send, 503 if waiting else 200, state, head=head)

    async def _roles_of(self, send: Send, role: str, *, head: bool) -> None:
        roles = self._roles()
        if role and role not in roles:
            await _json(send, 404, {"error": "this role is not of this host"}, head=head)
            return
        told = {role: roles[role]} if role else roles
        is_well = all(word == "runs" for word in told.values())
        await _json(send, 200 if is_well else 503, {"roles": told}, head=head)


async def _json(send: Send, status: int, body: object, *, head: bool) -> None:
    text = json.dumps(body).encode() + b"\n"
    await answer(send, status, text, head=head, content_type="application/json")
