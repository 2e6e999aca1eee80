"""The listings of a bucket: objects in both versions of the API, versions, open uploads."""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote

from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import NAMESPACE, Response, element, escape, iso_time, xml_response
from euca_box.model.s3_errors import InvalidArgument
from euca_box.objects.listing import Listed, Page

LONGEST_PAGE = 1000
Encode = Callable[[str], str]


async def list_objects(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, GET Bucket (List Objects) Version 1."""
    encode, marker = _encoding(request), request.parameter("marker")
    page, head = await _read(front, request, marker, encode)
    delimiter = request.parameter("delimiter")
    following = encode(page.last) if page.last is not None and delimiter else None
    return _listing(
        "ListBucketResult",
        head + element("Marker", encode(marker)) + element("NextMarker", following),
        page,
        _contents(page, encode, with_owner=True),
        encode,
    )


async def list_objects_v2(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, GET Bucket (List Objects) Version 2."""
    if request.query["list-type"] != "2":
        raise InvalidArgument(ArgumentName="list-type", ArgumentValue=request.query["list-type"])
    encode, token = _encoding(request), request.query.get("continuation-token")
    start_after = request.query.get("start-after")
    after = _decode_token(token) if token is not None else start_after or ""
    page, head = await _read(front, request, after, encode)
    following = urlsafe_b64encode(page.last.encode()).decode() if page.last is not None else None
    head += (
        element("ContinuationToken", token)
        + element("NextContinuationToken", following)
        + element("StartAfter", encode(start_after) if start_after is not None else None)
        + element("KeyCount", len(page))
    )
    with_owner = request.parameter("fetch-owner") == "true"
    return _listing("ListBucketResult", head, page, _contents(page, encode, with_owner=with_owner), encode)


async def list_object_versions(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, GET Bucket Object versions, of a bucket that never had versioning."""
    encode, marker = _encoding(request), request.parameter("key-marker")
    page, head = await _read(front, request, marker, encode)
    versions = "".join(
        f"<Version><Key>{escape(encode(listed.key))}</Key><VersionId>null</VersionId>"
        f"<IsLatest>true</IsLatest>{_facts(listed, with_owner=True)}</Version>"
        for listed in page.objects
    )
    following = element("NextKeyMarker", encode(page.last)) if page.last is not None else ""
    head += element("KeyMarker", encode(marker)) + "<VersionIdMarker/>" + following
    return _listing("ListVersionsResult", head, page, versions, encode)


async def _read(front: Front, request: S3Request, after: str, encode: Encode) -> tuple[Page, str]:
    prefix, delimiter = request.parameter("prefix"), request.parameter("delimiter")
    limit = page_size(request, "max-keys")
    page = await front.objects.list(
        request.principal, request.bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit
    )
    head = (
        element("Name", request.bucket)
        + element("Prefix", encode(prefix))
        + element("MaxKeys", limit)
        + element("Delimiter", encode(delimiter) if delimiter else None)
        + element("EncodingType", request.query.get("encoding-type"))
    )
    return page, head


def page_size(request: S3Request, name: str) -> int:
    """The number of entries asked for, at most LONGEST_PAGE. Raises InvalidArgument."""
    text = request.query.get(name)
    if text is None:
        return LONGEST_PAGE
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > 2**31 - 1:
        message = f"Provided {name} not an integer or within integer range"
        raise InvalidArgument(message, ArgumentName=name, ArgumentValue=text)
    return min(int(text), LONGEST_PAGE)


def _encoding(request: S3Request) -> Encode:
    """How keys are written. Raises InvalidArgument."""
    kind = request.query.get("encoding-type")
    if kind is None:
        return lambda key: key
    if kind != "url":
        raise InvalidArgument(
            "Invalid Encoding Method specified in Request",
            ArgumentName="encoding-type",
            ArgumentValue=kind,
        )
    return lambda key: quote(key, safe="/~")


def _decode_token(token: str) -> str:
    try:
        return b64decode(token, b"-_", validate=True).decode()
    except ValueError:
        message = "The continuation token provided is incorrect"
        raise InvalidArgument(message, ArgumentName="continuation-token") from None


def _contents(page: Page, encode: Encode, *, with_owner: bool) -> str:
    return "".join(
        f"<Contents><Key>{escape(encode(listed.key))}</Key>{_facts(listed, with_owner=with_owner)}</Contents>"
        for listed in page.objects
    )


def _facts(listed: Listed, *, with_owner: bool) -> str:
    checksum = ""
    if listed.checksum:
        algorithm, _, kind = listed.checksum.split(" ")
        checksum = f"<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm><ChecksumType>{kind}</ChecksumType>"
    owner = _owner(listed.owner_id, listed.owner_name) if with_owner else ""
    return (
        f"<LastModified>{iso_time(listed.modified_ms)}</LastModified><ETag>&quot;{listed.etag}&quot;</ETag>"
        f"{checksum}<Size>{listed.size_bytes}</Size>{owner}"
        "<StorageClass>STANDARD</StorageClass>"
    )


@lru_cache(maxsize=1024)
def _owner(canonical_id: str, display_name: str, name: str = "Owner") -> str:
    who = element("ID", canonical_id) + element("DisplayName", display_name)
    return f"<{name}>{who}</{name}>"


def _listing(root: str, head: str, page: Page, entries: str, encode: Encode) -> Response:
    prefixes = "".join(
        f"<CommonPrefixes><Prefix>{escape(encode(prefix))}</Prefix></CommonPrefixes>"
        for prefix in page.prefixes
    )
    truncated = "true" if page.truncated else "false"
    return xml_response(
        f'<{root} xmlns="{NAMESPACE}">{head}<IsTruncated>{truncated}</IsTruncated>'
        f"{entries}{prefixes}</{root}>"
    )


async def list_uploads(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, List Multipart Uploads."""
    encode, limit = _encoding(request), page_size(request, "max-uploads")
    prefix, key_marker = request.parameter("prefix"), request.parameter("key-marker")
    marker = request.parameter("upload-id-marker")
    uploads, truncated = await front.objects.uploads.list(
        request.principal,
        request.bucket,
        prefix=prefix,
        after_key=key_marker,
        after_upload=marker,
        limit=limit,
    )
    entries = "".join(
        f"<Upload>{element('Key', encode(upload.key))}{element('UploadId', upload.upload_id)}"
        f"{_owner(upload.initiator.canonical_id, upload.initiator.display_name, 'Initiator')}"
        f"{_owner(upload.owner.canonical_id, upload.owner.display_name)}<StorageClass>STANDARD</StorageClass>"
        f"<Initiated>{iso_time(upload.started_ms)}</Initiated></Upload>"
        for upload in uploads
    )
    last = uploads[-1] if truncated and uploads else None
    return xml_response(
        f'<ListMultipartUploadsResult xmlns="{NAMESPACE}">{element("Bucket", request.bucket)}'
        f"{element('KeyMarker', encode(key_marker))}{element('UploadIdMarker', marker)}"
        f"{element('NextKeyMarker', encode(last.key) if last else None)}"
        f"{element('NextUploadIdMarker', last.upload_id if last else None)}"
        f"{element('Prefix', encode(prefix))}{element('MaxUploads', limit)}"
        f"{element('EncodingType', request.query.get('encoding-type'))}"
        f"<IsTruncated>{'true' if truncated else 'false'}</IsTruncated>{entries}</ListMultipartUploadsResult>"
    )
