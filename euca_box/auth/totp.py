"""Codes of a second factor that change with time (RFC 6238: SHA-1, six digits, thirty seconds)."""

import base64
import binascii
import hashlib
import hmac
import secrets
import struct
from urllib.parse import quote

STEP_SECONDS, DIGITS = 30, 6
_SECRET_BYTES = 20  # RFC 4226, section 4: as long as the hash


def new_secret() -> str:
    """Base32, as people type it into their telephone."""
    return base64.b32encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def uri(secret: str, user: str, cloud: str) -> str:
    """As authenticator apps read it from a QR code (Google Authenticator, "Key Uri Format")."""
    label = quote(f"{cloud}:{user}", safe="")
    return f"otpauth://totp/{label}?secret={secret}&issuer={quote(cloud, safe='')}"


def code(secret: str, step: int) -> str:
    """RFC 4226, section 5.3. Raises ValueError for what is no secret."""
    try:
        key = base64.b32decode(secret)
    except binascii.Error:
        raise ValueError("no secret in base32") from None
    digest = hmac.digest(key, struct.pack(">Q", step), hashlib.sha1)
    at = digest[-1] & 15
    number = struct.unpack(">I", digest[at : at + 4])[0] & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def step_of(secret: str, given: str, now: float, after: int = 0) -> int | None:
    """The step whose code it is: this one, or the one before or after (section 5.2, clocks differ).

    Of steps up to `after` none counts: a code is good once.
    """
    this = int(now) // STEP_SECONDS
    for step in (this, this - 1, this + 1):
        if step > after and hmac.compare_digest(code(secret, step), given):
            return step
    return None
