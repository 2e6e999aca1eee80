"""Deleting objects and versions, one or many."""

import asyncio
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from lxml import etree

from euca_box.api.s3.locks import wants_bypass
from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import NAMESPACE, Response, element, xml_response
from euca_box.api.s3.uploading import read_document
from euca_box.api.s3.versioning import version_asked
from euca_box.api.s3.xml_in import children, parse_xml, text_of
from euca_box.model.s3_errors import InvalidArgument, MalformedXML, S3Error
from euca_box.objects.acl import Action, is_allowed
from euca_box.objects.conditions import NO_CONDITIONS, Conditions
from euca_box.objects.rows import MIB, Bucket
from euca_box.objects.versions import Deleted

MOST_DELETED = 1000
_TIME, _SIZE = "x-amz-if-match-last-modified-time", "x-amz-if-match-size"


async def delete_object(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, DELETE Object."""
    headers = request.headers
    conditions = _conditions(headers.get("if-match"), headers.get(_SIZE), headers.get(_TIME))
    deleted = await front.objects.delete(
        request.principal,
        request.bucket,
        request.key,
        version_asked(request),
        conditions,
        bypass=wants_bypass(request),
    )
    answer = {"x-amz-version-id": deleted.version_id} if deleted.version_id else {}
    if deleted.is_marker:
        answer["x-amz-delete-marker"] = "true"
    return Response(204, answer)


def _conditions(etag: str | None, size: str | None, moment: str | None) -> Conditions:
    if etag is None and size is None and moment is None:
        return NO_CONDITIONS
    if size is not None and not (size.isascii() and size.isdigit() and len(size) < 19):
        raise InvalidArgument(ArgumentName=_SIZE, ArgumentValue=size)
    return Conditions(
        match=etag.strip().strip('"') if etag is not None else None,
        size_bytes=int(size) if size is not None else None,
        modified_second=_second(moment) if moment is not None else None,
    )


def _second(text: str) -> int:
    try:
        return int(parsedate_to_datetime(text).timestamp())
    except (ValueError, TypeError, OverflowError, IndexError):
        raise InvalidArgument(ArgumentName=_TIME, ArgumentValue=text) from None


@dataclass(frozen=True, slots=True)
class _Named:
    key: str
    version_id: str | None
    conditions: Conditions


async def delete_objects(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, Delete Multiple Objects: each for itself, unless all are plain: then one commit."""
    bucket = front.objects.buckets.find(request.bucket)
    root = parse_xml(await read_document(request, MIB), "Delete")
    named = [_named(item) for item in children(root, "Object")]
    if not 1 <= len(named) <= MOST_DELETED:
        raise MalformedXML()
    if not bucket.versioning and all(_is_plain(request, bucket, name) for name in named):
        await front.objects.delete_plain(request.principal, request.bucket, [n.key for n in named])
        outcomes: list[Deleted | S3Error] = [Deleted(n.key) for n in named]
    else:
        outcomes = await asyncio.gather(*(_delete(front, request, n) for n in named))
    quiet = (text_of(root, "Quiet") or "").strip().lower() == "true"
    entries = "".join(
        _entry(name, outcome)
        for name, outcome in zip(named, outcomes, strict=True)
        if not quiet or isinstance(outcome, S3Error)
    )
    return xml_response(f'<DeleteResult xmlns="{NAMESPACE}">{entries}</DeleteResult>')


def _is_plain(request: S3Request, bucket: Bucket, named: _Named) -> bool:
    """A key that may be deleted, without further wishes."""
    plain = named.version_id is None and named.conditions == NO_CONDITIONS
    return plain and is_allowed(request.principal, Action.DELETE_OBJECT, bucket, key=named.key)


def _named(item: etree._Element) -> _Named:
    key, version_id = text_of(item, "Key"), text_of(item, "VersionId")
    if not key:
        raise MalformedXML()
    given = [text_of(item, name) for name in ("ETag", "Size", "LastModifiedTime")]
    return _Named(key, version_id or None, _conditions(*given))


async def _delete(front: Front, request: S3Request, named: _Named) -> Deleted | S3Error:
    try:
        return await front.objects.delete(
            request.principal,
            request.bucket,
            named.key,
            named.version_id,
            named.conditions,
            bypass=wants_bypass(request),
        )
    except S3Error as error:
        return error


def _entry(named: _Named, outcome: Deleted | S3Error) -> str:
    version = element("VersionId", named.version_id)
    if isinstance(outcome, S3Error):
        return (
            f"<Error>{element('Key', named.key)}{version}{element('Code', outcome.code)}"
            f"{element('Message', outcome.message)}</Error>"
        )
    marker = ""
    if outcome.is_marker:
        marker = "<DeleteMarker>true</DeleteMarker>" + element("DeleteMarkerVersionId", outcome.version_id)
    return f"<Deleted>{element('Key', named.key)}{version}{marker}</Deleted>"
