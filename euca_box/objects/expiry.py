"""Carry out the lifecycle rules of buckets: expire objects, versions and delete markers, end old uploads.

One walk over all versions of a bucket, newest first within a key, a page at a time. What a rule is about
is asked again inside the batch that removes it: a new object under the name of an old one stays.
Source: S3 user guide, "Lifecycle rules: Expiration", "Understanding object expiration".
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from euca_box.model.lifecycle import LifecycleConfiguration, Rule, expiration_moment
from euca_box.model.object_lock import DAY_MS
from euca_box.model.s3_errors import S3Error
from euca_box.objects.buckets import Buckets
from euca_box.objects.conditions import Conditions
from euca_box.objects.index import VersionIndex, WalkedVersion
from euca_box.objects.notices import EXPIRED
from euca_box.objects.rows import Bucket, StoredObject
from euca_box.objects.uploads import Uploads
from euca_box.objects.version_listing import CURRENT
from euca_box.objects.versions import Versions

log = logging.getLogger(__name__)

_AT_ONCE = 64  # removals that share a commit


@dataclass(slots=True)
class Expired:
    """What one walk did."""

    objects: int = 0
    versions: int = 0
    markers: int = 0
    uploads: int = 0


@dataclass(slots=True)
class _Key:
    """What is known of the key that the walk is at."""

    name: str = ""
    successor_ms: int = 0  # when the version before in the walk, which is newer, came
    noncurrent: int = 0  # versions passed that are not the newest


@dataclass(slots=True)
class _Walk:
    bucket: Bucket
    rules: Sequence[Rule]
    now_ms: int
    done: Expired = field(default_factory=Expired)
    removals: list[Awaitable[object]] = field(default_factory=list)


class Expiry:
    """`day_seconds` is how long a day of a rule is; days of 24 hours end at midnight UTC, as AWS's do."""

    def __init__(
        self,
        rows: VersionIndex,
        buckets: Buckets,
        versions: Versions,
        uploads: Uploads,
        now_ms: Callable[[], int],
        day_seconds: float,
    ) -> None:
        self._rows, self._buckets = rows, buckets
        self._versions, self._uploads = versions, uploads
        self._now_ms, self._day_ms = now_ms, int(day_seconds * 1000)

    async def run(self) -> Expired:
        """Go through all buckets with rules, once."""
        total = Expired()
        for bucket in self._buckets.all():
            lifecycle = bucket.setting(LifecycleConfiguration)
            if lifecycle is None:
                continue
            rules = [rule for rule in lifecycle.rule if rule.is_enabled]
            walk = _Walk(bucket, rules, self._now_ms(), total)
            await self._expire_versions(walk)
            await self._abort_uploads(walk)
        if total != Expired():
            log.info("lifecycle: %s", total)
        return total

    def due_ms(self, since_ms: int, days: int) -> int:
        """When that many days are over."""
        moment = since_ms + days * self._day_ms
        return -(-moment // DAY_MS) * DAY_MS if self._day_ms == DAY_MS else moment

    def expiration(self, stored: StoredObject) -> tuple[int, str] | None:
        """When the current version will expire and the id of the rule that says so, if one does."""
        lifecycle = self._buckets.find(stored.bucket).setting(LifecycleConfiguration)
        if lifecycle is None:
            return None
        found = [
            (moment, rule.id or "")
            for rule in lifecycle.rule
            if rule.is_enabled and rule.covers(stored.key, stored.size_bytes, stored.tags)
            if (moment := self._expires_ms(rule, stored.modified_ms)) is not None
        ]
        return min(found, default=None)

    def _expires_ms(self, rule: Rule, modified_ms: int) -> int | None:
        if rule.expiration is None:
            return None
        if rule.expiration.days is not None:
            return self.due_ms(modified_ms, rule.expiration.days)
        if rule.expiration.date is not None:
            return int(expiration_moment(rule.expiration.date).timestamp() * 1000)
        return None

    async def _expire_versions(self, walk: _Walk) -> None:
        at, row = _Key(), None
        async for following in self._walk(walk.bucket.name):
            if row is not None:
                await self._judge(walk, at, row, is_last=following.key != row.key)
            row = following
        if row is not None:
            await self._judge(walk, at, row, is_last=True)
        await self._remove(walk)

    async def _judge(self, walk: _Walk, at: _Key, row: WalkedVersion, *, is_last: bool) -> None:
        """Decide on one version; `is_last`: the key has no older one."""
        is_newest = at.name != row.key
        if is_newest:
            at.name, at.noncurrent = row.key, 0
        rules = [rule for rule in walk.rules if rule.covers(row.key, row.size_bytes, row.tags)]
        name, same = (walk.bucket.name, row.key), Conditions(generation=row.generation)
        if row.kind == CURRENT:
            if any(self._is_due(walk, rule, row.modified_ms) for rule in rules):
                walk.removals.append(self._versions.delete(walk.bucket.owner, *name, same, EXPIRED))
                walk.done.objects += 1
        elif is_newest:
            if is_last and any(self._is_due_marker(walk, rule, row.modified_ms) for rule in rules):
                walk.removals.append(self._versions.delete_version(*name, row.version_id, same, told=EXPIRED))
                walk.done.markers += 1
        else:
            if any(self._is_due_noncurrent(walk, rule, at) for rule in rules):
                removal = self._versions.delete_version(
                    *name, row.version_id, same, older_only=True, told=EXPIRED
                )
                walk.removals.append(removal)
                walk.done.versions += 1
            at.noncurrent += 1
        at.successor_ms = row.modified_ms
        if len(walk.removals) >= _AT_ONCE:
            await self._remove(walk)

    def _is_due(self, walk: _Walk, rule: Rule, modified_ms: int) -> bool:
        moment = self._expires_ms(rule, modified_ms)
        return moment is not None and moment <= walk.now_ms

    def _is_due_marker(self, walk: _Walk, rule: Rule, modified_ms: int) -> bool:
        if rule.expiration is not None and rule.expiration.expired_object_delete_marker:
            return True
        return self._is_due(walk, rule, modified_ms)

    def _is_due_noncurrent(self, walk: _Walk, rule: Rule, at: _Key) -> bool:
        wish = rule.noncurrent_version_expiration
        if wish is None or self.due_ms(at.successor_ms, wish.noncurrent_days) > walk.now_ms:
            return False
        return wish.newer_noncurrent_versions is None or at.noncurrent >= wish.newer_noncurrent_versions

    async def _remove(self, walk: _Walk) -> None:
        """Those that changed meanwhile, or are under a lock, stay."""
        removals, walk.removals = walk.removals, []
        for outcome in await asyncio.gather(*removals, return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, S3Error):
                raise outcome

    async def _walk(self, bucket: str) -> AsyncIterator[WalkedVersion]:
        key, generation = "", 0
        while rows := await self._rows.walk(bucket, key, generation):
            for row in rows:
                yield row
            key, generation = rows[-1].key, rows[-1].generation

    async def _abort_uploads(self, walk: _Walk) -> None:
        rules = [rule for rule in walk.rules if rule.abort_incomplete_multipart_upload is not None]
        if not rules:
            return
        for upload in await self._uploads.open_in(walk.bucket.name):
            for rule in rules:
                abort = rule.abort_incomplete_multipart_upload
                assert abort is not None
                due_ms = self.due_ms(upload.started_ms, abort.days_after_initiation)
                if rule.covers_upload(upload.key) and due_ms <= walk.now_ms:
                    walk.removals.append(self._uploads.abort(upload))
                    walk.done.uploads += 1
                    break
        await self._remove(walk)
