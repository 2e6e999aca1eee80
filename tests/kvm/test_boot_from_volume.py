"""Real guests whose root is a volume: from a snapshot to SSH, over a stop and a start, to an image."""

import time

import pytest

from tests.kvm import test_first_guest
from tests.kvm.real import demo
from tests.kvm.test_first_guest import Cloud, group_id, images, key, launch, running_cloud, ssh
from tests.kvm.test_volumes import ZONE, attach, detach, disk_of, until, until_stored

pytestmark = test_first_guest.pytestmark
__all__ = ["group_id", "images", "key"]  # fixtures of this module, too


class OwnCloud(Cloud):
    """Beside that of the other tests."""

    bridge = "ebr13"
    private, public = "10.95.0", "10.96.0"


@pytest.fixture(scope="module")
def cloud():
    with running_cloud(OwnCloud) as c:
        yield c


@pytest.fixture(scope="module")
def golden(cloud, images, key, group_id):
    """The disk of a guest, copied by the guest to a volume, as an image of the volume's snapshot."""
    [guest] = launch(cloud, images["disk"], group_id)
    volume = cloud.ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    until(cloud, volume, "available")
    attach(cloud, volume, guest)
    target, size_mib = disk_of(key, guest, volume), -(-demo().disk.stat().st_size // (1 << 20))
    copy = f"sync; dd if=/dev/vda of={target} bs=1M count={size_mib} conv=fsync 2>/dev/null; sync"
    ssh(key, guest["PublicIpAddress"], copy)
    detach(cloud, volume)
    snapshot = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    until_stored(cloud, snapshot)
    cloud.ec2.delete_volume(VolumeId=volume)
    cloud.terminate([guest["InstanceId"]])
    root = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}
    return cloud.ec2.register_image(Name="golden", BlockDeviceMappings=[root])["ImageId"]


def root_of(guest) -> str:
    [root] = [m for m in guest["BlockDeviceMappings"] if m["DeviceName"] == guest["RootDeviceName"]]
    return root["Ebs"]["VolumeId"]


def test_a_guest_boots_from_a_volume_keeps_it_over_a_stop_and_is_imaged(cloud, golden, key, group_id):
    [guest] = launch(cloud, golden, group_id)
    assert guest["RootDeviceType"] == "ebs"
    address, root = guest["PublicIpAddress"], root_of(guest)
    assert ssh(key, address, "cat /sys/block/vda/serial").strip() == root
    ssh(key, address, "echo kept > /root/before-stop && sync")

    cloud.ec2.stop_instances(InstanceIds=[guest["InstanceId"]])
    cloud.wait_state([guest["InstanceId"]], "stopped")
    cloud.ec2.start_instances(InstanceIds=[guest["InstanceId"]])
    [guest] = cloud.wait_state([guest["InstanceId"]], "running")
    assert ssh(key, guest["PublicIpAddress"], "cat /root/before-stop") == "kept\n"

    image = cloud.ec2.create_image(InstanceId=guest["InstanceId"], Name="second")["ImageId"]
    deadline = time.monotonic() + 120
    while (found := cloud.ec2.describe_images(ImageIds=[image])["Images"][0])["State"] == "pending":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert found["State"] == "available", found
    [again] = launch(cloud, image, group_id)
    assert ssh(key, again["PublicIpAddress"], "cat /root/before-stop") == "kept\n"
    ids = [guest["InstanceId"], again["InstanceId"]]
    cloud.terminate(ids)
    deadline = time.monotonic() + 30
    while cloud.ec2.describe_volumes()["Volumes"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert list((cloud.data.path / "sc" / "volumes").iterdir()) == []
    assert cloud.leftovers() == []
