"""Stop, start and status by the front door; limits of the account, offerings."""

import pytest

from tests.api.cloud_box import PUBLIC, filters, refused, running_cloud

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


def test_stop_and_start_keep_the_disk_and_the_private_address(box, ec2, running):
    before = box.instance(running)
    disk = box.data_dir / "nc" / "instances" / running / "disk.qcow2"
    disk.write_bytes(b"written by the guest")

    [change] = ec2.stop_instances(InstanceIds=[running.upper()])["StoppingInstances"]
    assert change["PreviousState"] == {"Code": 16, "Name": "running"}
    assert change["CurrentState"] == {"Code": 64, "Name": "stopping"}
    stopped = box.until_state(running, "stopped")
    assert stopped["State"] == {"Code": 80, "Name": "stopped"}
    assert stopped["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert stopped["StateTransitionReason"].startswith("User initiated (")
    assert "PublicIpAddress" not in stopped
    assert stopped["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert (box.hypervisor.machines, box.network.plugged, box.network.public) == ({}, {}, {})

    [change] = ec2.start_instances(InstanceIds=[running])["StartingInstances"]
    assert change["PreviousState"]["Name"] == "stopped"
    assert change["CurrentState"] == {"Code": 0, "Name": "pending"}
    again = box.until_state(running, "running")
    assert again["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert again["PublicIpAddress"] in PUBLIC
    assert again["LaunchTime"] > before["LaunchTime"]
    assert "StateReason" not in again
    assert disk.read_bytes() == b"written by the guest"


def test_stop_and_start_of_what_is_so_already_change_nothing(box, ec2, running):
    [change] = ec2.start_instances(InstanceIds=[running])["StartingInstances"]
    assert change["CurrentState"]["Name"] == change["PreviousState"]["Name"] == "running"
    ec2.stop_instances(InstanceIds=[running], Force=True)
    box.until_state(running, "stopped")
    [change] = ec2.stop_instances(InstanceIds=[running])["StoppingInstances"]
    assert change["CurrentState"]["Name"] == change["PreviousState"]["Name"] == "stopped"
    assert refused(ec2.reboot_instances, InstanceIds=[running]) == ("IncorrectInstanceState", 400)


def test_one_that_cannot_be_stopped_and_none_is(box, ec2, running):
    [ended] = box.run_instances(box.image)
    box.until_state(ended, "running")
    box.terminate([ended])
    for call in (ec2.stop_instances, ec2.start_instances):
        wrong = {ABSENT: "InvalidInstanceID.NotFound", "nope": "InvalidInstanceID.Malformed"}
        for instance_id, code in wrong.items():
            assert refused(call, InstanceIds=[running, instance_id]) == (code, 400)
        assert refused(call, InstanceIds=[running, ended]) == ("IncorrectInstanceState", 400)
        assert refused(call, InstanceIds=[]) == ("MissingParameter", 400)
        assert refused(call, InstanceIds=[running], DryRun=True) == ("DryRunOperation", 412)
        code = refused(getattr(box.ec2("mallory"), call.__name__), InstanceIds=[running])
        assert code == ("InvalidInstanceID.NotFound", 400)
    assert refused(ec2.stop_instances, InstanceIds=[running], Hibernate=True)[0] == "UnsupportedOperation"
    asked = {"InstanceIds": [running], "AdditionalInfo": "x"}
    assert refused(ec2.start_instances, **asked)[0] == "UnsupportedOperation"
    assert box.instance(running)["State"]["Name"] == "running"


def test_a_stopped_instance_frees_its_place_and_stays_stopped_without_one(box, ec2):
    """The node has 64 GiB less one for the host; c1.xlarge takes two."""
    ids = box.run_instances(box.image, 31, InstanceType="c1.xlarge")
    for instance_id in ids:
        box.until_state(instance_id, "running")
    ec2.stop_instances(InstanceIds=[ids[0]], Force=True)
    box.until_state(ids[0], "stopped")
    [other] = box.run_instances(box.image, InstanceType="c1.xlarge")
    box.until_state(other, "running")
    code = refused(ec2.start_instances, InstanceIds=[ids[0]])
    assert code == ("InsufficientInstanceCapacity", 500)
    assert box.instance(ids[0])["State"]["Name"] == "stopped"
    box.terminate([other])
    ec2.start_instances(InstanceIds=[ids[0]])
    box.until_state(ids[0], "running")


def test_filters_find_stopped_instances(box, ec2, running):
    ec2.stop_instances(InstanceIds=[running], SkipOsShutdown=True)
    box.until_state(running, "stopped")
    for wanted in (filters(instance_state_name="stopped"), filters(instance_state_code="80")):
        found = ec2.describe_instances(Filters=wanted)["Reservations"]
        assert [i["InstanceId"] for r in found for i in r["Instances"]] == [running]


# DescribeInstanceStatus


def statuses(ec2, **asked):
    return {s["InstanceId"]: s for s in ec2.describe_instance_status(**asked)["InstanceStatuses"]}


def test_a_running_instance_on_a_node_that_answers_is_ok(box, ec2, running):
    status = statuses(ec2)[running]
    assert status["InstanceState"] == {"Code": 16, "Name": "running"}
    assert status["AvailabilityZone"] == "us-east-1a"
    for name in ("SystemStatus", "InstanceStatus"):
        assert status[name]["Status"] == "ok"
        assert status[name]["Details"] == [{"Name": "reachability", "Status": "passed"}]


def test_only_running_instances_have_a_status_unless_all_are_asked_for(box, ec2, running):
    ec2.stop_instances(InstanceIds=[running], Force=True)
    box.until_state(running, "stopped")
    assert statuses(ec2, InstanceIds=[running]) == {}
    status = statuses(ec2, InstanceIds=[running], IncludeAllInstances=True)[running]
    assert (status["InstanceState"]["Name"], status["SystemStatus"]["Status"]) == (
        "stopped",
        "not-applicable",
    )


def test_every_filter_of_describe_instance_status_finds_it_by_its_value(box, ec2, running):
    values = {
        "availability-zone": "us-east-1a",
        "instance-state-code": "16",
        "instance-state-name": "running",
        "instance-status.reachability": "passed",
        "instance-status.status": "ok",
        "system-status.reachability": "passed",
        "system-status.status": "ok",
    }
    for name, value in values.items():
        assert running in statuses(ec2, Filters=[{"Name": name, "Values": [value]}]), name
        assert running not in statuses(ec2, Filters=[{"Name": name, "Values": ["x"]}]), name
    assert refused(ec2.describe_instance_status, Filters=filters(colour="red"))[0] == "InvalidParameterValue"


def test_describe_instance_status_pages_and_refuses(box, ec2):
    ids = box.run_instances(box.image, 7)
    for instance_id in ids:
        box.until_state(instance_id, "running")
    first = ec2.describe_instance_status(MaxResults=5)
    second = ec2.describe_instance_status(MaxResults=5, NextToken=first["NextToken"])
    seen = [s["InstanceId"] for page in (first, second) for s in page["InstanceStatuses"]]
    assert sorted(seen) == sorted(ids)
    asked = {"InstanceIds": ids[:1], "MaxResults": 5}
    assert refused(ec2.describe_instance_status, **asked)[0] == "InvalidParameterCombination"
    assert refused(ec2.describe_instance_status, InstanceIds=[ABSENT])[0] == "InvalidInstanceID.NotFound"
    assert refused(ec2.describe_instance_status, DryRun=True) == ("DryRunOperation", 412)
    assert statuses(box.ec2("mallory")) == {}


# Monitoring, GetPasswordData, DescribeAccountAttributes, DescribeInstanceTypeOfferings


def test_detailed_monitoring_is_switched_on_and_off(box, ec2, running):
    [found] = ec2.monitor_instances(InstanceIds=[running])["InstanceMonitorings"]
    assert (found["InstanceId"], found["Monitoring"]) == (running, {"State": "enabled"})
    assert box.instance(running)["Monitoring"] == {"State": "enabled"}
    assert refused(ec2.monitor_instances, InstanceIds=[ABSENT])[0] == "InvalidInstanceID.NotFound"
    [found] = ec2.unmonitor_instances(InstanceIds=[running])["InstanceMonitorings"]
    assert (found["InstanceId"], found["Monitoring"]) == (running, {"State": "disabled"})
    assert refused(ec2.unmonitor_instances, InstanceIds=[ABSENT])[0] == "InvalidInstanceID.NotFound"
    code, _ = refused(box.ec2("mallory").unmonitor_instances, InstanceIds=[running])
    assert code == "InvalidInstanceID.NotFound"
    assert refused(ec2.unmonitor_instances, InstanceIds=[running], DryRun=True)[0] == "DryRunOperation"


def test_no_password_is_known(box, ec2, running):
    reply = ec2.get_password_data(InstanceId=running)
    assert (reply["InstanceId"], reply["PasswordData"]) == (running, "")
    assert refused(ec2.get_password_data, InstanceId=ABSENT)[0] == "InvalidInstanceID.NotFound"
    code, _ = refused(box.ec2("mallory").get_password_data, InstanceId=running)
    assert code == "InvalidInstanceID.NotFound"


def test_describe_account_attributes_tells_limits_and_the_default_vpc(box, ec2):
    def told(**asked):
        reply = ec2.describe_account_attributes(**asked)["AccountAttributes"]
        return {a["AttributeName"]: [v["AttributeValue"] for v in a["AttributeValues"]] for a in reply}

    everything = told()
    assert everything["supported-platforms"] == ["VPC"]
    assert everything["default-vpc"] == [ec2.describe_vpcs()["Vpcs"][0]["VpcId"]]
    assert everything["max-instances"] == ["64"]
    assert set(everything) >= {
        "vpc-max-security-groups-per-interface",
        "max-elastic-ips",
        "vpc-max-elastic-ips",
    }
    assert told(AttributeNames=["max-instances"]) == {"max-instances": ["64"]}
    wrong = refused(ec2.describe_account_attributes, AttributeNames=["colour"])
    assert wrong == ("InvalidParameterValue", 400)
    assert refused(ec2.describe_account_attributes, DryRun=True)[0] == "DryRunOperation"


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        (None, "us-east-1"),
        ("region", "us-east-1"),
        ("availability-zone", "us-east-1a"),
        ("availability-zone-id", "us-east-1-az1"),
    ],
)
def test_every_vm_type_is_offered_in_the_one_zone(box, ec2, kind, place):
    asked = {"LocationType": kind} if kind else {}
    offered = ec2.describe_instance_type_offerings(**asked)["InstanceTypeOfferings"]
    types = {t["InstanceType"] for t in ec2.describe_instance_types()["InstanceTypes"]}
    assert {o["InstanceType"] for o in offered} == types
    assert {(o["LocationType"], o["Location"]) for o in offered} == {(kind or "region", place)}
    [one] = ec2.describe_instance_type_offerings(
        **asked, Filters=filters(instance_type="m1.small", location=place)
    )["InstanceTypeOfferings"]
    assert one["InstanceType"] == "m1.small"


def test_offerings_of_other_places_are_refused(ec2):
    for asked, code in (
        ({"LocationType": "outpost"}, "InvalidParameterValue"),
        ({"Filters": filters(colour="red")}, "InvalidParameterValue"),
        ({"MaxResults": 4}, "InvalidParameterValue"),
        ({"DryRun": True}, "DryRunOperation"),
    ):
        assert refused(ec2.describe_instance_type_offerings, **asked)[0] == code
