"""The files that hold the bytes of larger objects: `objects/ab/<random hex>`, each name used once.

Nobody knows a name until a row names it, so a file is written in place, without rename. Order: data
synced, directory synced, row committed; removal the other way round. What a crash leaves without a
row is swept away at the next start.
"""

import asyncio
import contextlib
import errno
import logging
import os
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

from euca_box.model.s3_errors import InsufficientStorage
from euca_box.objects.blocks import BlockCrcs, check_file
from euca_box.objects.data import NewData
from euca_box.objects.rows import Piece
from euca_box.objects.space import FULL, Space

log = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

THREADS = 8


class NewFile:
    """A file being written. All methods block; call them in a thread, one at a time."""

    def __init__(self, root: Path, name: str, space: Space) -> None:
        self.name = name
        self.crcs = BlockCrcs()
        self._path = root / name
        self._space = space
        self._fd = -1

    def append(self, pieces: Sequence[bytes]) -> None:
        """Raises InsufficientStorage when the disk is full."""
        self._space.require(sum(map(len, pieces)))
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            for piece in pieces:
                self.crcs.update(piece)
                _write_all(self._fd, piece)
        except OSError as error:
            if error.errno in FULL:
                raise InsufficientStorage() from error
            raise

    def sync(self) -> None:
        """Data on the disk; the directory is not yet."""
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            if error.errno in FULL:
                raise InsufficientStorage() from error
            raise
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        self.close()
        self._path.unlink(missing_ok=True)


class Files:
    """All files of one data folder. Opened by one process only."""

    def __init__(self, root: Path, space: Space) -> None:
        self._root = root
        self.space = space
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="objects")
        self._pins: Counter[int] = Counter()
        self._parked: dict[int, list[str]] = {}
        self._is_held = False  # while it is, nothing is removed
        self._held: list[tuple[int, list[str]]] = []  # released meanwhile
        self._going: set[int] = set()  # generations whose files are being removed right now
        self._unsynced: list[tuple[str, asyncio.Future[None]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._syncing = False

    def prepare(self) -> None:
        """Make the 256 folders, durably. Blocks."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(256):
            (self._root / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
        _sync_folder(self._root)
        _sync_folder(self._root.parent)
        self.space.take_ballast()

    def sweep(self, wanted: set[str]) -> tuple[int, int]:
        """Remove every file that no row names; (removed, missing) files. Blocks."""
        found = {f"{p.parent.name}/{p.name}" for p in self._root.glob("[0-9a-f][0-9a-f]/*")}
        for name in found - wanted:
            (self._root / name).unlink()
        missing = wanted - found
        for name in sorted(missing)[:10]:
            log.error("object data file %s is missing; the object cannot be read", name)
        return len(found - wanted), len(missing)

    async def close(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._pool.shutdown(wait=True)

    def new_data(self) -> NewFile:
        name = secrets.token_hex(16)
        return NewFile(self._root, f"{name[:2]}/{name}", self.space)

    def require(self, size_bytes: int) -> None:
        """Raises InsufficientStorage unless that much fits above the reserve."""
        self.space.require(size_bytes)

    def release_ballast(self) -> bool:
        """Give the ballast back; False when there is none. Blocks."""
        return self.space.release_ballast()

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Start function in the pool."""
        job = lambda: function(*args, **kwargs)  # noqa: E731
        return asyncio.get_running_loop().run_in_executor(self._pool, job)

    async def settle(self, names: Iterable[str]) -> None:
        """Make the entries of new files durable; callers that come at one time share the syncs."""
        loop = asyncio.get_running_loop()
        waits = []
        for folder in {name[:2] for name in names}:
            done: asyncio.Future[None] = loop.create_future()
            self._unsynced.append((folder, done))
            waits.append(done)
        if not self._syncing:
            self._syncing = True
            self._keep(loop.create_task(self._sync_waiting()))
        await asyncio.gather(*waits)

    async def _sync_waiting(self) -> None:
        try:
            while self._unsynced:
                group, self._unsynced = self._unsynced, []
                error = await self.run(self._sync_group, {folder for folder, _ in group})
                for _, done in group:
                    if done.done():
                        continue
                    done.set_exception(error) if error else done.set_result(None)
        finally:
            self._syncing = False

    def _sync_group(self, folders: set[str]) -> OSError | None:
        try:
            for folder in folders:
                _sync_folder(self._root / folder)
        except OSError as error:
            return error
        return None

    def pin(self, generation: int) -> None:
        """Keep the files of a generation while somebody reads them."""
        self._pins[generation] += 1

    def unpin(self, generation: int) -> None:
        self._pins[generation] -= 1
        if not self._pins[generation]:
            del self._pins[generation]
            if names := self._parked.pop(generation, []):
                self._remove_soon(generation, names)

    def release(self, generation: int, names: list[str]) -> None:
        """No row names these files any more: remove them when nobody reads them."""
        if not names:
            return
        if generation in self._pins:
            self._parked.setdefault(generation, []).extend(names)
        else:
            self._remove_soon(generation, names)

    def is_going(self, generation: int) -> bool:
        """Whether its files are being removed: a pin that comes now comes too late."""
        return generation in self._going

    def discard(self, file: NewData, job: asyncio.Future[None] | None) -> None:
        """Remove a file that will not be finished, when the thread that may still write it is done.

        In a task of its own: the request it was for may be cancelled once more at any moment.
        """
        self._keep(asyncio.get_running_loop().create_task(self._discard(file, job)))

    async def _discard(self, file: NewData, job: asyncio.Future[None] | None) -> None:
        if job is not None:
            await asyncio.wait([job])
            if not job.cancelled():
                job.exception()  # it is told to the client already, if anybody still listens
        try:
            await self.run(file.discard)
        except OSError as error:
            log.warning("an unfinished object data file stays until the next start: %s", error)

    def hold(self, held: bool) -> None:
        """Keep what is released from now on, or remove all of it now. A start removes it as well."""
        self._is_held = held
        if not held:
            kept, self._held = self._held, []
            for generation, names in kept:
                self._remove_soon(generation, names)

    def _remove_soon(self, generation: int, names: list[str]) -> None:
        if self._is_held:
            self._held.append((generation, names))
            return
        self._going.add(generation)
        self._keep(asyncio.get_running_loop().create_task(self._remove(generation, names)))

    async def _remove(self, generation: int, names: list[str]) -> None:
        try:
            await self.run(self._unlink, names)
        except OSError as error:
            log.warning("object data files stay until the next start: %s", error)
        finally:
            self._going.discard(generation)

    def _unlink(self, names: list[str]) -> None:
        for name in names:
            (self._root / name).unlink(missing_ok=True)
        self.space.restore_ballast()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def open(self, name: str) -> int:
        """A descriptor to read from. Raises FileNotFoundError when the object was replaced meanwhile."""
        return os.open(self._root / name, os.O_RDONLY | os.O_CLOEXEC)

    def shut(self, handle: int) -> None:
        os.close(handle)

    async def read(self, fd: int, offset: int, length: int) -> bytes | bytearray:
        """That many bytes, fewer at the end: at once if the page cache has them, else in a thread."""
        buffer = bytearray(length)
        try:
            count = os.preadv(fd, [buffer], offset, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                raise
            count = 0
        if count == len(buffer):
            return buffer
        return await self.run(_pread_all, fd, length, offset)

    def check(self, piece: Piece) -> tuple[int, bytes]:
        """Where its file is damaged, or -1; and its checksums as they are. Blocks."""
        return check_file(self._root / piece.file, piece)

    def link(self, names: Sequence[str]) -> list[str]:
        """New names for the same data (a copy that takes no room). Blocks; the folders are not synced."""
        made: list[str] = []
        try:
            for name in names:
                new = self.new_data().name
                os.link(self._root / name, self._root / new)
                made.append(new)
        except OSError:
            with contextlib.suppress(OSError):
                self._unlink(made)
            raise
        return made


def _pread_all(fd: int, length: int, offset: int) -> bytes:
    data = b""
    while more := os.pread(fd, length - len(data), offset + len(data)):
        data += more
    return data


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
