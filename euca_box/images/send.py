"""Send parts of a file to Walrus by URLs that it signed, or by a form that a user signed. Blocks."""

import http.client
import os
import secrets
import ssl
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

SECONDS = 300.0
LONGEST_ANSWER = 64 * 1024


class SendError(Exception):
    """Walrus did not answer, or cannot take it now. The text has no signature in it."""


class SendRefused(Exception):
    """Walrus refused, and will again: `code` is its code, the text its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def send_part(url: str, ca_file: str, path: Path, offset: int, length: int) -> str:
    """PUT these bytes; the ETag, without quotes. Raises SendError, SendRefused, OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        data = os.pread(handle, length, offset)
    finally:
        os.close(handle)
    if len(data) != length:
        raise SendError("the copy became shorter while it was sent")
    return _sent("PUT", url, ca_file, data, {})


def send_form(url: str, ca_file: str, fields: Mapping[str, str], data: bytes) -> None:
    """POST Object with these fields (S3 API reference, POST Object). Raises SendError, SendRefused."""
    mark = f"----{secrets.token_hex(16)}"
    head = "".join(
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    file = (
        f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="part"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = f"{head}{file}".encode() + data + f"\r\n--{mark}--\r\n".encode()
    _sent("POST", url, ca_file, body, {"content-type": f"multipart/form-data; boundary={mark}"})


def _sent(method: str, url: str, ca_file: str, body: bytes, headers: dict[str, str]) -> str:
    parts = urlsplit(url)
    connection = _connected(url, ca_file)
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        text = answer.read(LONGEST_ANSWER)
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise SendError(f"the way to {parts.netloc} broke off: {error!r}") from None
    finally:
        connection.close()
    if answer.status >= 500:
        raise SendError(f"{parts.netloc} answered {answer.status}")
    if answer.status >= 300:
        raise _refusal(answer.status, text)
    return (answer.headers.get("etag") or "").strip('"')


def _connected(url: str, ca_file: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=ca_file or None)
        return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)
    return http.client.HTTPConnection(host, port, timeout=SECONDS)


def _refusal(status: int, text: bytes) -> SendRefused:
    try:
        root = ET.fromstring(text)  # noqa: S314 - our own server's answer
    except ET.ParseError:
        return SendRefused(str(status), "Walrus refused it")
    return SendRefused(root.findtext("Code") or str(status), root.findtext("Message") or "")
