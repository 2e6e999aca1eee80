"""A guest whose root is a volume leaves its node: by a stop and a start, and when the node is lost."""

import os
import shutil
import signal
import uuid
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.guests import User
from tests.cluster.serial import Serial
from tests.cluster.test_guests import SPREAD, guests, nodes_up
from tests.kvm.real import demo

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

PLACE = "nc/instances"
RECOVER = "\n[cloud]\nrecover_seconds = 8.0\n"


@pytest.fixture(scope="module")
def cluster():
    with Cluster(Path(f"/var/tmp/euca-cluster-{uuid.uuid4().hex[:8]}"), SPREAD + RECOVER) as made:
        made.start_first("clc,walrus,cc,sc")
        made.add("b", "nc")
        made.add("c", "nc")
        made.until(lambda: nodes_up(made) == {"nc@b", "nc@c"}, 60)
        yield made


@pytest.fixture(scope="module")
def user(cluster):
    made = User(cluster)
    yield made
    made.end()


def host_of(cluster, instance_id):
    [name] = [n for n, box in cluster.boxes.items() if (box.data.path / PLACE / instance_id).exists()]
    return name


def shell_of(cluster, user, instance_id):
    user.until_said(instance_id, f"ready {instance_id}")
    shell = Serial(user, instance_id, f"nc@{host_of(cluster, instance_id)}")
    shell.run("dmesg -n 1")
    return shell


@pytest.fixture(scope="module")
def golden(cluster, user):
    """The demo image's root, written into a volume, as an image of the volume's snapshot."""
    plain = user.ec2("describe_images", ImageIds=[user.import_demo()])["Images"][0]
    volume = user.ec2("create_volume", Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
    user.until_volume(volume, "available")
    [path] = (cluster.first.data.path / "sc" / "volumes").glob(f"{volume}*")
    with demo().root.open("rb") as root, path.open("r+b") as target:
        shutil.copyfileobj(root, target)
    snapshot = user.ec2("create_snapshot", VolumeId=volume)["SnapshotId"]

    def is_stored():
        found = user.ec2("describe_snapshots", SnapshotIds=[snapshot])["Snapshots"][0]
        return found["State"] == "completed"

    cluster.until(is_stored, 60)
    user.ec2("delete_volume", VolumeId=volume)
    root = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}
    more = {name: plain[name] for name in ("KernelId", "RamdiskId") if plain.get(name)}
    return user.ec2("register_image", Name="golden", BlockDeviceMappings=[root], **more)["ImageId"]


@pytest.fixture(scope="module")
def guest(user, golden):
    [instance_id] = user.run(golden)
    user.until([instance_id], "running")
    return instance_id


def test_it_leaves_a_node_in_maintenance_by_a_stop_and_a_start(cluster, user, guest):
    shell = shell_of(cluster, user, guest)
    shell.run("echo kept > /root/words && sync")
    before, [shown] = host_of(cluster, guest), user.instances([guest])
    cluster.first.run("component", "maintenance", f"nc@{before}")
    user.ec2("stop_instances", InstanceIds=[guest])
    user.until([guest], "stopped")
    user.ec2("start_instances", InstanceIds=[guest])
    [moved] = user.until([guest], "running")
    assert moved["PrivateIpAddress"] == shown["PrivateIpAddress"]
    cluster.until(lambda: not (cluster.boxes[before].data.path / PLACE / guest).exists())
    assert host_of(cluster, guest) != before
    assert shell_of(cluster, user, guest).run("cat /root/words") == "kept"
    cluster.first.run("component", "enable", f"nc@{before}")


def test_it_starts_on_the_other_node_when_its_own_is_lost_and_only_there_it_can_write(cluster, user, guest):
    shell = shell_of(cluster, user, guest)
    shell.run("echo written-before > /root/words && sync")
    before = host_of(cluster, guest)
    lost = cluster.boxes[before]
    [after] = {"b", "c"} - {before}
    lost.signal(signal.SIGKILL)  # the guest and its storage daemon run on
    cluster.until(lambda: guests(cluster)[after] == 1, 90)
    assert guests(cluster)[before] == 1
    user.until([guest], "running")
    there = Serial(user, guest, f"nc@{after}")
    cluster.until(lambda: f"ready {guest}" in user.ec2("get_console_output", InstanceId=guest)["Output"], 120)
    there.run("dmesg -n 1")
    assert there.run("cat /root/words") == "written-before"
    there.run("echo written-after > /root/words && sync")

    lost.restart().until_ready()
    cluster.until(lambda: guests(cluster) == {"a": 0, before: 0, after: 1}, 60)
    cluster.until(lambda: not (lost.data.path / PLACE / guest).exists())
    assert there.run("sync; echo 3 > /proc/sys/vm/drop_caches; cat /root/words") == "written-after"
    user.ec2("terminate_instances", InstanceIds=[guest])
    user.until([guest], "terminated")
    cluster.until(lambda: not user.ec2("describe_volumes")["Volumes"], 60)
