"""The role bus as strangers see it: whole, fresh messages of hosts that joined, for what they may ask."""

import json
import random
import time
from dataclasses import dataclass, replace

import pytest

from euca_box.api.roles.rights import may_ask
from euca_box.auth import tickets
from euca_box.auth.host_messages import (
    NONCE,
    RECEIVER,
    SENDER,
    SIGNATURE,
    TIME,
    HostKey,
    NotTrusted,
    Verifier,
    load_or_make,
    sign,
)
from euca_box.bus import connections, letters
from euca_box.bus.bus import Bus
from euca_box.bus.connections import Connection, ConnectionLost
from euca_box.bus.peers import Peer, Peers
from euca_box.bus.remote import RemoteTransport
from euca_box.messages.base import Done, Op, system_call
from euca_box.messages.hosts import HostConfigurePeers
from euca_box.messages.nc import NcTerminateInstance
from euca_box.messages.sc import ScDeleteVolume, ScExportVolume, ScUnexportVolume
from euca_box.messages.service import ChangeSettings, GetLogs, GetSettings
from euca_box.messages.walrus import BeginImageUpload, GetDecryptedImage, GetImageUrl, SyncPrincipals
from euca_box.model.accounts import Principal
from euca_box.model.errors import Unavailable
from tests.contract.role_host import new_key, role_host

TARGET, BODY, NOW = "/bus/cc@z1/Count", b'{"op":{}}', 1_800_000_000.0
CALL = system_call("r-1")


@dataclass(frozen=True)
class Count(Op[Done], role="cc", timeout=5):
    text: str = ""


class Counter:
    n = 0


async def count(role, call, op):
    role.n += 1
    return Done()


@pytest.fixture
def host():
    with role_host(Counter(), {Count: count}) as found:
        yield found


class Clock:
    now = NOW

    def __call__(self):
        return self.now


def verifier(*keys, me="host-me", clock=None):
    known = {key.host_id: key.public for key in keys}
    return Verifier(me, known.get, clock or Clock())


def test_a_message_is_good_once_for_its_receiver():
    key, clock = new_key(), Clock()
    check, headers = verifier(key, clock=clock), sign(key, "host-me", "POST", TARGET, BODY, NOW)
    assert check.verify(headers, "POST", TARGET, BODY) == key.host_id
    clock.now += 30
    with pytest.raises(NotTrusted, match="came before"):
        check.verify(headers, "POST", TARGET, BODY)
    with pytest.raises(NotTrusted, match="another host"):
        verifier(key, me="host-other").verify(headers, "POST", TARGET, BODY)
    with pytest.raises(NotTrusted, match="not joined"):
        verifier(new_key()).verify(headers, "POST", TARGET, BODY)


@pytest.mark.parametrize("shift", [-61, 61, float("nan"), float("inf")])
def test_clocks_that_differ_by_more_than_a_minute_are_told(shift):
    key, clock = new_key(), Clock()
    check = verifier(key, clock=clock)
    clock.now += 120  # the host has been up for two minutes
    headers = sign(key, "host-me", "POST", TARGET, BODY, clock.now + shift)
    with pytest.raises(NotTrusted, match="clocks"):
        check.verify(headers, "POST", TARGET, BODY)


def test_what_was_signed_before_the_start_may_have_been_done_by_the_process_before():
    key = new_key()
    headers = sign(key, "host-me", "POST", TARGET, BODY, NOW - 5)
    with pytest.raises(NotTrusted, match="started"):
        verifier(key).verify(headers, "POST", TARGET, BODY)


def test_ten_thousand_changed_messages_are_refused():
    rng, key = random.Random(8), new_key()
    check = verifier(key)
    for _ in range(10_000):
        headers, target, body = sign(key, "host-me", "POST", TARGET, BODY, NOW), TARGET, BODY
        match rng.choice(["header", "missing", "target", "body", "method", "longer"]):
            case "header":
                name = rng.choice([SENDER, RECEIVER, TIME, NONCE, SIGNATURE])
                headers[name] = flipped(rng, headers[name].encode()).decode("latin-1")
            case "missing":
                del headers[rng.choice(list(headers))]
            case "target":
                target = flipped(rng, target.encode()).decode("latin-1")
            case "body":
                body = flipped(rng, body)
            case "longer":
                body += rng.choice([b" ", b"\n", b"\0", body])
            case "method":
                with pytest.raises(NotTrusted):
                    check.verify(headers, "PUT", target, body)
                continue
        with pytest.raises(NotTrusted):
            check.verify(headers, "POST", target, body)


def flipped(rng, text):
    """Another bit than the ones that base64 leaves unused at its end."""
    at = rng.randrange(len(text) - 4)
    return text[:at] + bytes([text[at] ^ (1 << rng.randrange(7))]) + text[at + 1 :]


def test_the_key_of_a_host_is_made_once_and_is_its_own(tmp_path):
    made = load_or_make(tmp_path / "host.key")
    assert load_or_make(tmp_path / "host.key").host_id == made.host_id
    assert (tmp_path / "host.key").stat().st_mode & 0o777 == 0o600


# Over the wire

NO_LETTERS = {
    "nothing": b"",
    "a list": b"[]",
    "deep": b"{" * 100_000,
    "other types": b'{"op":[],"call":1,"seconds":"x"}',
    "9 MiB": b"x" * (9 << 20),
}


@pytest.mark.trio
async def test_a_host_that_was_removed_is_out_with_its_next_message(host):
    transport = host.transport()
    await Bus(transport).ask("cc@z1", Count(), CALL)
    host.peers.replace([])
    with pytest.raises(Unavailable, match="not joined, or was removed"):
        await Bus(transport).ask("cc@z1", Count(), CALL)
    assert host.role.n == 1
    await transport.close()


@pytest.mark.trio
async def test_a_node_s_key_asks_nothing_of_a_cluster_controller(host):
    node = new_key()
    host.trust(node, "nc@node1")
    transport = host.transport(node)
    with pytest.raises(Unavailable, match="A host with nc may not ask Count of cc@z1"):
        await Bus(transport).ask("cc@z1", Count(), CALL)
    assert host.role.n == 0
    await transport.close()


@pytest.mark.trio
async def test_somebody_else_at_the_address_is_not_asked(host):
    stranger = Peer(new_key().public, "127.0.0.1", host.port, ("cc@z1",))
    transport = RemoteTransport(host.client, Peers([stranger]))
    with pytest.raises(Unavailable, match="another key"):
        await Bus(transport).ask("cc@z1", Count(), CALL)
    assert host.role.n == 0


@pytest.mark.trio
async def test_a_connection_is_used_again_and_the_skew_of_the_clocks_is_known(host, monkeypatch):
    opened = []
    before = Connection.open.__func__

    async def counted(cls, peer):
        opened.append(peer)
        return await before(cls, peer)

    monkeypatch.setattr(Connection, "open", classmethod(counted))
    transport = host.transport()
    for _ in range(20):
        await Bus(transport).ask("cc@z1", Count("x" * 5000), CALL)
    assert len(opened) == 1 and host.role.n == 20
    assert abs(transport.skew_seconds[host.key.host_id]) < 5
    await transport.close()


@pytest.mark.trio
async def test_a_connection_that_the_other_host_may_be_closing_is_not_used_again(host, monkeypatch):
    opened = []
    before = Connection.open.__func__

    async def counted(cls, peer):
        opened.append(peer)
        return await before(cls, peer)

    monkeypatch.setattr(Connection, "open", classmethod(counted))
    monkeypatch.setattr(connections, "IDLE_SECONDS", -1.0)
    transport = host.transport()
    for n in (1, 2):
        await Bus(transport).ask("cc@z1", Count("x"), CALL)
        assert len(opened) == n
    await transport.close()


@pytest.mark.trio
async def test_a_host_that_is_not_there_is_unavailable_with_the_reason(host):
    nobody = replace(host.peer, port=1)
    with pytest.raises(Unavailable, match="port 1: "):
        await Bus(RemoteTransport(host.client, Peers([nobody]))).ask("cc@z1", Count(), CALL)


@pytest.mark.trio
@pytest.mark.parametrize("body", NO_LETTERS.values(), ids=NO_LETTERS)
async def test_a_body_that_is_no_letter_is_refused_with_one_line(host, body):
    status = 413 if len(body) > 8 << 20 else 400
    target = "/bus/cc@z1/Count"
    headers = sign(host.client, host.key.host_id, "POST", target, body, time.time())
    connection = await Connection.open(host.peer)
    try:
        answer = await connection.exchange(host.peer, target, headers, body)
    except ConnectionLost:
        assert status == 413  # closed before all was sent
    else:
        assert answer.status == status and answer.body.count(b"\n") == 1
    assert host.role.n == 0
    await connection.close()


# What crosses


def test_fields_of_a_newer_version_are_ignored():
    body = json.loads(letters.write(Count("a"), CALL, 1.0))
    body["op"]["new"] = body["call"]["new"] = body["new"] = {"x": 1}
    assert letters.read(json.dumps(body).encode(), Count).op == Count("a")


def test_an_error_that_this_version_does_not_know_keeps_code_and_side():
    told = {"name": "NewFault", "code": "New.Fault", "status": 409, "side": "Client", "message": "new"}
    with pytest.raises(Exception, match="new") as caught:
        letters.read_reply(json.dumps({"error": told}).encode(), Count)
    assert (caught.value.code, caught.value.http_status, caught.value.side) == ("New.Fault", 409, "Client")


USER = Principal("000000000002", "alice", "a" * 64, "alice")


CLC_KEY = new_key()
IMAGE = tickets.write(CLC_KEY, tickets.IMAGE, "b", "k", "e")
VOLUME = tickets.write(CLC_KEY, tickets.VOLUME, "vol-1", "1")
UPLOAD = tickets.write(CLC_KEY, tickets.UPLOAD, "emi-1")


@pytest.mark.parametrize(
    ("role", "op", "call", "expected"),
    [
        ("clc", SyncPrincipals(1, ()), CALL, True),
        ("cc", NcTerminateInstance("i-1"), CALL, True),
        ("nc", GetImageUrl("b", "k", "e", IMAGE), CALL, True),
        ("nc", GetImageUrl("b", "k", "e"), CALL, False),
        ("nc", GetImageUrl("b", "k", "other", IMAGE), CALL, False),
        ("nc", GetImageUrl("bk", "", "e", IMAGE), CALL, False),
        ("nc", GetImageUrl("b", "k", "e", IMAGE.swapcase()), CALL, False),
        ("nc", GetDecryptedImage("b", "e", IMAGE), CALL, False),
        ("nc", BeginImageUpload("emi-1", 1, UPLOAD), CALL, True),
        ("nc", BeginImageUpload("emi-2", 1, UPLOAD), CALL, False),
        ("nc", ScExportVolume("vol-1", 1, 1, "x", VOLUME), CALL, True),
        ("nc", ScExportVolume("vol-1", 1, 1, "x"), CALL, False),
        ("nc", ScExportVolume("vol-1", 1, 1, "y", VOLUME), CALL, False),
        ("nc", ScExportVolume("vol-1", 1, 1, "", VOLUME), CALL, False),
        ("nc", ScExportVolume("vol-1", 2, 1, "x", VOLUME), CALL, False),
        ("nc", ScUnexportVolume("vol-1", 1, ticket=VOLUME), CALL, True),
        ("nc", ScUnexportVolume("vol-1", 1, fence=True, ticket=VOLUME), CALL, False),
        ("nc", GetImageUrl("b", "k", "e", IMAGE), replace(CALL, principal=USER), False),
        ("nc", SyncPrincipals(1, ()), CALL, False),
        ("nc", ScDeleteVolume("vol-1"), CALL, False),
        ("nc", NcTerminateInstance("i-1"), CALL, False),
        ("nc", HostConfigurePeers(9, ()), CALL, False),
        ("sc", SyncPrincipals(1, ()), CALL, False),
        ("cc", SyncPrincipals(1, ()), CALL, False),
        ("cc", HostConfigurePeers(9, ()), CALL, False),
        ("walrus", NcTerminateInstance("i-1"), CALL, False),
        ("clc", GetLogs(), CALL, True),
        ("clc", ChangeSettings((("nc.cache_gib", "9"),)), CALL, True),
        *(
            (role, op, CALL, False)
            for role in ("cc", "nc", "sc", "walrus")
            for op in (GetLogs(), GetSettings())
        ),
        ("nc", ChangeSettings((("sc.max_volume_gib", "9"),)), CALL, False),
    ],
)
def test_a_host_asks_only_what_its_own_roles_ask(role, op, call, expected):
    peer = Peer(new_key().public, "127.0.0.1", 1, (f"{role}@x", "host@h"))
    assert may_ask(peer, letters.Letter(op, call, 1.0), CLC_KEY.public) is expected


def test_the_private_key_is_in_no_text():
    key = new_key()
    assert key.private.private_bytes_raw().hex() not in repr(HostKey(key.private))
