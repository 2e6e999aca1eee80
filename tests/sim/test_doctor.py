"""The trace of a packet's way through all roles: each says what it knows."""

import pytest
import trio

from euca_box.messages.admin import TraceNetwork
from euca_box.messages.base import system_call
from euca_box.messages.ec2_instances import StopInstances, TerminateInstances
from euca_box.model.ec2_errors import InvalidInstanceIDNotFound
from euca_box.model.errors import EucaError
from tests.sim.cloud import cloud

pytestmark = pytest.mark.trio


async def trace(c, instance_id=None):
    return (await c.bus.ask("clc", TraceNetwork(instance_id), system_call("doctor"))).steps


def bad(steps):
    return [(step.where, step.what) for step in steps if step.state == "bad"]


async def test_the_way_to_a_running_instance_is_good_from_clc_to_node(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await c.run_instances()
        await c.until(instance_id, "running")
        await trio.sleep(10)

        steps = await trace(c, instance_id)

        assert bad(steps) == []
        assert list(dict.fromkeys(step.where for step in steps)) == ["clc", "cc@z1", "nc@n1"]
        assert bad(await trace(c)) == []


async def test_each_role_says_where_it_stops(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await c.run_instances()
        await c.until(instance_id, "running")
        await c.network.unplug(instance_id)
        assert bad(await trace(c, instance_id)) == [("nc@n1", "the instance is plugged in")]

        await c.ask(StopInstances((instance_id,)))
        await c.until(instance_id, "stopped")
        found = await trace(c, instance_id)
        assert ("clc", "the instance is running") in bad(found) and ("cc@z1", "it shall run") in bad(found)
        assert "aws ec2 describe-instances" in found[0].command

        await c.ask(TerminateInstances((instance_id,)))
        await c.until(instance_id, "terminated")
        assert ("cc@z1", "z1 has the instance") in bad(await trace(c, instance_id))


async def test_an_instance_that_never_was_is_none(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        with pytest.raises(InvalidInstanceIDNotFound):
            await trace(c, "i-0badbad0")
        with pytest.raises(EucaError):
            await trace(c, "sg-1; rm")


async def test_a_network_that_refuses_is_a_step_and_no_crash(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        c.network.broken = "the table is locked"
        assert any("can be looked at" in what for _, what in bad(await trace(c)))
