"""Versions in the engine: what stays, what goes for good, which is the current one."""

import asyncio
import itertools
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from euca_box.model.s3_errors import (
    AccessDenied,
    BucketNotEmpty,
    InvalidBucketState,
    NoSuchKey,
    OperationAborted,
    PreconditionFailed,
)
from euca_box.objects.acl import Action
from euca_box.objects.conditions import Conditions
from euca_box.objects.digests import Expectation
from euca_box.objects.engine import Objects
from euca_box.objects.version_listing import MARKER
from tests.unit.test_objects_engine import ALICE, BOB, MIGRATIONS, data_files, opened_objects, put, sent

pytestmark = pytest.mark.anyio
KEPT = b"x" * 20_000  # more than is kept inline


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[Objects]:
    async with opened_objects(tmp_path) as objects:
        await objects.buckets.create(ALICE, "bucket")
        await objects.buckets.set_versioning(ALICE, "bucket", "Enabled")
        yield objects


async def settled(objects: Objects) -> None:
    await asyncio.gather(*objects._files._tasks)


async def versions_of(objects: Objects, **how: Any) -> list[tuple[str, str, bool, bool]]:
    page = await objects.list_versions(ALICE, "bucket", **how)
    return [(v.key, v.version_id, v.is_latest, v.kind == MARKER) for v in page.versions]


async def body_of(objects: Objects, key: str, version_id: str | None = None) -> bytes:
    async with objects.opened(ALICE, "bucket", key, version_id) as found:
        return b"".join([bytes(p) async for p in objects.read(found, 0, found.stored.size_bytes)])


async def test_each_put_keeps_the_versions_before_it(objects: Objects, tmp_path: Path) -> None:
    stored = [await put(objects, "k", bytes([n]) * 20_000) for n in range(3)]
    ids = [s.version_id for s in stored]
    assert sorted(set(ids)) == ids
    assert await versions_of(objects) == [("k", i, i == ids[2], False) for i in reversed(ids)]
    for number, version_id in enumerate(ids):
        assert await body_of(objects, "k", version_id) == bytes([number]) * 20_000
    assert len(data_files(tmp_path)) == 3


async def test_a_delete_marker_hides_the_key_and_its_removal_shows_it_again(objects: Objects) -> None:
    first = await put(objects, "k", b"1")
    marker = await objects.delete(ALICE, "bucket", "k")
    assert marker.is_marker
    with pytest.raises(NoSuchKey) as error:
        await objects.find(ALICE, "bucket", "k")
    assert error.value.headers["x-amz-version-id"] == marker.version_id
    assert (await objects.list(ALICE, "bucket")).objects == []
    assert await versions_of(objects) == [
        ("k", marker.version_id, True, True),
        ("k", first.version_id, False, False),
    ]
    gone = await objects.delete(ALICE, "bucket", "k", marker.version_id)
    assert gone.is_marker
    assert await body_of(objects, "k") == b"1"
    assert [x.key for x in (await objects.list(ALICE, "bucket")).objects] == ["k"]


async def test_removing_the_current_version_brings_the_one_before_it_back(
    objects: Objects, tmp_path: Path
) -> None:
    old = await put(objects, "k", b"a" * 20_000)
    new = await put(objects, "k", b"b" * 20_000)
    await objects.delete(ALICE, "bucket", "k", new.version_id)
    assert (await objects.find(ALICE, "bucket", "k")).stored == old
    await settled(objects)
    assert len(data_files(tmp_path)) == 1
    again = await objects.delete(ALICE, "bucket", "k", new.version_id)
    assert not again.is_marker
    await objects.delete(ALICE, "bucket", "k", old.version_id)
    await settled(objects)
    assert (await versions_of(objects), data_files(tmp_path)) == ([], [])


async def test_a_marker_below_the_current_version_never_becomes_it(objects: Objects) -> None:
    await put(objects, "k", b"1")
    await objects.delete(ALICE, "bucket", "k")
    newest = await put(objects, "k", b"3")
    await objects.delete(ALICE, "bucket", "k", newest.version_id)
    with pytest.raises(NoSuchKey):
        await objects.find(ALICE, "bucket", "k")
    assert [latest for _, _, latest, _ in await versions_of(objects)] == [True, False]


async def test_a_suspended_bucket_has_one_null_version_and_keeps_the_others(
    objects: Objects, tmp_path: Path
) -> None:
    kept = await put(objects, "k", b"a" * 20_000)
    await objects.buckets.set_versioning(ALICE, "bucket", "Suspended")
    for n in range(3):
        assert (await put(objects, "k", bytes([n]) * 20_000)).version_id == "null"
    assert [i for _, i, _, _ in await versions_of(objects)] == ["null", kept.version_id]
    deleted = await objects.delete(ALICE, "bucket", "k")
    assert (deleted.version_id, deleted.is_marker) == ("null", True)
    assert [(i, m) for _, i, _, m in await versions_of(objects)] == [("null", True), (kept.version_id, False)]
    await settled(objects)
    assert len(data_files(tmp_path)) == 1


async def test_what_was_there_before_versioning_is_the_null_version(tmp_path: Path) -> None:
    async with opened_objects(tmp_path) as objects:
        await objects.buckets.create(ALICE, "bucket")
        await put(objects, "k", b"before")
        await objects.buckets.set_versioning(ALICE, "bucket", "Enabled")
        new = await put(objects, "k", b"after")
    async with opened_objects(tmp_path) as objects:
        assert [i for _, i, _, _ in await versions_of(objects)] == [new.version_id, "null"]
        assert await body_of(objects, "k", "null") == b"before"
        await objects.delete(ALICE, "bucket", "k", new.version_id)
        with pytest.raises(BucketNotEmpty):
            await objects.buckets.delete(ALICE, "bucket")
        await objects.delete(ALICE, "bucket", "k", "null")
        await objects.buckets.delete(ALICE, "bucket")


async def test_a_bucket_with_nothing_but_markers_is_not_empty(objects: Objects) -> None:
    await objects.delete(ALICE, "bucket", "never there")
    with pytest.raises(BucketNotEmpty):
        await objects.buckets.delete(ALICE, "bucket")


async def test_versions_of_others_are_not_there(objects: Objects) -> None:
    stored = await put(objects, "k", b"1")
    for attempt in (
        objects.find(BOB, "bucket", "k", stored.version_id),
        objects.delete(BOB, "bucket", "k", stored.version_id),
        objects.list_versions(BOB, "bucket"),
        objects.set_tags(BOB, Action.PUT_OBJECT_TAGGING, "bucket", "k", {"a": "b"}, stored.version_id),
    ):
        with pytest.raises(AccessDenied):
            await attempt


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
async def test_pages_of_versions_hold_every_version_once(objects: Objects, limit: int) -> None:
    for key, turns in (("a", 3), ("b/1", 2), ("b/2", 1), ("c", 4)):
        for n in range(turns):
            await put(objects, key, bytes([n]))
    await objects.delete(ALICE, "bucket", "c")
    whole = await versions_of(objects)
    found: list[tuple[str, str, bool, bool]] = []
    prefixes: list[str] = []
    after, after_version = "", ""
    for delimiter in ("", "/"):
        found, prefixes, after, after_version = [], [], "", ""
        while True:
            page = await objects.list_versions(
                ALICE, "bucket", delimiter=delimiter, after=after, after_version=after_version, limit=limit
            )
            found += [(v.key, v.version_id, v.is_latest, v.kind == MARKER) for v in page.versions]
            prefixes += page.prefixes
            if page.last is None:
                break
            after, after_version = page.last
        assert found == [v for v in whole if not delimiter or "/" not in v[0]]
    assert prefixes == ["b/"]


async def test_a_page_goes_on_behind_a_null_version_that_went_meanwhile(objects: Objects) -> None:
    old = await put(objects, "k", b"1")
    await objects.buckets.set_versioning(ALICE, "bucket", "Suspended")
    await put(objects, "k", b"2")
    page = await objects.list_versions(ALICE, "bucket", limit=1)
    assert page.last == ("k", "null")
    await objects.delete(ALICE, "bucket", "k", "null")
    assert await versions_of(objects, after="k", after_version="null") == [("k", old.version_id, True, False)]


async def test_many_writers_of_a_key_leave_as_many_versions(objects: Objects) -> None:
    await asyncio.gather(*(put(objects, "k", bytes([n])) for n in range(50)))
    listed = await versions_of(objects)
    assert len({i for _, i, _, _ in listed}) == 50
    assert [latest for _, _, latest, _ in listed] == [True] + [False] * 49


async def test_of_many_removals_and_puts_at_once_nothing_is_lost_but_what_was_named(
    objects: Objects,
) -> None:
    ids = [(await put(objects, "k", bytes([n]))).version_id for n in range(20)]
    made = await asyncio.gather(
        *itertools.chain.from_iterable(
            (objects.delete(ALICE, "bucket", "k", i), put(objects, "k", b"new")) for i in ids[::2]
        )
    )
    wanted = set(ids[1::2]) | {s.version_id for s in made[1::2]}
    listed = await versions_of(objects)
    assert {i for _, i, _, _ in listed} == wanted
    assert (await objects.find(ALICE, "bucket", "k")).stored.version_id == listed[0][1]


async def test_a_condition_is_compared_with_the_newest_version_even_a_marker(objects: Objects) -> None:
    stored = await put(objects, "k", b"12345")
    for wrong in (Conditions(match="no"), Conditions(size_bytes=4), Conditions(modified_second=1)):
        with pytest.raises(PreconditionFailed):
            await objects.delete(ALICE, "bucket", "k", None, wrong)
        with pytest.raises(PreconditionFailed):
            await objects.delete(ALICE, "bucket", "k", stored.version_id, wrong)
    fits = Conditions(match=stored.etag, size_bytes=5, modified_second=stored.modified_ms // 1000)
    await objects.delete(ALICE, "bucket", "k", None, fits)
    with pytest.raises(PreconditionFailed):
        await objects.delete(ALICE, "bucket", "k", None, Conditions(size_bytes=5))
    await put(objects, "k", b"again", conditions=Conditions(none_match="*"))
    for _ in range(2):
        never = await objects.delete(ALICE, "bucket", "never", None, Conditions(match="no"))
        assert (never.is_marker, await versions_of(objects, prefix="never")) == (False, [])


async def test_versioning_may_not_be_suspended_under_object_lock(objects: Objects) -> None:
    await objects.buckets.create(ALICE, "locked", object_lock=True)
    with pytest.raises(InvalidBucketState):
        await objects.buckets.set_versioning(ALICE, "locked", "Suspended")


async def test_a_put_that_was_overtaken_by_the_switch_destroys_nothing(tmp_path: Path) -> None:
    async with opened_objects(tmp_path) as objects:
        await objects.buckets.create(ALICE, "bucket")
        await put(objects, "k", b"before")
        results = await asyncio.gather(
            objects.buckets.set_versioning(ALICE, "bucket", "Enabled"),
            put(objects, "k", b"after"),
            return_exceptions=True,
        )
        listed = await versions_of(objects)
        bodies = [await body_of(objects, "k", i) for _, i, _, _ in listed]
        assert bodies == ([b"before"] if isinstance(results[1], OperationAborted) else [b"after"])


async def test_a_store_of_the_first_version_is_taken_over_whole(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    shutil.copy(MIGRATIONS / "0001_objects.sql", old)
    db = sqlite3.connect(tmp_path / "walrus.db")
    db.executescript((old / "0001_objects.sql").read_text())
    db.execute("PRAGMA user_version = 1")
    who = ("000000000002", "a" * 64, "alice")
    db.execute("INSERT INTO bucket VALUES ('bucket', ?, ?, ?, 1, '', 'private', '', '')", who)
    name = tmp_path / "objects/ab" / ("ab" + "0" * 30)
    name.parent.mkdir(parents=True)
    name.write_bytes(KEPT)
    row = "INSERT INTO object VALUES ('bucket', ?, ?, 'null', ?, 'e', 1, ?, ?, ?, 'private', '', '', '{}')"
    db.execute(row, ("small", 1, 5, *who))
    db.execute(row, ("large", 2, len(KEPT), *who))
    db.execute("INSERT INTO blob VALUES (1, ?)", (b"small",))
    db.execute("INSERT INTO piece VALUES (2, 0, ?, ?)", (f"ab/{name.name}", len(KEPT)))
    db.execute(
        "INSERT INTO upload (upload_id, bucket, key, owner, owner_id, owner_name, started_ms, acl, headers)"
        " VALUES ('u', 'bucket', 'm', ?, ?, ?, 1, 'private', '{}')",
        who,
    )
    db.commit()
    db.close()
    async with opened_objects(tmp_path) as objects:
        assert await body_of(objects, "small") == b"small"
        assert await body_of(objects, "large", "null") == KEPT
        upload = await objects.uploads.find(ALICE, "bucket", "m", "u")
        await objects.uploads.put_part(upload, 1, sent(b"part"), Expectation())
