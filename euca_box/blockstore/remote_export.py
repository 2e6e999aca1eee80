"""A volume for another host: its storage daemon listens at a port, and takes one certificate (mutual TLS).

QEMU 7.2 sets no TCP_NODELAY on what it listens at, which costs 40 ms for each batch of requests (measured:
364 instead of 29,412 a second). So it is set from here, on the daemon's own socket; connections inherit it.
"""

import contextlib
import ctypes
import errno
import logging
import os
import socket
from pathlib import Path

from euca_box.auth import export_certificates as certificates
from euca_box.blockstore.daemon import Owner
from euca_box.blockstore.engine import EngineError, RemoteConnection
from euca_box.blockstore.qmp import Qmp, QmpError

log = logging.getLogger(__name__)

TLS = "tls"  # the object's name
PORT_FILE = "port"
FIRST_PORT, PORTS = 10900, 4000
PIDFD_GETFD = 438  # system call, x86_64 and arm64 alike (pidfd_getfd(2))
LISTENING = "0A"  # in /proc/net/tcp


def admit(folder: Path, owner: Owner, export: str, address: str, request: bytes) -> RemoteConnection:
    """What the node needs to know; the daemon's side of it lies in the folder. Blocks. Raises EngineError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        found = certificates.admit(folder, export, request)
    except ValueError as error:
        raise EngineError(f"the node's request for a certificate is not sound: {error}") from error
    for path in (folder, folder / certificates.SERVER_KEY, folder / certificates.SERVER):
        owner.take(path)
    owner.take(folder / certificates.AUTHORITY)
    return RemoteConnection(
        address, _port(folder, address), export, found.authority.decode(), found.certificate.decode()
    )


async def listen(qmp: Qmp, folder: Path, connection: RemoteConnection, pid: int | None) -> None:
    """In place of what the daemon listened at. Raises EngineError."""
    with contextlib.suppress(QmpError):  # there was none
        await qmp.ask("object-del", id=TLS)
    await qmp.ask(
        "object-add",
        qom_type="tls-creds-x509", id=TLS, dir=str(folder), endpoint="server", verify_peer=True,
        priority=certificates.PRIORITY,
    )  # fmt: skip
    where = {"host": connection.address, "port": str(connection.port)}
    try:
        await qmp.ask("nbd-server-start", addr={"type": "inet", "data": where}, tls_creds=TLS)
    except QmpError:
        (folder / PORT_FILE).unlink(missing_ok=True)  # somebody else has it: another one the next time
        raise
    if pid is None or not _set_nodelay(pid, connection.port):
        log.warning("TCP_NODELAY could not be set for %s: it will be slow", connection.export)


def _port(folder: Path, address: str) -> int:
    """The same one again, so that a node finds it after the daemon died."""
    try:
        return int((folder / PORT_FILE).read_text())
    except (OSError, ValueError):
        pass
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    start = int.from_bytes(os.urandom(2), "big") % PORTS
    for step in range(PORTS):
        port = FIRST_PORT + (start + step) % PORTS
        with socket.socket(family) as trial:
            try:
                trial.bind((address, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise EngineError(f"nothing can listen at {address}: {error.strerror}") from error
        (folder / PORT_FILE).write_text(str(port))
        return port
    raise EngineError("all ports for exports are taken")


def _set_nodelay(pid: int, port: int) -> bool:
    """On the socket at which this process listens."""
    try:
        wanted = _listening(pid, port)
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            if _target(pid, name) not in wanted:
                continue
            copy = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, handle, int(name), 0)
            if copy < 0:
                return False
            with socket.socket(fileno=copy) as theirs:
                theirs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return True
    finally:
        os.close(handle)
    return False


def _target(pid: int, name: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/fd/{name}")
    except OSError:
        return ""


def _listening(pid: int, port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == LISTENING and words[1].endswith(f":{port:04X}"):
                found.add(f"socket:[{words[9]}]")
    return found
