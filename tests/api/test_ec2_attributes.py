"""Attributes of an instance by the front door: read, changed live or when it is stopped, put back."""

import base64

import pytest

from tests.api.cloud_box import FILE_SYSTEM, KERNEL, SUBNET, refused, running_cloud
from tests.api.ec2_raw import Raw, pairs_of
from tests.api.test_ec2_instances import metadata

ABSENT = "i-00000000"


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        box.kernel, box.ramdisk, box.image = box.register_images()
        box.other_kernel = box.register("vmlinuz-other", KERNEL + b"2")
        yield box


@pytest.fixture(autouse=True)
def _nothing_runs_on(box):
    yield
    for reservation in box.ec2().describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            if instance["State"]["Name"] != "terminated":
                unprotect(box, instance["InstanceId"])
    box.terminate_all()
    assert box.hypervisor.machines == {}


@pytest.fixture
def ec2(box):
    return box.ec2()


@pytest.fixture
def running(box):
    [instance_id] = box.run_instances(box.image)
    box.until_state(instance_id, "running")
    return instance_id


@pytest.fixture
def stopped(box, ec2, running):
    ec2.stop_instances(InstanceIds=[running])
    box.until_state(running, "stopped")
    return running


def unprotect(box, instance_id):
    box.ec2().modify_instance_attribute(InstanceId=instance_id, DisableApiTermination={"Value": False})


def attribute(ec2, instance_id, name):
    reply = ec2.describe_instance_attribute(InstanceId=instance_id, Attribute=name)
    assert reply.pop("InstanceId") == instance_id
    del reply["ResponseMetadata"]
    return reply


def test_describe_instance_attribute_tells_each_attribute(box, ec2, running):
    told = {
        "instanceType": {"InstanceType": {"Value": "m1.small"}},
        "kernel": {"KernelId": {"Value": box.kernel}},
        "ramdisk": {"RamdiskId": {"Value": box.ramdisk}},
        "userData": {"UserData": {}},
        "disableApiTermination": {"DisableApiTermination": {"Value": False}},
        "disableApiStop": {"DisableApiStop": {"Value": False}},
        "instanceInitiatedShutdownBehavior": {"InstanceInitiatedShutdownBehavior": {"Value": "terminate"}},
        "rootDeviceName": {"RootDeviceName": {"Value": "/dev/sda1"}},
        "blockDeviceMapping": {"BlockDeviceMappings": []},
        "productCodes": {"ProductCodes": []},
        "sourceDestCheck": {"SourceDestCheck": {"Value": True}},
        "ebsOptimized": {"EbsOptimized": {"Value": False}},
        "enaSupport": {"EnaSupport": {"Value": False}},
        "sriovNetSupport": {"SriovNetSupport": {}},
    }
    for name, value in told.items():
        assert attribute(ec2, running, name) == value, name
    [group] = attribute(ec2, running.upper().lower(), "groupSet")["Groups"]
    assert group["GroupId"] == box.instance(running)["SecurityGroups"][0]["GroupId"]
    asked = {"InstanceId": running, "Attribute": "colour"}
    assert refused(ec2.describe_instance_attribute, **asked) == ("InvalidParameterValue", 400)


def test_groups_change_on_the_running_instance(box, ec2, running):
    group = ec2.create_security_group(GroupName="live", Description="d")["GroupId"]
    ec2.modify_instance_attribute(InstanceId=running.upper(), Groups=[group])
    assert box.network.plugged[running].group_ids == (group,)
    assert group in box.network.groups
    instance = box.instance(running)
    assert [g["GroupId"] for g in instance["SecurityGroups"]] == [group]
    assert metadata(box, instance["PrivateIpAddress"], "/latest/meta-data/security-groups") == (200, b"live")

    wrong = {"sg-00000000": "InvalidGroup.NotFound", "web": "InvalidGroupId.Malformed"}
    for name, code in wrong.items():
        assert refused(ec2.modify_instance_attribute, InstanceId=running, Groups=[group, name])[0] == code
    theirs = box.ec2("mallory").create_security_group(GroupName="t", Description="d")["GroupId"]
    code, _ = refused(ec2.modify_instance_attribute, InstanceId=running, Groups=[theirs])
    assert code == "InvalidGroup.NotFound"
    assert box.network.plugged[running].group_ids == (group,)
    box.terminate_all()
    ec2.delete_security_group(GroupId=group)


def test_a_protected_instance_is_not_terminated_and_neither_is_another_with_it(box, ec2, running):
    [protected] = box.run_instances(box.image, DisableApiTermination=True)
    box.until_state(protected, "running")
    assert attribute(ec2, protected, "disableApiTermination")["DisableApiTermination"]["Value"] is True
    code = refused(ec2.terminate_instances, InstanceIds=[running, protected])
    assert code == ("OperationNotPermitted", 400)
    assert box.instance(running)["State"]["Name"] == "running"
    unprotect(box, protected)
    box.terminate([protected])

    ec2.modify_instance_attribute(InstanceId=running, DisableApiTermination={"Value": True})
    assert refused(ec2.terminate_instances, InstanceIds=[running])[0] == "OperationNotPermitted"
    box.in_trio(box.hypervisor.power_off, running)  # the guest may end itself all the same
    box.until_state(running, "terminated")


def test_an_instance_protected_from_stops_is_not_stopped(box, ec2, running):
    ec2.modify_instance_attribute(InstanceId=running, DisableApiStop={"Value": True})
    assert refused(ec2.stop_instances, InstanceIds=[running]) == ("OperationNotPermitted", 400)
    [other] = box.run_instances(box.image, DisableApiStop=True)
    box.until_state(other, "running")
    assert refused(ec2.stop_instances, InstanceIds=[other])[0] == "OperationNotPermitted"
    ec2.modify_instance_attribute(InstanceId=running, DisableApiStop={"Value": False})
    ec2.stop_instances(InstanceIds=[running])
    box.until_state(running, "stopped")


def test_the_shutdown_behavior_changes_while_it_runs(box, ec2, running):
    ec2.modify_instance_attribute(InstanceId=running, InstanceInitiatedShutdownBehavior={"Value": "stop"})
    box.in_trio(box.hypervisor.power_off, running)
    stopped = box.until_state(running, "stopped")
    assert stopped["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    asked = {"InstanceId": running, "InstanceInitiatedShutdownBehavior": {"Value": "sleep"}}
    assert refused(ec2.modify_instance_attribute, **asked)[0] == "InvalidParameterValue"


def test_type_user_data_and_kernel_change_when_it_is_stopped_and_not_before(box, ec2, running):
    changes = [
        {"InstanceType": {"Value": "c1.medium"}},
        {"UserData": {"Value": b"\x00new\xff"}},
        {"Kernel": {"Value": box.other_kernel}},
        {"Ramdisk": {"Value": box.ramdisk}},
    ]
    for change in changes:
        code = refused(ec2.modify_instance_attribute, InstanceId=running, **change)
        assert code == ("IncorrectInstanceState", 400), change
    ec2.stop_instances(InstanceIds=[running])
    box.until_state(running, "stopped")
    for change in changes:
        ec2.modify_instance_attribute(InstanceId=running, **change)
        ec2.modify_instance_attribute(InstanceId=running, **change)
    said = attribute(ec2, running, "userData")["UserData"]["Value"]
    assert base64.b64decode(said) == b"\x00new\xff"

    ec2.start_instances(InstanceIds=[running])
    instance = box.until_state(running, "running")
    assert (instance["InstanceType"], instance["KernelId"]) == ("c1.medium", box.other_kernel)
    machine = box.hypervisor.machines[running]
    assert machine.vcpus == 2
    assert machine.kernel.read_bytes() == KERNEL + b"2"
    assert metadata(box, instance["PrivateIpAddress"], "/latest/user-data") == (200, b"\x00new\xff")


def test_reset_instance_attribute_puts_back_what_the_image_says(box, ec2, stopped):
    ec2.modify_instance_attribute(InstanceId=stopped, Kernel={"Value": box.other_kernel})
    ec2.reset_instance_attribute(InstanceId=stopped, Attribute="kernel")
    ec2.reset_instance_attribute(InstanceId=stopped, Attribute="ramdisk")
    ec2.reset_instance_attribute(InstanceId=stopped, Attribute="sourceDestCheck")
    assert attribute(ec2, stopped, "kernel") == {"KernelId": {"Value": box.kernel}}
    ec2.start_instances(InstanceIds=[stopped])
    box.until_state(stopped, "running")
    for name, code in (("kernel", "IncorrectInstanceState"), ("instanceType", "InvalidParameterValue")):
        assert refused(ec2.reset_instance_attribute, InstanceId=stopped, Attribute=name)[0] == code


def test_metadata_options_reach_the_service_of_the_node(box, ec2, running):
    guest = box.instance(running)["PrivateIpAddress"]
    assert metadata(box, guest, "/latest/meta-data/instance-id")[0] == 200
    reply = ec2.modify_instance_metadata_options(
        InstanceId=running, HttpTokens="required", HttpPutResponseHopLimit=5
    )
    assert reply["InstanceId"] == running
    wanted = {"State": "applied", "HttpTokens": "required", "HttpPutResponseHopLimit": 5}
    assert wanted.items() <= reply["InstanceMetadataOptions"].items()
    assert metadata(box, guest, "/latest/meta-data/instance-id")[0] == 401
    ec2.modify_instance_metadata_options(InstanceId=running, HttpEndpoint="disabled")
    assert metadata(box, guest, "/latest/meta-data/instance-id")[0] == 403
    shown = box.instance(running)["MetadataOptions"]
    assert (shown["HttpTokens"], shown["HttpEndpoint"]) == ("required", "disabled")
    assert guest.startswith(str(SUBNET[0]).rpartition(".")[0])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "MissingParameter"),
        ({"HttpTokens": "maybe"}, "InvalidParameterValue"),
        ({"HttpEndpoint": "on"}, "InvalidParameterValue"),
        ({"HttpPutResponseHopLimit": 65}, "InvalidParameterValue"),
        ({"HttpPutResponseHopLimit": 0}, "InvalidParameterValue"),
        ({"InstanceMetadataTags": "maybe"}, "InvalidParameterValue"),
        ({"HttpProtocolIpv6": "enabled"}, "UnsupportedOperation"),
    ],
)
def test_metadata_options_that_cannot_be_had_are_refused(box, ec2, running, options, code):
    assert refused(ec2.modify_instance_metadata_options, InstanceId=running, **options) == (code, 400)


REFUSED = {
    "nothing": ({}, "InvalidParameterCombination"),
    "two at once": (
        {"DisableApiTermination": {"Value": True}, "DisableApiStop": {"Value": True}},
        "InvalidParameterCombination",
    ),
    "no such type": ({"InstanceType": {"Value": "m9.huge"}}, "InvalidParameterValue"),
    "no such kernel": ({"Kernel": {"Value": "eki-00000000"}}, "InvalidAMIID.NotFound"),
    "an image as kernel": ({"Kernel": {"Value": "IMAGE"}}, "InvalidParameterValue"),
    "too much user data": ({"UserData": {"Value": b"x" * 16385}}, "InvalidUserData.Malformed"),
    "EBS optimized": ({"EbsOptimized": {"Value": True}}, "UnsupportedOperation"),
    "ENA": ({"EnaSupport": {"Value": True}}, "UnsupportedOperation"),
    "SR-IOV": ({"SriovNetSupport": {"Value": "simple"}}, "UnsupportedOperation"),
    "no source check": ({"SourceDestCheck": {"Value": False}}, "UnsupportedOperation"),
    "disks": (
        {"BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": True}}]},
        "InvalidInstanceAttributeValue",
    ),
    "an attribute without a value": ({"Attribute": "instanceType"}, "InvalidParameterCombination"),
    "a value without an attribute": ({"Value": "m1.small"}, "MissingParameter"),
    "an unknown attribute": ({"Attribute": "colour", "Value": "red"}, "InvalidParameterValue"),
    "EBS optimized, flat": ({"Attribute": "ebsOptimized", "Value": "true"}, "UnsupportedOperation"),
    "a flag that is none": ({"Attribute": "disableApiStop", "Value": "maybe"}, "InvalidParameterValue"),
}


@pytest.mark.parametrize(("change", "code"), REFUSED.values(), ids=REFUSED)
def test_modify_instance_attribute_refuses(box, ec2, stopped_once, change, code):
    change = {k: {"Value": box.image} if v == {"Value": "IMAGE"} else v for k, v in change.items()}
    before = box.instance(stopped_once)
    assert refused(ec2.modify_instance_attribute, InstanceId=stopped_once, **change) == (code, 400)
    assert box.instance(stopped_once) == before


@pytest.fixture
def stopped_once(stopped):
    return stopped


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("instanceType", "c1.medium", {"InstanceType": {"Value": "c1.medium"}}),
        ("disableApiTermination", "true", {"DisableApiTermination": {"Value": True}}),
        ("disableApiStop", "1", {"DisableApiStop": {"Value": True}}),
        (
            "instanceInitiatedShutdownBehavior",
            "stop",
            {"InstanceInitiatedShutdownBehavior": {"Value": "stop"}},
        ),
        (
            "userData",
            base64.b64encode(b"u").decode(),
            {"UserData": {"Value": base64.b64encode(b"u").decode()}},
        ),
    ],
)
def test_the_flat_form_of_older_clients_changes_the_same(box, ec2, stopped, name, value, shown):
    raw = Raw(box)
    answer = raw.v2(pairs_of("ModifyInstanceAttribute", InstanceId=stopped, Attribute=name, Value=value))
    assert (answer.status, answer.find("return")) == (200, "true")
    assert attribute(ec2, stopped, name) == shown


def test_a_dry_run_changes_nothing_and_refusals_come_first(box, ec2, running):
    calls = [
        (ec2.modify_instance_attribute, {"DisableApiTermination": {"Value": True}}),
        (ec2.describe_instance_attribute, {"Attribute": "kernel"}),
        (ec2.reset_instance_attribute, {"Attribute": "sourceDestCheck"}),
        (ec2.modify_instance_metadata_options, {"HttpTokens": "required"}),
    ]
    for call, asked in calls:
        assert refused(call, InstanceId=running, DryRun=True, **asked) == ("DryRunOperation", 412)
        assert refused(call, InstanceId=ABSENT, DryRun=True, **asked)[0] == "InvalidInstanceID.NotFound"
        assert refused(call, InstanceId="i-xyz", **asked)[0] == "InvalidInstanceID.Malformed"
    assert attribute(ec2, running, "disableApiTermination")["DisableApiTermination"]["Value"] is False


def test_another_account_reads_and_changes_no_attribute(box, running):
    other = box.ec2("mallory")
    calls = [
        (other.modify_instance_attribute, {"DisableApiTermination": {"Value": True}}),
        (other.describe_instance_attribute, {"Attribute": "userData"}),
        (other.reset_instance_attribute, {"Attribute": "kernel"}),
        (other.modify_instance_metadata_options, {"HttpTokens": "required"}),
    ]
    for call, asked in calls:
        assert refused(call, InstanceId=running, **asked) == ("InvalidInstanceID.NotFound", 400)


def test_what_has_ended_cannot_be_changed(box, ec2, running):
    box.terminate([running])
    asked = {"InstanceId": running, "DisableApiStop": {"Value": True}}
    assert refused(ec2.modify_instance_attribute, **asked) == ("IncorrectInstanceState", 400)


def test_a_bare_disk_has_no_kernel_to_go_back_to(box, ec2):
    bare = box.register("bare-attributes", FILE_SYSTEM)
    [instance_id] = box.run_instances(bare, KernelId=box.kernel)
    box.until_state(instance_id, "running")
    ec2.stop_instances(InstanceIds=[instance_id])
    box.until_state(instance_id, "stopped")
    code, _ = refused(ec2.reset_instance_attribute, InstanceId=instance_id, Attribute="kernel")
    assert code == "InvalidParameterCombination"
