"""Instances by the front door: launch, look, reboot, end; and everything that is refused."""

import base64
import contextlib
import http.client
import sqlite3
import threading
import time

import pytest

from euca_box.observe import failpoints
from tests.api.cloud_box import FILE_SYSTEM, KERNEL, PUBLIC, SUBNET, filters, refused, running_cloud, tagged

ABSENT = "i-00000000"


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        box.kernel, box.ramdisk, box.image = box.register_images()
        yield box


@pytest.fixture(autouse=True)
def _nothing_runs_on(box):
    yield
    box.terminate_all()
    assert box.hypervisor.machines == {}
    assert (box.network.plugged, box.network.public) == ({}, {})


@pytest.fixture
def ec2(box):
    return box.ec2()


@pytest.fixture
def running(box):
    [instance_id] = box.run_instances(box.image)
    box.until_state(instance_id, "running")
    return instance_id


# RunInstances


def test_run_instances_answers_pending_and_then_it_runs_with_two_addresses(box, ec2):
    reply = ec2.run_instances(ImageId=box.image, MinCount=1, MaxCount=1)
    assert (reply["OwnerId"], len(reply["Instances"])) == (box.account(), 1)
    [asked] = reply["Instances"]
    assert (asked["State"], asked["InstanceType"]) == ({"Code": 0, "Name": "pending"}, "m1.small")

    instance = box.until_state(asked["InstanceId"], "running")
    assert instance["PublicIpAddress"] in PUBLIC
    assert instance["PrivateIpAddress"].startswith("127.77.0.")
    assert instance["PrivateDnsName"] == f"ip-{instance['PrivateIpAddress'].replace('.', '-')}.ec2.internal"
    assert [g["GroupName"] for g in instance["SecurityGroups"]] == ["default"]
    assert (instance["KernelId"], instance["RamdiskId"]) == (box.kernel, box.ramdisk)
    assert instance["Placement"]["AvailabilityZone"] == "us-east-1a"
    machine = box.hypervisor.machines[asked["InstanceId"]]
    assert (machine.vcpus, machine.memory_mib, machine.cmdline) == (
        1,
        128,
        "root=/dev/vda console=ttyS0 no_timer_check",
    )


def test_run_instances_gives_what_was_asked_for_to_every_instance(box, ec2):
    key = ec2.create_key_pair(KeyName="k1", KeyType="ed25519")
    group = ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    reply = ec2.run_instances(
        ImageId=box.image,
        MinCount=3,
        MaxCount=3,
        InstanceType="c1.medium",
        KeyName="k1",
        SecurityGroupIds=[group],
        SecurityGroups=["default"],
        Placement={"AvailabilityZone": "us-east-1a", "Tenancy": "default"},
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 3},
        TagSpecifications=tagged("instance", Name="w", env="a & <b>"),
    )
    assert [i["AmiLaunchIndex"] for i in reply["Instances"]] == [0, 1, 2]
    for asked in reply["Instances"]:
        instance = box.until_state(asked["InstanceId"], "running")
        assert (instance["InstanceType"], instance["KeyName"]) == ("c1.medium", "k1")
        assert {g["GroupName"] for g in instance["SecurityGroups"]} == {"web", "default"}
        assert instance["Tags"] == [{"Key": "Name", "Value": "w"}, {"Key": "env", "Value": "a & <b>"}]
        assert instance["MetadataOptions"]["HttpTokens"] == "required"
        assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 3
        assert box.hypervisor.machines[asked["InstanceId"]].vcpus == 2
    assert len({i["PrivateIpAddress"] for i in map(box.instance, box.network.plugged)}) == 3
    assert key["KeyPairId"].startswith("key-")
    box.terminate_all()
    ec2.delete_key_pair(KeyName="k1")
    ec2.delete_security_group(GroupId=group)


def test_run_instances_with_private_addressing_has_no_public_address(box, ec2):
    # AddressingType is of WSDL 2009-04-04; boto3's model no longer has it.
    def add(params, **_):
        params["body"]["AddressingType"] = "private"

    ec2.meta.events.register("before-call.ec2.RunInstances", add)
    try:
        [instance_id] = box.run_instances(box.image)
    finally:
        ec2.meta.events.unregister("before-call.ec2.RunInstances", add)
    instance = box.until_state(instance_id, "running")
    assert "PublicIpAddress" not in instance
    assert instance["PublicDnsName"] == instance["PrivateIpAddress"]


def test_user_data_of_any_bytes_reaches_the_guest(box, ec2):
    data = bytes(range(256)) * 64
    [instance_id] = box.run_instances(box.image, UserData=data)
    instance = box.until_state(instance_id, "running")
    assert metadata(box, instance["PrivateIpAddress"], "/latest/user-data") == (200, data)
    found = metadata(box, instance["PrivateIpAddress"], "/2009-04-04/meta-data/instance-id")
    assert found == (200, instance_id.encode())
    assert metadata(box, "127.77.0.250", "/latest/meta-data/instance-id")[0] == 404


def metadata(box, guest, path):
    """What the service answers when this guest asks."""
    gateway = str(SUBNET[1])
    connection = http.client.HTTPConnection(gateway, box.metadata_port, 10, source_address=(guest, 0))
    connection.request("GET", path)
    answer = connection.getresponse()
    try:
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_same_client_token_gives_the_same_reservation_in_its_present_state(box, ec2):
    asked = {"ImageId": box.image, "MinCount": 2, "MaxCount": 2, "ClientToken": "token-1"}
    first = ec2.run_instances(**asked)
    for instance in first["Instances"]:
        box.until_state(instance["InstanceId"], "running")
    again = ec2.run_instances(**asked)
    assert again["ReservationId"] == first["ReservationId"]
    assert [i["InstanceId"] for i in again["Instances"]] == [i["InstanceId"] for i in first["Instances"]]
    assert {i["State"]["Name"] for i in again["Instances"]} == {"running"}

    changed = {**asked, "MaxCount": 3}
    assert refused(ec2.run_instances, **changed) == ("IdempotentParameterMismatch", 400)
    assert len(box.hypervisor.machines) == 2

    box.register("vmlinuz-m", KERNEL, "mallory")
    theirs = box.run_instances(box.image, user="mallory", ClientToken="token-1")
    assert theirs[0] not in [i["InstanceId"] for i in first["Instances"]]
    box.terminate(theirs, "mallory")


def test_a_client_token_sent_many_times_at_once_makes_one_instance(box):
    answers = []

    def run():
        answers.append(box.run_instances(box.image, ClientToken="at-once"))

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert len({tuple(answer) for answer in answers}) == 1


def test_a_dry_run_starts_nothing(box, ec2):
    asked = {"ImageId": box.image, "MinCount": 1, "MaxCount": 1, "DryRun": True}
    before = len(everything(ec2))
    assert refused(ec2.run_instances, **asked) == ("DryRunOperation", 412)
    assert refused(ec2.run_instances, **asked | {"ImageId": "emi-00000000"})[0] == "InvalidAMIID.NotFound"
    assert refused(ec2.describe_instances, DryRun=True) == ("DryRunOperation", 412)
    assert len(everything(ec2)) == before


REFUSED = {
    "no such image": ({"ImageId": "emi-00000000"}, "InvalidAMIID.NotFound"),
    "an image id that is none": ({"ImageId": "linux"}, "InvalidAMIID.Malformed"),
    "a kernel as image": ({"ImageId": "KERNEL"}, "InvalidParameterValue"),
    "a ramdisk as kernel": ({"KernelId": "RAMDISK"}, "InvalidParameterValue"),
    "none": ({"MinCount": 0}, "InvalidParameterValue"),
    "less than none": ({"MinCount": -5, "MaxCount": -1}, "InvalidParameterValue"),
    "min above max": ({"MinCount": 2}, "InvalidParameterCombination"),
    "no such type": ({"InstanceType": "m9.huge"}, "InvalidParameterValue"),
    "no such key": ({"KeyName": "absent"}, "InvalidKeyPair.NotFound"),
    "no such group": ({"SecurityGroups": ["absent"]}, "InvalidGroup.NotFound"),
    "no such group id": ({"SecurityGroupIds": ["sg-00000000"]}, "InvalidGroup.NotFound"),
    "a group id that is none": ({"SecurityGroupIds": ["web"]}, "InvalidGroupId.Malformed"),
    "no such zone": ({"Placement": {"AvailabilityZone": "mars-1a"}}, "InvalidParameterValue"),
    "a placement group": ({"Placement": {"GroupName": "g"}}, "UnsupportedOperation"),
    "no such subnet": ({"SubnetId": "subnet-99999999"}, "InvalidSubnetID.NotFound"),
    "too much user data": ({"UserData": "x" * 16385}, "InvalidUserData.Malformed"),
    "EBS optimized": ({"EbsOptimized": True}, "UnsupportedOperation"),
    "sleep at shutdown": ({"InstanceInitiatedShutdownBehavior": "sleep"}, "InvalidParameterValue"),
    "a disk more": (
        {"BlockDeviceMappings": [{"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 1, "Iops": 100}}]},
        "UnsupportedOperation",
    ),
    "a long token": ({"ClientToken": "t" * 65}, "InvalidParameterValue"),
    "tokens": ({"MetadataOptions": {"HttpTokens": "maybe"}}, "InvalidParameterValue"),
    "hops": ({"MetadataOptions": {"HttpPutResponseHopLimit": 65}}, "InvalidParameterValue"),
    "no hops": ({"MetadataOptions": {"HttpPutResponseHopLimit": 0}}, "InvalidParameterValue"),
    "tags of a snapshot": ({"TagSpecifications": tagged("snapshot", a="b")}, "InvalidParameterValue"),
    "a reserved tag": ({"TagSpecifications": tagged("instance", **{"aws:x": "b"})}, "InvalidParameterValue"),
    "an empty tag key": ({"TagSpecifications": tagged("instance", **{"": "b"})}, "InvalidParameterValue"),
    "a long tag": ({"TagSpecifications": tagged("instance", **{"k" * 129: "b"})}, "InvalidParameterValue"),
    "51 tags": (
        {"TagSpecifications": tagged("instance", **{f"k{n}": "" for n in range(51)})},
        "InvalidParameterValue",
    ),
    "one tag twice": (
        {"TagSpecifications": tagged("instance", a="1") + tagged("instance", a="2")},
        "InvalidParameterValue",
    ),
    "more than the account may have": ({"MinCount": 65, "MaxCount": 65}, "InstanceLimitExceeded"),
}


@pytest.mark.parametrize(("more", "code"), REFUSED.values(), ids=REFUSED)
def test_run_instances_refuses_and_starts_nothing(box, ec2, more, code):
    asked = {"ImageId": box.image, "MinCount": 1, "MaxCount": 1, **more}
    names = {"KERNEL": box.kernel, "RAMDISK": box.ramdisk}
    asked = {k: names.get(v, v) if isinstance(v, str) else v for k, v in asked.items()}
    before = len(everything(ec2))
    assert refused(ec2.run_instances, **asked) == (code, 400)
    assert len(everything(ec2)) == before


def test_a_file_system_without_a_kernel_cannot_start(box, ec2):
    bare = box.register("bare", FILE_SYSTEM)
    code, _ = refused(ec2.run_instances, ImageId=bare, MinCount=1, MaxCount=1)
    assert code == "InvalidParameterCombination"
    box.until_state(box.run_instances(bare, KernelId=box.kernel)[0], "running")


def test_when_fewer_than_min_count_fit_none_starts_and_else_as_many_as_fit(box, ec2):
    """The node has 64 GiB less one for the host; c1.xlarge takes two."""
    asked = {"ImageId": box.image, "InstanceType": "c1.xlarge"}
    code = refused(ec2.run_instances, **asked, MinCount=32, MaxCount=40)
    assert code == ("InsufficientInstanceCapacity", 500)
    assert box.hypervisor.machines == {}
    reply = ec2.run_instances(**asked, MinCount=1, MaxCount=40)
    assert len(reply["Instances"]) == 31
    assert refused(ec2.run_instances, **asked, MinCount=1, MaxCount=1)[0] == "InsufficientInstanceCapacity"


# DescribeInstances


def everything(ec2):
    return [i for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]]


def test_another_account_sees_and_ends_nothing(box, running):
    other = box.ec2("mallory")
    assert everything(other) == [i for i in everything(other) if i["InstanceId"] != running]
    for call in (
        other.describe_instances,
        other.terminate_instances,
        other.reboot_instances,
    ):
        assert refused(call, InstanceIds=[running]) == ("InvalidInstanceID.NotFound", 400)
    assert refused(other.get_console_output, InstanceId=running)[0] == "InvalidInstanceID.NotFound"
    assert other.describe_instances(Filters=filters(instance_id=running))["Reservations"] == []
    assert box.instance(running)["State"]["Name"] == "running"


def test_ids_are_found_in_any_case_and_one_absent_refuses_all(box, ec2, running):
    assert box.instance(running.upper())["InstanceId"] == running
    code = refused(ec2.describe_instances, InstanceIds=[running, ABSENT])
    assert code == ("InvalidInstanceID.NotFound", 400)
    assert refused(ec2.describe_instances, InstanceIds=["i-xyz"])[0] == "InvalidInstanceID.Malformed"


FILTERED = {
    "architecture": lambda i: i["Architecture"],
    "availability-zone": lambda i: i["Placement"]["AvailabilityZone"],
    "dns-name": lambda i: i["PublicDnsName"],
    "hypervisor": lambda i: i["Hypervisor"],
    "image-id": lambda i: i["ImageId"],
    "instance-id": lambda i: i["InstanceId"],
    "instance-state-code": lambda i: str(i["State"]["Code"]),
    "instance-state-name": lambda i: i["State"]["Name"],
    "instance-type": lambda i: i["InstanceType"],
    "instance.group-id": lambda i: i["SecurityGroups"][0]["GroupId"],
    "instance.group-name": lambda i: i["SecurityGroups"][0]["GroupName"],
    "ip-address": lambda i: i["PublicIpAddress"],
    "kernel-id": lambda i: i["KernelId"],
    "launch-index": lambda i: str(i["AmiLaunchIndex"]),
    "launch-time": lambda i: i["LaunchTime"].strftime("%Y-%m-%dT%H:%M*"),
    "monitoring-state": lambda i: i["Monitoring"]["State"],
    "network-interface.group-id": lambda i: i["NetworkInterfaces"][0]["Groups"][0]["GroupId"],
    "owner-id": lambda i: i["NetworkInterfaces"][0]["OwnerId"],
    "private-dns-name": lambda i: i["PrivateDnsName"],
    "private-ip-address": lambda i: i["PrivateIpAddress"],
    "ramdisk-id": lambda i: i["RamdiskId"],
    "root-device-name": lambda i: i["RootDeviceName"],
    "root-device-type": lambda i: i["RootDeviceType"],
    "subnet-id": lambda i: i["SubnetId"],
    "tag:Name": lambda i: i["Tags"][0]["Value"],
    "tag-key": lambda i: "Na?e",
    "tag-value": lambda i: "*\\*star",
    "tenancy": lambda i: i["Placement"]["Tenancy"],
    "virtualization-type": lambda i: i["VirtualizationType"],
    "vpc-id": lambda i: i["VpcId"],
}


def test_every_filter_finds_the_instance_by_its_value_and_not_by_another(box, ec2):
    [instance_id] = box.run_instances(box.image, TagSpecifications=tagged("instance", Name="a*star"))
    instance = box.until_state(instance_id, "running")

    def found(name, *values):
        reply = ec2.describe_instances(Filters=[{"Name": name, "Values": list(values)}])
        return [i["InstanceId"] for r in reply["Reservations"] for i in r["Instances"]]

    for name, value_of in FILTERED.items():
        assert instance_id in found(name, value_of(instance)), name
        assert instance_id in found(name, "no such value", value_of(instance)), name
        assert instance_id not in found(name, "no such value"), name
        assert found(name) == [], name


def test_filters_are_anded_and_unknown_ones_refused(box, ec2, running):
    both = filters(instance_id=running, instance_state_name=["running", "pending"])
    assert len(ec2.describe_instances(Filters=both)["Reservations"]) == 1
    neither = filters(instance_id=running, instance_state_name="terminated")
    assert ec2.describe_instances(Filters=neither)["Reservations"] == []
    assert refused(ec2.describe_instances, Filters=filters(colour="red")) == ("InvalidParameterValue", 400)
    many = [{"Name": "instance-id", "Values": [f"i-{n:08x}" for n in range(201)]}]
    assert refused(ec2.describe_instances, Filters=many)[0] == "InvalidParameterValue"


def test_paging_sees_each_old_instance_once_while_others_are_launched(box, ec2):
    old = [box.run_instances(box.image)[0] for _ in range(17)]
    seen, token = [], None
    while True:
        more = {"NextToken": token} if token else {}
        reply = ec2.describe_instances(MaxResults=5, **more)
        seen += [i["InstanceId"] for r in reply["Reservations"] for i in r["Instances"]]
        token = reply.get("NextToken")
        if not token:
            break
        box.run_instances(box.image)
    assert len(seen) == len(set(seen))
    assert set(old) <= set(seen)


@pytest.mark.parametrize("size", [4, 0, -1, 1001])
def test_a_page_has_5_to_1000_instances(ec2, size):
    assert refused(ec2.describe_instances, MaxResults=size) == ("InvalidParameterValue", 400)


@pytest.mark.parametrize("token", ["x", "", "YWZ0ZXI", "öö", base64.b64encode(b"before:i-1").decode()])
def test_a_token_that_we_did_not_give_is_refused(ec2, token):
    assert refused(ec2.describe_instances, MaxResults=5, NextToken=token) == ("InvalidNextToken", 400)


def test_a_page_of_named_instances_is_refused(box, ec2, running):
    code, _ = refused(ec2.describe_instances, InstanceIds=[running], MaxResults=5)
    assert code == "InvalidParameterCombination"


# TerminateInstances, RebootInstances, GetConsoleOutput


def test_terminate_instances_ends_them_and_keeps_them_in_the_listing(box, ec2, running):
    [change] = ec2.terminate_instances(InstanceIds=[running])["TerminatingInstances"]
    assert change["PreviousState"] == {"Code": 16, "Name": "running"}
    assert change["CurrentState"] == {"Code": 32, "Name": "shutting-down"}
    ended = box.until_state(running, "terminated")
    assert ended["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert ended["StateTransitionReason"].startswith("User initiated (")
    assert not {"PrivateIpAddress", "PublicIpAddress", "VpcId", "SubnetId"} & set(ended)
    [again] = ec2.terminate_instances(InstanceIds=[running])["TerminatingInstances"]
    assert again["CurrentState"]["Name"] == again["PreviousState"]["Name"] == "terminated"


def test_one_unknown_id_and_nothing_is_terminated(box, ec2, running):
    for wrong, code in ((ABSENT, "InvalidInstanceID.NotFound"), ("nope", "InvalidInstanceID.Malformed")):
        assert refused(ec2.terminate_instances, InstanceIds=[running, wrong]) == (code, 400)
    assert refused(ec2.terminate_instances, InstanceIds=[]) == ("MissingParameter", 400)
    assert refused(ec2.terminate_instances, InstanceIds=[running], DryRun=True)[0] == "DryRunOperation"
    assert box.instance(running)["State"]["Name"] == "running"


def test_an_instance_that_is_terminated_while_it_starts_ends_without_delay(box, ec2):
    for step in range(20):  # so that the end meets the start at many places
        instance_ids = box.run_instances(box.image, 5)
        time.sleep(step * 0.001)
        ec2.terminate_instances(InstanceIds=instance_ids)
        for instance_id in instance_ids:
            # The loop's own look at everything comes after 5 s.
            box.until(lambda i=instance_id: box.instance(i)["State"]["Name"] == "terminated", seconds=3)


def test_an_instance_that_is_terminated_before_its_node_has_heard_of_it_ends(box, ec2):
    """Placed, and the node not told; then it shall go. Nobody will ever report it."""
    failpoints.arm("cc.run.after-commit")
    try:
        [instance_id] = box.run_instances(box.image)
        box.until(lambda: claimed(box))
        ec2.terminate_instances(InstanceIds=[instance_id])
        box.until_state(instance_id, "terminated")
    finally:
        failpoints.disarm_all()
    assert not claimed(box)


def claimed(box):
    """Whether an instance has an address of the zone."""
    with contextlib.closing(sqlite3.connect(box.data_dir / "cc" / "cc.db")) as rows:
        taken = "SELECT count(*) FROM private_address WHERE instance_id IS NOT NULL"
        return rows.execute(taken).fetchone()[0] > 0


def test_reboot_instances_restarts_the_guest_and_leaves_it_running(box, ec2, running):
    events = box.in_trio(box.hypervisor.events)
    ec2.reboot_instances(InstanceIds=[running])
    kinds = []
    while "rebooted" not in kinds:
        kinds.append(box.in_trio(events.receive_nowait).kind)
    box.in_trio(events.close)
    assert box.instance(running)["State"]["Name"] == "running"
    assert refused(ec2.reboot_instances, InstanceIds=[running], DryRun=True)[0] == "DryRunOperation"
    box.terminate([running])
    assert refused(ec2.reboot_instances, InstanceIds=[running]) == ("IncorrectInstanceState", 400)


def test_get_console_output_gives_the_bytes_that_the_guest_printed(box, ec2, running):
    assert ec2.get_console_output(InstanceId=running).get("Output", "") == ""
    box.workbench.printed[running] = b"\x1b[0mlogin: \xff\x00"
    reply = ec2.get_console_output(InstanceId=running, Latest=True)
    assert reply["InstanceId"] == running
    assert reply["Output"].startswith("\x1b[0mlogin: ")
    assert reply["Timestamp"].tzinfo is not None
    assert refused(ec2.get_console_output, InstanceId=ABSENT)[0] == "InvalidInstanceID.NotFound"
    box.terminate([running])
    assert ec2.get_console_output(InstanceId=running).get("Output", "") == ""


def test_get_console_screenshot_gives_a_jpeg_of_a_running_guest(box, ec2, running):
    reply = ec2.get_console_screenshot(InstanceId=running, WakeUp=True)
    assert reply["InstanceId"] == running
    assert base64.b64decode(reply["ImageData"]).startswith(b"\xff\xd8\xff")
    box.workbench.blank.add(running)
    assert refused(ec2.get_console_screenshot, InstanceId=running) == ("Unavailable", 503)
    assert refused(ec2.get_console_screenshot, InstanceId=ABSENT)[0] == "InvalidInstanceID.NotFound"
    assert refused(ec2.get_console_screenshot, InstanceId=running, DryRun=True)[0] == "DryRunOperation"
    box.terminate([running])
    assert refused(ec2.get_console_screenshot, InstanceId=running)[0] == "IncorrectInstanceState"


def test_a_guest_that_switches_itself_off_is_terminated_with_the_reason(box, running):
    box.in_trio(box.hypervisor.power_off, running)
    ended = box.until_state(running, "terminated")
    assert ended["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_a_start_that_fails_ends_with_a_reason_that_tells_nothing_of_the_host(box):
    box.hypervisor.broken = "cannot open /var/lib/secret/path"
    [instance_id] = box.run_instances(box.image)
    ended = box.until_state(instance_id, "terminated")
    assert ended["StateReason"]["Code"] == "Server.InternalError"
    assert "secret" not in str(ended)
