"""A data engine in memory, for the contract: nothing of it is durable."""

import asyncio
import itertools
from collections import Counter
from typing import Any

from euca_box.model.s3_errors import InsufficientStorage
from euca_box.objects.blocks import BlockCrcs, is_whole
from euca_box.objects.rows import BLOCK_BYTES


class MemoryNew:
    def __init__(self, engine: "MemoryData", name: str) -> None:
        self.name, self.crcs = name, BlockCrcs()
        self._engine, self._bytes = engine, bytearray()

    def append(self, pieces: Any) -> None:
        for piece in pieces:
            self._engine.require(len(piece))
            self.crcs.update(piece)
            self._bytes += piece

    def sync(self) -> None:
        self._engine.kept[self.name] = bytes(self._bytes)

    def discard(self) -> None:
        self._engine.kept.pop(self.name, None)


class MemoryData:
    def __init__(self, capacity: int) -> None:
        self.kept: dict[str, bytes] = {}
        self._capacity = capacity
        self._names = itertools.count()
        self._handles: dict[int, bytes] = {}
        self._pins: Counter[int] = Counter()
        self._parked: dict[int, list[str]] = {}

    def prepare(self) -> None: ...

    def sweep(self, wanted: set[str]) -> tuple[int, int]:
        found = set(self.kept)
        for name in found - wanted:
            del self.kept[name]
        return len(found - wanted), len(wanted - found)

    async def close(self) -> None: ...

    def run(self, function: Any, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        return asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))

    def require(self, size_bytes: int) -> None:
        if sum(map(len, self.kept.values())) + size_bytes > self._capacity:
            raise InsufficientStorage()

    def release_ballast(self) -> bool:
        return False

    def new_data(self) -> MemoryNew:
        return MemoryNew(self, f"data{next(self._names)}")

    async def settle(self, names: Any) -> None: ...

    def discard(self, data: MemoryNew, job: Any) -> None:
        data.discard()

    def link(self, names: Any) -> list[str]:
        made = [f"data{next(self._names)}" for _ in names]
        self.kept |= {new: self.kept[old] for new, old in zip(made, names, strict=True)}
        return made

    def open(self, name: str) -> int:
        if name not in self.kept:
            raise FileNotFoundError(name)
        handle = next(self._names)
        self._handles[handle] = self.kept[name]
        return handle

    def shut(self, handle: int) -> None:
        del self._handles[handle]

    async def read(self, handle: int, offset: int, length: int) -> bytes:
        return self._handles[handle][offset : offset + length]

    def check(self, piece: Any) -> tuple[int, bytes]:
        data, crcs = self.kept.get(piece.file, b""), BlockCrcs()
        for at in range(0, piece.size_bytes, BLOCK_BYTES):
            block = data[at : at + BLOCK_BYTES]
            if not is_whole(piece, at, block):
                return at, b""
            crcs.update(block)
        return (-1, crcs.value) if piece.file in self.kept else (0, b"")

    def pin(self, generation: int) -> None:
        self._pins[generation] += 1

    def unpin(self, generation: int) -> None:
        self._pins[generation] -= 1
        if not self._pins[generation]:
            for name in self._parked.pop(generation, []):
                self.kept.pop(name, None)

    def release(self, generation: int, names: list[str]) -> None:
        if self._pins[generation]:
            self._parked.setdefault(generation, []).extend(names)
            return
        for name in names:
            self.kept.pop(name, None)

    def is_going(self, generation: int) -> bool:
        return False
