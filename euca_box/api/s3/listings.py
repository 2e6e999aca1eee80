"""The listings of a bucket: objects in both versions of the API, versions, open uploads."""

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote

from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import (
    NAMESPACE,
    Response,
    element,
    escape,
    iso_second,
    iso_time,
    needs_escape,
    xml_response,
)
from euca_box.model.s3_errors import InvalidArgument
from euca_box.objects.listing import Page
from euca_box.objects.rows import Upload
from euca_box.objects.version_listing import MARKER, ListedVersion

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
        page.prefixes,
        _contents(page, encode, with_owner=True),
        encode,
        truncated=page.truncated,
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
    contents = _contents(page, encode, with_owner=with_owner)
    return _listing("ListBucketResult", head, page.prefixes, contents, encode, truncated=page.truncated)


async def list_object_versions(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, GET Bucket Object versions."""
    encode, marker = _encoding(request), request.parameter("key-marker")
    after, limit = request.parameter("version-id-marker"), page_size(request, "max-keys")
    if after and not marker:
        raise InvalidArgument(
            "A version-id marker cannot be specified without a key marker.",
            ArgumentName="version-id-marker",
            ArgumentValue=after,
        )
    page = await front.objects.list_versions(
        request.principal,
        request.bucket,
        prefix=request.parameter("prefix"),
        delimiter=request.parameter("delimiter"),
        after=marker,
        after_version=after,
        limit=limit,
    )
    head = _head(request, limit, encode)
    head += element("KeyMarker", encode(marker)) + element("VersionIdMarker", after)
    if page.last is not None:
        head += element("NextKeyMarker", encode(page.last[0]))
        head += element("NextVersionIdMarker", page.last[1] or None)
    versions = "".join(_version(listed, encode) for listed in page.versions)
    return _listing(
        "ListVersionsResult", head, page.prefixes, versions, encode, truncated=page.last is not None
    )


def _version(listed: ListedVersion, encode: Encode) -> str:
    names = f"<Key>{escape(encode(listed.key))}</Key><VersionId>{listed.version_id}</VersionId>"
    names += f"<IsLatest>{'true' if listed.is_latest else 'false'}</IsLatest>"
    if listed.kind == MARKER:
        return (
            f"<DeleteMarker>{names}<LastModified>{iso_time(listed.modified_ms)}</LastModified>"
            f"{_owner(listed.owner_id, listed.owner_name)}</DeleteMarker>"
        )
    return f"<Version>{names}{_facts(listed)}</Version>"


async def _read(front: Front, request: S3Request, after: str, encode: Encode) -> tuple[Page, str]:
    prefix, delimiter = request.parameter("prefix"), request.parameter("delimiter")
    limit = page_size(request, "max-keys")
    page = await front.objects.list(
        request.principal, request.bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit
    )
    return page, _head(request, limit, encode)


def _head(request: S3Request, limit: int, encode: Encode) -> str:
    prefix, delimiter = request.parameter("prefix"), request.parameter("delimiter")
    is_first_version = not request.query.keys() & {"list-type", "versions"}
    return (
        element("Name", request.bucket)
        # Version 1 writes it as it is: its clients do not decode it.
        + element("Prefix", prefix if is_first_version else encode(prefix))
        + element("MaxKeys", limit)
        + element("Delimiter", encode(delimiter) if delimiter else None)
        + element("EncodingType", request.query.get("encoding-type"))
    )


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
    keys = [encode(listed.key) for listed in page.objects]
    if needs_escape("".join(keys)):
        keys = [escape(key) for key in keys]
    # A thousand times for each page: no call that can be spared.
    return "".join(
        [
            f"<Contents><Key>{shown}</Key>"
            f"<LastModified>{iso_second(ms // 1000)}.{ms % 1000:03d}Z</LastModified>"
            f"<ETag>&quot;{etag}&quot;</ETag>{_checksum(*checksum.split(' ')[::2]) if checksum else ''}"
            f"<Size>{size}</Size>{_owner(owner, name) if with_owner else ''}"
            f"<StorageClass>{storage_class or 'STANDARD'}</StorageClass></Contents>"
            for shown, (_, size, etag, ms, owner, name, checksum, storage_class) in zip(
                keys, page.objects, strict=True
            )
        ]
    )


def _facts(listed: ListedVersion) -> str:
    checksum = _checksum(*listed.checksum.split(" ")[::2]) if listed.checksum else ""
    owner = _owner(listed.owner_id, listed.owner_name)
    return (
        f"<LastModified>{iso_time(listed.modified_ms)}</LastModified><ETag>&quot;{listed.etag}&quot;</ETag>"
        f"{checksum}<Size>{listed.size_bytes}</Size>{owner}"
        f"<StorageClass>{listed.storage_class or 'STANDARD'}</StorageClass>"
    )


@lru_cache(maxsize=64)
def _checksum(algorithm: str, kind: str) -> str:
    return f"<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm><ChecksumType>{kind}</ChecksumType>"


@lru_cache(maxsize=1024)
def _owner(canonical_id: str, display_name: str, name: str = "Owner") -> str:
    who = element("ID", canonical_id) + element("DisplayName", display_name)
    return f"<{name}>{who}</{name}>"


def _listing(
    root: str, head: str, prefixes: list[str], entries: str, encode: Encode, *, truncated: bool
) -> Response:
    common = "".join(
        f"<CommonPrefixes><Prefix>{escape(encode(prefix))}</Prefix></CommonPrefixes>" for prefix in prefixes
    )
    return xml_response(
        f'<{root} xmlns="{NAMESPACE}">{head}<IsTruncated>{"true" if truncated else "false"}</IsTruncated>'
        f"{entries}{common}</{root}>"
    )


async def list_uploads(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, List Multipart Uploads."""
    encode, limit = _encoding(request), page_size(request, "max-uploads")
    prefix, delimiter = request.parameter("prefix"), request.parameter("delimiter")
    key_marker, marker = request.parameter("key-marker"), request.parameter("upload-id-marker")
    page = await front.objects.uploads.list(
        request.principal,
        request.bucket,
        prefix=prefix,
        delimiter=delimiter,
        after_key=key_marker,
        after_upload=marker,
        limit=limit,
    )
    head = element("Bucket", request.bucket)
    head += element("KeyMarker", encode(key_marker)) + element("UploadIdMarker", marker)
    if page.last is not None:
        head += element("NextKeyMarker", encode(page.last[0]))
        head += element("NextUploadIdMarker", page.last[1] or None)
    head += element("Prefix", encode(prefix)) + element("MaxUploads", limit)
    head += element("Delimiter", encode(delimiter) if delimiter else None)
    head += element("EncodingType", request.query.get("encoding-type"))
    uploads = "".join(_upload(upload, encode) for upload in page.uploads)
    return _listing(
        "ListMultipartUploadsResult", head, page.prefixes, uploads, encode, truncated=page.last is not None
    )


def _upload(upload: Upload, encode: Encode) -> str:
    checksum = _checksum(upload.algorithm, upload.checksum_type) if upload.algorithm else ""
    return (
        f"<Upload>{element('Key', encode(upload.key))}{element('UploadId', upload.upload_id)}"
        f"{_owner(upload.initiator.canonical_id, upload.initiator.display_name, 'Initiator')}"
        f"{_owner(upload.owner.canonical_id, upload.owner.display_name)}"
        f"{element('StorageClass', upload.storage_class or 'STANDARD')}"
        f"<Initiated>{iso_time(upload.started_ms)}</Initiated>{checksum}</Upload>"
    )
