"""A BlockEngine in memory, for simulations; it keeps the same contract. Outlives the role that uses it.

A volume is a dictionary of the units that were written. Deterministic under MockClock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from euca_box.blockstore.engine import (
    COPY_UNIT,
    Checked,
    Connection,
    Copy,
    CopyProgress,
    EngineError,
    Extent,
    FillProgress,
    NoSpace,
    NoSuchVolume,
    RemoteConnection,
    Source,
    StaleGeneration,
    VolumeBusy,
)

Units = dict[int, bytes]
FILLED_AT_ONCE = 1000  # units a call


@dataclass
class _Volume:
    size_bytes: int
    units: Units = field(default_factory=dict)
    generation: int | None = None
    changed: dict[str, set[int]] = field(default_factory=dict)  # since each copy
    missing: set[int] = field(default_factory=set)  # units that only its source has
    unreadable: set[int] = field(default_factory=set)
    is_lazy: bool = False
    key: bytes | None = None
    is_streamed: bool = False  # as its server knows


@dataclass
class _Copy:
    volume_id: str
    size_bytes: int
    units: Units
    told: set[int] | None  # which units it has; None: all
    ready_at: float


class FakeEngine:
    def __init__(self, *, free_bytes: int = 1 << 40) -> None:
        self.broken: str | None = None  # set to make the next call fail with this text
        self.copy_seconds = 0.0
        self.room_bytes = free_bytes
        self._volumes: dict[str, _Volume] = {}
        self._copies: dict[str, _Copy] = {}
        self._sources: dict[str, Source] = {}

    async def volumes(self) -> dict[str, int]:
        await self._enter()
        return {volume_id: volume.size_bytes for volume_id, volume in self._volumes.items()}

    async def create(self, volume_id: str, size_bytes: int, key: bytes | None = None) -> None:
        await self._enter()
        if size_bytes > 1 << 50:
            raise NoSpace("the disk of the storage controller is full")
        there = self._volumes.get(volume_id)
        if there is None or there.size_bytes != size_bytes:
            self._volumes[volume_id] = _Volume(size_bytes, key=key)

    async def create_lazy(self, volume_id: str, size_bytes: int, key: bytes | None = None) -> None:
        await self.create(volume_id, size_bytes, key)
        volume = self._volumes[volume_id]
        if not volume.is_lazy:
            volume.is_lazy, volume.missing = True, set(range(-(-size_bytes // COPY_UNIT)))

    async def unfilled(self) -> set[str]:
        await self._enter()
        return {volume_id for volume_id, volume in self._volumes.items() if volume.is_lazy}

    async def serve_source(
        self, volume_id: str, source: Source, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        self._sources[volume_id] = source
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            del self._sources[volume_id]

    async def fill(self, volume_id: str) -> FillProgress:
        await self._enter()
        volume = self._found(volume_id)
        try:
            for number in sorted(volume.missing)[:FILLED_AT_ONCE]:
                await self._fetch(volume_id, number)
        except OSError as error:
            return FillProgress("failed", reason=str(error))
        volume.is_streamed = not volume.missing
        left, count = len(volume.missing), -(-volume.size_bytes // COPY_UNIT)
        return FillProgress("filling" if left else "filled", 100 * (count - left) // count)

    async def finish_fill(self, volume_id: str) -> None:
        await self._enter()
        volume = self._found(volume_id)
        if volume.is_lazy and not volume.is_streamed:
            raise EngineError(f"{volume_id} is not filled")
        if volume.is_lazy:
            volume.is_lazy, volume.generation = False, None

    async def delete(self, volume_id: str) -> None:
        await self._enter()
        self._volumes.pop(volume_id, None)

    async def grow(self, volume_id: str, size_bytes: int) -> None:
        await self._enter()
        volume = self._found(volume_id)
        if volume.size_bytes < size_bytes:
            if volume.is_lazy:
                raise VolumeBusy(f"{volume_id} is being filled")
            volume.size_bytes, volume.generation = size_bytes, None

    async def export(self, volume_id: str, generation: int, uid: int | None) -> Connection:
        await self._enter()
        volume = self._found(volume_id)
        if volume.generation is not None and volume.generation > generation:
            raise StaleGeneration(f"{volume_id} is held by a newer attachment")
        volume.generation = generation
        return Connection(Path("/nowhere") / volume_id, f"{volume_id}.g{generation}")

    async def export_remotely(
        self, volume_id: str, generation: int, address: str, request: str
    ) -> RemoteConnection:
        found = await self.export(volume_id, generation, None)
        return RemoteConnection(address, 10900, found.export, f"for {generation}", request)

    async def unexport(self, volume_id: str) -> None:
        await self._enter()
        if (volume := self._volumes.get(volume_id)) is not None:
            volume.generation = None

    async def exported(self) -> dict[str, int]:
        await self._enter()
        return {i: v.generation for i, v in self._volumes.items() if v.generation is not None}

    async def begin_copy(self, volume_id: str, copy_id: str, since: str | None) -> bool:
        await self._enter()
        volume = self._found(volume_id)
        if copy_id not in self._copies:
            for number in sorted(volume.missing):
                await self._fetch(volume_id, number)
            told = None if since is None else volume.changed.get(since)
            units = volume.units if told is None else {n: volume.units[n] for n in told if n in volume.units}
            ready_at = trio.current_time() + self.copy_seconds
            told = None if told is None else set(told)
            self._copies[copy_id] = _Copy(volume_id, volume.size_bytes, dict(units), told, ready_at)
            volume.changed[copy_id] = set()
        return self._copies[copy_id].told is not None

    async def copy_progress(self, volume_id: str, copy_id: str) -> CopyProgress:
        await self._enter()
        if (copy := self._copies.get(copy_id)) is None:
            return CopyProgress("absent", reason="the storage daemon ended while it was taken")
        if trio.current_time() < copy.ready_at:
            return CopyProgress("copying", 50)
        return CopyProgress("copied", 100)

    async def open_copy(self, copy_id: str) -> Copy:
        await self._enter()
        return _OpenCopy(self._copies[copy_id])

    async def drop_copy(self, volume_id: str, copy_id: str) -> None:
        await self._enter()
        self._copies.pop(copy_id, None)

    async def copies(self) -> set[str]:
        await self._enter()
        return set(self._copies)

    async def check(self, volume_id: str, start: int, budget_bytes: int) -> Checked:
        await self._enter()
        volume = self._found(volume_id)
        numbers = [n for n in sorted(volume.units) if n * COPY_UNIT >= start]
        count = max(budget_bytes // COPY_UNIT, 1)
        bad = tuple((n * COPY_UNIT, COPY_UNIT) for n in numbers[:count] if n in volume.unreadable)
        following = numbers[count] * COPY_UNIT if len(numbers) > count else None
        return Checked(following, len(numbers[:count]) * COPY_UNIT, bad)

    async def free_bytes(self) -> int:
        await self._enter()
        return self.room_bytes

    async def used_bytes(self, volume_id: str) -> int:
        await self._enter()
        return len(self._found(volume_id).units) * COPY_UNIT

    # What a guest, a test, or fate does.

    def write(self, connection: Connection, offset: int, data: bytes) -> None:
        """As the guest that has this connection. Raises OSError when it was cut off."""
        self.put(self._held(connection), offset, data)

    async def read_lazily(self, connection: Connection, offset: int, length: int) -> bytes:
        """As `read`, of a volume that may not be filled."""
        for number in range(offset // COPY_UNIT, (offset + length - 1) // COPY_UNIT + 1):
            if number in self._held(connection).missing:
                await self._fetch(connection.socket.name, number)
        return self.read(connection, offset, length)

    async def write_lazily(self, connection: Connection, offset: int, data: bytes) -> None:
        await self.read_lazily(connection, offset, len(data))
        self.write(connection, offset, data)

    def read(self, connection: Connection, offset: int, length: int) -> bytes:
        """Raises OSError."""
        return _bytes_of(self._held(connection).units, offset, length)

    def crash(self, volume_id: str) -> None:
        """Its server dies: exports, copies that go on, and what is known of changes."""
        volume = self._volumes[volume_id]
        volume.generation, volume.is_streamed = None, False
        volume.changed.clear()
        for copy_id, copy in list(self._copies.items()):
            if copy.volume_id == volume_id and copy.ready_at > trio.current_time():
                del self._copies[copy_id]

    def put(self, volume: _Volume, offset: int, data: bytes) -> None:
        while data:
            number, place = divmod(offset, COPY_UNIT)
            piece = data[: COPY_UNIT - place]
            unit = bytearray(volume.units.get(number, bytes(COPY_UNIT)))
            unit[place : place + len(piece)] = piece
            volume.units[number] = bytes(unit)
            for changed in volume.changed.values():
                changed.add(number)
            data, offset = data[len(piece) :], offset + len(piece)

    async def _fetch(self, volume_id: str, number: int) -> None:
        volume, start = self._volumes[volume_id], number * COPY_UNIT
        if volume_id not in self._sources:
            raise OSError("its source is not there")
        length = min(COPY_UNIT, volume.size_bytes - start)
        has_data, alike = self._sources[volume_id].data_at(start)
        if has_data or alike < length:
            data = await self._sources[volume_id].read(start, length)
            if number in volume.missing and any(data):
                volume.units[number] = data.ljust(COPY_UNIT, b"\0")
        volume.missing.discard(number)

    def _held(self, connection: Connection) -> _Volume:
        volume = self._volumes.get(connection.socket.name)
        if volume is None or connection.export != f"{connection.socket.name}.g{volume.generation}":
            raise OSError("the export is gone")
        return volume

    def _found(self, volume_id: str) -> _Volume:
        if (volume := self._volumes.get(volume_id)) is None:
            raise NoSuchVolume(f"there is no volume {volume_id}")
        return volume

    async def _enter(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.broken is not None:
            reason, self.broken = self.broken, None
            raise EngineError(reason)


class _OpenCopy:
    def __init__(self, copy: _Copy) -> None:
        self._copy = copy
        self.extents: Sequence[Extent] = tuple(_extents(copy))

    def read(self, offset: int, length: int) -> bytes:
        return _bytes_of(self._copy.units, offset, length)

    def close(self) -> None:
        pass


def _extents(copy: _Copy) -> list[Extent]:
    found: list[Extent] = []
    for start in range(0, copy.size_bytes, COPY_UNIT):
        number = start // COPY_UNIT
        told = copy.told is None or number in copy.told
        kind = "same" if not told else "data" if number in copy.units else "zero"
        length = min(COPY_UNIT, copy.size_bytes - start)
        if found and found[-1].kind == kind:
            found[-1] = Extent(found[-1].start, found[-1].length + length, found[-1].kind)
        else:
            found.append(Extent(start, length, kind))  # type: ignore[arg-type]
    return found


def _bytes_of(units: Units, offset: int, length: int) -> bytes:
    parts, end = [], offset + length
    while offset < end:
        number, place = divmod(offset, COPY_UNIT)
        size = min(COPY_UNIT - place, end - offset)
        unit = units.get(number)
        parts.append(bytes(size) if unit is None else unit[place : place + size])
        offset += size
    return b"".join(parts)
