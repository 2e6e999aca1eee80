"""Instances whose root is a volume, in virtual time: launch, stop, start, swap of the root, their images."""

import contextlib

import pytest
import trio

from euca_box.messages import ec2_image_copies, ec2_images
from euca_box.messages import ec2_instances as instances
from euca_box.messages import ec2_snapshots as snapshots
from euca_box.messages import ec2_volumes as volumes
from euca_box.messages.ec2_instances import BlockDeviceMapping, EbsBlockDevice
from euca_box.model.ec2_errors import IncorrectInstanceState, InvalidSnapshotInUse
from euca_box.model.errors import EucaError
from euca_box.observe import failpoints
from tests.sim.cloud import Killed, cloud

pytestmark = pytest.mark.trio

ROOT = "/dev/sda1"


@pytest.fixture(autouse=True)
def _disarmed():
    yield
    failpoints.disarm_all()


async def golden(c, **more) -> tuple[str, str]:
    """An image of a snapshot, and the snapshot."""
    volume_id = await c.create_volume()
    await c.fill(volume_id, {0: b"r", 9: b"s"})
    snapshot_id = await c.create_snapshot(volume_id)
    await c.ask(volumes.DeleteVolume(volume_id))
    root = BlockDeviceMapping(ROOT, ebs=EbsBlockDevice(snapshot_id))
    op = ec2_images.RegisterImage(name="golden", block_device_mappings=(root,), **more)
    return (await c.ask(op)).image_id, snapshot_id


async def launch(c, image_id, *mappings, **more):
    op = instances.RunInstances(image_id, 1, 1, block_device_mappings=mappings, **more)
    [made] = (await c.ask(op)).instances
    return await c.until(made.instance_id, "running")


def volumes_of(instance):
    return {m.device_name: m.ebs.volume_id for m in instance.block_device_mappings}


async def until_image(c, image_id, state="available"):
    with trio.fail_after(200):
        while c.clc.images.find(image_id).state != state:
            await trio.sleep(0.5)


async def test_an_instance_boots_from_a_volume_of_the_snapshot_which_goes_with_it(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        image_id, snapshot_id = await golden(c)
        shown = (await c.ask(ec2_images.DescribeImages((image_id,)))).images[0]
        assert (shown.root_device_type, shown.block_device_mappings[0].ebs.snapshot_id) == (
            "ebs",
            snapshot_id,
        )
        instance = await launch(c, image_id)
        assert instance.root_device_type == "ebs"
        root = volumes_of(instance)[ROOT]
        first = c.hypervisor.machines[instance.instance_id].disks[0]
        assert (first.target, first.serial, first.export) == ("vda", root, f"{root}.g1")
        assert await c.content(root) == {0: b"r", 9: b"s"}
        assert c.workbench.overlays == []
        assert c.workbench.fetches == 0

        await c.ask(instances.TerminateInstances((instance.instance_id,)))
        await c.until_volume(root, "gone")
        assert await c.engine.volumes() == {}
        with pytest.raises(InvalidSnapshotInUse):
            await c.ask(snapshots.DeleteSnapshot(snapshot_id))


async def test_mappings_change_the_root_and_add_volumes(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        image_id, snapshot_id = await golden(c)
        bigger = BlockDeviceMapping(ROOT, ebs=EbsBlockDevice(volume_size=3, delete_on_termination=False))
        data = BlockDeviceMapping("/dev/sdf", ebs=EbsBlockDevice(volume_size=2))
        copy = BlockDeviceMapping("/dev/sdg", ebs=EbsBlockDevice(snapshot_id, delete_on_termination=False))
        instance = await launch(c, image_id, bigger, data, copy)
        found = volumes_of(instance)
        sizes = {d: c.clc.volumes.find(v).size_gib for d, v in found.items()}
        assert sizes == {ROOT: 3, "/dev/sdf": 2, "/dev/sdg": 1}
        assert c.hypervisor.machines[instance.instance_id].disks[0].serial == found[ROOT]
        await c.ask(instances.TerminateInstances((instance.instance_id,)))
        await c.until_volume(found["/dev/sdf"], "gone")
        for device in (ROOT, "/dev/sdg"):
            await c.until_volume(found[device], "available")
            assert await c.content(found[device]) == {0: b"r", 9: b"s"}


async def test_volumes_are_made_with_an_instance_of_an_instance_store_image(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        data = BlockDeviceMapping("/dev/sdf", ebs=EbsBlockDevice(volume_size=2))
        instance = await launch(c, "emi-00000001", data)
        volume_id = volumes_of(instance)["/dev/sdf"]
        assert instance.root_device_type == "instance-store"
        assert c.connection(instance.instance_id, volume_id) is not None
        await c.ask(instances.TerminateInstances((instance.instance_id,)))
        await c.until_volume(volume_id, "gone")


async def test_the_root_is_kept_over_a_stop_and_swapped_while_stopped(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        image_id, snapshot_id = await golden(c)
        instance = await launch(c, image_id)
        instance_id, root = instance.instance_id, volumes_of(instance)[ROOT]
        with pytest.raises(EucaError):
            await c.ask(volumes.DetachVolume(root))
        c.engine.write(c.connection(instance_id, root), 0, b"new")
        await c.ask(instances.StopInstances((instance_id,)))
        await c.until(instance_id, "stopped")
        await c.ask(instances.StartInstances((instance_id,)))
        await c.until(instance_id, "running")
        assert c.engine.read(c.connection(instance_id, root), 0, 3) == b"new"

        await c.ask(instances.StopInstances((instance_id,)))
        await c.until(instance_id, "stopped")
        await c.ask(volumes.DetachVolume(root))
        with pytest.raises(IncorrectInstanceState, match="no volume at /dev/sda1"):
            await c.ask(instances.StartInstances((instance_id,)))
        made = await c.ask(volumes.CreateVolume("z1", snapshot_id=snapshot_id))
        await c.until_volume(made.volume_id, "available")
        await c.ask(volumes.AttachVolume(made.volume_id, instance_id, "sda1"))
        await c.ask(instances.StartInstances((instance_id,)))
        await c.until(instance_id, "running")
        assert c.hypervisor.machines[instance_id].disks[0].serial == made.volume_id
        await c.ask(instances.TerminateInstances((instance_id,)))
        await c.until_volume(made.volume_id, "available")
        assert (await c.volume(root)).state == "available"


async def test_an_image_of_such_an_instance_is_snapshots_of_all_its_volumes(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        image_id, _ = await golden(c)
        data = BlockDeviceMapping("/dev/sdf", ebs=EbsBlockDevice(volume_size=2))
        instance = await launch(c, image_id, data)
        found = volumes_of(instance)
        c.engine.write(c.connection(instance.instance_id, found["/dev/sdf"]), 5 << 20, b"data")
        events = c.hypervisor.events()
        made = await c.ask(ec2_image_copies.CreateImage(instance.instance_id, "second"))
        await until_image(c, made.image_id)
        assert "rebooted" in [
            events.receive_nowait().kind for _ in range(events.statistics().current_buffer_used)
        ]
        again = await launch(c, made.image_id)
        copies = volumes_of(again)
        assert await c.content(copies[ROOT]) == {0: b"r", 9: b"s"}
        assert await c.content(copies["/dev/sdf"]) == {5: b"d"}
        assert {*copies.values()} & {*found.values()} == set()

        copied = await c.ask(ec2_image_copies.CopyImage("third", made.image_id, "us-east-1"))
        await until_image(c, copied.image_id)
        await c.ask(ec2_images.DeregisterImage(made.image_id))
        for snapshot in [
            s for s in c.clc.snapshots.all() if made.image_id in s.description and not s.source_id
        ]:
            await c.ask(snapshots.DeleteSnapshot(snapshot.snapshot_id))
            await c.until_snapshot(snapshot.snapshot_id, "gone")
        third = await launch(c, copied.image_id)
        assert await c.content(volumes_of(third)[ROOT]) == {0: b"r", 9: b"s"}


async def test_a_root_that_cannot_be_made_ends_the_launch_with_the_reason(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        image_id, _ = await golden(c)
        for place in [p for p in c.vault.objects if p[1].startswith("manifests/")]:
            c.vault.objects[place] = b"rot"
        op = instances.RunInstances(image_id, 1, 1)
        [made] = (await c.ask(op)).instances
        instance = await c.until(made.instance_id, "terminated")
        assert "manifest" in instance.state_reason.message
        await trio.sleep(10)
        assert c.clc.volumes.all() == []
        assert await c.leftovers() == []


@pytest.mark.parametrize("ebs", [
    EbsBlockDevice("snap-00000000"), EbsBlockDevice(volume_size=0), EbsBlockDevice(),
    EbsBlockDevice(volume_size=1, volume_type="io1"),
    EbsBlockDevice(volume_size=100000),
])  # fmt: skip
async def test_a_volume_that_cannot_be_had_refuses_the_launch(tmp_path, autojump_clock, ebs):
    async with cloud(tmp_path) as c:
        with pytest.raises(EucaError):
            await c.run_instances(block_device_mappings=(BlockDeviceMapping("/dev/sdf", ebs=ebs),))
        assert c.clc.volumes.all() == []
        assert c.clc.instances.all() == []


STEPS = ["clc.run.after-commit", "sc.create.after-fill", "nc.attach.after-commit", "sc.export.after-engine",
         "nc.start.before-resume", "nc.start.after-create"]  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
async def test_a_kill_while_it_is_launched_ends_with_one_guest_on_one_root(tmp_path, autojump_clock, step):
    def kill():
        failpoints.disarm_all()
        raise Killed

    async with cloud(tmp_path) as c:
        image_id, _ = await golden(c)
        failpoints.arm(step, kill)
        with contextlib.suppress(EucaError, Killed):
            await c.ask(instances.RunInstances(image_id, 1, 1))
        with trio.move_on_after(60):
            await c._stopped.wait()
        await c.restart()
        [record] = c.clc.instances.all()
        instance = await c.until(record.instance_id, "running")
        root = volumes_of(instance)[ROOT]
        await c.content(root)  # once it is filled: its guest is cut off for a moment then
        c.engine.write(c.connection(record.instance_id, root), 0, b"x")
        await c.ask(instances.TerminateInstances((record.instance_id,)))
        await c.until_volume(root, "gone")
        assert await c.leftovers() == []


@pytest.mark.parametrize(
    "step", ["clc.image.after-snapshots", "sc.snapshot.after-taken", "clc.snapshot.after-sc"]
)
async def test_a_kill_while_an_image_is_made_ends_with_the_image(tmp_path, autojump_clock, step):
    def kill():
        failpoints.disarm_all()
        raise Killed

    async with cloud(tmp_path) as c:
        image_id, _ = await golden(c)
        instance = await launch(c, image_id)
        failpoints.arm(step, kill)
        op = ec2_image_copies.CreateImage(instance.instance_id, "second", no_reboot=True)
        with contextlib.suppress(EucaError, Killed):
            made = (await c.ask(op)).image_id
        with trio.move_on_after(60):
            await c._stopped.wait()
        failpoints.disarm_all()
        await c.restart()
        await until_image(c, made)
        again = await launch(c, made)
        assert await c.content(volumes_of(again)[ROOT]) == {0: b"r", 9: b"s"}
