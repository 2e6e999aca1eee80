"""Encrypted volumes and their snapshots through CLC, SC and Walrus, in virtual time."""

import pytest
import trio

from euca_box.messages import ec2_instances as instances
from euca_box.messages import ec2_snapshots as ec2
from euca_box.messages import ec2_volumes as volumes
from euca_box.messages.ec2_instances import BlockDeviceMapping, EbsBlockDevice
from euca_box.model.errors import EucaError
from tests.sim.cloud import MALLORY, cloud

pytestmark = pytest.mark.trio


async def encrypted(c, **more):
    made = await c.ask(volumes.CreateVolume("z1", 1, encrypted=True, **more))
    assert made.encrypted
    await c.until_volume(made.volume_id, "available")
    return made.volume_id


async def restored(c, snapshot_id, **more):
    made = await c.ask(volumes.CreateVolume("z1", snapshot_id=snapshot_id, **more))
    await c.until_volume(made.volume_id, "available")
    return made, await c.content(made.volume_id)


def key_at(c, volume_id):
    """With which the engine keeps it."""
    return c.engine._volumes[volume_id].key


def plain_chunks(c):
    return [data for key, data in c.vault.objects.items() if b"a" * 64 in data or b"b" * 64 in data]


async def test_a_snapshot_of_an_encrypted_volume_is_encrypted_and_so_is_a_volume_of_it(
    tmp_path, autojump_clock
):
    async with cloud(tmp_path) as c:
        volume_id = await encrypted(c)
        assert len(key_at(c, volume_id)) == 32
        await c.fill(volume_id, {0: b"a", 5: b"b"})
        snapshot_id = await c.create_snapshot(volume_id)
        assert (await c.snapshot(snapshot_id)).encrypted
        assert c.chunks() == 2
        assert plain_chunks(c) == []
        made, content = await restored(c, snapshot_id)
        assert made.encrypted
        assert content == {0: b"a", 5: b"b"}
        assert key_at(c, made.volume_id) == key_at(c, volume_id)
        before = c.vault.puts
        await c.create_snapshot(made.volume_id)
        assert c.vault.puts - before == 1  # the manifest: the chunks are those of the first one


async def test_a_volume_may_be_encrypted_whose_snapshot_is_not_and_two_have_different_keys(
    tmp_path, autojump_clock
):
    async with cloud(tmp_path) as c:
        volume_id = await c.create_volume()
        await c.fill(volume_id, {0: b"a"})
        plain = await c.create_snapshot(volume_id)
        made, content = await restored(c, plain, encrypted=True)
        other, _ = await restored(c, plain, encrypted=True)
        assert content == {0: b"a"}
        assert key_at(c, made.volume_id) != key_at(c, other.volume_id)
        chunks = c.chunks()
        second = await c.create_snapshot(made.volume_id)
        assert c.chunks() == chunks + 1
        await c.ask(volumes.DeleteVolume(made.volume_id))
        await c.until_volume(made.volume_id, "gone")
        await c.restart()
        _, content = await restored(c, second)
        assert content == {0: b"a"}


async def test_copies_have_the_key_and_survive_their_source(tmp_path, autojump_clock):
    async with cloud(tmp_path) as c:
        volume_id = await encrypted(c)
        await c.fill(volume_id, {0: b"a"})
        source = await c.create_snapshot(volume_id)
        copy = (await c.ask(ec2.CopySnapshot("us-east-1", source, encrypted=True))).snapshot_id
        await c.until_snapshot(copy, "completed")
        await c.ask(ec2.DeleteSnapshot(source))
        await c.until_snapshot(source, "gone")
        assert (await c.snapshot(copy)).encrypted
        _, content = await restored(c, copy)
        assert content == {0: b"a"}


async def test_a_copy_does_not_become_encrypted_and_an_encrypted_one_is_not_for_everybody(
    tmp_path, autojump_clock
):
    async with cloud(tmp_path) as c:
        plain = await c.create_snapshot(await c.create_volume())
        with pytest.raises(EucaError) as caught:
            await c.ask(ec2.CopySnapshot("us-east-1", plain, encrypted=True))
        assert caught.value.code == "UnsupportedOperation"
        secret = await c.create_snapshot(await encrypted(c))
        everybody = ec2.CreateVolumePermissionModifications((ec2.CreateVolumePermission(group="all"),))
        with pytest.raises(EucaError) as caught:
            await c.ask(ec2.ModifySnapshotAttribute(secret, create_volume_permission=everybody))
        assert caught.value.code == "InvalidParameterValue"


async def test_instances_have_encrypted_volumes_and_no_key_is_in_a_row_or_left_when_they_are_gone(
    tmp_path, autojump_clock
):
    async with cloud(tmp_path) as c:
        mapping = BlockDeviceMapping("/dev/sdf", ebs=EbsBlockDevice(volume_size=1, encrypted=True))
        [instance_id] = await c.run_instances(block_device_mappings=(mapping,))
        await c.until(instance_id, "running")
        [volume] = c.clc.volumes.all()
        assert volume.encrypted
        key = key_at(c, volume.volume_id).hex()
        for role, table in (("clc", "volume"), ("sc", "volume")):
            rows = await c.stores[role].read(f"SELECT record FROM {table}")
            assert rows
            assert all(key not in row["record"] for row in rows)
        assert key not in repr(volume)
        await c.ask(instances.TerminateInstances((instance_id,)))
        await c.until_volume(volume.volume_id, "gone")
        await trio.sleep(5)
        for role in ("clc", "sc"):
            assert await c.stores[role].read("SELECT record FROM volume") == []


async def test_another_account_makes_volumes_of_an_encrypted_snapshot_that_it_was_given(
    tmp_path, autojump_clock
):
    async with cloud(tmp_path) as c:
        volume_id = await encrypted(c)
        await c.fill(volume_id, {0: b"a"})
        snapshot_id = await c.create_snapshot(volume_id)
        with pytest.raises(EucaError) as caught:
            await c.ask(volumes.CreateVolume("z1", snapshot_id=snapshot_id), MALLORY)
        assert caught.value.code == "InvalidSnapshot.NotFound"
