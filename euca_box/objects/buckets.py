"""Buckets: all of them in memory, written through."""

import re
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address

from euca_box.model.accounts import Principal
from euca_box.model.s3_errors import (
    AccessDenied,
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    InvalidBucketName,
    NoSuchBucket,
)
from euca_box.objects import index
from euca_box.objects.acl import Action, authorize
from euca_box.objects.commits import Commits
from euca_box.objects.rows import Bucket, CannedAcl, bucket_from, owner_of
from euca_box.store.sqlite_store import SqliteStore
from euca_box.store.store import Conflict, Statement

# "services" is the first step of the paths of 1.6.2, /services/Walrus/bucket/key.
_TAKEN = {"services"}
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class Buckets:
    def __init__(self, store: SqliteStore, commits: Commits, region: str, now_ms: Callable[[], int]) -> None:
        self._store, self._commits, self._region, self._now_ms = store, commits, region, now_ms
        self._buckets: dict[str, Bucket] = {}

    async def load(self) -> None:
        rows = await self._store.read("SELECT * FROM bucket")
        self._buckets = {row["name"]: bucket_from(row) for row in rows}

    def find(self, name: str) -> Bucket:
        """Raises NoSuchBucket."""
        bucket = self._buckets.get(name)
        if bucket is None:
            raise NoSuchBucket(BucketName=name)
        return bucket

    def owned_by(self, account: str) -> list[Bucket]:
        return sorted((b for b in self._buckets.values() if b.owner.account == account), key=lambda b: b.name)

    async def create(
        self,
        principal: Principal | None,
        name: str,
        location: str = "",
        acl: CannedAcl = CannedAcl.PRIVATE,
    ) -> Bucket:
        """A new bucket; in us-east-1 one's own existing bucket is answered as new, as AWS does.

        Raises AccessDenied, InvalidBucketName, BucketAlreadyExists, BucketAlreadyOwnedByYou.
        """
        if principal is None:
            raise AccessDenied()
        if not is_bucket_name(name):
            raise InvalidBucketName(BucketName=name)
        bucket = Bucket(name, owner_of(principal), self._now_ms(), location, acl)
        if (old := self._buckets.get(name)) is None:
            try:
                await self._commits.commit([index.insert_bucket(bucket)])
            except Conflict:
                old = (await self._reread(name)) or bucket
            else:
                self._buckets[name] = bucket
                return bucket
        if old.owner.account != principal.account:
            raise BucketAlreadyExists(BucketName=name)
        if self._region != "us-east-1":
            raise BucketAlreadyOwnedByYou(BucketName=name)
        return old

    async def _reread(self, name: str) -> Bucket | None:
        rows = await self._store.read("SELECT * FROM bucket WHERE name = ?", name)
        for row in rows:
            self._buckets[name] = bucket_from(row)
        return self._buckets.get(name)

    async def set_acl(self, principal: Principal | None, name: str, acl: CannedAcl) -> None:
        bucket = self.find(name)
        authorize(principal, Action.OWN_BUCKET, bucket)
        change = Statement("UPDATE bucket SET acl = ? WHERE name = ?", (acl.value, name), expect=1)
        await self._commits.commit([change])
        await self._reread(name)

    async def delete(self, principal: Principal | None, name: str) -> None:
        """Raises NoSuchBucket, AccessDenied, BucketNotEmpty. Open uploads end with the bucket."""
        authorize(principal, Action.OWN_BUCKET, self.find(name))
        try:
            await self._commits.commit(index.delete_bucket(name), removes=True)
        except Conflict:
            if await self._store.read("SELECT 1 FROM bucket WHERE name = ?", name):
                raise BucketNotEmpty(BucketName=name) from None
        self._buckets.pop(name, None)


def is_bucket_name(name: str) -> bool:
    """S3 user guide, "Bucket naming rules", and not a path of our own."""
    if not _NAME.fullmatch(name) or ".." in name or ".-" in name or "-." in name or name in _TAKEN:
        return False
    try:
        IPv4Address(name)
    except AddressValueError:
        return True
    return False
