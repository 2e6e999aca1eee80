"""Snapshots on their way: each has a task until Walrus has it, or it is gone, or in error with a reason."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from euca_box.messages.base import system_call
from euca_box.messages.sc import ScCreateSnapshot, ScDeleteSnapshot
from euca_box.messages.snapshots import CopyStoredSnapshot, DeleteSnapshot
from euca_box.model.errors import ClientFault, EucaError
from euca_box.model.snapshots import SNAPSHOT, Snapshot, SnapshotEvent, SnapshotState
from euca_box.observe.failpoints import fp

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
RETRY_SECONDS = 2.0
WAIT_SECONDS = 1.0  # how long a question for progress is held open
MOVING = (SnapshotState.PENDING, SnapshotState.DELETING)


async def work_on_snapshots(clc: "Clc") -> None:
    async with trio.open_nursery() as tasks:
        while True:
            for snapshot in clc.snapshots.all():
                if snapshot.state in MOVING and snapshot.snapshot_id not in clc.busy:
                    clc.busy.add(snapshot.snapshot_id)
                    tasks.start_soon(_work_on, clc, snapshot.snapshot_id)
            await clc.snapshot_bell.wait(LOOK_SECONDS)


async def _work_on(clc: "Clc", snapshot_id: str) -> None:
    try:
        while (snapshot := clc.snapshots.find(snapshot_id)) is not None and snapshot.state in MOVING:
            await _try(clc, snapshot)
    finally:
        clc.busy.discard(snapshot_id)
        clc.snapshot_progress.pop(snapshot_id, None)


async def _try(clc: "Clc", snapshot: Snapshot) -> None:
    try:
        if snapshot.state is SnapshotState.DELETING:
            await _delete(clc, snapshot)
        elif snapshot.source_id:
            await _copy(clc, snapshot)
        else:
            await _follow(clc, snapshot)
        return
    except ClientFault as error:
        if snapshot.state is SnapshotState.PENDING:
            await _fail(clc, snapshot, error.message)
            return
        why = error.message
    except EucaError as error:
        why = error.message
    except Exception:
        log.exception("%s: a step failed", snapshot.snapshot_id)
        why = "an internal error"
    log.warning("%s: %s; tried again in %g s", snapshot.snapshot_id, why, RETRY_SECONDS)
    if snapshot.state is SnapshotState.PENDING and clc.now() > snapshot.deadline:
        await _fail(clc, snapshot, f"It was not stored in time: {why}")
    await trio.sleep(RETRY_SECONDS)


async def _follow(clc: "Clc", snapshot: Snapshot) -> None:
    """Ask how far it is; that has it taken, too, where a crash came before."""
    op = ScCreateSnapshot(snapshot.snapshot_id, snapshot.volume_id, WAIT_SECONDS)
    found = await clc.bus.ask(clc.sc_of(snapshot.zone), op, system_call(f"snapshot-{snapshot.snapshot_id}"))
    clc.snapshot_progress[snapshot.snapshot_id] = found.percent
    if found.state == "stored":
        await _move(clc, snapshot, SnapshotEvent.STORED)
        log.info("%s is completed", snapshot.snapshot_id)
    elif found.state == "failed":
        await _fail(clc, snapshot, found.reason)
    elif clc.now() > snapshot.deadline:
        await _fail(clc, snapshot, f"It was not stored in time: {found.percent} % was sent.")


async def _copy(clc: "Clc", snapshot: Snapshot) -> None:
    op = CopyStoredSnapshot(snapshot.snapshot_id, snapshot.source_id)
    await clc.bus.ask("walrus", op, system_call(f"snapshot-{snapshot.snapshot_id}"))
    fp("clc.snapshot.after-copy")
    await _move(clc, snapshot, SnapshotEvent.STORED)


async def _delete(clc: "Clc", snapshot: Snapshot) -> None:
    """The storage controller first: what it sends no more, Walrus need not keep."""
    call = system_call(f"snapshot-{snapshot.snapshot_id}")
    await clc.bus.ask(clc.sc_of(snapshot.zone), ScDeleteSnapshot(snapshot.snapshot_id), call)
    fp("clc.snapshot.after-sc-delete")
    await clc.bus.ask("walrus", DeleteSnapshot(snapshot.snapshot_id), call)
    fp("clc.snapshot.after-gone")
    await clc.snapshots.remove(snapshot.snapshot_id)
    log.info("%s is deleted", snapshot.snapshot_id)


async def _fail(clc: "Clc", snapshot: Snapshot, reason: str) -> None:
    log.warning("%s failed: %s", snapshot.snapshot_id, reason)
    await _move(clc, snapshot, SnapshotEvent.GIVEN_UP, reason)


async def _move(clc: "Clc", snapshot: Snapshot, event: SnapshotEvent, reason: str = "") -> None:
    def move(current: Snapshot) -> Snapshot | None:
        if not SNAPSHOT.takes(current.state, event):
            return None
        return replace(current, state=SNAPSHOT.after(current.state, event), reason=reason)

    await clc.snapshots.change(snapshot.snapshot_id, move)
