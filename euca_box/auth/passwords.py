"""Passwords: hashed by argon2id (RFC 9106, its second recommended choice). Those of scrypt are still known.

About 50 ms and 64 MiB each: called in a thread, behind a limit.
"""

from functools import cache
from typing import TYPE_CHECKING

from euca_box.auth import secrets

if TYPE_CHECKING:
    from argon2 import PasswordHasher


@cache
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher  # imported here: commands that only show something start without

    return PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=4)


def hashed(password: str) -> str:
    return _hasher().hash(password)


@cache
def _nobodys() -> str:
    return hashed(secrets.new_password())


def is_right(password: str, stored: str) -> bool:
    """Takes as long for a user that has none, or is not there (`stored` empty)."""
    from argon2.exceptions import InvalidHashError, VerificationError

    if stored.startswith("scrypt$"):
        return secrets.check_password(password, stored)
    try:
        return _hasher().verify(stored or _nobodys(), password) and bool(stored)
    except (VerificationError, InvalidHashError):
        return False


def is_old(stored: str) -> bool:
    """Should it be hashed anew at the next login?"""
    return stored.startswith("scrypt$") or _hasher().check_needs_rehash(stored)
