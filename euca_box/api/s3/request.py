"""An S3 request, taken apart once: who it names, what it asks, what was signed.

What is routed by is what the signature covers. A parameter or a header that may come once is refused
when it comes twice, and so is a path that is not UTF-8. Keys are text of any characters; no file is
ever named by them.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from euca_box.api.s3.asgi import Receive, Scope
from euca_box.api.s3.body import Body
from euca_box.api.s3.settings import S3Settings
from euca_box.auth.requests import SignedRequest, parse_query
from euca_box.auth.sigv4 import Verified
from euca_box.model.accounts import Principal
from euca_box.model.policy_text import Context
from euca_box.model.s3_errors import (
    EntityTooLarge,
    InvalidArgument,
    InvalidRequest,
    InvalidURI,
    RequestHeaderSectionTooLarge,
)

LARGEST_HEADERS_BYTES = 16 * 1024
LARGEST_TARGET_BYTES = 8 * 1024
LONGEST_HOST = 320  # a name of DNS has 253, and a port
# Where 1.6.2 had its S3; s3cmd lower-cases the path of an endpoint.
_SERVICES = b"/services/"
_PREFIXES = (b"/services/Walrus", b"/services/walrus")
_MAY_REPEAT = ("accept", "cache-control", "connection", "cookie", "via", "x-amz-meta-", "x-forwarded-")


@dataclass(slots=True)
class S3Request:
    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    signed: SignedRequest
    virtual: str  # the bucket, if the host names it
    body: Body
    principal: Principal | None = None
    verified: Verified | None = None
    path: str = field(default="/")
    source_ip: str = ""
    is_secure: bool = False
    is_website: bool = False
    query_string: str = ""
    context: Context | None = None  # of policies, when it was asked for

    def parameter(self, name: str) -> str:
        return self.query.get(name, "")

    @property
    def resources(self) -> tuple[bytes, ...]:
        """/bucket/key as sent: what the signature of 2006 may cover."""
        return _resources(self.signed.raw_path, self.virtual, self.key)


def read_request(scope: Scope, receive: Receive, settings: S3Settings) -> S3Request:
    """Raises InvalidURI, InvalidRequest, InvalidArgument, AuthError, ..."""
    raw_path, query_string = scope["raw_path"], scope["query_string"]
    if len(raw_path) + len(query_string) > LARGEST_TARGET_BYTES:
        raise InvalidURI("The request target is too long.")
    if not raw_path.startswith(b"/"):
        raise InvalidURI()
    if sum([len(name) + len(value) for name, value in scope["headers"]]) > LARGEST_HEADERS_BYTES:
        raise RequestHeaderSectionTooLarge(MaxSizeAllowed=str(LARGEST_HEADERS_BYTES))
    pairs = [(n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in scope["headers"]]
    headers = dict(pairs)
    by_name = headers if len(headers) == len(pairs) else None
    signed = SignedRequest(scope["method"], raw_path, parse_query(query_string), pairs, by_name=by_name)
    if by_name is None:
        headers = _single_headers(pairs)
    if "transfer-encoding" in headers and "content-length" in headers:
        # Where the body ends is a matter of opinion: RFC 9112 6.1.
        raise InvalidRequest("Content-Length and Transfer-Encoding are given both.")
    host = headers.get("host", "")[:LONGEST_HOST]
    site = _virtual_bucket(host, settings.website_domains)
    virtual = site or _virtual_bucket(host, settings.domains)
    bucket, key = _named(raw_path, virtual)
    return S3Request(
        method=scope["method"],
        bucket=bucket,
        key=key,
        query=_single_parameters(signed.query),
        headers=headers,
        signed=signed,
        virtual=virtual,
        body=Body(receive, _content_length(headers), settings.now),
        path=raw_path.decode("latin-1"),
        source_ip=(scope.get("client") or ("",))[0],
        is_secure=scope.get("scheme") == "https",
        is_website=bool(site),
        query_string=query_string.decode("latin-1"),
    )


def _single_headers(pairs: list[tuple[str, str]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in pairs:
        if name in headers:
            if not name.startswith(_MAY_REPEAT):
                raise InvalidRequest(f"The header {name} is given more than once.")
            value = f"{headers[name]},{value}"
        headers[name] = value
    return headers


def _single_parameters(pairs: list[tuple[str, str]]) -> dict[str, str]:
    query: dict[str, str] = {}
    for name, value in pairs:
        if name in query:
            raise InvalidArgument("A parameter is given more than once.", ArgumentName=name)
        if not (name + value).isprintable():
            _refuse_broken_text(name + value)
        query[name] = value
    return query


def _refuse_broken_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidURI("A query parameter is not UTF-8.") from None


@lru_cache(maxsize=1024)
def _virtual_bucket(host: str, domains: tuple[str, ...]) -> str:
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    for domain in domains:
        if name.lower().endswith("." + domain):
            return name.lower()[: -len(domain) - 1]
    return ""


def _resources(raw_path: bytes, virtual: str, key: str) -> tuple[bytes, ...]:
    ways = [raw_path]
    if (short := _without_prefix(raw_path)) != raw_path:
        ways.append(short)
    if virtual:
        return tuple(b"/" + virtual.encode() + way for way in ways)
    if not key and not raw_path.endswith(b"/"):
        ways += [way + b"/" for way in ways]
    return tuple(ways)


def _without_prefix(raw_path: bytes) -> bytes:
    if not raw_path.startswith(_SERVICES):
        return raw_path
    for prefix in _PREFIXES:
        if raw_path == prefix or raw_path.startswith(prefix + b"/"):
            return raw_path[len(prefix) :] or b"/"
    return raw_path


def _named(raw_path: bytes, virtual: str) -> tuple[str, str]:
    rest = _without_prefix(raw_path)[1:]
    try:
        if b"%" not in rest and not virtual:
            bucket, _, key = rest.decode().partition("/")
            return bucket, key
        if virtual:
            return virtual, unquote_to_bytes(rest).decode()
        first, _, others = rest.partition(b"/")
        return unquote_to_bytes(first).decode(), unquote_to_bytes(others).decode()
    except UnicodeDecodeError:
        raise InvalidURI() from None


def _content_length(headers: dict[str, str]) -> int | None:
    text = headers.get("content-length")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise InvalidRequest("Content-Length is not a number.")
    if len(text) > 18:
        raise EntityTooLarge()
    return int(text)
