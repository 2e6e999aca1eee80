"""Where an image comes from: a file, an https URL, an object of our own S3; read as a stream."""

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from euca_box.client import Client

PIECE_BYTES = 1 << 20
SECONDS = 60.0  # without a byte
TRIES = 5  # of a download that breaks off
SUFFIX = re.compile(r"\.(gz|xz|zst)$")


class SourceError(Exception):
    """It cannot be read, or is not what was announced; the text says why."""


class _Stream(Protocol):
    def read(self, count: int, /) -> bytes: ...


@dataclass(frozen=True)
class Source:
    """`name` is that of the image, without the suffix of its compression; `path` is there for a file."""

    name: str
    size_bytes: int | None
    pieces: Iterator[bytes]
    path: Path | None = None
    location: str = ""  # BUCKET/KEY of an object that is there already


def open_source(text: str, client: Client, sha256: str | None = None) -> Source:
    """`sha256` is what its bytes, as they come, must have; then plain http will do. Raises SourceError,
    ClientError, OSError."""
    if text.startswith("s3://"):
        source = _object(text, client)
    elif re.match(r"https?://", text):
        if text.startswith("http://") and sha256 is None:
            raise SourceError("over http anybody may change it on the way: give its --sha256, or use https")
        source = _download(text)
    else:
        path = Path(text)
        source = Source(_name(path.name), path.stat().st_size, _file(path), path)
    if sha256 is None:
        return source
    pieces = _checked(source.pieces, sha256.lower())
    return Source(source.name, source.size_bytes, pieces, source.path, source.location)


def _name(text: str) -> str:
    return SUFFIX.sub("", text) or "image"


def _file(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from _pieces(file)


def _pieces(stream: _Stream) -> Iterator[bytes]:
    while piece := stream.read(PIECE_BYTES):
        yield piece


def _checked(pieces: Iterator[bytes], sha256: str) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != sha256:
        raise SourceError(f"its SHA-256 is {digest.hexdigest()}, not the {sha256} that was announced")


def _object(text: str, client: Client) -> Source:
    bucket, _, key = text.removeprefix("s3://").partition("/")
    if not (bucket and key):
        raise SourceError("an object is named s3://BUCKET/KEY")
    answer = client.opened(bucket, key)
    size = int(answer.headers.get("content-length") or 0)
    return Source(_name(key.rpartition("/")[2]), size, _pieces(answer), location=f"{bucket}/{key}")


class _HttpsOnly(urllib.request.HTTPRedirectHandler):
    """A redirect does not lead from https to http, and nowhere into this host's files."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if urlsplit(newurl).scheme != "https" and urlsplit(req.full_url).scheme == "https":
            raise SourceError("it leads on to a URL that is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _download(url: str) -> Source:
    answer = _asked(url, {})
    length = answer.headers.get("Content-Length")
    size = int(length) if length and length.isdigit() else None
    name = _name(unquote(urlsplit(url).path).rpartition("/")[2])
    return Source(name, size, _downloaded(url, answer, size))


def _downloaded(url: str, answer: http.client.HTTPResponse, size: int | None) -> Iterator[bytes]:
    """Goes on where it broke off, if the server says that it is still the same."""
    received, tries = 0, TRIES
    mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
    while True:
        try:
            while piece := answer.read(PIECE_BYTES):
                received += len(piece)
                yield piece
        except (OSError, http.client.HTTPException):
            pass
        if size is None or received >= size:
            break
        tries -= 1
        if not tries or mark is None or mark.startswith("W/"):
            raise SourceError(f"the download broke off after {received} bytes")
        answer = _asked(url, {"Range": f"bytes={received}-", "If-Range": mark})
        if answer.status != http.client.PARTIAL_CONTENT:
            raise SourceError(f"the download broke off after {received} bytes, and cannot go on there")
    if size is not None and received > size:
        raise SourceError("more came than was announced")


def _asked(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    opener = urllib.request.build_opener(_HttpsOnly)
    try:
        answer: http.client.HTTPResponse = opener.open(
            urllib.request.Request(url, headers=headers),  # noqa: S310 - https, or http with a digest
            timeout=SECONDS,
        )
    except urllib.error.HTTPError as error:
        raise SourceError(f"{urlsplit(url).netloc} answered {error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise SourceError(f"{urlsplit(url).netloc} cannot be reached: {error.reason}") from None
    return answer
