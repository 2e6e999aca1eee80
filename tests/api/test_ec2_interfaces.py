"""The one interface of an instance: addresses and groups asked for by the words that today's tools use."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.cloud_box import CloudBox, refused, running_cloud, tagged
from tests.api.test_ec2_instances import metadata


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    with running_cloud(tmp_path_factory.mktemp("interfaces")) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def image_id(box: CloudBox) -> str:
    return box.register_images()[2]


@pytest.fixture
def run(box: CloudBox, image_id: str) -> Iterator[Any]:
    def asked(**more: Any) -> Any:
        wanted = {"ImageId": image_id, "MinCount": 1, "MaxCount": 1, "InstanceType": "m1.small", **more}
        return box.ec2().run_instances(**wanted)["Instances"][0]["InstanceId"]

    yield asked
    box.terminate_all()


@pytest.fixture
def refusal(box: CloudBox, image_id: str) -> Any:
    def asked(**more: Any) -> str:
        wanted = {"ImageId": image_id, "MinCount": 1, "MaxCount": 1, "InstanceType": "m1.small", **more}
        return refused(box.ec2().run_instances, **wanted)[0]

    return asked


def test_a_private_address_asked_for_is_given_and_nobody_else_gets_it(box, run, refusal):
    instance_id = run(PrivateIpAddress="127.77.0.200")
    assert box.until_state(instance_id, "running")["PrivateIpAddress"] == "127.77.0.200"
    assert refusal(PrivateIpAddress="127.77.0.200") == "InvalidIPAddress.InUse"
    box.terminate([instance_id])
    again = run(PrivateIpAddress="127.77.0.200")
    assert box.until_state(again, "running")["PrivateIpAddress"] == "127.77.0.200"


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"PrivateIpAddress": "10.0.0.1"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": "127.77.0.3"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": "127.77.15.255"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": "127.77.0.300"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": "127.77.0.99", "MaxCount": 2}, "InvalidParameterCombination"),
        ({"NetworkInterfaces": [{"DeviceIndex": 1}]}, "InvalidParameterValue"),
        ({"NetworkInterfaces": [{"Description": "no index"}]}, "InvalidParameterValue"),
        ({"NetworkInterfaces": [{"DeviceIndex": 0}, {"DeviceIndex": 1}]}, "UnsupportedOperation"),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0, "NetworkInterfaceId": "eni-11111111"}]},
            "UnsupportedOperation",
        ),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0, "DeleteOnTermination": False}]},
            "UnsupportedOperation",
        ),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0}], "SubnetId": "subnet-00000001"},
            "InvalidParameterCombination",
        ),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0}], "SecurityGroups": ["default"]},
            "InvalidParameterCombination",
        ),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": "subnet-0000beef"}]},
            "InvalidSubnetID.NotFound",
        ),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0, "Groups": ["sg-0000beef"]}]},
            "InvalidGroup.NotFound",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_had_is_refused_and_starts_nothing(box, refusal, asked, code):
    before = box.ec2().describe_instances()["Reservations"]
    assert refusal(**asked) == code
    assert box.ec2().describe_instances()["Reservations"] == before


def test_an_interface_says_subnet_groups_and_addresses(box, run):
    group_id = box.ec2().create_security_group(GroupName="of-interface", Description="d")["GroupId"]
    interface = {
        "DeviceIndex": 0,
        "SubnetId": box.ec2().describe_subnets()["Subnets"][0]["SubnetId"],
        "Groups": [group_id],
        "PrivateIpAddress": "127.77.0.201",
        "AssociatePublicIpAddress": False,
        "DeleteOnTermination": True,
        "Description": "the one",
    }
    instance = box.until_state(run(NetworkInterfaces=[interface]), "running")
    assert instance["PrivateIpAddress"] == "127.77.0.201"
    assert "PublicIpAddress" not in instance
    assert [g["GroupId"] for g in instance["SecurityGroups"]] == [group_id]
    public = box.until_state(
        run(NetworkInterfaces=[{"DeviceIndex": 0, "AssociatePublicIpAddress": True}]), "running"
    )
    assert public["PublicIpAddress"]


def test_a_guest_sees_its_tags_when_it_may_and_as_they_are_now(box, run):
    path = "/latest/meta-data/tags/instance"
    instance_id = run(TagSpecifications=tagged("instance", Name="web"))
    guest = box.until_state(instance_id, "running")["PrivateIpAddress"]
    assert metadata(box, guest, path)[0] == 404

    ec2 = box.ec2()
    reply = ec2.modify_instance_metadata_options(InstanceId=instance_id, InstanceMetadataTags="enabled")
    assert reply["InstanceMetadataOptions"]["InstanceMetadataTags"] == "enabled"
    assert metadata(box, guest, f"{path}/Name") == (200, b"web")
    ec2.create_tags(Resources=[instance_id], Tags=[{"Key": "Stage", "Value": "test"}])
    assert metadata(box, guest, path) == (200, b"Name\nStage")
    ec2.delete_tags(Resources=[instance_id], Tags=[{"Key": "Name"}])
    assert metadata(box, guest, path) == (200, b"Stage")
    ec2.modify_instance_metadata_options(InstanceId=instance_id, InstanceMetadataTags="disabled")
    assert metadata(box, guest, path)[0] == 404


def test_tags_may_be_shown_from_the_start(box, run, refusal):
    options = {"InstanceMetadataTags": "enabled"}
    instance_id = run(MetadataOptions=options, TagSpecifications=tagged("instance", Name="early"))
    guest = box.until_state(instance_id, "running")["PrivateIpAddress"]
    assert metadata(box, guest, "/latest/meta-data/tags/instance/Name") == (200, b"early")
    assert refusal(MetadataOptions={"InstanceMetadataTags": "maybe"}) == "InvalidParameterValue"
