"""Temporary credentials: a token is believed for its own key, until its end, while its maker is."""

import base64
import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from euca_box.auth import secrets, sessions
from euca_box.auth.keyring import Keyring
from euca_box.auth.requests import AuthError, AuthKind, SignedRequest, find_key
from euca_box.auth.sigv4 import verify
from euca_box.auth.sigv4_sign import sign_headers
from euca_box.messages import sts
from euca_box.model.accounts import AccessKey, Principal

NOW = datetime(2026, 5, 24, 12, 0, tzinfo=UTC)
WHO = Principal("000000000002", "alice", "a" * 64, "alice")
PARENT = AccessKey("AKIAPARENT", "secret", WHO)
KEY = b"k" * 32


def keyring(*keys: AccessKey, key: bytes = KEY) -> Keyring:
    ring = Keyring()
    ring.replace(1, keys or [PARENT], key)
    return ring


@dataclasses.dataclass
class Made:
    access_key_id: str
    secret_access_key: str
    token: str


def session(seconds: int = 900) -> Made:
    name, secret = secrets.new_access_key_id("ASIA"), secrets.new_secret()
    claim = sessions.Claim(name, secret, PARENT.access_key_id, int(NOW.timestamp()) + seconds)
    return Made(name, secret, sessions.new_token(KEY, claim))


def kind_of(ring: Keyring, access_key_id: str, token: str | None, now: datetime = NOW) -> AuthKind:
    with pytest.raises(AuthError) as error:
        find_key(ring, access_key_id, token, now)
    return error.value.kind


def test_a_session_acts_as_the_user_who_asked_for_it() -> None:
    made = session()
    found = find_key(keyring(), made.access_key_id, made.token, NOW)
    assert (found.principal, found.secret_access_key) == (WHO, made.secret_access_key)
    assert made.access_key_id.startswith("ASIA") and len(made.access_key_id) == 20


def test_a_session_ends_with_its_time() -> None:
    made = session(900)
    find_key(keyring(), made.access_key_id, made.token, NOW + timedelta(seconds=899))
    end = NOW + timedelta(seconds=900)
    assert kind_of(keyring(), made.access_key_id, made.token, end) is AuthKind.EXPIRED_TOKEN


def test_a_session_ends_with_the_key_that_asked_for_it() -> None:
    made = session()
    off = dataclasses.replace(PARENT, enabled=False)
    suspended = dataclasses.replace(PARENT, principal=dataclasses.replace(WHO, enabled=False))
    for ring in (keyring(off), keyring(suspended), keyring(AccessKey("AKIAOTHER", "s", WHO))):
        assert kind_of(ring, made.access_key_id, made.token) is AuthKind.SESSION_TOKEN


def test_a_temporary_key_is_nothing_without_its_token_nor_another_key_with_it() -> None:
    made, other = session(), session()
    assert kind_of(keyring(), made.access_key_id, None) is AuthKind.UNKNOWN_KEY
    for access_key_id in (PARENT.access_key_id, other.access_key_id):
        assert kind_of(keyring(), access_key_id, made.token) is AuthKind.SESSION_TOKEN


def test_a_forged_token_is_refused_whatever_was_changed() -> None:
    made = session()
    raw = base64.b64decode(made.token)
    forged = ["", "t", "x" * 5000, "ü", made.token[:-4], made.token + "AAAA", made.token.lower()]
    forged += [
        base64.b64encode(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]).decode() for at in range(len(raw))
    ]
    for token in forged:
        assert kind_of(keyring(), made.access_key_id, token) is AuthKind.SESSION_TOKEN
    for key in (b"", b"o" * 32):
        assert kind_of(keyring(key=key), made.access_key_id, made.token) is AuthKind.SESSION_TOKEN


def test_neither_token_nor_secret_is_in_what_is_logged() -> None:
    made = session()
    claim = sessions.open_token(KEY, made.access_key_id, made.token)
    answer = sts.Credentials(made.access_key_id, made.secret_access_key, made.token)
    text = repr(claim) + repr(answer)
    assert made.token not in text and made.secret_access_key not in text


def test_a_token_in_header_and_query_at_once_is_refused() -> None:
    made = session()
    key = AccessKey(made.access_key_id, made.secret_access_key, WHO)
    headers = sign_headers("GET", "http://h/b", {"x-amz-security-token": made.token}, key, NOW)
    request = SignedRequest("GET", b"/b", [], list(headers.items()))
    assert verify(request, keyring(), NOW, s3=True).access_key.principal == WHO
    twice = dataclasses.replace(request, query=[("X-Amz-Security-Token", made.token)])
    with pytest.raises(AuthError) as error:
        verify(twice, keyring(), NOW, s3=True)
    assert error.value.kind is AuthKind.AMBIGUOUS
