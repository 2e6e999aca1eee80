"""Every action once, its answer walked beside botocore's shape; a new action must get a line here."""

import xml.etree.ElementTree as ET

import pytest

from euca_box.messages.registry import EC2_ACTIONS
from tests.api.cloud_box import WHOLE_DISK, running_cloud, tagged
from tests.api.ec2_walker import walk_response
from tests.api.test_ec2_bundle_tasks import storage

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
    ec2.get_console_screenshot(InstanceId=instance, WakeUp=True)
    ec2.reboot_instances(InstanceIds=[instance])
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsSupport")
    call_addresses(ec2, instance)
    call_images(ec2, image, instance)
    call_rules(ec2, group)
    call_attributes(ec2, instance)
    call_stops(box, ec2, instance)
    call_bundles(box, ec2, instance)
    call_volumes(box, ec2, instance)
    call_profiles(box, ec2, instance)
    for action in sorted(EC2_ACTIONS.keys() - called):
        if action.startswith("Describe"):
            getattr(ec2, ec2_method(ec2, action))()
    box.terminate([instance])
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[RULE, source])
    ec2.delete_security_group(GroupId=group)
    ec2.delete_key_pair(KeyPairId=key["KeyPairId"])
    ec2.deregister_image(ImageId=image)
    assert called == set(EC2_ACTIONS)


def call_volumes(box, ec2, instance):
    volume = ec2.create_volume(
        AvailabilityZone="us-east-1a", Size=1, TagSpecifications=tagged("volume", a="b")
    )["VolumeId"]
    box.until_volume(volume, "available")
    ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    box.until_volume(volume, "in-use")
    ec2.describe_instances(InstanceIds=[instance])
    ec2.describe_instance_attribute(InstanceId=instance, Attribute="blockDeviceMapping")
    ec2.describe_volume_status(VolumeIds=[volume])
    for name in ("autoEnableIO", "productCodes"):
        ec2.describe_volume_attribute(VolumeId=volume, Attribute=name)
    ec2.modify_volume_attribute(VolumeId=volume, AutoEnableIO={"Value": True})
    ec2.enable_volume_io(VolumeId=volume)
    [taken] = ec2.create_snapshots(
        InstanceSpecification={"InstanceId": instance}, TagSpecifications=tagged("snapshot", a="b")
    )["Snapshots"]
    box.until_snapshot(taken["SnapshotId"], "completed")
    ec2.delete_snapshot(SnapshotId=taken["SnapshotId"])
    ec2.detach_volume(VolumeId=volume)
    box.until_volume(volume, "available")
    ec2.modify_volume(VolumeId=volume, Size=2, VolumeType="gp3")
    ec2.describe_volumes_modifications(VolumeIds=[volume])
    snapshot = ec2.create_snapshot(VolumeId=volume, TagSpecifications=tagged("snapshot", a="b"))["SnapshotId"]
    ec2.delete_volume(VolumeId=volume)
    box.until_snapshot(snapshot, "completed")
    ec2.modify_snapshot_attribute(SnapshotId=snapshot, CreateVolumePermission={"Add": [{"Group": "all"}]})
    for name in ("createVolumePermission", "productCodes"):
        ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute=name)
    ec2.reset_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    copy = ec2.copy_snapshot(
        SourceRegion="us-east-1", SourceSnapshotId=snapshot, TagSpecifications=tagged("snapshot", a="b")
    )["SnapshotId"]
    box.until_snapshot(copy, "completed")
    for snapshot_id in (snapshot, copy):
        ec2.delete_snapshot(SnapshotId=snapshot_id)


def call_profiles(box, ec2, instance):
    box.client("iam").create_instance_profile(InstanceProfileName="p")
    profile = {"Name": "p"}
    made = ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile=profile)
    association = made["IamInstanceProfileAssociation"]["AssociationId"]
    changed = ec2.replace_iam_instance_profile_association(
        AssociationId=association, IamInstanceProfile=profile
    )
    association = changed["IamInstanceProfileAssociation"]["AssociationId"]
    ec2.describe_iam_instance_profile_associations(AssociationIds=[association])
    assert box.instance(instance)["IamInstanceProfile"]["Arn"].endswith(":instance-profile/p")
    ec2.disassociate_iam_instance_profile(AssociationId=association)


def call_addresses(ec2, instance):
    got = ec2.allocate_address(TagSpecifications=tagged("elastic-ip", a="b"))["AllocationId"]
    made = ec2.associate_address(AllocationId=got, InstanceId=instance)["AssociationId"]
    ec2.describe_addresses()
    ec2.describe_network_interfaces()
    ec2.describe_instances(InstanceIds=[instance])
    ec2.disassociate_address(AssociationId=made)
    ec2.release_address(AllocationId=got)


def call_attributes(ec2, instance):
    ec2.create_tags(Resources=[instance], Tags=[{"Key": "c", "Value": "d"}])
    ec2.describe_tags()
    ec2.delete_tags(Resources=[instance], Tags=[{"Key": "c"}])
    for name in ("instanceType", "kernel", "userData", "disableApiStop", "groupSet", "productCodes"):
        ec2.describe_instance_attribute(InstanceId=instance, Attribute=name)
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiStop={"Value": False})
    ec2.reset_instance_attribute(InstanceId=instance, Attribute="sourceDestCheck")
    ec2.modify_instance_metadata_options(InstanceId=instance, HttpTokens="required")
    ec2.monitor_instances(InstanceIds=[instance])
    ec2.unmonitor_instances(InstanceIds=[instance])
    ec2.get_password_data(InstanceId=instance)
    ec2.describe_instance_status()


def call_bundles(box, ec2, instance):
    created = ec2.create_image(InstanceId=instance, Name="golden", NoReboot=True)["ImageId"]
    copied = ec2.copy_image(
        Name="copy", SourceImageId=box.register("disk", WHOLE_DISK), SourceRegion="us-east-1"
    )["ImageId"]
    with box.imaging_held():
        task = ec2.bundle_instance(InstanceId=instance, Storage=storage(box))["BundleTask"]["BundleId"]
        ec2.cancel_bundle_task(BundleId=task)
    for image in (created, copied):
        ec2.deregister_image(ImageId=image)


def call_stops(box, ec2, instance):
    ec2.stop_instances(InstanceIds=[instance], Force=True)
    box.until_state(instance, "stopped")
    ec2.describe_instance_status(IncludeAllInstances=True)
    ec2.start_instances(InstanceIds=[instance])
    box.until_state(instance, "running")


def call_images(ec2, image, instance):
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"Group": "all"}]})
    for name in ("launchPermission", "description", "kernel", "productCodes", "blockDeviceMapping"):
        ec2.describe_image_attribute(ImageId=image, Attribute=name)
    ec2.reset_image_attribute(ImageId=image, Attribute="launchPermission")
    ec2.confirm_product_instance(InstanceId=instance, ProductCode="x")


def call_rules(ec2, group):
    out = {**RULE, "FromPort": 24, "ToPort": 24}
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[out])
    ec2.update_security_group_rule_descriptions_egress(GroupId=group, IpPermissions=[out])
    ec2.update_security_group_rule_descriptions_ingress(GroupId=group, IpPermissions=[RULE])
    ec2.describe_security_group_rules()
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[out])


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
