"""The S3 REST signature of 2006 (often "S3 V2"): HMAC-SHA1 over a few headers and the resource.

Source: Amazon S3 developer guide, "Signing and authenticating REST requests". s3cmd, boto 2 and
euca2ools of the time use it, in the Authorization header or the query of a link.
"""

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from euca_box.auth.keyring import Keyring
from euca_box.auth.requests import (
    SKEW_SECONDS,
    AuthError,
    AuthKind,
    SignedRequest,
    find_key,
    is_same,
    wire,
)
from euca_box.model.accounts import AccessKey

SUBRESOURCES = frozenset(
    """acl accelerate analytics cors defaultObjectAcl delete encryption inventory lifecycle location logging
    metrics notification partNumber policy policyStatus publicAccessBlock replication requestPayment
    restore tagging torrent uploadId uploads versionId versioning versions website object-lock legal-hold
    retention select select-type response-cache-control response-content-disposition response-content-encoding
    response-content-language response-content-type response-expires""".split()  # noqa: SIM905
)


def is_signed(request: SignedRequest) -> bool:
    return any(n == "authorization" and v.startswith("AWS ") for n, v in request.headers) or any(
        n in ("AWSAccessKeyId", "Signature") for n, _ in request.query
    )


def verify(request: SignedRequest, resources: Sequence[bytes], keyring: Keyring, now: datetime) -> AccessKey:
    """The key that signed. Raises AuthError.

    `resources` are the ways to write /bucket/key, percent-encoded as sent: clients differ in whether an
    endpoint's own path belongs to it, and botocore signs /bucket/ where it sends /bucket.
    """
    header = request.header("authorization")
    in_query = any(name in ("AWSAccessKeyId", "Signature", "Expires") for name, _ in request.query)
    if header and in_query:
        raise AuthError(AuthKind.AMBIGUOUS, "Only one auth mechanism allowed.")
    if header:
        access_key_id, given, date = _header_claim(request, header, now)
    else:
        access_key_id, given, date = _query_claim(request, now)
    token = request.header("x-amz-security-token") or request.parameter("x-amz-security-token")
    key = find_key(keyring, access_key_id, token, now)
    texts = [string_to_sign(request, resource, date) for resource in resources]
    to_sign = texts[0]
    if not any([is_same(signature(text, key.secret_access_key), given) for text in texts]):  # noqa: C419
        raise AuthError(
            AuthKind.BAD_SIGNATURE,
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
            {
                "AWSAccessKeyId": access_key_id,
                "StringToSign": to_sign.decode("latin-1"),
                "SignatureProvided": given,
            },
        )
    return key


def signature(to_sign: bytes, secret_access_key: str) -> str:
    return b64encode(hmac.digest(secret_access_key.encode(), to_sign, hashlib.sha1)).decode()


def string_to_sign(request: SignedRequest, resource: bytes, date: str) -> bytes:
    """Method, Content-MD5, Content-Type, date, x-amz-* headers, resource with its signed parameters."""
    md5, kind = request.header("content-md5") or "", request.header("content-type") or ""
    # A link carries in its query what a request has in x-amz- headers, the session token at least.
    amz = _amz_headers([*request.headers, *request.query])
    query = _signed_query(request.query)
    head = wire(f"{request.method}\n{md5}\n{kind}\n{date}\n{amz}") + (resource or b"/")
    return head + query.encode("utf-8", "surrogateescape")


def _amz_headers(headers: Iterable[tuple[str, str]]) -> str:
    values: dict[str, list[str]] = {}
    for name, value in headers:
        if name.startswith("x-amz-"):
            values.setdefault(name, []).append(value.strip())
    return "".join(f"{name}:{','.join(values[name])}\n" for name in sorted(values))


def _signed_query(query: Iterable[tuple[str, str]]) -> str:
    # A subresource without a value is signed without "="; an empty value cannot be told from none here,
    # and no subresource gives an empty value a meaning.
    signed = sorted((n, v) for n, v in query if n in SUBRESOURCES)
    return ("?" if signed else "") + "&".join(f"{n}={v}" if v else n for n, v in signed)


def _header_claim(request: SignedRequest, header: str, now: datetime) -> tuple[str, str, str]:
    access_key_id, colon, given = header.removeprefix("AWS ").strip().rpartition(":")
    if not colon or not access_key_id or not given:
        raise AuthError(AuthKind.MALFORMED_HEADER, "AWS authorization header is invalid.")
    amz_date, date = request.header("x-amz-date"), request.header("date")
    moment = _moment(amz_date if amz_date is not None else date or "")
    if abs(moment - now) > timedelta(seconds=SKEW_SECONDS):
        raise AuthError(
            AuthKind.SKEWED, "The difference between the request time and the current time is too large."
        )
    return access_key_id, given, "" if amz_date is not None else date or ""


def _query_claim(request: SignedRequest, now: datetime) -> tuple[str, str, str]:
    access_key_id, given = request.parameter("AWSAccessKeyId"), request.parameter("Signature")
    expires = request.parameter("Expires") or ""
    if not access_key_id or not given or not expires.isascii() or not expires.isdigit() or len(expires) > 12:
        raise AuthError(
            AuthKind.MISSING,
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
        )
    if int(expires) < now.timestamp():
        raise AuthError(AuthKind.EXPIRED, "Request has expired", {"Expires": expires})
    return access_key_id, given, expires


def _moment(text: str) -> datetime:
    try:
        if len(text) == 16 and text.endswith("Z"):
            return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        moment = parsedate_to_datetime(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
        if moment.timestamp() < 0:
            raise ValueError
        return moment
    except (ValueError, TypeError, OverflowError, IndexError):
        raise AuthError(
            AuthKind.BAD_DATE, "AWS authentication requires a valid Date or x-amz-date header"
        ) from None
