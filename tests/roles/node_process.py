"""A node controller in a process of its own, to be killed: real rows, files and disks; domains are a file.

python -m tests.roles.node_process FOLDER run end: does one after the other, says what is there after each.
"""

import hashlib
import json
import logging
import os
import pickle
import sys
import time
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import trio

from euca_box.bus.bus import Bus, Desk
from euca_box.bus.memory import MemoryTransport
from euca_box.kvm.fake import FakeHypervisor
from euca_box.messages import nc as messages
from euca_box.messages.base import system_call
from euca_box.messages.instance_spec import InstanceSpec, Placement
from euca_box.messages.walrus import GetImageUrl, ImageUrl
from euca_box.model.images import ImageData
from euca_box.model.instances import ExtraDisk, NodeState, VmType
from euca_box.net.fake import FakeNetwork
from euca_box.net.network import NetworkSettings
from euca_box.observe import failpoints
from euca_box.roles.nc import leftovers
from euca_box.roles.nc import role as nc_role
from euca_box.roles.nc.workbench import HostWorkbench
from euca_box.store.sync_store import SyncStore

ID = "i-00000001"
CONTENT = bytes(1 << 20)
SPEC = InstanceSpec(
    instance_id=ID,
    reservation_id="r-00000001",
    account="000000000002",
    vm_type=VmType("m1.small", 1, 128, 1),
    launch_index=0,
    launch_time=0.0,
    image_id="emi-00000001",
    image=ImageData(
        "b", "k", "e", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "raw", len(CONTENT), True
    ),
    group_ids=("sg-00000001",),
    group_names=("default",),
    extra_disks=(ExtraDisk("swap", "/dev/sdc", 1),),
)
PLACEMENT = Placement("nc@n1", "172.31.0.4", "172.30.0.10")


class KeptHypervisor(FakeHypervisor):
    """Domains outlive the process. Each start of a machine is a line in a file."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        if file.exists():
            kept = pickle.loads(file.read_bytes())
            self._guests = {name: replace(guest, booted_at=0.0) for name, guest in kept.items()}
            self.machines = {name: guest.machine for name, guest in kept.items()}

    def _tell(self, name, kind):
        if kind == "started":
            with self._file.with_suffix(".starts").open("a") as starts:
                starts.write(f"{name}\n")
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(pickle.dumps(self._guests))
        fresh.rename(self._file)
        super()._tell(name, kind)


class KeptNetwork(FakeNetwork):
    def __init__(self, file: Path) -> None:
        super().__init__(
            NetworkSettings(
                IPv4Network("172.31.0.0/28"), IPv4Address("172.31.0.1"), file.parent, 8775, 8773, 64055
            )
        )
        self.file = file
        if file.exists():
            self.plugged, self.public = pickle.loads(file.read_bytes())

    def _save(self) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_bytes(pickle.dumps((self.plugged, self.public)))
        fresh.rename(self.file)

    async def plug(self, port):
        await super().plug(port)
        self._save()

    async def unplug(self, instance_id):
        await super().unplug(instance_id)
        self._save()

    async def assign_public(self, public_ip, private_ip):
        await super().assign_public(public_ip, private_ip)
        self._save()

    async def unassign_public(self, public_ip):
        await super().unassign_public(public_ip)
        self._save()


class Silence:
    async def run(self, *, task_status=trio.TASK_STATUS_IGNORED):
        task_status.started()
        await trio.sleep_forever()


@dataclass(frozen=True)
class Workbench(HostWorkbench):
    async def fetch(self, source, target, size_bytes):
        target.write_bytes(CONTENT)
        return hashlib.sha256(CONTENT).hexdigest()

    def console(self, socket, log, *, fresh):
        return Silence()


async def lend(walrus, call, op: GetImageUrl) -> ImageUrl:
    return ImageUrl("http://walrus/k", "e")


class Node:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.transport = MemoryTransport()
        self.bus = Bus(self.transport)
        self.hypervisor = KeptHypervisor(folder / "domains")
        self.network = KeptNetwork(folder / "ports")
        settings = nc_role.NcSettings(
            "n1",
            folder / "nc",
            folder / "run",
            "172.31.0.1",
            "172.31.0.0/28",
            1 << 30,
            stop_grace_seconds=0.0,
        )
        workbench = Workbench(os.geteuid(), 65536, trio.CapacityLimiter(2), set_owner=lambda *_: None)
        store = SyncStore(nc_role.MIGRATIONS, str(folder / "nc.db"))
        self.nc = nc_role.Nc(settings, store, self.bus, self.hypervisor, self.network, workbench, time.time)

    async def do(self, word: str) -> None:
        """Ask, as the cluster does, until it is so."""
        resident = self.nc.residents.get(ID)
        generation = resident.spec.generation + 1 if resident else 0
        asks = {
            "run": (messages.NcRunInstance(SPEC, PLACEMENT), lambda r: r.state is NodeState.EXTANT),
            "end": (messages.NcTerminateInstance(ID), lambda r: r.gone),
            "stop": (messages.NcStopInstance(ID, generation), lambda r: r.state is NodeState.STOPPED),
            "start": (
                messages.NcStartInstance(replace(SPEC, generation=generation, starts=1), PLACEMENT),
                lambda r: r.state is NodeState.EXTANT,
            ),
        }
        op, is_done = asks[word]
        await self.bus.ask("nc@n1", op, system_call(word))
        after = -1
        while True:
            reports = await self.bus.ask(
                "nc@n1", messages.NcDescribeInstances(after, 1.0), system_call("watch")
            )
            after = reports.version
            if any(is_done(report) for report in reports.instances):
                break
        await leftovers.sweep(self.nc)

    async def what_is_there(self) -> dict:
        return {
            "domains": {d.name: d.state.value for d in await self.hypervisor.domains()},
            "ports": sorted(self.network.plugged),
            "public": self.network.public,
            "folders": sorted(p.name for p in self.nc.workbench.folders(self.folder / "nc" / "instances")),
            "sockets": sorted(p.name for p in (self.folder / "run").glob("i-*")),
            "consoles": sorted(p.name for p in (self.folder / "run" / "consoles").glob("*")),
            "files": sorted(p.name for p in (self.folder / "nc" / "instances").glob("*/*")),
            "cache": sorted(p.suffix for p in (self.folder / "nc" / "cache").iterdir()),
        }


async def main(folder: Path, words: list[str]) -> None:
    node = Node(folder)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            await nursery.start(node.transport.serve, "walrus", Desk(object(), {GetImageUrl: lend}))
            await nursery.start(nc_role.run, node.nc, node.transport)
            for word in words:
                await node.do(word)
                sys.stdout.write(json.dumps(await node.what_is_there()) + "\n")
                sys.stdout.flush()
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    logging.basicConfig()
    failpoints.arm_from_environment()
    trio.run(main, Path(sys.argv[1]), sys.argv[2:])
