"""The node's image cache: verified files by SHA-256, fetched once for many waiters, oldest unused go.

A file has its final name only when its bytes were checked; anything else in the folder is left from a
crash and removed at start.
"""

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import trio

from euca_box.model.images import ImageData

PARTIAL = ".partial"

Fetch = Callable[[ImageData, Path], Awaitable[str]]


class CacheError(Exception):
    """The image cannot be had; the text says why, for the user."""


class ImageCache:
    def __init__(self, folder: Path, limit_bytes: int, fetch: Fetch) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._fetch = fetch
        self._jobs: dict[str, trio.Lock] = {}

    def open(self) -> None:
        """Make the folder and drop what a crash left."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        for path in self._folder.glob("*" + PARTIAL):
            path.unlink()

    def path_of(self, image: ImageData) -> Path:
        return self._folder / f"{image.sha256}.{image.format}"

    async def get(self, image: ImageData, in_use: Iterable[Path]) -> Path:
        """The path of the verified file. Raises CacheError, and OSError when the disk is full.

        `in_use` are paths that running instances stand on: they are never evicted.
        """
        path = self.path_of(image)
        async with self._jobs.setdefault(image.sha256, trio.Lock()):
            if not path.exists():
                self._make_room(image.size_bytes, {*in_use, path})
                await self._fetched(image, path)
            os.utime(path)  # the clock of LRU
        return path

    async def _fetched(self, image: ImageData, path: Path) -> None:
        partial = path.with_name(path.name + PARTIAL)
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()
        found = await self._fetch(image, partial)
        if found != image.sha256:
            partial.unlink()
            raise CacheError(f"the bytes of {image.location} are not those that were registered")
        partial.chmod(0o444)
        partial.rename(path)
        _sync_folder(self._folder)

    def _make_room(self, size_bytes: int, kept: set[Path]) -> None:
        files = sorted(
            (p for p in self._folder.iterdir() if p.suffix != PARTIAL), key=lambda p: p.stat().st_mtime
        )
        used = sum(path.stat().st_size for path in files)
        for path in files:
            if used + size_bytes <= self._limit_bytes:
                return
            if path not in kept:
                used -= path.stat().st_size
                path.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
