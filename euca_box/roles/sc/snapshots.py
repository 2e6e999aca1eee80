"""Snapshots of volumes: taken at once, copied while the guest goes on, then sent to Walrus.

A row is committed before the engine is asked. What was copied is resumed after any crash; a copy whose
storage daemon died before it was whole is lost, and the snapshot says so: its moment does not come back.
"""

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import trio

from euca_box.blockstore.chunks import TransferError
from euca_box.blockstore.engine import EngineError, NoSpace
from euca_box.messages import sc as messages
from euca_box.messages.base import Call, Done, system_call
from euca_box.messages.snapshots import ForkSnapshot
from euca_box.model.ec2_errors import InsufficientVolumeCapacity, InvalidVolumeNotFound
from euca_box.model.errors import EucaError, IncorrectState, Unavailable
from euca_box.model.snapshot_manifests import ManifestError
from euca_box.observe.failpoints import fp
from euca_box.roles.sc import keys, sending
from euca_box.store.store import Statement

if TYPE_CHECKING:
    from euca_box.roles.sc.role import Sc
    from euca_box.roles.sc.volumes import Kept

log = logging.getLogger(__name__)

GIB = 1024**3
RETRY_SECONDS = 2.0
LOOK_SECONDS = 0.1
COPIED_PERCENT = 30  # the rest is sending
MOVING = ("copying", "sending", "deleting")


@dataclass(frozen=True)
class Taken:
    """A snapshot here. `since`: the one whose chunks it builds on, when the copy has changes only."""

    snapshot_id: str
    volume_id: str
    size_gib: int
    state: Literal["taking", "copying", "sending", "stored", "failed", "deleting"]
    deadline: float
    since: str = ""
    since_manifest: str = ""
    changes: bool = False
    percent: int = 0
    reason: str = ""
    sealed_key: str = field(default="", repr=False)  # of an encrypted one, until it is stored


async def create_snapshot(sc: "Sc", call: Call, op: messages.ScCreateSnapshot) -> messages.TakenSnapshot:
    if op.snapshot_id in sc.tombstones:
        raise IncorrectState(f"{op.snapshot_id} was deleted.")
    async with sc.lock(op.volume_id):
        taken = sc.snapshots.get(op.snapshot_id)
        if taken is None:
            taken = await _begin(sc, op)
        if taken.state == "taking":
            await _take(sc, taken)
    sc.bell.ring()
    with trio.move_on_after(op.wait_seconds):
        while (now := sc.snapshots.get(op.snapshot_id)) is not None and now.state in ("copying", "sending"):
            await sc.news.wait()
    if (now := sc.snapshots.get(op.snapshot_id)) is None:
        raise IncorrectState(f"{op.snapshot_id} was deleted.")
    return messages.TakenSnapshot(now.snapshot_id, now.state, sc.progress.get(now.snapshot_id, 0), now.reason)


async def delete_snapshot(sc: "Sc", call: Call, op: messages.ScDeleteSnapshot) -> Done:
    tombstone = Statement(
        "INSERT INTO tombstone (id, at) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", (op.snapshot_id, sc.now())
    )
    sc.tombstones.add(op.snapshot_id)
    taken = sc.snapshots.get(op.snapshot_id)
    if taken is None:
        await sc.store.write(tombstone)
        return Done()
    async with sc.lock(taken.volume_id):
        if (taken := sc.snapshots.get(op.snapshot_id)) is not None:
            await sc.keep_snapshot(replace(taken, state="deleting"), tombstone)
    fp("sc.snapshot.after-tombstone")
    if (scope := sc.scopes.get(op.snapshot_id)) is not None:
        scope.cancel()
    sc.bell.ring()
    while op.snapshot_id in sc.snapshots:
        await sc.news.wait()
    return Done()


async def work_on(sc: "Sc", snapshot_id: str) -> None:
    """From the copy to Walrus, or to nothing; a crash of this process is a pause."""
    try:
        while (taken := sc.snapshots.get(snapshot_id)) is not None and taken.state in MOVING:
            if taken.state == "deleting":
                await _try(sc, taken)
                continue
            with trio.CancelScope() as scope:
                sc.scopes[snapshot_id] = scope
                await _try(sc, taken)
            sc.scopes.pop(snapshot_id, None)
    finally:
        sc.working.discard(snapshot_id)
        sc.progress.pop(snapshot_id, None)
        sc.scopes.pop(snapshot_id, None)
        sc.bell.ring()  # it may have been wished away while it was finished


async def _begin(sc: "Sc", op: messages.ScCreateSnapshot) -> Taken:
    """Commit the wish. Raises InvalidVolumeNotFound, IncorrectState, InsufficientVolumeCapacity."""
    kept = sc.volumes.get(op.volume_id)
    if kept is None or kept.state == "deleting":
        raise InvalidVolumeNotFound(op.volume_id)
    if kept.state != "ready":
        raise IncorrectState(f"{op.volume_id} is not ready: {kept.reason or kept.state}")
    await _check_room(sc, op.volume_id)
    since, manifest = await _base(sc, kept, op.snapshot_id)
    deadline = sc.now() + sc.settings.send_seconds
    taken = Taken(op.snapshot_id, op.volume_id, kept.size_gib, "taking", deadline, since, manifest)
    taken = replace(taken, sealed_key=keys.for_snapshot(sc, kept, op.snapshot_id))
    await sc.keep_snapshot(taken)
    fp("sc.snapshot.after-commit")
    return taken


async def _take(sc: "Sc", taken: Taken) -> None:
    """The moment itself. Raises InvalidVolumeNotFound, Unavailable; then there is no snapshot."""
    try:
        changes = await sc.engine.begin_copy(taken.volume_id, taken.snapshot_id, taken.since or None)
    except EngineError as error:
        log.warning("%s is not taken: %s", taken.snapshot_id, error)
        await sc.engine.drop_copy(taken.volume_id, taken.snapshot_id)
        await sc.forget_snapshot(taken.snapshot_id)
        if isinstance(error, NoSpace):
            raise InsufficientVolumeCapacity("The disk of the storage controller is full.") from error
        raise Unavailable(f"{taken.volume_id} cannot be copied now.") from error
    fp("sc.snapshot.after-engine")
    await sc.keep_snapshot(replace(taken, state="copying", changes=changes))
    fp("sc.snapshot.after-taken")


async def _base(sc: "Sc", kept: "Kept", snapshot_id: str) -> tuple[str, str]:
    """The snapshot to build on, and the SHA-256 of its manifest; empty where there is none. Its chunks are
    kept for the new one from now on, whoever deletes it."""
    if not kept.last_snapshot or sending.known_manifest(sc, kept.last_snapshot, kept.last_manifest) is None:
        return "", ""
    try:
        fork = ForkSnapshot(snapshot_id, kept.last_snapshot)
        await sc.bus.ask("walrus", fork, system_call(f"snapshot-{snapshot_id}"))
    except EucaError as error:
        log.info("%s is copied whole: %s", snapshot_id, error.message)
        return "", ""
    return kept.last_snapshot, kept.last_manifest


async def _try(sc: "Sc", taken: Taken) -> None:
    """One step; sending is tried again until its deadline."""
    try:
        if taken.state == "deleting":
            await sc.engine.drop_copy(taken.volume_id, taken.snapshot_id)
            fp("sc.snapshot.after-drop")
            await sc.forget_snapshot(taken.snapshot_id)
        elif taken.state == "copying":
            await _copy(sc, taken)
        else:
            await _send(sc, taken)
        return
    except (ManifestError, IncorrectState) as error:
        why, hopeless = str(error), True
    except (EngineError, TransferError, OSError) as error:
        why, hopeless = str(error), False
    except EucaError as error:
        why, hopeless = error.message, False
    except Exception:
        log.exception("%s: a step failed", taken.snapshot_id)
        why, hopeless = "an internal error", False
    log.warning("%s: %s", taken.snapshot_id, why)
    if taken.state == "sending" and (hopeless or sc.now() > taken.deadline):
        await _fail(sc, taken, why)
    else:
        await trio.sleep(RETRY_SECONDS)


async def _copy(sc: "Sc", taken: Taken) -> None:
    """Wait until the copy is whole."""
    while True:
        found = await sc.engine.copy_progress(taken.volume_id, taken.snapshot_id)
        if found.state in ("absent", "failed"):
            await _fail(sc, taken, found.reason)
            return
        sc.progress[taken.snapshot_id] = COPIED_PERCENT * found.percent // 100
        if found.state == "copied":
            await _move(sc, replace(taken, state="sending"))
            fp("sc.snapshot.after-copied")
            return
        await trio.sleep(LOOK_SECONDS)


async def _send(sc: "Sc", taken: Taken) -> None:
    stored = await sending.send(sc, taken)
    fp("sc.snapshot.after-send")
    async with sc.lock(taken.volume_id):
        if (kept := sc.volumes.get(taken.volume_id)) is not None and kept.state == "ready":
            await sc.mark(taken.volume_id, last_snapshot=taken.snapshot_id, last_manifest=stored.manifest)
        await _move(sc, replace(taken, state="stored", sealed_key=""))
        fp("sc.snapshot.after-stored")
        sending.forget_manifests(sc)
        await sc.engine.drop_copy(taken.volume_id, taken.snapshot_id)
    log.info("%s is stored", taken.snapshot_id)


async def _fail(sc: "Sc", taken: Taken, reason: str) -> None:
    log.warning("%s failed: %s", taken.snapshot_id, reason)
    await _move(sc, replace(taken, state="failed", reason=reason))
    await sc.engine.drop_copy(taken.volume_id, taken.snapshot_id)


async def _move(sc: "Sc", taken: Taken) -> None:
    """Unless it was wished away meanwhile."""
    now = sc.snapshots.get(taken.snapshot_id)
    if now is not None and now.state != "deleting":
        await sc.keep_snapshot(taken)


async def _check_room(sc: "Sc", volume_id: str) -> None:
    free = await sc.engine.free_bytes() - sc.settings.reserved_disk_gib * GIB
    needed = await sc.engine.used_bytes(volume_id)
    if free < needed:
        raise InsufficientVolumeCapacity(
            f"A snapshot of {volume_id} needs {needed >> 20} MiB for a while; {max(free, 0) >> 20} are free."
        )
