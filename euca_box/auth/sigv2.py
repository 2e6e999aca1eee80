"""Signature Version 2 of Query requests (EC2, IAM, STS of 2009): HmacSHA256 or HmacSHA1 over the parameters.

Source: AWS General Reference, "Signature Version 2 signing process"; versions 0 and 1 from the EC2
developer guide of 2007. Those two concatenate without separators, so they can be forged by moving text
between parameters: refused unless the operator wants them.
"""

import hashlib
import hmac
from base64 import b64encode
from datetime import UTC, datetime, timedelta

from euca_box.auth.keyring import Keyring
from euca_box.auth.requests import (
    SKEW_SECONDS,
    AuthError,
    AuthKind,
    SignedRequest,
    canonical_query,
    find_key,
    is_same,
)
from euca_box.model.accounts import AccessKey

METHODS = {"HmacSHA256": hashlib.sha256, "HmacSHA1": hashlib.sha1}


def is_signed(request: SignedRequest) -> bool:
    return any(name in ("SignatureVersion", "AWSAccessKeyId", "Signature") for name, _ in request.query)


def verify(request: SignedRequest, keyring: Keyring, now: datetime, *, oldest: int = 2) -> AccessKey:
    """The key that signed. `request.query` holds all parameters, those of a form body included.

    `oldest` is the lowest signature version that is believed.

    Raises AuthError.
    """
    names = [name for name, _ in request.query]
    if len(set(names)) != len(names):
        raise AuthError(AuthKind.AMBIGUOUS, "A parameter is given more than once.")
    given = dict(request.query)
    if request.header("authorization"):
        raise AuthError(AuthKind.AMBIGUOUS, "Only one auth mechanism allowed.")
    if not given.get("AWSAccessKeyId") or not given.get("Signature"):
        raise AuthError(AuthKind.MISSING, "The request is not signed.")
    version = given.get("SignatureVersion", "0")
    if version not in ("0", "1", "2") or int(version) < oldest:
        raise AuthError(AuthKind.UNSUPPORTED, "Only SignatureVersion 2 and Signature Version 4 are accepted.")
    if version == "2" and given.get("SignatureMethod") not in METHODS:
        raise AuthError(AuthKind.UNSUPPORTED, "SignatureMethod must be HmacSHA256 or HmacSHA1.")
    _check_time(given, now)
    key = find_key(keyring, given["AWSAccessKeyId"], given.get("SecurityToken"), now)
    if version == "2":
        expected = signature(request, key.secret_access_key, given["SignatureMethod"])
    else:
        expected = _old_signature(given, key.secret_access_key, version)
    if not is_same(expected, given["Signature"]):
        raise AuthError(
            AuthKind.BAD_SIGNATURE,
            "The request signature we calculated does not match the signature you provided.",
        )
    return key


def signature(request: SignedRequest, secret_access_key: str, method: str = "HmacSHA256") -> str:
    """The base64 signature of all parameters but Signature."""
    text = string_to_sign(request).encode("utf-8", "surrogateescape")
    return b64encode(hmac.digest(secret_access_key.encode(), text, METHODS[method])).decode()


def _old_signature(given: dict[str, str], secret_access_key: str, version: str) -> str:
    """Version 0 signs Action and Timestamp only, version 1 names and values in alphabetical order."""
    if version == "0":
        text = given.get("Action", "") + given.get("Timestamp", given.get("Expires", ""))
    else:
        pairs = sorted(given.items(), key=lambda pair: pair[0].lower())
        text = "".join(name + value for name, value in pairs if name != "Signature")
    data = text.encode("utf-8", "surrogateescape")
    return b64encode(hmac.digest(secret_access_key.encode(), data, hashlib.sha1)).decode()


def string_to_sign(request: SignedRequest) -> str:
    """Method, host with its port as sent, path as sent, canonical query; joined by newlines."""
    host = (request.header("host") or "").lower()
    path = request.raw_path.decode("latin-1") or "/"
    return f"{request.method}\n{host}\n{path}\n{canonical_query(request.query, 'Signature')}"


def _check_time(given: dict[str, str], now: datetime) -> None:
    if ("Timestamp" in given) == ("Expires" in given):
        raise AuthError(AuthKind.MALFORMED_QUERY, "Give either Timestamp or Expires.")
    if "Expires" in given:
        if _moment(given["Expires"]) < now:
            raise AuthError(AuthKind.EXPIRED, "Request has expired.")
    elif abs(_moment(given["Timestamp"]) - now) > timedelta(seconds=SKEW_SECONDS):
        raise AuthError(AuthKind.SKEWED, "Request has expired.")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise AuthError(AuthKind.BAD_DATE, f"{text} is not a valid timestamp.") from None
