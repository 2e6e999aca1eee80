"""/livez: the process answers. /readyz: every role that shall run here does; else 503 with the reasons."""

import json
from collections.abc import Callable

from euca_box.api.query import answer
from euca_box.api.s3.asgi import Receive, Scope, Send


class Health:
    """`waiting()` names what is not ready yet: role -> reason. Empty when all is."""

    def __init__(self, waiting: Callable[[], dict[str, str]]) -> None:
        self._waiting = waiting

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head = scope["method"] == "HEAD"
        if scope["path"] == "/not-here":
            body = {"error": "no role of this process answers this request"}
            await _json(send, 503, body, head=head)
        elif scope["method"] not in ("GET", "HEAD"):
            await _json(send, 405, {"error": "only GET and HEAD"}, head=head)
        elif scope["path"] == "/livez":
            await _json(send, 200, {"status": "ok"}, head=head)
        else:
            waiting = self._waiting()
            state = {"status": "waiting" if waiting else "ok", "waiting": waiting}
            await _json(send, 503 if waiting else 200, state, head=head)


async def _json(send: Send, status: int, body: object, *, head: bool) -> None:
    text = json.dumps(body).encode() + b"\n"
    await answer(send, status, text, head=head, content_type="application/json")
