"""The Node Controller of one host: runs instances, and tells what runs. It decides nothing.

Rows say what shall run here; the hypervisor says what does. A task for each instance makes them agree.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from weakref import WeakValueDictionary

import trio

from euca_box.blockstore.relay import Relay
from euca_box.bus.bus import Bus, Desk, Operations
from euca_box.bus.memory import MemoryTransport
from euca_box.bus.results import StoredResults
from euca_box.kvm.hypervisor import Hypervisor
from euca_box.messages import base, nc
from euca_box.messages.base import system_call
from euca_box.messages.cc import Sample
from euca_box.messages.instance_spec import GroupRules, InstanceSpec, Placement
from euca_box.messages.walrus import GetDecryptedImage, GetImageUrl
from euca_box.model.images import ImageData
from euca_box.model.instance_names import InstanceNames
from euca_box.model.instances import Reason
from euca_box.model.metadata import RoleCredentials
from euca_box.model.volumes import VolumeReport, VolumeWish
from euca_box.net.network import Network, RemotePort, SecurityGroup
from euca_box.roles.nc import (
    addresses,
    bundling,
    groups,
    holding,
    imaging,
    instances,
    leftovers,
    loops,
    metadata,
    moves,
    networks,
    power,
    prefetch,
    resources,
    stops,
    traces,
    usage,
)
from euca_box.roles.nc.cache import ImageCache
from euca_box.roles.nc.workbench import Console, Workbench
from euca_box.services import events
from euca_box.services.service import Service, operations_of
from euca_box.store.store import Statement, Store
from euca_box.tasks import Bell, supervise

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True)
class NcSettings:
    host: str
    folder: Path  # instances and the image cache
    run_folder: Path  # sockets: a short path
    gateway: str
    subnet_cidr: str
    cache_bytes: int
    cores: int = 0  # 0: what the host has
    memory_mib: int = 0
    disk_gib: int = 0
    reboot_grace_seconds: float = 20.0
    stop_grace_seconds: float = 60.0
    reserved_memory_mib: int = 1024
    reserved_disk_gib: int = 2
    inject_keys: bool = False
    first_uid: int = 0  # of the users of guests; 0: all run as one
    network_mode: str = "EDGE"
    dns_domain: str = ""
    tunnel_address: str = ""  # on the network between the nodes
    wake_mac: str = ""  # of the interface that a magic packet wakes
    sleep_command: tuple[str, ...] = ()  # argv that sends the host to sleep; empty: it does not sleep


@dataclass(frozen=True)
class Resident:
    """An instance of this node. `started`: its domain was there once; `ending`: it shall go; `stopping`: it
    shall not run; `stopped`: it does not; `launched`: its guest has used its disk, which is kept."""

    spec: InstanceSpec
    placement: Placement
    started: bool = False
    ending: bool = False
    gone_at: float | None = None
    reason: Reason | None = None
    stopping: bool = False
    stopped: bool = False
    force: bool = False
    launched: bool = False
    keyed: bool = False  # its root disk reads from a copy of the image with the SSH key
    uid: int | None = None  # who its QEMU runs as; None: the one user of all
    moved: int | None = None  # the start by which it went to another node
    held: tuple[VolumeWish, ...] = ()  # volumes that it has, or that are being attached or let go of


class Nc:
    def __init__(
        self,
        settings: NcSettings,
        store: Store,
        bus: Bus,
        hypervisor: Hypervisor,
        network: Network,
        workbench: Workbench,
        now: Callable[[], float],
        relay: Relay | None = None,
    ) -> None:
        """`relay`: for volumes of other hosts."""
        self.settings = settings
        self.store = store
        self.bus = bus
        self.hypervisor = hypervisor
        self.network = network
        self.workbench = workbench
        self.now = now
        self.relay = relay
        self.results = StoredResults(store, now)
        self.cache = ImageCache(
            settings.folder / "cache",
            settings.cache_bytes,
            self._fetch,
            self._digest,
            self._images_in_use,
        )
        self.residents: dict[str, Resident] = {}
        self.tombstones: dict[
            str, float
        ] = {}  # up to which start it may not run here; for ever, of one that ended
        self.running: set[str] = set()  # names of the domains that the hypervisor last told
        self.seen_running: set[str] = set()  # by this process: the end of others was not theirs
        self.ends: dict[str, str] = {}  # how domains ended, by the hypervisor's events: stopped, crashed
        self.health: dict[str, str] = {}  # what is wrong with guests that run, in words
        self.volume_reports: dict[str, dict[str, VolumeReport]] = {}  # instance -> volume -> how it is
        # (instance, volume) -> since when, and when the guest was last asked to let go of it
        self.detaching: dict[tuple[str, str], tuple[float, float]] = {}
        self.holds: dict[str, float] = {}  # guests that are made to stand still -> until when
        self.look_bell = Bell()  # a guest stands still: how are they?
        self.steps: dict[str, str] = {}  # what a starting instance is waiting for
        self.bells: dict[str, Bell] = {}
        self.imaging: dict[str, imaging.Task] = {}
        self.imaging_limiter = trio.CapacityLimiter(imaging.AT_ONCE)
        self.consoles: dict[str, Console] = {}
        self.credentials: dict[str, RoleCredentials] = {}  # instance id -> what its metadata tells
        self.samples: dict[str, deque[Sample]] = {}
        self.last_samples: dict[str, deque[Sample]] = {}  # two of each guest that runs
        self.prefetching: dict[str, str] = {}  # SHA-256: nothing while it comes, or why it failed
        self.kept_disks: set[str] = set()  # of instances that nobody here knows: told once
        self.groups_version = -1
        self.network_version = -1
        self.remotes: dict[str, RemotePort] = {}  # instances on other nodes, by their ids
        self.network_groups: dict[
            str, tuple[GroupRules, SecurityGroup]
        ] = {}  # as told, and as the network has it
        self.names = InstanceNames(settings.dns_domain)
        self.site_addresses: dict[str, str] = {}  # that the site gave and guests used
        self.wishing = trio.Lock()  # two wishes at once: the newer one stands
        self.version = 0
        self.news = trio.Event()
        self.new_resident = Bell()
        self.settling = trio.Lock()  # of public addresses
        self.tasks: trio.Nursery | None = None
        self._marking: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()

    @property
    def address(self) -> str:
        return f"nc@{self.settings.host}"

    def sc_of(self, spec: InstanceSpec) -> str:
        """The storage controller of the zone."""
        return f"sc@{spec.zone}"

    def folder_of(self, instance_id: str) -> Path:
        return self.settings.folder / "instances" / instance_id

    def sockets_of(self, instance_id: str) -> Path:
        return self.settings.run_folder / instance_id

    async def load(self) -> None:
        """Rows, then the network and what runs: guests of an earlier process are adopted as they are."""
        for row in await self.store.read("SELECT record FROM instance ORDER BY rowid"):
            resident = base.decode(row["record"], Resident)
            self.residents[resident.spec.instance_id] = resident
        for row in await self.store.read("SELECT id, starts FROM tombstone"):
            self.tombstones[row["id"]] = math.inf if row["starts"] is None else row["starts"]
        await self.hypervisor.capacity()  # the first time libvirt asks QEMU what it can, for seconds
        await self.network.prepare()
        await groups.load(self)

    def changed(self) -> None:
        self.version += 1
        self.news.set()
        self.news = trio.Event()

    def step(self, instance_id: str, words: str) -> None:
        self.steps[instance_id] = words
        self.changed()

    async def keep(self, resident: Resident, *more: Statement) -> None:
        await self.store.write(
            Statement(
                "INSERT INTO instance (id, record) VALUES (?, ?) "
                "ON CONFLICT (id) DO UPDATE SET record = excluded.record",
                (resident.spec.instance_id, base.encode(resident)),
            ),
            *more,
        )
        self.residents[resident.spec.instance_id] = resident
        self.changed()

    async def mark(self, instance_id: str, *more: Statement, **changes: object) -> None:
        """Change what is remembered of a resident; two changes at once are both kept."""
        lock = self._marking.setdefault(instance_id, trio.Lock())
        async with lock:
            await self.keep(replace(self.residents[instance_id], **changes), *more)  # type: ignore[arg-type]

    async def mark_ending(self, instance_id: str, reason: Reason, *more: Statement) -> None:
        """It shall go; the first reason stands."""
        first = self.residents[instance_id].reason or reason
        await self.mark(instance_id, *more, ending=True, reason=first)

    def ring(self, instance_id: str) -> None:
        if (bell := self.bells.get(instance_id)) is not None:
            bell.ring()

    async def _fetch(self, image: ImageData, target: Path) -> str:
        call = system_call("fetch")
        op: GetImageUrl | GetDecryptedImage = GetImageUrl(image.bucket, image.key, image.etag, image.ticket)
        if image.stored:
            op = GetDecryptedImage(image.stored, image.etag, image.ticket)
        source = await self.bus.ask("walrus", op, call)
        return await self.workbench.fetch(source, target, image.size_bytes)

    async def _digest(self, path: Path) -> str:
        return await self.workbench.digest(path)

    def _images_in_use(self) -> set[Path]:
        specs = [r.spec for r in self.residents.values() if r.gone_at is None]
        files = [data for spec in specs for data in (spec.image, spec.kernel, spec.ramdisk)]
        return {self.cache.path_of(data) for data in files if data is not None and data.sha256}


async def run(
    role: Nc,
    transport: MemoryTransport,
    service: Service | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer and loop until cancelled; the guests run on."""
    await role.load()
    desk = Desk(role, {**OPERATIONS, **operations_of(service)}, role.results, note=events.note)
    async with trio.open_nursery() as nursery:
        role.tasks = nursery
        role.cache.open(nursery)
        await nursery.start(transport.serve, role.address, desk)
        for name, loop in loops.LOOPS.items():
            nursery.start_soon(supervise, f"nc {name}", partial(loop, role))
        task_status.started()


OPERATIONS: Operations = {
    nc.NcRunInstance: instances.run_instance,
    nc.NcTerminateInstance: instances.terminate_instance,
    nc.NcReleaseInstance: moves.release_instance,
    nc.NcStopInstance: stops.stop_instance,
    nc.NcStartInstance: stops.start_instance,
    nc.NcRebootInstance: instances.reboot_instance,
    nc.NcSetCredentials: metadata.set_credentials,
    nc.NcHoldInstance: holding.hold_instance,
    nc.NcCreateImage: imaging.create_image,
    nc.NcBundleInstance: bundling.bundle_instance,
    nc.NcSendManifest: bundling.send_manifest,
    nc.NcCancelBundleTask: bundling.cancel_bundle_task,
    nc.NcGetConsoleOutput: instances.get_console_output,
    nc.NcGetConsoleScreenshot: instances.get_console_screenshot,
    nc.NcGetUsage: usage.get_usage,
    nc.NcListUsage: usage.list_usage,
    nc.NcCacheImages: prefetch.cache_images,
    nc.NcDescribeLeftovers: leftovers.describe_leftovers,
    nc.NcDescribeInstances: instances.describe_instances,
    nc.NcDescribeResource: resources.describe_resource,
    nc.NcPowerDown: power.power_down,
    nc.NcConfigureGroups: groups.configure_groups,
    nc.NcConfigureNetwork: networks.configure_network,
    nc.NcAssignAddress: addresses.assign_address,
    nc.NcDescribeMetadata: metadata.describe_metadata,
    nc.NcTraceNetwork: traces.trace_network,
}
