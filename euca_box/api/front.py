"""One root URL for every service: a request goes where its credential scope, its path or its shape says.

EC2, IAM, STS and S3 share a host and a port, so that one endpoint setting of a client is enough. Old
paths work too: /services/Eucalyptus and /services/Walrus, in any case, with and without a slash.
"""

import re
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from euca_box.api.s3.asgi import App, Receive, Scope, Send
from euca_box.config import ROLES

QUERY_PATHS = ("/services/eucalyptus", "/services/compute")
STS_PATHS = ("/services/tokens", "/services/euare")
CONFIGURATION_PATH = "/services/configuration"
WALRUS_PATH = "/services/walrus"
S3_SOAP_PATHS = (WALRUS_PATH, "/soap")  # the second is AWS's
HEALTH_PATHS = ("/livez", "/readyz", "/healthz", *(f"/healthz/{role}" for role in ROLES))

CREDENTIAL = b"Credential="
LONGEST_CREDENTIAL = 512  # a stranger's header must cost a moment, whatever stands in it

_SCOPE = re.compile(rb"[^/,\s]+/\d{8}/[^/,\s]*/([^/,\s]+)/aws4_request")
_STS_ACTION = re.compile(
    rb"(?:^|&)Action=(?:GetCallerIdentity|AssumeRole|GetSessionToken|GetFederationToken)(?:&|$)"
)


class Front:
    """The ASGI application of the API port. A part that does not run here is None."""

    def __init__(
        self,
        *,
        ec2: App | None,
        iam: App | None,
        s3: App | None,
        configuration: App | None = None,
        ec2_soap: App | None = None,
        s3_soap: App | None = None,
        health: Callable[[Scope, Receive, Send], Awaitable[None]],
    ) -> None:
        self._apps = {"ec2": ec2, "iam": iam, "s3": s3, "configuration": configuration}
        self._apps |= {"ec2 soap": ec2_soap, "s3 soap": s3_soap}
        self._health = health

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _is_framed_twice(scope):
            await _refuse(send, b"Content-Length and Transfer-Encoding exclude each other.\n")
            return
        if scope["path"] in HEALTH_PATHS:
            await self._health(scope, receive, send)
            return
        app = self._apps[soap_service_of(scope) or service_of(scope)]
        if app is None:
            await self._health({**scope, "path": "/not-here"}, receive, send)
        else:
            await app(scope, receive, send)


def soap_service_of(scope: Scope) -> str:
    """`ec2 soap` or `s3 soap` for an envelope, or for a WSDL that is asked for; else nothing."""
    if scope["method"] == "POST":
        kind = next((v for n, v in scope["headers"] if n.lower() == b"content-type"), b"").lower()
        if not kind.startswith((b"text/xml", b"application/soap+xml")):
            return ""
    elif scope["query_string"][:4].lower() != b"wsdl":
        return ""
    path = scope["path"].lower().rstrip("/")
    if path in S3_SOAP_PATHS:
        return "s3 soap"
    is_plain = not scope["query_string"] or scope["method"] != "POST"  # a POST to S3's root has a query
    return "ec2 soap" if path in QUERY_PATHS or (path == "" and is_plain) else ""


def service_of(scope: Scope) -> str:
    """`ec2`, `iam` (with STS), `s3` or `configuration`."""
    path = scope["path"].lower().rstrip("/")
    if path == CONFIGURATION_PATH:
        return "configuration"
    if path == WALRUS_PATH or path.startswith(WALRUS_PATH + "/"):
        return "s3"
    if path in STS_PATHS:
        return "iam"
    if path in QUERY_PATHS:
        return _query_service(scope)
    signed = _scope_service(scope)
    if signed in ("sts", "iam"):
        return "iam"
    if signed in ("ec2", "s3"):
        return signed
    return _query_service(scope) if path == "" and _looks_like_query(scope) else "s3"


def _query_service(scope: Scope) -> str:
    if _scope_service(scope) in ("sts", "iam") or _STS_ACTION.search(scope["query_string"]):
        return "iam"
    return "ec2"


def _scope_service(scope: Scope) -> str:
    """The service in the credential scope of a SigV4 header or query, or nothing."""
    for name, value in scope["headers"]:
        if name.lower() == b"authorization":
            return _service_in(value.partition(CREDENTIAL)[2])
    query = scope["query_string"]
    if b"X-Amz-Credential=" in query:
        return _service_in(unquote(_parameter(query, b"X-Amz-Credential")[:LONGEST_CREDENTIAL]).encode())
    return ""


def _service_in(credential: bytes) -> str:
    match = _SCOPE.match(credential[:LONGEST_CREDENTIAL])
    return match[1].decode("latin-1") if match else ""


def _parameter(query: bytes, name: bytes) -> str:
    for item in query.split(b"&"):
        key, _, value = item.partition(b"=")
        if key == name:
            return value.decode("latin-1")
    return ""


def _looks_like_query(scope: Scope) -> bool:
    """A form posted to the root, or Action in the query string of it: S3 has neither."""
    if b"Action=" in scope["query_string"]:
        return True
    kinds = [v.lower() for n, v in scope["headers"] if n.lower() == b"content-type"]
    return (
        scope["method"] == "POST"
        and bool(kinds)
        and kinds[0].startswith(b"application/x-www-form-urlencoded")
    )


def _is_framed_twice(scope: Scope) -> bool:
    """h11 lets a request with both lengths pass; a proxy in front may see another end than we do
    (RFC 9112 6.3: it ought to be handled as an error)."""
    names = {name.lower() for name, _ in scope["headers"]}
    return b"content-length" in names and b"transfer-encoding" in names


async def _refuse(send: Send, text: bytes) -> None:
    headers = [
        (b"content-type", b"text/plain"),
        (b"content-length", str(len(text)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": text})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return
