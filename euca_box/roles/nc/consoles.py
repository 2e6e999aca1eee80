"""Consoles of guests: one reader for each serial line, and sockets where the operator may look in.

QEMU's own sockets lie in a folder of its user and serve one client, or one that wants to be alone (VNC).
Ours lie in a folder of ours, `consoles/ID`: `serial.sock` for many viewers, who see the same and may all
type, and `screen.sock`, which relays to QEMU's VNC server.
"""

import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from euca_box.kvm.console import Viewer

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc
    from euca_box.roles.nc.workbench import Console

log = logging.getLogger(__name__)

VIEWERS = 16  # of each socket; the next one is told so
READ_BYTES = 65536
FULL = b"euca-box: too many look at this console already.\r\n"
LEFT = (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError)


def folder_of(nc: "Nc", instance_id: str) -> Path:
    return nc.settings.run_folder / "consoles" / instance_id


async def connect(nc: "Nc", instance_id: str, *, fresh: bool = False) -> None:
    """Start reading the guest's console; returns when connected. Harmless when it is read already."""
    if instance_id in nc.consoles:
        return
    assert nc.tasks is not None
    log_file = nc.folder_of(instance_id) / "console.log"
    console = nc.workbench.console(nc.sockets_of(instance_id) / "serial.sock", log_file, fresh=fresh)
    nc.consoles[instance_id] = console
    await nc.tasks.start(_read, nc, instance_id, console)


async def disconnect(nc: "Nc", instance_id: str) -> None:
    """Stop reading; harmless when nobody reads. What was read stays."""
    if nc.consoles.pop(instance_id, None) is not None:
        nc.changed()
    await nc.workbench.remove(folder_of(nc, instance_id))


async def _read(
    nc: "Nc",
    instance_id: str,
    console: "Console",
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Until the instance is gone."""

    async def view(stream: trio.SocketStream) -> None:
        async with console.attach() as viewer, trio.open_nursery() as nursery:
            nursery.start_soon(_keys, stream, viewer, nursery.cancel_scope)
            async for output in viewer.output:
                await stream.send_all(output)

    async def relay(stream: trio.SocketStream) -> None:
        await _relay(stream, nc.sockets_of(instance_id) / "vnc.sock")

    folder = folder_of(nc, instance_id)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_gone, nc, instance_id, console, nursery.cancel_scope)
            nc.workbench.make_folder(folder)
            nursery.start_soon(_serve, folder / "serial.sock", view)
            nursery.start_soon(_serve, folder / "screen.sock", relay)
            await nursery.start(console.run)
            task_status.started()
    except* Exception:
        log.exception("the console of %s is not read", instance_id)
    finally:
        if nc.consoles.get(instance_id) is console:
            del nc.consoles[instance_id]


async def _until_gone(nc: "Nc", instance_id: str, console: "Console", scope: trio.CancelScope) -> None:
    while (resident := nc.residents.get(instance_id)) is not None and resident.gone_at is None:
        if nc.consoles.get(instance_id) is not console:
            break
        await nc.news.wait()
    scope.cancel()


async def _serve(path: Path, look: Callable[[trio.SocketStream], Awaitable[None]]) -> None:
    """Let viewers in through a socket that only root may open."""
    if not path.parent.exists():
        return
    listener = trio.socket.from_stdlib_socket(_listening(path))
    looking = trio.CapacityLimiter(VIEWERS)

    async def let_in(stream: trio.SocketStream) -> None:
        """One viewer until he leaves. Whatever breaks here is his: it must not end the others or the node."""
        try:
            async with stream:
                try:
                    looking.acquire_on_behalf_of_nowait(stream)
                except trio.WouldBlock:
                    await stream.send_all(FULL)
                    return
                try:
                    await look(stream)
                finally:
                    looking.release_on_behalf_of(stream)
        except* LEFT:
            pass  # he left, or his terminal stands still
        except* Exception:
            log.exception("a viewer of a console was dropped")

    await trio.serve_listeners(let_in, [trio.SocketListener(listener)])


def _listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)  # before anybody can connect: it does not listen yet
    listener.listen(VIEWERS)
    return listener


async def _keys(stream: trio.SocketStream, viewer: Viewer, scope: trio.CancelScope) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.TooSlowError):
        while data := await stream.receive_some(READ_BYTES):
            await viewer.send(data)
    scope.cancel()


async def _relay(stream: trio.SocketStream, vnc: Path) -> None:
    """Bytes both ways until one side ends."""
    async with await trio.open_unix_socket(str(vnc)) as server, trio.open_nursery() as nursery:

        async def copy(source: trio.SocketStream, target: trio.SocketStream) -> None:
            while data := await source.receive_some(READ_BYTES):
                await target.send_all(data)
            nursery.cancel_scope.cancel()

        nursery.start_soon(copy, stream, server)
        await copy(server, stream)
