"""What guests use is measured: each five minutes, with detailed monitoring each minute."""

from itertools import pairwise

import pytest
import trio

from euca_box.kvm.hypervisor import KvmError
from euca_box.messages import ec2_instances as ec2
from euca_box.messages import ec2_statuses as statuses
from euca_box.messages.admin import GetUsage, ListUsage
from euca_box.messages.base import SYSTEM
from euca_box.model.ec2_errors import InvalidInstanceIDNotFound
from tests.sim.cloud import cloud

pytestmark = pytest.mark.trio


async def _broken():
    raise KvmError("libvirt is away")


async def samples(c, instance_id, minutes=60):
    return (await c.ask(GetUsage(instance_id, minutes), SYSTEM)).samples


async def test_detailed_monitoring_measures_each_minute_and_basic_each_five(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        detailed = ec2.RunInstancesMonitoringEnabled(enabled=True)
        [often] = await c.run_instances(monitoring=detailed)
        [seldom] = await c.run_instances()
        for instance_id in (often, seldom):
            await c.until(instance_id, "running")
        await trio.sleep(1200)
        assert [len(await samples(c, name)) for name in (often, seldom)] == [20, 4]
        found = await samples(c, often)
        assert {round(b.at - a.at) for a, b in pairwise(found)} == {60}
        assert found[-1].counters.cpu_seconds > found[0].counters.cpu_seconds
        assert len(await samples(c, often, minutes=5)) == 5


async def test_monitoring_is_switched_on_and_off_and_outlives_the_process(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await c.run_instances()
        await c.until(instance_id, "running")
        [on] = (await c.ask(statuses.MonitorInstances((instance_id,)))).instance_monitorings
        assert on.monitoring.state == "enabled"
        await c.restart()
        assert (await c.describe(instance_id)).monitoring.state == "enabled"
        await trio.sleep(600)
        assert len(await samples(c, instance_id)) in (10, 11)
        [off] = (await c.ask(statuses.UnmonitorInstances((instance_id,)))).instance_monitorings
        assert off.monitoring.state == "disabled"
        before = len(await samples(c, instance_id))
        await trio.sleep(600)
        assert len(await samples(c, instance_id)) in (before + 1, before + 2)


async def test_every_guest_that_runs_has_its_last_two_measures_a_minute_apart(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        first, second = await c.run_instances(count=2)
        for instance_id in (first, second):
            await c.until(instance_id, "running")
        await trio.sleep(200)
        found = {i.instance_id: i.samples for i in (await c.ask(ListUsage(), SYSTEM)).instances}
        assert found.keys() == {first, second}
        for older, newer in found.values():
            assert round(newer.at - older.at) == 60
            assert newer.counters.cpu_seconds > older.counters.cpu_seconds
        await c.ask(ec2.TerminateInstances((first,)))
        await trio.sleep(120)
        assert [i.instance_id for i in (await c.ask(ListUsage(), SYSTEM)).instances] == [second]


async def test_a_node_that_cannot_measure_goes_on_later(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await c.run_instances(monitoring=ec2.RunInstancesMonitoringEnabled(enabled=True))
        await c.until(instance_id, "running")
        await trio.sleep(120)
        usage, c.hypervisor.usage = c.hypervisor.usage, _broken
        await trio.sleep(120)
        before = len(await samples(c, instance_id))
        c.hypervisor.usage = usage
        await trio.sleep(120)
        assert len(await samples(c, instance_id)) == before + 2


async def test_nothing_is_told_of_what_is_not_there_and_kept_of_what_is_gone(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        with pytest.raises(InvalidInstanceIDNotFound):
            await samples(c, "i-0000beef")
        [instance_id] = await c.run_instances(monitoring=ec2.RunInstancesMonitoringEnabled(enabled=True))
        await c.until(instance_id, "running")
        await trio.sleep(120)
        await c.ask(ec2.TerminateInstances((instance_id,)))
        await c.until(instance_id, "terminated")
        with pytest.raises(InvalidInstanceIDNotFound):
            await samples(c, instance_id)
        await trio.sleep(1200)
        assert c.nc.samples == {}
