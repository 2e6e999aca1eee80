"""A cluster controller tells its nodes of each other: soon, again after a failure, no more than needed."""

from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network

import pytest
import trio

from euca_box.bus.bus import Bus, Desk
from euca_box.bus.memory import MemoryTransport
from euca_box.messages import nc
from euca_box.messages.base import Done, system_call
from euca_box.messages.cc import CcRunInstance, CcTerminateInstance, Reports
from euca_box.messages.instance_spec import GroupsInForce, InstanceReport, InstanceSpec
from euca_box.model.errors import IncorrectState, Unavailable
from euca_box.model.images import ImageData
from euca_box.model.instances import NodeState, VmType
from euca_box.roles.cc import role as cc_role
from euca_box.store.sync_store import SyncStore

pytestmark = pytest.mark.trio
SMALL = VmType("m1.small", 1, 128, 10)


@dataclass
class FakeNode:
    """Room for one instance; `broken` refuses the next picture of the network."""

    tunnel_address: str
    told: list = field(default_factory=list)  # all that it knew after each
    ops: list = field(default_factory=list)
    known: dict = field(default_factory=dict)
    specs: dict = field(default_factory=dict)
    gone: set = field(default_factory=set)
    broken: bool = False
    version: int = 0
    news: trio.Event = field(default_factory=trio.Event)

    async def describe_resource(self, call, op):
        return nc.NodeResources(1, 128, 10, "tcg", "", self.tunnel_address)

    async def describe_instances(self, call, op):
        if op.after >= self.version:
            with trio.move_on_after(op.wait_seconds):
                await self.news.wait()
        reports = [
            InstanceReport(i, NodeState.TEARDOWN if i in self.gone else NodeState.EXTANT, gone=i in self.gone)
            for i in self.specs
        ]
        return Reports(self.version, tuple(reports), complete=True)

    async def run_instance(self, call, op):
        self.specs[op.spec.instance_id] = op
        self.changed()
        return Done()

    async def terminate_instance(self, call, op):
        self.gone.add(op.instance_id)
        self.changed()
        return Done()

    async def configure_groups(self, call, op):
        return GroupsInForce(op.version)

    async def configure_network(self, call, op):
        if self.broken:
            self.broken = False
            raise Unavailable("broken")
        self.ops.append(op)
        if op.since is None:
            self.known = {}
        elif op.since > self.told[-1].version if self.told else True:
            raise IncorrectState("I do not know that version")
        self.known |= {remote.instance_id: remote for remote in op.remotes}
        for instance_id in op.gone:
            self.known.pop(instance_id, None)
        self.told.append(replace(op, remotes=tuple(self.known[i] for i in sorted(self.known))))
        return Done()

    def changed(self):
        self.version += 1
        self.news.set()
        self.news = trio.Event()


NODE = {
    nc.NcDescribeResource: FakeNode.describe_resource,
    nc.NcDescribeInstances: FakeNode.describe_instances,
    nc.NcRunInstance: FakeNode.run_instance,
    nc.NcTerminateInstance: FakeNode.terminate_instance,
    nc.NcConfigureGroups: FakeNode.configure_groups,
    nc.NcConfigureNetwork: FakeNode.configure_network,
}


def spec_of(number: int) -> InstanceSpec:
    image = ImageData("bucket", "key", "etag", "0" * 64, 1024, "raw", 1024, False)
    return InstanceSpec(
        f"i-0000000{number}",
        "r-00000001",
        "1",
        SMALL,
        0,
        0.0,
        "emi-00000001",
        image,
        ("sg-0000000a",),
        ("a",),
    )


@asynccontextmanager
async def cluster(*nodes: FakeNode, store=None):
    transport = MemoryTransport(encoded=True)
    bus = Bus(transport)
    names = tuple(f"nc@n{number}" for number, _ in enumerate(nodes, start=1))
    settings = cc_role.CcSettings(
        "z1", names, IPv4Network("172.31.0.0/24"), "172.31.0.1", (), cpu_overcommit=1
    )
    cc = cc_role.Cc(settings, store or SyncStore(cc_role.MIGRATIONS), bus, trio.current_time)
    async with trio.open_nursery() as nursery:
        for name, node in zip(names, nodes, strict=True):
            await nursery.start(transport.serve, name, Desk(node, NODE))
        await nursery.start(cc_role.run, cc, transport)
        while not all(node.up for node in cc.nodes.values()):
            await trio.sleep(0.1)
        yield cc
        nursery.cancel_scope.cancel()


async def run(cc, number):
    return await cc.bus.ask(cc.address, CcRunInstance(spec_of(number)), system_call("t", op_id=f"t{number}"))


async def until(true, seconds=10):
    with trio.fail_after(seconds):
        while not true():
            await trio.sleep(0.05)


async def test_each_node_knows_the_instances_of_the_others(autojump_clock):
    one, two = FakeNode("10.0.0.1"), FakeNode("10.0.0.2")
    async with cluster(one, two) as cc:
        first, second = await run(cc, 1), await run(cc, 2)
        assert (first.node, second.node) == ("nc@n1", "nc@n2")
        await until(lambda: one.told and one.told[-1].remotes and two.told[-1].remotes)

        [remote] = one.told[-1].remotes
        assert (remote.instance_id, remote.private_ip, remote.host) == (
            "i-00000002",
            second.private_ip,
            "10.0.0.2",
        )
        assert remote.mac == "d0:0d:00:00:00:02" and remote.group_ids == ("sg-0000000a",)
        assert one.told[-1].hosts == ("10.0.0.2",) and two.told[-1].hosts == ("10.0.0.1",)

        await cc.bus.ask(cc.address, CcTerminateInstance("i-00000002"), system_call("t"))
        await until(lambda: one.told[-1].remotes == ())
        assert one.ops[-1].since is not None and one.ops[-1].gone == ("i-00000002",), "only what changed"
        count = len(one.told)
        await trio.sleep(60)
        assert len(one.told) == count, "it is told what changed, and nothing twice"


async def test_a_node_that_refused_is_told_again(autojump_clock):
    one, two = FakeNode("10.0.0.1"), FakeNode("10.0.0.2", broken=True)
    async with cluster(one, two) as cc:
        await run(cc, 1)
        await until(lambda: two.told and two.told[-1].remotes)
    versions = [op.version for op in two.told]
    assert versions == sorted(set(versions))


async def test_a_node_without_a_tunnel_is_no_host_for_the_others(autojump_clock):
    one, two = FakeNode("10.0.0.1"), FakeNode("")
    async with cluster(one, two) as cc:
        await run(cc, 1)
        await run(cc, 2)
        await until(lambda: bool(one.told))
        assert one.told[-1].hosts == () and one.told[-1].remotes == ()


async def test_a_node_that_lost_what_it_knew_is_told_everything(autojump_clock):
    one, two = FakeNode("10.0.0.1"), FakeNode("10.0.0.2")
    async with cluster(one, two) as cc:
        await run(cc, 1)
        await until(lambda: two.told and two.told[-1].remotes)
        two.told, two.known = [], {}
        await cc.bus.ask(cc.address, CcTerminateInstance("i-00000001"), system_call("t"))
        await until(lambda: two.told and not two.told[-1].remotes)
        assert [op.since is None for op in two.ops[-2:]] == [False, True]


async def test_a_node_alone_is_told_nothing(autojump_clock):
    one = FakeNode("10.0.0.1")
    async with cluster(one) as cc:
        await run(cc, 1)
        await trio.sleep(30)
    assert one.told == []
