"""Buckets: all of them in memory, written through."""

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from euca_box.model.accounts import LENDER, Principal
from euca_box.model.acls import PRIVATE, Acl
from euca_box.model.notifications import Notice, NotificationConfiguration
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
from euca_box.objects.acl import Action, authorize, check_acl
from euca_box.objects.commits import Commits
from euca_box.objects.index import BucketIndex, Changes
from euca_box.objects.rows import ENABLED, Bucket, is_hidden, owner_of
from euca_box.store.store import Conflict

# "services" is the first step of the paths of 1.6.2, /services/Walrus/bucket/key; SOAP is asked at /soap.
_TAKEN = {"services", "soap"}
_RESERVED_BEGINNINGS = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDINGS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class Buckets:
    def __init__(self, rows: BucketIndex, commits: Commits, region: str, now_ms: Callable[[], int]) -> None:
        self._rows, self._commits, self._region, self._now_ms = rows, commits, region, now_ms
        self._buckets: dict[str, Bucket] = {}

    async def load(self) -> None:
        self._buckets = {bucket.name: bucket for bucket in await self._rows.all()}

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
                await self._commits.commit(self._rows.put(bucket))
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

    async def open_hidden(self, name: str) -> Bucket:
        """The hidden bucket of that name (it begins with _), made when there is none. No quota counts it."""
        assert is_hidden(name), name
        if (held := self._buckets.get(name)) is not None:
            return held
        bucket = Bucket(name, owner_of(LENDER), self._now_ms(), "", PRIVATE)
        with contextlib.suppress(Conflict):
            await self._commits.commit(self._rows.put(bucket))
        return (await self._reread(name)) or bucket

    async def _reread(self, name: str) -> Bucket | None:
        bucket = await self._rows.find(name)
        if bucket is None:
            self._buckets.pop(name, None)
        else:
            self._buckets[name] = bucket
        return bucket

    async def set_acl(self, principal: Principal | None, name: str, acl: Acl) -> None:
        """Raises NoSuchBucket, AccessDenied, AccessControlListNotSupported."""
        bucket = self.find(name)
        authorize(principal, Action.PUT_BUCKET_ACL, bucket)
        check_acl(bucket, acl)
        await self._change(name, self._rows.change(name, "acl", acl.value))

    async def put_setting(self, name: str, value: Any) -> None:
        """Set the document of the value's type; who may was asked before. Raises NoSuchBucket."""
        notices: Sequence[Notice] = ()
        if isinstance(value, NotificationConfiguration):
            notices = self._commits.notices.tests(self.find(name), value)
        await self._change(name, self._rows.put_setting(name, value), notices=notices)

    async def delete_setting(self, name: str, kind: type) -> None:
        """What is not set stays so. Works on a full disk. Raises NoSuchBucket."""
        await self._change(name, self._rows.delete_setting(name, kind), removes=True)

    async def _change(
        self, name: str, changes: Changes, *, removes: bool = False, notices: Sequence[Notice] = ()
    ) -> None:
        with contextlib.suppress(Conflict):
            await self._commits.commit(changes, removes=removes, notices=notices)
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
        await self._change(name, self._rows.change(name, "versioning", status))

    async def set_object_lock(
        self, principal: Principal | None, name: str, default: DefaultRetention
    ) -> None:
        """Raises InvalidBucketState unless versioning is enabled."""
        bucket = self.find(name)
        authorize(principal, Action.PUT_BUCKET_OBJECT_LOCK, bucket)
        if bucket.versioning != ENABLED:
            raise InvalidBucketState("Versioning must be 'Enabled' on the bucket to apply Object Lock.")
        await self._change(name, self._rows.change(name, "object_lock", default.as_text()))

    async def delete(self, principal: Principal | None, name: str) -> None:
        """Raises NoSuchBucket, AccessDenied, BucketNotEmpty. Open uploads end with the bucket."""
        authorize(principal, Action.DELETE_BUCKET, self.find(name))
        try:
            await self._commits.commit(self._rows.delete(name), removes=True)
        except Conflict:
            if await self._rows.find(name) is not None:
                raise BucketNotEmpty(BucketName=name) from None
        self._buckets.pop(name, None)


def is_bucket_name(name: str) -> bool:
    """S3 user guide, "Bucket naming rules", and not a path of our own."""
    if not _NAME.fullmatch(name) or ".." in name or ".-" in name or "-." in name or name in _TAKEN:
        return False
    if name.startswith(_RESERVED_BEGINNINGS) or name.endswith(_RESERVED_ENDINGS):
        return False
    try:
        IPv4Address(name)
    except AddressValueError:
        return True
    return False
