"""Query requests (EC2, IAM, STS): read, bounded, believed. What was signed is what is used.

GET has its parameters in the query string, POST in the body; a client may use both at once. One list
of parameters is checked against the signature and handed on.
"""

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from euca_box.api.s3.asgi import ClientGone, Receive, Scope, Send
from euca_box.auth import sigv2, sigv4
from euca_box.auth.keyring import Keyring
from euca_box.auth.requests import AuthError, AuthKind, SignedRequest, parse_query
from euca_box.messages.base import Call
from euca_box.model.accounts import AccessKey
from euca_box.model.errors import (
    ClientFault,
    InvalidParameterCombination,
    InvalidParameterValue,
    MalformedQueryString,
    MissingAuthenticationToken,
)

LARGEST_BODY_BYTES = 512 * 1024
LARGEST_HEADERS_BYTES = 16 * 1024
LARGEST_TARGET_BYTES = 64 * 1024  # GET may carry 16 KiB of user data in base64
AUTH_PARAMETERS = frozenset(
    {
        "AWSAccessKeyId",
        "Signature",
        "SignatureMethod",
        "SignatureVersion",
        "Timestamp",
        "Expires",
        "SecurityToken",
    }
)
LONGEST_AGENT = 256
SERVICES = {"ec2", "iam", "sts"}


class RequestTooLarge(ClientFault):
    code = "RequestEntityTooLarge"
    http_status = 413

    def __init__(self, largest_bytes: int = LARGEST_BODY_BYTES) -> None:
        super().__init__(f"A request has at most {largest_bytes} bytes.")


@dataclass(frozen=True, slots=True)
class Query:
    """A request that is read and not yet believed."""

    signed: SignedRequest
    request_id: str
    source_ip: str
    secure: bool = False

    def parameters(self) -> list[tuple[str, str]]:
        """Without those of the signature; X-Amz- is of presigned requests."""
        return [
            (n, v) for n, v in self.signed.query if n not in AUTH_PARAMETERS and not n.startswith("X-Amz-")
        ]

    def one(self, name: str) -> str | None:
        values = [value for other, value in self.signed.query if other == name]
        if len(values) > 1:
            raise InvalidParameterCombination(f"The parameter {name} was given more than once")
        return values[0] if values else None


async def read_query(scope: Scope, receive: Receive) -> Query:
    """Raises RequestTooLarge, MalformedQueryString, ClientGone."""
    headers = [(n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in scope["headers"]]
    if sum(len(n) + len(v) for n, v in headers) > LARGEST_HEADERS_BYTES:
        raise RequestTooLarge
    if len(scope["raw_path"]) + len(scope["query_string"]) > LARGEST_TARGET_BYTES:
        raise RequestTooLarge
    if any(name == "content-encoding" for name, _ in headers):
        raise InvalidParameterValue("Content-Encoding is not accepted here.")
    body = await read_body(receive)
    try:
        pairs = parse_query(scope["query_string"])
        if body and _is_form(headers):
            pairs += parse_query(body)
    except AuthError as error:
        raise MalformedQueryString(error.message) from None
    for name, value in pairs:
        _check_text(name, value)
    signed = SignedRequest(
        scope["method"], scope["raw_path"], pairs, headers, hashlib.sha256(body).hexdigest()
    )
    client = scope.get("client") or ("", 0)
    return Query(signed, str(uuid.uuid4()), str(client[0]), scope.get("scheme") == "https")


def believe(
    query: Query, keyring: Keyring, now: datetime, query_string: bytes, *, oldest: int = 2
) -> tuple[Call, str | None]:
    """Who asks, and the service of the scope (None with SigV2 and older, down to version `oldest`).

    Raises AuthError, MissingAuthenticationToken.
    """
    if sigv4.is_signed(query.signed):
        # SigV4 signs the query string alone; the form body is covered by its hash.
        signed = SignedRequest(
            query.signed.method,
            query.signed.raw_path,
            parse_query(query_string),
            query.signed.headers,
            query.signed.body_sha256,
        )
        verified = sigv4.verify(signed, keyring, now, s3=False)
        if verified.service == "s3":
            raise AuthError(AuthKind.BAD_SIGNATURE, "The signature is for another service.")
        return _call(query, verified.access_key), verified.service
    if sigv2.is_signed(query.signed):
        return _call(query, sigv2.verify(query.signed, keyring, now, oldest=oldest)), None
    raise MissingAuthenticationToken


def _call(query: Query, key: AccessKey) -> Call:
    agent = next((value for name, value in query.signed.headers if name == "user-agent"), "")
    return Call(
        key.principal,
        query.request_id,
        source_ip=query.source_ip,
        access_key_id=key.access_key_id,
        secure=query.secure,
        user_agent=agent[:LONGEST_AGENT],
    )


async def answer(
    send: Send,
    status: int,
    body: bytes,
    *,
    head: bool = False,
    content_type: str = "text/xml;charset=UTF-8",
    more: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """One whole response; head and body leave in one piece where the server allows."""
    headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        *more,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})


async def read_body(receive: Receive, largest_bytes: int = LARGEST_BODY_BYTES) -> bytes:
    """The whole body. Raises RequestTooLarge, ClientGone."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece = message.get("body", b"")
        size += len(piece)
        if size > largest_bytes:
            raise RequestTooLarge(largest_bytes)
        pieces.append(piece)
        if not message.get("more_body", False):
            return b"".join(pieces)


def _is_form(headers: list[tuple[str, str]]) -> bool:
    kinds = [value for name, value in headers if name == "content-type"]
    return not kinds or kinds[0].lower().startswith("application/x-www-form-urlencoded")


def _check_text(name: str, value: str) -> None:
    try:
        (name + value).encode()
    except UnicodeEncodeError:
        raise MalformedQueryString(f"The parameter {name[:64]!r} is not UTF-8.") from None
