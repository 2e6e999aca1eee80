"""Multipart uploads, from CreateMultipartUpload to AbortMultipartUpload."""

import re

from euca_box.api.s3.attributes import checksum_xml
from euca_box.api.s3.copying import opened_source, source_key
from euca_box.api.s3.encryption import customer_key_of, encryption_headers
from euca_box.api.s3.listings import page_size
from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import NAMESPACE, Response, element, iso_time, xml_response
from euca_box.api.s3.uploading import body_of, expectation_of, read_document, refuse_unknown
from euca_box.api.s3.wishes import conditions_of, wish_of
from euca_box.api.s3.xml_in import children, parse_xml, text_of
from euca_box.model.s3_errors import (
    EntityTooLarge,
    InvalidArgument,
    InvalidRange,
    InvalidRequest,
    MalformedXML,
)
from euca_box.objects.acl import Action
from euca_box.objects.completion import NamedPart
from euca_box.objects.crcs import CRCS
from euca_box.objects.digests import DIGEST_BYTES, Expectation
from euca_box.objects.rows import LARGEST_PART_BYTES, MIB, MOST_PARTS, Checksum, Owner, Part
from euca_box.objects.versions import Wish

_LARGEST_COMPLETION_BYTES = 4 * MIB  # 10 000 parts with a SHA-256 each are 2.3 MB
_COPY_RANGE = re.compile(r"bytes=([0-9]{1,19})-([0-9]{1,19})", re.ASCII)


async def create_upload(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, Initiate Multipart Upload."""
    front.objects.authorize_put(request.principal, request.bucket, request.key)
    wish = wish_of(front, request)
    algorithm, kind = _checksum_wish(request)
    upload = await front.objects.uploads.create(
        request.principal, request.bucket, request.key, wish, algorithm, kind
    )
    headers = {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind} if algorithm else {}
    headers |= encryption_headers(upload.encryption)
    names = element("Bucket", request.bucket) + element("Key", request.key)
    return xml_response(
        f'<InitiateMultipartUploadResult xmlns="{NAMESPACE}">{names}'
        f"{element('UploadId', upload.upload_id)}</InitiateMultipartUploadResult>",
        headers=headers,
    )


def _checksum_wish(request: S3Request) -> tuple[str, str]:
    algorithm = request.headers.get("x-amz-checksum-algorithm", "").upper()
    kind = request.headers.get("x-amz-checksum-type", "").upper()
    if not algorithm:
        if kind:
            raise InvalidRequest("The x-amz-checksum-type header needs x-amz-checksum-algorithm.")
        return "", ""
    if algorithm not in DIGEST_BYTES:
        raise InvalidRequest("Checksum algorithm provided is unsupported.")
    kind = kind or ("FULL_OBJECT" if algorithm == "CRC64NVME" else "COMPOSITE")
    allowed = {"FULL_OBJECT"} if algorithm == "CRC64NVME" else {"COMPOSITE"}
    allowed |= {"FULL_OBJECT"} if algorithm in CRCS else set()
    if kind not in allowed:
        raise InvalidRequest(
            f"The {kind} checksum type cannot be used with the {algorithm} checksum algorithm."
        )
    return algorithm, kind


def _part_number(request: S3Request) -> int:
    text = request.query["partNumber"]
    if re.fullmatch("[0-9]{1,5}", text, re.ASCII) and 1 <= int(text) <= MOST_PARTS:
        return int(text)
    message = f"Part number must be an integer between 1 and {MOST_PARTS}, inclusive"
    raise InvalidArgument(message, ArgumentName="partNumber", ArgumentValue=text)


async def upload_part(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, Upload Part."""
    number, expect = _part_number(request), expectation_of(request)
    refuse_unknown(request)
    upload = await front.objects.uploads.find(
        request.principal, request.bucket, request.key, request.query["uploadId"]
    )
    body, size_bytes = body_of(request)
    part = await front.objects.uploads.put_part(
        upload, number, body, expect, customer_key_of(request), size_bytes
    )
    headers = {"etag": f'"{part.etag}"', **encryption_headers(upload.encryption)}
    if part.checksum is not None:
        headers[f"x-amz-checksum-{part.checksum.algorithm.lower()}"] = part.checksum.value
    return Response(200, headers)


async def upload_part_copy(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, Upload Part - Copy."""
    number = _part_number(request)
    refuse_unknown(request)
    upload = await front.objects.uploads.find(
        request.principal, request.bucket, request.key, request.query["uploadId"]
    )
    async with opened_source(front, request) as source:
        start, end = _copy_range(request, source.stored.size_bytes)
        data_key = front.objects.keys.open(source.stored.encryption, source_key(request))
        pieces = (bytes(piece) async for piece in front.objects.read(source, start, end, data_key))
        part = await front.objects.uploads.put_part(
            upload, number, pieces, Expectation(), customer_key_of(request), end - start
        )
        headers = encryption_headers(upload.encryption)
        if front.objects.buckets.find(source.stored.bucket).versioning:
            headers["x-amz-copy-source-version-id"] = source.stored.version_id
    return xml_response(
        f'<CopyPartResult xmlns="{NAMESPACE}"><ETag>&quot;{part.etag}&quot;</ETag>'
        f"<LastModified>{iso_time(part.modified_ms)}</LastModified>{_checksum(part.checksum)}</CopyPartResult>",
        headers=headers,
    )


def _copy_range(request: S3Request, size: int) -> tuple[int, int]:
    text = request.headers.get("x-amz-copy-source-range")
    if text is None:
        if size > LARGEST_PART_BYTES:
            raise EntityTooLarge(MaxSizeAllowed=str(LARGEST_PART_BYTES))
        return 0, size
    match = _COPY_RANGE.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        message = "The x-amz-copy-source-range value must be of the form bytes=first-last"
        raise InvalidArgument(message, ArgumentName="x-amz-copy-source-range", ArgumentValue=text)
    start, end = int(match[1]), int(match[2]) + 1
    if end > size:
        raise InvalidRange(RangeRequested=text, ActualObjectSize=str(size))
    return start, end


async def complete_upload(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, Complete Multipart Upload."""
    front.objects.authorize_put(request.principal, request.bucket, request.key)
    wish = Wish(conditions=conditions_of(request))
    # The checksum headers of this request are of the whole object, not of its document.
    whole = {n: v for n, v in request.headers.items() if n.startswith("x-amz-checksum-")}
    for name in whole:
        del request.headers[name]
    root = parse_xml(await read_document(request, _LARGEST_COMPLETION_BYTES), "CompleteMultipartUpload")
    named = [_named_part(part) for part in children(root, "Part")]
    if not 1 <= len(named) <= MOST_PARTS:
        raise MalformedXML()
    facts, version_id = await front.objects.uploads.complete(
        request.principal,
        request.bucket,
        request.key,
        request.query["uploadId"],
        named,
        wish,
        whole,
        customer_key_of(request),
    )
    names = element("Bucket", request.bucket) + element("Key", request.key)
    headers = encryption_headers(facts.encryption)
    if version_id not in ("", "null"):
        headers["x-amz-version-id"] = version_id
    return xml_response(
        f'<CompleteMultipartUploadResult xmlns="{NAMESPACE}">'
        f"{element('Location', f'/{request.bucket}/{request.key}')}{names}"
        f"<ETag>&quot;{facts.etag}&quot;</ETag>{_checksum(facts.checksum, with_type=True)}"
        "</CompleteMultipartUploadResult>",
        headers=headers,
    )


def _named_part(part: object) -> NamedPart:
    number, etag = text_of(part, "PartNumber"), text_of(part, "ETag")  # type: ignore[arg-type]
    if number is None or etag is None or not re.fullmatch("[0-9]{1,9}", number.strip(), re.ASCII):
        raise MalformedXML()
    given = {name: text_of(part, f"Checksum{name}") for name in DIGEST_BYTES}  # type: ignore[arg-type]
    return NamedPart(int(number), etag.strip(), {name: value for name, value in given.items() if value})


async def abort_upload(front: Front, request: S3Request) -> Response:
    upload = await front.objects.uploads.find(
        request.principal,
        request.bucket,
        request.key,
        request.query["uploadId"],
        Action.ABORT_MULTIPART_UPLOAD,
    )
    await front.objects.uploads.abort(upload)
    return Response(204)


async def list_parts(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, List Parts."""
    upload = await front.objects.uploads.find(
        request.principal,
        request.bucket,
        request.key,
        request.query["uploadId"],
        Action.LIST_MULTIPART_UPLOAD_PARTS,
    )
    limit, marker = page_size(request, "max-parts"), request.query.get("part-number-marker", "0")
    if not re.fullmatch("[0-9]{1,9}", marker, re.ASCII):
        raise InvalidArgument(ArgumentName="part-number-marker", ArgumentValue=marker)
    parts = await front.objects.uploads.parts(upload, int(marker), limit + 1)
    shown, truncated = parts[:limit], len(parts) > limit
    owner, initiator = _person(upload.owner), _person(upload.initiator)
    following = shown[-1].number if shown else int(marker)
    return xml_response(
        f'<ListPartsResult xmlns="{NAMESPACE}">{element("Bucket", request.bucket)}'
        f"{element('Key', request.key)}{element('UploadId', upload.upload_id)}"
        f"<Initiator>{initiator}</Initiator><Owner>{owner}</Owner>"
        f"{element('StorageClass', upload.storage_class or 'STANDARD')}"
        f"{element('ChecksumAlgorithm', upload.algorithm or None)}"
        f"{element('ChecksumType', upload.checksum_type or None)}"
        f"{element('PartNumberMarker', int(marker))}{element('NextPartNumberMarker', following)}"
        f"{element('MaxParts', limit)}<IsTruncated>{'true' if truncated else 'false'}</IsTruncated>"
        f"{''.join(map(_part, shown))}</ListPartsResult>"
    )


def _person(owner: Owner) -> str:
    return element("ID", owner.canonical_id) + element("DisplayName", owner.display_name)


def _part(part: Part) -> str:
    return (
        f"<Part><PartNumber>{part.number}</PartNumber><LastModified>{iso_time(part.modified_ms)}</LastModified>"
        f"<ETag>&quot;{part.etag}&quot;</ETag><Size>{part.size_bytes}</Size>{_checksum(part.checksum)}</Part>"
    )


def _checksum(checksum: Checksum | None, *, with_type: bool = False) -> str:
    return checksum_xml(checksum, with_type=with_type) if checksum else ""
