"""A checksum for each block of a file: taken while it is written, compared before its bytes are given out.

A block is what is read at once, so nothing is read twice for the sake of its checksum and nothing leaves
that was not compared. Source: CRC32C as in iSCSI (RFC 3720), which finds every flipped bit of a block.
"""

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
