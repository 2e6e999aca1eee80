"""The serial line of a guest on another host, as the console shows it: CLC -> CC -> NC."""

import asyncio
import os
import subprocess
import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from euca_box.api.roles.relay import NoRelay, RemoteStream
from tests.cluster.cluster import Cluster
from tests.cluster.guests import User
from tests.cluster.serial import relays_of
from tests.cluster.test_guests import nodes_up

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")]

ONE, TWO = "us-east-1a", "us-east-1b"


@pytest.fixture(scope="module")
def cluster():
    """The guest's zone has its cluster controller on a host and its node on another."""
    with Cluster(Path(f"/var/tmp/euca-cluster-{uuid.uuid4().hex[:8]}")) as made:
        made.start_first("clc,walrus,cc,sc")
        own = {
            "EUCA_BOX__NETWORK__PRIVATE_SUBNET": "10.89.0.0/24",
            "EUCA_BOX__NETWORK__PUBLIC_ADDRESSES": "198.51.100.100-198.51.100.140",
        }
        made.add("b", "cc", TWO, **own)
        made.until_up(f"cc@{TWO}")
        made.add("c", "nc", TWO)
        made.until(lambda: nodes_up(made) == {"nc@c"}, 60)
        yield made


@pytest.fixture(scope="module")
def user(cluster):
    made = User(cluster)
    yield made
    made.end()


@pytest.fixture(scope="module")
def guest(user):
    [instance_id] = user.run(user.import_demo(), Placement={"AvailabilityZone": TWO})
    user.until([instance_id], "running")
    user.until_said(instance_id, f"ready {instance_id}")
    return instance_id


def asked(user, coroutine):
    return user.threads.submit(asyncio.run, coroutine).result(60)


def test_what_is_typed_at_the_cloud_controller_s_host_reaches_the_guest(cluster, user, guest):
    async def type_and_read():
        stream = await relays_of(cluster, "a", (ONE,)).open(f"cc@{TWO}", "nc@c", guest, "serial")
        seen = b""
        async with asyncio.timeout(30):
            await stream.send(b"\necho so$((40+2))far\n")
            while b"so42far" not in seen:
                piece = await stream.receive()
                assert piece
                seen += piece
        stream.close()

    asked(user, type_and_read())


def test_the_screen_answers_as_a_vnc_server(cluster, user, guest):
    async def greet():
        stream = await relays_of(cluster, "a", (ONE,)).open(f"cc@{TWO}", "nc@c", guest, "screen")
        async with asyncio.timeout(20):
            return await stream.receive()

    assert asked(user, greet()).startswith(b"RFB 003.")


def test_the_command_shows_it_on_the_cloud_controller_s_host(cluster, guest):
    shown = subprocess.run(
        cluster.first.command("console", guest), input=b"\necho so$((40+2))far\n\x1d",
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert shown.returncode == 0 and f"Console of {guest}" in shown.stderr.decode()
    assert "there is no instance" in cluster.first.run("console", "i-00000000", fails=True)


@pytest.mark.parametrize("target", ["/relay/cc@us-east-1b/nc@c/{}/serial", "/relay/nc@c/{}/serial"])
def test_a_node_s_key_opens_no_console(cluster, user, guest, target):
    async def try_it():
        relays = relays_of(cluster, "c")
        peer = relays._peers.at(f"cc@{TWO}")
        await RemoteStream.open(peer, target.format(guest), relays._key, time.time())

    with pytest.raises(NoRelay, match="refused"):
        asked(user, try_it())


def test_a_replayed_or_redirected_request_is_refused(cluster, user, guest):
    async def try_it():
        relays = relays_of(cluster, "a", (ONE,))
        peer = relays._peers.at("nc@c")
        target = f"/relay/nc@c/{guest}/serial"
        elsewhere = replace(peer, host=cluster.boxes["b"].address)
        with pytest.raises(NoRelay, match="another key"):
            await RemoteStream.open(elsewhere, target, relays._key, time.time())
        with pytest.raises(NoRelay, match="refused"):
            await RemoteStream.open(peer, target, relays._key, time.time() - 120)
        with pytest.raises(NoRelay, match="refused"):
            await RemoteStream.open(peer, target + "/../screen", relays._key, time.time())

    asked(user, try_it())
