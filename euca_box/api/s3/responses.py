"""What is answered, and how it is sent: head and first bytes at once; a slow reader is not waited for."""

import asyncio
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache

from euca_box.api.s3.asgi import Send
from euca_box.model.s3_errors import InvalidArgument, S3Error

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
SLOWEST_SEND_SECONDS = 60.0  # for one piece of 256 KiB
_SPECIAL = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]')
_NAMES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_CONTROL = re.compile("[\x00-\x1f\x7f]")


@dataclass(slots=True)
class Response:
    """Either `body` or `stream` with its length. `close` is called when it was sent or given up."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    stream: AsyncIterator[bytes | bytearray] | None = None
    length: int = 0
    close: Callable[[], Awaitable[object]] | None = None
    error_code: str = ""


def host_id_of(request_id: str) -> str:
    """x-amz-id-2: opaque, one a request."""
    return b64encode(request_id.encode()).decode()


def xml_response(text: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = ('<?xml version="1.0" encoding="UTF-8"?>\n' + text).encode("utf-8", "surrogatepass")
    return Response(status, {"content-type": "application/xml", **(headers or {})}, body)


def escape(text: str) -> str:
    """Text for XML. Control characters, which XML 1.0 has no way to write, are written as S3 does."""
    return _SPECIAL.sub(_reference, text)


def needs_escape(text: str) -> bool:
    return _SPECIAL.search(text) is not None


def _reference(match: re.Match[str]) -> str:
    return _NAMES.get(match[0]) or f"&#x{ord(match[0]):x};"


def element(name: str, value: str | int | None) -> str:
    """One element, or nothing for None."""
    return "" if value is None else f"<{name}>{escape(str(value))}</{name}>"


def iso_time(ms: int) -> str:
    return f"{iso_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(maxsize=4096)
def iso_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=4096)
def http_time(second: int) -> str:
    return formatdate(second, usegmt=True)


def header_value(value: str, name: str) -> str:
    """A value that the client chose, for a header of the answer. Raises InvalidArgument."""
    if _CONTROL.search(value):
        raise InvalidArgument("Header values cannot hold control characters.", ArgumentName=name)
    return value


def error_response(error: S3Error, resource: str, request_id: str, host_id: str) -> Response:
    fields = "".join(element(name.replace("_", "-"), value) for name, value in error.fields.items())
    body = (
        f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message>{fields}"
        f"<Resource>{escape(resource)}</Resource><RequestId>{request_id}</RequestId>"
        f"<HostId>{host_id}</HostId></Error>"
    )
    if error.http_status == 304:
        return Response(304, dict(error.headers))
    response = xml_response(body, error.http_status, dict(error.headers))
    response.error_code = error.code
    return response


async def send_response(send: Send, response: Response) -> None:
    """Raises TimeoutError when the client does not read."""
    length = response.length if response.stream is not None else len(response.body)
    headers = [
        (n.encode(), v.encode() if v.isascii() else _header_bytes(v)) for n, v in response.headers.items()
    ]
    if response.status not in (204, 304) and "content-length" not in response.headers:
        headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    if response.stream is not None:
        async for piece in response.stream:
            async with asyncio.timeout(SLOWEST_SEND_SECONDS):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": response.body, "more_body": False})


def _header_bytes(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
