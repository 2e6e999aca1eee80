"""Roles on hosts in other mixes: Walrus and the storage controller beside the cloud controller's host."""

import os
import uuid
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.guests import User
from tests.cluster.serial import Serial
from tests.cluster.test_guests import nodes_up

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]


@pytest.fixture(scope="module")
def cluster():
    with Cluster(Path(f"/var/tmp/euca-cluster-{uuid.uuid4().hex[:8]}")) as made:
        made.start_first("clc,cc")
        made.add("b", "walrus,sc")
        made.add("c", "nc")
        made.until(lambda: nodes_up(made) == {"nc@c"}, 60)
        made.until_up("walrus", "sc@us-east-1a", "nc@c")
        yield made


@pytest.fixture(scope="module")
def user(cluster):
    made = User(cluster)
    yield made
    made.end()


@pytest.fixture(scope="module")
def guest(user):
    [instance_id] = user.run(user.import_demo())
    user.until([instance_id], "running")
    user.until_said(instance_id, f"ready {instance_id}")
    return instance_id


def test_an_image_goes_to_walrus_on_its_host_and_boots_on_another(cluster, user, guest):
    status = cluster.first.json("status")
    assert status["s3"] == f"https://{cluster.boxes['b'].address}:8773"
    env = cluster.first.run("credentials", "--format", "env")
    assert f"AWS_ENDPOINT_URL_S3={status['s3']}" in env


def test_a_volume_a_snapshot_and_an_image_of_the_instance(cluster, user, guest):
    volume = user.ec2("create_volume", Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
    user.until_volume(volume, "available")
    user.ec2("attach_volume", VolumeId=volume, InstanceId=guest, Device="/dev/sdf")
    user.until_volume(volume, "in-use")
    shell = Serial(user, guest, "nc@c")
    shell.run("dmesg -n 1; while ! [ -b /dev/vdb ]; do sleep 0.2; done; printf kept > /dev/vdb; sync")
    snapshot = user.ec2("create_snapshot", VolumeId=volume)["SnapshotId"]
    image = user.ec2("create_image", InstanceId=guest, Name="of-the-guest", NoReboot=True)["ImageId"]

    def state_of_snapshot():
        return user.ec2("describe_snapshots", SnapshotIds=[snapshot])["Snapshots"][0]["State"]

    def state_of_image():
        return user.ec2("describe_images", ImageIds=[image])["Images"][0]["State"]

    cluster.until(lambda: state_of_snapshot() == "completed", 60)
    cluster.until(lambda: state_of_image() == "available", 120)


def test_the_host_with_walrus_is_killed_and_guests_run_on(cluster, user, guest):
    cluster.boxes["b"].kill()
    user.until([guest], "running", 10)
    cluster.boxes["b"].start().until_ready()
    cluster.until_up("walrus", "sc@us-east-1a")
    assert Serial(user, guest, "nc@c").run("dd if=/dev/vdb bs=4 count=1 2>/dev/null") == "kept"
