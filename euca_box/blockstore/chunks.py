"""Chunks of snapshots on their way: how one is packed, and how it is sent and fetched by a URL. Blocks.

A packed chunk begins with a byte that says how: as it is, or by zstd, where that saves an eighth at least.
Its name is the SHA-256 of its bytes unpacked, which are compared with it before anybody sees them.
"""

import hashlib
import http.client
import os
import ssl
import threading
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from backports import zstd

CHUNK_BYTES = 1 << 20
PLAIN, ZSTD = b"\0", b"\1"
LEVEL = 1
SAMPLE_BYTES = 32 * 1024
SECONDS = 60.0
LONGEST_BYTES = 512 << 20


class TransferError(Exception):
    """Walrus did not answer, or refused for now. The text has no signature in it."""


class DamagedChunk(Exception):
    """What came is not what was stored."""


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def pack(data: bytes) -> bytes:
    middle = len(data) // 2
    sample = data[middle : middle + SAMPLE_BYTES]
    if len(zstd.compress(sample, LEVEL)) > len(sample) - len(sample) // 16:
        return PLAIN + data  # noise, or packed already: not worth the time
    packed = zstd.compress(data, LEVEL)
    return ZSTD + packed if len(packed) < len(data) - len(data) // 8 else PLAIN + data


def unpack(packed: bytes, digest: str, length: int) -> bytes:
    """Raises DamagedChunk."""
    try:
        data = packed[1:]
        if packed[:1] == ZSTD:
            # One byte more than there may be: what swells to more than that is refused unread.
            unpacking = zstd.ZstdDecompressor()
            data = unpacking.decompress(data, max_length=length + 1)
            if not unpacking.eof or unpacking.unused_data:
                raise DamagedChunk(f"the chunk {digest[:12]} is damaged")
        elif packed[:1] != PLAIN:
            raise DamagedChunk(f"the chunk {digest[:12]} is of an unknown kind")
    except (zstd.ZstdError, EOFError) as error:
        raise DamagedChunk(f"the chunk {digest[:12]} cannot be unpacked") from error
    if len(data) != length or digest_of(data) != digest:
        raise DamagedChunk(f"the chunk {digest[:12]} is damaged")
    return data


class Near(Protocol):
    def ask(self, method: str, url: str, data: bytes | None) -> tuple[int, bytes] | None:
        """Status and body, as S3 would answer; None when the URL leads to another place. Blocks."""


class Courier:
    """Sends and fetches; each thread has a connection of its own, which it keeps."""

    def __init__(self, ca_file: str = "", near: Near | None = None) -> None:
        """`ca_file`: the authority of the cloud, for URLs that come with none. `near`: a Walrus that lives in
        this process."""
        self._ca_file = ca_file
        self._near = near
        self._local = threading.local()

    def put(self, url: str, ca_file: str, data: bytes) -> None:
        """Raises TransferError."""
        status, _ = self._ask("PUT", url, ca_file, data)
        if status not in (200, 201):
            raise TransferError(f"Walrus answered {status} to a chunk")

    def get(self, url: str, ca_file: str) -> bytes:
        """Raises TransferError, DamagedChunk for what Walrus knows to be damaged or has not."""
        status, data = self._ask("GET", url, ca_file, None)
        if status == http.client.NOT_FOUND:
            raise DamagedChunk("a chunk is missing in Walrus")
        if status != http.client.OK:
            raise TransferError(f"Walrus answered {status} for a chunk")
        return data

    def _ask(self, method: str, url: str, ca_file: str, data: bytes | None) -> tuple[int, bytes]:
        if self._near is not None and (answer_here := self._near.ask(method, url, data)) is not None:
            return answer_here
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}"
        for is_last in (False, True):
            connection, is_kept = self._connection(parts.scheme, parts.netloc, ca_file)
            try:
                connection.request(method, target, data)
                answer = connection.getresponse()
                found = answer.read(LONGEST_BYTES + 1)
                if len(found) > LONGEST_BYTES:
                    raise TransferError("Walrus sent too much")
                return answer.status, found
            except (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
                connection.close()
                self._local.connection = None
                # A connection that was kept may have been closed by the other side.
                if is_last or not is_kept:
                    raise TransferError(f"the way to {parts.netloc} broke off: {error!r}") from None
        raise AssertionError

    def _connection(self, scheme: str, netloc: str, ca_file: str) -> tuple[http.client.HTTPConnection, bool]:
        kept = getattr(self._local, "connection", None)
        if kept is not None and self._local.place == (scheme, netloc):
            return kept, True
        host, _, port = netloc.rpartition(":")
        connection: http.client.HTTPConnection
        if scheme == "https":
            context = ssl.create_default_context(cafile=ca_file or self._ca_file or None)
            connection = http.client.HTTPSConnection(host, int(port), timeout=SECONDS, context=context)
        else:
            connection = http.client.HTTPConnection(host, int(port), timeout=SECONDS)
        self._local.connection, self._local.place = connection, (scheme, netloc)
        return connection, False


def write_private(path: Path, data: bytes) -> None:
    """Whole or not at all, 0600, durable."""
    fresh = path.with_name(path.name + ".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
