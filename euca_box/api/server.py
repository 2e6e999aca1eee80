"""The one door to Hypercorn: an ASGI application on an address, plain or with TLS.

Sockets are bound before anything else starts, so that a taken port is told while nothing has changed.
"""

import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

GRACE_SECONDS = 10.0  # how long requests may go on after SIGTERM
FOR_EVER = 10**9
BACKLOG = 1024
IP_FREEBIND = 15  # linux/in.h; the socket module has no name for it before Python 3.13
LARGEST_HEAD_BYTES = 64 * 1024


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


async def run_server(app: Any, listener: Listener, stop: Callable[[], Awaitable[None]]) -> None:
    """Serve until stop() returns; then finish what is under way, GRACE_SECONDS at most."""
    config = Config()
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
    await serve(app, config, shutdown_trigger=stop)
