"""Operations on objects, except multipart uploads, listings and deletions."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

from euca_box.api.s3.attributes import checksum_xml
from euca_box.api.s3.copying import checksum_wish, opened_source, source_key, source_name
from euca_box.api.s3.downloading import check_conditions, object_headers, object_key, wanted_range
from euca_box.api.s3.encryption import encryption_headers
from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import NAMESPACE, Response, iso_time, xml_response
from euca_box.api.s3.uploading import body_of, expectation_of
from euca_box.api.s3.versioning import expiration_headers, version_asked, version_headers
from euca_box.api.s3.wishes import REDIRECT, wish_of
from euca_box.model.notifications import Event
from euca_box.model.s3_errors import InvalidArgument, InvalidRequest
from euca_box.objects.cache import Found
from euca_box.objects.reading import clear_inline
from euca_box.objects.rows import StoredObject
from euca_box.objects.versions import Wish


async def get_object(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, GET Object: bytes in memory at once, others as they are read."""
    version_id = version_asked(request)
    found = await front.objects.find(request.principal, request.bucket, request.key, version_id)
    if found.inline is not None:
        status, headers, start, end = _answer(front, request, found)
        clear = clear_inline(found, object_key(front, request, found))
        return Response(status, headers, clear[start:end])
    async with AsyncExitStack() as stack:
        found = await stack.enter_async_context(
            front.objects.opened(request.principal, request.bucket, request.key, version_id)
        )
        status, headers, start, end = _answer(front, request, found)
        data_key = object_key(front, request, found)
        if found.inline is not None:
            return Response(status, headers, clear_inline(found, data_key)[start:end])
        stream = await _begun(front.objects.read(found, start, end, data_key))
        return Response(status, headers, stream=stream, length=end - start, close=stack.pop_all().aclose)


async def _begun(stream: AsyncIterator[bytes | bytearray]) -> AsyncIterator[bytes | bytearray]:
    """The stream, its first piece read: what is damaged there is an error instead of a broken answer."""
    first = await anext(stream, b"")

    async def all_of_it() -> AsyncIterator[bytes | bytearray]:
        yield first
        async for piece in stream:
            yield piece

    return all_of_it()


async def head_object(front: Front, request: S3Request) -> Response:
    found = await front.objects.find(request.principal, request.bucket, request.key, version_asked(request))
    object_key(front, request, found)
    status, headers, start, end = _answer(front, request, found)
    headers["content-length"] = str(end - start)
    return Response(status, headers)


def _answer(front: Front, request: S3Request, found: Found) -> tuple[int, dict[str, str], int, int]:
    check_conditions(request.headers, found.stored)
    wanted = wanted_range(request, found)
    headers = object_headers(request, found, wanted) | version_headers(front, found.stored)
    if "versionId" not in request.query:
        headers |= expiration_headers(front, found.stored)
    start, end = wanted or (0, found.stored.size_bytes)
    if start == end:
        headers.pop("content-range", None)
        return 200, headers, start, end
    return 206 if wanted else 200, headers, start, end


async def put_object(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, PUT Object."""
    front.objects.authorize_put(request.principal, request.bucket, request.key)
    wish = wish_of(front, request, expectation_of(request))
    body, size_bytes = body_of(request)
    stored = await front.objects.put(request.principal, request.bucket, request.key, body, wish, size_bytes)
    headers = stored_headers(stored) | expiration_headers(front, stored)
    return Response(200, headers)


def stored_headers(stored: StoredObject) -> dict[str, str]:
    headers = {"etag": f'"{stored.etag}"', **encryption_headers(stored.encryption)}
    if stored.version_id != "null":
        headers["x-amz-version-id"] = stored.version_id
    if stored.checksum is not None:
        headers[f"x-amz-checksum-{stored.checksum.algorithm.lower()}"] = stored.checksum.value
        headers["x-amz-checksum-type"] = stored.checksum.kind
    return headers


async def copy_object(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, PUT Object - Copy."""
    front.objects.authorize_put(request.principal, request.bucket, request.key)
    wish = replace(wish_of(front, request), expect=checksum_wish(request), event=Event.COPY)
    directives = [_directive(request, f"x-amz-{of}-directive") for of in ("metadata", "tagging")]
    async with opened_source(front, request) as source:
        old = source.stored
        if directives[0] == "COPY":
            _refuse_itself(request, old, wish)
            redirect = {REDIRECT: wish.headers[REDIRECT]} if REDIRECT in wish.headers else {}
            kept = {name: value for name, value in old.headers.items() if name != REDIRECT}
            wish = replace(wish, headers=kept | redirect)
        if directives[1] == "COPY":
            wish = replace(wish, tags=old.tags)
        stored = await front.objects.copy(
            request.principal, source, request.bucket, request.key, wish, source_key(request)
        )
        headers = stored_headers(stored)
        if front.objects.buckets.find(old.bucket).versioning:
            headers["x-amz-copy-source-version-id"] = old.version_id
    checksum = checksum_xml(stored.checksum) if stored.checksum else ""
    return xml_response(
        f'<CopyObjectResult xmlns="{NAMESPACE}"><ETag>&quot;{stored.etag}&quot;</ETag>'
        f"<LastModified>{iso_time(stored.modified_ms)}</LastModified>{checksum}</CopyObjectResult>",
        headers={
            name: value
            for name, value in headers.items()
            if name.startswith(("x-amz-v", "x-amz-s", "x-amz-copy"))
        },
    )


def _directive(request: S3Request, name: str) -> str:
    directive = request.headers.get(name, "COPY")
    if directive not in ("COPY", "REPLACE"):
        raise InvalidArgument("Unknown directive.", ArgumentName=name, ArgumentValue=directive)
    return directive


def _refuse_itself(request: S3Request, old: StoredObject, wish: Wish) -> None:
    """Raises InvalidRequest for a copy onto itself that would change nothing."""
    changes = (
        source_name(request)[2] is not None
        or wish.storage_class != old.storage_class
        or wish.encrypt is not None
        or REDIRECT in wish.headers
        or wish.expect.algorithm
    )
    if (old.bucket, old.key) == (request.bucket, request.key) and not changes:
        raise InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself without "
            "changing the object's metadata, storage class, website redirect location or "
            "encryption attributes."
        )
