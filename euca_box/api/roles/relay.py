"""The serial line and the screen of a guest on another host: a signed WebSocket, CLC -> CC -> NC.

GET /relay/cc@ZONE/nc@HOST/i-ID/serial      at the host of the cluster controller, which goes on with
GET /relay/nc@HOST/i-ID/serial              at the node, whose sockets it ends at (roles/nc/consoles.py)

The request is signed as every message between hosts is; what follows is inside TLS to the very key of the
host that was asked. The cloud controller's host may ask both, a cluster controller's only nodes.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
)
from wsproto.utilities import RemoteProtocolError

from euca_box.api.s3.asgi import Receive, Scope, Send
from euca_box.auth.host_messages import HostKey, NotTrusted, Verifier, sign
from euca_box.bus.connections import key_in, pinned_context
from euca_box.bus.peers import Peer, Peers

PIECE_BYTES = 65536
MOST = 64  # relays of one host at once
OPEN_SECONDS = 10.0
_TARGET = re.compile(
    r"/relay(/cc@[A-Za-z0-9-]{1,32})?/(nc@[A-Za-z0-9.-]{1,63})/(i-[0-9a-f]{8,17})/(serial|screen)"
)
_ASKERS = {"cc": {"clc"}, "nc": {"clc", "cc"}}
SOCKETS = {"serial": "serial.sock", "screen": "screen.sock"}


class NoRelay(Exception):
    """There is no way to the console; the text says why."""


class Stream(Protocol):
    async def receive(self) -> bytes:
        """Some bytes; none at the end."""

    async def send(self, data: bytes) -> None: ...

    def close(self) -> None: ...


@dataclass
class SocketStream:
    """A socket of the node's own."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, path: Path) -> "SocketStream":
        try:
            return cls(*await asyncio.open_unix_connection(str(path)))
        except OSError:
            raise NoRelay("no such guest runs here") from None

    async def receive(self) -> bytes:
        return await self.reader.read(PIECE_BYTES)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def close(self) -> None:
        self.writer.close()


class RemoteStream:
    """The same through another host."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._ws = WSConnection(ConnectionType.CLIENT)
        self._waiting: list[bytes] = []
        self._is_open = self._has_ended = False

    @classmethod
    async def open(cls, peer: Peer, target: str, key: HostKey, now: float) -> "RemoteStream":
        """Raises NoRelay."""
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                reader, writer = await asyncio.open_connection(
                    peer.host, peer.port, ssl=pinned_context(), server_hostname=peer.host
                )
                stream = cls(reader, writer)
                try:
                    await stream._shake_hands(peer, target, key, now)
                except BaseException:
                    stream.close()
                    raise
                return stream
        except (OSError, TimeoutError, RemoteProtocolError) as error:
            raise NoRelay(f"{peer.host} does not answer: {type(error).__name__}") from None

    async def _shake_hands(self, peer: Peer, target: str, key: HostKey, now: float) -> None:
        shown = self._writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        if key_in(shown) != peer.public_key:
            raise NoRelay(f"{peer.host} has another key than the host that joined")
        headers = sign(key, peer.host_id, "GET", target, b"", now)
        extra = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._writer.write(self._ws.send(Request(host=peer.host, target=target, extra_headers=extra)))
        while not self._is_open:
            if self._has_ended:
                raise NoRelay(f"{peer.host} refused")
            await self._read()

    async def receive(self) -> bytes:
        while not self._waiting and not self._has_ended:
            await self._read()
        return self._waiting.pop(0) if self._waiting else b""

    async def _read(self) -> None:
        data = await self._reader.read(PIECE_BYTES)
        self._ws.receive_data(data or None)
        for event in self._ws.events():
            match event:
                case AcceptConnection():
                    self._is_open = True
                case BytesMessage(data=piece) if piece:
                    self._waiting.append(bytes(piece))
                case Ping():
                    self._writer.write(self._ws.send(event.response()))
                case CloseConnection() | RejectConnection():
                    self._has_ended = True
        self._has_ended |= not data

    async def send(self, data: bytes) -> None:
        self._writer.write(self._ws.send(BytesMessage(data=data)))
        await self._writer.drain()

    def close(self) -> None:
        self._writer.close()


class Relays:
    """`is_here(address)`: a role of this host. `consoles`: the folder with the sockets of its guests."""

    def __init__(
        self, key: HostKey, peers: Peers, is_here: Callable[[str], bool], consoles: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._key, self._peers, self._is_here = key, peers, is_here
        self._consoles, self._clock = consoles, clock
        self._open = 0

    async def open(self, cc: str, node: str, instance_id: str, kind: str) -> Stream:
        """From the cloud controller's host: here, at a node that this host's own cluster controller has, or
        through another one. Raises NoRelay."""
        if self._is_here(node):
            return await SocketStream.open(self._consoles / instance_id / SOCKETS[kind])
        guest = f"{node}/{instance_id}/{kind}"
        if self._is_here(cc):
            return await self._onwards(node, f"/relay/{guest}")
        return await self._onwards(cc, f"/relay/{cc}/{guest}")

    async def answer(self, scope: Scope, receive: Receive, send: Send, verifier: Verifier) -> None:
        """A WebSocket of another host. What may not be is refused before it is accepted."""
        await receive()
        try:
            stream = await self._asked(scope, verifier)
        except (NoRelay, NotTrusted):
            await send({"type": "websocket.close", "code": 1008})
            return
        self._open += 1
        try:
            await send({"type": "websocket.accept"})
            await pump(_WebSocket(receive, send), stream)
            with contextlib.suppress(Exception):  # it has gone by itself
                await send({"type": "websocket.close", "code": 1000})
        finally:
            self._open -= 1
            stream.close()

    async def _asked(self, scope: Scope, verifier: Verifier) -> Stream:
        """Raises NotTrusted, NoRelay."""
        headers = {n.decode("latin-1").lower(): v.decode("latin-1") for n, v in scope["headers"]}
        target = scope["raw_path"].decode("latin-1")
        peer = self._peers.find(verifier.verify(headers, "GET", target, b""))
        found = _TARGET.fullmatch(target)
        if found is None or peer is None or self._open >= MOST:
            raise NoRelay("there is no such relay")
        cc, node, instance_id, kind = (found[1] or "").removeprefix("/"), *found.groups()[1:]
        here = cc or node
        if not self._is_here(here) or not peer.roles & _ASKERS[here.partition("@")[0]]:
            raise NoRelay("not here, or not for this host")
        if cc and not self._is_here(node):
            return await self._onwards(node, f"/relay/{node}/{instance_id}/{kind}")
        return await SocketStream.open(self._consoles / instance_id / SOCKETS[kind])

    async def _onwards(self, address: str, target: str) -> Stream:
        peer = self._peers.at(address)
        if peer is None:
            raise NoRelay(f"no host offers {address}")
        return await RemoteStream.open(peer, target, self._key, self._clock())


async def nowhere(cc: str, node: str, instance_id: str, kind: str) -> Stream:
    """As Relays.open, where there are no guests. Raises NoRelay."""
    raise NoRelay("there are no consoles here")


@dataclass
class _WebSocket:
    """An accepted one, as a stream."""

    asgi_receive: Any
    asgi_send: Any

    async def receive(self) -> bytes:
        while (message := await self.asgi_receive())["type"] == "websocket.receive":
            if data := message.get("bytes") or (message.get("text") or "").encode():
                return bytes(data)
        return b""

    async def send(self, data: bytes) -> None:
        await self.asgi_send({"type": "websocket.send", "bytes": data})

    def close(self) -> None:
        """The server does it."""


async def pump(one: Stream, other: Stream) -> None:
    """Bytes both ways until either side ends."""

    async def copy(source: Stream, target: Stream) -> None:
        while data := await source.receive():
            await target.send(data)

    tasks = [asyncio.ensure_future(copy(one, other)), asyncio.ensure_future(copy(other, one))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
