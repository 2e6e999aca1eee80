"""Rounds over all volumes: their bytes are read, a little each time. What cannot be read stands in the row
and in the volume's status, until it can be read again (what is written anew often can).
"""

import json
import logging
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from euca_box.blockstore.engine import EngineError, NoSuchVolume
from euca_box.messages import sc as messages
from euca_box.messages.base import Call, Done
from euca_box.roles.sc import exports
from euca_box.store.store import insert, one
from euca_box.tasks import every

if TYPE_CHECKING:
    from euca_box.roles.sc.role import Sc
    from euca_box.roles.sc.volumes import Kept

log = logging.getLogger(__name__)

STEP_SECONDS = 5.0
MIB = 1 << 20
MOST_PLACES = 100  # of one volume that are remembered


@dataclass(frozen=True)
class Round:
    """`volume_id` is read from `offset` on next; volumes go in the order of their ids."""

    started_at: float = 0.0
    is_done: bool = True
    checked_bytes: int = 0
    volume_id: str = ""
    offset: int = 0


async def scrub(sc: "Sc") -> None:
    async def step() -> None:
        settings, now = sc.settings, await _round(sc)
        if settings.scrub_mib_per_second <= 0:
            return
        if now.is_done and sc.now() - now.started_at < settings.scrub_days * 86400:
            return
        if now.is_done:
            now = Round(sc.now(), is_done=False)
        await _keep(sc, await _go_on(sc, now, int(settings.scrub_mib_per_second * STEP_SECONDS * MIB)))

    await every(STEP_SECONDS, step)


async def begin_scrub(sc: "Sc", call: Call, op: messages.ScBeginScrub) -> Done:
    if (await _round(sc)).is_done:
        await _keep(sc, Round(sc.now(), is_done=False))
    return Done()


async def get_scrub(sc: "Sc", call: Call, op: messages.ScGetScrub) -> messages.ScScrubReport:
    now = await _round(sc)
    damaged = tuple(
        messages.DamagedPlace(kept.volume_id, offset, length)
        for kept in sc.volumes.values()
        for offset, length in kept.unreadable
    )
    return messages.ScScrubReport(now.started_at, now.is_done, now.checked_bytes, len(sc.volumes), damaged)


def problem_of(sc: "Sc", kept: "Kept") -> str:
    """Of what the disk has of it, in words."""
    if kept.volume_id in sc.short:
        return exports.SHORT
    if not kept.unreadable:
        return ""
    offset, length = kept.unreadable[0]
    more = f", and {len(kept.unreadable) - 1} more places" if len(kept.unreadable) > 1 else ""
    return f"the disk cannot read {length} bytes of it from byte {offset} on{more}"


async def _go_on(sc: "Sc", now: Round, budget_bytes: int) -> Round:
    while budget_bytes > 0:
        kept = _current(sc, now)
        if kept is None:
            log.info("all volumes were read: %d MiB", now.checked_bytes >> 20)
            return replace(now, is_done=True, volume_id="", offset=0)
        offset = now.offset if kept.volume_id == now.volume_id else 0
        try:
            found = await sc.engine.check(kept.volume_id, offset, budget_bytes)
        except NoSuchVolume:
            now = replace(now, volume_id=_after(kept.volume_id), offset=0)
            continue
        except EngineError as error:
            log.warning("%s was not checked: %s", kept.volume_id, error)
            return replace(now, volume_id=_after(kept.volume_id), offset=0)
        await _take(sc, kept.volume_id, offset, found.next, found.unreadable)
        budget_bytes -= found.read_bytes
        now = replace(
            now,
            checked_bytes=now.checked_bytes + found.read_bytes,
            volume_id=kept.volume_id if found.next is not None else _after(kept.volume_id),
            offset=found.next or 0,
        )
    return now


async def _take(
    sc: "Sc", volume_id: str, start: int, end: int | None, bad: tuple[tuple[int, int], ...]
) -> None:
    """What was found between start and end is what there is to say of it."""
    kept = sc.volumes.get(volume_id)
    if kept is None:
        return
    others = [p for p in kept.unreadable if p[0] < start or (end is not None and p[0] >= end)]
    places = tuple(sorted((*others, *bad)))[:MOST_PLACES]
    if places != kept.unreadable:
        kept = await sc.mark(volume_id, unreadable=places)
        log.error("%s: %s", volume_id, problem_of(sc, kept) or "all of it can be read again")


def _current(sc: "Sc", now: Round) -> "Kept | None":
    """The first volume from that of the round on."""
    left = [k for k in sc.volumes.values() if k.state == "ready" and k.volume_id >= now.volume_id]
    return min(left, key=lambda kept: kept.volume_id, default=None)


def _after(volume_id: str) -> str:
    """No id is between the two."""
    return volume_id + "\0"


async def _round(sc: "Sc") -> Round:
    row = one(await sc.store.read("SELECT value FROM meta WHERE name = 'scrub'"))
    return Round() if row is None else Round(**json.loads(row["value"]))


async def _keep(sc: "Sc", now: Round) -> None:
    values = {"name": "scrub", "value": json.dumps(asdict(now))}
    await sc.store.write(insert("meta", values, or_replace=True))
