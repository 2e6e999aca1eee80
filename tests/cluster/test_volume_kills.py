"""A volume on one host, its guest on another: cut off and killed at every end, and nothing is lost."""

import contextlib
import os
import re
import signal
import time
import uuid
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster, ip
from tests.cluster.guests import User

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

# Each record is a block of 512 bytes that begins with its number; the next one follows when it is written.
WRITER = """#!/bin/sh
until d=$(grep -l '^vol-' /sys/block/vd*/serial 2>/dev/null); do sleep 0.2; done
d=/dev/$(echo $d | cut -d/ -f4); n=0
echo "found $d"
while [ $n -lt 100000 ]; do
  n=$((n+1)); printf '%-511s\\n' $n | dd of=$d bs=512 seek=$n conv=notrunc oflag=direct 2>/dev/null || break
  [ $((n%20)) = 0 ] && echo "at $n"
done
echo "ended at $n"
"""


@pytest.fixture(scope="module")
def cluster():
    with Cluster(Path(f"/var/tmp/euca-cluster-{uuid.uuid4().hex[:8]}")) as made:
        made.start_first("clc,walrus,cc,sc")
        made.add("b", "nc")
        made.until_up("nc@b")
        yield made


@pytest.fixture(scope="module")
def user(cluster):
    made = User(cluster)
    yield made
    made.end()


def volume(user, volume_id):
    return user.ec2("describe_volumes", VolumeIds=[volume_id])["Volumes"][0]


def state(user, volume_id):
    found = volume(user, volume_id)
    return found["Attachments"][0]["State"] if found["Attachments"] else found["State"]


def daemons(*words):
    """Storage daemons whose command line has these."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            text = path.read_bytes().decode(errors="replace")
            if text.startswith("qemu-storage-daemon") and all(word in text for word in words):
                yield int(path.parent.name)


def test_a_volume_of_another_host_is_written_through_all_that_dies(cluster, user):
    a, b = cluster.boxes["a"], cluster.boxes["b"]
    [instance_id] = user.run(user.import_demo(), InstanceType="m1.small", UserData=WRITER)
    volume_id = user.ec2("create_volume", Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
    user.until([instance_id], "running")
    cluster.until(lambda: state(user, volume_id) == "available", 30)
    user.ec2("attach_volume", VolumeId=volume_id, InstanceId=instance_id, Device="/dev/sdf")
    cluster.until(lambda: state(user, volume_id) == "attached", 60, lambda: volume(user, volume_id))

    def count():
        said = user.ec2("get_console_output", InstanceId=instance_id).get("Output", "")
        return max((int(n) for n in re.findall(r"(?m)^at (\d+)", said)), default=0)

    def goes_on(seconds=90):
        before = count()
        cluster.until(lambda: count() >= before + 60, seconds, lambda: (before, count()))

    goes_on(120)
    assert list(daemons(volume_id, str(a.data.path)))
    [relay] = daemons(volume_id, "tls-creds-x509", str(b.data.run_dir))

    ip("-n", cluster.lan, "link", "set", f"p{b.number}", "down")
    time.sleep(8)
    ip("-n", cluster.lan, "link", "set", f"p{b.number}", "up")
    goes_on()
    for pid in daemons(volume_id, str(a.data.path)):
        os.kill(pid, signal.SIGKILL)
    goes_on()
    a.signal(signal.SIGKILL)
    for pid in daemons(volume_id, str(a.data.path)):
        os.kill(pid, signal.SIGKILL)
    a.restart()
    a.until_ready()
    goes_on()
    os.kill(relay, signal.SIGKILL)
    goes_on()
    b.signal(signal.SIGKILL)
    b.restart()
    b.until_ready()
    cluster.until_up("nc@b")
    goes_on()

    user.ec2("detach_volume", VolumeId=volume_id)
    cluster.until(lambda: state(user, volume_id) == "available", 60, lambda: volume(user, volume_id))
    assert list(daemons(volume_id)) == []
    told = count()
    raw = (a.data.path / "sc" / "volumes" / f"{volume_id}.raw").read_bytes()[512 : 512 * (told + 100)]
    found = [raw[at : at + 512].strip(b" \0\n") for at in range(0, len(raw), 512)]
    written = [int(record) for record in found if record]
    assert written == list(range(1, len(written) + 1))
    assert len(written) >= told
    user.ec2("terminate_instances", InstanceIds=[instance_id])
    user.until([instance_id], "terminated", 60)
    user.ec2("delete_volume", VolumeId=volume_id)


def test_another_zone_makes_a_volume_of_a_snapshot_whose_own_zone_is_dead():
    with Cluster(Path(f"/var/tmp/euca-cluster-{uuid.uuid4().hex[:8]}")) as cluster:
        cluster.start_first("clc,walrus")
        b = cluster.add("b", "cc,sc", "us-east-1a")
        c = cluster.add("c", "cc,sc", "us-east-1b")
        cluster.until_up("sc@us-east-1a", "sc@us-east-1b")
        user = User(cluster)
        try:
            made = user.ec2("create_volume", Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
            cluster.until(lambda: state(user, made) == "available", 30, lambda: volume(user, made))
            data = os.urandom(5 << 20)
            with (b.data.path / "sc" / "volumes" / f"{made}.raw").open("r+b") as file:
                file.seek(100 << 20)
                file.write(data)
            taken = user.ec2("create_snapshot", VolumeId=made)["SnapshotId"]

            def snapshot():
                return user.ec2("describe_snapshots", SnapshotIds=[taken])["Snapshots"][0]

            cluster.until(lambda: snapshot()["State"] == "completed", 60, snapshot)
            b.kill()
            copy = user.ec2("create_volume", SnapshotId=taken, AvailabilityZone="us-east-1b")["VolumeId"]
            cluster.until(lambda: state(user, copy) == "available", 60, lambda: volume(user, copy))
            raw = c.data.path / "sc" / "volumes" / f"{copy}.raw"
            cluster.until(lambda: not raw.with_suffix(".lazy").exists(), 60)
            found = raw.read_bytes()
            assert found[100 << 20 :][: len(data)] == data
            assert not any(found[: 100 << 20])
        finally:
            user.end()
