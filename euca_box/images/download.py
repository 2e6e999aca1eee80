"""Download an image by a signed URL: blocking, hashed while it comes, durable when it returns."""

import hashlib
import http.client
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

SECONDS = 60.0  # without a byte
CHUNK = 1024 * 1024


class DownloadError(Exception):
    """The server refused, or sent something else than was asked for. The text has no signature in it."""


def fetch(
    url: str,
    etag: str,
    ca_file: str | None,
    target: Path,
    size_bytes: int,
    is_given_up: Callable[[], bool] = lambda: False,
) -> str:
    """Write the object with exactly this ETag to the new file target; answer its SHA-256 in hex.

    It stops when `is_given_up()`, which is asked from time to time.

    Raises DownloadError, OSError (ENOSPC among others). What was written by a failed try is removed.
    """
    connection = _connected(url, ca_file)
    try:
        answer = _asked(connection, url, etag)
        return _written(answer, target, size_bytes, is_given_up)
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise DownloadError(f"the download from {urlsplit(url).netloc} broke off: {error!r}") from None
    finally:
        connection.close()


def _connected(url: str, ca_file: str | None) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=ca_file)
        return http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)
    return http.client.HTTPConnection(host, port, timeout=SECONDS)


def _asked(connection: http.client.HTTPConnection, url: str, etag: str) -> http.client.HTTPResponse:
    parts = urlsplit(url)
    connection.request("GET", f"{parts.path}?{parts.query}", headers={"If-Match": f'"{etag}"'})
    answer = connection.getresponse()
    if answer.status == http.client.PRECONDITION_FAILED:
        raise DownloadError("the object was replaced after the image was registered")
    if answer.status == http.client.NOT_FOUND:
        raise DownloadError("the object was deleted after the image was registered")
    if answer.status != http.client.OK:
        raise DownloadError(f"Walrus answered {answer.status} {answer.reason}")
    return answer


def _written(
    answer: http.client.HTTPResponse, target: Path, size_bytes: int, is_given_up: Callable[[], bool]
) -> str:
    digest, received = hashlib.sha256(), 0
    try:
        with target.open("xb") as file:
            while chunk := answer.read(CHUNK):
                received += len(chunk)
                if is_given_up():
                    raise DownloadError("nobody waits for it any more")
                if received > size_bytes:
                    raise DownloadError(f"more than the {size_bytes} bytes that were registered came")
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        if received != size_bytes:
            raise DownloadError(f"{received} of {size_bytes} bytes came")
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return digest.hexdigest()
