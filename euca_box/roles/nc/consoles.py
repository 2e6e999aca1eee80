"""Serial consoles: one reader for each guest, and a socket beside it where the operator may look in.

`euca-box console ID` connects to `console.sock`; many may, and all see the same.
"""

import contextlib
import logging
import os
import socket
from typing import TYPE_CHECKING

import trio

from euca_box.kvm.console import Viewer

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc
    from euca_box.roles.nc.workbench import Console

log = logging.getLogger(__name__)

VIEWERS = 16
READ_BYTES = 4096


async def connect(nc: "Nc", instance_id: str) -> None:
    """Start reading the guest's console; returns when connected. Harmless when it is read already."""
    if instance_id in nc.consoles:
        return
    assert nc.tasks is not None
    sockets, folder = nc.sockets_of(instance_id), nc.folder_of(instance_id)
    console = nc.workbench.console(sockets / "serial.sock", folder / "console.log")
    nc.consoles[instance_id] = console
    await nc.tasks.start(_read, nc, instance_id, console)


async def disconnect(nc: "Nc", instance_id: str) -> None:
    """Stop reading; harmless when nobody reads. What was read stays."""
    if nc.consoles.pop(instance_id, None) is not None:
        nc.changed()
        await trio.lowlevel.checkpoint()


async def _read(
    nc: "Nc",
    instance_id: str,
    console: "Console",
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Until the instance is gone."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_gone, nc, instance_id, console, nursery.cancel_scope)
            nursery.start_soon(_serve, nc, instance_id, console)
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


async def _serve(nc: "Nc", instance_id: str, console: "Console") -> None:
    """Let viewers in through a socket that only root may open."""
    path = nc.sockets_of(instance_id) / "console.sock"
    if not path.parent.exists():
        return
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    listener = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await listener.bind(str(path))
    os.chmod(path, 0o600)
    listener.listen(VIEWERS)

    async def view(stream: trio.SocketStream) -> None:
        await _view(console, stream)

    await trio.serve_listeners(view, [trio.SocketListener(listener)])


async def _view(console: "Console", stream: trio.SocketStream) -> None:
    """One viewer until he leaves. Whatever breaks here is his: it must not end the others or the node."""
    try:
        async with stream, console.attach() as viewer, trio.open_nursery() as nursery:
            nursery.start_soon(_keys, stream, viewer, nursery.cancel_scope)
            async for output in viewer.output:
                await stream.send_all(output)
    except* (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
        pass  # he left, or his terminal stands still
    except* Exception:
        log.exception("a viewer of a console was dropped")


async def _keys(stream: trio.SocketStream, viewer: Viewer, scope: trio.CancelScope) -> None:
    with contextlib.suppress(trio.BrokenResourceError, trio.TooSlowError):
        while data := await stream.receive_some(READ_BYTES):
            await viewer.send(data)
    scope.cancel()
