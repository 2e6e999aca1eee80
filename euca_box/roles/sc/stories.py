"""What the storage controller knows of a volume or a snapshot."""

from typing import TYPE_CHECKING

from euca_box.model.stories import Standing, Story

if TYPE_CHECKING:
    from euca_box.roles.sc.role import Sc
    from euca_box.roles.sc.snapshots import Taken
    from euca_box.roles.sc.volumes import Kept

GIB = 1 << 30


async def tell(sc: "Sc", thing: str) -> Story:
    found = []
    if (kept := sc.volumes.get(thing)) is not None:
        found.append(await _volume(sc, kept))
    elif (taken := sc.snapshots.get(thing)) is not None:
        found.append(_snapshot(sc, taken))
    elif thing in sc.tombstones:
        found.append(Standing(sc.address, f"{thing} was deleted here"))
    return Story(standings=tuple(found))


async def _volume(sc: "Sc", kept: "Kept") -> Standing:
    text = f"{kept.volume_id} is {kept.state}"
    text += f": {kept.reason}" if kept.reason else ""
    text += f"; attachment {kept.generation} has it" if kept.exported else ""
    if kept.state == "making":
        percent = sc.progress.get(kept.volume_id, 0)
        room = await sc.engine.free_bytes() // GIB
        what = f"its bytes, {percent} % are there; {room} GiB are free"
        return Standing(sc.address, text, what, kept.deadline)
    if kept.filling:
        percent, why = sc.progress.get(kept.volume_id, 0), sc.fill_problems.get(kept.volume_id, "")
        what = f"the rest of the bytes of {kept.snapshot_id}, {percent} % are there" + (
            f": {why}" if why else ""
        )
        return Standing(sc.address, text, what, see=(kept.snapshot_id,))
    return Standing(sc.address, text)


def _snapshot(sc: "Sc", taken: "Taken") -> Standing:
    text = f"{taken.snapshot_id} of {taken.volume_id} is {taken.state}"
    text += f": {taken.reason}" if taken.reason else ""
    if taken.state not in ("copying", "sending", "taking"):
        return Standing(sc.address, text)
    percent = sc.progress.get(taken.snapshot_id, 0)
    to = "Walrus to take it" if taken.state == "sending" else "the copy"
    return Standing(sc.address, text, f"{to}, {percent} % are done", taken.deadline)
