"""Lifecycle rules are carried out: what goes, what stays, and what a user does meanwhile."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from euca_box.model.lifecycle import (
    AbortIncompleteMultipartUpload,
    Expiration,
    Filter,
    LifecycleConfiguration,
    NoncurrentVersionExpiration,
    Rule,
    Status,
)
from euca_box.model.object_lock import DAY_MS, Lock
from euca_box.model.s3_errors import NoSuchUpload, PreconditionFailed
from euca_box.model.tagging import Tag
from euca_box.objects import expiry
from euca_box.objects.conditions import Conditions
from euca_box.objects.engine import Objects
from euca_box.objects.sqlite import version_listing
from euca_box.objects.versions import Wish
from tests.unit.test_objects_engine import ALICE, opened_objects, put
from tests.unit.test_objects_protection import Clock
from tests.unit.test_objects_versions import versions_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def objects(tmp_path: Path, clock: Clock) -> AsyncIterator[Objects]:
    async with opened_objects(tmp_path, now=clock) as objects:
        await objects.buckets.create(ALICE, "bucket")
        yield objects


async def given_rules(objects: Objects, *rules: Rule) -> None:
    await objects.buckets.put_setting("bucket", LifecycleConfiguration(rules))


def rule(**what: object) -> Rule:
    return Rule(Status.ENABLED, **{"filter": Filter(), **what})  # type: ignore[arg-type]


def pass_days(clock: Clock, days: float) -> None:
    clock.seconds += days * 86400


async def keys_of(objects: Objects) -> list[str]:
    return [x.key for x in (await objects.list(ALICE, "bucket")).objects]


async def test_an_object_expires_at_the_midnight_after_its_days(objects: Objects, clock: Clock) -> None:
    await given_rules(objects, rule(expiration=Expiration(days=2)))
    stored = await put(objects, "k", b"x")
    midnight = objects.expiry.due_ms(stored.modified_ms, 2)
    assert midnight % DAY_MS == 0
    assert 2 * DAY_MS <= midnight - stored.modified_ms < 3 * DAY_MS
    clock.seconds = midnight / 1000 - 1
    await objects.expiry.run()
    assert await keys_of(objects) == ["k"]
    clock.seconds += 1
    assert (await objects.expiry.run()).objects == 1
    assert await keys_of(objects) == []


async def test_only_what_the_filter_covers_goes(objects: Objects, clock: Clock) -> None:
    await given_rules(
        objects,
        rule(expiration=Expiration(days=1), filter=Filter(prefix="logs/")),
        rule(expiration=Expiration(days=1), filter=Filter(tag=Tag("keep", "no"))),
        rule(expiration=Expiration(days=1), filter=Filter(object_size_greater_than=100)),
        Rule(Status.DISABLED, prefix="", expiration=Expiration(days=1)),
    )
    await put(objects, "logs/1", b"x")
    await put(objects, "tagged", b"x", tags={"keep": "no"})
    await put(objects, "other tag", b"x", tags={"keep": "yes"})
    await put(objects, "large", b"x" * 101)
    await put(objects, "small", b"x" * 100)
    pass_days(clock, 3)
    await objects.expiry.run()
    assert await keys_of(objects) == ["other tag", "small"]


async def test_a_new_object_under_an_old_name_stays(objects: Objects, clock: Clock) -> None:
    await given_rules(objects, rule(expiration=Expiration(days=1)))
    old = await put(objects, "k", b"same")
    pass_days(clock, 3)
    stale = await objects.find(ALICE, "bucket", "k")
    await put(objects, "k", b"same")
    walk_saw = objects._versions.delete(
        old.owner, "bucket", "k", Conditions(generation=stale.stored.generation)
    )
    with pytest.raises(PreconditionFailed):
        await walk_saw
    await objects.expiry.run()
    assert await keys_of(objects) == ["k"]


async def test_with_versions_an_expired_object_gets_a_marker_and_the_marker_goes_when_it_is_alone(
    objects: Objects, clock: Clock
) -> None:
    await objects.buckets.set_versioning(ALICE, "bucket", "Enabled")
    await given_rules(
        objects,
        rule(
            expiration=Expiration(days=1),
            noncurrent_version_expiration=NoncurrentVersionExpiration(noncurrent_days=5),
        ),
        rule(expiration=Expiration(expired_object_delete_marker=True)),
    )
    await put(objects, "k", b"x")
    pass_days(clock, 3)
    await objects.expiry.run()
    assert [marker for *_, marker in await versions_of(objects)] == [True, False]
    pass_days(clock, 4)
    await objects.expiry.run()
    assert len(await versions_of(objects)) == 2  # five days since the marker came, not since the object
    pass_days(clock, 3)
    assert (await objects.expiry.run()).versions == 1
    assert (await objects.expiry.run()).markers == 1
    assert await versions_of(objects) == []


async def test_the_newest_of_the_older_versions_stay_where_the_rule_says_so(
    objects: Objects, clock: Clock
) -> None:
    await objects.buckets.set_versioning(ALICE, "bucket", "Enabled")
    wish = NoncurrentVersionExpiration(noncurrent_days=1, newer_noncurrent_versions=2)
    await given_rules(objects, rule(noncurrent_version_expiration=wish))
    ids = [(await put(objects, "k", bytes([n]))).version_id for n in range(6)]
    other = (await put(objects, "l", b"x")).version_id
    pass_days(clock, 4)
    await objects.expiry.run()
    assert [i for _, i, _, _ in await versions_of(objects)] == [*ids[:2:-1], other]


async def test_more_versions_than_fit_a_page_are_all_judged(
    objects: Objects, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version_listing, "_WALK_PAGE", 3)
    monkeypatch.setattr(expiry, "_AT_ONCE", 2)
    await objects.buckets.set_versioning(ALICE, "bucket", "Enabled")
    wish = NoncurrentVersionExpiration(noncurrent_days=1, newer_noncurrent_versions=1)
    await given_rules(objects, rule(noncurrent_version_expiration=wish))
    newest = []
    for key, count in (("a", 1), ("b", 8), ("c", 3), ("d", 4)):
        ids = [(await put(objects, key, bytes([n]))).version_id for n in range(count)]
        newest += ids[: -min(count, 2) - 1 : -1]
    pass_days(clock, 4)
    assert (await objects.expiry.run()).versions == 9
    assert [i for _, i, _, _ in await versions_of(objects)] == newest


async def test_what_is_locked_outlives_the_rule(tmp_path: Path, clock: Clock) -> None:
    async with opened_objects(tmp_path, now=clock) as objects:
        await objects.buckets.create(ALICE, "bucket", object_lock=True)
        wish = NoncurrentVersionExpiration(noncurrent_days=1)
        await given_rules(objects, rule(noncurrent_version_expiration=wish))
        await put(objects, "k", b"1", lock=Lock(legal_hold="ON"))
        await put(objects, "k", b"2")
        pass_days(clock, 9)
        await objects.expiry.run()
        assert len(await versions_of(objects)) == 2


async def test_old_uploads_are_ended(objects: Objects, clock: Clock) -> None:
    await given_rules(
        objects,
        rule(
            abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(2),
            filter=Filter(prefix="m"),
        ),
    )
    old = [await objects.uploads.create(ALICE, "bucket", key, Wish()) for key in ("m1", "n1")]
    pass_days(clock, 4)
    new = await objects.uploads.create(ALICE, "bucket", "m2", Wish())
    assert (await objects.expiry.run()).uploads == 1
    with pytest.raises(NoSuchUpload):
        await objects.uploads.find(ALICE, "bucket", "m1", old[0].upload_id)
    for key, upload in (("n1", old[1]), ("m2", new)):
        assert await objects.uploads.find(ALICE, "bucket", key, upload.upload_id)


async def test_a_shorter_day_makes_rules_quick_to_try(tmp_path: Path, clock: Clock) -> None:
    async with opened_objects(tmp_path, now=clock, day_seconds=10) as objects:
        await objects.buckets.create(ALICE, "bucket")
        await given_rules(objects, rule(expiration=Expiration(days=3)))
        stored = await put(objects, "k", b"x")
        assert objects.expiry.expiration(stored) == (stored.modified_ms + 30_000, "")
        clock.seconds += 30
        await objects.expiry.run()
        assert await keys_of(objects) == []
