"""A copy by reflink, where the file system has it (XFS, btrfs): at once, and without room for it.

Only of a volume that no daemon has: of one that is written it stalls the writer for as long as a copy takes
(measured on XFS: 629 ms), and sees what the daemon had under way.
"""

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from euca_box.blockstore.engine import EngineError, Extent

FICLONE = 0x40049409  # ioctl_ficlonerange(2)
CANNOT = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM)


def try_reflink(source: Path, target: Path) -> bool:
    """Whole and durable, or False where there are no reflinks. Blocks. Raises OSError."""
    fresh = target.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with (
        source.open("rb") as old,
        open(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new,
    ):
        try:
            fcntl.ioctl(new.fileno(), FICLONE, old.fileno())
        except OSError as error:
            fresh.unlink()
            if error.errno in CANNOT:
                return False
            raise
        os.fsync(new.fileno())
    fresh.rename(target)
    return True


class RawCopy:
    """engine.Copy of a sparse file."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self.extents: Sequence[Extent] = tuple(_extents(self._handle))

    def read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._handle, length, offset)
        if len(data) != length:
            raise EngineError("a copy became shorter while it was read")
        return data

    def close(self) -> None:
        os.close(self._handle)


def _extents(handle: int) -> list[Extent]:
    found: list[Extent] = []
    size, at = os.fstat(handle).st_size, 0
    while at < size:
        try:
            data = os.lseek(handle, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            data = size
        if data > at:
            found.append(Extent(at, data - at, "zero"))
        if data < size:
            at = os.lseek(handle, data, os.SEEK_HOLE)
            found.append(Extent(data, at - data, "data"))
        else:
            at = size
    return found
