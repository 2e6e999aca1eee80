"""Session tokens of the metadata service, version 2.

Stateless, bound to one instance, worthless after their time.
"""

import base64
import binascii
import hashlib
import hmac
import struct

SHORTEST_SECONDS, LONGEST_SECONDS = 1, 21600  # EC2 user guide, X-aws-ec2-metadata-token-ttl-seconds
_LONGEST_TOKEN = 200  # characters; ours have 56


def make_token(key: bytes, instance_id: str, expires_at: int) -> str:
    """A token that the instance may show until `expires_at` (seconds since 1970)."""
    return _text(_signed(key, instance_id, expires_at))


def is_valid_token(key: bytes, instance_id: str, token: str, now: float) -> bool:
    if len(token) > _LONGEST_TOKEN or not token.isascii():
        return False
    try:
        raw = base64.urlsafe_b64decode(token.encode())
        (expires_at,) = struct.unpack_from("!Q", raw)
    except (ValueError, binascii.Error, struct.error):
        return False
    # Compared as text: base64 has spare bits, by which one signature could be written in several ways.
    return hmac.compare_digest(token, _text(_signed(key, instance_id, expires_at))) and now < expires_at


def _text(signed: bytes) -> str:
    return base64.urlsafe_b64encode(signed).decode()


def _signed(key: bytes, instance_id: str, expires_at: int) -> bytes:
    body = struct.pack("!Q", expires_at)
    return body + hmac.digest(key, body + instance_id.encode(), hashlib.sha256)
