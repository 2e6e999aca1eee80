"""What a GET or HEAD answers about an object: conditions, range, headers."""

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from euca_box.api.s3.encryption import (
    customer_key_of,
    encryption_headers,
    is_encrypted_read,
    refuse_on_read,
)
from euca_box.api.s3.locks import lock_headers
from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import header_value, http_time
from euca_box.model.object_lock import NO_LOCK
from euca_box.model.s3_errors import (
    InvalidPart,
    InvalidRange,
    InvalidRequest,
    NotModified,
    PreconditionFailed,
)
from euca_box.objects.cache import Found
from euca_box.objects.rows import StoredObject, parse_checksum

_RANGE = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})", re.ASCII)
_OVERRIDES = (
    "content-type",
    "content-language",
    "expires",
    "cache-control",
    "content-disposition",
    "content-encoding",
)


def check_conditions(headers: Mapping[str, str], stored: StoredObject, prefix: str = "") -> None:
    """RFC 9110 section 13.2.2 for If-* headers; with prefix those of a copy's source.

    Raises PreconditionFailed, NotModified (a copy: PreconditionFailed).
    """
    match, none_match = headers.get(f"{prefix}if-match"), headers.get(f"{prefix}if-none-match")
    since, unless = headers.get(f"{prefix}if-modified-since"), headers.get(f"{prefix}if-unmodified-since")
    modified = stored.modified_ms // 1000
    if match is not None:
        if not _names(match, stored.etag):
            raise PreconditionFailed(Condition="If-Match")
    elif (moment := _moment(unless)) is not None and modified > moment:
        raise PreconditionFailed(Condition="If-Unmodified-Since")
    if none_match is not None:
        unchanged = _names(none_match, stored.etag)
    else:
        moment = _moment(since)
        unchanged = moment is not None and modified <= moment
    if unchanged and prefix:
        raise PreconditionFailed()
    if unchanged:
        # RFC 9110 15.4.5: what a cache needs to go on with its copy.
        shown = {"etag": f'"{stored.etag}"', "last-modified": http_time(modified)}
        kept = {name: stored.headers[name] for name in ("cache-control", "expires") if name in stored.headers}
        raise NotModified().with_headers(shown | kept)


def _names(tags: str, etag: str) -> bool:
    return any(tag.strip().removeprefix("W/").strip('"') in (etag, "*") for tag in tags.split(","))


def _moment(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def wanted_range(request: S3Request, found: Found) -> tuple[int, int] | None:
    """[start, end) of a part or of the one byte range asked for; None for the whole object.

    A Range that is not understood is ignored (RFC 9110 14.2). Raises InvalidRange, InvalidPart.
    """
    text = request.headers.get("range")
    if "partNumber" in request.query:
        if text is not None:
            raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
        return _part_range(request.query["partNumber"], found)
    size = found.stored.size_bytes
    match = _RANGE.fullmatch(text.replace(" ", "")) if text is not None else None
    if match is None or match[0] == "bytes=-" or not _if_range(request, found.stored):
        return None
    if match[1]:
        start = int(match[1])
        end = min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    else:
        start, end = max(0, size - int(match[2])), size
    if start >= end:
        raise InvalidRange(RangeRequested=text or "", ActualObjectSize=str(size))
    return start, end


def _if_range(request: S3Request, stored: StoredObject) -> bool:
    tag = request.headers.get("if-range")
    return tag is None or tag.strip('"') == stored.etag or tag == http_time(stored.modified_ms // 1000)


def _part_range(text: str, found: Found) -> tuple[int, int]:
    number = int(text) if re.fullmatch("[0-9]{1,5}", text, re.ASCII) else 0
    sizes = [piece.size_bytes for piece in found.pieces] or [found.stored.size_bytes]
    if not 1 <= number <= len(sizes):
        raise InvalidPart(PartNumberRequested=text, ActualPartCount=str(len(sizes)))
    start = sum(sizes[: number - 1])
    return start, start + sizes[number - 1]


def object_key(front: Front, request: S3Request, found: Found) -> bytes | None:
    """The data key of an encrypted object. Raises InvalidRequest for a wrong key, or none."""
    if not is_encrypted_read(request, found.stored):
        return None
    refuse_on_read(request)
    return front.objects.keys.open(found.stored.encryption, customer_key_of(request))


def object_headers(request: S3Request, found: Found, wanted: tuple[int, int] | None) -> dict[str, str]:
    """The headers of a 200 or 206. Raises InvalidArgument, InvalidRequest."""
    stored = found.stored
    headers = {
        "last-modified": http_time(stored.modified_ms // 1000),
        "etag": f'"{stored.etag}"',
        "accept-ranges": "bytes",
        **stored.headers,
    }
    if stored.encryption or stored.storage_class or stored.tags or stored.lock != NO_LOCK:
        headers |= _special_headers(stored)
    if stored.checksum and request.headers.get("x-amz-checksum-mode") == "ENABLED":
        headers |= _checksum_headers(request, found, wanted)
    if wanted is not None:
        headers["content-range"] = f"bytes {wanted[0]}-{wanted[1] - 1}/{stored.size_bytes}"
    if "partNumber" in request.query and "-" in stored.etag:
        headers["x-amz-mp-parts-count"] = str(len(found.pieces))
    if not request.query:
        return headers
    for name in _OVERRIDES:
        if f"response-{name}" in request.query:
            if request.principal is None:
                raise InvalidRequest(
                    "Request specific response headers cannot be used for anonymous GET requests."
                )
            headers[name] = header_value(request.query[f"response-{name}"], f"response-{name}")
    return headers


def _checksum_headers(request: S3Request, found: Found, wanted: tuple[int, int] | None) -> dict[str, str]:
    """The checksum of what is answered: the whole, or a part; of a range there is none."""
    whole = found.stored.checksum
    value = whole.value if whole is not None else ""
    if "partNumber" in request.query and found.pieces:
        part = parse_checksum(found.pieces[int(request.query["partNumber"]) - 1].checksum)
        value = part.value if part is not None else value if len(found.pieces) == 1 else ""
    elif wanted is not None:
        value = ""
    if whole is None or not value:
        return {}
    return {f"x-amz-checksum-{whole.algorithm.lower()}": value, "x-amz-checksum-type": whole.kind}


def _special_headers(stored: StoredObject) -> dict[str, str]:
    headers = encryption_headers(stored.encryption) | lock_headers(stored.lock)
    if stored.storage_class:
        headers["x-amz-storage-class"] = stored.storage_class
    if stored.tags:
        headers["x-amz-tagging-count"] = str(len(stored.tags))
    return headers
