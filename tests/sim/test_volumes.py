"""Volumes and attachments through CLC, SC, CC and NC, in virtual time, with a kill at every step."""

import contextlib
from dataclasses import replace

import pytest
import trio

from euca_box.blockstore.engine import EngineError
from euca_box.messages import ec2_attributes
from euca_box.messages import ec2_instances as instances
from euca_box.messages import ec2_volumes as ec2
from euca_box.messages.base import system_call
from euca_box.messages.sc import ScBeginScrub, ScDescribeVolumes, ScExportVolume, ScGetScrub, ScUnexportVolume
from euca_box.model.errors import EucaError, IncorrectState, UnsupportedOperation
from euca_box.observe import failpoints
from tests.sim.cloud import Killed, cloud

pytestmark = pytest.mark.trio

DEVICE = "/dev/sdf"


@pytest.fixture(autouse=True)
def _disarmed():
    yield
    failpoints.disarm_all()


def kill_at(step):
    def kill():
        failpoints.disarm_all()
        raise Killed

    failpoints.arm(step, kill)


async def running(c, count=1):
    found = await c.run_instances(count=count)
    for instance_id in found:
        await c.until(instance_id, "running")
    return found


async def attached(c, instance_id, volume_id):
    await c.ask(ec2.AttachVolume(volume_id, instance_id, DEVICE))
    await c.until_volume(volume_id, "attached")
    return c.connection(instance_id, volume_id)


async def ask_and_die(c, op):
    """The failpoint ends the cloud while it answers, or soon after."""
    with contextlib.suppress(EucaError, Killed):
        await c.ask(op)
    with trio.move_on_after(60):
        await c._stopped.wait()


async def test_a_volume_is_attached_moved_and_deleted_with_its_bytes(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        first, second = await running(c, 2)
        volume_id = await c.create_volume()
        at_first = await attached(c, first, volume_id)
        c.engine.write(at_first, 0, b"hello")
        [mapping] = (await c.describe(first)).block_device_mappings
        assert (mapping.device_name, mapping.ebs.status) == (DEVICE, "attached")
        assert (await c.volume(volume_id)).state == "in-use"

        await c.ask(ec2.DetachVolume(volume_id))
        await c.until_volume(volume_id, "available")
        assert c.connection(first, volume_id) is None
        with pytest.raises(OSError, match="gone"):
            c.engine.write(at_first, 0, b"late")
        at_second = await attached(c, second, volume_id)
        assert c.engine.read(at_second, 0, 5) == b"hello"

        await c.ask(ec2.DetachVolume(volume_id, second, DEVICE))
        await c.until_volume(volume_id, "available")
        await c.ask(ec2.DeleteVolume(volume_id))
        await c.until_volume(volume_id, "gone")
        assert await c.engine.volumes() == {}


async def test_a_volume_stays_with_an_instance_that_is_stopped_and_started(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        volume_id = await c.create_volume()
        c.engine.write(await attached(c, instance_id, volume_id), 0, b"kept")
        await c.ask(instances.StopInstances((instance_id,)))
        await c.until(instance_id, "stopped")
        assert await c.engine.exported() == {}
        assert (await c.volume(volume_id)).attachments[0].state == "attached"
        await c.ask(instances.StartInstances((instance_id,)))
        await c.until(instance_id, "running")
        assert c.engine.read(c.connection(instance_id, volume_id), 0, 4) == b"kept"


async def test_a_stopped_instance_takes_volumes_and_lets_go_of_them(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        one, two = await c.create_volume(), await c.create_volume()
        await attached(c, instance_id, one)
        await c.ask(instances.StopInstances((instance_id,)))
        await c.until(instance_id, "stopped")
        await c.ask(ec2.DetachVolume(one))
        assert (await c.volume(one)).state == "available"
        await c.ask(ec2.AttachVolume(two, instance_id, DEVICE))
        assert (await c.volume(two)).attachments[0].state == "attached"
        await c.ask(instances.StartInstances((instance_id,)))
        await c.until(instance_id, "running")
        assert c.connection(instance_id, one) is None
        assert c.connection(instance_id, two) is not None


async def test_the_end_of_an_instance_frees_its_volumes(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        volume_id = await c.create_volume()
        connection = await attached(c, instance_id, volume_id)
        await c.ask(instances.TerminateInstances((instance_id,)))
        await c.until(instance_id, "terminated")
        await c.until_volume(volume_id, "available")
        with pytest.raises(OSError, match="gone"):
            c.engine.read(connection, 0, 1)
        assert await c.leftovers() == []


async def test_of_two_who_want_a_volume_one_gets_it(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        guests = await running(c, 2)
        volume_id = await c.create_volume()
        answers = []

        async def attach(instance_id):
            try:
                await c.ask(ec2.AttachVolume(volume_id, instance_id, DEVICE))
                answers.append("attaching")
            except EucaError as error:
                answers.append(error.code)

        async with trio.open_nursery() as nursery:
            for instance_id in guests:
                nursery.start_soon(attach, instance_id)
        assert sorted(answers) == ["VolumeInUse", "attaching"]
        await c.until_volume(volume_id, "attached")
        assert len([g for g in guests if c.connection(g, volume_id)]) == 1


async def test_a_guest_that_does_not_let_go_is_busy_until_it_does(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        volume_id = await c.create_volume()
        await attached(c, instance_id, volume_id)
        c.hypervisor.clinging.add((instance_id, volume_id))
        await c.ask(ec2.DetachVolume(volume_id))
        assert (await c.volume(volume_id)).attachments[0].state == "detaching"
        await c.until_volume(volume_id, "busy")
        assert (await c.volume(volume_id)).state == "in-use"
        c.hypervisor.clinging.clear()
        await c.until_volume(volume_id, "available")


async def test_force_cuts_off_a_guest_that_does_not_let_go(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        first, second = await running(c, 2)
        volume_id = await c.create_volume()
        old = await attached(c, first, volume_id)
        c.hypervisor.clinging.add((first, volume_id))
        await c.ask(ec2.DetachVolume(volume_id, force=True))
        await c.until_volume(volume_id, "available")
        new = await attached(c, second, volume_id)
        with pytest.raises(OSError, match="gone"):
            c.engine.write(old, 0, b"old")
        c.engine.write(new, 0, b"new")
        await trio.sleep(120)  # the first node goes on trying, and disturbs nobody
        c.hypervisor.clinging.clear()
        await trio.sleep(30)
        assert c.engine.read(new, 0, 3) == b"new"
        assert c.connection(first, volume_id) is None


async def test_a_late_export_of_a_fenced_attachment_is_refused(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.bus.ask("sc@z1", ScExportVolume(volume_id, 1), system_call("t"))
        await c.bus.ask("sc@z1", ScUnexportVolume(volume_id, 1, fence=True), system_call("t"))
        with pytest.raises(IncorrectState):
            await c.bus.ask("sc@z1", ScExportVolume(volume_id, 1), system_call("t"))
        assert await c.engine.exported() == {}


async def test_a_volume_that_cannot_be_plugged_in_is_free_again_with_the_reason(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        volume_id = await c.create_volume()
        c.hypervisor.hung.add(instance_id)
        await c.ask(ec2.AttachVolume(volume_id, instance_id, DEVICE))
        await c.until_volume(volume_id, "available", seconds=400)
        assert "virtual machine" in c.clc.volumes.find(volume_id).reason
        assert (await c.describe(instance_id)).block_device_mappings == ()


async def test_a_dead_storage_daemon_comes_back_for_its_holder(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        volume_id = await c.create_volume()
        connection = await attached(c, instance_id, volume_id)
        c.engine.write(connection, 0, b"before")
        c.engine.crash(volume_id)
        await trio.sleep(3)
        assert c.engine.read(connection, 0, 6) == b"before"


async def test_what_is_attached_to_nothing_is_exported_to_nobody(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.engine.export(volume_id, 1, None)
        await trio.sleep(3)
        assert await c.engine.exported() == {}
        await c.bus.ask("sc@z1", ScExportVolume(volume_id, 0), system_call("t"))
        await trio.sleep(60)
        assert await c.engine.exported() == {}


async def test_a_volume_for_which_there_is_no_room_is_in_error_and_says_why(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        failpoints.arm("sc.create.after-commit", lambda: setattr(c.engine, "broken", "the disk is gone"))
        made = await c.ask(ec2.CreateVolume("z1", 1))
        await c.until_volume(made.volume_id, "available")  # tried again
        failpoints.disarm_all()
        del c.engine._volumes[made.volume_id]
        await trio.sleep(120)
        [status] = (await c.ask(ec2.DescribeVolumeStatus((made.volume_id,)))).volume_statuses
        assert status.volume_status.status == "impaired"
        assert "gone" in status.actions[0].description


CREATE = [
    "clc.volume.after-commit",
    "sc.create.after-commit",
    "sc.create.after-engine",
    "clc.volume.after-sc",
]


@pytest.mark.parametrize("step", CREATE)
async def test_a_kill_while_a_volume_is_made_ends_with_one_volume(tmp_path, autojump_clock, step):
    async with cloud(tmp_path) as c:
        kill_at(step)
        await ask_and_die(c, ec2.CreateVolume("z1", 1))
        await c.restart()
        [volume] = (await c.ask(ec2.DescribeVolumes())).volumes
        await c.until_volume(volume.volume_id, "available")
        assert list(await c.engine.volumes()) == [volume.volume_id]


DELETE = [
    "clc.volume.after-delete",
    "sc.delete.after-commit",
    "sc.delete.after-engine",
    "clc.volume.after-gone",
]


@pytest.mark.parametrize("step", DELETE)
async def test_a_kill_while_a_volume_is_deleted_leaves_nothing(tmp_path, autojump_clock, step):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        kill_at(step)
        await ask_and_die(c, ec2.DeleteVolume(volume_id))
        await c.restart()
        await c.until_volume(volume_id, "gone")
        assert await c.engine.volumes() == {}
        assert (await c.bus.ask("sc@z1", ScDescribeVolumes(), system_call("t"))).volumes == ()


ATTACH = [
    "clc.attach.after-number",
    "clc.attach.after-commit",
    "nc.attach.after-commit",
    "sc.export.after-commit",
    "sc.export.after-engine",
    "nc.attach.after-export",
    "nc.attach.after-plug",
]


@pytest.mark.parametrize("step", ATTACH)
async def test_a_kill_while_a_volume_is_attached_ends_with_one_holder_or_none(tmp_path, autojump_clock, step):
    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        volume_id = await c.create_volume()
        kill_at(step)
        await ask_and_die(c, ec2.AttachVolume(volume_id, instance_id, DEVICE))
        await c.restart()
        if step == "clc.attach.after-number":
            assert (await c.volume(volume_id)).state == "available"
            await c.ask(ec2.AttachVolume(volume_id, instance_id, DEVICE))
        await c.until_volume(volume_id, "attached")
        c.engine.write(c.connection(instance_id, volume_id), 0, b"x")
        await c.ask(instances.TerminateInstances((instance_id,)))
        await c.until_volume(volume_id, "available")
        assert await c.leftovers() == []


DETACH = [
    "clc.detach.after-commit",
    "nc.detach.after-unplug",
    "sc.unexport.after-commit",
    "nc.detach.after-commit",
]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("step", [*DETACH, "clc.detach.after-fence"])
async def test_a_kill_while_a_volume_is_detached_ends_with_a_free_volume(
    tmp_path, autojump_clock, step, force
):
    if step == "clc.detach.after-fence" and not force:
        return
    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        volume_id = await c.create_volume()
        await attached(c, instance_id, volume_id)
        kill_at(step)
        await ask_and_die(c, ec2.DetachVolume(volume_id, force=force))
        await c.restart()
        await c.until_volume(volume_id, "available")
        await trio.sleep(60)
        assert c.connection(instance_id, volume_id) is None
        assert await c.engine.exported() == {}
        await attached(c, instance_id, volume_id)


async def test_a_volume_grows_while_nobody_has_it_and_keeps_its_content(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        [instance_id] = await running(c)
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a"})
        grown = await c.ask(ec2.ModifyVolume(volume_id, 3, "gp3"))
        assert grown.volume_modification.modification_state == "completed"
        assert (await c.volume(volume_id)).size == 3
        assert await c.engine.volumes() == {volume_id: 3 << 30}
        assert await c.content(volume_id) == {0: b"a"}
        await attached(c, instance_id, volume_id)
        await c.ask(ec2.ModifyVolume(volume_id, 4))
        await trio.sleep(5)
        assert c.hypervisor.sizes == {(instance_id, volume_id): 4 << 30}
        c.engine.write(c.connection(instance_id, volume_id), 3 << 30, b"beyond")
        with pytest.raises(EucaError, match="smaller"):
            await c.ask(ec2.ModifyVolume(volume_id, 2))
        await c.ask(instances.StopInstances((instance_id,)))
        await c.until(instance_id, "stopped")
        await c.ask(ec2.ModifyVolume(volume_id, 5))
        assert await c.engine.volumes() == {volume_id: 5 << 30}


@pytest.mark.parametrize(
    "step", ["clc.modify.after-commit", "sc.grow.after-commit", "sc.grow.after-engine", "clc.modify.after-sc"]
)
async def test_a_kill_while_a_volume_grows_ends_with_the_larger_one(tmp_path, autojump_clock, step):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        kill_at(step)
        await ask_and_die(c, ec2.ModifyVolume(volume_id, 2))
        await c.restart()
        await trio.sleep(10)
        assert (await c.volume(volume_id)).size == 2
        assert await c.engine.volumes() == {volume_id: 2 << 30}


async def test_a_node_of_another_host_is_told_that_it_gets_no_volume(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        c.sc.settings = replace(c.sc.settings, host="n2")
        with pytest.raises(UnsupportedOperation, match="on n2 only"):
            await c.bus.ask("sc@z1", ScExportVolume(volume_id, 1, host="n1"), system_call("t"))
        assert await c.engine.exported() == {}


async def test_a_volume_of_another_host_goes_through_the_relay_of_the_node(tmp_path, autojump_clock):
    async with cloud(tmp_path, sc_host="n2") as c:
        relay = c.hosts["n1"].relay
        volume_id = await c.create_volume()
        [instance_id] = await c.run_instances()
        await c.until(instance_id, "running")
        relay.broken = "the network is cut"
        await c.ask(ec2.AttachVolume(volume_id, instance_id, "/dev/sdf"))
        await c.until_volume(volume_id, "attached")
        assert relay.connected == {volume_id: 1}
        c.engine.write(c.connection(instance_id, volume_id), 0, b"far")
        c.engine.crash(volume_id)
        await trio.sleep(5)
        assert c.engine.read(c.connection(instance_id, volume_id), 0, 3) == b"far"
        await c.ask(ec2.ModifyVolume(volume_id, 2))
        await trio.sleep(20)
        assert relay.sizes[volume_id] == 2
        await c.restart()
        await c.ask(ec2.DetachVolume(volume_id))
        await c.until_volume(volume_id, "available")
        assert relay.connected == {}
        assert await c.engine.exported() == {}
        await c.ask(ec2.AttachVolume(volume_id, instance_id, "/dev/sdf"))
        await c.until_volume(volume_id, "attached")
        assert relay.connected == {volume_id: 2}
        await c.ask(instances.TerminateInstances((instance_id,)))
        await c.until(instance_id, "terminated")
        await c.until_volume(volume_id, "available")
        assert relay.connected == {}


@pytest.mark.parametrize(
    "step", ["nc.attach.after-relay", "sc.export.after-commit", "sc.export.after-engine"]
)
async def test_a_kill_while_a_volume_of_another_host_comes_ends_with_one_holder(
    tmp_path, autojump_clock, step
):
    def kill():
        failpoints.disarm_all()
        raise Killed

    async with cloud(tmp_path, sc_host="n2") as c:
        volume_id = await c.create_volume()
        [instance_id] = await c.run_instances()
        await c.until(instance_id, "running")
        failpoints.arm(step, kill)
        with contextlib.suppress(EucaError, Killed):
            await c.ask(ec2.AttachVolume(volume_id, instance_id, "/dev/sdf"))
        with trio.move_on_after(60):
            await c._stopped.wait()
        await c.restart()
        await c.until_volume(volume_id, "attached")
        c.engine.write(c.connection(instance_id, volume_id), 0, b"x")
        assert await c.engine.exported() == {volume_id: 1}


async def test_a_volume_that_an_internal_error_keeps_from_being_made_ends_in_error_with_the_reason(
    tmp_path, autojump_clock, monkeypatch
):
    def fails(*_):
        raise ValueError

    async with cloud(tmp_path) as c:
        monkeypatch.setattr("euca_box.roles.clc.volume_keys.volume_key", fails)
        volume_id = (await c.ask(ec2.CreateVolume("z1", 1))).volume_id
        await c.until_volume(volume_id, "error", 2 * c.clc.settings.volume_seconds)
        assert "internal error" in c.clc.volumes.find(volume_id).reason
        await c.ask(ec2.DeleteVolume(volume_id))
        await c.until_volume(volume_id, "gone")


async def test_a_volume_that_cannot_be_deleted_in_time_says_why_and_can_be_deleted_again(
    tmp_path, autojump_clock, monkeypatch
):
    async def fails(*_):
        raise EngineError("the disk is gone")

    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        monkeypatch.setattr(c.engine, "delete", fails)
        await c.ask(ec2.DeleteVolume(volume_id))
        await c.until_volume(volume_id, "error", 2 * c.clc.settings.volume_seconds)
        assert "not deleted in time" in c.clc.volumes.find(volume_id).reason
        monkeypatch.undo()
        await c.ask(ec2.DeleteVolume(volume_id))
        await c.until_volume(volume_id, "gone")


async def test_whether_a_volume_goes_with_its_instance_can_be_changed(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        [instance_id] = await running(c)
        await attached(c, instance_id, volume_id)
        for ebs in (("vol-00000000", True), (None, True)):
            mapping = ec2_attributes.InstanceBlockDeviceMappingSpecification(
                "/dev/sdf", ec2_attributes.EbsInstanceBlockDeviceSpecification(*ebs)
            )
            op = ec2_attributes.ModifyInstanceAttribute(instance_id, block_device_mappings=(mapping,))
            if ebs[0]:
                with pytest.raises(EucaError) as caught:
                    await c.ask(op)
                assert caught.value.code == "InvalidInstanceAttributeValue"
            else:
                await c.ask(op)
        [shown] = (await c.ask(ec2.DescribeVolumes((volume_id,)))).volumes
        assert shown.attachments[0].delete_on_termination
        await c.ask(instances.TerminateInstances((instance_id,)))
        await c.until_volume(volume_id, "gone")


async def test_ids_of_what_was_deleted_are_forgotten_after_months(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.ask(ec2.DeleteVolume(volume_id))
        await c.until_volume(volume_id, "gone")
        await c.sc.forget_tombstones(3600.0)
        assert volume_id in c.sc.tombstones
        await c.sc.forget_tombstones(-1.0)
        assert volume_id not in c.sc.tombstones
        assert await c.stores["sc"].read("SELECT * FROM tombstone") == []


async def test_what_the_disk_cannot_read_is_found_told_and_lifted_again(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        c.sc.settings = replace(c.sc.settings, scrub_mib_per_second=2.0, scrub_days=1.0)
        good, bad = sorted([await c.create_volume(), await c.create_volume()])
        await c.fill(good, dict.fromkeys(range(40), b"a"))
        await c.fill(bad, dict.fromkeys((0, 3, 4, 900), b"b"))
        c.engine._volumes[bad].unreadable = {3, 900}
        await c.ask_sc(ScBeginScrub())
        await trio.sleep(200)
        report = await c.ask_sc(ScGetScrub())
        assert report.is_done
        assert report.checked_bytes == 44 << 20
        assert [(p.volume_id, p.offset_bytes >> 20) for p in report.unreadable] == [(bad, 3), (bad, 900)]
        [shown] = (await c.ask(ec2.DescribeVolumeStatus((bad,)))).volume_statuses
        assert shown.volume_status.status == "impaired"
        assert "cannot read" in shown.actions[0].description
        [shown] = (await c.ask(ec2.DescribeVolumeStatus((good,)))).volume_statuses
        assert shown.volume_status.status == "ok"
        await c.restart()
        c.sc.settings = replace(c.sc.settings, scrub_mib_per_second=2.0, scrub_days=0.01)
        c.engine._volumes[bad].unreadable = {900}
        await trio.sleep(1000)
        report = await c.ask_sc(ScGetScrub())
        assert [(p.volume_id, p.offset_bytes >> 20) for p in report.unreadable] == [(bad, 900)]


async def test_a_volume_whose_file_was_cut_is_not_attached_and_says_why(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        c.engine._volumes[volume_id].size_bytes = 1 << 20
        await trio.sleep(120)
        [shown] = (await c.ask(ec2.DescribeVolumeStatus((volume_id,)))).volume_statuses
        assert shown.volume_status.status == "impaired"
        assert "shorter" in shown.actions[0].description
        with pytest.raises(IncorrectState, match="shorter"):
            await c.ask_sc(ScExportVolume(volume_id, 1))
        assert (await c.engine.volumes())[volume_id] == 1 << 20
