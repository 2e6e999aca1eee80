"""Operations on objects, except multipart uploads."""

from contextlib import AsyncExitStack
from dataclasses import replace

from euca_box.api.s3.copying import opened_source
from euca_box.api.s3.downloading import check_conditions, object_headers, wanted_range
from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import NAMESPACE, Response, element, iso_time, xml_response
from euca_box.api.s3.uploading import body_of, expectation_of, read_document, wish_of
from euca_box.api.s3.xml_in import children, parse_xml, text_of
from euca_box.model.s3_errors import AccessDenied, InvalidArgument, InvalidRequest, MalformedXML
from euca_box.objects.acl import Action, is_allowed
from euca_box.objects.cache import Found
from euca_box.objects.rows import MIB, StoredObject

MOST_DELETED = 1000


async def get_object(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, GET Object: bytes in memory at once, others as they are read."""
    async with AsyncExitStack() as stack:
        found = await front.objects.find(request.principal, request.bucket, request.key)
        if found.inline is None:
            found = await stack.enter_async_context(
                front.objects.opened(request.principal, request.bucket, request.key)
            )
        status, headers, start, end = _answer(request, found)
        if found.inline is not None:
            return Response(status, headers, found.inline[start:end])
        stream = front.objects.read(found, start, end)
        return Response(status, headers, stream=stream, length=end - start, close=stack.pop_all().aclose)


async def head_object(front: Front, request: S3Request) -> Response:
    found = await front.objects.find(request.principal, request.bucket, request.key)
    status, headers, start, end = _answer(request, found)
    headers["content-length"] = str(end - start)
    return Response(status, headers)


def _answer(request: S3Request, found: Found) -> tuple[int, dict[str, str], int, int]:
    check_conditions(request.headers, found.stored)
    wanted = wanted_range(request, found)
    headers = object_headers(request, found, wanted)
    start, end = wanted or (0, found.stored.size_bytes)
    if start == end:
        headers.pop("content-range", None)
        return 200, headers, start, end
    return 206 if wanted else 200, headers, start, end


async def put_object(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, PUT Object."""
    wish = wish_of(front, request, expectation_of(request))
    front.objects.authorize_put(request.principal, request.bucket, request.key)
    body, _ = body_of(request)
    stored = await front.objects.put(request.principal, request.bucket, request.key, body, wish)
    return Response(200, stored_headers(stored))


def stored_headers(stored: StoredObject) -> dict[str, str]:
    headers = {"etag": f'"{stored.etag}"'}
    if stored.checksum is not None:
        headers[f"x-amz-checksum-{stored.checksum.algorithm.lower()}"] = stored.checksum.value
        headers["x-amz-checksum-type"] = stored.checksum.kind
    return headers


async def delete_object(front: Front, request: S3Request) -> Response:
    await front.objects.delete(request.principal, request.bucket, [request.key])
    return Response(204)


async def delete_objects(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, Delete Multiple Objects: one commit for all of them."""
    bucket = front.objects.buckets.find(request.bucket)
    root = parse_xml(await read_document(request, MIB), "Delete")
    named = children(root, "Object")
    if not 1 <= len(named) <= MOST_DELETED:
        raise MalformedXML()
    wanted: list[str] = []
    errors = ""
    for item in named:
        key, version = text_of(item, "Key"), text_of(item, "VersionId")
        if not key:
            raise MalformedXML()
        if version not in (None, "", "null"):
            errors += (
                f"<Error>{element('Key', key)}{element('VersionId', version)}<Code>NoSuchVersion</Code>"
                "<Message>The specified version does not exist.</Message></Error>"
            )
        elif not is_allowed(request.principal, Action.DELETE_OBJECT, bucket, key=key):
            errors += (
                f"<Error>{element('Key', key)}<Code>AccessDenied</Code>"
                f"<Message>{AccessDenied.text}</Message></Error>"
            )
        else:
            wanted.append(key)
    await front.objects.delete(request.principal, request.bucket, wanted)
    quiet = (text_of(root, "Quiet") or "").strip().lower() == "true"
    deleted = "" if quiet else "".join(f"<Deleted>{element('Key', key)}</Deleted>" for key in wanted)
    return xml_response(f'<DeleteResult xmlns="{NAMESPACE}">{deleted}{errors}</DeleteResult>')


async def copy_object(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, PUT Object - Copy."""
    wish = wish_of(front, request)
    front.objects.authorize_put(request.principal, request.bucket, request.key)
    directive = request.headers.get("x-amz-metadata-directive", "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise InvalidArgument("Unknown metadata directive.", ArgumentName="x-amz-metadata-directive")
    async with opened_source(front, request) as source:
        old = source.stored
        if directive == "COPY":
            if (old.bucket, old.key) == (request.bucket, request.key):
                raise InvalidRequest(
                    "This copy request is illegal because it is trying to copy an object to itself without "
                    "changing the object's metadata, storage class, website redirect location or "
                    "encryption attributes."
                )
            wish = replace(wish, headers=old.headers)
        stored = await front.objects.copy(request.principal, source, request.bucket, request.key, wish)
    return xml_response(
        f'<CopyObjectResult xmlns="{NAMESPACE}"><ETag>&quot;{stored.etag}&quot;</ETag>'
        f"<LastModified>{iso_time(stored.modified_ms)}</LastModified></CopyObjectResult>"
    )
