"""A whole cloud in memory: real roles, real rows, real messages; hypervisor, network and time are fakes.

    async with cloud(seed=1) as c:
        [instance] = await c.run_instances()
        await c.until(instance, "running")

`restart()` is a `kill -9`: every role is cancelled and built anew on what it had stored.
"""

import hashlib
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import trio

from euca_box.auth.keyring import Keyring
from euca_box.auth.notary import Notary
from euca_box.auth.secrets import Sealer
from euca_box.blockstore.chunks import DamagedChunk, TransferError
from euca_box.blockstore.engine import Connection, EngineError
from euca_box.blockstore.fake import FakeEngine
from euca_box.bus.bus import Bus, Desk
from euca_box.bus.memory import MemoryTransport
from euca_box.images.inject import InjectError
from euca_box.kvm.fake import FakeHypervisor
from euca_box.kvm.firmware import Firmware
from euca_box.messages import ec2_instances as ec2
from euca_box.messages import ec2_snapshots, ec2_volumes
from euca_box.messages.base import Call, Done, system_call
from euca_box.messages.walrus import GetImageUrl, ImageUrl, SyncPrincipals
from euca_box.model.accounts import LENDER, AccessKey, Principal
from euca_box.model.ec2_errors import InvalidVolumeNotFound
from euca_box.model.images import Image, ImageData, ImageType
from euca_box.model.instances import VmType
from euca_box.model.s3_errors import NoSuchKey
from euca_box.net.fake import FakeNetwork
from euca_box.net.network import NetworkSettings
from euca_box.objects.rows import ObjectFacts
from euca_box.objects.scrub import Round
from euca_box.roles.cc import role as cc_role
from euca_box.roles.clc import role as clc_role
from euca_box.roles.nc import role as nc_role
from euca_box.roles.sc import role as sc_role
from euca_box.roles.walrus import role as walrus_role
from euca_box.store.sync_store import SyncStore

ALICE = Principal("111111111111", "alice", "a" * 64, "alice")
MALLORY = Principal("222222222222", "mallory", "b" * 64, "mallory")

START = 1_770_000_000.0


class Killed(BaseException):
    """What a failpoint raises to end every role at once, past all `except Exception`: a kill -9."""


class FakeConsole:
    async def run(self, *, task_status=trio.TASK_STATUS_IGNORED):
        task_status.started()
        await trio.sleep_forever()


@dataclass
class FakeWorkbench:
    """Files that are only remembered. `broken` fails the next fetch with this error."""

    broken: Exception | None = None
    fetches: int = 0
    no_file_system: bool = False
    keys: list = field(default_factory=list)  # copies with a key
    firmware: Path | None = None  # for UEFI
    made: set = field(default_factory=set)
    extras: list = field(default_factory=list)  # empty disks: label and bytes
    slept: list = field(default_factory=list)  # commands that sent the host to sleep
    overlays: list = field(default_factory=list)  # instance ids, as often as a disk was made

    async def fetch(self, source, target, size_bytes):
        await trio.sleep(0.5)
        self.fetches += 1
        if self.broken is not None:
            error, self.broken = self.broken, None
            raise error
        target.write_bytes(source.etag.encode())
        return hashlib.sha256(source.etag.encode()).hexdigest()

    async def digest(self, path):
        await trio.lowlevel.checkpoint()
        return hashlib.sha256(path.read_bytes()).hexdigest()

    async def create_overlay(self, path, base, base_format, size_bytes, uid):
        assert base.exists()
        self.made.add(path.parent)
        self.overlays.append(path.parent.name)

    async def create_formatted(self, path, size_bytes, kind, label, uid):
        assert path.parent in self.made
        self.extras.append((label, size_bytes))

    async def copy_with_key(self, image, path, public_key, uid):
        await trio.lowlevel.checkpoint()
        if self.no_file_system:
            raise InjectError("no file system")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(public_key)
        self.keys.append(path)

    def uefi(self, variables, uid):
        return self.firmware and Firmware(self.firmware, variables)

    def qemu_user(self):
        return None

    def make_folder(self, path):
        pass

    def make_qemu_folder(self, path, uid):
        pass

    def write_private(self, path, data):
        self.made.add(path.parent)

    async def remove(self, path):
        await trio.lowlevel.checkpoint()
        self.made.discard(path)

    def folders(self, path):
        return sorted(folder for folder in self.made if folder.parent == path)

    def free_disk_gib(self, path):
        return 1000

    def console(self, socket, log, *, fresh):
        return FakeConsole()

    async def power_down(self, command):
        self.slept.append(command)

    async def screenshot(self, socket, *, wake_up):
        return b"jpeg"

    def console_tail(self, log):
        return b"booted\n"


def image_data(name: str, *, bootable: bool) -> ImageData:
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    return ImageData("bucket", name, name, sha256, 1024, "raw", 1024 * 1024, bootable)


class FakeVault:
    """Objects of hidden buckets, in memory; as a courier, it is also the way to them."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.broken: str | None = None  # set to make the next transfer fail with this text
        self.puts = 0

    async def open_hidden(self, bucket):
        await trio.lowlevel.checkpoint()

    async def stat(self, principal, bucket, key):
        await trio.lowlevel.checkpoint()
        if (bucket, key) not in self.objects:
            raise NoSuchKey(Key=key)
        return ObjectFacts(len(self.objects[bucket, key]), "", "", 1)

    async def read_at(self, bucket, key, generation, offset, length):
        await trio.lowlevel.checkpoint()
        return self.objects[bucket, key][offset : offset + length]

    async def list_hidden(self, bucket, prefix, after, limit):
        await trio.lowlevel.checkpoint()
        keys = sorted(k for b, k in self.objects if b == bucket and k > after)
        return SimpleNamespace(objects=[SimpleNamespace(key=key) for key in keys], last=None)

    async def remove_hidden(self, bucket, keys):
        await trio.lowlevel.checkpoint()
        for key in keys:
            self.objects.pop((bucket, key), None)

    async def scrub_report(self):
        await trio.lowlevel.checkpoint()
        return Round(), [], 0

    def put(self, url, ca_file, data):
        self._enter()
        self.puts += 1
        self.objects[self._place(url)] = data

    def get(self, url, ca_file):
        self._enter()
        if (place := self._place(url)) not in self.objects:
            raise DamagedChunk("a chunk is missing in Walrus")
        return self.objects[place]

    def _place(self, url):
        bucket, _, key = urlsplit(url).path.strip("/").partition("/")
        return bucket, key

    def _enter(self):
        if self.broken is not None:
            reason, self.broken = self.broken, None
            raise TransferError(reason)


class SimSc(sc_role.Sc):
    """Without threads, which virtual time does not wait for."""

    async def in_thread(self, call):
        await trio.lowlevel.checkpoint()
        return call()


class FakeWalrus(walrus_role.Walrus):
    """Lends URLs for the images of this simulation; of snapshots it knows as much as the real one."""

    async def get_image_url(self, call, op: GetImageUrl) -> ImageUrl:
        return ImageUrl(f"http://walrus/{op.key}", op.etag)

    async def sync_principals(self, call, op: SyncPrincipals) -> Done:
        return Done()


WALRUS = walrus_role.OPERATIONS | {
    GetImageUrl: FakeWalrus.get_image_url,
    SyncPrincipals: FakeWalrus.sync_principals,
}


class FakeRelay:
    """Passes on at once; remembers for which attachments."""

    def __init__(self):
        self.connected, self.sizes, self.broken = {}, {}, ""

    async def request(self, volume_id):
        await trio.lowlevel.checkpoint()
        return f"request of {volume_id}"

    async def connect(self, volume_id, generation, to, uid):
        await trio.lowlevel.checkpoint()
        if self.broken:
            reason, self.broken = self.broken, ""
            raise EngineError(reason)
        assert to.certificate == f"request of {volume_id}"
        self.connected[volume_id] = generation
        return Connection(Path("/nowhere") / volume_id, to.export)

    async def renew(self, volume_id, size_gib):
        await trio.lowlevel.checkpoint()
        self.sizes[volume_id] = size_gib

    async def disconnect(self, volume_id):
        await trio.lowlevel.checkpoint()
        self.connected.pop(volume_id, None)

    async def keep(self):
        await trio.lowlevel.checkpoint()
        return []


@dataclass
class SimHost:
    """A host with a node controller: what outlives its process, and whether it runs."""

    name: str
    folder: Path
    network: FakeNetwork
    hypervisor: FakeHypervisor = field(default_factory=lambda: FakeHypervisor(boot_seconds=2.0))
    workbench: FakeWorkbench = field(default_factory=FakeWorkbench)
    relay: FakeRelay = field(default_factory=FakeRelay)
    store: SyncStore = field(default_factory=lambda: SyncStore(nc_role.MIGRATIONS))
    settings: dict = field(default_factory=dict)  # more of NcSettings
    nc: nc_role.Nc | None = None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    stopped: trio.Event = field(default_factory=trio.Event)
    off: bool = False  # `start` does not start it


@dataclass
class FakePower:
    """Remembers who was woken; `deaf` hosts do not hear it."""

    cloud: "Cloud"
    can_switch_off: bool = False
    woken: list = field(default_factory=list)
    deaf: set = field(default_factory=set)

    async def wake(self, host, mac):
        self.woken.append((host, mac))
        if host not in self.deaf and self.cloud.hosts[host].stopped.is_set():
            await self.cloud.start_host(host)

    async def switch_off(self, host):
        await self.cloud.kill_host(host)


class Cloud:
    def __init__(
        self,
        seed: int,
        folder: Path,
        nursery: trio.Nursery,
        mode: str = "EDGE",
        hosts: tuple[str, ...] = ("n1",),
        link=lambda transport, host: transport,
        subnet: str = "",
        recover_seconds: float = 0.0,
        sc_host: str = "",
        **cc,
    ) -> None:
        """`cc`: more settings of the cluster controller. `link`: what the roles of a host ask through; all
        but the nodes are on the host `front`."""
        self.link, self.recover_seconds = link, recover_seconds
        self.mode, self.cc_settings = mode, cc
        self.sc_host = sc_host
        self.subnet = IPv4Network(subnet or ("172.31.0.0/28" if mode == "EDGE" else "172.31.0.0/26"))
        self.random = random.Random(seed)
        self.folder = folder
        self.hosts = {name: self._new_host(name) for name in hosts}
        first = self.hosts[hosts[0]]
        self.hypervisor, self.network, self.workbench = first.hypervisor, first.network, first.workbench
        self.power = FakePower(self)
        self.engine = FakeEngine()
        self.vault = FakeVault()
        self.stores = {
            "clc": SyncStore(clc_role.MIGRATIONS),
            "cc": SyncStore(cc_role.MIGRATIONS),
            "sc": SyncStore(sc_role.MIGRATIONS),
            "walrus": SyncStore(walrus_role.MIGRATIONS),
            "nc": first.store,
        }
        self._nursery = nursery
        self._scope = trio.CancelScope()
        self._stopped = trio.Event()

    def _new_host(self, name: str) -> SimHost:
        folder = self.folder if name == "n1" else self.folder / name
        settings = NetworkSettings(
            self.subnet, IPv4Address("172.31.0.1"), folder / "net", 8775, 8773, 64055, mode=self.mode
        )
        return SimHost(name, folder, FakeNetwork(settings))

    def now(self) -> float:
        return START + trio.current_time()

    async def start(self) -> None:
        """Build every role on its store and run it."""
        self.transport = MemoryTransport(encoded=True)
        self._build()
        self._scope, self._stopped = trio.CancelScope(), trio.Event()
        await self._nursery.start(self._run, self.transport)
        if not self.clc.images.all():
            await self._register()
        await self.until_up()

    def _build(self) -> None:
        """All roles but the nodes'."""
        transport = self.transport
        bus = self.bus = Bus(self.link(transport, "front"))
        self.clc = clc_role.Clc(
            clc_role.ClcSettings(
                region="us-east-1",
                zone="z1",
                admin_account="000000000001",
                endpoint="http://127.0.0.1:8773",
                vm_types=(VmType("m1.small", 1, 128, 10), VmType("c1.xlarge", 4, 2048, 10)),
                launch_seconds=120,
                recover_seconds=self.recover_seconds,
                network_mode=self.mode,
            ),
            self.stores["clc"], bus, Keyring(), Sealer(b"k" * 32),
            Notary(self.folder), self.now, self.random,
        )  # fmt: skip
        self.cc = cc_role.Cc(
            cc_role.CcSettings(
                zone="z1",
                nodes=tuple(f"nc@{host}" for host in self.hosts),
                subnet=self.subnet,
                gateway="172.31.0.1",
                network_mode=self.mode,
                public_addresses=()
                if self.mode in ("STATIC", "SYSTEM")
                else ("172.30.0.10", "172.30.0.11", "172.30.0.12"),
                **self.cc_settings,
            ),
            self.stores["cc"], bus, self.now, self.power,
        )  # fmt: skip
        self.sc = SimSc(
            sc_role.ScSettings("z1", self.sc_host, "10.0.0.1" if self.sc_host else "", max_volume_gib=100),
            self.stores["sc"], bus, self.engine, self.vault, self.folder, self.now,
            Sealer(b"s" * 32),
        )  # fmt: skip
        self.walrus = FakeWalrus(
            walrus_role.WalrusSettings("http://walrus", "", 1 << 30), self.stores["walrus"], self.vault,
            Keyring(), AccessKey("A" * 20, "s" * 40, LENDER), Sealer(b"k" * 32), self.now,
        )  # fmt: skip

    async def start_host(self, name: str) -> None:
        """Run its node controller, anew on what it had stored."""
        host = self.hosts[name]
        settings = nc_role.NcSettings(
            host=name,
            folder=host.folder,
            run_folder=host.folder / "run",
            gateway="172.31.0.1",
            subnet_cidr=str(self.subnet),
            cache_bytes=1 << 30,
            network_mode=self.mode,
            **host.settings,
        )
        bus = Bus(self.link(self.transport, name))
        host.nc = nc_role.Nc(
            settings, host.store, bus, host.hypervisor, host.network, host.workbench, self.now, host.relay
        )
        self.nc = next(iter(self.hosts.values())).nc
        host.scope, host.stopped = trio.CancelScope(), trio.Event()
        await self._roles.start(self._run_host, host)

    async def kill_host(self, name: str) -> None:
        """A kill -9 of its node controller; the guests run on."""
        self.hosts[name].scope.cancel()
        await self.hosts[name].stopped.wait()

    async def _run_host(self, host: SimHost, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
        try:
            with host.scope:
                async with trio.open_nursery() as role:
                    await role.start(nc_role.run, host.nc, self.transport)
                    task_status.started()
        finally:
            host.stopped.set()

    async def _run(self, transport, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
        try:
            with self._scope:
                async with trio.open_nursery() as self._roles:
                    await self._roles.start(transport.serve, "walrus", Desk(self.walrus, WALRUS))
                    for host in self.hosts.values():
                        if not host.off:
                            await self.start_host(host.name)
                    await self._roles.start(self._run_front, transport)
                    task_status.started()
        except* Killed:
            pass
        finally:
            self._stopped.set()

    async def _run_front(self, transport, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
        with trio.CancelScope() as self._front:
            async with trio.open_nursery() as roles:
                await roles.start(sc_role.run, self.sc, transport)
                await roles.start(cc_role.run, self.cc, transport)
                await roles.start(clc_role.run, self.clc, transport)
                task_status.started()

    async def restart_front(self) -> None:
        """A kill -9 of the process with CLC, CC and SC; the nodes run on."""
        self._front.cancel()
        self._build()
        await self._roles.start(self._run_front, self.transport)

    async def restart(self) -> None:
        await self.kill()
        await self.start()

    async def kill(self) -> None:
        self._scope.cancel()
        await self._stopped.wait()

    async def until_up(self) -> None:
        while not all(node.up or node.kept.asleep for node in self.cc.nodes.values()):
            await trio.sleep(0.1)

    async def _register(self) -> None:
        def image(image_id, kind, name, **more):
            return Image(
                image_id, ALICE.account, kind, name, None, "x86_64", self.now(),
                image_data(name, bootable=False), **more,
            )  # fmt: skip

        await self.clc.images.add(
            [
                image("eki-00000001", ImageType.KERNEL, "kernel"),
                image("emi-00000001", ImageType.MACHINE, "root", kernel_id="eki-00000001"),
                image("emi-00000002", ImageType.MACHINE, "bare"),
            ]
        )

    async def ask(self, op, principal=ALICE):
        return await self.bus.ask("clc", op, Call(principal, "req-1"))

    async def run_instances(self, count=1, **more) -> list[str]:
        op = ec2.RunInstances("emi-00000001", count, count, **more)
        return [i.instance_id for i in (await self.ask(op)).instances]

    async def describe(self, instance_id, principal=ALICE) -> ec2.Instance:
        reply = await self.ask(ec2.DescribeInstances((instance_id,)), principal)
        return reply.reservations[0].instances[0]

    async def state_of(self, instance_id) -> str:
        return (await self.describe(instance_id)).state.name

    async def create_volume(self, size=1, **more) -> str:
        made = await self.ask(ec2_volumes.CreateVolume("z1", size, **more))
        await self.until_volume(made.volume_id, "available")
        return made.volume_id

    async def volume(self, volume_id, principal=ALICE) -> ec2_volumes.Volume:
        return (await self.ask(ec2_volumes.DescribeVolumes((volume_id,)), principal)).volumes[0]

    async def until_volume(self, volume_id, state, seconds=300) -> ec2_volumes.Volume:
        """`attached` is a state, too; `gone` is what is not listed."""
        with trio.fail_after(seconds):
            while await self._volume_state(volume_id) != state:
                await trio.sleep(0.5)
        return None if state == "gone" else await self.volume(volume_id)

    async def _volume_state(self, volume_id) -> str:
        try:
            found = await self.volume(volume_id)
        except InvalidVolumeNotFound:
            return "gone"
        attached = [a.state for a in found.attachments]
        return attached[0] if attached else found.state

    async def ask_sc(self, op):
        return await self.bus.ask("sc@z1", op, system_call("test"))

    async def create_snapshot(self, volume_id, **more) -> str:
        made = await self.ask(ec2_snapshots.CreateSnapshot(volume_id, **more))
        await self.until_snapshot(made.snapshot_id, "completed")
        return made.snapshot_id

    async def snapshot(self, snapshot_id, principal=ALICE) -> ec2_snapshots.Snapshot:
        return (await self.ask(ec2_snapshots.DescribeSnapshots((snapshot_id,)), principal)).snapshots[0]

    async def until_snapshot(self, snapshot_id, state, seconds=300) -> None:
        """`gone` is what no row names."""
        with trio.fail_after(seconds):
            while True:
                if (found := self.clc.snapshots.find(snapshot_id)) is None and state == "gone":
                    return
                if found is not None and found.state == state:
                    return
                await trio.sleep(0.2)

    async def fill(self, volume_id, units) -> None:
        """Write units (number -> byte) as whoever had the volume before."""
        await trio.lowlevel.checkpoint()
        for number, byte in units.items():
            self.engine.put(self.engine._volumes[volume_id], number << 20, byte * (1 << 20))

    async def content(self, volume_id) -> dict:
        """What is in it when it is filled: unit -> its first byte, of those that are not of zeros."""
        with trio.fail_after(300):
            while self.sc.volumes[volume_id].is_moving:
                await trio.sleep(0.2)
        units = self.engine._volumes[volume_id].units
        return {n: unit[:1] for n, unit in sorted(units.items()) if any(unit)}

    def chunks(self) -> int:
        return sum(key.startswith("chunks/") for _, key in self.vault.objects)

    def connection(self, instance_id, volume_id) -> Connection | None:
        """Where the QEMU of the guest finds the volume; None when it is not plugged in."""
        machine = self.hypervisor.machines.get(instance_id)
        found = [d for d in machine.disks if d.serial == volume_id] if machine else []
        return Connection(found[0].path, found[0].export) if found else None

    async def until(self, instance_id, state, seconds=300) -> ec2.Instance:
        with trio.fail_after(seconds):
            while (instance := await self.describe(instance_id)).state.name != state:
                await trio.sleep(0.5)
        return instance

    async def leftovers(self) -> list:
        """What is still on the node and in the cluster's books."""
        taken = await self.stores["cc"].read(
            "SELECT ip FROM private_address WHERE instance_id IS NOT NULL "
            "UNION SELECT ip FROM public_address WHERE instance_id IS NOT NULL"
        )
        on_hosts = []
        for host in self.hosts.values():
            on_hosts += host.hypervisor.machines
            on_hosts += await host.network.ports()
            on_hosts += await host.network.public_addresses()
            on_hosts += host.workbench.made
        return [
            *on_hosts,
            *await self.engine.exported(),
            *[row["ip"] for row in taken],
        ]


@asynccontextmanager
async def cloud(tmp_path: Path, seed: int = 1, mode: str = "EDGE", **more):
    async with trio.open_nursery() as nursery:
        c = Cloud(seed, tmp_path, nursery, mode, **more)
        await c.start()
        yield c
        nursery.cancel_scope.cancel()
