"""One connection: the bytes of one request after another, and their deadlines.

Requests are read one at a time; what a client sends ahead waits unread, HELD_AHEAD_BYTES of it here.
"""

import asyncio
import logging
import re
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from euca_box.api.http1.answers import bare_answer
from euca_box.api.http1.connections import Connections
from euca_box.api.http1.exchange import ASKS_FOR_BODY, HOP_LIMIT, Exchange
from euca_box.api.http1.heads import Head, HeadParser, Refused

log = logging.getLogger(__name__)

LARGEST_HEAD_BYTES = 64 * 1024
HELD_AHEAD_BYTES = 64 * 1024
HEAD_SECONDS = 20.0  # from the first byte of a head to its last
IDLE_SECONDS = 60.0  # between two requests
WRITE_SECONDS = 60.0  # a client that takes nothing for so long is cut off
LINGER_SECONDS = 5.0  # a refused client may go on sending for so long: cut off, it would not read why
JOINED_BYTES = 16 * 1024  # up to here one write is cheaper than writing in pieces
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\n"  # RFC 9113 3.4

_EMPTY_LINES = re.compile(rb"(?:\r\n)+")
_REQUEST_LINE = re.compile(rb"[^\s]+ [^\s]+ HTTP/[0-9]\.[0-9]\r\n")

Application = Callable[[Any, Any, Any], Awaitable[None]]


class Connection(asyncio.Protocol):
    """`client`, `server` and `state` as in the scope of ASGI."""

    def __init__(
        self,
        app: Application,
        siblings: Connections,
        client: tuple[str, int] | None,
        server: tuple[str, int] | None,
        state: Mapping[str, Any],
    ) -> None:
        self._app = app
        self._siblings = siblings
        self.client, self.server, self.state = client, server, state
        self.scheme = "http"
        self.extensions: dict[str, dict[str, Any]] = {ASKS_FOR_BODY: {}}
        self.deadline = time.monotonic() + HEAD_SECONDS
        self.is_gone = False  # nothing can be sent any more
        self.is_half_closed = False  # the client sends no more, and may read
        self.is_write_paused = False
        self._is_reading = True
        self._is_closing = False
        self._is_lost = False
        self._is_expired = False
        self._transport: asyncio.Transport
        self._socket: socket.socket | None = None
        self._hops: int | None = None
        self._kernel_hops = 0
        self._unsent = b""  # an answer that goes out with those of others
        self._buffer = b""
        self._scanned = 0
        self._parser = HeadParser()
        self._exchange: Exchange | None = None
        self._head_waiter: asyncio.Future[None] | None = None
        self._write_waiter: asyncio.Future[None] | None = None
        self._end_waiter: asyncio.Future[None] | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._socket = transport.get_extra_info("socket")
        if transport.get_extra_info("ssl_object") is not None:
            self.scheme = "https"
        elif self._socket is not None and self._socket.family == socket.AF_INET:
            self.extensions[HOP_LIMIT] = {}
        self._siblings.add(self)

    def data_received(self, data: bytes) -> None:
        if self._is_closing or self.is_gone:
            return
        exchange = self._exchange
        if exchange is None:
            if not self._buffer:
                self.deadline = time.monotonic() + HEAD_SECONDS
            self._buffer += data
            _wake(self._head_waiter)
            return
        if not exchange.is_received:
            try:
                data = exchange.feed(data)
            except Refused as refused:
                self._refuse(refused)
                return
        if data:
            self._buffer += data
            if len(self._buffer) >= HELD_AHEAD_BYTES:
                self.pause_reading()

    def eof_received(self) -> bool:
        self.is_half_closed = True
        _wake(self._head_waiter)
        if self._exchange is not None:
            self._exchange.wake()
        return self.scheme == "http" and not self._is_closing

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_gone = self._is_lost = True
        self._siblings.discard(self)
        if self._exchange is not None:
            self._exchange.wake()
        for waiter in (self._head_waiter, self._write_waiter, self._end_waiter):
            _wake(waiter)

    def pause_writing(self) -> None:
        self.is_write_paused = True
        self.deadline = time.monotonic() + WRITE_SECONDS

    def resume_writing(self) -> None:
        self.is_write_paused = False
        if self._exchange is not None:
            self.deadline = float("inf")
        _wake(self._write_waiter)

    # For the exchange

    @property
    def is_last(self) -> bool:
        """No further request is taken."""
        return self._siblings.is_stopping

    def write(self, pieces: list[bytes]) -> None:
        if self.is_gone or not pieces:
            return
        if sum(map(len, pieces)) > JOINED_BYTES:
            self.flush()
            self._transport.writelines(pieces)
        elif self._unsent:
            self._unsent = b"".join((self._unsent, *pieces))
            self.flush()
        else:
            self._unsent = b"".join(pieces)
            self._siblings.flush_soon(self)

    def flush(self) -> None:
        unsent, self._unsent = self._unsent, b""
        if unsent and not self._is_lost:
            self._transport.write(unsent)

    async def writable(self) -> None:
        """Raises ConnectionResetError when the client is gone."""
        while self.is_write_paused and not self.is_gone:
            self._write_waiter = asyncio.get_running_loop().create_future()
            await self._write_waiter
        if self.is_gone:
            raise ConnectionResetError("the client is gone")

    def pause_reading(self) -> None:
        if self._is_reading and not self._is_lost:
            self._is_reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._is_reading and not self._is_lost:
            self._is_reading = True
            self._transport.resume_reading()

    def set_hops(self, hops: int | None) -> None:
        """IP_TTL (ip(7)) of what is sent from now on; None: as the kernel had it."""
        if hops == self._hops or self._socket is None:
            return
        self.flush()
        if self._hops is None:
            self._kernel_hops = self._socket.getsockopt(socket.IPPROTO_IP, socket.IP_TTL)
        value = self._kernel_hops if hops is None else hops
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, value)
        self._hops = hops

    # For the sweep

    def expire(self) -> None:
        if self._is_closing or self.is_write_paused:
            self._transport.abort()
        elif self._exchange is None:
            self._is_expired = True
            _wake(self._head_waiter)

    def end_if_idle(self) -> None:
        if self._exchange is None:
            _wake(self._head_waiter)

    # Life

    async def serve(self) -> bytes | None:
        """Until the connection has ended; or what came of a WebSocket or of HTTP/2, which begin here.

        Then the transport is the caller's. A cancelled connection is cut off.
        """
        try:
            try:
                if (raw := await self._requests()) is not None:
                    return self._hand_over(raw)
            except Refused as refused:
                self._refuse(refused)
            except ConnectionResetError:
                pass
            await self._end()
        except BaseException:
            self._transport.abort()
            raise
        return None

    async def _requests(self) -> bytes | None:
        """Answer them, one after another; the head that another protocol begins with. Raises Refused."""
        is_first = True
        while not self._is_closing and (raw := await self._next_head()) is not None:
            if is_first and raw == HTTP2_PREFACE:
                return raw
            head = self._parser.parse(raw)
            if head.is_websocket:
                return raw
            is_first = False
            await self._answer(head)
        return None

    async def _next_head(self) -> bytes | None:
        """A whole head with its empty line; None when there comes no other. Raises Refused."""
        self.deadline = time.monotonic() + (HEAD_SECONDS if self._buffer else IDLE_SECONDS)
        while True:
            if self._is_lost:
                return None
            if (raw := self._cut_head()) is not None:
                return raw
            if self.is_last:
                return None
            if self._is_expired or self.is_half_closed:
                if self._buffer:
                    raise Refused(408 if self._is_expired else 400)
                return None
            self._head_waiter = asyncio.get_running_loop().create_future()
            await self._head_waiter

    def _cut_head(self) -> bytes | None:
        if self._buffer.startswith(b"\r\n"):  # RFC 9112 2.2
            self._buffer = _EMPTY_LINES.sub(b"", self._buffer, count=1)
        buffer, scanned = self._buffer, self._scanned
        end = buffer.find(b"\r\n\r\n", max(0, scanned - 3))
        if (end if end >= 0 else len(buffer)) > LARGEST_HEAD_BYTES:
            raise Refused(431 if b"\n" in buffer[:LARGEST_HEAD_BYTES] else 414)
        if end >= 0:
            self._buffer, self._scanned = buffer[end + 4 :], 0
            return buffer[: end + 4]
        if b"\n\n" in buffer[max(0, scanned - 1) :] or (b"\n" in buffer and not _REQUEST_LINE.match(buffer)):
            raise Refused(400)  # no further byte can mend it
        self._scanned = len(buffer)
        return None

    async def _answer(self, head: Head) -> None:
        """Let the application answer one request. Raises Refused for what of its body is here already."""
        exchange = Exchange(self, head)
        if not exchange.is_received and self._buffer:
            self._buffer = exchange.feed(self._buffer)
        self._exchange, self.deadline = exchange, float("inf")
        try:
            await self._app(exchange.scope(), exchange.receive, exchange.send)
        except Exception as error:
            if not (self.is_gone and isinstance(error, OSError)):
                log.exception("%s failed in the application", head.method)
        self._exchange = None
        if not exchange.ended and not self.is_gone:
            if exchange.begun:
                self._transport.abort()  # so that nobody takes a part for the whole
            else:
                self.write([bare_answer(500)])
        if self.is_gone or exchange.closes:
            self._close(lingers=not exchange.is_received or bool(self._buffer))
        elif self.is_write_paused:
            await self.writable()
        self.resume_reading()
        if self._buffer:
            await asyncio.sleep(0)  # others have their turn

    def _hand_over(self, raw: bytes) -> bytes:
        self.flush()
        self._siblings.discard(self)
        self.resume_reading()
        return raw + self._buffer

    def _refuse(self, refused: Refused) -> None:
        exchange = self._exchange
        if exchange is None or not exchange.begun:
            self.write([bare_answer(refused.status)])
        self.is_gone = True  # for the application: what it sends now goes nowhere
        if exchange is not None:
            exchange.wake()
        self._close(lingers=True)

    def _close(self, *, lingers: bool) -> None:
        if self._is_closing or self._is_lost:
            return
        self.flush()
        self._is_closing, self._buffer = True, b""
        is_written = self._transport.get_write_buffer_size() == 0
        if not lingers or self.is_half_closed:
            self.deadline = time.monotonic() + WRITE_SECONDS
            self._transport.close()
            return
        self.deadline = time.monotonic() + (LINGER_SECONDS if is_written else WRITE_SECONDS)
        self.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    async def _end(self) -> None:
        self._close(lingers=False)
        if not self._is_lost:
            self._end_waiter = asyncio.get_running_loop().create_future()
            await self._end_waiter


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
