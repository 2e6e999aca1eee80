"""Volume files are read once in a while, so that a bad place of the disk is known before a guest needs it.

A raw file has no checksums: that its bytes can be read is what can be checked; what a file system underneath
verifies (btrfs, ZFS) or the disk itself shows as an error of the read. Blocks.
"""

import errno
import mmap
import os
from pathlib import Path

from euca_box.blockstore.engine import Checked
from euca_box.blockstore.graph import takes_direct

PIECE = 1 << 20


def check_file(path: Path, header_bytes: int, start: int, budget_bytes: int) -> Checked:
    """From this byte of the volume on, until so many were read; the file's header is none of its bytes."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_DIRECT if takes_direct(path) else 0)
    handle = os.open(path, flags)
    try:
        with mmap.mmap(-1, PIECE) as buffer:
            return _check(handle, buffer, header_bytes, start, budget_bytes)
    finally:
        os.close(handle)


def _check(handle: int, buffer: mmap.mmap, header_bytes: int, start: int, budget_bytes: int) -> Checked:
    bad: list[tuple[int, int]] = []
    done, place, size = 0, start + header_bytes, os.fstat(handle).st_size
    while done < budget_bytes:
        try:
            place = os.lseek(handle, place, os.SEEK_DATA) // PIECE * PIECE
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return Checked(None, done, tuple(bad))
            raise
        length = min(PIECE, size - place)
        if not _can_read(handle, buffer, place, length):
            bad.append((max(place - header_bytes, 0), length))
        done, place = done + length, place + PIECE
    return Checked(place - header_bytes, done, tuple(bad))


def _can_read(handle: int, buffer: mmap.mmap, place: int, length: int) -> bool:
    """A read that ends early has met an error on its way."""
    try:
        return os.preadv(handle, [buffer], place) >= length
    except OSError:
        return False
