"""Secrets at rest: access-key secrets are sealed with a master key, passwords are hashed.

A secret must come back in clear (HMAC signatures need it), so it is sealed with AES-256-GCM under a
key file that only root reads; a copy of the database alone opens nothing. Passwords: scrypt (RFC 7914).
"""

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
SCRYPT = {"n": 2**14, "r": 8, "p": 1, "maxmem": 64 * 1024 * 1024}

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class SealError(Exception):
    """The master key does not open this secret: another key file, or a damaged row."""


class Sealer:
    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, secret: str, name: str) -> str:
        """`name` (the access key id) is bound in: a sealed text moved to another row does not open."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, secret.encode(), name.encode())
        return base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, name: str) -> str:
        raw = base64.b64decode(sealed)
        try:
            return self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], name.encode()).decode()
        except InvalidTag:
            raise SealError(f"the secret of {name} does not open with this master key") from None


def load_or_make_key(path: Path) -> bytes:
    """The 32 bytes of the key file, made 0600 when there is none."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = _make_key(path)
    if len(key) != 32:
        raise SealError(f"{path} is no key file of 32 bytes")
    return key


def _make_key(path: Path) -> bytes:
    """Durable before anything is sealed with it; half a key is never found under its name."""
    key, new = os.urandom(32), path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return key


def new_access_key_id(prefix: str = "AKIA", length: int = 16) -> str:
    """`AKIA` and 16 characters, as AWS writes it: tools check the length. Temporary ones begin with ASIA."""
    return prefix + "".join(secrets.choice(ALPHABET) for _ in range(length))


def new_secret() -> str:
    """40 characters of base64, as AWS writes it."""
    return base64.b64encode(secrets.token_bytes(30)).decode()


def new_password() -> str:
    """Four groups of four letters and digits without look-alikes: 80 bits, easy to type."""
    letters = "abcdefghijkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))


def hash_password(password: str) -> str:
    salt = os.urandom(16)
    digest = hashlib.scrypt(password.encode(), salt=salt, **SCRYPT)
    return f"scrypt${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def check_password(password: str, stored: str) -> bool:
    kind, _, rest = stored.partition("$")
    if kind != "scrypt":
        return False
    salt, _, digest = rest.partition("$")
    found = hashlib.scrypt(password.encode(), salt=base64.b64decode(salt), **SCRYPT)
    return hmac.compare_digest(found, base64.b64decode(digest))
