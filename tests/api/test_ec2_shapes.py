"""Every action once, its answer walked beside botocore's shape; a new action must get a line here."""

import xml.etree.ElementTree as ET

import pytest

from euca_box.messages.registry import EC2_ACTIONS
from tests.api.cloud_box import running_cloud, tagged
from tests.api.ec2_walker import walk_response

RULE = {
    "IpProtocol": "tcp",
    "FromPort": 22,
    "ToPort": 22,
    "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "d"}],
}


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        yield box


def test_every_action_answers_in_the_shape_of_the_model(box):
    """The box's clients walk each answer; this makes sure that there is one of each action."""
    ec2, called = box.ec2(), set()
    ec2.meta.events.register(
        "response-received.ec2",
        lambda event_name, response_dict, **_: (
            called.add(event_name.rpartition(".")[2]) if response_dict["status_code"] == 200 else None
        ),
    )
    _, _, image = box.register_images()
    [key] = [ec2.create_key_pair(KeyName="k", KeyType="ed25519", TagSpecifications=tagged("key-pair", a="b"))]
    public = ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"][0]["PublicKey"]
    ec2.import_key_pair(KeyName="k2", PublicKeyMaterial=public.encode())
    group = ec2.create_security_group(
        GroupName="g", Description="d", TagSpecifications=tagged("security-group", a="b")
    )["GroupId"]
    source = {**RULE, "FromPort": 23, "IpRanges": [], "UserIdGroupPairs": [{"GroupId": group}], "ToPort": 23}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[RULE, source])
    [instance] = box.run_instances(
        image,
        KeyName="k",
        SecurityGroupIds=[group],
        TagSpecifications=tagged("instance", a="b"),
        ClientToken="t",
    )
    box.until_state(instance, "running")
    box.workbench.printed[instance] = b"hello"
    ec2.get_console_output(InstanceId=instance)
    ec2.reboot_instances(InstanceIds=[instance])
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsSupport")
    for action in sorted(EC2_ACTIONS.keys() - called):
        if action.startswith("Describe"):
            getattr(ec2, ec2_method(ec2, action))()
    box.terminate([instance])
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[RULE, source])
    ec2.delete_security_group(GroupId=group)
    ec2.delete_key_pair(KeyPairId=key["KeyPairId"])
    ec2.deregister_image(ImageId=image)
    assert called == set(EC2_ACTIONS)


def ec2_method(ec2, action):
    return next(name for name, operation in ec2.meta.method_to_api_mapping.items() if operation == action)


DAMAGES = {
    "an unknown element": lambda text: text.replace("regionName", "regionTitle"),
    "a repeated element": lambda text: text.replace("<regionName>", "<regionName>x</regionName><regionName>"),
    "a list without items": lambda text: text.replace("item>", "member>"),
    "a structure in a value": lambda text: text.replace("<regionName>", "<regionName><x/>"),
    "text in a structure": lambda text: text.replace("<item>", "<item>text"),
    "another namespace": lambda text: text.replace("2016-11-15/", "2016-11-15"),
    "another name": lambda text: text.replace("DescribeRegionsResponse", "DescribeRegionsResult"),
    "no request id": lambda text: text.replace("requestId", "requestID"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_walker_finds_what_is_wrong(box, damage):
    model = box.ec2().meta.service_model.operation_model("DescribeRegions")
    good = (
        '<DescribeRegionsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>'
        "<regionInfo><item><regionName>r</regionName></item></regionInfo></DescribeRegionsResponse>"
    )
    walk_response({"body": good.encode()}, model)
    ET.fromstring(damage(good))
    with pytest.raises(AssertionError):
        walk_response({"body": damage(good).encode()}, model)
