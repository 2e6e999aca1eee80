"""Guests that go wrong by themselves: noticed in seconds, said in words, and what can heal heals."""

import pytest
import trio

from euca_box.messages import ec2_instances as ec2
from euca_box.messages import ec2_statuses
from tests.sim.cloud import cloud

pytestmark = pytest.mark.trio
NOTICED_SECONDS = 10


async def running(c):
    [instance_id] = await c.run_instances()
    await c.until(instance_id, "running")
    return instance_id


async def status_of(c, instance_id):
    reply = await c.ask(ec2_statuses.DescribeInstanceStatus((instance_id,)))
    return reply.instance_statuses[0].instance_status.status


async def until_status(c, instance_id, wanted):
    with trio.fail_after(NOTICED_SECONDS):
        while await status_of(c, instance_id) != wanted:
            await trio.sleep(0.2)


async def test_a_guest_whose_machine_crashed_is_stopped_with_its_disk_and_the_reason(
    tmp_path, autojump_clock
):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        c.hypervisor.crash(instance_id)
        ended = await c.until(instance_id, "stopped", seconds=NOTICED_SECONDS)
        assert ended.state_reason.code == "Server.InternalError"
        assert "ended unexpectedly" in ended.state_reason.message
        assert c.workbench.overlays == [instance_id]

        await c.ask(ec2.StartInstances((instance_id,)))
        again = await c.until(instance_id, "running")
        assert again.state_reason is None
        assert c.workbench.overlays == [instance_id]


async def test_a_guest_that_was_gone_after_a_restart_is_stopped_with_its_disk(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        await c.kill()
        c.hypervisor.crash(instance_id)
        await c.start()
        ended = await c.until(instance_id, "stopped")
        assert "was gone when its node started again" in ended.state_reason.message


async def test_a_machine_that_does_not_answer_is_impaired_until_it_does(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        assert await status_of(c, instance_id) == "ok"
        c.hypervisor.hung.add(instance_id)
        await until_status(c, instance_id, "impaired")
        assert "does not answer" in (await c.describe(instance_id)).state_reason.message
        assert await c.state_of(instance_id) == "running"

        c.hypervisor.hung.clear()
        await until_status(c, instance_id, "ok")
        assert (await c.describe(instance_id)).state_reason is None


async def test_a_machine_that_does_not_answer_can_be_stopped_and_terminated(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        first, second = await running(c), await running(c)
        c.hypervisor.hung |= {first, second}
        await c.ask(ec2.StopInstances((first,)))
        await c.ask(ec2.TerminateInstances((second,)))
        await c.until(first, "stopped")
        await c.until(second, "terminated")
        assert c.hypervisor.machines == {}


async def test_a_guest_whose_disk_fails_is_paused_and_goes_on_when_it_is_healed(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        c.hypervisor.fail_disk(instance_id)
        await until_status(c, instance_id, "impaired")
        assert "disk cannot be read or written" in (await c.describe(instance_id)).state_reason.message
        await trio.sleep(60)
        assert await status_of(c, instance_id) == "impaired"

        c.hypervisor.heal_disk(instance_id)
        await until_status(c, instance_id, "ok")
        [domain] = await c.hypervisor.domains()
        assert domain.state.value == "running"


async def test_a_guest_that_stood_still_for_a_moment_of_its_disk_goes_on_at_once(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        await trio.sleep(30)
        for _ in range(3):
            await trio.sleep(7.3)
            c.hypervisor.fail_disk(instance_id)
            c.hypervisor.heal_disk(instance_id)
            await trio.sleep(0.2)
            assert c.hypervisor._guests[instance_id].state.value == "running"
