"""Volumes of the zone: made and deleted by tasks, which repeat until it is done or hopeless."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import trio

from euca_box.blockstore.chunks import DamagedChunk, TransferError
from euca_box.blockstore.engine import EngineError, NoSpace
from euca_box.messages import sc as messages
from euca_box.messages.base import Call, Done
from euca_box.model.ec2_errors import InsufficientVolumeCapacity, InvalidVolumeNotFound
from euca_box.model.errors import EucaError, IncorrectState, InvalidParameterValue, Unavailable
from euca_box.model.snapshot_manifests import ManifestError
from euca_box.observe.failpoints import fp
from euca_box.roles.sc import exports, filling, keys, scrubbing
from euca_box.store.store import Statement

if TYPE_CHECKING:
    from euca_box.roles.sc.role import Sc

log = logging.getLogger(__name__)

GIB = 1024**3
RETRY_SECONDS = 2.0
FILL_RETRY_SECONDS = 10.0
DISK_FULL = "the disk of the storage controller is full"


Step = Callable[["Sc", "Kept"], Awaitable[None]]


@dataclass(frozen=True)
class Kept:
    """A volume of this storage controller. `exported`: the attachment `generation` holds it, as `uid`."""

    volume_id: str
    size_gib: int
    state: Literal["making", "ready", "failed", "deleting"]
    deadline: float
    snapshot_id: str = ""
    reason: str = ""
    exported: bool = False
    generation: int = 0
    uid: int | None = None
    remote_request: str = ""  # of its holder on another host, for a certificate
    last_snapshot: str = ""  # the newest one that Walrus has, on which the next one builds
    last_manifest: str = ""  # and the SHA-256 of its manifest
    made_gib: int = 0  # what the engine had of it when it was made, or last grew
    unreadable: tuple[tuple[int, int], ...] = ()  # offset and length of what the disk could not read
    filling: bool = False  # there, but not all of its bytes
    holds: bool = False  # Walrus keeps the chunks of its snapshot for it
    fill_manifest: str = ""  # the SHA-256 of the manifest that it is filled by
    sealed_key: str = field(default="", repr=False)  # of an encrypted one
    sealed_source_key: str = field(default="", repr=False)  # while it is filled from an encrypted snapshot

    @property
    def is_moving(self) -> bool:
        return self.state in ("making", "deleting") or self.filling or self.holds

    @property
    def size_bytes(self) -> int:
        return self.size_gib * GIB


async def describe_storage(sc: "Sc", call: Call, op: messages.ScDescribeStorage) -> messages.Storage:
    reserved = sc.settings.reserved_disk_gib * GIB
    return messages.Storage(
        volumes=len(sc.volumes),
        volumes_gib=sum(kept.size_gib for kept in sc.volumes.values()),
        max_volume_gib=sc.settings.max_volume_gib,
        max_total_gib=sc.settings.max_total_gib,
        free_bytes=max(await sc.engine.free_bytes() - reserved, 0),
    )


async def create_volume(sc: "Sc", call: Call, op: messages.ScCreateVolume) -> messages.StoredVolume:
    """Commit that it shall be; its task does the rest."""
    if op.volume_id in sc.tombstones:
        raise IncorrectState(f"{op.volume_id} was deleted.")
    async with sc.creating:
        if op.volume_id not in sc.volumes:
            await _check_room(sc, op)
            deadline = sc.now() + sc.settings.make_seconds
            key, source_key = keys.sealed_pair(sc, op.volume_id, op.key, op.source_key)
            made = Kept(op.volume_id, op.size_gib, "making", deadline, op.snapshot_id)
            await sc.keep(replace(made, sealed_key=key, sealed_source_key=source_key))
            fp("sc.create.after-commit")
            sc.bell.ring()
    with trio.move_on_after(op.wait_seconds):
        while (kept := sc.volumes.get(op.volume_id)) is not None and kept.state == "making":
            await sc.news.wait()
    if (kept := sc.volumes.get(op.volume_id)) is None:
        raise IncorrectState(f"{op.volume_id} was deleted.")
    return view(sc, kept)


async def delete_volume(sc: "Sc", call: Call, op: messages.ScDeleteVolume) -> Done:
    """Commit that it shall go and that the id never comes back; answer when nothing is left."""
    tombstone = Statement(
        "INSERT INTO tombstone (id, at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", (op.volume_id, sc.now())
    )
    sc.tombstones.add(op.volume_id)
    async with sc.lock(op.volume_id):
        if op.volume_id not in sc.volumes:
            await sc.store.write(tombstone)
            return Done()
        await sc.mark(op.volume_id, tombstone, state="deleting", exported=False)
    fp("sc.delete.after-commit")
    if (scope := sc.scopes.get(op.volume_id)) is not None:
        scope.cancel()
    sc.bell.ring()
    while op.volume_id in sc.volumes:
        await sc.news.wait()
    return Done()


async def grow_volume(sc: "Sc", call: Call, op: messages.ScGrowVolume) -> messages.StoredVolume:
    """The row first: what a crash leaves too short grows before anybody gets it."""
    async with sc.creating, sc.lock(op.volume_id):
        kept = sc.volumes.get(op.volume_id)
        if kept is None or kept.state == "deleting":
            raise InvalidVolumeNotFound(op.volume_id)
        if kept.state != "ready":
            raise IncorrectState(f"{op.volume_id} is not ready: {kept.reason or kept.state}")
        if kept.filling:
            raise Unavailable(f"{op.volume_id} is still being filled from its snapshot.")
        if op.size_gib > kept.size_gib:
            _check_sizes(sc, op.size_gib, op.size_gib - kept.size_gib)
            kept = await sc.mark(op.volume_id, size_gib=op.size_gib)
            fp("sc.grow.after-commit")
        try:
            await sc.engine.grow(op.volume_id, kept.size_bytes)
            fp("sc.grow.after-engine")
            if kept.made_gib < kept.size_gib:
                kept = await sc.mark(op.volume_id, made_gib=kept.size_gib)
            if kept.exported:
                await exports.bring_up(sc, kept)
        except EngineError as error:
            log.warning("%s does not grow: %s", op.volume_id, error)
            raise Unavailable(f"The storage controller cannot grow {op.volume_id} now.") from error
    return view(sc, kept)


async def describe_volumes(sc: "Sc", call: Call, op: messages.ScDescribeVolumes) -> messages.StoredVolumes:
    return messages.StoredVolumes(tuple(view(sc, kept) for kept in sc.volumes.values()))


def view(sc: "Sc", kept: Kept) -> messages.StoredVolume:
    percent = sc.progress.get(kept.volume_id, 0) if kept.state == "making" or kept.filling else 100
    problem = sc.fill_problems.get(kept.volume_id, "") or scrubbing.problem_of(sc, kept)
    reason = kept.reason or problem
    return messages.StoredVolume(
        kept.volume_id,
        kept.size_gib,
        kept.state,
        percent,
        reason,
        kept.exported,
        kept.generation,
        kept.filling,
    )


async def work_on(sc: "Sc", volume_id: str) -> None:
    """From its row to a volume with all its bytes, or to nothing; a crash of this process is a pause."""
    try:
        while (kept := sc.volumes.get(volume_id)) is not None and kept.is_moving:
            if kept.state == "deleting":
                await _try(sc, kept, _delete)
                continue
            with trio.CancelScope() as scope:
                sc.scopes[volume_id] = scope
                await _try(sc, kept, _make if kept.state == "making" else _go_on)
            sc.scopes.pop(volume_id, None)
    finally:
        sc.working.discard(volume_id)
        sc.progress.pop(volume_id, None)
        sc.fill_problems.pop(volume_id, None)
        sc.scopes.pop(volume_id, None)
        sc.bell.ring()  # it may have been wished away while it was finished


async def _try(sc: "Sc", kept: Kept, step: Step) -> None:
    """One try; what failed is tried again until the deadline of a volume that is made."""
    try:
        await step(sc, kept)
        sc.fill_problems.pop(kept.volume_id, None)
        return
    except NoSpace:
        why, hopeless = DISK_FULL, True
    except (DamagedChunk, ManifestError) as error:
        why, hopeless = str(error), True
    except (EngineError, TransferError, OSError) as error:
        why, hopeless = str(error), False
    except EucaError as error:
        why, hopeless = error.message, error.side == "Client"
    except Exception:
        log.exception("%s: a step failed", kept.volume_id)
        why, hopeless = "an internal error", False
    if sc.fill_problems.get(kept.volume_id) != why:
        log.warning("%s: %s", kept.volume_id, why)
    if kept.state == "making" and (hopeless or sc.now() > kept.deadline):
        await _fail(sc, kept.volume_id, why)
    else:
        if kept.filling:
            sc.fill_problems[kept.volume_id] = why
        await trio.sleep(FILL_RETRY_SECONDS if kept.filling else RETRY_SECONDS)


async def _make(sc: "Sc", kept: Kept) -> None:
    is_lazy = False
    if kept.snapshot_id:
        is_lazy = await filling.begin(sc, kept)
    else:
        await sc.engine.create(kept.volume_id, kept.size_bytes, keys.key_of_volume(sc, kept))
    fp("sc.create.after-engine")
    async with sc.lock(kept.volume_id):
        if sc.volumes[kept.volume_id].state == "making":
            await sc.mark(kept.volume_id, state="ready", filling=is_lazy, made_gib=kept.size_gib)
    log.info("%s is ready", kept.volume_id)


async def _go_on(sc: "Sc", kept: Kept) -> None:
    """With what is still to be done of one that was made from a snapshot."""
    if kept.filling and kept.state == "ready":
        await filling.work_on(sc, kept)
    else:
        await filling.release(sc, kept)


async def _delete(sc: "Sc", kept: Kept) -> None:
    taken = [t for t in sc.snapshots.values() if t.volume_id == kept.volume_id]
    if any(t.state == "copying" for t in taken):
        raise EngineError("a snapshot of it is still being copied")
    async with sc.lock(kept.volume_id):
        await sc.engine.delete(kept.volume_id)
        fp("sc.delete.after-engine")
    if kept.holds:
        await filling.release(sc, kept)
    async with sc.lock(kept.volume_id):
        await sc.forget(kept.volume_id)
    log.info("%s is deleted", kept.volume_id)


async def _fail(sc: "Sc", volume_id: str, reason: str) -> None:
    """It stays, in error, until it is deleted; its bytes go now."""
    async with sc.lock(volume_id):
        if sc.volumes[volume_id].state == "making":
            await sc.engine.delete(volume_id)
            await sc.mark(volume_id, state="failed", reason=reason, filling=False)


async def _check_room(sc: "Sc", op: messages.ScCreateVolume) -> None:
    _check_sizes(sc, op.size_gib, op.size_gib)
    if await sc.engine.free_bytes() <= sc.settings.reserved_disk_gib * GIB:
        raise InsufficientVolumeCapacity("The disk of the storage controller is full.")


def _check_sizes(sc: "Sc", size_gib: int, more_gib: int) -> None:
    settings = sc.settings
    if not 1 <= size_gib <= settings.max_volume_gib:
        raise InvalidParameterValue(f"Volumes have 1 to {settings.max_volume_gib} GiB here.")
    total_gib = sum(kept.size_gib for kept in sc.volumes.values()) + more_gib
    if settings.max_total_gib and total_gib > settings.max_total_gib:
        raise InsufficientVolumeCapacity(f"All volumes together have {settings.max_total_gib} GiB at most.")
