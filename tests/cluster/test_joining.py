"""Hosts join a cloud, are seen, move, and are shut out."""

import os
import signal
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.cluster.cluster import LAN, Cluster, ip

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]


@pytest.fixture(scope="module")
def cluster():
    with Cluster(Path(f"/var/tmp/euca-cluster-{uuid.uuid4().hex[:8]}")) as made:
        made.start_first("clc,walrus,cc,sc")
        yield made


def test_a_host_joins_by_one_command_and_then_just_runs(cluster):
    node = cluster.add("b", "nc")
    cluster.until_up("nc@b", "cc@us-east-1a", "walrus")
    row = cluster.components()["nc@b"]
    assert row["host"] == "b" and row["at"] == f"{LAN}.2:8774" and row["zone"] == "us-east-1a"
    assert row["version"] and abs(row["skew_seconds"]) < 5
    for name in ("membership.json", "peers.json", "host.key", "host-tls.key"):
        assert (node.data.path / name).stat().st_mode & 0o777 == 0o600, name
    assert not (node.data.path / "ca.key").exists()
    for name in ("tls.pem", "identity.pem"):  # certified by the cloud; the keys never left the host
        verify = ["openssl", "verify", "-CAfile", str(cluster.first.data.path / "ca.pem")]
        done = subprocess.run([*verify, str(node.data.path / name)], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        key = (node.data.path / name).with_suffix(".key")
        assert key.stat().st_mode & 0o777 == 0o600


def test_a_token_is_good_for_one_host_only(cluster):
    url, token = cluster.token("nc")
    first, second = cluster.box("c"), cluster.box("d")
    first.run("join", url, token, "--roles", "nc", "--name", "c")
    first.run("join", url, token, "--roles", "nc", "--name", "c")  # its answer was lost
    assert "refused" in second.run("join", url, token, "--roles", "nc", "--name", "d", fails=True)
    assert "nc@d" not in cluster.components()
    assert cluster.components()["nc@c"]["state"] == "NOTREADY"  # it does not run yet


def test_a_token_for_a_node_makes_no_storage_controller(cluster):
    url, token = cluster.token("nc")
    box = cluster.boxes["d"]
    assert "refused" in box.run("join", url, token, "--roles", "nc,sc", "--name", "d", fails=True)


def test_a_host_that_answers_in_the_place_of_the_cloud_gets_no_token(cluster):
    """The key in the token is another one's."""
    url, token = cluster.token("nc")
    other = token[:-52] + "a" * 51 + "q"
    assert "another key" in cluster.boxes["d"].run("join", url, other, "--roles", "nc", fails=True)


def test_a_host_that_moved_tells_where_it_is(cluster):
    node = cluster.boxes["b"]
    node.kill()
    ip("-n", node.namespace, "addr", "flush", "dev", "eth0")
    ip("-n", node.namespace, "addr", "add", f"{LAN}.42/24", "dev", "eth0")
    node.start().until_ready()
    cluster.until(lambda: cluster.components()["nc@b"]["at"] == f"{LAN}.42:8774")
    cluster.until_up("nc@b")


def test_the_cloud_controller_starts_again_and_knows_its_hosts(cluster):
    cluster.first.signal(signal.SIGKILL)
    cluster.first.restart().until_ready()
    cluster.until_up("nc@b")


def test_a_host_that_is_revoked_is_out_at_once_and_for_ever(cluster):
    node = cluster.boxes["b"]
    cluster.first.run("component", "revoke", "b", "--yes")
    assert "nc@b" not in cluster.components()
    url, token = cluster.token("nc")
    node.kill()
    assert "refused" in node.run("join", url, token, "--roles", "nc", "--name", "b", fails=True)
