"""A checksum for each block of a file: taken while it is written, compared before its bytes are given out.

A block is what is read at once, so nothing is read twice for the sake of its checksum and nothing leaves
that was not compared. Source: CRC32C as in iSCSI (RFC 3720), which finds every flipped bit of a block.
"""

import os
from pathlib import Path

from euca_box.objects.crcs import crc32c
from euca_box.objects.rows import BLOCK_BYTES, Piece

_WIDTH = 4


class BlockCrcs:
    """Feed with `update`, in order; `value` is four bytes for each block, the last one may be short."""

    def __init__(self) -> None:
        self._done = bytearray()
        self._crc = self._filled = 0

    def update(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            part = view[: BLOCK_BYTES - self._filled]
            self._crc, self._filled = crc32c(part, self._crc), self._filled + len(part)
            if self._filled == BLOCK_BYTES:
                self._done += self._crc.to_bytes(_WIDTH, "big")
                self._crc = self._filled = 0
            view = view[len(part) :]

    @property
    def value(self) -> bytes:
        return bytes(self._done) + (self._crc.to_bytes(_WIDTH, "big") if self._filled else b"")


def is_whole(piece: Piece, start: int, block: bytes | bytearray) -> bool:
    """Is this the block at `start` as it was written? Files of before there were checksums pass."""
    if len(block) != min(BLOCK_BYTES, piece.size_bytes - start):
        return False
    at = start // BLOCK_BYTES * _WIDTH
    return not piece.crcs or piece.crcs[at : at + _WIDTH] == crc32c(block).to_bytes(_WIDTH, "big")


def check_file(path: Path, piece: Piece) -> tuple[int, bytes]:
    """Where the file is damaged, or -1; and its checksums as they are. Blocks."""
    crcs = BlockCrcs()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0, b""
    try:
        for at in range(0, piece.size_bytes, BLOCK_BYTES):
            try:
                block = os.pread(fd, min(BLOCK_BYTES, piece.size_bytes - at), at)
            except OSError:  # EIO: the disk has lost it
                return at, b""
            if not is_whole(piece, at, block):
                return at, b""
            crcs.update(block)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)
    return -1, crcs.value
