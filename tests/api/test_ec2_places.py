"""Regions, zones and VM types by the front door."""

import pytest

from tests.api.cloud_box import filters, refused, running_cloud
from tests.api.ec2_raw import Raw, pairs_of


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud"), region="lab-1", zone="lab-1a") as box:
        yield box


@pytest.fixture
def ec2(box):
    return box.ec2()


def test_the_zone_of_the_cluster_is_available(ec2):
    [zone] = ec2.describe_availability_zones()["AvailabilityZones"]
    assert (zone["ZoneName"], zone["RegionName"], zone["State"]) == ("lab-1a", "lab-1", "available")
    assert ec2.describe_availability_zones(ZoneNames=["lab-1a"], AllAvailabilityZones=True)[
        "AvailabilityZones"
    ]
    assert refused(ec2.describe_availability_zones, ZoneNames=["mars"]) == ("InvalidParameterValue", 400)
    assert refused(ec2.describe_availability_zones, ZoneIds=["mars"])[0] == "InvalidParameterValue"
    assert refused(ec2.describe_availability_zones, DryRun=True) == ("DryRunOperation", 412)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("zone-name", "lab-*"),
        ("zone-id", "lab-1-az1"),
        ("region-name", "lab-1"),
        ("state", "available"),
        ("opt-in-status", "opt-in-not-required"),
        ("group-name", "lab-1-zg-1"),
        ("zone-type", "availability-zone"),
    ],
)
def test_filters_of_zones(ec2, name, value):
    for wanted, count in ((value, 1), ("no such value", 0)):
        reply = ec2.describe_availability_zones(Filters=[{"Name": name, "Values": [wanted]}])
        assert len(reply["AvailabilityZones"]) == count
    assert refused(ec2.describe_availability_zones, Filters=filters(colour="x"))[0] == "InvalidParameterValue"


def test_the_region_has_the_endpoint_that_clients_reach(box, ec2):
    [region] = ec2.describe_regions()["Regions"]
    assert region == {
        "RegionName": "lab-1",
        "Endpoint": f"127.0.0.1:{box.port}",
        "OptInStatus": "opt-in-not-required",
    }
    assert ec2.describe_regions(RegionNames=["lab-1"], AllRegions=True)["Regions"] == [region]
    assert ec2.describe_regions(Filters=filters(region_name="no"))["Regions"] == []
    assert ec2.describe_regions(Filters=filters(endpoint="127*"))["Regions"] == [region]
    assert refused(ec2.describe_regions, RegionNames=["mars"]) == ("InvalidParameterValue", 400)
    assert refused(ec2.describe_regions, Filters=filters(colour="x"))[0] == "InvalidParameterValue"
    assert refused(ec2.describe_regions, DryRun=True) == ("DryRunOperation", 412)


def test_the_vm_types_of_1_6_2_are_there(ec2):
    found = {t["InstanceType"]: t for t in ec2.describe_instance_types()["InstanceTypes"]}
    assert {"m1.small", "c1.medium", "m1.large", "m1.xlarge", "c1.xlarge"} <= set(found)
    small = found["m1.small"]
    assert small["VCpuInfo"]["DefaultVCpus"] == 1
    assert small["MemoryInfo"]["SizeInMiB"] == 128
    assert small["InstanceStorageInfo"]["TotalSizeInGB"] == 10
    assert small["ProcessorInfo"]["SupportedArchitectures"] == ["x86_64"]
    assert small["SupportedRootDeviceTypes"] == ["ebs", "instance-store"]
    assert small["BareMetal"] is False


def test_vm_types_by_name_filter_and_page(ec2):
    def found(**asked):
        return [t["InstanceType"] for t in ec2.describe_instance_types(**asked)["InstanceTypes"]]

    assert found(InstanceTypes=["m1.large", "m1.small"]) == ["m1.large", "m1.small"]
    assert found(Filters=[{"Name": "vcpu-info.default-vcpus", "Values": ["4"]}]) == ["c1.xlarge", "m5.xlarge"]
    assert found(Filters=[{"Name": "memory-info.size-in-mib", "Values": ["128"]}]) == [
        "c1.medium",
        "m1.small",
    ]
    assert found(Filters=filters(bare_metal="true")) == []
    assert refused(ec2.describe_instance_types, InstanceTypes=["x"]) == ("InvalidInstanceType", 400)
    assert refused(ec2.describe_instance_types, Filters=filters(colour="x"))[0] == "InvalidParameterValue"
    assert refused(ec2.describe_instance_types, DryRun=True) == ("DryRunOperation", 412)
    page = ec2.describe_instance_types(MaxResults=5)
    assert len(page["InstanceTypes"]) == 5
    assert "NextToken" in page


@pytest.mark.parametrize(
    ("name", "cpu", "memory_mib"), [("t2.nano", 1, 512), ("t3.micro", 2, 1024), ("m5.large", 2, 8192)]
)
def test_the_vm_types_that_clients_ask_for_today_have_the_size_of_aws(ec2, name, cpu, memory_mib):
    [found] = ec2.describe_instance_types(InstanceTypes=[name])["InstanceTypes"]
    assert found["VCpuInfo"]["DefaultVCpus"] == cpu
    assert found["MemoryInfo"]["SizeInMiB"] == memory_mib


def test_an_administrator_reads_how_much_room_there_is(box, ec2):
    # Not by boto3: the lines stand where EC2 has the word of a state.
    answer = Raw(box, "admin").v4(pairs_of("DescribeAvailabilityZones", ZoneName__1="verbose"))
    texts = {n: [e.text for e in answer.root.iter() if e.tag.endswith(n)] for n in ("zoneName", "zoneState")}
    zone, head, *lines = zip(texts["zoneName"], texts["zoneState"], strict=True)
    assert zone == ("lab-1a", "available")
    assert head == ("|- vm types", "free / max   cpu   ram  disk")
    types = box.ec2("admin").describe_instance_types()["InstanceTypes"]
    assert {name for name, _ in lines} == {f"|- {t['InstanceType']}" for t in types}
    free, _, most, cpu, memory, disk = dict(lines)["|- m1.small"].split()
    assert (free, cpu, memory, disk) == (most, "1", "128", "10")
    assert int(free) > 0
    asked = {"ZoneNames": ["verbose"]}
    assert refused(ec2.describe_availability_zones, **asked) == ("InvalidParameterValue", 400)
