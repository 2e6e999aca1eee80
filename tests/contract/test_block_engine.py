"""What a storage controller may rely on, from the fake and from files with real storage daemons alike."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from euca_box.auth.secrets import Sealer
from euca_box.blockstore.engine import COPY_UNIT, EngineError, NoSuchVolume, StaleGeneration
from euca_box.blockstore.fake import FakeEngine
from euca_box.blockstore.files import FileEngine

pytestmark = pytest.mark.trio

MIB = 1 << 20
SEALER = Sealer(bytes(32))
KEY = bytes(range(32))
SIZE = 64 * MIB


class FakeWorld:
    def __init__(self) -> None:
        self.engine = FakeEngine()

    async def restarted(self):
        """The engine of the next process."""
        return self.engine

    async def write(self, connection, offset, data) -> None:
        await self.engine.write_lazily(connection, offset, data)

    async def read(self, connection, offset, length) -> bytes:
        return await self.engine.read_lazily(connection, offset, length)

    async def crash(self, volume_id) -> None:
        self.engine.crash(volume_id)


class FileWorld:
    """Real files, real daemons; qemu-io is the guest."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run = (
            folder,
            Path("/run" if os.geteuid() == 0 else "/tmp") / f"eb{uuid.uuid4().hex[:8]}",
        )
        self.engine = FileEngine(folder, self.run, sealer=SEALER)

    async def restarted(self):
        self.engine = FileEngine(self.folder, self.run, sealer=SEALER)
        return self.engine

    async def write(self, connection, offset, data) -> None:
        pattern = Path(tempfile.mkstemp(dir=self.folder)[1])
        pattern.write_bytes(data)
        await self._io(connection, f"write -s {pattern} {offset} {len(data)}")

    async def read(self, connection, offset, length) -> bytes:
        out = await self._io(connection, f"read -v {offset} {length}")
        lines = [line for line in out.splitlines() if line[8:9] == ":"]
        return b"".join(bytes.fromhex(line[9:58].replace(" ", "")) for line in lines)

    async def crash(self, volume_id) -> None:
        pid = int((self.run / volume_id / "pid").read_text())
        os.kill(pid, signal.SIGKILL)
        with trio.fail_after(10):
            while (self.run / volume_id / "pid").exists() and _lives(pid):
                await trio.sleep(0.01)

    async def _io(self, connection, command) -> str:
        uri = f"nbd+unix:///{connection.export}?socket={connection.socket}"
        argv = ["qemu-io", "-f", "raw", "-c", command, uri]
        done = await trio.run_process(argv, capture_stdout=True, capture_stderr=True, check=False)
        if done.returncode != 0 or b"failed" in done.stdout:
            raise OSError((done.stdout + done.stderr).decode())
        return done.stdout.decode()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@asynccontextmanager
async def fake_world(tmp_path):
    yield FakeWorld()


@asynccontextmanager
async def file_world(tmp_path):
    world = FileWorld(tmp_path)
    try:
        yield world
    finally:
        for volume_id in await world.engine.volumes():
            await world.engine.delete(volume_id)
        left = [p.name for p in world.run.iterdir()]
        shutil.rmtree(world.run)
        assert left == []


NEEDS = pytest.mark.skipif(shutil.which("qemu-storage-daemon") is None, reason="needs qemu-storage-daemon")


@pytest.fixture(params=[fake_world, pytest.param(file_world, marks=NEEDS)], ids=["fake", "files"])
async def world(request, tmp_path):
    async with request.param(tmp_path) as made:
        yield made


async def copied(engine, volume_id, copy_id, since=None):
    """The opened copy, and whether it tells changes only."""
    changes = await engine.begin_copy(volume_id, copy_id, since)
    with trio.fail_after(20):
        while (await engine.copy_progress(volume_id, copy_id)).state == "copying":
            await trio.sleep(0.01)
    return await engine.open_copy(copy_id), changes


def data_of(copy) -> dict[int, bytes]:
    """Unit -> its bytes, of all units that the copy has."""
    found = {}
    for extent in copy.extents:
        if extent.kind == "data":
            for number in range(extent.start // COPY_UNIT, -(-(extent.start + extent.length) // COPY_UNIT)):
                found[number] = copy.read(number * COPY_UNIT, COPY_UNIT)
    return found


async def test_a_new_volume_is_of_its_size_and_of_zeros(world):
    await world.engine.create("vol-1", SIZE)
    await world.engine.create("vol-1", SIZE)
    assert await world.engine.volumes() == {"vol-1": SIZE}
    connection = await world.engine.export("vol-1", 1, None)
    assert await world.read(connection, SIZE - 512, 512) == bytes(512)


async def test_what_its_holder_wrote_the_next_one_reads(world):
    await world.engine.create("vol-1", SIZE)
    first = await world.engine.export("vol-1", 1, None)
    await world.write(first, 3 * MIB, b"x" * 4096)
    await world.engine.unexport("vol-1")
    assert await world.engine.exported() == {}
    second = await world.engine.export("vol-1", 2, None)
    assert await world.read(second, 3 * MIB, 4096) == b"x" * 4096


async def test_a_newer_holder_cuts_off_the_older_one(world):
    await world.engine.create("vol-1", SIZE)
    old = await world.engine.export("vol-1", 1, None)
    new = await world.engine.export("vol-1", 2, None)
    with pytest.raises(OSError, match=r"gone|refused|not found|No such|failed|does not exist|available"):
        await world.write(old, 0, b"o" * 512)
    await world.write(new, 0, b"n" * 512)
    assert await world.read(new, 0, 512) == b"n" * 512
    with pytest.raises(StaleGeneration):
        await world.engine.export("vol-1", 1, None)


async def test_an_export_outlives_its_process_and_is_adopted(world):
    await world.engine.create("vol-1", SIZE)
    before = await world.engine.export("vol-1", 4, None)
    engine = await world.restarted()
    assert await engine.exported() == {"vol-1": 4}
    await world.write(before, 0, b"a" * 512)
    assert await engine.export("vol-1", 4, None) == before


async def test_a_dead_server_is_replaced_at_the_same_place(world):
    await world.engine.create("vol-1", SIZE)
    before = await world.engine.export("vol-1", 1, None)
    await world.write(before, 0, b"a" * 512)
    await world.crash("vol-1")
    assert await world.engine.exported() == {}
    assert await world.engine.export("vol-1", 1, None) == before
    assert await world.read(before, 0, 512) == b"a" * 512


async def test_a_deleted_volume_is_gone_and_the_next_of_its_name_is_of_zeros(world):
    await world.engine.create("vol-1", SIZE)
    connection = await world.engine.export("vol-1", 1, None)
    await world.write(connection, 0, b"secret!!" * 64)
    await world.engine.delete("vol-1")
    await world.engine.delete("vol-1")
    assert await world.engine.volumes() == {}
    with pytest.raises(OSError, match=r"gone|refused|not found|No such|failed|does not exist|available"):
        await world.read(connection, 0, 512)
    with pytest.raises(NoSuchVolume):
        await world.engine.export("vol-1", 1, None)
    await world.engine.create("vol-1", SIZE)
    connection = await world.engine.export("vol-1", 1, None)
    assert await world.read(connection, 0, 512) == bytes(512)


async def test_a_volume_that_nobody_holds_grows_by_zeros(world):
    await world.engine.create("vol-1", SIZE)
    await world.engine.grow("vol-1", 2 * SIZE)
    await world.engine.grow("vol-1", 2 * SIZE)
    assert await world.engine.volumes() == {"vol-1": 2 * SIZE}
    connection = await world.engine.export("vol-1", 1, None)
    assert await world.read(connection, 2 * SIZE - 512, 512) == bytes(512)


async def test_a_volume_that_is_held_grows_and_its_holder_comes_back(world):
    await world.engine.create("vol-1", SIZE)
    connection = await world.engine.export("vol-1", 3, None)
    await world.write(connection, 0, b"before")
    await world.engine.grow("vol-1", 2 * SIZE)
    assert await world.engine.exported() == {}
    assert await world.engine.export("vol-1", 3, None) == connection
    assert await world.read(connection, 0, 512) == b"before" + bytes(506)
    await world.write(connection, 2 * SIZE - 512, b"e" * 512)


async def test_a_copy_is_the_volume_as_it_was_at_its_moment(world):
    await world.engine.create("vol-1", SIZE)
    connection = await world.engine.export("vol-1", 1, None)
    await world.write(connection, 5 * MIB, b"1" * MIB)
    await world.engine.begin_copy("vol-1", "snap-1", None)
    await world.write(connection, 5 * MIB, b"2" * MIB)
    copy, changes = await copied(world.engine, "vol-1", "snap-1")
    assert not changes
    assert data_of(copy) == {5: b"1" * MIB}
    assert sum(extent.length for extent in copy.extents) == SIZE
    copy.close()
    assert await world.read(connection, 5 * MIB, 512) == b"2" * 512


async def test_the_next_copy_has_what_changed_since_and_tells_zeros_from_what_is_the_same(world):
    await world.engine.create("vol-1", SIZE)
    connection = await world.engine.export("vol-1", 1, None)
    await world.write(connection, 5 * MIB, b"1" * 2 * MIB)
    first, _ = await copied(world.engine, "vol-1", "snap-1")
    first.close()
    await world.engine.drop_copy("vol-1", "snap-1")
    await world.write(connection, 9 * MIB + 8192, b"2" * 4096)
    second, changes = await copied(world.engine, "vol-1", "snap-2", since="snap-1")
    assert changes
    assert data_of(second).keys() == {9}
    assert data_of(second)[9] == bytes(8192) + b"2" * 4096 + bytes(MIB - 12288)
    assert {e.kind for e in second.extents if not 9 * MIB <= e.start < 10 * MIB} == {"same"}
    second.close()
    assert await world.engine.copies() == {"snap-2"}


async def test_a_copy_since_one_that_was_forgotten_is_full(world):
    await world.engine.create("vol-1", SIZE)
    connection = await world.engine.export("vol-1", 1, None)
    await world.write(connection, 0, b"1" * MIB)
    copy, _ = await copied(world.engine, "vol-1", "snap-1")
    copy.close()
    await world.crash("vol-1")
    copy, changes = await copied(world.engine, "vol-1", "snap-2", since="snap-1")
    assert not changes
    assert data_of(copy) == {0: b"1" * MIB}


async def test_a_volume_that_nobody_holds_can_be_copied(world):
    await world.engine.create("vol-1", SIZE)
    connection = await world.engine.export("vol-1", 1, None)
    await world.write(connection, 2 * MIB, b"f" * MIB)
    await world.engine.unexport("vol-1")
    copy, _ = await copied(world.engine, "vol-1", "snap-1")
    assert data_of(copy) == {2: b"f" * MIB}
    await world.engine.drop_copy("vol-1", "snap-1")
    assert await world.engine.copies() == set()


async def test_a_copy_that_goes_on_can_be_dropped(world):
    await world.engine.create("vol-1", SIZE)
    connection = await world.engine.export("vol-1", 1, None)
    await world.engine.begin_copy("vol-1", "snap-1", None)
    await world.engine.drop_copy("vol-1", "snap-1")
    assert await world.engine.copies() == set()
    assert (await world.engine.copy_progress("vol-1", "snap-1")).state == "absent"
    await world.write(connection, 0, b"a" * 512)


class Bytes:
    """A source: units by number, and how often each was read. `broken` ones cannot be had."""

    def __init__(self, units: dict[int, bytes], broken=()) -> None:
        self.units, self.broken, self.reads = units, set(broken), []

    async def read(self, offset, length):
        found = b""
        for number in range(offset // MIB, -(-(offset + length) // MIB)):
            self.reads.append(number)
            await trio.lowlevel.checkpoint()
            if number in self.broken:
                raise OSError("damaged")
            found += self.units.get(number, bytes(MIB))
        return found[offset % MIB :][:length]

    def data_at(self, offset):
        number = offset // MIB
        there = number in self.units
        while (number in self.units) == there and number < SIZE // MIB:
            number += 1
        return there, number * MIB - offset


UNITS = {n: bytes([n + 1]) * MIB for n in (0, 1, 2, 5, 30, 63)}


@asynccontextmanager
async def served(world, source):
    async with trio.open_nursery() as nursery:
        await nursery.start(world.engine.serve_source, "vol-1", source)
        yield
        nursery.cancel_scope.cancel()


async def until_filled(world):
    with trio.fail_after(20):
        while (found := await world.engine.fill("vol-1")).state == "filling":
            await trio.sleep(0.01)
    return found


async def test_a_lazy_volume_has_its_bytes_before_they_are_here_and_keeps_them(world):
    await world.engine.create_lazy("vol-1", SIZE)
    await world.engine.create_lazy("vol-1", SIZE)
    source = Bytes(UNITS)
    async with served(world, source):
        connection = await world.engine.export("vol-1", 1, None)
        assert await world.read(connection, 5 * MIB + 512, 512) == bytes([6]) * 512
        assert await world.read(connection, 7 * MIB, 512) == bytes(512)
        await world.write(connection, 30 * MIB + 4096, b"w" * 4096)
        await world.write(connection, 40 * MIB, b"v" * 4096)
        assert await world.read(connection, 30 * MIB + 8192, 512) == bytes([31]) * 512
        assert await world.engine.unfilled() == {"vol-1"}
        assert (await until_filled(world)).state == "filled"
        assert set(source.reads) <= UNITS.keys() | {7, 40}  # zeros are not fetched
        await world.engine.finish_fill("vol-1")
        await world.engine.finish_fill("vol-1")
    assert await world.engine.unfilled() == set()
    connection = await world.engine.export("vol-1", 1, None)
    for number, data in UNITS.items():
        assert await world.read(connection, number * MIB, 4096) == data[:4096]
    assert await world.read(connection, 30 * MIB + 4096, 4096) == b"w" * 4096
    assert await world.read(connection, 40 * MIB, 4096) == b"v" * 4096
    assert await world.read(connection, 41 * MIB, 4096) == bytes(4096)


async def test_a_lazy_volume_goes_on_after_its_server_died_with_all_that_was_written(world):
    await world.engine.create_lazy("vol-1", SIZE)
    async with served(world, Bytes(UNITS)):
        connection = await world.engine.export("vol-1", 1, None)
        await world.write(connection, 4096, b"w" * 4096)
        await world.write(connection, 40 * MIB, b"v" * 4096)
        await world.crash("vol-1")
        connection = await world.engine.export("vol-1", 1, None)
        assert await world.read(connection, 4096, 4096) == b"w" * 4096
        assert await world.read(connection, 40 * MIB, 4096) == b"v" * 4096
        assert await world.read(connection, 8192, 512) == bytes([1]) * 512
        await until_filled(world)
        await world.crash("vol-1")
        with pytest.raises(EngineError):  # the daemon that knew is gone: it is filled again
            await world.engine.finish_fill("vol-1")
        await until_filled(world)
        await world.engine.finish_fill("vol-1")
    connection = await world.engine.export("vol-1", 1, None)
    assert await world.read(connection, 4096, 4096) == b"w" * 4096
    assert await world.read(connection, 63 * MIB, 512) == bytes([64]) * 512


async def test_what_its_source_cannot_give_is_an_error_and_never_other_bytes(world):
    await world.engine.create_lazy("vol-1", SIZE)
    source = Bytes(UNITS, broken={5})
    async with served(world, source):
        connection = await world.engine.export("vol-1", 1, None)
        with pytest.raises(OSError, match=r"damaged|failed|error"):
            await world.read(connection, 5 * MIB, 512)
        assert (await until_filled(world)).state == "failed"
        with pytest.raises(EngineError):
            await world.engine.finish_fill("vol-1")
        source.broken.clear()
        assert (await until_filled(world)).state == "filled"
        assert await world.read(connection, 5 * MIB, 512) == bytes([6]) * 512


async def test_a_lazy_volume_is_copied_as_if_all_were_there_and_does_not_grow(world):
    await world.engine.create_lazy("vol-1", SIZE)
    async with served(world, Bytes(UNITS)):
        connection = await world.engine.export("vol-1", 1, None)
        await world.write(connection, 0, b"w" * MIB)
        copy, _ = await copied(world.engine, "vol-1", "snap-1")
        assert data_of(copy) == {**UNITS, 0: b"w" * MIB}
        copy.close()
        with pytest.raises(EngineError):
            await world.engine.grow("vol-1", 2 * SIZE)
        await world.engine.drop_copy("vol-1", "snap-1")


@NEEDS
async def test_zeros_that_are_written_to_a_lazy_volume_are_zeros_in_its_file(tmp_path):
    async with file_world(tmp_path) as world:
        await world.engine.create_lazy("vol-1", SIZE)
        async with served(world, Bytes(UNITS)):
            connection = await world.engine.export("vol-1", 1, None)
            await world.write(connection, 8 * MIB, b"w" * MIB)
            await world._io(connection, f"write -z {8 * MIB} {MIB}")
            await world._io(connection, f"write -z {5 * MIB} {MIB}")
            await world._io(connection, f"write -z {2 * MIB + 65536} 65536")
            await world._io(connection, f"discard {MIB} {MIB}")
            await until_filled(world)
            expected = [await world.read(connection, n * MIB, 131072) for n in range(10)]
            await world.engine.finish_fill("vol-1")
        raw = (tmp_path / "volumes" / "vol-1.raw").read_bytes()
        assert [raw[n * MIB :][:131072] for n in range(10)] == expected
        assert raw[5 * MIB : 6 * MIB] == raw[8 * MIB : 9 * MIB] == bytes(MIB)


async def test_an_enciphered_volume_is_used_grown_and_copied_like_any_other(world):
    await world.engine.create("vol-1", SIZE, KEY)
    await world.engine.create("vol-1", SIZE, KEY)
    assert await world.engine.volumes() == {"vol-1": SIZE}
    connection = await world.engine.export("vol-1", 1, None)
    assert await world.read(connection, 3 * MIB, 4096) == bytes(4096)
    await world.write(connection, 5 * MIB, b"1" * MIB)
    first, _ = await copied(world.engine, "vol-1", "snap-1")
    assert data_of(first) == {5: b"1" * MIB}
    first.close()
    await world.engine.drop_copy("vol-1", "snap-1")
    await world.write(connection, 9 * MIB, b"2" * 4096)
    second, changes = await copied(world.engine, "vol-1", "snap-2", since="snap-1")
    assert changes
    assert data_of(second) == {9: b"2" * 4096 + bytes(MIB - 4096)}
    second.close()
    await world.crash("vol-1")
    connection = await world.engine.export("vol-1", 1, None)
    assert await world.read(connection, 9 * MIB, 4096) == b"2" * 4096
    await world.engine.drop_copy("vol-1", "snap-2")
    await world.engine.grow("vol-1", 2 * SIZE)
    assert await world.engine.volumes() == {"vol-1": 2 * SIZE}
    connection = await world.engine.export("vol-1", 1, None)
    assert await world.read(connection, 2 * SIZE - 4096, 4096) == bytes(4096)
    await world.write(connection, 2 * SIZE - 4096, b"e" * 4096)
    await world.engine.unexport("vol-1")
    await world.engine.grow("vol-1", 3 * SIZE)
    connection = await world.engine.export("vol-1", 2, None)
    assert await world.read(connection, 2 * SIZE - 4096, 4096) == b"e" * 4096
    assert await world.read(connection, 5 * MIB, 512) == b"1" * 512
    await world.engine.unexport("vol-1")


async def test_an_enciphered_volume_is_filled_from_its_source(world):
    await world.engine.create_lazy("vol-1", SIZE, KEY)
    async with served(world, Bytes(UNITS)):
        connection = await world.engine.export("vol-1", 1, None)
        await world.write(connection, 30 * MIB + 4096, b"w" * 4096)
        await until_filled(world)
        await world.engine.finish_fill("vol-1")
    assert await world.engine.unfilled() == set()
    connection = await world.engine.export("vol-1", 1, None)
    for number, data in UNITS.items():
        assert await world.read(connection, number * MIB, 4096) == data[:4096]
    assert await world.read(connection, 30 * MIB + 4096, 4096) == b"w" * 4096
    assert await world.read(connection, 41 * MIB, 4096) == bytes(4096)


@NEEDS
async def test_nothing_that_was_written_to_an_enciphered_volume_is_on_the_disk_and_its_key_goes_with_it(
    tmp_path,
):
    async with file_world(tmp_path) as world:
        await world.engine.create("vol-1", SIZE, KEY)
        connection = await world.engine.export("vol-1", 1, None)
        words = b"a secret of the guest " * 50000
        await world.write(connection, 5 * MIB, words[:MIB])
        await world.engine.begin_copy("vol-1", "snap-1", None)
        copy, _ = await copied(world.engine, "vol-1", "snap-1")
        assert copy.read(5 * MIB, 66) == words[:66]
        argv = Path(f"/proc/{int((world.run / 'vol-1' / 'pid').read_text())}/cmdline").read_bytes()
        assert KEY.hex().encode() not in argv
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert {path.suffix for path in files} == {".raw", ".map", ".key", ".qcow2", ""}
        for path in files:
            assert path.suffix == "" or b"secret of the guest" not in path.read_bytes(), path
            assert KEY.hex().encode() not in path.read_bytes()
            assert path.stat().st_mode & 0o077 == 0 or path.suffix == "", path
        copy.close()
        await world.engine.drop_copy("vol-1", "snap-1")
        await world.engine.delete("vol-1")
        assert [path for path in tmp_path.rglob("*") if path.suffix] == []


@NEEDS
async def test_a_volume_whose_key_does_not_open_is_refused_with_the_reason(tmp_path):
    async with file_world(tmp_path) as world:
        await world.engine.create("vol-1", SIZE, KEY)
        other = FileEngine(tmp_path, world.run, sealer=Sealer(b"o" * 32))
        with pytest.raises(EngineError, match="master key"):
            await other.export("vol-1", 1, None)


async def test_a_volume_that_is_not_there_is_no_export_and_no_copy_and_is_not_filled(world):
    for call in (
        lambda: world.engine.export("vol-1", 1, None),
        lambda: world.engine.begin_copy("vol-1", "snap-1", None),
        lambda: world.engine.fill("vol-1"),
        lambda: world.engine.finish_fill("vol-1"),
        lambda: world.engine.grow("vol-1", SIZE),
    ):
        with pytest.raises(NoSuchVolume):
            await call()
    await world.engine.unexport("vol-1")
    await world.engine.drop_copy("vol-1", "snap-1")


async def test_more_than_there_can_be_is_refused_and_leaves_nothing(world):
    with pytest.raises(EngineError):
        await world.engine.create("vol-1", 1 << 60)
    assert await world.engine.volumes() == {}


@NEEDS
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_daemons_run_as_their_own_user_and_an_export_is_closed_to_all_but_its_holder(tmp_path):
    tmp_path.chmod(0o711)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o711)
    run = Path(f"/run/eb{uuid.uuid4().hex[:8]}")
    engine = FileEngine(tmp_path, run, uid=65501)
    await engine.create("vol-1", SIZE)
    connection = await engine.export("vol-1", 1, 65502)
    try:
        status = Path(f"/proc/{int((run / 'vol-1' / 'pid').read_text())}/status").read_text()
        assert "Uid:\t65501\t65501\t65501\t65501" in status
        uri = f"nbd+unix:///{connection.export}?socket={connection.socket}"
        argv = ["qemu-io", "-f", "raw", "-c", "read 0 512", uri]
        tried = {
            uid: subprocess.run(argv, user=uid, group=uid, extra_groups=(), capture_output=True, cwd="/")
            for uid in (65502, 65503)
        }
        assert b"read 512/512" in tried[65502].stdout
        assert b"Permission denied" in tried[65503].stderr
    finally:
        await engine.delete("vol-1")
        shutil.rmtree(run)


def fill_up(ballast: Path) -> None:
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(MIB)):
            pass


@NEEDS
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_a_full_disk_fails_the_copy_and_what_is_new_and_loses_nothing(tmp_path):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "euca-box-test", tmp_path], check=True)
    world = FileWorld(tmp_path)
    engine = world.engine
    try:
        await engine.create("vol-1", SIZE)
        connection = await engine.export("vol-1", 1, None)
        for number in range(28):
            await world._io(connection, f"write -P {number + 1} {number * MIB} {MIB}")

        await engine.begin_copy("vol-1", "snap-1", None)
        with trio.fail_after(20):
            while (found := await engine.copy_progress("vol-1", "snap-1")).state == "copying":
                await trio.sleep(0.01)
        assert found.state == "failed"
        assert "space" in found.reason.lower()
        await engine.drop_copy("vol-1", "snap-1")
        assert await engine.copies() == set()

        fill_up(tmp_path / "ballast")
        with pytest.raises(OSError, match="space"):
            await world._io(connection, f"write -P 9 {40 * MIB} {MIB}")
        (tmp_path / "ballast").unlink()
        await world._io(connection, f"write -P 9 {40 * MIB} {MIB}")
        for number in (0, 13, 27):
            assert await world.read(connection, number * MIB, 512) == bytes([number + 1]) * 512
        assert await world.read(connection, 40 * MIB, 512) == b"\x09" * 512
    finally:
        await engine.delete("vol-1")
        shutil.rmtree(world.run)
        subprocess.run(["umount", "--lazy", tmp_path], check=True)


@NEEDS
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_what_the_disk_cannot_read_is_an_error_and_found_and_the_rest_is_read_on(tmp_path):
    image, folder = tmp_path / "disk.img", tmp_path / "m"
    folder.mkdir()
    subprocess.run(["truncate", "-s", "200M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-b", "4096", "-E", "lazy_itable_init=0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    world = FileWorld(folder)
    try:
        await world.engine.create("vol-1", SIZE)
        connection = await world.engine.export("vol-1", 1, None)
        for number in range(60):
            await world._io(connection, f"write -P {number + 1} {number * MIB} {MIB}")
        subprocess.run(["sync", "-f", folder], check=True)
        raw = folder / "volumes" / "vol-1.raw"
        text = subprocess.run(["filefrag", "-v", raw], capture_output=True, text=True, check=True).stdout
        rows = [line.split(":") for line in text.splitlines() if ".." in line and ":" in line]
        places = {int(r[1].split("..")[0]): int(r[2].split("..")[0]) for r in rows}
        lost = max(places.values())  # the disk ends in the middle of what lies last on it
        [logical] = [at for at, physical in places.items() if physical == lost]
        os.truncate(image, (lost + 512) * 4096)
        first_bad = (logical + 512) * 4096
        with pytest.raises(OSError, match=r"failed|error"):
            await world.read(connection, first_bad + MIB, 4096)
        found = await world.engine.check("vol-1", 0, 1 << 40)
        assert found.next is None
        assert found.unreadable
        assert min(offset for offset, _ in found.unreadable) in (first_bad // MIB * MIB, first_bad)
        if first_bad > 0 and logical == 0:
            assert await world.read(connection, 0, 512) == b"\x01" * 512
    finally:
        await world.engine.delete("vol-1")
        shutil.rmtree(world.run)
        subprocess.run(["umount", "--lazy", folder], check=True)


@NEEDS
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(shutil.which("mkfs.xfs") is None, reason="needs xfsprogs")
async def test_where_the_file_system_shares_blocks_a_copy_of_an_idle_volume_is_there_at_once(tmp_path):
    image, folder = tmp_path / "disk.img", tmp_path / "m"
    folder.mkdir()
    subprocess.run(["truncate", "-s", "400M", image], check=True)
    subprocess.run(["mkfs.xfs", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    world = FileWorld(folder)
    try:
        await world.engine.create("vol-1", SIZE)
        connection = await world.engine.export("vol-1", 1, None)
        await world.write(connection, 5 * MIB, b"1" * MIB)
        await world.engine.unexport("vol-1")
        assert await world.engine.begin_copy("vol-1", "snap-1", None) is False
        assert (await world.engine.copy_progress("vol-1", "snap-1")).state == "copied"
        assert not (world.run / "vol-1").exists()  # no daemon was needed
        connection = await world.engine.export("vol-1", 2, None)
        await world.write(connection, 5 * MIB, b"2" * MIB)
        assert await world.engine.begin_copy("vol-1", "snap-1", None) is False
        engine = await world.restarted()
        assert await engine.copies() == {"snap-1"}
        copy = await engine.open_copy("snap-1")
        assert data_of(copy)[5] == b"1" * MIB
        assert sum(extent.length for extent in copy.extents) == SIZE
        copy.close()
        await engine.drop_copy("vol-1", "snap-1")
        assert await engine.copies() == set()
        taken, _ = await copied(engine, "vol-1", "snap-2")  # of one that is written, by the daemon
        assert data_of(taken)[5] == b"2" * MIB
        assert [path.suffix for path in (folder / "copies").iterdir()] == [".qcow2"]
        taken.close()
        await engine.drop_copy("vol-1", "snap-2")
    finally:
        await world.engine.delete("vol-1")
        shutil.rmtree(world.run)
        subprocess.run(["umount", "--lazy", folder], check=True)
