"""Temporary credentials of STS: an access key `ASIA...`, its secret, and a token that proves both.

Nothing of a session is kept: the token holds the access key id, its secret, the key that asked for it or
the role, and the end, sealed with a key that the CLC pushes to the front ends beside the users. A session
ends with its time, and at once when that key is disabled or deleted, or the role is deleted.
"""

import base64
import binascii
import json
import os
from dataclasses import astuple, dataclass, field, replace
from functools import lru_cache
from typing import Any

from euca_box.model.accounts import AccessKey, PrincipalKind

KEY_BYTES = 32
LONGEST_TOKEN = 8192  # characters; ours have about 300, and with policies of the session up to 6000
_VERSION = b"\x01"
_NONCE_BYTES = 12


class BadToken(Exception):
    """The token is not one of ours, or not of this access key."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a token says: whose it is, and until when, in seconds since 1970.

    `parent_access_key_id` is a user's key, or the id of a role (AROA...). `session` names a session of a role
    or, with a user's key, a federated user.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    parent_access_key_id: str = ""
    expires_at: int = 0
    session: str = ""
    policies: tuple[str, ...] = ()

    @property
    def is_of_role(self) -> bool:
        return self.parent_access_key_id.startswith("AROA")

    def as_key(self, parent: AccessKey) -> AccessKey:
        principal = parent.principal
        if self.session:
            kind = PrincipalKind.ROLE if self.is_of_role else PrincipalKind.FEDERATED
            principal = replace(principal, kind=kind, session=self.session)
        if self.policies:
            principal = replace(principal, session_policies=self.policies)
        if self.session or self.policies:
            principal = replace(principal, admin=False)  # the cloud's administration is nobody's to lend
        return AccessKey(self.access_key_id, self.secret_access_key, principal, parent.enabled)


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
        *found, policies = _fields(json.loads(_decrypted(key, nonce, sealed, raw[:1])))
    except (ValueError, binascii.Error):
        raise BadToken from None
    claim = replace(Claim(*found), policies=tuple(policies))
    if raw[:1] != _VERSION or claim.access_key_id != access_key_id:
        raise BadToken
    return claim


def _fields(found: list[Any]) -> list[Any]:
    """Those of a claim; tokens of an older version have four."""
    return found if len(found) > 4 else [*found, "", []]


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
