"""What a request says of the object it makes, besides the bytes."""

from base64 import b64encode

from euca_box.api.s3.encryption import encryption_of
from euca_box.api.s3.grants import acl_of_headers
from euca_box.api.s3.locks import lock_in_headers, require_complete
from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.tags import tags_in_header
from euca_box.api.s3.uploading import refuse_unknown
from euca_box.model.bucket_settings import BucketEncryption
from euca_box.model.s3_errors import InvalidRedirectLocation, InvalidStorageClass, MetadataTooLarge
from euca_box.objects.conditions import NO_CONDITIONS, Conditions
from euca_box.objects.digests import Expectation
from euca_box.objects.versions import Wish

LARGEST_METADATA_BYTES = 2048
REDIRECT = "x-amz-website-redirect-location"
KEPT_HEADERS = ("cache-control", "content-disposition", "content-language", "expires", REDIRECT)
_META = "x-amz-meta-"
# S3 API reference, PutObject, x-amz-storage-class. All are kept on the same disk.
_STORAGE_CLASSES = {
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER",
    "DEEP_ARCHIVE",
    "GLACIER_IR",
}


def wish_of(front: Front, request: S3Request, expect: Expectation | None = None) -> Wish:
    """Everything but the bytes. Raises NoSuchBucket, S3NotImplemented, InvalidArgument, ..."""
    refuse_unknown(request)
    bucket = front.objects.buckets.find(request.bucket)
    lock = lock_in_headers(request, front.objects.now_ms())
    require_complete(lock, bucket.object_lock is not None)
    return Wish(
        headers=kept_headers(request),
        acl=acl_of_headers(request, front.keyring),
        expect=expect or Expectation(),
        conditions=conditions_of(request),
        tags=tags_in_header(request.headers["x-amz-tagging"]) if "x-amz-tagging" in request.headers else {},
        lock=lock,
        encrypt=encryption_of(request, by_default=bucket.setting(BucketEncryption) is not None),
        storage_class=storage_class_of(request),
    )


def conditions_of(request: S3Request) -> Conditions:
    match, none_match = request.headers.get("if-match"), request.headers.get("if-none-match")
    if match is None and none_match is None:
        return NO_CONDITIONS
    return Conditions(_etag(match), _etag(none_match))


def _etag(text: str | None) -> str | None:
    return text.strip().strip('"') if text is not None else None


def storage_class_of(request: S3Request) -> str:
    """Empty for STANDARD. Raises InvalidStorageClass."""
    name = request.headers.get("x-amz-storage-class", "STANDARD")
    if name not in _STORAGE_CLASSES:
        raise InvalidStorageClass(StorageClassRequested=name)
    return "" if name == "STANDARD" else name


def kept_headers(request: S3Request) -> dict[str, str]:
    """Headers that a GET will answer again. Raises MetadataTooLarge, InvalidRedirectLocation."""
    kept = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
    kept["content-type"] = request.headers.get("content-type") or "binary/octet-stream"
    if "content-encoding" in request.headers:
        codings = [c.strip() for c in request.headers["content-encoding"].split(",")]
        if codings := [coding for coding in codings if coding and coding != "aws-chunked"]:
            kept["content-encoding"] = ", ".join(codings)
    if REDIRECT in kept and not kept[REDIRECT].startswith(("/", "http://", "https://")):
        raise InvalidRedirectLocation()
    metadata = {n: v for n, v in request.headers.items() if n.startswith(_META)}
    if not metadata:
        return kept
    size = sum(len(n) - len(_META) + len(v) for n, v in metadata.items())
    if size > LARGEST_METADATA_BYTES:
        raise MetadataTooLarge(Size=str(size), MaxSizeAllowed=str(LARGEST_METADATA_BYTES))
    return kept | {name: _ascii(value) for name, value in metadata.items()}


def _ascii(value: str) -> str:
    """S3 answers metadata that is not ASCII as an encoded word (RFC 2047); what is not UTF-8 stays."""
    if value.isascii():
        return value
    raw = value.encode("latin-1")
    try:
        raw.decode()
    except UnicodeDecodeError:
        return value
    return f"=?UTF-8?B?{b64encode(raw).decode()}?="
