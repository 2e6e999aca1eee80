"""The node's image cache: verified files by SHA-256, fetched once for many waiters, oldest unused go.

A file has its final name only when its bytes were checked; anything else in the folder is left from a
crash and removed at start. What an earlier process left is checked again before its first use: a disk may
have damaged it.
"""

import contextlib
import itertools
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import trio

from euca_box.images.download import DownloadError
from euca_box.model.errors import EucaError
from euca_box.model.images import ImageData

log = logging.getLogger(__name__)

PARTIAL = ".partial"
GIB = 1024**3

Fetch = Callable[[ImageData, Path], Awaitable[str]]
Digest = Callable[[Path], Awaitable[str]]
InUse = Callable[[], set[Path]]


class CacheError(Exception):
    """The image cannot be had; the text says why, for the user."""


@dataclass(frozen=True)
class CachedFile:
    sha256: str
    size_bytes: int
    used_at: float  # seconds since 1970
    in_use: bool


@dataclass
class _Job:
    """One file on its way. It is given up when nobody waits for it any more."""

    size_bytes: int
    waiters: int = 0
    done: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    error: Exception | None = None


class ImageCache:
    """`in_use()` names the files that instances stand on: they are never evicted."""

    def __init__(
        self, folder: Path, limit_bytes: int, fetch: Fetch, digest: Digest, in_use: InUse = set
    ) -> None:
        self._folder = folder
        self.limit_bytes = limit_bytes
        self._fetch = fetch
        self._digest = digest
        self._in_use = in_use
        self._jobs: dict[Path, _Job] = {}
        self._checked: set[Path] = set()
        self._numbers = itertools.count(1)
        self._tasks: trio.Nursery | None = None

    def open(self, tasks: trio.Nursery) -> None:
        """Make the folder and drop what a crash left; fetches run in `tasks`."""
        self._tasks = tasks
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o711)
        for path in self._folder.glob("*" + PARTIAL):
            path.unlink()

    def path_of(self, image: ImageData) -> Path:
        return self._folder / f"{image.sha256}.{image.format}"

    async def get(self, image: ImageData) -> Path:
        """The path of the verified file.

        Raises CacheError, DownloadError, EucaError, and OSError when the disk is full.
        """
        path = self.path_of(image)
        while path not in self._checked or not path.exists():
            await self._wait(self._job(image, path), path)
        os.utime(path)  # the clock of LRU
        return path

    def has(self, image: ImageData) -> bool:
        return self.path_of(image).exists()

    def files(self) -> list[CachedFile]:
        """What is there, the most recently used first."""
        in_use, found = self._in_use(), []
        for path in self._paths():
            with contextlib.suppress(FileNotFoundError):
                stat = path.stat()
                found.append(CachedFile(path.stem, stat.st_size, stat.st_mtime, path in in_use))
        return sorted(found, key=lambda file: -file.used_at)

    def _job(self, image: ImageData, path: Path) -> _Job:
        job = self._jobs.get(path)
        if job is None:
            assert self._tasks is not None, "the cache is not open"
            job = self._jobs[path] = _Job(image.size_bytes)
            self._tasks.start_soon(self._run, job, image, path)
        return job

    async def _wait(self, job: _Job, path: Path) -> None:
        job.waiters += 1
        try:
            await job.done.wait()
        finally:
            job.waiters -= 1
            if job.waiters == 0 and not job.done.is_set():
                job.scope.cancel()
                self._forget(job, path)
        if job.error is not None:
            raise job.error

    async def _run(self, job: _Job, image: ImageData, path: Path) -> None:
        """Whatever happens is told to those who wait; this task ends quietly."""
        try:
            with job.scope:
                if not (self.has(image) and await self._is_whole(image, path)):
                    self._make_room(job, path)
                    await self._fetched(image, path)
                self._checked.add(path)
        except (CacheError, DownloadError, EucaError, OSError) as error:
            job.error = error
        except Exception as error:
            log.exception("%s was not fetched", image.location)
            job.error = error
        finally:
            self._forget(job, path)
            job.done.set()

    def _forget(self, job: _Job, path: Path) -> None:
        if self._jobs.get(path) is job:
            del self._jobs[path]

    async def _is_whole(self, image: ImageData, path: Path) -> bool:
        """Whether it has the right bytes. If not, it goes; guests that have it open keep what they have."""
        if await self._digest(path) == image.sha256:
            return True
        log.error("%s is damaged in the image cache; it is fetched anew", image.location)
        _remove(path)
        return False

    async def _fetched(self, image: ImageData, path: Path) -> None:
        partial = path.with_name(f"{path.name}.{next(self._numbers)}{PARTIAL}")
        log.info("fetching %s into the image cache, %d bytes", image.location, image.size_bytes)
        try:
            if await self._fetch(image, partial) != image.sha256:
                raise CacheError(f"the bytes of {image.location} are not those that were registered")
            partial.chmod(0o444)
            partial.rename(path)
        except BaseException:
            _remove(partial)
            raise
        _sync_folder(self._folder)

    def _make_room(self, job: _Job, path: Path) -> None:
        """Evict what was used longest ago, until this file and those that are on their way fit."""
        sizes = {p: p.stat().st_size for p in self._paths()}
        coming = [j.size_bytes for other, j in self._jobs.items() if other not in sizes]
        wanted = sum(sizes.values()) + sum(coming)
        kept = self._in_use() | set(self._jobs)
        for old in sorted(sizes, key=lambda p: p.stat().st_mtime):
            if wanted > self.limit_bytes and old not in kept:
                wanted -= sizes[old]
                self._checked.discard(old)
                _remove(old)
                log.info("%s left the image cache for %s", old.name, path.name)
        if wanted > self.limit_bytes:
            raise CacheError(
                f"it has {job.size_bytes} bytes, and the image cache of the node (nc.cache_gib = "
                f"{self.limit_bytes / GIB:g}) has no room beside the images that are in use"
            )

    def _paths(self) -> list[Path]:
        return [path for path in self._folder.iterdir() if path.suffix != PARTIAL]


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
