"""Instances that were started on another node: nothing of them stays, and no late message brings them back.

A tombstone says up to which start an instance may not run here. One that ended never does; one that moved
away may come back with a later start.
"""

import logging
import math
from typing import TYPE_CHECKING

from euca_box.messages.base import Call, Done
from euca_box.messages.nc import NcReleaseInstance
from euca_box.model.instances import MOVED
from euca_box.observe.failpoints import fp
from euca_box.store.store import Statement

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc

log = logging.getLogger(__name__)


async def release_instance(nc: "Nc", call: Call, op: NcReleaseInstance) -> Done:
    """Commit that it shall go; its task does the rest. An older start than the one here is ignored."""
    resident, before = nc.residents.get(op.instance_id), op.starts - 1
    if resident is not None and resident.spec.starts > before:
        return Done()
    if resident is None or resident.ending:
        await nc.store.write(tombstone(nc, op.instance_id, before))
    else:
        log.warning("%s was started on another node; what is here of it ends", op.instance_id)
        stone = tombstone(nc, op.instance_id, before)
        await nc.mark(op.instance_id, stone, ending=True, reason=MOVED, moved=before)
    fp("nc.release.after-commit")
    bury(nc, op.instance_id, before)
    nc.ring(op.instance_id)
    return Done()


def tombstone(nc: "Nc", instance_id: str, starts: int | None = None) -> Statement:
    """The row; None: it ended. Nothing undoes an end, and no start makes an older one good again."""
    if starts is None:
        return Statement(
            "INSERT INTO tombstone (id, at) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET starts = NULL",
            (instance_id, nc.now()),
        )
    return Statement(
        "INSERT INTO tombstone (id, at, starts) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE "
        "SET starts = excluded.starts WHERE tombstone.starts < excluded.starts",
        (instance_id, nc.now(), starts),
    )


def bury(nc: "Nc", instance_id: str, starts: int | None = None) -> None:
    """What the row says, in memory."""
    until = math.inf if starts is None else starts
    nc.tombstones[instance_id] = max(until, nc.tombstones.get(instance_id, -1))
