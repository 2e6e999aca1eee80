"""Chunks of snapshots kept near, the latest used ones up to a limit: volumes of them need no way to Walrus.

What is in it is worth nothing: it is compared with its SHA-256 at each use, and fetched again where it is not
right. So nothing is synced. Blocks; may be used by several threads.
"""

import contextlib
import os
import threading
from collections import OrderedDict
from pathlib import Path

from euca_box.blockstore.chunks import digest_of
from euca_box.model.snapshot_manifests import is_digest


class ChunkCache:
    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self._limit = folder, limit_bytes
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()  # the latest used one last
        self._bytes = 0

    def open(self) -> None:
        """Take in what an earlier process left; what is too much goes."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = []
        for path in self._folder.glob("*/*"):
            if is_digest(path.name):
                facts = path.stat()
                found.append((facts.st_mtime, path.name, facts.st_size))
            else:
                path.unlink(missing_ok=True)
        for _, digest, size in sorted(found):
            self._note(digest, size)

    def get(self, digest: str, length: int) -> bytes | None:
        """The chunk, if it is here and right."""
        with self._lock:
            if digest not in self._sizes:
                return None
            self._sizes.move_to_end(digest)
        try:
            data = self._path(digest).read_bytes()
        except OSError:
            data = b""
        if len(data) == length and digest_of(data) == digest:
            return data
        self._forget(digest)
        return None

    def put(self, digest: str, data: bytes) -> None:
        """Keep it, if it can be kept."""
        if len(data) > self._limit or digest in self._sizes:
            return
        path = self._path(digest)
        fresh = path.with_name(f".{digest}.{threading.get_ident()}")
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
            fresh.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()
            return
        self._note(digest, len(data))

    def _note(self, digest: str, size: int) -> None:
        with self._lock:
            self._bytes += size - self._sizes.pop(digest, 0)
            self._sizes[digest] = size
            old = []
            while self._bytes > self._limit:
                name, freed = self._sizes.popitem(last=False)
                self._bytes -= freed
                old.append(name)
        for name in old:
            self._remove(name)

    def _forget(self, digest: str) -> None:
        with self._lock:
            self._bytes -= self._sizes.pop(digest, 0)
        self._remove(digest)

    def _remove(self, digest: str) -> None:
        with contextlib.suppress(OSError):
            self._path(digest).unlink()

    def _path(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest
