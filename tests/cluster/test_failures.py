"""Processes that stop, cables that break one way or both: guests run on, none twice, all agrees after."""

import logging
import os
import signal
import time
import uuid
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.guests import User
from tests.cluster.test_guests import SPREAD, guests, nodes_up

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

FOUR = 4
BOTH = "chain i { type filter hook input priority -10; tcp dport 8774 drop; tcp sport 8774 drop; }"
TO_NODE = "chain i { type filter hook input priority -10; ip saddr 198.51.100.1 drop; }"
FROM_NODE = "chain o { type filter hook output priority -10; ip daddr 198.51.100.1 drop; }"


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
def four(user):
    ids = user.run(user.import_demo(), FOUR)
    user.until(ids, "running")
    return ids


def impaired(user, ids):
    reply = user.ec2("describe_instance_status", InstanceIds=ids)
    return {s["InstanceId"] for s in reply["InstanceStatuses"] if s["SystemStatus"]["Status"] == "impaired"}


def on(user, ids, cluster, name):
    """Those of the instances that this host runs."""
    folder = cluster.boxes[name].data.path / "nc" / "instances"
    return {path.name for path in folder.iterdir()} & set(ids)


def agrees(cluster, user, four):
    """As many guests as instances, each once, each with an address of its own; all fine."""
    found = user.instances(four)
    assert {i["State"]["Name"] for i in found} == {"running"}
    assert len({i["PrivateIpAddress"] for i in found}) == len({i["PublicIpAddress"] for i in found}) == FOUR
    assert sum(guests(cluster).values()) == FOUR
    return not impaired(user, four)


def until_impaired(cluster, user, four, seconds=30):
    lost = on(user, four, cluster, "b")
    begun = time.monotonic()
    cluster.until(lambda: impaired(user, four) == lost, seconds)
    return time.monotonic() - begun


def test_a_node_that_stands_still_is_noticed_within_30_seconds_and_comes_back(cluster, user, four):
    node = cluster.boxes["b"]
    node.signal(signal.SIGSTOP)
    try:
        took = until_impaired(cluster, user, four)
        assert sum(guests(cluster).values()) == FOUR
    finally:
        node.signal(signal.SIGCONT)
    logging.getLogger(__name__).warning("noticed after %.0f s", took)
    cluster.until(lambda: agrees(cluster, user, four), 30)


@pytest.mark.parametrize("cut", [BOTH, TO_NODE, FROM_NODE], ids=["both ways", "to the node", "from the node"])
def test_a_node_that_is_cut_off_is_noticed_and_agrees_after(cluster, user, four, cut):
    node = cluster.boxes["b"]
    node.nft(cut)
    try:
        took = until_impaired(cluster, user, four)
    finally:
        node.nft("")
    logging.getLogger(__name__).warning("noticed after %.0f s", took)
    cluster.until(lambda: agrees(cluster, user, four), 30)


def test_a_stop_that_was_asked_for_while_the_node_was_away_happens_when_it_is_back(cluster, user, four):
    node, one = cluster.boxes["b"], min(on(user, four, cluster, "b"))
    node.nft(BOTH)
    try:
        user.ec2("stop_instances", InstanceIds=[one], Force=True)
        time.sleep(2)
        assert user.instances([one])[0]["State"]["Name"] == "stopping"
    finally:
        node.nft("")
    user.until([one], "stopped", 60)
    user.ec2("start_instances", InstanceIds=[one])
    user.until([one], "running", 90)


def test_cables_that_flap_start_nothing_twice(cluster, user, four):
    node = cluster.boxes["b"]
    for _ in range(8):
        node.nft(BOTH)
        time.sleep(0.7)
        node.nft("")
        time.sleep(0.7)
        assert sum(guests(cluster).values()) == FOUR
    cluster.until(lambda: agrees(cluster, user, four), 30)


def test_the_cloud_controller_is_killed_while_instances_are_launched(cluster, user, four):
    image = user.instances(four)[0]["ImageId"]
    token = uuid.uuid4().hex
    [new] = user.run(image, ClientToken=token)
    cluster.first.signal(signal.SIGKILL)
    cluster.first.restart().until_ready()
    user.until([new], "running", 120)
    assert sum(guests(cluster).values()) == FOUR + 1
    user.ec2("terminate_instances", InstanceIds=[new])
    user.until([new], "terminated", 60)


def test_a_revoked_node_is_heard_by_nobody_within_10_seconds(cluster, user, four):
    node, begun = cluster.boxes["b"], time.monotonic()
    cluster.first.run("component", "revoke", "b", "--yes")
    before = node.log.read_text()

    def is_out():
        return "removed" in node.log.read_text()[len(before) :] or "nc@b" not in nodes_up(cluster)

    cluster.until(is_out, 10)
    assert time.monotonic() - begun < 10
    assert guests(cluster)["b"] == len(on(user, four, cluster, "b"))  # nobody stops what runs there
