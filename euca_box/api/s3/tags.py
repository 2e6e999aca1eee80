"""Tags of objects: in a header, as a document, of any version.

Source: S3 user guide, "Categorizing your objects using tags": 10 of them, 128 and 256 characters.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import NAMESPACE, Response, element, xml_response
from euca_box.api.s3.uploading import read_document
from euca_box.api.s3.versioning import version_asked, version_headers
from euca_box.api.s3.xml_in import children, parse_xml, text_of
from euca_box.model.s3_errors import InvalidTag, MalformedXML
from euca_box.model.tagging import Tag, Tagging, check_tags
from euca_box.objects.acl import Action
from euca_box.objects.rows import MIB

MOST_TAGS = 10


def tags_in_header(text: str) -> dict[str, str]:
    """The tags of x-amz-tagging, which is written as a query. Raises InvalidTag."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except ValueError:
        raise InvalidTag("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded.") from None
    return checked_tags(pairs)


def checked_tags(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Raises InvalidTag."""
    tags = tuple(Tag(key, value) for key, value in pairs)
    if len(tags) > MOST_TAGS:
        raise InvalidTag(f"Object tags cannot be greater than {MOST_TAGS}")
    check_tags(Tagging(tags), MOST_TAGS)
    return {tag.key: tag.value for tag in tags}


def parse_tagging(document: bytes) -> dict[str, str]:
    """The tags of a Tagging document. Raises MalformedXML, InvalidTag."""
    sets = children(parse_xml(document, "Tagging"), "TagSet")
    if len(sets) != 1:
        raise MalformedXML()
    pairs = [(text_of(tag, "Key"), text_of(tag, "Value")) for tag in children(sets[0], "Tag")]
    if any(key is None or value is None for key, value in pairs):
        raise MalformedXML()
    return checked_tags((key or "", value or "") for key, value in pairs)


def tagging_xml(tags: Mapping[str, str]) -> str:
    entries = "".join(
        f"<Tag>{element('Key', key)}{element('Value', value)}</Tag>" for key, value in sorted(tags.items())
    )
    return f'<Tagging xmlns="{NAMESPACE}"><TagSet>{entries}</TagSet></Tagging>'


async def get_object_tagging(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, GET Object tagging."""
    version_id = version_asked(request)
    action = Action.GET_OBJECT_TAGGING if version_id is None else Action.GET_OBJECT_VERSION_TAGGING
    stored = await front.objects.known(request.principal, action, request.bucket, request.key, version_id)
    return xml_response(tagging_xml(stored.tags), headers=version_headers(front, stored))


async def put_object_tagging(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, PUT Object tagging."""
    version_id = version_asked(request)
    action = Action.PUT_OBJECT_TAGGING if version_id is None else Action.PUT_OBJECT_VERSION_TAGGING
    tags = parse_tagging(await read_document(request, MIB))
    return Response(200, await _set(front, request, action, tags, version_id))


async def delete_object_tagging(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, DELETE Object tagging."""
    version_id = version_asked(request)
    action = Action.DELETE_OBJECT_TAGGING if version_id is None else Action.DELETE_OBJECT_VERSION_TAGGING
    return Response(204, await _set(front, request, action, {}, version_id))


async def _set(
    front: Front, request: S3Request, action: Action, tags: Mapping[str, str], version_id: str | None
) -> dict[str, str]:
    stored = await front.objects.set_tags(
        request.principal, action, request.bucket, request.key, tags, version_id
    )
    return version_headers(front, stored)
