"""What the storage controller finds wrong with its disk and its volumes."""

from typing import TYPE_CHECKING

from euca_box.model.findings import Finding, fail, ok, warn

if TYPE_CHECKING:
    from euca_box.roles.sc.role import Sc

GIB = 1 << 30


async def examine(sc: "Sc") -> list[Finding]:
    free = await sc.engine.free_bytes()
    reserved = sc.settings.reserved_disk_gib * GIB
    text = f"{free / GIB:.1f} GiB are free for volumes"
    advice = "Delete volumes and snapshots, or give the data directory a larger disk."
    found = [ok("volumes", text) if free > 2 * reserved else warn("volumes", text, advice)]
    if free <= reserved:
        found = [fail("volumes", f"{text}: no volume or snapshot is made any more", advice)]
    found += [
        warn("volumes", f"{volume} is not filled: {why}", f"euca-box why {volume}")
        for volume, why in sc.fill_problems.items()
    ]
    failed = [k.volume_id for k in sc.volumes.values() if k.state == "failed"]
    if failed:
        found.append(
            warn("volumes", f"{', '.join(failed[:5])} could not be made", f"euca-box why {failed[0]}")
        )
    return found
