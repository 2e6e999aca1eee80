"""Notices: one commit with the change they tell of, and bounded."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from euca_box.model.lifecycle import Expiration, NoncurrentVersionExpiration
from euca_box.model.notifications import (
    BY_ITSELF,
    Cause,
    Event,
    Notice,
    NotificationConfiguration,
    QueueConfiguration,
)
from euca_box.model.s3_errors import NoSuchBucket, PreconditionFailed
from euca_box.objects import notices as notices_module
from euca_box.objects.conditions import Conditions
from euca_box.objects.engine import Objects
from euca_box.objects.notices import CAUSE
from euca_box.objects.versions import Wish
from tests.unit.test_objects_engine import ALICE, opened_objects, put, sent
from tests.unit.test_objects_expiry import given_rules, rule
from tests.unit.test_objects_protection import Clock

pytestmark = pytest.mark.anyio
ARN = "arn:aws:sqs:us-east-1:000000000002:hook"
ALL = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:LifecycleExpiration:*")


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
        await configure(objects)
        yield objects


async def configure(objects: Objects, *events: str) -> None:
    wanted = NotificationConfiguration(queue_configuration=(QueueConfiguration(events or ALL, queue=ARN),))
    await objects.buckets.put_setting("bucket", wanted)
    await objects.forget_notices(await waiting(objects))


async def waiting(objects: Objects) -> list[Notice]:
    return list(await objects.notices.next("hook", 1000))


async def told(objects: Objects) -> list[tuple[str, str]]:
    return [(notice.event, notice.key) for notice in await waiting(objects)]


async def test_a_notice_is_there_when_the_change_is_acknowledged(objects: Objects, tmp_path: Path) -> None:
    CAUSE.set(lambda: Cause("somebody", "192.0.2.1", "a-request"))
    stored = await put(objects, "k", b"data")
    [notice] = await waiting(objects)
    assert (notice.event, notice.key, notice.etag, notice.size_bytes) == (Event.PUT, "k", stored.etag, 4)
    assert (notice.bucket, notice.owner, notice.sequencer) == ("bucket", ALICE.account, stored.generation)
    assert notice.cause == Cause("somebody", "192.0.2.1", "a-request")


async def test_what_is_refused_is_not_told(objects: Objects) -> None:
    await put(objects, "k", b"data")
    await objects.forget_notices(await waiting(objects))
    with pytest.raises(PreconditionFailed):
        await objects.put(ALICE, "bucket", "k", sent(b"x"), Wish(conditions=Conditions(none_match="*")))
    with pytest.raises(PreconditionFailed):
        await objects.delete(ALICE, "bucket", "k", conditions=Conditions(match="0" * 32))
    with pytest.raises(NoSuchBucket):
        await objects.put(ALICE, "absent", "k", sent(b"x"), Wish())
    assert await told(objects) == []


async def test_each_way_to_remove_is_told(objects: Objects) -> None:
    for key in ("a", "b", "c"):
        await put(objects, key, b"x")
    await objects.delete_plain(ALICE, "bucket", ["a", "b"])
    await objects.delete(ALICE, "bucket", "c")
    await objects.buckets.set_versioning(ALICE, "bucket", "Enabled")
    version = (await put(objects, "k", b"x")).version_id
    marker = (await objects.delete(ALICE, "bucket", "k")).version_id
    await objects.delete(ALICE, "bucket", "k", version)
    removals = [n for n in await waiting(objects) if n.event != Event.PUT]
    assert [(n.event, n.key, n.version_id) for n in removals] == [
        (Event.DELETED, "a", ""),
        (Event.DELETED, "b", ""),
        (Event.DELETED, "c", ""),
        (Event.MARKED, "k", marker),
        (Event.DELETED, "k", version),
    ]
    sequence = [n.sequencer for n in await waiting(objects)]
    assert sequence == sorted(set(sequence))


async def test_what_lifecycle_rules_remove_is_told_as_their_doing(objects: Objects, clock: Clock) -> None:
    await put(objects, "plain", b"x")
    await given_rules(
        objects,
        rule(expiration=Expiration(days=1)),
        rule(noncurrent_version_expiration=NoncurrentVersionExpiration(noncurrent_days=1)),
        rule(expiration=Expiration(expired_object_delete_marker=True)),
    )
    clock.seconds += 2 * 86400
    await objects.expiry.run()
    await objects.buckets.set_versioning(ALICE, "bucket", "Enabled")
    version = (await put(objects, "kept", b"x")).version_id
    await objects.forget_notices((await waiting(objects))[:1])
    clock.seconds += 2 * 86400
    await objects.expiry.run()
    clock.seconds += 2 * 86400
    await objects.expiry.run()  # the version below the marker
    await objects.expiry.run()  # and the marker that nothing is below
    found = [n for n in await waiting(objects) if n.event != Event.PUT]
    assert [(n.event, n.key) for n in found] == [
        (Event.EXPIRED, "plain"),
        (Event.EXPIRED_MARKED, "kept"),
        (Event.EXPIRED, "kept"),
        (Event.EXPIRED, "kept"),
    ]
    assert found[2].version_id == version
    assert found[3].version_id == found[1].version_id
    assert all(n.cause == BY_ITSELF for n in found)


async def test_what_waits_is_there_after_a_restart_and_numbered_on(tmp_path: Path) -> None:
    async with opened_objects(tmp_path) as objects:
        await objects.buckets.create(ALICE, "bucket")
        await configure(objects)
        await put(objects, "one", b"x")
    async with opened_objects(tmp_path) as objects:
        await put(objects, "two", b"x")
        assert [notice.key for notice in await waiting(objects)] == ["one", "two"]


async def test_an_account_has_a_bounded_number_of_notices_waiting(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notices_module, "MOST_WAITING", 2)
    for key in ("a", "b", "left out"):
        await put(objects, key, b"x")
    assert [key for _, key in await told(objects)] == ["a", "b"]
    await objects.forget_notices((await waiting(objects))[:1])
    await put(objects, "c", b"x")
    assert [key for _, key in await told(objects)] == ["b", "c"]


async def test_two_rules_of_one_target_are_told_both(objects: Objects) -> None:
    rules = tuple(QueueConfiguration((event,), id=event, queue=ARN) for event in ALL[:1] * 2)
    wanted: Any = NotificationConfiguration(queue_configuration=rules)
    await objects.buckets.put_setting("bucket", wanted)
    await put(objects, "k", b"x")
    assert await told(objects) == [(Event.TEST, ""), (Event.PUT, "k"), (Event.PUT, "k")]
