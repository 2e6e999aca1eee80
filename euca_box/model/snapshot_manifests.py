"""The manifest of a snapshot: which chunk lies where. JSON, so that it can be read without this program.

    {"version": 1, "size_bytes": N, "chunk_bytes": C, "chunks": [[0, "<SHA-256>"], [7, ...]]}

Chunk n covers bytes n*C to (n+1)*C, the last one perhaps less; one that is not named is of zeros.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

VERSION = 1
LONGEST_BYTES = 512 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ManifestError(Exception):
    """It is no manifest, or not the one that was asked for."""


@dataclass(frozen=True)
class SnapshotManifest:
    size_bytes: int
    chunk_bytes: int
    chunks: Mapping[int, str] = field(default_factory=dict)  # number -> SHA-256

    def encoded(self) -> bytes:
        return json.dumps(
            {
                "version": VERSION,
                "size_bytes": self.size_bytes,
                "chunk_bytes": self.chunk_bytes,
                "chunks": sorted(self.chunks.items()),
            },
            separators=(",", ":"),
        ).encode()

    @property
    def used_bytes(self) -> int:
        return len(self.chunks) * self.chunk_bytes

    @property
    def count(self) -> int:
        """Chunks of the whole volume, of zeros or not."""
        return -(-self.size_bytes // self.chunk_bytes)

    def length_of(self, number: int) -> int:
        return min(self.chunk_bytes, self.size_bytes - number * self.chunk_bytes)


def decoded(text: bytes, digest: str) -> SnapshotManifest:
    """Raises ManifestError for what is not whole, or not sound."""
    if hashlib.sha256(text).hexdigest() != digest:
        raise ManifestError("the manifest of the snapshot is damaged")
    try:
        found = json.loads(text)
        size_bytes, chunk_bytes = int(found["size_bytes"]), int(found["chunk_bytes"])
        chunks = {int(number): str(name) for number, name in found["chunks"]}
        version = found["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"the manifest of the snapshot cannot be read: {error!r}") from None
    manifest = SnapshotManifest(size_bytes, chunk_bytes, chunks)
    sound = version == VERSION and size_bytes > 0 and chunk_bytes > 0 and chunk_bytes % 4096 == 0
    named = all(0 <= n < manifest.count and _DIGEST.fullmatch(name) for n, name in chunks.items())
    if not (sound and named):
        raise ManifestError("the manifest of the snapshot is not sound")
    return manifest


def is_digest(text: str) -> bool:
    return _DIGEST.fullmatch(text) is not None
