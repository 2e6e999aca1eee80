"""Who is told of a change: notices are rows of the very commit that makes it, and go when they were told.

So no change is lost that was acknowledged, and none is told that did not happen. Of each account a bounded
number may wait; what happens beyond is not told.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import NamedTuple

from euca_box.model.notifications import (
    BY_ITSELF,
    Cause,
    Event,
    Notice,
    NotificationConfiguration,
    target_name,
)
from euca_box.objects.index import Changes, NoticeIndex
from euca_box.objects.rows import NULL_VERSION, Bucket

log = logging.getLogger(__name__)

MOST_WAITING = 100_000  # of one account


def _by_itself() -> Cause:
    return BY_ITSELF


# Who causes what happens in this context: a request says so before it changes anything.
CAUSE: ContextVar[Callable[[], Cause]] = ContextVar("cause", default=_by_itself)


class Removal(NamedTuple):
    """How it is told that an object went, for good or below a delete marker."""

    deleted: Event
    marked: Event


REMOVED = Removal(Event.DELETED, Event.MARKED)
EXPIRED = Removal(Event.EXPIRED, Event.EXPIRED_MARKED)


class Notices:
    def __init__(self, rows: NoticeIndex, now_ms: Callable[[], int]) -> None:
        self._rows, self._now_ms = rows, now_ms
        self._waiting: Counter[str] = Counter()  # by account
        self._sequence = 0
        self._listeners: list[asyncio.Event] = []

    async def load(self) -> None:
        self._waiting = Counter(await self._rows.waiting())
        self._sequence = await self._rows.newest()

    def of(
        self,
        bucket: Bucket,
        event: Event,
        key: str,
        sequencer: int,
        etag: str = "",
        size_bytes: int | None = None,
        version_id: str = "",
    ) -> Sequence[Notice]:
        """One for each rule of the bucket that wants to be told; to be committed with the change."""
        configuration = bucket.setting(NotificationConfiguration)
        if configuration is None:
            return ()
        wanting = [rule for rule in configuration.rules() if rule.wants(event, key)]
        if not wanting or not self._has_room(bucket):
            return ()
        version_id = "" if version_id == NULL_VERSION else version_id
        cause, now_ms = CAUSE.get()(), self._now_ms()
        return [
            Notice(
                target_name(rule.target),
                self._next(),
                event,
                rule.id or "",
                bucket.name,
                bucket.owner.account,
                now_ms,
                key,
                etag,
                size_bytes,
                version_id,
                sequencer,
                cause,
            )
            for rule in wanting
        ]

    def tests(self, bucket: Bucket, configuration: NotificationConfiguration) -> Sequence[Notice]:
        """Each target is told that it was chosen."""
        names = dict.fromkeys(target_name(rule.target) for rule in configuration.rules())
        if not self._has_room(bucket):
            return ()
        owner, now_ms = bucket.owner.account, self._now_ms()
        return [Notice(name, self._next(), Event.TEST, "", bucket.name, owner, now_ms) for name in names]

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _has_room(self, bucket: Bucket) -> bool:
        if self._waiting[bucket.owner.account] < MOST_WAITING:
            return True
        log.warning("bucket %s: too many notices wait for their targets, one is left out", bucket.name)
        return False

    def put(self, notices: Sequence[Notice]) -> Changes:
        return self._rows.put(notices)

    def arrived(self, notices: Sequence[Notice]) -> None:
        """They are committed."""
        for notice in notices:
            self._waiting[notice.owner] += 1
        for listener in self._listeners:
            listener.set()

    def listen(self) -> asyncio.Event:
        """Set whenever something arrives."""
        listener = asyncio.Event()
        self._listeners.append(listener)
        return listener

    def delete(self, notices: Sequence[Notice]) -> Changes:
        return self._rows.delete(notices)

    def gone(self, notices: Sequence[Notice]) -> None:
        """Their rows are deleted."""
        for notice in notices:
            self._waiting[notice.owner] -= 1

    async def next(self, target: str, limit: int) -> Sequence[Notice]:
        return await self._rows.next(target, limit)

    async def targets(self) -> set[str]:
        return await self._rows.targets()
