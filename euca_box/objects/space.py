"""Room on the disk: when to refuse new data, and a ballast to throw out so that deleting still works.

A full disk stops SQLite even from deleting. New data is refused while less than a reserve is free,
and a file of real blocks is given back when a deletion finds no room.
"""

import contextlib
import errno
import os
import time
from pathlib import Path

from euca_box.model.s3_errors import InsufficientStorage
from euca_box.objects.rows import MIB

FULL = (errno.ENOSPC, errno.EDQUOT)
_FRESH_SECONDS = 0.5  # how long one look at the free space is believed


class Space:
    def __init__(self, folder: Path, reserve_bytes: int, ballast_bytes: int) -> None:
        self._folder = folder
        self._ballast = folder / "ballast"
        self._reserve_bytes = reserve_bytes
        self._ballast_bytes = ballast_bytes
        self._free_bytes = 0
        self._seen = float("-inf")
        self._thrown_out = False

    def require(self, size_bytes: int) -> None:
        """Raises InsufficientStorage unless that much fits above the reserve. Cheap; safe in any thread."""
        now = time.monotonic()
        if now - self._seen > _FRESH_SECONDS or size_bytes > MIB:
            facts = os.statvfs(self._folder)
            self._free_bytes, self._seen = facts.f_bavail * facts.f_frsize, now
        if self._free_bytes - size_bytes < self._reserve_bytes:
            raise InsufficientStorage()

    def release_ballast(self) -> bool:
        """Give its blocks back; False when there are none."""
        if not self._ballast.exists() or not self._ballast.stat().st_size:
            return False
        os.truncate(self._ballast, 0)
        self._thrown_out = True
        return True

    def restore_ballast(self) -> None:
        """After files were removed: lay it in again if it had been thrown out. Blocks."""
        if self._thrown_out:
            self.take_ballast()

    def take_ballast(self) -> None:
        """Lay the ballast in again when there is room for it and for the reserve."""
        facts = os.statvfs(self._folder)
        has = self._ballast.stat().st_size if self._ballast.exists() else 0
        wanted = self._ballast_bytes - has
        if not wanted or facts.f_bavail * facts.f_frsize < wanted + 2 * self._reserve_bytes:
            return
        fd = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with contextlib.suppress(OSError):
                os.posix_fallocate(fd, 0, self._ballast_bytes)
                self._thrown_out = False
        finally:
            os.close(fd)
