"""What belongs to no instance: taken away, except a disk that may be all that is left of one."""

import pytest
import trio

from euca_box.messages import admin
from euca_box.messages import ec2_instances as ec2
from euca_box.messages.base import SYSTEM
from tests.sim.cloud import cloud

pytestmark = pytest.mark.trio
SWEEP_SECONDS = 31


async def ledger(c):
    reply = await c.ask(admin.ListLeftovers(), SYSTEM)
    return [(found.kind, found.name, found.deed) for found in reply.found]


async def test_a_disk_whose_removal_failed_is_taken_away_later(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await c.run_instances()
        await c.until(instance_id, "running")
        await c.ask(ec2.TerminateInstances((instance_id,)))
        await c.until(instance_id, "terminated")
        c.workbench.made.add(c.nc.folder_of(instance_id))
        await trio.sleep(SWEEP_SECONDS)
        assert c.workbench.made == set()
        assert await ledger(c) == [("disk", instance_id, "removed")]


async def test_a_disk_that_the_node_never_heard_of_is_kept_and_told_once(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        folder = c.nc.folder_of("i-0000dead")
        c.workbench.made.add(folder)
        await trio.sleep(3 * SWEEP_SECONDS)
        assert c.workbench.made == {folder}
        assert await ledger(c) == [("disk", "i-0000dead", "kept")]


async def test_sockets_of_nobody_go_and_what_others_made_stays(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await c.run_instances()
        await c.until(instance_id, "running")
        of_others = {c.nc.settings.run_folder / "net", c.nc.settings.run_folder / "libvirt"}
        lost = c.nc.sockets_of("i-0000dead")
        c.workbench.made |= {lost, *of_others}
        await trio.sleep(SWEEP_SECONDS)
        assert c.workbench.made == {c.nc.folder_of(instance_id), *of_others}
        assert await ledger(c) == [("sockets", "i-0000dead", "removed")]
        assert await c.state_of(instance_id) == "running"
