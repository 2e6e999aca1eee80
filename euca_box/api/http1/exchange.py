"""One request and its answer, as ASGI sees them: scope, receive, send (ASGI 3, HTTP messages 2.4).

`receive` gives what has arrived; where it has to wait for the begin of a body, 100 Continue is said. `send`
waits while the client does not read, and raises ConnectionResetError when the client is gone. A body may also
be a bytearray: it is not copied, and must not be changed any more.
"""

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from euca_box.api.http1.answers import CONTINUE, Framing
from euca_box.api.http1.chunked import ChunkedBody
from euca_box.api.http1.heads import Head

if TYPE_CHECKING:
    from euca_box.api.http1.connection import Connection

HOP_LIMIT = "euca_box.hop_limit"  # message {"type": HOP_LIMIT, "hops": 1 to 255}, before the answer begins
ASKS_FOR_BODY = "euca_box.asks_for_body"  # 100 Continue is said when the application receives, not before
HELD_BYTES = 128 * 1024  # of a body that the application did not take yet; then the client waits

_ASGI = {"version": "3.0", "spec_version": "2.4"}


class Exchange:
    __slots__ = (
        "_chunked",
        "_connection",
        "_delivered",
        "_expects_continue",
        "_framing",
        "_head",
        "_held",
        "_hops",
        "_left",
        "_start",
        "_waiter",
        "ended",
        "is_received",
    )

    def __init__(self, connection: "Connection", head: Head) -> None:
        self._connection = connection
        self._head = head
        self._chunked = ChunkedBody() if head.length is None else None
        self._left = head.length or 0
        self._held: bytes | bytearray = b""
        self._delivered = False  # the application took the whole body
        self._expects_continue = head.expects_continue and head.length != 0
        self._waiter: asyncio.Future[None] | None = None
        self._start: Any = None  # kept back, to go out together with the first bytes of the body
        self._framing: Framing | None = None
        self._hops: int | None = None
        self.is_received = head.length == 0  # the whole body arrived
        self.ended = False  # the whole answer was given

    @property
    def begun(self) -> bool:
        """Bytes of the answer went out."""
        return self._framing is not None

    @property
    def closes(self) -> bool:
        return self._framing is None or self._framing.closes

    def scope(self) -> dict[str, Any]:
        head, connection = self._head, self._connection
        raw_path, _, query_string = head.target.partition(b"?")
        path = raw_path.decode("ascii")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": head.version,
            "method": head.method,
            "scheme": connection.scheme,
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query_string,
            "root_path": "",
            "headers": head.headers,
            "client": connection.client,
            "server": connection.server,
            "state": dict(connection.state),
            "extensions": dict(connection.extensions),
        }

    # The request's body

    def feed(self, data: bytes) -> bytes:
        """Take what belongs to the body; what is given back is of the next request. Raises Refused."""
        if self._chunked is not None:
            body = self._chunked.feed(data)
            rest = self._chunked.rest or b""
            self.is_received = self._chunked.rest is not None
        else:
            body, rest = (data, b"") if len(data) <= self._left else (data[: self._left], data[self._left :])
            self._left -= len(body)
            self.is_received = not self._left
        self._expects_continue = False  # RFC 9110 10.1.1: it need not be said once bytes are there
        if not self.ended:
            self._hold(body)
        return rest

    def _hold(self, body: bytes) -> None:
        if not self._held:
            self._held = body
        else:
            if isinstance(self._held, bytes):
                self._held = bytearray(self._held)
            self._held += body
        if len(self._held) >= HELD_BYTES and not self.is_received:
            self._connection.pause_reading()
        self.wake()

    async def receive(self) -> dict[str, Any]:
        while not self.ended:
            if not self._delivered and (self._held or self.is_received):
                return self._taken()
            if self._connection.is_gone or self._connection.is_half_closed:
                break  # who closed its side is gone, mostly; one that reads on is answered all the same
            if self._expects_continue:
                self._expects_continue = False
                self._connection.write([CONTINUE])
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return {"type": "http.disconnect"}

    def _taken(self) -> dict[str, Any]:
        body, self._held = self._held, b""
        self._delivered = self.is_received
        if not self.is_received:
            self._connection.resume_reading()
        return {"type": "http.request", "body": bytes(body), "more_body": not self.is_received}

    def wake(self) -> None:
        """Let `receive` look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # The answer

    async def send(self, message: Any) -> None:
        kind = message["type"]
        if kind == "http.response.body":
            await self._send_body(message.get("body", b""), message.get("more_body", False))
        elif kind == "http.response.start" and self._start is None:
            self._start = message
        elif kind == HOP_LIMIT and HOP_LIMIT in self._connection.extensions and not self.begun:
            if not 1 <= message["hops"] <= 255:
                raise ValueError("hops must be 1 to 255")
            self._hops = message["hops"]
        else:
            raise RuntimeError(f"{kind} is not expected here")

    async def _send_body(self, body: bytes, more: bool) -> None:
        if self._start is None or self.ended:
            raise RuntimeError("http.response.body is not expected here")
        connection = self._connection
        if connection.is_gone:
            raise ConnectionResetError("the client is gone")
        framing, pieces = self._framing, []
        if framing is None:
            framing = self._framed(None if more else len(body))
            pieces.append(framing.head)
            connection.set_hops(self._hops)
            self._framing = framing
        connection.write(pieces + framing.framed(body, more))
        if not more:
            self.ended = True
            self._held = b""
            self.wake()
        elif connection.is_write_paused:
            await connection.writable()

    def _framed(self, whole: int | None) -> Framing:
        closes = not self._head.keeps_alive or not self.is_received or self._connection.is_last
        return Framing(self._head, self._start["status"], self._start.get("headers", ()), whole, closes)
