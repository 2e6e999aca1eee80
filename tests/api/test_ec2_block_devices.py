"""The disks that a VM type gives beside the root, and the mappings that name them."""

from collections.abc import Iterator

import pytest

from tests.api.cloud_box import CloudBox, refused, running_cloud


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    with running_cloud(tmp_path_factory.mktemp("disks")) as cloud:
        cloud.admin(
            "SetVmType", name="m3.medium", cpu=1, memory_mib=128, disk_gib=2, ephemeral_gib=3, swap_mib=512
        )
        cloud.image = cloud.register_images()[2]
        yield cloud
        cloud.terminate_all()


def disks(box: CloudBox, *mappings: dict, vm_type: str = "m3.medium") -> dict[str, tuple[str, str]]:
    """What an instance of this request gets: serial -> target and what the file was made as."""
    wanted = {"BlockDeviceMappings": list(mappings)} if mappings else {}
    [instance_id] = box.run_instances(box.image, InstanceType=vm_type, **wanted)
    box.until_state(instance_id, "running")
    machine = box.hypervisor.machines[instance_id]
    return {disk.serial: (disk.target, disk.path.read_text()) for disk in machine.disks[1:]}


EPHEMERAL = ("vdb", f"ext4 ephemeral0 {3 << 30}")
SWAP = ("vdc", f"swap swap {512 << 20}")


def test_a_vm_type_gives_its_disks_without_being_asked(box):
    assert disks(box) == {"ephemeral0": EPHEMERAL, "swap": SWAP}


def test_a_vm_type_without_them_gives_none_as_on_aws(box):
    assert disks(box, {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"}, vm_type="m1.small") == {}


@pytest.mark.parametrize(
    "mappings",
    [
        [
            {"DeviceName": "/dev/sda2", "VirtualName": "ephemeral"},
            {"DeviceName": "sda3", "VirtualName": "swap"},
        ],
        [{"DeviceName": "/dev/xvdf", "VirtualName": "ephemeral0"}],
        [
            {"DeviceName": "sda1", "VirtualName": "ami"},
            {"DeviceName": "/dev/sdd", "VirtualName": "ephemeral1"},
        ],
    ],
    ids=["the names of 1.6.2", "another name", "the root, and a disk the type does not have"],
)
def test_a_mapping_renames_what_the_type_gives(box, mappings):
    assert disks(box, *mappings) == {"ephemeral0": EPHEMERAL, "swap": SWAP}


def test_no_device_leaves_a_disk_out(box):
    assert disks(box, {"DeviceName": "/dev/sdb", "NoDevice": ""}) == {"swap": ("vdb", SWAP[1])}


@pytest.mark.parametrize(
    ("mapping", "code"),
    [
        ({"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0 "}, "InvalidBlockDeviceMapping"),
        ({"DeviceName": "/dev/sdb/../sda", "VirtualName": "ephemeral0"}, "InvalidBlockDeviceMapping"),
        ({"DeviceName": "/dev/sdb"}, "InvalidBlockDeviceMapping"),
        ({"VirtualName": "swap"}, "InvalidBlockDeviceMapping"),
        ({"DeviceName": "/dev/sda1", "VirtualName": "swap"}, "InvalidBlockDeviceMapping"),
        ({"DeviceName": "/dev/sdb", "VirtualName": "ami"}, "InvalidBlockDeviceMapping"),
        ({"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 1}}, "InvalidBlockDeviceMapping"),
    ],
    ids=[
        "a virtual name",
        "a path",
        "no virtual name",
        "no name",
        "over the root",
        "ami elsewhere",
        "a volume for a root that is none",
    ],
)
def test_run_instances_refuses_mappings_that_mean_nothing(box, mapping, code):
    asked = {"ImageId": box.image, "MinCount": 1, "MaxCount": 1, "InstanceType": "m3.medium"}
    assert refused(box.ec2().run_instances, **asked, BlockDeviceMappings=[mapping])[0] == code


def test_two_disks_at_one_name_are_refused(box):
    asked = {"ImageId": box.image, "MinCount": 1, "MaxCount": 1, "InstanceType": "m3.medium"}
    twice = [{"DeviceName": "/dev/sdc", "VirtualName": "ephemeral0"}]
    assert (
        refused(box.ec2().run_instances, **asked, BlockDeviceMappings=twice)[0] == "InvalidBlockDeviceMapping"
    )
