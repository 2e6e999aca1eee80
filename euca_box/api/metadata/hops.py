"""The hop limit of a token's answer: how many routers, in the guest, it passes before it is dropped.

A container behind a router of its own in the guest gets no token when the limit is 1 (EC2 user guide,
HttpPutResponseHopLimit). It is the TTL of the IP packets that carry the answer, which the engine sets.
"""

from collections.abc import Awaitable, Callable
from typing import Any

HEADER = b"x-euca-box-hop-limit"  # of the application's answer, to this module; no client sees it
MESSAGE = "euca_box.hop_limit"


def with_hop_limits(app: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """An ASGI application whose answers leave with the hop limit that their header names."""

    async def limited(scope: Any, receive: Any, send: Any) -> None:
        async def send_limited(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                hops = [int(value) for name, value in headers if name.lower() == HEADER]
                message = {**message, "headers": [h for h in headers if h[0].lower() != HEADER]}
                if hops and MESSAGE in scope.get("extensions", {}):
                    await send({"type": MESSAGE, "hops": hops[0]})
            await send(message)

        await app(scope, receive, send_limited)

    return limited
