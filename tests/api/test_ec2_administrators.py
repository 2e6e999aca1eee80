"""What an administrator may do to the instances and groups of others, and nobody else."""

import pytest

from tests.api.cloud_box import filters, refused, running_cloud


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        box.kernel, box.ramdisk, box.image = box.register_images()
        yield box


@pytest.fixture
def admin(box):
    return box.ec2("admin")


@pytest.fixture
def instance(box):
    [instance_id] = box.run_instances(box.image)
    box.until_state(instance_id, "running")
    yield instance_id
    box.terminate_all()


def instances_of(reply):
    return [i["InstanceId"] for r in reply["Reservations"] for i in r["Instances"]]


def groups_of(reply):
    return [g["GroupId"] for g in reply["SecurityGroups"]]


def test_an_administrator_sees_instances_of_others_when_it_names_them(box, admin, instance):
    by_owner = {"Filters": filters(owner_id=box.account())}
    assert instance not in instances_of(admin.describe_instances())
    assert instance in instances_of(admin.describe_instances(**by_owner))
    assert instances_of(admin.describe_instances(InstanceIds=[instance])) == [instance]
    mallory = box.ec2("mallory")
    assert instances_of(mallory.describe_instances(**by_owner)) == []
    assert refused(mallory.describe_instances, InstanceIds=[instance])[0] == "InvalidInstanceID.NotFound"


def test_an_administrator_reads_reboots_and_ends_instances_of_others(box, admin, instance):
    box.workbench.printed[instance] = b"hello"
    mallory = box.ec2("mallory")
    calls = (
        ("get_console_output", {"InstanceId": instance}),
        ("reboot_instances", {"InstanceIds": [instance]}),
    )
    for name, asked in (*calls, ("terminate_instances", {"InstanceIds": [instance]})):
        assert refused(getattr(mallory, name), **asked) == ("InvalidInstanceID.NotFound", 400)
    assert admin.get_console_output(InstanceId=instance)["Output"] == "hello"
    admin.reboot_instances(InstanceIds=[instance])
    asked = {"InstanceIds": [instance]}
    assert refused(mallory.stop_instances, **asked)[0] == "InvalidInstanceID.NotFound"
    admin.stop_instances(**asked, Force=True)
    box.until_state(instance, "stopped")
    assert refused(mallory.start_instances, **asked)[0] == "InvalidInstanceID.NotFound"
    admin.start_instances(**asked)
    box.until_state(instance, "running")
    admin.terminate_instances(InstanceIds=[instance])
    box.until_state(instance, "terminated")


def test_an_administrator_changes_groups_of_others(box, admin, instance):
    ec2, mallory = box.ec2(), box.ec2("mallory")
    group = ec2.create_security_group(GroupName="theirs", Description="d")["GroupId"]
    by_owner = {"Filters": filters(owner_id=box.account())}
    assert group not in groups_of(admin.describe_security_groups())
    assert group in groups_of(admin.describe_security_groups(**by_owner))
    assert groups_of(admin.describe_security_groups(GroupIds=[group])) == [group]
    assert group not in groups_of(mallory.describe_security_groups(**by_owner))
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    asked = {"GroupId": group, "IpPermissions": [rule]}
    assert refused(mallory.authorize_security_group_ingress, **asked)[0] == "InvalidGroup.NotFound"
    admin.authorize_security_group_ingress(**asked)
    [found] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    assert found["IpPermissions"][0]["FromPort"] == 22
    admin.revoke_security_group_ingress(**asked)
    admin.delete_security_group(GroupId=group)
    assert refused(ec2.describe_security_groups, GroupIds=[group])[0] == "InvalidGroup.NotFound"


def test_an_administrator_cannot_delete_a_group_that_another_account_uses(box, admin):
    ec2 = box.ec2()
    group = ec2.create_security_group(GroupName="used", Description="d")["GroupId"]
    [instance_id] = box.run_instances(box.image, SecurityGroupIds=[group])
    assert refused(admin.delete_security_group, GroupId=group)[0] == "DependencyViolation"
    box.until_state(instance_id, "running")
    box.terminate([instance_id])
    admin.delete_security_group(GroupId=group)


def test_an_administrator_does_not_launch_into_groups_of_others(box, admin):
    group = box.ec2().create_security_group(GroupName="closed", Description="d")["GroupId"]
    asked = {"ImageId": box.image, "MinCount": 1, "MaxCount": 1, "SecurityGroupIds": [group]}
    assert refused(admin.run_instances, **asked)[0] == "InvalidGroup.NotFound"
    box.ec2().delete_security_group(GroupId=group)


def test_an_administrator_sees_everything_when_it_says_verbose(box, admin, instance):
    ec2, mallory = box.ec2(), box.ec2("mallory")
    ec2.create_key_pair(KeyName="theirs-too")
    address = ec2.allocate_address()["PublicIp"]
    group = ec2.create_security_group(GroupName="verbose-too", Description="d")["GroupId"]
    assert instance in instances_of(admin.describe_instances(InstanceIds=["verbose"]))
    assert group in groups_of(admin.describe_security_groups(GroupNames=["verbose"]))
    listed = admin.describe_key_pairs(KeyNames=["verbose"])["KeyPairs"]
    assert "theirs-too" in [k["KeyName"] for k in listed]
    listed = admin.describe_addresses(PublicIps=["verbose"])["Addresses"]
    assert address in [a["PublicIp"] for a in listed]
    assert box.image in [i["ImageId"] for i in admin.describe_images(ImageIds=["verbose"])["Images"]]
    for call, asked, code in (
        (mallory.describe_instances, {"InstanceIds": ["verbose"]}, "InvalidInstanceID.Malformed"),
        (mallory.describe_security_groups, {"GroupNames": ["verbose"]}, "InvalidGroup.NotFound"),
        (mallory.describe_key_pairs, {"KeyNames": ["verbose"]}, "InvalidKeyPair.NotFound"),
        (mallory.describe_addresses, {"PublicIps": ["verbose"]}, "InvalidParameterValue"),
        (mallory.describe_images, {"ImageIds": ["verbose"]}, "InvalidAMIID.Malformed"),
    ):
        assert refused(call, **asked)[0] == code
    ec2.delete_key_pair(KeyName="theirs-too")
    ec2.release_address(PublicIp=address)
    ec2.delete_security_group(GroupId=group)


def test_an_administrator_changes_attributes_tags_and_addresses_of_others(box, admin, instance):
    ec2 = box.ec2()
    protect = {"InstanceId": instance, "DisableApiTermination": {"Value": True}}
    admin.modify_instance_attribute(**protect)
    shown = ec2.describe_instance_attribute(InstanceId=instance, Attribute="disableApiTermination")
    assert shown["DisableApiTermination"]["Value"] is True
    admin.modify_instance_attribute(**protect | {"DisableApiTermination": {"Value": False}})
    admin.create_tags(Resources=[instance], Tags=[{"Key": "seen", "Value": "by admin"}])
    assert {"Key": "seen", "Value": "by admin"} in box.instance(instance)["Tags"]

    theirs, own = ec2.allocate_address(), admin.allocate_address()
    to_instance = {"InstanceId": instance, "AllocationId": own["AllocationId"]}
    assert refused(admin.associate_address, **to_instance)[0] == "InvalidParameterCombination"
    admin.associate_address(InstanceId=instance, AllocationId=theirs["AllocationId"])
    assert box.instance(instance)["PublicIpAddress"] == theirs["PublicIp"]
    admin.disassociate_address(PublicIp=theirs["PublicIp"])
    admin.release_address(AllocationId=theirs["AllocationId"])
    admin.release_address(AllocationId=own["AllocationId"])
    assert refused(ec2.describe_addresses, PublicIps=[theirs["PublicIp"]])[0] == "InvalidAddress.NotFound"
