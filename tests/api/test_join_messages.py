"""A wish to join as it comes over the wire: changed, repeated and redirected ones are refused."""

import json
import random

import pytest

from euca_box.api.roles.join import TARGET, BadRequest, Joining, JoinRequest
from euca_box.auth.certificates import private_key, request
from euca_box.auth.host_messages import NONCE, RECEIVER, SENDER, SIGNATURE, TIME, Verifier, sign
from euca_box.auth.join_tokens import BadToken, new_token, read_token
from euca_box.messages import base
from euca_box.messages.hosts import HostAddress
from tests.contract.role_host import new_key

NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def certificate_request(tmp_path_factory):
    return request(private_key(tmp_path_factory.mktemp("k") / "k")).decode()


def wish_of(key, cloud, wish):
    body = base.encode(
        JoinRequest(new_token(cloud.public).text(), key.public, "b", ("nc",), "", wish)
    ).encode()
    return body, sign(key, cloud.host_id, "POST", TARGET, body, NOW)


def reader(cloud):
    return Joining(None, Verifier(cloud.host_id, lambda _: None, lambda: NOW))


def test_ten_thousand_changed_repeated_and_redirected_wishes_are_refused(certificate_request):
    rng, cloud, key, thief = random.Random(3), new_key(), new_key(), new_key()
    joining, at = reader(cloud), HostAddress("192.0.2.2", 8774, "1", certificate_request)
    for _ in range(10_000):
        body, headers = wish_of(key, cloud, at)
        match rng.choice(["header", "missing", "body", "key", "twice", "elsewhere"]):
            case "header":
                name = rng.choice([SENDER, RECEIVER, TIME, NONCE, SIGNATURE])
                text = bytearray(headers[name].encode())
                text[rng.randrange(len(text) - 4)] ^= 1 << rng.randrange(7)
                headers[name] = text.decode("latin-1")
            case "missing":
                del headers[rng.choice(list(headers))]
            case "body":
                at_byte = rng.randrange(len(body))
                body = body[:at_byte] + bytes([body[at_byte] ^ (1 << rng.randrange(8))]) + body[at_byte + 1 :]
            case "key":  # somebody else's wish, with an own key
                told = json.loads(body) | {"public_key": json.loads(base.encode(thief.public))}
                body = json.dumps(told).encode()
            case "twice":
                joining._read(headers, body)
            case "elsewhere":
                with pytest.raises(BadRequest):
                    reader(new_key())._read(headers, body)
                continue
        with pytest.raises(BadRequest):
            joining._read(headers, body)


@pytest.mark.parametrize("body", [b"", b"[]", b"{" * 50_000, b'{"token": 1}', b"\xff\xfe"])
def test_what_is_no_wish_is_refused(body):
    with pytest.raises(BadRequest):
        reader(new_key())._read({}, body)


@pytest.mark.parametrize("text", ["", "x", "euca-join-1-", "euca-join-1-aa-bb", "euca-join-1-" + "a" * 500])
def test_what_is_no_token_is_told(text):
    with pytest.raises(BadToken):
        read_token(text)


def test_a_token_is_read_as_it_was_written():
    made = new_token(new_key().public)
    assert read_token(f" {made.text()}\n") == made
    assert made.secret.hex() not in repr(made)
