"""Buckets: all of them in memory, written through."""

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from euca_box.model.accounts import Principal
from euca_box.model.acls import PRIVATE, Acl
from euca_box.model.object_lock import DefaultRetention
from euca_box.model.s3_errors import (
    AccessDenied,
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    InvalidBucketName,
    InvalidBucketState,
    NoSuchBucket,
)
from euca_box.objects import index
from euca_box.objects.acl import Action, authorize, check_acl
from euca_box.objects.commits import Commits
from euca_box.objects.index import ENABLED
from euca_box.objects.rows import Bucket, bucket_from, owner_of
from euca_box.objects.settings import read_setting, setting_name, write_setting
from euca_box.store.sqlite_store import SqliteStore
from euca_box.store.store import Conflict, Statement, insert

# "services" is the first step of the paths of 1.6.2, /services/Walrus/bucket/key.
_TAKEN = {"services"}
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class Buckets:
    def __init__(self, store: SqliteStore, commits: Commits, region: str, now_ms: Callable[[], int]) -> None:
        self._store, self._commits, self._region, self._now_ms = store, commits, region, now_ms
        self._buckets: dict[str, Bucket] = {}

    async def load(self) -> None:
        rows = await self._store.read("SELECT * FROM bucket")
        settings: dict[str, dict[type, Any]] = {}
        for row in await self._store.read("SELECT * FROM bucket_setting"):
            kind, value = read_setting(row["name"], row["document"])
            settings.setdefault(row["bucket"], {})[kind] = value
        self._buckets = {row["name"]: bucket_from(row, settings.get(row["name"], {})) for row in rows}

    def find(self, name: str) -> Bucket:
        """Raises NoSuchBucket."""
        bucket = self._buckets.get(name)
        if bucket is None:
            raise NoSuchBucket(BucketName=name)
        return bucket

    def known(self, name: str) -> Bucket | None:
        """The bucket of that name, if there is one."""
        return self._buckets.get(name)

    def all(self) -> list[Bucket]:
        return list(self._buckets.values())

    def owned_by(self, account: str) -> list[Bucket]:
        return sorted((b for b in self._buckets.values() if b.owner.account == account), key=lambda b: b.name)

    async def create(
        self,
        principal: Principal | None,
        name: str,
        location: str = "",
        acl: Acl = PRIVATE,
        settings: Sequence[Any] = (),
        *,
        object_lock: bool = False,
    ) -> Bucket:
        """A new bucket; in us-east-1 one's own existing bucket is answered as new, as AWS does.

        Raises AccessDenied, InvalidBucketName, BucketAlreadyExists, BucketAlreadyOwnedByYou,
        TooManyBuckets.
        """
        if principal is None:
            raise AccessDenied()
        if not is_bucket_name(name):
            raise InvalidBucketName(BucketName=name)
        bucket = Bucket(
            name, owner_of(principal), self._now_ms(), location, acl, {type(s): s for s in settings}
        )
        if object_lock:
            bucket = replace(bucket, versioning=ENABLED, object_lock=DefaultRetention())
        if (old := self._buckets.get(name)) is None:
            self._commits.usage.check_buckets(principal.account)
            try:
                await self._commits.commit([index.insert_bucket(bucket), *(_set(name, s) for s in settings)])
            except Conflict:
                old = (await self._reread(name)) or bucket
            else:
                self._commits.usage.begin(name)
                self._buckets[name] = bucket
                return bucket
        same = old.acl == acl and (old.object_lock is not None or not object_lock)
        same = same and all(old.setting(type(wanted)) == wanted for wanted in settings)
        if old.owner.account != principal.account or not same:
            # Another wish than the first: a 200 would say that it was fulfilled.
            raise BucketAlreadyExists(BucketName=name)
        if self._region != "us-east-1":
            raise BucketAlreadyOwnedByYou(BucketName=name)
        return old

    async def _reread(self, name: str) -> Bucket | None:
        rows = await self._store.read("SELECT * FROM bucket WHERE name = ?", name)
        documents = await self._store.read("SELECT * FROM bucket_setting WHERE bucket = ?", name)
        settings = dict(read_setting(row["name"], row["document"]) for row in documents)
        for row in rows:
            self._buckets[name] = bucket_from(row, settings)
        if not rows:
            self._buckets.pop(name, None)
        return self._buckets.get(name)

    async def set_acl(self, principal: Principal | None, name: str, acl: Acl) -> None:
        """Raises NoSuchBucket, AccessDenied, AccessControlListNotSupported."""
        bucket = self.find(name)
        authorize(principal, Action.PUT_BUCKET_ACL, bucket)
        check_acl(bucket, acl)
        await self._change(name, Statement("UPDATE bucket SET acl = ? WHERE name = ?", (acl.value, name)))

    async def put_setting(self, name: str, value: Any) -> None:
        """Set the document of the value's type; who may was asked before. Raises NoSuchBucket."""
        await self._change(name, _set(name, value))

    async def delete_setting(self, name: str, kind: type) -> None:
        """What is not set stays so. Works on a full disk. Raises NoSuchBucket."""
        sql = "DELETE FROM bucket_setting WHERE bucket = ? AND name = ?"
        await self._change(name, Statement(sql, (name, setting_name(kind))), removes=True)

    async def _change(self, name: str, change: Statement, *, removes: bool = False) -> None:
        is_there = Statement("UPDATE bucket SET name = name WHERE name = ?", (name,), expect=1)
        with contextlib.suppress(Conflict):
            await self._commits.commit([is_there, change], removes=removes)
        await self._reread(name)
        self.find(name)

    async def set_versioning(self, principal: Principal | None, name: str, status: str) -> None:
        """Enabled or Suspended. Raises InvalidBucketState: object lock needs all versions."""
        bucket = self.find(name)
        authorize(principal, Action.PUT_BUCKET_VERSIONING, bucket)
        if bucket.object_lock is not None and status != ENABLED:
            raise InvalidBucketState(
                "An Object Lock configuration is present on this bucket, so the versioning state cannot be "
                "changed."
            )
        sql = "UPDATE bucket SET versioning = ? WHERE name = ?"
        await self._change(name, Statement(sql, (status, name)))

    async def set_object_lock(
        self, principal: Principal | None, name: str, default: DefaultRetention
    ) -> None:
        """Raises InvalidBucketState unless versioning is enabled."""
        bucket = self.find(name)
        authorize(principal, Action.PUT_BUCKET_OBJECT_LOCK, bucket)
        if bucket.versioning != ENABLED:
            raise InvalidBucketState("Versioning must be 'Enabled' on the bucket to apply Object Lock.")
        sql = "UPDATE bucket SET object_lock = ? WHERE name = ?"
        await self._change(name, Statement(sql, (default.as_text(), name)))

    async def delete(self, principal: Principal | None, name: str) -> None:
        """Raises NoSuchBucket, AccessDenied, BucketNotEmpty. Open uploads end with the bucket."""
        authorize(principal, Action.DELETE_BUCKET, self.find(name))
        try:
            await self._commits.commit(index.delete_bucket(name), removes=True)
        except Conflict:
            if await self._store.read("SELECT 1 FROM bucket WHERE name = ?", name):
                raise BucketNotEmpty(BucketName=name) from None
        self._buckets.pop(name, None)


def _set(name: str, value: Any) -> Statement:
    row = {"bucket": name, "name": setting_name(type(value)), "document": write_setting(value)}
    return insert("bucket_setting", row, or_replace=True)


def is_bucket_name(name: str) -> bool:
    """S3 user guide, "Bucket naming rules", and not a path of our own."""
    if not _NAME.fullmatch(name) or ".." in name or ".-" in name or "-." in name or name in _TAKEN:
        return False
    try:
        IPv4Address(name)
    except AddressValueError:
        return True
    return False
