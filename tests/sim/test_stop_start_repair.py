"""Stops and starts that a crash interrupts, rows of a version that knew none, and changes of what runs."""

import contextlib
import json

import pytest
import trio

from euca_box.messages import ec2_attributes, ec2_groups, ec2_statuses
from euca_box.messages import ec2_instances as ec2
from euca_box.model.errors import EucaError
from euca_box.observe import failpoints
from euca_box.store.store import Statement
from tests.sim.cloud import Killed, cloud
from tests.sim.test_stop_start import running, start, stop

pytestmark = pytest.mark.trio


@pytest.fixture(autouse=True)
def _disarmed():
    yield
    failpoints.disarm_all()


async def test_new_groups_and_metadata_options_are_in_force_on_the_running_guest(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        [port] = await c.network.ports()
        made = await c.ask(ec2_groups.CreateSecurityGroup("web", "d"))
        await c.ask(ec2_attributes.ModifyInstanceAttribute(instance_id, groups=(made.group_id,)))
        [now] = await c.network.ports()
        assert (port.group_ids != now.group_ids, now.group_ids) == (True, (made.group_id,))
        assert made.group_id in c.network.groups

        reply = await c.ask(ec2_attributes.ModifyInstanceMetadataOptions(instance_id, http_tokens="required"))
        assert reply.instance_metadata_options.state == "applied"
        assert c.nc.residents[instance_id].spec.http_tokens == "required"
        assert await c.state_of(instance_id) == "running"


async def test_groups_that_the_network_refuses_at_first_come_later(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        web = (await c.ask(ec2_groups.CreateSecurityGroup("web", "d"))).group_id
        # So that the node knows both groups, before and after.
        await running(c, security_group_ids=(web,))
        await running(c)
        instance_id = await running(c)
        c.network.broken = "nft does not answer"
        await c.ask(ec2_attributes.ModifyInstanceAttribute(instance_id, groups=(web,)))
        assert c.network.broken is None
        await trio.sleep(5)
        assert c.network.plugged[instance_id].group_ids == (web,)


async def test_a_change_while_the_node_is_down_comes_later(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        change = ec2_attributes.ModifyInstanceAttribute(
            instance_id, instance_initiated_shutdown_behavior=ec2_attributes.AttributeValue("stop")
        )
        c.cc.nodes["nc@n1"].up = False
        await c.ask(change)
        await trio.sleep(60)
        assert c.nc.residents[instance_id].spec.shutdown_behavior == "stop"


FAILPOINTS = [
    "clc.stop.after-commit",
    "clc.halt.after-cc",
    "cc.stop.after-commit",
    "nc.halt.after-destroy",
    "nc.halt.before-commit",
    "cc.stopped.after-commit",
    "clc.start.after-commit",
    "cc.start.after-commit",
    "clc.start.after-cc",
    "nc.start.after-disk",
    "nc.start.after-plug",
    "nc.start.after-create",
]


@pytest.mark.parametrize("name", FAILPOINTS)
async def test_a_crash_at_any_step_is_repaired(tmp_path, autojump_clock, name):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        before = await c.describe(instance_id)
        killed = trio.Event()

        def kill():
            failpoints.disarm_all()
            killed.set()
            raise Killed

        async def through(wish, state):
            was_killed = killed.is_set()
            with contextlib.suppress(EucaError):
                await wish(c, instance_id)
            with trio.move_on_after(90):
                await killed.wait()
            if killed.is_set() and not was_killed:
                await c.kill()
                await c.start()
            await wish(c, instance_id)
            return await c.until(instance_id, state, seconds=400)

        failpoints.arm(name, kill)
        await through(stop, "stopped")
        assert c.hypervisor.machines == {}
        again = await through(start, "running")
        assert killed.is_set()
        assert list(c.hypervisor.machines) == [instance_id]
        assert again.private_ip_address == before.private_ip_address
        assert c.workbench.overlays == [instance_id]
        await trio.sleep(60)
        assert await c.state_of(instance_id) == "running"

        await c.ask(ec2.TerminateInstances((instance_id,)))
        await c.until(instance_id, "terminated", seconds=400)
        await trio.sleep(60)
        assert await c.leftovers() == []


NEW_FIELDS = {
    "clc": ("generation", "starts", "stop_forced", "shutdown_behavior", "disable_api_termination"),
    "cc": ("stopping", "stopped", "force"),
    "nc": ("stopping", "stopped", "force", "launched"),
}


async def test_an_instance_of_a_version_that_could_not_stop_is_stopped_and_keeps_its_disk(
    tmp_path, autojump_clock
):
    async with cloud(tmp_path) as c:
        instance_id = await running(c)
        await c.kill()
        for role, fields in NEW_FIELDS.items():
            [row] = await c.stores[role].read("SELECT record FROM instance")
            record = {k: v for k, v in json.loads(row["record"]).items() if k not in fields}
            if "spec" in record:
                for field in ("generation", "starts", "shutdown_behavior"):
                    del record["spec"][field]
            await c.stores[role].write(Statement("UPDATE instance SET record = ?", (json.dumps(record),)))
        await c.start()

        await stop(c, instance_id)
        await c.until(instance_id, "stopped")
        await start(c, instance_id)
        await c.until(instance_id, "running")
        assert c.workbench.overlays == [instance_id]


async def test_status_tells_a_node_that_is_down_and_what_is_not_known_yet(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:

        async def status_of(instance_id):
            op = ec2_statuses.DescribeInstanceStatus((instance_id,), include_all_instances=True)
            [found] = (await c.ask(op)).instance_statuses
            return found.system_status.status, found.instance_status.status

        [instance_id] = await c.run_instances()
        assert await status_of(instance_id) == ("insufficient-data", "insufficient-data")
        await c.until(instance_id, "running")
        assert await status_of(instance_id) == ("ok", "ok")
        c.cc.nodes["nc@n1"].up = False
        assert await status_of(instance_id) == ("impaired", "insufficient-data")
