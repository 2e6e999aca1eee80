"""The name service on UDP and TCP port 53 (or another), beside the HTTP listeners.

Which addresses there are is asked of the CLC once a second; a CLC that does not answer is no reason to forget
what was known.
"""

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import cast

from euca_box.api.dns.answers import Zones, answer
from euca_box.messages.dns import AddressesInUse
from euca_box.model.errors import EucaError

log = logging.getLogger(__name__)

REFRESH_SECONDS = 1.0
PATIENCE_SECONDS = 5.0  # with a TCP client
MOST_CLIENTS = 64
BUFFER_BYTES = 1 << 20  # of questions that wait
NOBODY = AddressesInUse(frozenset(), frozenset())

Look = Callable[[], Awaitable[AddressesInUse]]


def bind_dns(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """UDP and TCP, bound. Raises OSError."""
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stream.bind((address, port))
        datagrams.bind((address, stream.getsockname()[1]))
    except OSError:
        datagrams.close()
        stream.close()
        raise
    datagrams.setblocking(False)
    stream.setblocking(False)
    return datagrams, stream


class DnsServer:
    def __init__(self, zones: Zones, look: Look) -> None:
        self._known = NOBODY
        self._zones = replace(zones, in_use=lambda: self._known)
        self._look = look
        self._clients = asyncio.Semaphore(MOST_CLIENTS)

    async def run(
        self, sockets: list[tuple[socket.socket, socket.socket]], until: Callable[[], Awaitable[None]]
    ) -> None:
        """Answer until `until` returns."""
        loop = asyncio.get_running_loop()
        async with contextlib.AsyncExitStack() as stack:
            for datagrams, stream in sockets:
                transport, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self._zones), sock=datagrams
                )
                stack.callback(transport.close)
                stack.push_async_callback(_close, await asyncio.start_server(self._serve, sock=stream))
            refreshing = asyncio.create_task(self._refresh())
            stack.callback(refreshing.cancel)
            await until()

    async def _refresh(self) -> None:
        while True:
            with contextlib.suppress(EucaError):
                self._known = await self._look()
            await asyncio.sleep(REFRESH_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: questions, each with its length before it (RFC 1035 4.2.2)."""
        try:
            if not self._clients.locked():
                async with self._clients:
                    await self._converse(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(PATIENCE_SECONDS):
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                reply = answer(self._zones, await reader.readexactly(size), over_udp=False)
                if reply is None:
                    return
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, zones: Zones) -> None:
        self._zones = zones
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # what loops give it is no subclass

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = answer(self._zones, data, over_udp=True)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


async def _close(server: asyncio.Server) -> None:
    server.close()
