"""Temporary credentials of STS: an access key `ASIA...`, its secret, and a token that proves both.

Nothing of a session is kept: the token holds the access key id, its secret, the key that asked for it and
the end, sealed with a key that the CLC pushes to the front ends beside the users. A session ends with its
time, and at once when the key that asked for it is disabled or deleted.
"""

import base64
import binascii
import json
import os
from dataclasses import astuple, dataclass, field, replace
from functools import lru_cache
from typing import Any

from euca_box.model.accounts import AccessKey

KEY_BYTES = 32
LONGEST_TOKEN = 2048  # characters; ours have about 300
_VERSION = b"\x01"
_NONCE_BYTES = 12


class BadToken(Exception):
    """The token is not one of ours, or not of this access key."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a token says: whose it is, and until when, in seconds since 1970."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    parent_access_key_id: str = ""
    expires_at: int = 0

    def as_key(self, parent: AccessKey) -> AccessKey:
        return replace(parent, access_key_id=self.access_key_id, secret_access_key=self.secret_access_key)


def new_token(key: bytes, claim: Claim) -> str:
    """The claim, sealed, as base64."""
    text, nonce = json.dumps(astuple(claim)).encode(), os.urandom(_NONCE_BYTES)
    return base64.b64encode(_VERSION + nonce + _cipher(key).encrypt(nonce, text, _VERSION)).decode()


def open_token(key: bytes, access_key_id: str, token: str) -> Claim:
    """Raises BadToken for what was not made with this key for this access key."""
    if len(token) > LONGEST_TOKEN or len(key) != KEY_BYTES:
        raise BadToken
    try:
        raw = base64.b64decode(token, validate=True)
        nonce, sealed = raw[1 : 1 + _NONCE_BYTES], raw[1 + _NONCE_BYTES :]
        found = json.loads(_decrypted(key, nonce, sealed, raw[:1]))
    except (ValueError, binascii.Error):
        raise BadToken from None
    claim = Claim(*found)
    if raw[:1] != _VERSION or claim.access_key_id != access_key_id:
        raise BadToken
    return claim


def _decrypted(key: bytes, nonce: bytes, sealed: bytes, version: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        found: bytes = _cipher(key).decrypt(nonce, sealed, version)
    except InvalidTag:
        raise BadToken from None
    return found


@lru_cache(maxsize=4)
def _cipher(key: bytes) -> Any:
    # Imported here: our commands sign requests too, and must start at once.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
