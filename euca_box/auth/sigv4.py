"""AWS Signature Version 4: who signed this request, by header or presigned URL.

Source: AWS General Reference, "Signature Version 4 signing process", and S3 API reference,
"Authenticating requests (AWS Signature Version 4)". S3 differs from all other services in three
points: the path is never normalised, the hash of the body comes in x-amz-content-sha256, and every
x-amz-* header must be signed. Any region is taken as signed, and so is a service: the caller refuses
the ones that it knows to be another.
"""

import enum
import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from euca_box.auth.keyring import Keyring
from euca_box.auth.requests import (
    SKEW_SECONDS,
    AuthError,
    AuthKind,
    SignedRequest,
    canonical_query,
    find_key,
    hmac_sha256,
    is_same,
    wire,
)
from euca_box.model.accounts import AccessKey

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
LONGEST_EXPIRY_SECONDS = 604800
LONGEST_FIXED = 512  # characters of an Authorization header that are kept; a stranger can fill the rest

_HEADER = re.compile(r"AWS4-HMAC-SHA256 +Credential=([^\s,]+) *, *SignedHeaders=([^\s,]+) *, *Signature=")
_SCOPE = re.compile(r"([^/]+)/([0-9]{8})/([^/]*)/([^/]+)/aws4_request")
_STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLAIN_PATH = re.compile(rb"[A-Za-z0-9/_.~-]+")  # encoded as it is
_BLANKS = re.compile(r"\s+")


class PayloadKind(enum.StrEnum):
    """What the signature says of the body (S3 API reference, x-amz-content-sha256)."""

    SIGNED = "signed"
    UNSIGNED = UNSIGNED
    STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


_PAYLOADS = {kind.value: kind for kind in PayloadKind if kind is not PayloadKind.SIGNED}


@dataclass(frozen=True, slots=True)
class Verified:
    """A believed signature. `payload_sha256` is set when the body itself was signed; the
    last two fields are what the chunks of a streamed body are signed with."""

    access_key: AccessKey
    service: str
    region: str
    stamp: str
    scope: str
    payload: PayloadKind
    payload_sha256: str | None
    seed_signature: str
    signing_key: bytes = field(repr=False)


class Claim(NamedTuple):
    """What the request says about its signature, before anything is believed."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]  # as named, in that order
    signature: str
    stamp: str
    expires_seconds: int | None  # None: signed in the header

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def is_signed(request: SignedRequest) -> bool:
    """Does the request claim a V4 signature, in its header or its query?"""
    if request.by_name is not None:
        in_header = request.by_name.get("authorization", "").startswith("AWS4")
    else:
        in_header = any(n == "authorization" and v.startswith("AWS4") for n, v in request.headers)
    return in_header or any(
        n in ("X-Amz-Algorithm", "X-Amz-Signature", "X-Amz-Credential") for n, _ in request.query
    )


def verify(request: SignedRequest, keyring: Keyring, now: datetime, *, s3: bool) -> Verified:
    """The believed signature of the request. Raises AuthError.

    Of services other than S3 the caller has read the body and gives its hash in `body_sha256`.
    """
    claim = read_claim(request)
    _check_time(claim, now)
    _check_signed_headers(request, claim, s3=s3)
    key = find_key(keyring, claim.access_key_id, _session_token(request), now)
    payload_hash = _payload_hash(request, claim, s3=s3)
    signing_key = derive_key(key.secret_access_key, claim.date, claim.region, claim.service)
    _check_signature(request, claim, signing_key, payload_hash, s3=s3)
    payload = _PAYLOADS.get(payload_hash, PayloadKind.SIGNED)
    signed_hash = payload_hash if payload is PayloadKind.SIGNED else None
    return Verified(
        access_key=key,
        service=claim.service,
        region=claim.region,
        stamp=claim.stamp,
        scope=claim.scope,
        payload=payload,
        payload_sha256=signed_hash,
        seed_signature=claim.signature,
        signing_key=signing_key,
    )


def _check_signature(
    request: SignedRequest, claim: Claim, signing_key: bytes, payload_hash: str, *, s3: bool
) -> None:
    canonical = canonical_request(request, claim.signed_headers, payload_hash, s3=s3)
    to_sign = string_to_sign(claim.stamp, claim.scope, canonical)
    if is_same(hmac_sha256(signing_key, to_sign).hex(), claim.signature):
        return
    # botocore signs a path just as it sends it, %2F within a key included; others sign what the
    # reference says, decoded and encoded again. Both texts mean the same object.
    path, sent = canonical_path(request.raw_path, s3=s3).encode(), request.raw_path
    if s3 and path != sent:
        method = wire(request.method)
        literal = canonical.replace(method + b"\n" + path, method + b"\n" + sent, 1)
        literal_to_sign = string_to_sign(claim.stamp, claim.scope, literal)
        if is_same(hmac_sha256(signing_key, literal_to_sign).hex(), claim.signature):
            return
    raise _mismatch(claim, canonical, to_sign)


def _mismatch(claim: Claim, canonical: bytes, to_sign: bytes) -> AuthError:
    return AuthError(
        AuthKind.BAD_SIGNATURE,
        "The request signature we calculated does not match the signature you provided. "
        "Check your key and signing method.",
        {
            "AWSAccessKeyId": claim.access_key_id,
            "StringToSign": to_sign.decode("latin-1"),
            "SignatureProvided": claim.signature,
            "CanonicalRequest": canonical.decode("latin-1"),
        },
    )


def read_claim(request: SignedRequest) -> Claim:
    """The claim of a signed header or a presigned query; both together are refused."""
    header = request.header("authorization")
    presigned = bool(request.query) and any(
        name in ("X-Amz-Algorithm", "X-Amz-Signature") for name, _ in request.query
    )
    if header is not None and presigned:
        raise AuthError(
            AuthKind.AMBIGUOUS, "Only one auth mechanism allowed; both a header and a query were sent."
        )
    if header is not None:
        return _header_claim(request, header)
    if presigned:
        return _query_claim(request)
    raise AuthError(AuthKind.MISSING, "The request is not signed.")


def _session_token(request: SignedRequest) -> str | None:
    """In the header, or in the query of a presigned URL. It is sealed, so it need not be signed as well."""
    header = request.header("x-amz-security-token")
    parameter = request.parameter("X-Amz-Security-Token")
    if header is not None and parameter is not None:
        raise AuthError(AuthKind.AMBIGUOUS, "The session token is given both in a header and in the query.")
    return header if parameter is None else parameter


def _header_claim(request: SignedRequest, header: str) -> Claim:
    header = header.strip()
    # All but the signature is the same in each request of a client, and takes longest to read.
    fixed, signature = header[:-64], header[-64:]
    named = (_kept_credential if len(fixed) <= LONGEST_FIXED else _credential)(fixed)
    if named is None or not _SHA256.fullmatch(signature):
        raise AuthError(AuthKind.MALFORMED_HEADER, "The authorization header is malformed.")
    stamp = request.header("x-amz-date") or _stamp_of(request.header("date"))
    if not stamp or not _STAMP.fullmatch(stamp):
        raise AuthError(AuthKind.BAD_DATE, "AWS authentication requires a valid Date or x-amz-date header")
    return Claim(*named, signature, stamp, None)


def _credential(fixed: str) -> tuple[str, str, str, str, tuple[str, ...]] | None:
    """Access key id, date, region, service, signed headers: of a header up to its signature."""
    match = _HEADER.fullmatch(fixed)
    scope = match and _SCOPE.fullmatch(match[1])
    if not match or not scope:
        return None
    return scope[1], scope[2], scope[3], scope[4], tuple(match[2].split(";"))


_kept_credential = lru_cache(maxsize=1024)(_credential)


def _query_claim(request: SignedRequest) -> Claim:
    wanted = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
    given = {name: request.parameter(f"X-Amz-{name}") for name in wanted}
    scope = _SCOPE.fullmatch(given["Credential"] or "")
    if given["Algorithm"] != ALGORITHM:
        raise _bad_query("X-Amz-Algorithm only supports AWS4-HMAC-SHA256")
    if not scope:
        raise _bad_query("Error parsing the X-Amz-Credential parameter; it must be KEY/DATE/REGION/SERVICE.")
    if not _STAMP.fullmatch(given["Date"] or ""):
        raise _bad_query("X-Amz-Date must be in the ISO8601 Long Format yyyyMMdd'T'HHmmss'Z'")
    expires = given["Expires"] or ""
    if not re.fullmatch(r"-?[0-9]{1,9}", expires, re.ASCII):
        raise _bad_query("X-Amz-Expires must be a number of seconds")
    if int(expires) < 1:  # clients sign a URL of the past so
        raise AuthError(AuthKind.EXPIRED, "Request has expired", {"X-Amz-Expires": expires})
    if int(expires) > LONGEST_EXPIRY_SECONDS:
        text = "X-Amz-Expires must be less than a week (in seconds); that is, 604800"
        raise AuthError(AuthKind.EXPIRED, text, {"X-Amz-Expires": expires})
    if not re.fullmatch(r"[0-9a-f]{64}", given["Signature"] or ""):
        raise _bad_query("X-Amz-Signature must be 64 hexadecimal digits")
    signed = tuple((given["SignedHeaders"] or "").split(";"))
    return Claim(
        scope[1],
        scope[2],
        scope[3],
        scope[4],
        signed,
        given["Signature"] or "",
        given["Date"] or "",
        int(expires),
    )


def _bad_query(message: str) -> AuthError:
    return AuthError(AuthKind.MALFORMED_QUERY, message)


def _stamp_of(http_date: str | None) -> str | None:
    try:
        return parsedate_to_datetime(http_date or "").astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    except (ValueError, TypeError, OverflowError):
        return None


def _check_time(claim: Claim, now: datetime) -> None:
    signed_at = _moment(claim.stamp)
    if signed_at is None:
        raise AuthError(AuthKind.BAD_DATE, "The date of the request is not a date.")
    if claim.stamp[:8] != claim.date:
        text = "The date in the credential scope is not the date of the request."
        kind = AuthKind.BAD_SIGNATURE if claim.expires_seconds is None else AuthKind.MALFORMED_QUERY
        raise AuthError(kind, text)
    skew = timedelta(seconds=SKEW_SECONDS)
    if claim.expires_seconds is None:
        if abs(now - signed_at) > skew:
            raise _skewed(claim, now)
    elif signed_at - now > skew:
        raise AuthError(AuthKind.EXPIRED, "Request is not valid yet")
    elif now - signed_at > timedelta(seconds=claim.expires_seconds):
        raise AuthError(
            AuthKind.EXPIRED, "Request has expired", {"X-Amz-Expires": str(claim.expires_seconds)}
        )


@lru_cache(
    maxsize=1024
)  # all requests of a second share one stamp, and strptime costs as much as a signature
def _moment(stamp: str) -> datetime | None:
    try:
        return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _skewed(claim: Claim, now: datetime) -> AuthError:
    return AuthError(
        AuthKind.SKEWED,
        "The difference between the request time and the current time is too large.",
        {
            "RequestTime": claim.stamp,
            "ServerTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "MaxAllowedSkewMilliseconds": str(SKEW_SECONDS * 1000),
        },
    )


def _check_signed_headers(request: SignedRequest, claim: Claim, *, s3: bool) -> None:
    signed = set(claim.signed_headers)
    present = {name for name, _ in request.headers} if request.by_name is None else request.by_name.keys()
    must = {name for name in present if name.startswith("x-amz-")} if s3 else present & {"x-amz-date"}
    if not must <= signed:
        names = ", ".join(sorted(must - signed))
        raise AuthError(
            AuthKind.UNSIGNED_HEADERS,
            "There were headers present in the request which were not signed",
            {"HeadersNotSigned": names},
        )
    if claim.expires_seconds is None and not signed & {"x-amz-date", "date"}:
        raise AuthError(AuthKind.UNSIGNED_HEADERS, "The date of the request is not signed.")
    if "host" not in signed or len(signed) != len(claim.signed_headers) or not present >= signed:
        kind = AuthKind.MALFORMED_HEADER if claim.expires_seconds is None else AuthKind.MALFORMED_QUERY
        raise AuthError(kind, "SignedHeaders must name headers of the request, each once, and host.")
    if request.by_name is None and sum(name == "host" for name, _ in request.headers) != 1:
        raise AuthError(AuthKind.AMBIGUOUS, "The Host header must be given once.")


def _payload_hash(request: SignedRequest, claim: Claim, *, s3: bool) -> str:
    """What stands for the body in the canonical request."""
    if not s3:
        return request.body_sha256 or EMPTY_SHA256
    given = request.header("x-amz-content-sha256")
    if claim.expires_seconds is not None:
        given = given or request.parameter("X-Amz-Content-Sha256") or UNSIGNED
    if given is None:
        raise AuthError(
            AuthKind.BAD_PAYLOAD, "Missing required header for this request: x-amz-content-sha256"
        )
    if given not in _PAYLOADS and not _SHA256.fullmatch(given):
        raise AuthError(
            AuthKind.BAD_PAYLOAD,
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING value, or a valid sha256 value.",
        )
    return given


def canonical_request(
    request: SignedRequest, signed_headers: Sequence[str], payload_hash: str, *, s3: bool
) -> bytes:
    """The text that is signed, before its hash (General Reference, task 1)."""
    path = canonical_path(request.raw_path, s3=s3)
    query = canonical_query(request.query, "X-Amz-Signature")
    if request.by_name is not None:
        headers = "".join([f"{name}:{_folded(request.by_name[name])}\n" for name in signed_headers])
    else:
        headers = _canonical_headers(request.headers, signed_headers)
    names = ";".join(signed_headers)
    return wire(f"{request.method}\n{path}\n{query}\n{headers}\n{names}\n{payload_hash}")


def canonical_path(raw_path: bytes, *, s3: bool) -> str:
    """S3: decoded and encoded again, nothing removed. Others: as sent, normalised, encoded once more."""
    if s3:
        if _PLAIN_PATH.fullmatch(raw_path):
            return raw_path.decode()
        return quote(unquote_to_bytes(raw_path), safe="/~") or "/"
    path = raw_path.decode("latin-1") or "/"
    normal = posixpath.normpath("/" + path.lstrip("/"))
    if path.endswith(("/", "/.", "/..")) and normal != "/":
        normal += "/"
    return quote(normal.encode("latin-1"), safe="/~")


def _canonical_headers(headers: Iterable[tuple[str, str]], signed: Sequence[str]) -> str:
    values: dict[str, list[str]] = {name: [] for name in signed}
    for name, value in headers:
        if name in values:
            values[name].append(_folded(value))
    return "".join(f"{name}:{','.join(values[name])}\n" for name in signed)


def _folded(value: str) -> str:
    value = value.strip()
    return _BLANKS.sub(" ", value) if "  " in value or "\n" in value or "\t" in value else value


def string_to_sign(stamp: str, scope: str, canonical: bytes) -> bytes:
    return f"{ALGORITHM}\n{stamp}\n{scope}\n{sha256(canonical).hexdigest()}".encode("utf-8", "surrogatepass")


@lru_cache(maxsize=1024)
def derive_key(secret_access_key: str, date: str, region: str, service: str) -> bytes:
    """The key of a day, region and service: four HMACs, so the last thousand are kept."""
    key = hmac_sha256(b"AWS4" + secret_access_key.encode(), date.encode())
    for part in (region, service, "aws4_request"):
        key = hmac_sha256(key, part.encode("utf-8", "surrogatepass"))
    return key
