"""The one door to Hypercorn: an ASGI application on an address, plain or with TLS.

Sockets are bound before anything else starts, so that a taken port is told while nothing has changed.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypercorn.asyncio.run
from hypercorn.asyncio import serve
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config
from hypercorn.utils import parse_socket_addr

from euca_box.api.http1.connection import LARGEST_HEAD_BYTES, Connection
from euca_box.api.http1.connections import Connections

GRACE_SECONDS = 10.0  # how long requests may go on after SIGTERM
FOR_EVER = 10**9
BACKLOG = 1024
IP_FREEBIND = 15  # linux/in.h; the socket module has no name for it before Python 3.13
HTTPTOOLS, H11 = "httptools", "h11"


class PortTaken(Exception):
    """The address cannot be listened on; the text says which and why."""


@dataclass(frozen=True)
class Listener:
    """A bound socket that nobody accepts from yet. `tls`: certificate and key files."""

    bound: socket.socket
    host: str
    port: int
    tls: tuple[Path, Path] | None

    @property
    def url(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{shown}:{self.port}"


def bind(host: str, port: int, tls: tuple[Path, Path] | None, setting: str) -> Listener:
    """Raises PortTaken. Port 0 takes any. An address that is not there yet (the guests' bridge) is fine.

    Accepted connections inherit TCP_NODELAY: without it a small answer waits 40 ms.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
        # Only with listen() does the kernel tell two sockets with SO_REUSEADDR apart.
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise PortTaken(
            f"cannot listen on {host} port {port}: {error.strerror}. "
            f"Stop what uses it (ss -ltnp 'sport = :{port}'), or set {setting}."
        ) from None
    bound.setblocking(False)
    return Listener(bound, host, bound.getsockname()[1], tls)


def bind_unix(path: Path) -> Listener:
    """A socket that only this user may open."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        bound.bind(str(path))
    finally:
        os.umask(before)
    bound.setblocking(False)
    return Listener(bound, "", 0, None)


async def run_server(
    app: Any, listener: Listener, stop: Callable[[], Awaitable[None]], engine: str = HTTPTOOLS
) -> None:
    """Serve until stop() returns; then finish what is under way, GRACE_SECONDS at most.

    `engine` speaks HTTP/1.1: HTTPTOOLS is ours (api/http1), H11 is Hypercorn's own.
    """
    config = _Config()
    config.app, config.connections = app, Connections() if engine == HTTPTOOLS else None
    config.bind = [f"fd://{listener.bound.detach()}"]  # Hypercorn closes it
    config.graceful_timeout = GRACE_SECONDS
    config.keep_alive_max_requests = FOR_EVER
    config.backlog = BACKLOG
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    config.h11_max_incomplete_size = LARGEST_HEAD_BYTES
    config.alpn_protocols = ["http/1.1"]
    if listener.tls is not None:
        certificate, key = listener.tls
        config.certfile, config.keyfile = str(certificate), str(key)

    async def stopped() -> None:
        await stop()
        if config.connections is not None:
            config.connections.stop()

    await serve(app, config, shutdown_trigger=stopped)


class _Config(Config):
    app: Any
    connections: Connections | None = None


class _Server(TCPServer):
    """A connection of Hypercorn's, whose HTTP/1.1 is ours. HTTP/2 and WebSocket go back to Hypercorn."""

    async def run(self) -> None:
        config, transport = self.config, self.writer.transport
        tls = self.writer.get_extra_info("ssl_object")
        is_http2 = tls is not None and tls.selected_alpn_protocol() == "h2"
        if not isinstance(config, _Config) or config.connections is None or is_http2:
            await super().run()
            return
        try:
            bound = self.writer.get_extra_info("socket")
            client = parse_socket_addr(bound.family, bound.getpeername())
            server = parse_socket_addr(bound.family, bound.getsockname())
        except OSError:  # gone already
            transport.abort()
            return
        connection = Connection(config.app, config.connections, client, server, self.state)
        connection.connection_made(transport)
        transport.set_protocol(connection)
        self.reader.feed_eof()  # it gets no more; what came before is taken over
        if early := await self.reader.read():
            connection.data_received(early)
        if transport.is_closing():
            connection.connection_lost(None)
        if (begun := await connection.serve()) is not None:
            await self._go_on(begun)

    async def _go_on(self, begun: bytes) -> None:
        """Hypercorn reads `begun` and whatever follows."""
        transport, first_writer = self.writer.transport, self.writer
        self.reader = asyncio.StreamReader(loop=self.loop)
        protocol = asyncio.StreamReaderProtocol(self.reader, loop=self.loop)
        protocol.connection_made(transport)
        transport.set_protocol(protocol)
        self.writer = asyncio.StreamWriter(transport, protocol, self.reader, self.loop)
        self.reader.feed_data(begun)
        await super().run()
        del first_writer  # it would close the transport


# Hypercorn has no hook for this: config.worker_class knows only its own. Guarded by tests/api/test_http1.py.
hypercorn.asyncio.run.TCPServer = _Server  # type: ignore[attr-defined]
