"""Security groups between guests of different nodes: packets go through the tunnels, rules hold there."""

import os
import signal
import uuid
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.guests import User
from tests.cluster.serial import Serial
from tests.cluster.test_guests import SPREAD, nodes_up

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]


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


def allow(user, group_id, source_id):
    pair = {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "UserIdGroupPairs": [{"GroupId": source_id}]}
    user.ec2("authorize_security_group_ingress", GroupId=group_id, IpPermissions=[pair])


@pytest.fixture(scope="module")
def groups(user):
    """Two groups; guests of the first one may ping each other."""
    made = [user.ec2("create_security_group", GroupName=n, Description=n)["GroupId"] for n in ("one", "two")]
    allow(user, made[0], made[0])
    return made


@pytest.fixture(scope="module")
def guests(cluster, user, groups):
    """A guest of the first group on each node, and one of the second on c."""
    image = user.import_demo()
    first = user.run(image, 2, SecurityGroupIds=[groups[0]])
    user.until(first, "running")
    cluster.first.run("component", "disable", "nc@b")
    [other] = user.run(image, SecurityGroupIds=[groups[1]])
    user.until([other], "running")
    cluster.first.run("component", "enable", "nc@b")
    for instance_id in (*first, other):
        user.until_said(instance_id, f"ready {instance_id}")
    return {i["InstanceId"]: i["PrivateIpAddress"] for i in user.instances([*first, other])}


def node_of(cluster, instance_id):
    return next(n for n in "bc" if (cluster.boxes[n].data.path / "nc/instances" / instance_id).exists())


def pings(shell, address):
    return shell.run(f"ping -c1 -W2 {address} >/dev/null 2>&1 && echo yes || echo no") == "yes"


def test_groups_hold_between_nodes_and_change_at_once(cluster, user, groups, guests):
    first, second, other = guests
    assert {node_of(cluster, first), node_of(cluster, second)} == {"b", "c"}
    assert node_of(cluster, other) == "c"  # the other node was disabled
    one = next(i for i in (first, second) if node_of(cluster, i) == "b")
    peer = second if one == first else first
    shell = Serial(user, one, "nc@b")
    cluster.until(lambda: pings(shell, guests[peer]), 20)
    assert not pings(shell, guests[other])
    allow(user, groups[1], groups[0])
    cluster.until(lambda: pings(shell, guests[other]), 10)
    user.ec2(
        "revoke_security_group_ingress",
        GroupId=groups[1],
        IpPermissions=[
            {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "UserIdGroupPairs": [{"GroupId": groups[0]}]}
        ],
    )
    cluster.until(lambda: not pings(shell, guests[other]), 10)
    assert pings(shell, guests[peer])


def test_guests_speak_on_while_the_processes_of_their_nodes_are_dead(cluster, user, guests):
    first, second, _ = guests
    one = next(i for i in (first, second) if node_of(cluster, i) == "b")
    peer = second if one == first else first
    shell = Serial(user, one, "nc@b")
    cluster.boxes["c"].signal(signal.SIGKILL)
    assert pings(shell, guests[peer])
    cluster.boxes["c"].restart().until_ready()
    assert pings(shell, guests[peer])
