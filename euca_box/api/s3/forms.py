"""POST Object: an upload by the form of a browser. What is a header elsewhere is a field here.

Source: S3 API reference 2006-03-01, POST Object.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from urllib.parse import quote, urlencode

from euca_box.api.s3.multipart_forms import Form, FormReader
from euca_box.api.s3.objects import stored_headers
from euca_box.api.s3.operations import Front
from euca_box.api.s3.preconditions import charges
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import Response, element, header_value, xml_response
from euca_box.api.s3.uploading import expectation_of
from euca_box.api.s3.wishes import wish_of
from euca_box.api.s3.xml_shapes import read_document_as
from euca_box.auth import post_forms
from euca_box.model.notifications import Event
from euca_box.model.post_policies import PostPolicy, parse_post_policy
from euca_box.model.s3_errors import EntityTooLarge, InvalidArgument, PreconditionFailed
from euca_box.model.tagging import Tagging
from euca_box.objects.rows import LARGEST_PART_BYTES

_OF_THE_REQUEST = ("host", "origin", "user-agent", "referer")
_KEPT = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-md5",
    "content-type",
    "expires",
)
_NOT_HEADERS = (
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-algorithm",
    "x-amz-date",
    "x-amz-security-token",
)


async def post_object(front: Front, request: S3Request) -> Response:
    """Fields first, signature and policy next, then the file as it arrives; stored only if all was right."""
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        raise PreconditionFailed(
            "At least one of the pre-conditions you specified did not hold",
            Condition="Bucket POST must be of the enclosure-type multipart/form-data",
        )
    reader = FormReader(content_type, request.body.pieces())
    form = await reader.read_fields()
    _name_key(form)
    policy = _believed_policy(front, request, form)
    _take_fields(request, form.fields)
    charges(front, request)
    wish = replace(wish_of(front, request, expectation_of(request)), event=Event.POST)
    front.objects.authorize_put(request.principal, request.bucket, request.key, wish.acl)
    body = _sized(reader.file(), policy)
    stored = await front.objects.put(request.principal, request.bucket, request.key, body, wish)
    return _answer(request, form.fields, stored_headers(stored))


def _name_key(form: Form) -> None:
    """Give the key the file's own name where it asks for it. Raises InvalidArgument."""
    key = form.fields.get("key")
    if not key:
        raise InvalidArgument("Bucket POST must contain a field named 'key'.", ArgumentName="key")
    name = form.filename.replace("\\", "/").rpartition("/")[2]
    form.fields["key"] = key.replace("${filename}", name)
    if not form.fields["key"]:
        raise InvalidArgument("User key must have a length greater than 0.", ArgumentName="key")


def _believed_policy(front: Front, request: S3Request, form: Form) -> PostPolicy | None:
    """The signed policy, which the fields fulfil; None for a form without: anybody's.

    Raises AuthError, InvalidPolicyDocument, AccessDenied.
    """
    if not post_forms.is_signed(form.fields):
        return None
    now = front.settings.now()
    request.principal = post_forms.verify(form.fields, front.keyring, now).principal
    policy = parse_post_policy(form.fields["policy"])
    policy.check({**form.fields, "bucket": request.bucket}, now)
    return policy


def _take_fields(request: S3Request, fields: Mapping[str, str]) -> None:
    """Make the fields the key and the headers of a PUT. Raises InvalidArgument."""
    request.key = fields["key"]
    headers = {name: value for name, value in request.headers.items() if name in _OF_THE_REQUEST}
    for name, value in fields.items():
        if name in _KEPT or (name.startswith("x-amz-") and name not in _NOT_HEADERS):
            headers[name] = header_value(value, name)
    if "tagging" in fields:
        tags = read_document_as(fields["tagging"].encode(), "Tagging", Tagging).tag_set
        headers["x-amz-tagging"] = urlencode([(tag.key, tag.value) for tag in tags])
    if "acl" in fields:
        headers["x-amz-acl"] = header_value(fields["acl"], "acl")
    request.headers = headers


async def _sized(pieces: AsyncIterator[bytes], policy: PostPolicy | None) -> AsyncIterator[bytes]:
    received = 0
    async for piece in pieces:
        received += len(piece)
        if received > LARGEST_PART_BYTES:
            raise EntityTooLarge(MaxSizeAllowed=str(LARGEST_PART_BYTES))
        if policy is not None:
            policy.check_size(received, ended=False)
        yield piece
    if policy is not None:
        policy.check_size(received, ended=True)


def _answer(request: S3Request, fields: Mapping[str, str], headers: dict[str, str]) -> Response:
    etag, location = headers["etag"], f"/{request.bucket}/{quote(request.key)}"
    target = fields.get("success_action_redirect") or fields.get("redirect")
    if target and target.startswith(("http://", "https://")):
        told = urlencode({"bucket": request.bucket, "key": request.key, "etag": etag}, quote_via=quote)
        mark = "&" if "?" in target else "?"
        return Response(303, {**headers, "location": header_value(f"{target}{mark}{told}", "redirect")})
    headers["location"] = location
    status = fields.get("success_action_status", "")
    if status != "201":
        return Response(200 if status == "200" else 204, headers)
    names = element("Bucket", request.bucket) + element("Key", request.key) + element("ETag", etag)
    return xml_response(f"<PostResponse>{element('Location', location)}{names}</PostResponse>", 201, headers)
