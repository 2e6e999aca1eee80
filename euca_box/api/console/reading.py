"""Bodies are read no faster than they are taken: Quart would keep a whole upload in memory."""

import asyncio
from typing import Any

from quart.asgi import ASGIHTTPConnection

MOST_WAITING_BYTES = 4 << 20
_PAUSE_SECONDS = 0.005


class SlowReader(ASGIHTTPConnection):
    """As Quart's own, but for the pause while what was read waits to be taken."""

    async def handle_messages(self, request: Any, receive: Any) -> None:
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return
            request.body.append(message.get("body", b""))
            if not message.get("more_body", False):
                request.body.set_complete()
            while len(request.body._data) > MOST_WAITING_BYTES:  # noqa: ASYNC110 - it has no event for it
                await asyncio.sleep(_PAUSE_SECONDS)
