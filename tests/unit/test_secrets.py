"""Secrets at rest: sealed keys, hashed passwords, key files."""

import os
import re
import stat

import pytest

from euca_box.auth import secrets
from euca_box.auth.secrets import Sealer, SealError

KEY = b"k" * 32


def test_a_sealed_secret_opens_again_and_shows_nothing():
    sealed = Sealer(KEY).seal("the secret", "AKIA1")
    assert Sealer(KEY).open(sealed, "AKIA1") == "the secret"
    assert "secret" not in sealed
    assert Sealer(KEY).seal("the secret", "AKIA1") != sealed


@pytest.mark.parametrize(
    ("key", "name", "damage"),
    [(b"x" * 32, "AKIA1", ""), (KEY, "AKIA2", ""), (KEY, "AKIA1", "flip")],
    ids=["another master key", "moved to another row", "damaged"],
)
def test_a_sealed_secret_does_not_open_otherwise(key, name, damage):
    sealed = Sealer(KEY).seal("the secret", "AKIA1")
    if damage:
        sealed = sealed[:20] + ("A" if sealed[20] != "A" else "B") + sealed[21:]
    with pytest.raises(SealError):
        Sealer(key).open(sealed, name)


def test_the_key_file_is_made_once_for_its_owner_only(tmp_path):
    path = tmp_path / "master.key"
    old = os.umask(0)
    try:
        key = secrets.load_or_make_key(path)
    finally:
        os.umask(old)
    assert (len(key), stat.S_IMODE(path.stat().st_mode)) == (32, 0o600)
    assert secrets.load_or_make_key(path) == key


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_key_file_is_refused_and_left_as_it_is(tmp_path, content):
    path = tmp_path / "master.key"
    path.write_bytes(content)
    with pytest.raises(SealError, match="no key file"):
        secrets.load_or_make_key(path)
    assert path.read_bytes() == content


def test_passwords_are_checked_against_a_salted_hash():
    stored = secrets.hash_password("right")
    assert stored != secrets.hash_password("right")
    assert secrets.check_password("right", stored)
    assert not secrets.check_password("wrong", stored)
    assert not secrets.check_password("", stored)


@pytest.mark.parametrize("stored", ["", "plain", "md5$x$y"])
def test_no_password_fits_what_is_no_hash(stored):
    assert not secrets.check_password("", stored)
    assert not secrets.check_password("plain", stored)


def test_new_keys_and_passwords_have_the_form_that_tools_expect():
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", secrets.new_access_key_id())
    assert re.fullmatch(r"[A-Za-z0-9+/]{40}", secrets.new_secret())
    assert re.fullmatch(r"([a-z2-9]{4}-){3}[a-z2-9]{4}", secrets.new_password())
    assert len({secrets.new_secret() for _ in range(100)}) == 100
