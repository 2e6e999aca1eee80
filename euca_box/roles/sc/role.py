"""The Storage Controller of a zone: its volumes and snapshots, and who may write to them.

Rows say what shall be; the engine says what is. A task for each volume or snapshot that is on its way makes
them agree. What a guest writes to does not pass through this process: storage daemons outlive it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

import trio

from euca_box.auth.secrets import Sealer
from euca_box.blockstore.chunk_cache import ChunkCache
from euca_box.blockstore.chunks import Courier
from euca_box.blockstore.engine import BlockEngine
from euca_box.bus.bus import Bus, Desk, Operations
from euca_box.bus.memory import MemoryTransport
from euca_box.bus.results import StoredResults
from euca_box.messages import base, sc
from euca_box.roles.sc import exports, loops, scrubbing, snapshots, volumes
from euca_box.roles.sc.snapshots import Taken
from euca_box.roles.sc.volumes import Kept
from euca_box.services import events
from euca_box.services.service import Service, operations_of
from euca_box.store.store import Statement, Store
from euca_box.tasks import Bell, supervise

T = TypeVar("T")
MIGRATIONS = Path(__file__).parent / "migrations"
FILLS = 4  # volumes of snapshots whose bytes are brought at once
THREADS = 16  # chunks that are read, packed, sent or fetched at once


@dataclass(frozen=True)
class ScSettings:
    zone: str
    host: str = ""
    address: str = ""  # at which other hosts find volumes
    max_volume_gib: int = 1024
    max_total_gib: int = 0
    reserved_disk_gib: int = 2
    make_seconds: float = 3600.0
    send_seconds: float = 24 * 3600.0
    cache_bytes: int = 0
    scrub_mib_per_second: float = 0.0
    scrub_days: float = 30.0


class Sc:
    def __init__(
        self,
        settings: ScSettings,
        store: Store,
        bus: Bus,
        engine: BlockEngine,
        courier: Courier,
        folder: Path,
        now: Callable[[], float],
        sealer: Sealer,
    ) -> None:
        self.settings = settings
        self.store = store
        self.bus = bus
        self.engine = engine
        self.courier = courier
        self.cache = ChunkCache(folder / "cache", settings.cache_bytes)
        self.manifests = folder / "manifests"  # of the newest snapshot of each volume
        self.now = now
        self.sealer = sealer  # for keys in rows
        self.results = StoredResults(store, now)
        self.volumes: dict[str, Kept] = {}
        self.snapshots: dict[str, Taken] = {}
        self.scopes: dict[str, trio.CancelScope] = {}  # of what is worked on and can be given up
        self.threads = trio.CapacityLimiter(THREADS)
        self.tombstones: set[str] = set()
        self.progress: dict[str, int] = {}  # of volumes that are filled, in percent
        self.fills = trio.CapacityLimiter(FILLS)
        self.fill_problems: dict[str, str] = {}  # why a volume is not filled now
        self.working: set[str] = set()  # volumes and snapshots that have a task
        self.short: set[str] = set()  # volumes whose files something else has cut
        self.kept_files: set[str] = set()  # volumes that nobody here knows: told once
        self.bell = Bell()
        self.news = trio.Event()
        self.creating = trio.Lock()
        self._locks: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()

    @property
    def address(self) -> str:
        return f"sc@{self.settings.zone}"

    def lock(self, volume_id: str) -> trio.Lock:
        """Held while who has the volume is changed, in the row and at the engine."""
        return self._locks.setdefault(volume_id, trio.Lock())

    async def load(self) -> None:
        await self.in_thread(self.cache.open)
        for row in await self.store.read("SELECT record FROM volume ORDER BY rowid"):
            kept = base.decode(row["record"], Kept)
            self.volumes[kept.volume_id] = kept
        for row in await self.store.read("SELECT record FROM snapshot ORDER BY rowid"):
            taken = base.decode(row["record"], Taken)
            self.snapshots[taken.snapshot_id] = taken
        self.tombstones = {row["id"] for row in await self.store.read("SELECT id FROM tombstone")}

    async def in_thread(self, call: Callable[[], T]) -> T:
        """What blocks: disks, hashing, the way to Walrus."""
        return await trio.to_thread.run_sync(call, limiter=self.threads)

    def changed(self) -> None:
        """Wake whoever waits for a volume or snapshot."""
        self.news.set()
        self.news = trio.Event()

    async def keep(self, kept: Kept, *more: Statement) -> Kept:
        await self.store.write(
            Statement(
                "INSERT INTO volume (id, record) VALUES (?, ?) "
                "ON CONFLICT (id) DO UPDATE SET record = excluded.record",
                (kept.volume_id, base.encode(kept)),
            ),
            *more,
        )
        self.volumes[kept.volume_id] = kept
        self.changed()
        return kept

    async def mark(self, volume_id: str, *more: Statement, **changes: object) -> Kept:
        return await self.keep(replace(self.volumes[volume_id], **changes), *more)  # type: ignore[arg-type]

    async def keep_snapshot(self, taken: Taken, *more: Statement) -> Taken:
        await self.store.write(
            Statement(
                "INSERT INTO snapshot (id, record) VALUES (?, ?) "
                "ON CONFLICT (id) DO UPDATE SET record = excluded.record",
                (taken.snapshot_id, base.encode(taken)),
            ),
            *more,
        )
        self.snapshots[taken.snapshot_id] = taken
        self.changed()
        return taken

    async def forget_snapshot(self, snapshot_id: str) -> None:
        await self.store.write(Statement("DELETE FROM snapshot WHERE id = ?", (snapshot_id,)))
        self.snapshots.pop(snapshot_id, None)
        self.changed()

    async def forget_tombstones(self, age_seconds: float) -> None:
        """Older ones; not of what is still to be removed."""
        needed = {*self.volumes, *self.snapshots, *await self.engine.volumes(), *await self.engine.copies()}
        rows = await self.store.read("SELECT id FROM tombstone WHERE at < ?", self.now() - age_seconds)
        old = [row["id"] for row in rows if row["id"] not in needed]
        await self.store.write(*(Statement("DELETE FROM tombstone WHERE id = ?", (each,)) for each in old))
        self.tombstones -= {*old}

    async def forget(self, volume_id: str) -> None:
        await self.store.write(Statement("DELETE FROM volume WHERE id = ?", (volume_id,)))
        self.volumes.pop(volume_id, None)
        self.changed()


async def run(
    role: Sc,
    transport: MemoryTransport,
    service: Service | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer and loop until cancelled; exports go on."""
    await role.load()
    desk = Desk(role, {**OPERATIONS, **operations_of(service)}, role.results, note=events.note)
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.serve, role.address, desk)
        for name, loop in loops.LOOPS.items():
            nursery.start_soon(supervise, f"sc {name}", partial(loop, role))
        task_status.started()


OPERATIONS: Operations = {
    sc.ScDescribeStorage: volumes.describe_storage,
    sc.ScCreateVolume: volumes.create_volume,
    sc.ScDeleteVolume: volumes.delete_volume,
    sc.ScGrowVolume: volumes.grow_volume,
    sc.ScDescribeVolumes: volumes.describe_volumes,
    sc.ScCreateSnapshot: snapshots.create_snapshot,
    sc.ScDeleteSnapshot: snapshots.delete_snapshot,
    sc.ScExportVolume: exports.export_volume,
    sc.ScUnexportVolume: exports.unexport_volume,
    sc.ScGetScrub: scrubbing.get_scrub,
    sc.ScBeginScrub: scrubbing.begin_scrub,
}
