"""Sign a request with SigV4, as a client: for our own commands and the URLs that a node fetches images by."""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import urlsplit

from euca_box.auth.requests import SignedRequest, canonical_query, encode, hmac_sha256, parse_query
from euca_box.auth.sigv4 import (
    ALGORITHM,
    EMPTY_SHA256,
    LONGEST_EXPIRY_SECONDS,
    UNSIGNED,
    canonical_request,
    derive_key,
    string_to_sign,
)
from euca_box.model.accounts import AccessKey


def sign_headers(
    method: str,
    url: str,
    headers: Mapping[str, str],
    key: AccessKey,
    now: datetime,
    *,
    region: str = "us-east-1",
    service: str = "s3",
    payload_sha256: str = EMPTY_SHA256,
) -> dict[str, str]:
    """The headers to send, lower-case names: those given, host, x-amz-date and authorization added.

    `url` is percent-encoded as it will be sent. For S3 `payload_sha256` may be UNSIGNED-PAYLOAD.
    """
    parts = urlsplit(url)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    sent = {name.lower(): value for name, value in headers.items()}
    sent["host"] = parts.netloc.rpartition("@")[2]
    sent["x-amz-date"] = stamp
    if service == "s3":
        sent["x-amz-content-sha256"] = payload_sha256
    names = sorted(sent)
    request = SignedRequest(
        method, parts.path.encode(), parse_query(parts.query.encode()), list(sent.items()), payload_sha256
    )
    canonical = canonical_request(request, names, payload_sha256, s3=service == "s3")
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    signature = _signature(key, stamp, region, service, canonical)
    sent["authorization"] = (
        f"{ALGORITHM} Credential={key.access_key_id}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return sent


def presign_url(
    method: str,
    url: str,
    key: AccessKey,
    now: datetime,
    expires_seconds: int,
    *,
    region: str = "us-east-1",
    service: str = "s3",
) -> str:
    """The URL with the signature in its query. Raises ValueError for an expiry AWS would refuse."""
    if not 1 <= expires_seconds <= LONGEST_EXPIRY_SECONDS:
        raise ValueError(
            f"a presigned URL lives 1 to {LONGEST_EXPIRY_SECONDS} seconds, not {expires_seconds}"
        )
    parts = urlsplit(url)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    query = [
        *parse_query(parts.query.encode()),
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", f"{key.access_key_id}/{scope}"),
        ("X-Amz-Date", stamp),
        ("X-Amz-Expires", str(expires_seconds)),
        ("X-Amz-SignedHeaders", "host"),
    ]
    host = parts.netloc.rpartition("@")[2]
    request = SignedRequest(method, parts.path.encode(), query, [("host", host)])
    payload_hash = UNSIGNED if service == "s3" else EMPTY_SHA256
    canonical = canonical_request(request, ["host"], payload_hash, s3=service == "s3")
    signature = _signature(key, stamp, region, service, canonical)
    signed = f"{canonical_query(query)}&X-Amz-Signature={encode(signature)}"
    return f"{parts.scheme}://{parts.netloc}{parts.path or '/'}?{signed}"


def _signature(key: AccessKey, stamp: str, region: str, service: str, canonical: bytes) -> str:
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    signing_key = derive_key(key.secret_access_key, stamp[:8], region, service)
    return hmac_sha256(signing_key, string_to_sign(stamp, scope, canonical)).hex()
