"""Receive the bytes of an object: hash and write one MiB in a thread while the next arrives.

What is small enough stays in memory and goes into the database with its row. Memory is bounded by
two MiB a request, whatever its size. When anything fails, the client's going away included, the file
is removed.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from euca_box.model.s3_errors import EntityTooLarge
from euca_box.objects.data import DataEngine, NewData
from euca_box.objects.digests import Digests
from euca_box.objects.encryption import Encryptor
from euca_box.objects.rows import MIB, Piece

INLINE_BYTES = 16 * 1024  # measured: up to here a row is cheaper than a file


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of an object, not yet committed: in memory, or in synced files."""

    size_bytes: int
    inline: bytes | None = None
    pieces: tuple[Piece, ...] = ()
    nonce: bytes = b""

    @property
    def files(self) -> list[str]:
        return [piece.file for piece in self.pieces]


async def receive(
    files: DataEngine,
    digests: Digests,
    body: AsyncIterator[bytes],
    *,
    largest_bytes: int,
    inline_bytes: int = INLINE_BYTES,
    key: bytes | None = None,
) -> Content:
    """Take the whole body and check it; its data is durable when this returns, enciphered if there is a key.

    Raises EntityTooLarge, BadDigest, XAmzContentSHA256Mismatch, InsufficientStorage, and what the
    body raises.
    """
    pipe = _Pipe(files, digests, Encryptor(key) if key is not None else None)
    try:
        async for piece in body:
            await pipe.take(piece)
            if pipe.size_bytes > largest_bytes:
                raise EntityTooLarge(MaxSizeAllowed=str(largest_bytes))
        return await pipe.finish(inline_bytes)
    except BaseException:
        pipe.abandon()
        raise


class _Pipe:
    def __init__(self, files: DataEngine, digests: Digests, encryptor: Encryptor | None) -> None:
        self._files, self._digests, self._encryptor = files, digests, encryptor
        self._file: NewData | None = None
        self._job: asyncio.Future[None] | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self.size_bytes = 0

    async def take(self, piece: bytes) -> None:
        self._waiting.append(piece)
        self._waiting_bytes += len(piece)
        self.size_bytes += len(piece)
        if self._waiting_bytes >= MIB:
            await self._start(last=False)

    async def _start(self, *, last: bool) -> None:
        """Give what waits to a thread; at most one job runs, so the order is kept."""
        if self._job is not None:
            await asyncio.shield(self._job)  # a cancelled wait must not lose sight of the thread
        if self._file is None:
            self._file = self._files.new_data()
        pieces, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._job = self._files.run(_absorb, self._digests, self._encryptor, self._file, pieces, last)

    async def finish(self, inline_bytes: int) -> Content:
        if self._file is None and self.size_bytes <= inline_bytes:
            self._files.require(self.size_bytes)
            data = b"".join(self._waiting)
            self._digests.update(data)
            self._digests.check()
            if self._encryptor is None:
                return Content(len(data), inline=data)
            return Content(len(data), inline=self._encryptor.update(data), nonce=self._encryptor.nonce)
        await self._start(last=True)
        assert self._job is not None
        assert self._file is not None
        await asyncio.shield(self._job)
        self._digests.check()
        await self._files.settle([self._file.name])
        nonce = self._encryptor.nonce if self._encryptor else b""
        piece = Piece(self._file.name, self.size_bytes, self._file.crcs.value, nonce)
        return Content(self.size_bytes, pieces=(piece,))

    def abandon(self) -> None:
        if self._file is not None:
            self._files.discard(self._file, self._job)


def _absorb(
    digests: Digests, encryptor: Encryptor | None, file: NewData, pieces: list[bytes], last: bool
) -> None:
    data = b"".join(pieces)
    digests.update(data)
    if encryptor is not None:
        data = encryptor.update(data)
    file.append([data])
    if last:
        file.sync()
