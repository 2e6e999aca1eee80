"""A disk that boots by UEFI only, registered as such, becomes a guest that answers."""

import pytest

from euca_box.kvm.firmware import find_uefi
from tests.kvm import test_first_guest, uefi_disk
from tests.kvm.real import demo
from tests.kvm.test_first_guest import Cloud, group_id, key, launch, running_cloud, ssh
from tests.kvm.test_volumes import ZONE, attach, detach, disk_of, until

pytestmark = [
    *test_first_guest.pytestmark,
    pytest.mark.skipif(find_uefi() is None, reason="needs Debian's package ovmf"),
    pytest.mark.skipif(bool(uefi_disk.missing()), reason=f"missing: {', '.join(uefi_disk.missing())}"),
]
__all__ = ["group_id", "key"]  # fixtures of this module, too


class OwnCloud(Cloud):
    """Beside that of the other tests."""

    bridge = "ebr15"
    private, public = "10.97.0", "10.98.0"


@pytest.fixture(scope="module")
def cloud():
    with running_cloud(OwnCloud) as c:
        yield c


@pytest.fixture(scope="module")
def disk(cloud, tmp_path_factory):
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="images")
    s3.upload_file(str(uefi_disk.build(tmp_path_factory.mktemp("uefi"), demo())), "images", "disk")


def register(cloud, boot_mode):
    made = cloud.ec2.register_image(Name=boot_mode, ImageLocation="images/disk", BootMode=boot_mode)
    return made["ImageId"]


@pytest.mark.parametrize("boot_mode", ["uefi", "uefi-preferred"])
def test_a_disk_with_a_uefi_boot_loader_boots_and_boots_again(cloud, disk, key, group_id, boot_mode):
    # The firmware needs more memory than the smallest type has.
    assert cloud.run("vm-type", "set", "m1.small", "--memory", "256").returncode == 0
    [guest] = launch(cloud, register(cloud, boot_mode), group_id)
    assert guest["BootMode"] == boot_mode
    seen = "ls -d /sys/firmware/efi; cat /proc/sys/kernel/random/boot_id"
    first = ssh(key, guest["PublicIpAddress"], seen, 240).split()
    assert first[0] == "/sys/firmware/efi"
    volume = cloud.ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    until(cloud, volume, "available")
    attach(cloud, volume, guest)  # into a port that was left free for it
    assert disk_of(key, guest, volume).startswith("/dev/vd")
    detach(cloud, volume)
    cloud.ec2.delete_volume(VolumeId=volume)
    cloud.ec2.stop_instances(InstanceIds=[guest["InstanceId"]])
    cloud.wait_state([guest["InstanceId"]], "stopped")
    cloud.ec2.start_instances(InstanceIds=[guest["InstanceId"]])
    [again] = cloud.wait_state([guest["InstanceId"]], "running")
    second = ssh(key, again["PublicIpAddress"], seen, 240).split()
    assert second[0] == first[0] and second[1] != first[1]
    cloud.terminate([guest["InstanceId"]])
    assert cloud.leftovers() == []
