"""The nodes of a zone: they come and go while it runs, are chosen by policy, and sleep when unused."""

import pytest
import trio

from euca_box.messages import ec2_instances as ec2
from euca_box.messages import ec2_statuses
from euca_box.messages.base import system_call
from euca_box.messages.cc import CcDescribeResources, CcSyncNodes, ZoneNode
from euca_box.model.errors import EucaError
from euca_box.model.nodes import NodeWish
from tests.sim.cloud import cloud

pytestmark = pytest.mark.trio
STALLED: set = set()
SLEEPS = {"sleep_command": ("suspend",), "wake_mac": "52:54:00:00:00:01", "memory_mib": 2048}


async def node_states(c):
    found = await c.bus.ask("cc@z1", CcDescribeResources(), system_call("look"))
    return {node.name: node.state for node in found.nodes}


async def until_state(c, node, state, seconds=600):
    with trio.fail_after(seconds):
        while (await node_states(c)).get(node) != state:
            await trio.sleep(0.5)


async def sync(c, version, *nodes):
    wishes = tuple(node if isinstance(node, ZoneNode) else ZoneNode(node) for node in nodes)
    return (await c.bus.ask("cc@z1", CcSyncNodes(version, wishes), system_call("sync"))).version


async def where(c, instance_id):
    return c.cc.placed[instance_id].placement.node


async def run_running(c, count=1, **more):
    ids = await c.run_instances(count, **more)
    for instance_id in ids:
        await c.until(instance_id, "running")
    return ids


async def test_instances_go_to_nodes_in_turn(tmp_path, autojump_clock):
    async with cloud(tmp_path, hosts=("n1", "n2", "n3"), scheduler="ROUNDROBIN") as c:
        ids = [(await run_running(c))[0] for _ in range(4)]
        assert [await where(c, i) for i in ids] == ["nc@n1", "nc@n2", "nc@n3", "nc@n1"]
        assert list(c.hosts["n2"].hypervisor.machines) == [ids[1]]


async def test_a_node_joins_while_the_zone_runs(tmp_path, autojump_clock):
    async with cloud(tmp_path, hosts=("n1",), scheduler="SPREAD") as c:
        await run_running(c)
        c.hosts["n2"] = c._new_host("n2")
        await c.start_host("n2")
        assert await sync(c, 1, "nc@n1", "nc@n2") == 1
        await until_state(c, "nc@n2", "UP")
        [second] = await run_running(c)
        assert await where(c, second) == "nc@n2"

        await c.restart()  # it is remembered
        assert set(await node_states(c)) == {"nc@n1", "nc@n2"}
        assert await sync(c, 0, "nc@n1") == 1  # an older word changes nothing
        assert set(await node_states(c)) == {"nc@n1", "nc@n2"}


async def test_a_node_that_leaves_is_asked_no_more_and_what_ran_there_can_be_ended(tmp_path, autojump_clock):
    async with cloud(tmp_path, hosts=("n1", "n2"), scheduler="SPREAD") as c:
        first, second = [(await run_running(c))[0] for _ in range(2)]
        c.cc.settings = c.cc.settings.__class__(**{**vars(c.cc.settings), "nodes": ("nc@n1",)})
        await sync(c, 1, "nc@n1")
        assert set(await node_states(c)) == {"nc@n1"}
        status = await c.ask(ec2_statuses.DescribeInstanceStatus((second,)))
        assert status.instance_statuses[0].system_status.status == "impaired"
        await c.ask(ec2.TerminateInstances((first, second)))
        await c.until(first, "terminated")
        await c.until(second, "terminated")


@pytest.mark.parametrize("wish", [NodeWish.DISABLED, NodeWish.MAINTENANCE])
async def test_a_disabled_node_gets_nothing_new_and_keeps_what_it_has(tmp_path, autojump_clock, wish):
    async with cloud(tmp_path, hosts=("n1", "n2")) as c:
        [first] = await run_running(c)
        assert await where(c, first) == "nc@n1"
        await sync(c, 1, ZoneNode("nc@n1", wish), "nc@n2")
        [second] = await run_running(c)
        assert await where(c, second) == "nc@n2"
        assert await c.state_of(first) == "running"
        await sync(c, 2, ZoneNode("nc@n1", wish), ZoneNode("nc@n2", wish))
        with pytest.raises(EucaError, match=r"room|capacity"):
            await c.run_instances()


async def test_the_instances_of_a_lost_node_are_impaired_within_thirty_seconds(tmp_path, autojump_clock):
    """It hangs: the connection stands, nothing answers."""
    async with cloud(tmp_path, hosts=("n1", "n2"), link=stalling, scheduler="SPREAD") as c:
        first, second = [(await run_running(c))[0] for _ in range(2)]
        STALLED.add("nc@n2")
        try:
            with trio.fail_after(30):
                while True:
                    found = await c.ask(ec2_statuses.DescribeInstanceStatus((first, second)))
                    states = [status.system_status.status for status in found.instance_statuses]
                    if "impaired" in states:
                        break
                    await trio.sleep(0.5)
            assert sorted(states) == ["impaired", "ok"]
            assert await c.state_of(second) == "running"
        finally:
            STALLED.clear()
        await until_state(c, "nc@n2", "UP")


async def test_a_node_without_instances_sleeps_and_is_woken_for_one(tmp_path, autojump_clock):
    async with cloud(tmp_path, hosts=("n1", "n2"), scheduler="POWERSAVE") as c:
        for host in c.hosts.values():
            host.settings.update(SLEEPS)
        await c.restart()
        [first] = await run_running(c, instance_type="c1.xlarge")  # n1 is full now
        await until_state(c, "nc@n2", "ASLEEP")
        await trio.sleep(2)
        assert c.hosts["n2"].workbench.slept == [("suspend",)]
        c.hosts["n2"].off = True
        await c.restart()  # that it sleeps is remembered
        assert (await node_states(c))["nc@n2"] == "ASLEEP"
        ids = await run_running(c, 4)
        assert {await where(c, i) for i in ids} == {"nc@n2"}
        assert c.power.woken[0] == ("n2", "52:54:00:00:00:01")
        assert await c.state_of(first) == "running"
        await trio.sleep(1000)
        assert (await node_states(c))["nc@n2"] == "UP"


async def test_a_node_that_does_not_wake_is_down_and_the_next_instance_goes_elsewhere(
    tmp_path, autojump_clock
):
    async with cloud(tmp_path, hosts=("n1", "n2"), scheduler="POWERSAVE", power_wake_seconds=60) as c:
        for host in c.hosts.values():
            host.settings.update(SLEEPS)
        await c.restart()
        [first] = await run_running(c, instance_type="c1.xlarge")
        await until_state(c, "nc@n2", "ASLEEP")
        await c.kill_host("n2")
        c.power.deaf.add("n2")
        [second] = await c.run_instances()
        await until_state(c, "nc@n2", "WAKING")
        await c.ask(ec2.TerminateInstances((second,)))
        await c.until(second, "terminated", 60)  # no node has heard of it
        [third] = await c.run_instances()
        await until_state(c, "nc@n2", "DOWN")
        c.hosts["n3"] = c._new_host("n3")
        await c.start_host("n3")
        await sync(c, 1, "nc@n3")
        await c.until(third, "running", 60)  # it was placed anew
        assert await where(c, third) == "nc@n3" == c.clc.instances.find(third).node
        await c.start_host("n2")  # somebody pressed its button
        await until_state(c, "nc@n2", "UP")
        assert await c.state_of(first) == "running"


async def test_a_node_that_cannot_sleep_stays_awake(tmp_path, autojump_clock):
    async with cloud(tmp_path, hosts=("n1", "n2"), scheduler="POWERSAVE") as c:
        await trio.sleep(2000)
        assert set((await node_states(c)).values()) == {"UP"}


class Stalling:
    """A link that swallows what goes to some addresses."""

    def __init__(self, transport):
        self.stalled = STALLED
        self._transport = transport
        self.reaches = transport.reaches

    async def send(self, address, op, call):
        if address in self.stalled:
            await trio.sleep_forever()
        reply = await self._transport.send(address, op, call)
        if address in self.stalled:
            await trio.sleep_forever()
        return reply


def stalling(transport, host):
    return Stalling(transport)
