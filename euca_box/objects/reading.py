"""The bytes of an object, block by block: read, compared with their checksum, deciphered."""

import errno
from collections.abc import AsyncIterator

from euca_box.objects.blocks import is_whole
from euca_box.objects.cache import Found
from euca_box.objects.damage import Quarantine
from euca_box.objects.data import DataEngine
from euca_box.objects.encryption import decipher
from euca_box.objects.index import DamagedObject
from euca_box.objects.rows import BLOCK_BYTES, Piece


class Reader:
    def __init__(self, files: DataEngine, quarantine: Quarantine) -> None:
        self._files, self._quarantine = files, quarantine

    async def read(
        self, found: Found, start: int, end: int, key: bytes | None = None
    ) -> AsyncIterator[bytes | bytearray]:
        """The bytes [start, end) of a pinned object, in pieces of at most BLOCK_BYTES.

        `key` is the data key of an encrypted one. Raises DamagedObject, before any wrong byte.
        """
        if found.stored.generation in self._quarantine:
            raise DamagedObject(found.stored)
        if found.inline is not None:
            if start < end:
                yield clear_inline(found, key)[start:end]
            return
        begin = 0
        for piece in found.pieces:
            low, high = max(start, begin), min(end, begin + piece.size_bytes)
            if low < high:
                async for data in self._read_piece(found, piece, low - begin, high - begin, key):
                    yield data
            begin += piece.size_bytes

    async def _read_piece(
        self, found: Found, piece: Piece, start: int, end: int, key: bytes | None
    ) -> AsyncIterator[bytes | bytearray]:
        fd = self._files.open(piece.file)
        try:
            for at in range(start - start % BLOCK_BYTES, end, BLOCK_BYTES):
                block = await self._block(found, piece, fd, at)
                if key is not None:
                    block = decipher(key, piece.nonce, at, block)
                low, high = max(start - at, 0), min(end - at, len(block))
                yield block if high - low == len(block) else block[low:high]
        finally:
            self._files.shut(fd)

    async def _block(self, found: Found, piece: Piece, fd: int, at: int) -> bytes | bytearray:
        try:
            block = await self._files.read(fd, at, min(BLOCK_BYTES, piece.size_bytes - at))
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            block = b""  # the disk has lost it
        if not is_whole(piece, at, block):
            self._quarantine.note(found.stored, piece.file, at)
            raise DamagedObject(found.stored)
        return block


def clear_inline(found: Found, key: bytes | None) -> bytes:
    """The bytes of a small object."""
    assert found.inline is not None
    return found.inline if key is None else decipher(key, found.nonce, 0, found.inline)
