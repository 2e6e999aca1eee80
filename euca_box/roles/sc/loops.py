"""What the SC does by itself: finishes volumes that are on their way, keeps exports up, and clears up."""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from euca_box.blockstore.engine import EngineError
from euca_box.roles.sc import exports, scrubbing, snapshots, volumes

if TYPE_CHECKING:
    from euca_box.roles.sc.role import Sc

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
EXPORT_SECONDS = 1.0  # a guest whose storage daemon died stands still for about that long
SWEEP_SECONDS = 60.0
TOMBSTONE_SECONDS = 90 * 86400.0  # no message is as old; the clc never uses an id again


async def work(sc: "Sc") -> None:
    """Every volume that is made, filled or deleted, and every snapshot that is sent, has a task."""
    async with trio.open_nursery() as tasks:
        while True:
            for volume_id, kept in list(sc.volumes.items()):
                if kept.is_moving and volume_id not in sc.working:
                    sc.working.add(volume_id)
                    tasks.start_soon(volumes.work_on, sc, volume_id)
            for snapshot_id, taken in list(sc.snapshots.items()):
                if taken.state in snapshots.MOVING and snapshot_id not in sc.working:
                    sc.working.add(snapshot_id)
                    tasks.start_soon(snapshots.work_on, sc, snapshot_id)
            await sc.bell.wait(LOOK_SECONDS)


async def keep_exports(sc: "Sc") -> None:
    while True:
        try:
            await exports.settle(sc)
        except EngineError as error:
            log.warning("exports could not be looked after: %s", error)
        await trio.sleep(EXPORT_SECONDS)


async def sweep(sc: "Sc") -> None:
    """Rows without a volume are told; volumes of nobody go when they were deleted here, else they are kept:
    the database may be the older one."""
    while True:
        try:
            await _sweep(sc)
        except (EngineError, OSError) as error:
            log.warning("what nobody owns could not be removed: %s", error)
        await sc.results.forget_old()
        await sc.forget_tombstones(TOMBSTONE_SECONDS)
        await trio.sleep(SWEEP_SECONDS)


async def _sweep(sc: "Sc") -> None:
    for copy_id in await sc.engine.copies():
        taken = sc.snapshots.get(copy_id)
        if taken is None or taken.state in ("stored", "failed"):  # a crash came before it was dropped
            await sc.engine.drop_copy(taken.volume_id if taken else "", copy_id)
            log.warning("the copy %s is of no more use; removed", copy_id)
    there = await sc.engine.volumes()
    for volume_id in there.keys() - sc.volumes.keys():
        if volume_id in sc.tombstones:
            await sc.engine.delete(volume_id)
            log.warning("%s was deleted here and had bytes still; removed", volume_id)
        elif volume_id not in sc.kept_files:
            sc.kept_files.add(volume_id)
            log.warning("nobody here knows the volume %s; its bytes are kept", volume_id)
    short = {i for i, k in sc.volumes.items() if k.state == "ready" and there.get(i, 0) < k.made_gib << 30}
    for volume_id in short - sc.short:
        log.error("%s: %s", volume_id, exports.SHORT)
    sc.short = short
    for volume_id, kept in list(sc.volumes.items()):
        if kept.state == "ready" and volume_id not in there:
            async with sc.lock(volume_id):
                if sc.volumes[volume_id].state == "ready":
                    log.error("the bytes of %s are gone", volume_id)
                    await sc.mark(volume_id, state="failed", reason="its bytes are gone", exported=False)


LOOPS: dict[str, Callable[["Sc"], Awaitable[None]]] = {
    "work": work,
    "keep exports": keep_exports,
    "sweep": sweep,
    "scrub": scrubbing.scrub,
}
