"""Quotas: what an account may hold is never passed, and what it gives back counts again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from euca_box.model.accounts import LENDER
from euca_box.model.quotas import Quota, Quotas, parse_quota
from euca_box.model.s3_errors import NoSuchBucket, QuotaExceeded, TooManyBuckets
from euca_box.objects.completion import NamedPart
from euca_box.objects.digests import Expectation
from euca_box.objects.engine import Objects
from euca_box.objects.versions import Wish
from tests.unit.test_objects_engine import ALICE, BOB, data_files, opened_objects, put, sent

pytestmark = pytest.mark.anyio
LIMIT = 100_000
QUOTAS = Quotas(Quota(), {ALICE.account: Quota(2, LIMIT)})


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[Objects]:
    async with opened_objects(tmp_path, quotas=QUOTAS) as objects:
        await objects.buckets.create(ALICE, "bucket")
        yield objects


async def counted(objects: Objects) -> int:
    """What is counted in memory, which is what the database says."""
    held = objects._usage.held_bytes(ALICE.account)
    await objects._usage.load()
    assert objects._usage.held_bytes(ALICE.account) == held
    assert sum(objects._usage._reserved.values()) == 0
    return held


async def test_what_does_not_fit_is_refused_before_its_body_is_taken(objects: Objects) -> None:
    async def unread() -> AsyncIterator[bytes]:
        pytest.fail("the body was asked for")
        yield b""

    with pytest.raises(QuotaExceeded):
        await objects.put(ALICE, "bucket", "k", unread(), Wish(), LIMIT + 1)
    assert await counted(objects) == 0


async def test_a_body_of_unknown_length_is_stopped_when_there_is_no_room_left(
    objects: Objects, tmp_path: Path
) -> None:
    await put(objects, "k", b"x" * (LIMIT - 10))
    with pytest.raises(QuotaExceeded):
        await objects.put(ALICE, "bucket", "l", sent(b"x" * 5, b"x" * 6), Wish())
    await objects.put(ALICE, "bucket", "l", sent(b"x" * 5, b"x" * 5), Wish())
    await asyncio.gather(*objects._files._tasks)
    assert (await counted(objects), len(data_files(tmp_path))) == (LIMIT, 1)


async def test_many_at_once_do_not_get_past_it_together(objects: Objects) -> None:
    size = LIMIT // 3
    puts = (objects.put(ALICE, "bucket", f"k{n}", sent(b"x" * size), Wish(), size) for n in range(10))
    results = await asyncio.gather(*puts, return_exceptions=True)
    assert sum(isinstance(r, QuotaExceeded) for r in results) == 7
    assert await counted(objects) == 3 * size


async def test_what_is_given_back_counts_no_more(objects: Objects) -> None:
    await objects.buckets.set_versioning(ALICE, "bucket", "Enabled")
    first = await put(objects, "k", b"x" * 1000)
    await put(objects, "k", b"x" * 100)
    assert await counted(objects) == 1100
    await objects.delete(ALICE, "bucket", "k")
    assert await counted(objects) == 1100
    await objects.delete(ALICE, "bucket", "k", first.version_id)
    assert await counted(objects) == 100
    await objects.buckets.set_versioning(ALICE, "bucket", "Suspended")
    for size in (50, 7):
        await put(objects, "k", b"x" * size)
    assert await counted(objects) == 107


async def test_parts_count_and_a_completed_upload_counts_once(objects: Objects) -> None:
    await put(objects, "m", b"x" * 500)
    upload = await objects.uploads.create(ALICE, "bucket", "m", Wish())
    for body in (b"x" * 300, b"x" * 200):
        part = await objects.uploads.put_part(upload, 1, sent(body), Expectation(), size_bytes=len(body))
    await objects.uploads.put_part(upload, 2, sent(b"x" * 40), Expectation())
    assert await counted(objects) == 740
    with pytest.raises(QuotaExceeded):
        await objects.uploads.put_part(upload, 3, sent(b"x"), Expectation(), size_bytes=LIMIT)
    named = [NamedPart(1, part.etag)]
    await objects.uploads.complete(ALICE, "bucket", "m", upload.upload_id, named, Wish())
    assert await counted(objects) == 200
    upload = await objects.uploads.create(ALICE, "bucket", "n", Wish())
    await objects.uploads.put_part(upload, 1, sent(b"x" * 10), Expectation())
    await objects.uploads.abort(upload)
    assert await counted(objects) == 200
    async with objects.opened(ALICE, "bucket", "m") as source:
        await objects.copy(ALICE, source, "bucket", "copy", Wish())
    assert await counted(objects) == 400
    await objects.delete_plain(ALICE, "bucket", ["m", "copy", "m", "absent"])
    assert await counted(objects) == 0


async def test_a_bucket_of_the_same_name_begins_with_nothing(objects: Objects) -> None:
    upload = await objects.uploads.create(ALICE, "bucket", "m", Wish())
    await objects.uploads.put_part(upload, 1, sent(b"x" * 10), Expectation())
    await objects.buckets.delete(ALICE, "bucket")
    assert await counted(objects) == 0
    await objects.buckets.create(ALICE, "bucket")
    assert await counted(objects) == 0


async def test_an_account_has_no_more_buckets_than_it_may(objects: Objects) -> None:
    await objects.buckets.create(ALICE, "second")
    await objects.buckets.create(ALICE, "second")
    with pytest.raises(TooManyBuckets):
        await objects.buckets.create(ALICE, "third")
    for number in range(5):
        await objects.buckets.create(BOB, f"bobs-{number}")
    await objects.put(BOB, "bobs-0", "k", sent(b"x" * (LIMIT + 1)), Wish(), LIMIT + 1)


def test_a_quota_is_read_from_one_line() -> None:
    assert parse_quota("000000000002=10/0.5") == ("000000000002", Quota(10, 1 << 29))
    for wrong in ("x=1/1", "000000000002", "000000000002=1", "000000000002=-1/1", "000000000002=a/b"):
        with pytest.raises(ValueError, match=r"."):
            parse_quota(wrong)


async def test_what_a_hidden_bucket_holds_counts_for_nobody(tmp_path: Path) -> None:
    async with opened_objects(tmp_path, quotas=Quotas(Quota(1, 10))) as objects:
        for name in ("_one", "_two", "_two"):
            await objects.buckets.open_hidden(name)
        await objects.put(LENDER, "_one", "k", sent(b"x" * 100), Wish(), 100)
        assert objects.buckets.owned_by(ALICE.account) == []
        with pytest.raises(NoSuchBucket):
            await objects.put(ALICE, "_one", "k", sent(b""), Wish(), 0)
        with pytest.raises(NoSuchBucket):
            await objects.find(ALICE, "_one", "k")
