"""Who signed the form by which a browser uploads: the signature is one of the policy in it.

Source: S3 API reference, "Browser-based uploads using POST (AWS Signature Version 4)", and the
developer guide of 2006 for the version before.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime

from euca_box.auth.keyring import Keyring
from euca_box.auth.requests import AuthError, AuthKind, find_key, hmac_sha256, is_same
from euca_box.auth.sigv4 import ALGORITHM, derive_key
from euca_box.model.accounts import AccessKey

_Sign = Callable[[str, str], str]  # of a secret and a policy
_CREDENTIAL = re.compile(r"([^/]+)/([0-9]{8})/([^/]*)/s3/aws4_request", re.ASCII)


def is_signed(fields: Mapping[str, str]) -> bool:
    """Names in lower case. A policy without a signature is no policy."""
    return any(name in fields for name in ("policy", "signature", "x-amz-signature"))


def verify(fields: Mapping[str, str], keyring: Keyring, now: datetime) -> AccessKey:
    """The key that signed the policy. Raises AuthError."""
    policy = _required(fields, "policy")
    if "x-amz-signature" in fields or "x-amz-algorithm" in fields:
        access_key_id, given, sign = _version_4(fields)
    else:
        access_key_id, given = _required(fields, "awsaccesskeyid"), _required(fields, "signature")
        sign = _sign_of_2006
    key = find_key(keyring, access_key_id, fields.get("x-amz-security-token"), now)
    if not is_same(sign(key.secret_access_key, policy), given):
        raise AuthError(
            AuthKind.BAD_SIGNATURE,
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
            {"AWSAccessKeyId": access_key_id, "StringToSign": policy, "SignatureProvided": given},
        )
    return key


def _required(fields: Mapping[str, str], name: str) -> str:
    if not fields.get(name):
        shown = "AWSAccessKeyId" if name == "awsaccesskeyid" else name
        text = f"Bucket POST must contain a field named '{shown}'."
        raise AuthError(AuthKind.MALFORMED_FORM, text, {"ArgumentName": shown})
    return fields[name]


def _sign_of_2006(secret_access_key: str, policy: str) -> str:
    return b64encode(hmac.digest(secret_access_key.encode(), policy.encode(), hashlib.sha1)).decode()


def _version_4(fields: Mapping[str, str]) -> tuple[str, str, _Sign]:
    if _required(fields, "x-amz-algorithm") != ALGORITHM:
        text = f"X-Amz-Algorithm only supports {ALGORITHM}"
        raise AuthError(AuthKind.MALFORMED_FORM, text, {"ArgumentName": "x-amz-algorithm"})
    scope = _CREDENTIAL.fullmatch(_required(fields, "x-amz-credential"))
    date, given = _required(fields, "x-amz-date"), _required(fields, "x-amz-signature")
    if scope is None or not re.fullmatch("[0-9]{8}T[0-9]{6}Z", date, re.ASCII) or date[:8] != scope[2]:
        text = "The credential must be KEY/DATE/REGION/s3/aws4_request, of the day of x-amz-date."
        raise AuthError(AuthKind.MALFORMED_FORM, text, {"ArgumentName": "x-amz-credential"})
    access_key_id, day, region = scope.groups()

    def sign(secret_access_key: str, policy: str) -> str:
        return hmac_sha256(derive_key(secret_access_key, day, region, "s3"), policy.encode()).hex()

    return access_key_id, given, sign
