"""GetObjectAttributes: what a HEAD tells, and the parts, as a document."""

import re

from euca_box.api.s3.downloading import check_conditions, object_key
from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import NAMESPACE, Response, element, http_time, xml_response
from euca_box.api.s3.versioning import version_asked, version_headers
from euca_box.model.s3_errors import InvalidArgument
from euca_box.objects.cache import Found
from euca_box.objects.rows import Checksum, parse_checksum

_KNOWN = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")
_MOST = 1000


async def get_object_attributes(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, GET Object attributes."""
    asked = {name.strip() for name in request.headers.get("x-amz-object-attributes", "").split(",")} - {""}
    if not asked or not asked <= set(_KNOWN):
        raise InvalidArgument(
            "Invalid attribute name specified.",
            ArgumentName="x-amz-object-attributes",
            ArgumentValue=",".join(sorted(asked - set(_KNOWN))),
        )
    found = await front.objects.find(request.principal, request.bucket, request.key, version_asked(request))
    object_key(front, request, found)
    stored = found.stored
    check_conditions(request.headers, stored)
    shown = {
        "ETag": element("ETag", stored.etag),
        "Checksum": f"<Checksum>{checksum_xml(stored.checksum)}</Checksum>" if stored.checksum else "",
        "ObjectParts": _parts(request, found) if "ObjectParts" in asked else "",
        "StorageClass": element("StorageClass", stored.storage_class or "STANDARD"),
        "ObjectSize": element("ObjectSize", stored.size_bytes),
    }
    headers = {"last-modified": http_time(stored.modified_ms // 1000), **version_headers(front, stored)}
    body = "".join(shown[name] for name in _KNOWN if name in asked)
    return xml_response(
        f'<GetObjectAttributesResponse xmlns="{NAMESPACE}">{body}</GetObjectAttributesResponse>',
        headers=headers,
    )


def checksum_xml(checksum: Checksum, *, with_type: bool = True) -> str:
    kind = element("ChecksumType", checksum.kind) if with_type else ""
    return element(f"Checksum{checksum.algorithm}", checksum.value) + kind


def _parts(request: S3Request, found: Found) -> str:
    """Of an object that was uploaded in parts; they are listed when they have checksums."""
    if "-" not in found.stored.etag:
        return ""
    limit, marker = (
        _number(request, "x-amz-max-parts", _MOST),
        _number(request, "x-amz-part-number-marker", 0),
    )
    limit = min(limit, _MOST)
    numbered = list(enumerate(found.pieces, start=1))[marker:]
    shown, truncated = numbered[:limit], len(numbered) > limit
    entries = ""
    for number, piece in shown:
        if (checksum := parse_checksum(piece.checksum)) is not None:
            value = checksum_xml(checksum, with_type=False)
            entries += f"<Part><PartNumber>{number}</PartNumber><Size>{piece.size_bytes}</Size>{value}</Part>"
    following = shown[-1][0] if shown else marker
    return (
        f"<ObjectParts><PartsCount>{len(found.pieces)}</PartsCount><PartNumberMarker>{marker}</PartNumberMarker>"
        f"<NextPartNumberMarker>{following}</NextPartNumberMarker><MaxParts>{limit}</MaxParts>"
        f"<IsTruncated>{'true' if truncated else 'false'}</IsTruncated>{entries}</ObjectParts>"
    )


def _number(request: S3Request, name: str, otherwise: int) -> int:
    text = request.headers.get(name, str(otherwise))
    if not re.fullmatch("[0-9]{1,9}", text, re.ASCII):
        raise InvalidArgument(ArgumentName=name, ArgumentValue=text)
    return int(text)
