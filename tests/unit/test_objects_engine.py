"""The object store on a real disk: what is durable, what a reader sees, what failures leave behind."""

import asyncio
import contextlib
import errno
import hashlib
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from euca_box.model.accounts import Principal
from euca_box.model.s3_errors import (
    AccessDenied,
    BadDigest,
    BucketNotEmpty,
    InsufficientStorage,
    NoSuchBucket,
    NoSuchKey,
    NoSuchUpload,
    PreconditionFailed,
)
from euca_box.objects import files as files_module
from euca_box.objects.completion import NamedPart
from euca_box.objects.conditions import Conditions
from euca_box.objects.digests import Expectation
from euca_box.objects.engine import Objects
from euca_box.objects.sqlite.index import SqliteIndex
from euca_box.objects.versions import Wish
from euca_box.store.sqlite_store import open_store

MIGRATIONS = Path(__file__).parents[2] / "euca_box/roles/walrus/migrations"
ALICE = Principal("000000000002", "alice", "a" * 64, "alice")
BOB = Principal("000000000003", "bob", "b" * 64, "bob")
MIB = 1 << 20
SMALL = {"reserve_bytes": MIB, "ballast_bytes": MIB}

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextlib.asynccontextmanager
async def opened_objects(folder: Path, **options: Any) -> AsyncIterator[Objects]:
    store = await open_store(folder / "walrus.db", MIGRATIONS)
    objects = await Objects.open(SqliteIndex(store), folder, **{**SMALL, **options})
    try:
        yield objects
    finally:
        await objects.close()
        await store.close()


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[Objects]:
    async with opened_objects(tmp_path) as objects:
        await objects.buckets.create(ALICE, "bucket")
        yield objects


async def sent(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def put(objects: Objects, key: str, data: bytes, **wish: Any) -> Any:
    pieces = [data[i : i + 65536] for i in range(0, len(data), 65536)]
    return await objects.put(ALICE, "bucket", key, sent(*pieces), Wish(**wish))


async def content_of(objects: Objects, key: str) -> bytes:
    async with objects.opened(ALICE, "bucket", key) as found:
        pieces = [bytes(p) async for p in objects.read(found, 0, found.stored.size_bytes)]
    return b"".join(pieces)


def data_files(folder: Path) -> list[Path]:
    return [p for p in (folder / "objects").rglob("*") if p.is_file()]


@pytest.mark.parametrize("size", [0, 16384, 16385, 5 * MIB + 1])
async def test_an_object_is_there_after_a_restart(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    async with opened_objects(tmp_path) as objects:
        await objects.buckets.create(ALICE, "bucket")
        before = await put(objects, "k", data, headers={"content-type": "x/y"})
    async with opened_objects(tmp_path) as objects:
        found = await objects.find(ALICE, "bucket", "k")
        assert found.stored == before
        assert before.etag == hashlib.md5(data).hexdigest()
        assert await content_of(objects, "k") == data
        newer = await put(objects, "other", b"")
        assert newer.generation > before.generation
    assert len(data_files(tmp_path)) == (1 if size > 16384 else 0)


async def test_the_file_is_synced_and_then_its_folder_before_the_row_is_committed(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real_sync, real_folder, real_commit = os.fdatasync, files_module._sync_folder, objects._index.commit

    def fdatasync(fd: int) -> None:
        steps.append("data")
        real_sync(fd)

    def sync_folder(folder: Path) -> None:
        steps.append("folder")
        real_folder(folder)

    async def commit(*args: Any) -> Any:
        steps.append("row")
        return await real_commit(*args)

    monkeypatch.setattr(files_module.os, "fdatasync", fdatasync)
    monkeypatch.setattr(files_module, "_sync_folder", sync_folder)
    monkeypatch.setattr(objects._index, "commit", commit)
    await put(objects, "k", b"x" * 100_000)
    assert steps == ["data", "folder", "row"]


async def test_overwriting_and_deleting_remove_the_old_file(tmp_path: Path, objects: Objects) -> None:
    await put(objects, "k", b"a" * 100_000)
    first = data_files(tmp_path)
    await put(objects, "k", b"b" * 100_000)
    await objects._files.run(lambda: None)
    await asyncio.gather(*objects._files._tasks)
    second = data_files(tmp_path)
    assert (len(first), len(second), set(first) & set(second)) == (1, 1, set())
    await objects.delete_plain(ALICE, "bucket", ["k", "absent"])
    await asyncio.gather(*objects._files._tasks)
    assert data_files(tmp_path) == []
    with pytest.raises(NoSuchKey):
        await objects.find(ALICE, "bucket", "k")


async def test_a_reader_sees_one_version_whole_while_it_is_replaced(objects: Objects, tmp_path: Path) -> None:
    old = os.urandom(3 * MIB)
    await put(objects, "k", old)
    async with objects.opened(ALICE, "bucket", "k") as found:
        reading = objects.read(found, 0, len(old))
        got = bytes(await anext(reading))
        await put(objects, "k", b"new" * MIB)
        await objects.delete(ALICE, "bucket", "k")
        async for piece in reading:
            got += piece
    assert got == old
    await asyncio.gather(*objects._files._tasks)
    assert data_files(tmp_path) == []


async def test_a_reader_of_many_files_keeps_those_it_has_not_opened_yet(
    objects: Objects, tmp_path: Path
) -> None:
    upload = await objects.uploads.create(ALICE, "bucket", "m", Wish())
    bodies = [b"a" * (5 * MIB), b"b" * 100]
    parts = [
        await objects.uploads.put_part(upload, n, sent(body), Expectation())
        for n, body in enumerate(bodies, 1)
    ]
    named = [NamedPart(part.number, part.etag) for part in parts]
    await objects.uploads.complete(ALICE, "bucket", "m", upload.upload_id, named, Wish())
    async with objects.opened(ALICE, "bucket", "m") as found:
        reading = objects.read(found, 0, found.stored.size_bytes)
        got = bytes(await anext(reading))
        await objects.delete(ALICE, "bucket", "m")
        await asyncio.gather(*objects._files._tasks)
        async for piece in reading:
            got += piece
    assert got == b"".join(bodies)
    await asyncio.gather(*objects._files._tasks)
    assert data_files(tmp_path) == []


@pytest.mark.parametrize("size", [10, 100_000])
async def test_readers_and_writers_at_once_see_only_whole_versions(objects: Objects, size: int) -> None:
    await put(objects, "k", b"0" * size)

    async def write(number: int) -> None:
        for turn in range(10):
            await put(objects, "k", str((number + turn) % 10).encode() * size)

    async def read() -> None:
        for _ in range(30):
            data = await content_of(objects, "k")
            assert len(data) == size
            assert len(set(data)) == 1

    await asyncio.gather(*(write(n) for n in range(4)), *(read() for _ in range(4)))


async def test_what_is_read_is_never_older_than_what_was_answered(objects: Objects) -> None:
    newest = 0

    async def write() -> None:
        nonlocal newest
        for number in range(1, 100):
            await put(objects, "k", str(number).encode())
            newest = number

    async def read() -> None:
        while newest < 99:
            floor = newest
            with contextlib.suppress(NoSuchKey):
                assert int(await content_of(objects, "k")) >= floor
            await asyncio.sleep(0)

    await asyncio.gather(write(), read(), read())


async def test_a_body_that_breaks_off_leaves_nothing(objects: Objects, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65536
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await objects.put(ALICE, "bucket", "k", broken(), Wish())
    await asyncio.gather(*objects._files._tasks)
    assert data_files(tmp_path) == []
    with pytest.raises(NoSuchKey):
        await objects.find(ALICE, "bucket", "k")


async def test_a_cancelled_put_leaves_no_file_without_a_row(objects: Objects, tmp_path: Path) -> None:
    for turn in range(1, 12):
        task = asyncio.create_task(put(objects, f"k{turn}", b"x" * (2 * MIB)))
        for _ in range(turn * 3):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()  # a server cancels again what does not end at once
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await objects._commits.close()
    await asyncio.gather(*objects._files._tasks)
    page = await objects.list(ALICE, "bucket")
    assert len(data_files(tmp_path)) == len(page.objects)


async def test_files_that_a_crash_left_are_swept_and_others_stay(tmp_path: Path) -> None:
    async with opened_objects(tmp_path) as objects:
        await objects.buckets.create(ALICE, "bucket")
        await put(objects, "k", b"x" * 100_000)
        upload = await objects.uploads.create(ALICE, "bucket", "m", Wish())
        await objects.uploads.put_part(upload, 1, sent(b"part"), Expectation())
    (tmp_path / "objects/ab" / ("0" * 32)).write_bytes(b"left behind")
    async with opened_objects(tmp_path) as objects:
        assert len(data_files(tmp_path)) == 2
        assert await content_of(objects, "k") == b"x" * 100_000


@pytest.mark.parametrize("size", [10, 100_000])
async def test_a_wrong_digest_keeps_the_old_object(objects: Objects, tmp_path: Path, size: int) -> None:
    await put(objects, "k", b"old" * size)
    files = len(data_files(tmp_path))
    for wrong in (
        Expectation(md5="0" * 32),
        Expectation(algorithm="CRC64NVME", value=lambda: "AAAAAAAAAAA="),
    ):
        with pytest.raises(BadDigest):
            await put(objects, "k", b"new" * size, expect=wrong)
    await asyncio.gather(*objects._files._tasks)
    assert await content_of(objects, "k") == b"old" * size
    assert len(data_files(tmp_path)) == files


async def test_of_many_creators_of_a_key_one_wins(objects: Objects, tmp_path: Path) -> None:
    results = await asyncio.gather(
        *(put(objects, "k", bytes([n]) * 50_000, conditions=Conditions(none_match="*")) for n in range(10)),
        return_exceptions=True,
    )
    refused = [r for r in results if isinstance(r, PreconditionFailed)]
    assert len(refused) == 9
    await asyncio.gather(*objects._files._tasks)
    assert len(data_files(tmp_path)) == 1


async def test_if_match_lets_only_the_first_of_many_changes_through(objects: Objects) -> None:
    first = await put(objects, "k", b"0")
    results = await asyncio.gather(
        *(put(objects, "k", str(n).encode(), conditions=Conditions(match=first.etag)) for n in range(1, 9)),
        return_exceptions=True,
    )
    assert sum(isinstance(r, PreconditionFailed) for r in results) == 7
    with pytest.raises(NoSuchKey):
        await put(objects, "absent", b"", conditions=Conditions(match="*"))


async def test_a_bucket_is_deleted_only_when_empty_even_in_a_race(objects: Objects) -> None:
    results = await asyncio.gather(
        put(objects, "k", b"x"), objects.buckets.delete(ALICE, "bucket"), return_exceptions=True
    )
    put_failed, delete_failed = (isinstance(r, Exception) for r in results)
    assert put_failed != delete_failed
    assert isinstance(results[0], NoSuchBucket) or isinstance(results[1], BucketNotEmpty)


async def test_an_upload_may_be_completed_by_many_and_is_made_once(objects: Objects, tmp_path: Path) -> None:
    upload = await objects.uploads.create(ALICE, "bucket", "m", Wish())
    part = await objects.uploads.put_part(upload, 1, sent(b"a" * 50_000), Expectation())
    named = [NamedPart(1, part.etag)]
    facts = await asyncio.gather(
        *(objects.uploads.complete(ALICE, "bucket", "m", upload.upload_id, named, Wish()) for _ in range(5))
    )
    assert len({f.etag for f, _ in facts}) == 1
    assert await content_of(objects, "m") == b"a" * 50_000
    with pytest.raises(NoSuchUpload):
        await objects.uploads.put_part(upload, 2, sent(b"late"), Expectation())
    await asyncio.gather(*objects._files._tasks)
    assert len(data_files(tmp_path)) == 1


async def test_abort_and_complete_at_once_leave_one_outcome(objects: Objects, tmp_path: Path) -> None:
    for turn in range(10):
        key = f"m{turn}"
        upload = await objects.uploads.create(ALICE, "bucket", key, Wish())
        part = await objects.uploads.put_part(upload, 1, sent(b"a" * 20_000), Expectation())
        named = [NamedPart(1, part.etag)]
        done, aborted = await asyncio.gather(
            objects.uploads.complete(ALICE, "bucket", key, upload.upload_id, named, Wish()),
            objects.uploads.abort(upload),
            return_exceptions=True,
        )
        assert isinstance(done, NoSuchUpload) != isinstance(aborted, NoSuchUpload)
    page = await objects.list(ALICE, "bucket")
    await asyncio.gather(*objects._files._tasks)
    assert len(data_files(tmp_path)) == len(page.objects)


async def test_a_part_sent_again_replaces_the_first(objects: Objects, tmp_path: Path) -> None:
    upload = await objects.uploads.create(ALICE, "bucket", "m", Wish())
    await objects.uploads.put_part(upload, 1, sent(b"first"), Expectation())
    part = await objects.uploads.put_part(upload, 1, sent(b"second"), Expectation())
    await objects.uploads.put_part(upload, 2, sent(b"not named"), Expectation())
    await objects.uploads.complete(ALICE, "bucket", "m", upload.upload_id, [NamedPart(1, part.etag)], Wish())
    assert await content_of(objects, "m") == b"second"
    await asyncio.gather(*objects._files._tasks)
    assert len(data_files(tmp_path)) == 1


async def test_an_image_reader_notices_that_the_object_was_replaced(objects: Objects) -> None:
    await put(objects, "k", b"0123456789" * 10_000)
    facts = await objects.stat(ALICE, "bucket", "k")
    where = ("bucket", "k", facts.generation)
    assert await objects.read_at(*where, 99_995, 100) == b"56789"
    assert await objects.read_at(*where, 3, 4) == b"3456"
    await put(objects, "k", b"new")
    with pytest.raises(NoSuchKey):
        await objects.read_at(*where, 0, 1)
    with pytest.raises(AccessDenied):
        await objects.stat(BOB, "bucket", "k")
    assert await objects.used_bytes() == 3


async def test_keys_are_just_text_and_never_file_names(objects: Objects, tmp_path: Path) -> None:
    keys = [
        "../../etc/passwd",
        ".",
        "/",
        "a//b",
        "a\x00b",
        "a\nb",
        "e\u0301",
        "\u00e9",
        "\ufeffx",
        "\U0001f600" * 250,
    ]
    for key in keys:
        await put(objects, key, key.encode() + b"x" * 20_000)
    for key in keys:
        assert await content_of(objects, key) == key.encode() + b"x" * 20_000
    page = await objects.list(ALICE, "bucket")
    assert [listed.key for listed in page.objects] == sorted(keys, key=str.encode)
    names = {p.relative_to(tmp_path).parts[0] for p in tmp_path.rglob("*")}
    assert names <= {"objects", "ballast", "objects.key", "walrus.db", "walrus.db-wal", "walrus.db-shm"}


async def test_a_page_is_found_by_seeking_and_not_by_counting(objects: Objects) -> None:
    for folder in ("a", "b", "c\uffff"):
        for number in range(30):
            await put(objects, f"{folder}/{number:02}", b"")
    await put(objects, "b", b"")
    found: list[str] = []
    after = ""
    while True:
        page = await objects.list(ALICE, "bucket", delimiter="/", after=after, limit=1)
        found += [x.key for x in page.objects] + page.prefixes
        if page.last is None:
            break
        after = page.last
    assert found == ["a/", "b", "b/", "c\uffff/"]
    page = await objects.list(ALICE, "bucket", prefix="b/", after="b/27", limit=10)
    assert [x.key for x in page.objects] == ["b/28", "b/29"]
    page = await objects.list(ALICE, "bucket", prefix="b/", delimiter="/", after="a", limit=1000)
    assert (len(page.objects), page.prefixes) == (30, [])


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_refuses_new_data_and_goes_on_reading_and_deleting(small_disk: Path) -> None:
    async with opened_objects(small_disk) as objects:
        await objects.buckets.create(ALICE, "bucket")
        await put(objects, "kept", b"k" * 100_000)
        stored = 0
        with contextlib.suppress(InsufficientStorage):
            for stored in range(100):
                await put(objects, f"k{stored}", b"x" * MIB)
        assert 5 < stored < 99
        with pytest.raises(InsufficientStorage):
            await put(objects, "one more", b"x" * 2 * MIB)
        filler = small_disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"\0" * 4096)
        assert await content_of(objects, "kept") == b"k" * 100_000
        await objects.delete_plain(ALICE, "bucket", [f"k{n}" for n in range(stored)])
        await asyncio.gather(*objects._files._tasks)
        filler.unlink()
        await asyncio.sleep(0.6)  # longer than one look at the free space is believed
        await put(objects, "again", b"x" * MIB)
        await objects.delete(ALICE, "bucket", "again")
        await asyncio.gather(*objects._files._tasks)
        assert (small_disk / "ballast").stat().st_size == MIB


async def test_an_error_of_the_disk_reaches_the_caller_and_leaves_no_file(
    objects: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(fd: int) -> None:
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(files_module.os, "fdatasync", broken)
    with pytest.raises(OSError, match="broken"):
        await put(objects, "k", b"x" * 100_000)
    await asyncio.gather(*objects._files._tasks)
    assert data_files(tmp_path) == []


async def test_a_pin_that_comes_after_the_removal_has_begun_does_not_count(objects: Objects) -> None:
    await put(objects, "k", b"0" * 100_000)
    old = await objects.find(ALICE, "bucket", "k")
    generation = old.stored.generation

    objects._files.release(generation, [piece.file for piece in old.pieces])
    objects._files.pin(generation)

    assert not objects._versions.is_readable(old)


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_pages_of_uploads_hold_every_open_upload_once(objects: Objects, limit: int) -> None:
    for key in ("a", "b/1", "b/2", "c", "c", "c"):
        await objects.uploads.create(ALICE, "bucket", key, Wish())
    for delimiter, expected in (("", ["a", "b/1", "b/2", "c", "c", "c"]), ("/", ["a", "c", "c", "c"])):
        found: list[Any] = []
        prefixes: list[str] = []
        after = ("", "")
        while True:
            page = await objects.uploads.list(
                ALICE,
                "bucket",
                delimiter=delimiter,
                after_key=after[0],
                after_upload=after[1],
                limit=limit,
            )
            found, prefixes = found + page.uploads, prefixes + page.prefixes
            if page.last is None:
                break
            after = page.last
        assert [upload.key for upload in found] == expected
        assert len({upload.upload_id for upload in found}) == len(expected)
        assert prefixes == (["b/"] if delimiter else [])
    page = await objects.uploads.list(ALICE, "bucket", prefix="b/", after_key="b/1")
    assert [upload.key for upload in page.uploads] == ["b/2"]
