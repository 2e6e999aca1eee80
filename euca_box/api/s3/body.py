"""The body of a request: received with a deadline that moves with what arrives, and decoded.

A client must send one KiB a second, after a start of its own; one that goes away ends the request.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from euca_box.api.s3.asgi import ClientGone, Receive
from euca_box.auth.chunked import ChunkDecoder
from euca_box.model.s3_errors import IncompleteBody, RequestTimeout

SLOWEST_BYTES_PER_SECOND = 1024
START_SECONDS = 20.0
LINGER_SECONDS = 30.0  # as nginx's lingering_time
DRAINED_BYTES = 256 * 1024  # a refused body up to this size is read away, so that the connection lives on


class Body:
    """Read once, by `pieces`."""

    def __init__(self, receive: Receive, content_length: int | None, now: Callable[[], datetime]) -> None:
        self._receive = receive
        self.content_length = content_length
        self.begun = False
        self.ended = content_length == 0
        self.trailer: dict[str, str] = {}

    async def pieces(self, decoder: ChunkDecoder | None = None) -> AsyncIterator[bytes]:
        """The bytes, decoded; `trailer` is set when they have ended.

        Raises ClientGone, RequestTimeout, IncompleteBody, and AuthError of the decoder.
        """
        received = 0
        async for data in self._messages(START_SECONDS):
            received += len(data)
            if decoder is None:
                yield data
            else:
                for piece in decoder.feed(data):
                    yield piece
        if self.content_length is not None and received != self.content_length:
            raise IncompleteBody()
        if decoder is not None:
            self.trailer = decoder.finish()

    async def _messages(self, start_seconds: float) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + start_seconds
        while not self.ended:
            self.begun = True
            try:
                async with asyncio.timeout_at(deadline):
                    message = await self._receive()
            except TimeoutError:
                raise RequestTimeout() from None
            if message["type"] == "http.disconnect":
                raise ClientGone()
            self.ended = not message.get("more_body", False)
            if data := message.get("body", b""):
                # What came early is credit, but of seconds only: a stalled client is not waited for.
                deadline = min(deadline + len(data) / SLOWEST_BYTES_PER_SECOND, loop.time() + start_seconds)
                yield data

    async def drain(self, *, believed: bool) -> bool:
        """Read away what a refused request still sends; False when that would be too much.

        A client that is cut off while it sends loses the answer with the connection. One whose signature
        was believed is read for some seconds, so that it learns why; a stranger only if it is little.
        """
        little = self.content_length is not None and self.content_length <= DRAINED_BYTES
        if not (self.ended or little or believed):
            return False
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                async for _ in self._messages(2.0):
                    pass
        except (ClientGone, RequestTimeout, TimeoutError):
            return False
        return True
