"""Log lines on their way: none is lost between adding and delivering, whatever ends the process."""

import asyncio
from pathlib import Path

import pytest

from euca_box.api.s3 import log_spool
from euca_box.api.s3.log_spool import Spool

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def spooled(spool: Spool) -> dict[bytes, bytes]:
    await spool.finish()
    found: dict[bytes, bytes] = {}
    for path in spool.finished():
        for label, text in (await spool.read(path)).items():
            found[label] = found.get(label, b"") + text
    return found


async def test_lines_are_told_apart_by_their_label(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "logs")
    for n in range(3):
        spool.add(b'{"a"}', b"line %d\ta\n" % n)
        spool.add(b'{"b"}', b"other %d\n" % n)
    assert await spooled(spool) == {
        b'{"a"}': b"line 0\ta\nline 1\ta\nline 2\ta\n",
        b'{"b"}': b"other 0\nother 1\nother 2\n",
    }
    assert oct((tmp_path / "logs").stat().st_mode)[-3:] == "700"
    assert all(oct(path.stat().st_mode)[-3:] == "600" for path in spool.finished())


async def test_what_an_earlier_process_left_is_delivered_and_a_torn_line_is_not(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add(b"a", b"whole\n")
    await spool._writing if spool._writing else None
    assert spool._path is not None
    with spool._path.open("ab") as file:
        file.write(b"a\tto")
    (tmp_path / "00001.new").write_bytes(b"half")  # killed while a file was replaced
    assert await spooled(Spool(tmp_path)) == {b"a": b"whole\n"}


async def test_lines_that_come_while_files_are_finished_are_in_the_next_one(tmp_path: Path) -> None:
    spool, seen = Spool(tmp_path), []

    async def deliver() -> None:
        await spool.finish()
        for path in spool.finished():
            seen.extend((await spool.read(path)).get(b"a", b"").splitlines())
            await spool.keep(path, {})

    async def add() -> None:
        for n in range(500):
            spool.add(b"a", b"%d\n" % n)
            await asyncio.sleep(0.0005)

    adding = asyncio.create_task(add())
    while not adding.done():
        await asyncio.sleep(0.002)
        await deliver()
    await deliver()
    assert sorted(map(int, seen)) == list(range(500))


async def test_a_large_file_is_finished_and_the_whole_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_spool, "FILE_BYTES", 100)
    monkeypatch.setattr(log_spool, "MOST_BYTES", 250)
    spool = Spool(tmp_path)
    for _ in range(5):
        spool.add(b"a", b"x" * 97 + b"\n")
        async with spool._lock:
            await spool._write()
    assert [path.stat().st_size for path in spool.finished()] == [100, 100]
    await spool.keep(spool.finished()[0], {})
    spool.add(b"a", b"fits again\n")
    assert (await spooled(spool))[b"a"].endswith(b"fits again\n")


async def test_a_full_disk_costs_the_lines_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, real = Spool(tmp_path), log_spool._append

    def full(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log_spool, "_append", full)
    spool.add(b"a", b"lost\n")
    await spool.finish()
    monkeypatch.setattr(log_spool, "_append", real)
    spool.add(b"a", b"kept\n")
    assert await spooled(spool) == {b"a": b"kept\n"}
