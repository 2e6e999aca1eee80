"""The Cluster Controller of one availability zone: places instances on nodes, gives them addresses.

It remembers where each instance went (rows) and what the nodes last said (memory).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from weakref import WeakValueDictionary

import trio

from euca_box.bus.bus import Bus, Desk, Operations
from euca_box.bus.memory import MemoryTransport
from euca_box.bus.results import StoredResults
from euca_box.messages import base, cc
from euca_box.messages.instance_spec import GroupRules, InstanceSpec, Placement
from euca_box.model.placement import policy_named
from euca_box.net.power import HostPower, Power
from euca_box.roles.cc import (
    elastic,
    groups,
    imaging,
    instances,
    leftovers,
    loops,
    nodes,
    prefetch,
    resources,
    stops,
    traces,
)
from euca_box.roles.cc.nodes import NodeView
from euca_box.roles.cc.private_pool import PrivatePool
from euca_box.roles.cc.remotes import Remotes
from euca_box.services import events
from euca_box.services.service import Service, operations_of
from euca_box.store.store import Statement, Store
from euca_box.tasks import Bell, supervise

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True)
class CcSettings:
    zone: str
    nodes: tuple[str, ...]  # that belong to it in any case: nc@HOST
    subnet: IPv4Network
    gateway: str
    public_addresses: tuple[str, ...]
    cpu_overcommit: float = 16.0
    memory_overcommit: float = 1.0
    disk_overcommit: float = 1.0
    scheduler: str = "GREEDY"
    power_idle_seconds: float = 300.0
    power_wake_seconds: float = 300.0
    poll_seconds: float = 6.0
    cooling_seconds: float = 60.0
    network_mode: str = "EDGE"
    addresses_per_network: int = 32  # of each group, in the MANAGED modes; a power of two
    mac_map: tuple[tuple[str, str], ...] = ()  # of mode STATIC: MAC and address
    reserved_addresses: int = 0  # of the public ones, that accounts cannot allocate


@dataclass(frozen=True)
class Placed:
    """An instance that this cluster has taken. `started`: its node has had it running once, so it is
    never run anew; `stopping`: it shall not run; `stopped`: it does not, its capacity is free; `ending`: it
    shall go; `gone_at`: nothing is left."""

    spec: InstanceSpec
    placement: Placement
    started: bool = False
    ending: bool = False
    gone_at: float | None = None
    stopping: bool = False
    stopped: bool = False
    force: bool = False
    unheard: bool = False  # placed on a node that slept, which was told nothing of it yet


class Cc:
    def __init__(
        self,
        settings: CcSettings,
        store: Store,
        bus: Bus,
        now: Callable[[], float],
        power: Power | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.bus = bus
        self.now = now
        self.power = power or HostPower()
        self.results = StoredResults(store, now)
        self.placed: dict[str, Placed] = {}
        self.tombstones: set[str] = set()
        self.nodes: dict[str, NodeView] = {}
        self.nodes_version = -1
        self.crew: trio.Nursery | None = None  # who attend to the nodes
        self.policy = policy_named(settings.scheduler)
        self.last_chosen = ""
        self.promised: dict[str, resources.Promised] = {}  # node -> what its instances take
        self.groups: tuple[GroupRules, ...] = ()
        self.groups_version = -1
        self.remotes = Remotes()
        self.elastic: dict[str, cc.ElasticAddress] = {}  # by allocation id
        self.elastic_version = -1
        # Grows when a report could differ. It begins above all that a process before this one told.
        self.first_version = self.version = int(now() * 1_000_000)
        self.changed_at: dict[str, int] = {}  # instance -> version; the last one changed last
        self.news = trio.Event()
        self.bell = Bell()  # for what no node attends to
        self.residents: dict[str, set[str]] = {}  # node -> instances that are not gone
        self.placing = trio.Lock()
        self.private_pool: PrivatePool | None = None  # None: to be read from the rows
        self._marking: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()

    @property
    def address(self) -> str:
        return f"cc@{self.settings.zone}"

    async def load(self) -> None:
        for row in await self.store.read("SELECT record FROM instance ORDER BY rowid"):
            placed = base.decode(row["record"], Placed)
            self._remember(placed)
        self.tombstones = {row["id"] for row in await self.store.read("SELECT id FROM tombstone")}
        await nodes.load(self)
        await groups.load(self)
        await elastic.load(self)

    def changed(self, *instance_ids: str) -> None:
        """Tell whoever holds a poll open."""
        self.version += 1
        for instance_id in instance_ids:
            self.changed_at.pop(instance_id, None)
            self.changed_at[instance_id] = self.version
        self.news.set()
        self.news = trio.Event()

    async def keep(self, placed: Placed, *more: Statement) -> None:
        try:
            await self.store.write(
                Statement(
                    "INSERT INTO instance (id, record) VALUES (?, ?) "
                    "ON CONFLICT (id) DO UPDATE SET record = excluded.record",
                    (placed.spec.instance_id, base.encode(placed)),
                ),
                *more,
            )
        except BaseException:
            self.private_pool = None  # who has which address, the rows know
            raise
        if placed.placement.private_ip and self.private_pool is not None:
            before = self.placed.get(placed.spec.instance_id)
            if before is None:
                self.private_pool.take(placed.placement.private_ip)
            elif before.gone_at is None and placed.gone_at is not None:
                rested_at = placed.gone_at + self.settings.cooling_seconds
                self.private_pool.release(placed.placement.private_ip, rested_at)
        self._remember(placed)
        self.changed(placed.spec.instance_id)

    def _remember(self, placed: Placed) -> None:
        """Take it in, and what it takes of its node."""
        before = self.placed.get(placed.spec.instance_id)
        self.placed[placed.spec.instance_id] = placed
        self.remotes.note(placed, self.now())
        for record, sign in ((before, -1), (placed, 1)):
            if record is not None and (promised := resources.promised_to(record)) is not None:
                node = record.placement.node
                self.promised[node] = self.promised.get(node, resources.NOTHING).plus(promised, sign)
        if before is not None:
            self.residents[before.placement.node].discard(before.spec.instance_id)
        here = self.residents.setdefault(placed.placement.node, set())
        if placed.gone_at is None:
            here.add(placed.spec.instance_id)

    def forget(self, instance_id: str) -> None:
        """Of one that has been gone for a while."""
        self.placed.pop(instance_id, None)
        self.changed_at.pop(instance_id, None)

    def ring(self, address: str) -> None:
        """There is something to do at a node, if it belongs to the zone; else somebody has to end that."""
        node = self.nodes.get(address)
        (node.errands if node is not None else self.bell).ring()

    def attend(self, node: NodeView) -> None:
        """Ask it and tell it, from now until its scope is cancelled."""
        assert self.crew is not None, "the role does not run"
        self.crew.start_soon(loops.attend, self, node)

    async def mark(self, instance_id: str, *more: Statement, **changes: object) -> None:
        """Change what is remembered of a placed instance; two changes at once are both kept."""
        lock = self._marking.setdefault(instance_id, trio.Lock())
        async with lock:
            await self.keep(replace(self.placed[instance_id], **changes), *more)  # type: ignore[arg-type]


async def run(
    role: Cc,
    transport: MemoryTransport,
    service: Service | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer and loop until cancelled."""
    await role.load()
    desk = Desk(role, {**OPERATIONS, **operations_of(service)}, role.results, note=events.note)
    async with trio.open_nursery() as nursery:
        role.crew = nursery
        await nursery.start(transport.serve, role.address, desk)
        for node in role.nodes.values():
            role.attend(node)
        for name, sweep in loops.LOOPS.items():
            nursery.start_soon(supervise, f"cc {name}", partial(sweep, role))
        task_status.started()


OPERATIONS: Operations = {
    cc.CcDescribeResources: resources.describe_resources,
    cc.CcSyncNodes: nodes.sync_nodes,
    cc.CcRunInstance: instances.run_instance,
    cc.CcTerminateInstance: instances.terminate_instance,
    cc.CcStopInstance: stops.stop_instance,
    cc.CcStartInstance: stops.start_instance,
    cc.CcModifyInstance: stops.modify_instance,
    cc.CcRebootInstance: instances.reboot_instance,
    cc.CcSetCredentials: instances.set_credentials,
    cc.CcHoldInstance: instances.hold_instance,
    cc.CcCreateImage: imaging.create_image,
    cc.CcBundleInstance: imaging.bundle_instance,
    cc.CcSendManifest: imaging.send_manifest,
    cc.CcCancelBundleTask: imaging.cancel_bundle_task,
    cc.CcGetConsoleOutput: instances.get_console_output,
    cc.CcGetUsage: instances.get_usage,
    cc.CcListUsage: instances.list_usage,
    cc.CcGetConsoleScreenshot: instances.get_console_screenshot,
    cc.CcDescribeInstances: instances.describe_instances,
    cc.CcCacheImages: prefetch.cache_images,
    cc.CcDescribeLeftovers: leftovers.describe_leftovers,
    cc.CcConfigureGroups: groups.configure_groups,
    cc.CcAllocateAddress: elastic.allocate_address,
    cc.CcAssignAddresses: elastic.assign_addresses,
    cc.CcTraceNetwork: traces.trace_network,
}
