"""The operations of S3's SOAP interface, each as the REST request that does the same."""

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import quote, urlencode

from lxml import etree

from euca_box.api.s3.asgi import App, Message, Scope
from euca_box.api.s3.responses import element as xml
from euca_box.api.s3.responses import iso_time
from euca_box.api.s3.xml_in import children, local_name
from euca_box.auth.sigv4_sign import sign_headers
from euca_box.model.accounts import AccessKey

INLINE_BYTES = 1024 * 1024  # S3 developer guide: PutObjectInline takes up to 1 MB
_OWN_HEADERS = ("content-type", "content-encoding", "content-disposition", "cache-control", "expires")
_META = "x-amz-meta-"
_PERMISSIONS = {"READ", "WRITE", "READ_ACP", "WRITE_ACP", "FULL_CONTROL"}
_DOCUMENT = re.compile(rb"<(\w+)[^>]*>(.*)</\1>\s*\Z", re.DOTALL)


class Fault(Exception):
    """A refusal; `detail` is XML."""

    def __init__(self, code: str, message: str, detail: str = "", side: str = "Client") -> None:
        super().__init__(message)
        self.code, self.message, self.detail, self.side = code, message, detail, side


class Answer:
    """Of a REST request."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def content(self, root: str) -> str:
        """What is inside the root element of the document."""
        found = _DOCUMENT.search(self.body)
        if found is None:
            return ""  # <Root/>
        assert found[1] == root.encode(), found[1]
        return found[2].decode()


class Caller:
    """Asks S3's REST application as the one who sent the SOAP request."""

    def __init__(self, rest: App, scope: Scope, key: AccessKey | None, now: Callable[[], datetime]) -> None:
        self._rest, self._scope, self._key, self._now = rest, scope, key, now

    async def ask(
        self,
        method: str,
        bucket: str = "",
        key: str = "",
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """Raises Fault for an error; a 304 or 412 of a condition is an answer."""
        if "/" in bucket:
            raise Fault("InvalidBucketName", "The specified bucket is not valid.")
        path = "/" + "/".join(quote(part, safe="/~") for part in (bucket, key) if part)
        query_string = urlencode(query or {}, quote_via=quote, safe="~")
        given = {name: _wire(value) for name, value in (headers or {}).items()}
        sent = {"host": "localhost", **given, "content-length": str(len(body))}
        if self._key is not None:
            url = f"http://localhost{path}" + (f"?{query_string}" if query_string else "")
            sent = sign_headers(method, url, sent, self._key, self._now(), payload_sha256="UNSIGNED-PAYLOAD")
        answered = await self._run(method, path, query_string, sent, body)
        if answered.status >= 400 and answered.status != 412:
            raise _fault_of(answered)
        return answered

    async def _run(
        self, method: str, path: str, query_string: str, sent: Mapping[str, str], body: bytes
    ) -> Answer:
        messages: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)

        names = {**self._scope, "method": method, "path": path, "raw_path": path.encode(), "extensions": {}}
        names["query_string"] = query_string.encode()
        names["headers"] = [(n.lower().encode(), value.encode("latin-1")) for n, value in sent.items()]
        await self._rest(names, receive, send)
        start, *pieces = messages
        found = {n.decode().lower(): v.decode("latin-1") for n, v in start["headers"]}
        return Answer(start["status"], found, b"".join(bytes(piece.get("body", b"")) for piece in pieces))


def _wire(value: str) -> str:
    """UTF-8, each byte a letter. Raises Fault."""
    if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in value):
        raise Fault("InvalidArgument", "Values cannot hold control characters.")
    return value.encode().decode("latin-1")


def _fault_of(answered: Answer) -> Fault:
    """The error document of REST; its fields are details."""
    try:
        root = etree.fromstring(answered.body, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:  # of a HEAD: there is none
        names = {403: "AccessDenied", 404: "NoSuchKey", 416: "InvalidRange"}
        return Fault(names.get(answered.status, "InvalidRequest"), "The request was refused.")
    fields = {local_name(child): child.text or "" for child in root}
    told = (name for name in fields if name not in ("Code", "Message", "RequestId", "HostId"))
    detail = "".join(xml(name, fields[name]) for name in told)
    side = "Server" if answered.status >= 500 else "Client"
    return Fault(fields.get("Code", "InternalError"), fields.get("Message", ""), detail, side)


# Reading requests


def only_text(parent: etree._Element, name: str) -> str | None:
    """The text of the one child of that name. Raises Fault when it comes twice or is a structure."""
    found = children(parent, name)
    if len(found) > 1 or (found and len(found[0])):
        raise Fault("MalformedXML", f"{name} is one value.")
    return (found[0].text or "") if found else None


def _needed(parent: etree._Element, name: str) -> str:
    value = only_text(parent, name)
    if not value:
        raise Fault("MissingElement" if value is None else "InvalidArgument", f"{name} is needed.")
    return value


def _flag(parent: etree._Element, name: str) -> bool:
    return (only_text(parent, name) or "").strip() in ("true", "1")


def _stored_headers(element: etree._Element) -> dict[str, str]:
    """Metadata, storage class and grants of a write."""
    headers: dict[str, str] = {}
    for item in children(element, "Metadata"):
        name = _needed(item, "Name").lower()
        if not re.fullmatch(r"[a-z0-9!#$%&'*+.^_`|~-]{1,128}", name):
            raise Fault("InvalidArgument", "The name of metadata is no header name.")
        headers[name if name in _OWN_HEADERS else _META + name] = only_text(item, "Value") or ""
    if storage_class := only_text(element, "StorageClass"):
        headers["x-amz-storage-class"] = storage_class
    return headers | _grant_headers(element)


def _grant_headers(element: etree._Element) -> dict[str, str]:
    grants: dict[str, list[str]] = {}
    for acl in children(element, "AccessControlList"):
        for grant in children(acl, "Grant"):
            permission = _needed(grant, "Permission")
            grantees = children(grant, "Grantee")
            if permission not in _PERMISSIONS or len(grantees) != 1:
                raise Fault("MalformedACLError", "The XML you provided was not well-formed.")
            name = f"x-amz-grant-{permission.lower().replace('_', '-')}"
            grants.setdefault(name, []).append(_grantee(grantees[0]))
    return {name: ", ".join(who) for name, who in grants.items()}


def _grantee(element: etree._Element) -> str:
    for name, kind in (("ID", "id"), ("URI", "uri"), ("EmailAddress", "emailAddress")):
        if (value := only_text(element, name)) is not None:
            if '"' in value:
                raise Fault("InvalidArgument", "A grantee holds a quotation mark.")
            return f'{kind}="{value}"'
    raise Fault("MalformedACLError", "A grantee has an ID, a URI or an EmailAddress.")


def _acl_document(element: etree._Element) -> bytes:
    """The AccessControlPolicy that sets the list."""
    if len(children(element, "AccessControlList")) != 1:
        raise Fault("MalformedACLError", "AccessControlList is needed.")
    return etree.tostring(children(element, "AccessControlList")[0])


# Operations


async def _list_all_my_buckets(caller: Caller, element: etree._Element) -> str:
    found = await caller.ask("GET")
    inside = found.content("ListAllMyBucketsResult")
    return f"<ListAllMyBucketsResponse>{inside}</ListAllMyBucketsResponse>"


async def _create_bucket(caller: Caller, element: etree._Element) -> str:
    bucket = _needed(element, "Bucket")
    await caller.ask("PUT", bucket, headers=_grant_headers(element))
    return f"<CreateBucketReturn>{xml('BucketName', bucket)}</CreateBucketReturn>"


def _deletes(name: str, *, of_object: bool) -> "Operation":
    async def delete(caller: Caller, element: etree._Element) -> str:
        key = _needed(element, "Key") if of_object else ""
        await caller.ask("DELETE", _needed(element, "Bucket"), key)
        return f"<{name}Response><Code>204</Code><Description>No Content</Description></{name}Response>"

    return delete


async def _list_bucket(caller: Caller, element: etree._Element) -> str:
    names = {"Prefix": "prefix", "Marker": "marker", "MaxKeys": "max-keys", "Delimiter": "delimiter"}
    given = {query: only_text(element, name) for name, query in names.items()}
    query = {name: value for name, value in given.items() if value is not None}
    found = await caller.ask("GET", _needed(element, "Bucket"), query=query)
    return f"<ListBucketResponse>{found.content('ListBucketResult')}</ListBucketResponse>"


async def _put_object_inline(caller: Caller, element: etree._Element) -> str:
    bucket, key = _needed(element, "Bucket"), _needed(element, "Key")
    try:
        data = b64decode("".join((only_text(element, "Data") or "").split()), validate=True)
    except (Base64Error, ValueError):
        raise Fault("MalformedXML", "Data is not base64.") from None
    if len(data) > INLINE_BYTES:
        raise Fault("InlineDataTooLarge", "Inline data exceeds the maximum allowed size")
    length = only_text(element, "ContentLength")
    if length is not None and length.strip() != str(len(data)):
        raise Fault("IncompleteBody", "ContentLength is not the number of bytes in Data.")
    stored = await caller.ask("PUT", bucket, key, headers=_stored_headers(element), body=data)
    modified = (await caller.ask("HEAD", bucket, key)).headers
    return (
        f"<PutObjectInlineResponse>{xml('ETag', stored.headers['etag'])}"
        f"{_modified(modified)}</PutObjectInlineResponse>"
    )


async def _put_object(caller: Caller, element: etree._Element) -> str:
    raise Fault("NotImplemented", "Attachments are not taken: send the bytes with PutObjectInline.")


async def _get_object(caller: Caller, element: etree._Element) -> str:
    return await _got(caller, element, {})


async def _get_object_extended(caller: Caller, element: etree._Element) -> str:
    headers: dict[str, str] = {}
    start, end = only_text(element, "ByteRangeStart"), only_text(element, "ByteRangeEnd")
    if start is not None or end is not None:
        headers["range"] = f"bytes={start or 0}-{end or ''}"
    if not _flag(element, "ReturnCompleteObjectOnConditionFailure"):
        headers |= _conditions(element, "")
    return await _got(caller, element, headers)


def _conditions(element: etree._Element, prefix: str) -> dict[str, str]:
    source = "CopySource" if prefix else ""
    headers: dict[str, str] = {}
    for name in ("IfModifiedSince", "IfUnmodifiedSince"):
        if text := only_text(element, source + name):
            try:
                moment = datetime.fromisoformat(text.strip())
            except ValueError:
                raise Fault("InvalidArgument", f"{name} is no moment.") from None
            headers[f"{prefix}{_hyphens(name)}"] = format_datetime(moment)
    for name in ("IfMatch", "IfNoneMatch"):
        if tags := [tag.text or "" for tag in children(element, source + name)]:
            headers[f"{prefix}{_hyphens(name)}"] = ", ".join(tags)
    return headers


def _hyphens(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


async def _got(caller: Caller, element: etree._Element, headers: dict[str, str]) -> str:
    bucket, key = _needed(element, "Bucket"), _needed(element, "Key")
    wants_data = _flag(element, "GetData")
    if wants_data and not _flag(element, "InlineData"):
        raise Fault("NotImplemented", "Attachments are not sent: ask with InlineData.")
    found = await caller.ask("HEAD", bucket, key, headers=headers)
    if wants_data and found.status < 300:
        if int(found.headers.get("content-length", "0")) > INLINE_BYTES:
            raise Fault("InlineDataTooLarge", "Inline data exceeds the maximum allowed size")
        found = await caller.ask("GET", bucket, key, headers={**headers, "if-match": found.headers["etag"]})
    return f"<GetObjectResponse>{_object_result(found, element, wants_data=wants_data)}</GetObjectResponse>"


_STATUS = {200: "OK", 206: "Partial Content", 304: "Not Modified", 412: "Precondition Failed"}


def _object_result(found: Answer, element: etree._Element, *, wants_data: bool) -> str:
    status = f"{xml('Code', found.status)}{xml('Description', _STATUS[found.status])}"
    text = f"<Status>{status}</Status>"
    if found.status >= 300:
        return text
    if _flag(element, "GetMetadata"):
        named = [(name.title(), found.headers[name]) for name in _OWN_HEADERS if name in found.headers]
        named += [(n.removeprefix(_META), v) for n, v in found.headers.items() if n.startswith(_META)]
        text += "".join(f"<Metadata>{xml('Name', n)}{xml('Value', v)}</Metadata>" for n, v in named)
    if wants_data:
        text += f"<Data>{b64encode(found.body).decode()}</Data>"
    return text + _modified(found.headers) + xml("ETag", found.headers["etag"])


def _modified(headers: Mapping[str, str]) -> str:
    moment = parsedate_to_datetime(headers["last-modified"])
    return xml("LastModified", iso_time(int(moment.timestamp() * 1000)))


async def _copy_object(caller: Caller, element: etree._Element) -> str:
    source = quote(f"/{_needed(element, 'SourceBucket')}/{_needed(element, 'SourceKey')}", safe="/~")
    headers = {"x-amz-copy-source": source} | _stored_headers(element)
    headers |= _conditions(element, "x-amz-copy-source-")
    if directive := only_text(element, "MetadataDirective"):
        headers["x-amz-metadata-directive"] = directive
    target = _needed(element, "DestinationBucket"), _needed(element, "DestinationKey")
    found = await caller.ask("PUT", *target, headers=headers)
    if found.status == 412:
        raise _fault_of(found)
    return f"<CopyObjectResult>{found.content('CopyObjectResult')}</CopyObjectResult>"


def _reads(name: str, subresource: str, root: str, *, of_object: bool = False) -> "Operation":
    async def read(caller: Caller, element: etree._Element) -> str:
        key = _needed(element, "Key") if of_object else ""
        found = await caller.ask("GET", _needed(element, "Bucket"), key, query={subresource: ""})
        return f"<{name}Response>{found.content(root)}</{name}Response>"

    return read


def _sets_acl(*, of_object: bool) -> "Operation":
    async def write(caller: Caller, element: etree._Element) -> str:
        bucket, key = _needed(element, "Bucket"), _needed(element, "Key") if of_object else ""
        if headers := _grant_headers(element):
            await caller.ask("PUT", bucket, key, query={"acl": ""}, headers=headers)
            return ""
        owner = (await caller.ask("GET", bucket, key, query={"acl": ""})).content("AccessControlPolicy")
        owner = owner[: owner.index("</Owner>") + len("</Owner>")]
        policy = f"<AccessControlPolicy>{owner}".encode() + _acl_document(element) + b"</AccessControlPolicy>"
        await caller.ask("PUT", bucket, key, query={"acl": ""}, body=policy)
        return ""

    return write


async def _set_logging(caller: Caller, element: etree._Element) -> str:
    bucket, found = _needed(element, "Bucket"), children(element, "BucketLoggingStatus")
    if len(found) != 1:
        raise Fault("MalformedXML", "BucketLoggingStatus is needed.")
    await caller.ask("PUT", bucket, query={"logging": ""}, body=etree.tostring(found[0]))
    return ""


Operation = Callable[[Caller, etree._Element], Awaitable[str]]

OPERATIONS: dict[str, Operation] = {
    "ListAllMyBuckets": _list_all_my_buckets,
    "CreateBucket": _create_bucket,
    "DeleteBucket": _deletes("DeleteBucket", of_object=False),
    "ListBucket": _list_bucket,
    "PutObjectInline": _put_object_inline,
    "PutObject": _put_object,
    "GetObject": _get_object,
    "GetObjectExtended": _get_object_extended,
    "DeleteObject": _deletes("DeleteObject", of_object=True),
    "CopyObject": _copy_object,
    "GetBucketAccessControlPolicy": _reads("GetBucketAccessControlPolicy", "acl", "AccessControlPolicy"),
    "GetObjectAccessControlPolicy": _reads(
        "GetObjectAccessControlPolicy", "acl", "AccessControlPolicy", of_object=True
    ),
    "SetBucketAccessControlPolicy": _sets_acl(of_object=False),
    "SetObjectAccessControlPolicy": _sets_acl(of_object=True),
    "GetBucketLoggingStatus": _reads("GetBucketLoggingStatus", "logging", "BucketLoggingStatus"),
    "SetBucketLoggingStatus": _set_logging,
}
