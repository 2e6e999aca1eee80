"""Images of instances: the disk is copied as of one moment, sent to Walrus, and the copy removed.

A task lives in memory: after a restart it is asked for again, and begins anew.
"""

import errno
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from euca_box.images.convert import ConvertError
from euca_box.images.send import SendError, SendRefused
from euca_box.kvm.hypervisor import KvmError, NoSuchDomain
from euca_box.messages import nc as messages
from euca_box.messages.base import Call, system_call
from euca_box.messages.walrus import BeginImageUpload, Caching, EndImageUpload, GetPartUrl
from euca_box.model.ec2_errors import IncorrectInstanceState, InvalidInstanceIDNotFound
from euca_box.model.errors import EucaError, InternalError, Unavailable

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc, Resident

log = logging.getLogger(__name__)

GIB = 1024**3
COPIED_PERCENT = 50  # the other half is sending
AT_ONCE = 2


@dataclass
class Task:
    """Something that takes minutes and is done once for all who ask."""

    percent: int = 0
    result: Any = None
    error: EucaError | None = None
    done: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


async def create_image(nc: "Nc", call: Call, op: messages.NcCreateImage) -> Caching:
    alive(nc, op.instance_id)
    task = ensure(nc, op.image_id, partial(_create, nc, op))
    result: Caching | None = await outcome(nc, op.image_id, task, op.wait_seconds)
    return result or Caching(task.percent)


def ensure(nc: "Nc", name: str, work: Callable[[Task], Awaitable[Any]]) -> Task:
    """The task of that name, or a new one."""
    task = nc.imaging.get(name)
    if task is None:
        assert nc.tasks is not None
        task = nc.imaging[name] = Task()
        nc.tasks.start_soon(_run, name, task, work)
    return task


async def outcome(nc: "Nc", name: str, task: Task, wait_seconds: float) -> Any | None:
    """Its result, or None while it goes on. Raises its error; asked again it begins anew."""
    with trio.move_on_after(wait_seconds):
        await task.done.wait()
    if not task.done.is_set():
        return None
    nc.imaging.pop(name, None)
    if task.error is not None:
        raise task.error
    return task.result


async def _run(name: str, task: Task, work: Callable[[Task], Awaitable[Any]]) -> None:
    try:
        with task.scope:
            task.result = await work(task)
        if task.scope.cancelled_caught:
            task.error = IncorrectInstanceState(f"{name} was cancelled.")
    except NoSuchDomain:
        task.error = IncorrectInstanceState("The instance ended while its disk was copied.")
    except (KvmError, ConvertError, SendError, SendRefused) as error:
        log.warning("%s: %s", name, error)
        task.error = Unavailable("The node could not copy the disk. It is tried again.")
    except OSError as error:
        log.warning("%s: %s", name, error)
        full = error.errno == errno.ENOSPC
        task.error = Unavailable(
            "The disk of the node is full." if full else "The node has trouble with its disk."
        )
    except EucaError as error:
        task.error = error
    except Exception:
        # Nobody waits for this task; what escaped it would end the node.
        log.exception("%s failed", name)
        task.error = InternalError()
    finally:
        task.done.set()


async def _create(nc: "Nc", op: messages.NcCreateImage, task: Task) -> Caching:
    async with (
        nc.imaging_limiter,
        copied_disk(nc, op.instance_id, op.image_id, reboot=not op.no_reboot) as copy,
    ):
        task.percent = COPIED_PERCENT
        return await _sent(nc, op, copy, task)


@asynccontextmanager
async def copied_disk(nc: "Nc", instance_id: str, name: str, *, reboot: bool) -> AsyncIterator[Path]:
    """A qcow2 that stands for itself, with the root disk as of one moment; removed at the end."""
    folder = nc.settings.folder / "imaging" / name
    nc.workbench.make_folder(folder.parent)
    await nc.workbench.remove(folder)
    nc.workbench.make_folder(folder)
    try:
        copy = folder / "copy.qcow2"
        await _copy(nc, instance_id, copy, reboot=reboot)
        yield copy
    finally:
        with trio.CancelScope(shield=True):
            await nc.workbench.remove(folder)


async def _copy(nc: "Nc", instance_id: str, copy: Path, *, reboot: bool) -> None:
    resident = alive(nc, instance_id)
    size_bytes = resident.spec.vm_type.disk_gib * GIB
    await nc.workbench.create_copy(copy, size_bytes, resident.uid)
    if resident.stopped:
        disk = nc.folder_of(instance_id) / "disk.qcow2"
        await nc.workbench.flatten(disk, copy, size_bytes, resident.uid)
    elif instance_id in nc.running:
        if reboot:
            # Its file systems are in order when this returns: it has just left the power button behind it.
            await nc.hypervisor.reboot(instance_id, nc.settings.reboot_grace_seconds)
        await nc.hypervisor.copy_disk(instance_id, copy)
    else:
        raise IncorrectInstanceState(f"The instance '{instance_id}' is neither running nor stopped.")


async def _sent(nc: "Nc", op: messages.NcCreateImage, copy: Path, task: Task) -> Caching:
    image_id, ticket = op.image_id, op.ticket
    call = system_call(f"image-{image_id}")
    size_bytes = nc.workbench.size_of(copy)
    upload = await nc.bus.ask("walrus", BeginImageUpload(image_id, size_bytes, ticket), call)
    etags: list[str] = []
    for offset in range(0, size_bytes, upload.part_bytes):
        part = GetPartUrl(image_id, upload.upload_id, len(etags) + 1, ticket)
        target = await nc.bus.ask("walrus", part, call)
        length = min(upload.part_bytes, size_bytes - offset)
        etags.append(await nc.workbench.send_part(target.url, upload.ca_file, copy, offset, length))
        task.percent = COPIED_PERCENT + (99 - COPIED_PERCENT) * (offset + length) // size_bytes
    done = EndImageUpload(image_id, upload.upload_id, tuple(etags), ticket)
    return await nc.bus.ask("walrus", done, call)


def alive(nc: "Nc", instance_id: str) -> "Resident":
    resident = nc.residents.get(instance_id)
    if resident is None or resident.ending:
        raise InvalidInstanceIDNotFound(instance_id)
    return resident
