"""Two zones in one cloud: one with the cloud controller, one that is a host of its own."""

import json
import os
import signal
import time
import uuid
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.guests import User
from tests.cluster.test_guests import guests, nodes_up

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

ONE, TWO = "us-east-1a", "us-east-1b"


@pytest.fixture(scope="module")
def cluster():
    with Cluster(Path(f"/var/tmp/euca-cluster-{uuid.uuid4().hex[:8]}")) as made:
        made.start_first("clc,walrus,cc,sc")
        made.add("b", "nc")
        made.add(
            "c",
            "cc,sc,nc",
            TWO,
            EUCA_BOX__NETWORK__PRIVATE_SUBNET="10.89.0.0/24",
            EUCA_BOX__NETWORK__PUBLIC_ADDRESSES="198.51.100.100-198.51.100.140",
        )
        made.until(lambda: nodes_up(made) == {"nc@b", "nc@c"}, 60)
        yield made


@pytest.fixture(scope="module")
def user(cluster):
    made = User(cluster)
    yield made
    made.end()


@pytest.fixture(scope="module")
def image(user):
    return user.import_demo()


def zones(user):
    found = user.ec2("describe_availability_zones")["AvailabilityZones"]
    return {z["ZoneName"]: z["State"] for z in found}


def in_zone(zone):
    return {"Placement": {"AvailabilityZone": zone}}


@pytest.fixture(scope="module")
def pair(user, image):
    """A guest in each zone."""
    ids = [*user.run(image, **in_zone(ONE)), *user.run(image, **in_zone(TWO))]
    user.until(ids, "running")
    return ids


def test_both_zones_are_there_with_a_subnet_each(cluster, user):
    assert zones(user) == {ONE: "available", TWO: "available"}

    def subnets():
        found = user.ec2("describe_subnets")["Subnets"]
        assert len({s["SubnetId"] for s in found}) == len(found)
        return {s["AvailabilityZone"]: s["CidrBlock"] for s in found}

    cluster.until(lambda: subnets() == {ONE: "10.88.0.0/24", TWO: "10.89.0.0/24"}, 10)


def test_guests_run_in_the_zone_that_was_asked_for(cluster, user, pair):
    first, second = user.instances([pair[0]])[0], user.instances([pair[1]])[0]
    assert (first["Placement"]["AvailabilityZone"], first["PrivateIpAddress"][:6]) == (ONE, "10.88.")
    assert (second["Placement"]["AvailabilityZone"], second["PrivateIpAddress"][:6]) == (TWO, "10.89.")
    assert second["PublicIpAddress"].startswith("198.51.100.1")
    assert first["SubnetId"] != second["SubnetId"]
    assert guests(cluster) == {"a": 0, "b": 1, "c": 1}
    user.until_said(pair[1], f"ready {pair[1]}")


def test_a_subnet_names_a_zone_and_a_wrong_one_is_refused(user, image):
    subnets = {s["AvailabilityZone"]: s["SubnetId"] for s in user.ec2("describe_subnets")["Subnets"]}
    with pytest.raises(Exception, match="InvalidParameterCombination"):
        user.run(image, SubnetId=subnets[TWO], **in_zone(ONE))
    with pytest.raises(Exception, match="InvalidParameterValue"):
        user.run(image, **in_zone("us-east-1c"))
    with pytest.raises(Exception, match="DryRunOperation"):
        user.run(image, SubnetId=subnets[TWO], DryRun=True)


def test_a_volume_of_one_zone_becomes_by_a_snapshot_one_of_the_other(cluster, user, pair):
    volume = user.ec2("create_volume", Size=1, AvailabilityZone=TWO)["VolumeId"]
    user.until_volume(volume, "available")
    user.ec2("attach_volume", VolumeId=volume, InstanceId=pair[1], Device="/dev/sdf")
    user.until_volume(volume, "in-use")
    snapshot = user.ec2("create_snapshot", VolumeId=volume)["SnapshotId"]

    def is_stored():
        found = user.ec2("describe_snapshots", SnapshotIds=[snapshot])["Snapshots"][0]
        return found["State"] == "completed"

    cluster.until(is_stored, 60)
    copy = user.ec2("create_volume", SnapshotId=snapshot, AvailabilityZone=ONE)["VolumeId"]
    user.until_volume(copy, "available")
    assert user.ec2("describe_volumes", VolumeIds=[copy])["Volumes"][0]["AvailabilityZone"] == ONE
    with pytest.raises(Exception, match=r"InvalidVolume\.ZoneMismatch"):
        user.ec2("attach_volume", VolumeId=copy, InstanceId=pair[1], Device="/dev/sdg")
    user.ec2("detach_volume", VolumeId=volume)
    user.until_volume(volume, "available")
    for made in (volume, copy):
        user.ec2("delete_volume", VolumeId=made)


def test_an_elastic_address_leads_to_its_own_zone_only(user, pair):
    made = user.ec2("allocate_address")
    with pytest.raises(Exception, match="InvalidParameterCombination"):
        user.ec2("associate_address", AllocationId=made["AllocationId"], InstanceId=pair[1])
    user.ec2("associate_address", AllocationId=made["AllocationId"], InstanceId=pair[0])
    assert user.instances([pair[0]])[0]["PublicIpAddress"] == made["PublicIp"]
    user.ec2("disassociate_address", PublicIp=made["PublicIp"])
    user.ec2("release_address", AllocationId=made["AllocationId"])


def test_a_zone_that_is_lost_harms_nothing_in_the_other(cluster, user, image, pair):
    other = cluster.boxes["c"]
    other.signal(signal.SIGKILL)
    cluster.until(lambda: zones(user) == {ONE: "available", TWO: "unavailable"}, 30)
    [new] = user.run(image)
    user.until([new], "running")
    assert user.instances([new])[0]["Placement"]["AvailabilityZone"] == ONE
    other.restart().until_ready()
    cluster.until(lambda: zones(user) == {ONE: "available", TWO: "available"}, 60)
    assert guests(cluster)["c"] == 1


def test_a_zone_behind_a_broken_cable_keeps_nobody_waiting(cluster, user, image, pair):
    other = cluster.boxes["c"]
    other.nft("chain i { type filter hook input priority -10; ip saddr 198.51.100.1 drop; }")
    try:
        cluster.until(lambda: zones(user) == {ONE: "available", TWO: "unavailable"}, 60)
        cluster.until(lambda: any("No news from cc@us-east-1b" in p for p in problems(cluster)), 60)
        # What was on its way before that was noticed waits for its deadline, once.
        user.ec2("release_address", AllocationId=user.ec2("allocate_address")["AllocationId"])
        [new] = timed(user.run, image)
        timed(zones, user)
        timed(user.ec2, "describe_instance_status")
        made = timed(user.ec2, "allocate_address")
        timed(user.ec2, "release_address", AllocationId=made["AllocationId"])
        user.until([new], "running")
    finally:
        other.nft("")
    cluster.until(lambda: zones(user) == {ONE: "available", TWO: "available"}, 60)


def timed(call, *args, **asked):
    """Its answer, which comes in less than any deadline of the bus takes."""
    begun = time.monotonic()
    answer = call(*args, **asked)
    assert time.monotonic() - begun < 8, args
    return answer


def problems(cluster):
    return json.loads(cluster.first.run("status", "-o", "json", fails=None))["problems"]


def test_a_disabled_zone_takes_nothing_new(cluster, user, image):
    cluster.first.run("component", "disable", f"cc@{TWO}")
    assert zones(user)[TWO] == "impaired"
    with pytest.raises(Exception, match="InsufficientInstanceCapacity"):
        user.run(image, **in_zone(TWO))
    cluster.first.run("component", "enable", f"cc@{TWO}")
    assert zones(user)[TWO] == "available"
    assert "it has 1 instances" in cluster.first.run("component", "deregister", f"cc@{TWO}", fails=True)
