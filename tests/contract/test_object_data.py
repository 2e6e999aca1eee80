"""What every engine for the bytes of objects promises; run on that of the cloud and on one in memory."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from euca_box.model.s3_errors import InsufficientStorage
from euca_box.objects.data import DataEngine
from euca_box.objects.files import Files
from euca_box.objects.rows import BLOCK_BYTES, MIB, Piece
from euca_box.objects.space import Space
from tests.contract.memory_data import MemoryData

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["files", "memory"])
async def engine(request: Any, tmp_path: Path) -> AsyncIterator[DataEngine]:
    files = Files(tmp_path / "objects", Space(tmp_path, MIB, MIB))
    engine: DataEngine = files if request.param == "files" else MemoryData(64 * MIB)
    engine.prepare()
    yield engine
    await engine.close()


async def given(engine: DataEngine, data: bytes) -> Piece:
    """Data of these bytes, as an upload writes it."""
    new = engine.new_data()
    await engine.run(new.append, [data[:100], data[100:]])
    await engine.run(new.sync)
    await engine.settle([new.name])
    return Piece(new.name, len(data), new.crcs.value)


async def bytes_of(engine: DataEngine, name: str, offset: int = 0, length: int = 1 << 30) -> bytes:
    handle = engine.open(name)
    try:
        return bytes(await engine.read(handle, offset, min(length, 10 * MIB)))
    finally:
        engine.shut(handle)


async def is_there(engine: DataEngine, name: str) -> bool:
    while any(engine.is_going(generation) for generation in (-1, 1, 2)):
        await asyncio.sleep(0)
    try:
        engine.shut(engine.open(name))
    except FileNotFoundError:
        return False
    return True


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 7])
async def test_what_was_written_is_read_from_any_place(engine: DataEngine, size: int) -> None:
    data = os.urandom(size)
    piece = await given(engine, data)
    assert await bytes_of(engine, piece.file) == data
    for offset, length in ((0, 5), (size // 2, 3), (max(size - 2, 0), 50), (size + 9, 4)):
        assert await bytes_of(engine, piece.file, offset, length) == data[offset : offset + length]


async def test_a_name_is_never_given_twice(engine: DataEngine) -> None:
    first = await given(engine, b"a")
    engine.release(1, [first.file])
    assert not await is_there(engine, first.file)
    names = {(await given(engine, b"b")).file for _ in range(50)}
    assert len(names | {first.file}) == 51


async def test_a_pinned_generation_stays_until_the_last_reader_is_done(engine: DataEngine) -> None:
    piece = await given(engine, b"data")
    engine.pin(1)
    engine.pin(1)
    engine.release(1, [piece.file])
    assert await is_there(engine, piece.file)
    engine.unpin(1)
    assert await bytes_of(engine, piece.file) == b"data"
    engine.unpin(1)
    assert not await is_there(engine, piece.file)


async def test_an_open_handle_reads_on_when_the_data_was_removed(engine: DataEngine) -> None:
    piece = await given(engine, b"data")
    handle = engine.open(piece.file)
    engine.release(2, [piece.file])
    assert not await is_there(engine, piece.file)
    assert bytes(await engine.read(handle, 0, 4)) == b"data"
    engine.shut(handle)


async def test_a_link_has_the_bytes_whatever_becomes_of_the_first_name(engine: DataEngine) -> None:
    piece = await given(engine, b"data")
    [link] = await engine.run(engine.link, [piece.file])
    await engine.settle([link])
    engine.release(1, [piece.file])
    assert not await is_there(engine, piece.file)
    assert await bytes_of(engine, link) == b"data"


async def test_a_sweep_leaves_what_is_wanted_and_says_what_is_missing(engine: DataEngine) -> None:
    kept, left = await given(engine, b"kept"), await given(engine, b"left behind")
    assert await engine.run(engine.sweep, {kept.file, "ab/missing"}) == (1, 1)
    assert await bytes_of(engine, kept.file) == b"kept"
    assert not await is_there(engine, left.file)


async def test_a_check_tells_the_first_block_that_is_not_as_it_was_written(engine: DataEngine) -> None:
    piece = await given(engine, os.urandom(3 * BLOCK_BYTES))
    assert await engine.run(engine.check, piece) == (-1, piece.crcs)
    wrong = piece.crcs[:4] + bytes(8)
    assert (await engine.run(engine.check, Piece(piece.file, piece.size_bytes, wrong)))[0] == BLOCK_BYTES
    assert (await engine.run(engine.check, Piece(piece.file, piece.size_bytes + 1, b"")))[0] > 0
    assert (await engine.run(engine.check, Piece("ab/missing", 5, b"")))[0] == 0


async def test_what_is_given_up_leaves_nothing(engine: DataEngine) -> None:
    new = engine.new_data()
    job = engine.run(new.append, [b"x" * MIB])
    engine.discard(new, job)
    await asyncio.wait([job])
    await engine.close()
    with pytest.raises(FileNotFoundError):
        engine.open(new.name)


async def test_no_room_is_said_before_anything_is_written(engine: DataEngine) -> None:
    engine.require(1)
    with pytest.raises(InsufficientStorage):
        engine.require(1 << 60)
