"""What the buckets of an account hold, where a quota limits it; nothing is counted where none does.

Counted are the bytes of all versions and of the parts of open uploads: a copy in full, though it shares its
blocks. The numbers come from the index at the start; then each commit tells what it changed, measured
inside its own batch. Who sends bytes reserves room for them first, so that many at once do not get past
the quota together.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from euca_box.model.quotas import Quotas
from euca_box.model.s3_errors import EntityTooLarge, QuotaExceeded, TooManyBuckets
from euca_box.objects.index import VersionIndex
from euca_box.objects.rows import Bucket


class Usage:
    def __init__(self, versions: VersionIndex, quotas: Quotas) -> None:
        self._versions, self.quotas, self._is_needed = versions, quotas, quotas.count_bytes
        self._known: Callable[[str], Bucket | None] = lambda name: None
        self._owned: Callable[[str], Sequence[Bucket]] = lambda account: ()
        self._held: Counter[str] = Counter()  # by bucket
        self._reserved: Counter[str] = Counter()  # by account

    def change(self, quotas: Quotas) -> bool:
        """Other limits from now on. False: bytes were not counted so far, and are from the next start on."""
        self.quotas = quotas
        return self._is_needed or not quotas.count_bytes

    def watch(self, known: Callable[[str], Bucket | None], owned: Callable[[str], Sequence[Bucket]]) -> None:
        """Where buckets are found: by name, and of an account."""
        self._known, self._owned = known, owned

    async def load(self) -> None:
        if self._is_needed:
            self._held = Counter(await self._versions.held_bytes())

    def counts(self, bucket: str) -> bool:
        """Is what this bucket holds limited?"""
        return self._is_needed and self._limit(bucket) > 0

    def _limit(self, bucket: str) -> int:
        held = self._known(bucket)
        if held is None or held.is_hidden:
            return 0
        return self.quotas.of(held.owner.account).max_bytes

    def check_buckets(self, account: str) -> None:
        """May the account have one more? Raises TooManyBuckets."""
        most = self.quotas.of(account).max_buckets
        if most and len(self._owned(account)) >= most:
            raise TooManyBuckets()

    def begin(self, bucket: str) -> None:
        """A bucket of that name is new."""
        del self._held[bucket]

    def held_bytes(self, account: str) -> int:
        return sum(self._held[bucket.name] for bucket in self._owned(account))

    def reserved(
        self, bucket: str, size_bytes: int | None, largest_bytes: int
    ) -> contextlib.AbstractContextManager[int]:
        """Keep room while that many bytes come in; how many may come. None: as many as there is room for.

        Raises QuotaExceeded.
        """
        held = self._known(bucket) if self.counts(bucket) else None
        if held is None:
            return contextlib.nullcontext(largest_bytes)
        return self._reserved_of(held.owner.account, bucket, size_bytes, largest_bytes)

    @contextlib.contextmanager
    def _reserved_of(
        self, account: str, bucket: str, size_bytes: int | None, largest_bytes: int
    ) -> Iterator[int]:
        free = self._limit(bucket) - self.held_bytes(account) - self._reserved[account]
        kept = max(free, 0) if size_bytes is None else size_bytes
        if kept > free:
            raise QuotaExceeded()
        self._reserved[account] += kept
        try:
            yield min(kept, largest_bytes)
        except EntityTooLarge:
            if kept < largest_bytes:
                raise QuotaExceeded() from None
            raise
        finally:
            self._reserved[account] -= kept

    def take(self, bucket: str, grown_bytes: int) -> None:
        """What a committed change measured."""
        self._held[bucket] += grown_bytes
