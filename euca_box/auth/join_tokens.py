"""The token by which a host joins: a secret that is good once, and the key of the cloud to join.

    euca-join-1-SECRET-KEY        both in base32, lower case

With the key in it the new host knows the cloud controller before the first byte; with the secret the cloud
knows that its administrator wants that host. Kept is only a hash.
"""

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass, field

FORM = "euca-join-1"
SECRET_BYTES, KEY_BYTES = 20, 32
LONGEST = 200


class BadToken(ValueError):
    """The text is no token."""


@dataclass(frozen=True)
class JoinToken:
    """`public_key` is that of the host with the cloud controller."""

    secret: bytes = field(repr=False)
    public_key: bytes

    def text(self) -> str:
        return f"{FORM}-{_text(self.secret)}-{_text(self.public_key)}"

    @property
    def hash(self) -> str:
        """20 random bytes need no slow hash."""
        return hashlib.sha256(self.secret).hexdigest()


def new_token(public_key: bytes) -> JoinToken:
    return JoinToken(secrets.token_bytes(SECRET_BYTES), public_key)


def read_token(text: str) -> JoinToken:
    """Raises BadToken."""
    form, *parts = text.strip()[:LONGEST].rsplit("-", 2)
    if form != FORM or len(parts) != 2:
        raise BadToken("that is no token of euca-box token create")
    token = JoinToken(_bytes(parts[0]), _bytes(parts[1]))
    if len(token.secret) != SECRET_BYTES or len(token.public_key) != KEY_BYTES:
        raise BadToken("the token is not whole")
    return token


def _text(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()


def _bytes(text: str) -> bytes:
    try:
        return base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except binascii.Error:
        raise BadToken("the token is not whole") from None
