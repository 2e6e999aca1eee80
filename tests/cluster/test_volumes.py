"""Volumes of the storage controller of one host in guests on two others."""

import os
import signal
import time
import uuid
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.guests import User
from tests.cluster.serial import Serial
from tests.cluster.test_guests import SPREAD, nodes_up

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

PLACE = "nc/instances"
WORDS = "written-on-b-read-on-c"
CUT = (  # but for the role bus
    "chain o { type filter hook output priority -10; "
    "ip daddr 198.51.100.1 tcp sport != 8774 tcp dport != 8774 drop; }"
)


@pytest.fixture(scope="module")
def cluster():
    with Cluster(Path(f"/var/tmp/euca-cluster-{uuid.uuid4().hex[:8]}"), SPREAD) as made:
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


@pytest.fixture(scope="module")
def shells(cluster, user):
    """A guest on each node: name of the host -> its instance and a shell in it."""
    ids = user.run(user.import_demo(), 2)
    user.until(ids, "running")
    found = {}
    for instance_id in ids:
        user.until_said(instance_id, f"ready {instance_id}")
        [host] = [n for n in ("b", "c") if (cluster.boxes[n].data.path / PLACE / instance_id).exists()]
        found[host] = instance_id, Serial(user, instance_id, f"nc@{host}")
        found[host][1].run("dmesg -n 1")
    assert set(found) == {"b", "c"}
    return found


@pytest.fixture(scope="module")
def volume(user):
    made = user.ec2("create_volume", Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
    user.until_volume(made, "available")
    return made


def attach(user, volume, instance_id, shell):
    """Attached, and the guest's kernel has seen it."""
    user.ec2("attach_volume", VolumeId=volume, InstanceId=instance_id, Device="/dev/sdf")
    user.until_volume(volume, "in-use")
    shell.run("while ! [ -b /dev/vdb ]; do sleep 0.2; done")


def detach(user, volume):
    user.ec2("detach_volume", VolumeId=volume)
    user.until_volume(volume, "available")


def read(shell):
    return shell.run(f"dd if=/dev/vdb bs={len(WORDS)} count=1 2>/dev/null")


def test_what_a_guest_wrote_on_one_node_a_guest_reads_on_another(user, shells, volume):
    one, shell = shells["b"]
    attach(user, volume, one, shell)
    shell.run(f"printf {WORDS} > /dev/vdb; sync")
    assert read(shell) == WORDS
    detach(user, volume)
    other, shell = shells["c"]
    attach(user, volume, other, shell)
    assert read(shell) == WORDS


def test_the_volume_works_while_the_host_s_process_is_killed_and_comes_back(cluster, user, shells, volume):
    _, shell = shells["c"]
    write = "dd if=/tmp/n of=/dev/vdb seek=8 bs=512 conv=fsync 2>/dev/null"
    shell.run(f"touch /tmp/go; (while [ -e /tmp/go ]; do printf x >> /tmp/n; {write}; done) & true")
    cluster.first.signal(signal.SIGKILL)
    cluster.first.restart().until_ready()
    cluster.until_up("nc@c", "nc@b")
    before = int(shell.run("wc -c < /tmp/n"))
    cluster.until(lambda: int(shell.run("wc -c < /tmp/n")) > before, 30)
    shell.run("rm /tmp/go; wait")
    assert read(shell) == WORDS


def test_a_cable_that_breaks_only_makes_the_guest_wait(cluster, user, shells, volume):
    _, shell = shells["c"]
    node = cluster.boxes["c"]
    node.nft(CUT)
    try:
        write = "dd if=/dev/zero of=/dev/vdb seek=2048 count=64 conv=fsync 2>/dev/null"
        shell.run(f"({write}; echo ok > /tmp/ok) & true")
        time.sleep(3)
        assert shell.run("cat /tmp/ok 2>/dev/null") == ""
    finally:
        node.nft("")
    cluster.until(lambda: shell.run("cat /tmp/ok 2>/dev/null") == "ok", 60)
    assert read(shell) == WORDS


def test_it_goes_back_and_is_deleted(user, shells, volume):
    detach(user, volume)
    user.ec2("delete_volume", VolumeId=volume)
