"""A running cloud of three hosts: clc, walrus, cc, sc on one, nodes on two; guests by boto3 from a client."""

import os
import signal
import uuid
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.guests import User

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

SIX = 6


@pytest.fixture(scope="module")
def cluster():
    with Cluster(Path(f"/var/tmp/euca-cluster-{uuid.uuid4().hex[:8]}"), SPREAD) as made:
        made.start_first("clc,walrus,cc,sc")
        made.add("b", "nc")
        made.add("c", "nc")
        made.until_up("nc@b", "nc@c")
        made.until(lambda: nodes_up(made) == {"nc@b", "nc@c"}, 60)
        yield made


@pytest.fixture(scope="module")
def user(cluster):
    made = User(cluster)
    yield made
    made.end()


@pytest.fixture(scope="module")
def six(user):
    """Six guests."""
    ids = user.run(user.import_demo(), SIX, InstanceType="m1.small")
    user.until(ids, "running")
    return ids


def nodes_up(cluster):
    status = cluster.first.run("status", "-o", "json", fails=None)
    import json

    return {n["name"] for n in json.loads(status)["cloud"]["nodes"] if n["state"] == "UP"}


def guests(cluster):
    return {name: len(box.guests()) for name, box in cluster.boxes.items()}


def test_guests_run_on_all_nodes_and_say_so(cluster, user, six):
    assert guests(cluster) == {"a": 0, "b": 3, "c": 3}
    for instance_id in six:
        user.until_said(instance_id, f"ready {instance_id}")


def test_every_guest_has_addresses_of_its_own_that_a_client_reaches(cluster, user, six):
    found = user.instances(six)
    for key in ("PrivateIpAddress", "PublicIpAddress"):
        assert max(Counter(i[key] for i in found).values()) == 1
    user.ec2(
        "authorize_security_group_ingress",
        GroupName="default", IpProtocol="icmp", FromPort=-1, ToPort=-1, CidrIp="0.0.0.0/0",
    )  # fmt: skip
    for instance in found:
        cluster.until(lambda address=instance["PublicIpAddress"]: cluster.pings(address), 30)


def test_a_guest_stops_and_starts_on_its_node(cluster, user, six):
    one = six[0]
    user.ec2("stop_instances", InstanceIds=[one], Force=True)
    user.until([one], "stopped")
    assert sum(guests(cluster).values()) == SIX - 1
    user.ec2("start_instances", InstanceIds=[one])
    user.until([one], "running")
    assert guests(cluster) == {"a": 0, "b": 3, "c": 3}


def test_guests_run_on_while_every_process_is_killed_and_comes_back(cluster, user, six):
    before = {name: sorted(box.guests()) for name, box in cluster.boxes.items()}
    for box in cluster.boxes.values():
        box.signal(signal.SIGKILL)
    for box in cluster.boxes.values():
        box.restart()
    for box in cluster.boxes.values():
        box.until_ready()
    cluster.until(lambda: nodes_up(cluster) == {"nc@b", "nc@c"}, 60)
    user.until(six, "running", 30)
    assert {name: sorted(box.guests()) for name, box in cluster.boxes.items()} == before


def test_ended_guests_leave_nothing(cluster, user, six):
    user.ec2("terminate_instances", InstanceIds=six)
    user.until(six, "terminated", 60)
    assert sum(guests(cluster).values()) == 0


SPREAD = """
scheduler = "ROUNDROBIN"
"""
