"""How much one CLC and one cluster controller carry: nodes that answer at once and start guests in a second.

Real roles with their rows on the disk, in this process; the nodes are only their answers. `launch`: what one
RunInstances x1 takes of sixteen callers. `seen`: from a guest's start at its node to `running` at the CLC.
`idle`: what all nodes' polls and loops take of a core. Asking nodes on other hosts comes on top: `bench bus`.
"""

import argparse
import asyncio
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import trio

from euca_box import interpreter
from euca_box.auth.keyring import Keyring
from euca_box.auth.notary import Notary
from euca_box.auth.secrets import Sealer
from euca_box.bridge import Bridge
from euca_box.bus.bus import Bus, Desk
from euca_box.bus.memory import MemoryTransport
from euca_box.messages import ec2_instances as ec2
from euca_box.messages import nc
from euca_box.messages.base import Call, Done, system_call
from euca_box.messages.cc import CcSyncNodes, Reports, ZoneNode
from euca_box.messages.instance_spec import GroupsInForce, InstanceReport
from euca_box.model.accounts import Principal
from euca_box.model.images import Image, ImageData, ImageType
from euca_box.model.instances import InstanceState, NodeState, VmType
from euca_box.roles.cc import role as cc_role
from euca_box.roles.clc import role as clc_role
from euca_box.store.bridged_store import BridgedStore
from euca_box.store.sqlite_store import open_store

WHO = Principal("000000000002", "bench", "a" * 64, "bench")
NODES, EACH, CALLERS = (100, 300, 1000), 20, 16
IDLE_SECONDS, PROBES = 12.0, 200
ADMITTED_MS, CYCLE_SECONDS, MEMORY_MIB = 100, 5, 1024


@dataclass
class Node:
    """Room for EACH instances; a guest runs a second after it was told of."""

    address: str
    tasks: trio.Nursery
    reports: dict[str, InstanceReport] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    version: int = 0
    news: trio.Event = field(default_factory=trio.Event)

    async def describe_resource(self, call: Any, op: Any) -> nc.NodeResources:
        return nc.NodeResources(EACH, EACH * 128, EACH * 10, "kvm", "")

    async def describe_instances(self, call: Any, op: nc.NcDescribeInstances) -> Reports:
        if op.after >= self.version:
            with trio.move_on_after(op.wait_seconds):
                await self.news.wait()
        return Reports(self.version, tuple(self.reports.values()), complete=True)

    async def run_instance(self, call: Any, op: nc.NcRunInstance) -> Done:
        self._tell(op, NodeState.PENDING)
        self.tasks.start_soon(self._boot, op)
        return Done()

    async def configure_groups(self, call: Any, op: nc.NcConfigureGroups) -> GroupsInForce:
        return GroupsInForce(op.version)

    async def done(self, call: Any, op: Any) -> Done:
        return Done()

    async def _boot(self, op: nc.NcRunInstance) -> None:
        await trio.sleep(1)
        self.started[op.spec.instance_id] = time.perf_counter()
        self._tell(op, NodeState.EXTANT)

    def _tell(self, op: nc.NcRunInstance, state: NodeState) -> None:
        place, instance_id = op.placement, op.spec.instance_id
        self.reports[instance_id] = InstanceReport(
            instance_id, state, self.address, place.private_ip, place.public_ip, generation=op.spec.generation
        )
        self.version += 1
        self.news.set()
        self.news = trio.Event()


OPERATIONS: Any = {
    nc.NcDescribeResource: Node.describe_resource,
    nc.NcDescribeInstances: Node.describe_instances,
    nc.NcRunInstance: Node.run_instance,
    nc.NcConfigureGroups: Node.configure_groups,
    nc.NcConfigureNetwork: Node.done,
    nc.NcStartInstance: Node.done,
}


async def _nothing(role: object, call: Any, op: Any) -> Done:
    return Done()


@dataclass
class Zone:
    clc: clc_role.Clc
    cc: cc_role.Cc
    bus: Bus
    nodes: dict[str, Node]

    async def run(self, count: int = 1) -> list[str]:
        op = ec2.RunInstances("emi-00000001", count, count, instance_type="m1.small")
        reply = await self.bus.ask("clc", op, Call(WHO, "bench"))
        return [instance.instance_id for instance in reply.instances]

    def running(self) -> int:
        return sum(r.state is InstanceState.RUNNING for r in self.clc.instances.all())


async def measure(zone: Zone, node_count: int) -> None:
    """One line of the table."""
    began = time.perf_counter()
    wanted, spent = node_count * EACH - PROBES, []

    async def caller(launches: int, count: int, taken: list[float]) -> None:
        for _ in range(launches):
            before = time.perf_counter()
            await zone.run(count)
            taken.append(1000 * (time.perf_counter() - before))

    filled: list[float] = []
    async with trio.open_nursery() as nursery:
        for _ in range(CALLERS):
            nursery.start_soon(caller, wanted // CALLERS // 20, 20, filled)
    while zone.running() < wanted // CALLERS // 20 * 20 * CALLERS:
        await trio.sleep(0.1)
    fill_seconds = time.perf_counter() - began
    cpu = time.process_time()
    await trio.sleep(IDLE_SECONDS)
    idle = (time.process_time() - cpu) / IDLE_SECONDS
    async with trio.open_nursery() as nursery:
        for _ in range(CALLERS):
            nursery.start_soon(caller, PROBES // CALLERS, 1, spent)
    seen = await _seen(zone)
    print(
        f"{node_count:>6}{zone.running():>10}{fill_seconds:>9.1f} s{100 * idle:>8.1f} %"
        f"{idle * zone.cc.settings.poll_seconds:>8.2f} s{_of(spent, 50):>8.1f}{_of(spent, 99):>8.1f} ms"
        f"{_of(seen, 50):>8.0f}{_of(seen, 99):>8.0f} ms{_memory_mib():>8.0f} MiB",
        flush=True,
    )


async def _seen(zone: Zone) -> list[float]:
    """Milliseconds from a guest's start to the CLC's knowledge of it, of the last launches, one at a time."""
    taken = []
    for _ in range(20):
        [instance_id] = await zone.run()
        while (
            record := zone.clc.instances.find(instance_id)
        ) is None or record.state is InstanceState.PENDING:
            await trio.sleep(0.001)
        node = zone.nodes[record.node or ""]
        taken.append(1000 * (time.perf_counter() - node.started[instance_id]))
    return taken


def _of(values: Sequence[float], percentile: int) -> float:
    return statistics.quantiles(values, n=100)[percentile - 1]


def _memory_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def _one(node_count: int, folder: Path) -> None:
    bridge, transport, keyring = Bridge(), MemoryTransport(), Keyring()
    bus = Bus(transport)
    stores = {
        "clc": await open_store(folder / "clc.db", clc_role.MIGRATIONS),
        "cc": await open_store(folder / "cc.db", cc_role.MIGRATIONS),
    }
    done = asyncio.Event()

    async def role(task_status: Any) -> None:
        clc_settings = clc_role.ClcSettings(
            "us-east-1", "us-east-1a", "000000000001", "http://127.0.0.1:8773",
            (VmType("m1.small", 1, 128, 10),), max_instances=10**9, launch_seconds=3600,
        )  # fmt: skip
        cc_settings = cc_role.CcSettings(
            zone="us-east-1a", nodes=(), subnet=IPv4Network("10.0.0.0/16"), gateway="10.0.0.1",
            public_addresses=(), cpu_overcommit=1.0, scheduler="SPREAD",
        )  # fmt: skip
        clc = clc_role.Clc(
            clc_settings, BridgedStore(stores["clc"], bridge), bus, keyring, Sealer(b"k" * 32),
            Notary(folder), time.time, random.Random(1),
        )  # fmt: skip
        cc = cc_role.Cc(cc_settings, BridgedStore(stores["cc"], bridge), bus, time.time)
        async with trio.open_nursery() as nursery:
            names = [f"nc@n{n}" for n in range(node_count)]
            nodes = {name: Node(name, nursery) for name in names}
            for name, node in nodes.items():
                await nursery.start(transport.serve, name, Desk(node, OPERATIONS))
            await nursery.start(cc_role.run, cc, transport)
            await nursery.start(clc_role.run, clc, transport)
            data = ImageData("b", "k", "e" * 32, "f" * 64, 1 << 20, "raw", 1 << 20, True)
            await clc.images.add(
                [Image("emi-00000001", WHO.account, ImageType.MACHINE, "i", "", "x86_64", 1.77e9, data)]
            )
            op = CcSyncNodes(1, tuple(ZoneNode(name) for name in names))
            await bus.ask(cc.address, op, system_call("bench"))
            while not all(node.up for node in cc.nodes.values()):
                await trio.sleep(0.05)
            interpreter.settle()
            await measure(Zone(clc, cc, bus, nodes), node_count)
            done.set()
            task_status.started()
            nursery.cancel_scope.cancel()

    await bridge.start(role)
    await done.wait()
    await bridge.stop()
    for store in stores.values():
        await store.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, nargs="*", default=NODES)
    parser.add_argument("--one", type=int, help="Only this many, in this process.")
    asked = parser.parse_args()
    if asked.one is not None:
        folder = Path(tempfile.mkdtemp())
        try:
            asyncio.run(_one(asked.one, folder))
        finally:
            shutil.rmtree(folder)
        return
    import subprocess
    import sys

    print(f"{'nodes':>6}{'instances':>10}{'filled':>11}{'idle':>10}{'a cycle':>10}{'launch p50, p99':>19}"
          f"{'seen p50, p99':>19}{'memory':>12}")  # fmt: skip
    for count in asked.nodes:
        subprocess.run([sys.executable, "-m", "benchmarks.zone", "--one", str(count)], check=True)
    print(f"aims: a cycle {CYCLE_SECONDS} s, launch p99 {ADMITTED_MS} ms, memory {MEMORY_MIB} MiB")


if __name__ == "__main__":
    main()
