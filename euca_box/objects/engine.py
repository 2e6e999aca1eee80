"""The object store: buckets, objects, multipart uploads. Bytes lie behind `data.py`, rows behind `index.py`.

`Objects` lives in asyncio. A principal is the caller, None is anonymous; every method that takes one
decides whether it may. The row is the commit point: bytes are on the disk before it is, and a reader
sees an old or a new version, whole. One process owns a data folder.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from euca_box.auth.secrets import Sealer, load_or_make_key
from euca_box.model.accounts import Principal
from euca_box.model.acls import Acl
from euca_box.model.notifications import Notice
from euca_box.model.object_lock import Lock
from euca_box.model.quotas import Quotas
from euca_box.model.s3_errors import (
    KeyTooLongError,
    NoSuchKey,
    OperationAborted,
    S3InternalError,
)
from euca_box.objects.acl import Action, authorize, check_acl, is_allowed, new_owner
from euca_box.objects.buckets import Buckets
from euca_box.objects.cache import Cache, Found
from euca_box.objects.commits import Commits
from euca_box.objects.conditions import NO_CONDITIONS, Conditions
from euca_box.objects.damage import Quarantine
from euca_box.objects.data import DataEngine
from euca_box.objects.digests import DEFAULT_ALGORITHM, Digests, Expectation
from euca_box.objects.encryption import CustomerKey, DataKeys
from euca_box.objects.expiry import Expiry
from euca_box.objects.files import Files
from euca_box.objects.index import DamagedObject, ObjectIndex
from euca_box.objects.intake import Content, receive
from euca_box.objects.listing import Page
from euca_box.objects.notices import Notices
from euca_box.objects.reading import Reader
from euca_box.objects.rows import (
    ANONYMOUS,
    LARGEST_OBJECT_BYTES,
    MIB,
    ObjectFacts,
    Owner,
    StoredObject,
    as_json,
    owner_of,
)
from euca_box.objects.scrub import Scrub
from euca_box.objects.space import Space
from euca_box.objects.uploads import Uploads
from euca_box.objects.usage import Usage
from euca_box.objects.version_listing import VersionPage
from euca_box.objects.versions import Deleted, Facts, Versions, Wish, not_a_marker

log = logging.getLogger(__name__)

LONGEST_KEY_BYTES = 1024


class Objects:
    """Open with `Objects.open`. `buckets` and `uploads` are its other parts."""

    def __init__(
        self,
        index: ObjectIndex,
        files: DataEngine,
        keys: DataKeys,
        region: str,
        now: Callable[[], float],
        cache_bytes: int,
        day_seconds: float,
        quotas: Quotas,
    ) -> None:
        self._index, self._files, self.keys, self._now = index, files, keys, now
        cache = Cache(cache_bytes)
        self._usage = Usage(index.versions, quotas)
        self.notices = Notices(index.notices, self.now_ms)
        self._commits = Commits(index, files, cache, self._usage, self.notices)
        self.quarantine = Quarantine(index, self.now_ms)
        self._reader = Reader(files, self.quarantine)
        self.scrub = Scrub(index, files, self.quarantine, self.now_ms)
        self.buckets = Buckets(index.buckets, self._commits, region, self.now_ms)
        self._usage.watch(self.buckets.known, self.buckets.owned_by)
        self._versions = Versions(
            index, files, cache, self._commits, self.quarantine, self.buckets.find, self.now_ms
        )
        self.uploads = Uploads(
            index.uploads, files, keys, self._commits, self._versions, self.buckets, self._usage
        )
        self.expiry = Expiry(
            index.versions, self.buckets, self._versions, self.uploads, self.now_ms, day_seconds
        )

    def now_ms(self) -> int:
        return int(self._now() * 1000)

    @classmethod
    async def open(
        cls,
        index: ObjectIndex,
        folder: Path,
        *,
        region: str = "us-east-1",
        now: Callable[[], float] = time.time,
        cache_bytes: int = 64 * MIB,
        reserve_bytes: int = 64 * MIB,
        ballast_bytes: int = 64 * MIB,
        sealer: Sealer | None = None,
        day_seconds: float = 86400.0,
        quotas: Quotas | None = None,
    ) -> "Objects":
        """Open the data folder and remove what a crash left in it. The index stays the caller's to close.

        `sealer` holds the master key of encrypted objects; by default one of the folder's own.
        `day_seconds` is how long a day of a lifecycle rule is.
        """
        files = Files(folder / "objects", Space(folder, reserve_bytes, ballast_bytes))
        await files.run(files.prepare)
        if sealer is None:
            sealer = Sealer(load_or_make_key(folder / "objects.key"))
        keys, quotas = DataKeys(sealer), quotas or Quotas()
        self = cls(index, files, keys, region, now, cache_bytes, day_seconds, quotas)
        removed, missing = await files.run(files.sweep, await index.versions.files())
        if removed or missing:
            log.info("object data: %d unreferenced files removed, %d files missing", removed, missing)
        await self._versions.load()
        await self.quarantine.load()
        await self.scrub.load()
        await self.buckets.load()
        await self.uploads.forget_completed()
        await self._usage.load()
        await self.notices.load()
        return self

    def hold_removals(self, held: bool) -> None:
        """Bytes that no row names any more stay while somebody copies them, or go now."""
        self._files.hold(held)

    def limit(self, quotas: Quotas) -> bool:
        """Other quotas from now on; False when some of it needs a new start."""
        return self._usage.change(quotas)

    async def close(self) -> None:
        """Finish what is being committed and removed."""
        await self.quarantine.close()
        await self._commits.close()
        await self._files.close()

    async def forget_notices(self, notices: Sequence[Notice]) -> None:
        """They were told, or never will be."""
        await self._commits.forget_notices(notices)

    async def put(
        self,
        principal: Principal | None,
        bucket: str,
        key: str,
        body: AsyncIterator[bytes],
        wish: Wish,
        size_bytes: int | None = None,
    ) -> StoredObject:
        """Store the body as the current version of key. Durable when it returns.

        `size_bytes` is what was announced, for the quota. Raises NoSuchBucket, AccessDenied,
        KeyTooLongError, BadDigest, XAmzContentSHA256Mismatch, PreconditionFailed, EntityTooLarge,
        QuotaExceeded, InsufficientStorage, and what the body raises.
        """
        owner = self.authorize_put(principal, bucket, key, wish.acl)
        digests = Digests(wish.expect)
        data_key, encryption = self.keys.make(wish.encrypt)
        with self._usage.reserved(bucket, size_bytes, LARGEST_OBJECT_BYTES) as largest_bytes:
            content = await receive(self._files, digests, body, largest_bytes=largest_bytes, key=data_key)
            facts = Facts(digests.etag, digests.checksum, digests.sha256, encryption)
            return await self._versions.make(owner, bucket, key, content, facts, wish)

    def authorize_put(
        self, principal: Principal | None, bucket: str, key: str, acl: Acl | None = None
    ) -> Owner:
        """Whose the key will be, if the principal may write it: asked before a byte of the body is taken."""
        held = self.buckets.find(bucket)
        authorize(principal, Action.PUT_OBJECT, held, key=key)
        check_acl(held, acl)
        if len(key.encode()) > LONGEST_KEY_BYTES:
            raise KeyTooLongError(MaxSizeAllowed=str(LONGEST_KEY_BYTES))
        return new_owner(principal, held, acl)

    async def find(
        self, principal: Principal | None, bucket: str, key: str, version_id: str | None = None
    ) -> Found:
        """The current version or the one named, if the principal may read it.

        Who may not list the bucket cannot tell an absent object from a forbidden one.
        Raises NoSuchBucket, NoSuchKey, AccessDenied, NoSuchVersion, MethodNotAllowed, InvalidArgument.
        """
        found = await self._look_up(principal, bucket, key, version_id)
        action = Action.GET_OBJECT if version_id is None else Action.GET_OBJECT_VERSION
        authorize(principal, action, self.buckets.find(bucket), found.stored)
        return found

    async def _look_up(
        self, principal: Principal | None, bucket: str, key: str, version_id: str | None
    ) -> Found:
        if version_id is None:
            found = await self._versions.find(bucket, key)
        else:
            found = await self._versions.find_version(bucket, key, version_id)
        if found is not None and not found.stored.is_marker:
            return found
        authorize(principal, Action.LIST_BUCKET, self.buckets.find(bucket), key=key)
        if version_id is not None:
            return not_a_marker(found, key, version_id)
        raise await self._versions.absence(bucket, key)

    @contextlib.asynccontextmanager
    async def opened(
        self, principal: Principal | None, bucket: str, key: str, version_id: str | None = None
    ) -> AsyncIterator[Found]:
        """As `find`; the bytes stay readable with `read` until the block ends, whatever is written."""
        for _ in range(5):
            found = await self.find(principal, bucket, key, version_id)
            generation = found.stored.generation
            self._files.pin(generation)
            try:
                if self._versions.is_readable(found):
                    yield found
                    return
            finally:
                self._files.unpin(generation)
            self._versions.forget(bucket, key)  # replaced between the look at the row and the pin
        raise S3InternalError()

    def read(
        self, found: Found, start: int, end: int, data_key: bytes | None = None
    ) -> AsyncIterator[bytes | bytearray]:
        """The bytes [start, end) of an opened object, in pieces of at most 256 KiB."""
        return self._reader.read(found, start, end, data_key)

    async def delete(
        self,
        principal: Principal | None,
        bucket: str,
        key: str,
        version_id: str | None = None,
        conditions: Conditions = NO_CONDITIONS,
        *,
        bypass: bool = False,
    ) -> Deleted:
        """Delete the current version, or remove the named one. Works on a full disk; absence is no error.

        Raises NoSuchBucket, AccessDenied, PreconditionFailed, NoSuchKey, InvalidArgument.
        """
        held = self.buckets.find(bucket)
        if version_id is None:
            authorize(principal, Action.DELETE_OBJECT, held, key=key)
            owner = owner_of(principal) if principal else ANONYMOUS
            return await self._versions.delete(owner, bucket, key, conditions)
        authorize(principal, Action.DELETE_OBJECT_VERSION, held, key=key)
        bypass = bypass and is_allowed(principal, Action.BYPASS_GOVERNANCE_RETENTION, held, key=key)
        return await self._versions.delete_version(bucket, key, version_id, conditions, bypass=bypass)

    async def delete_plain(self, principal: Principal | None, bucket: str, keys: Iterable[str]) -> None:
        """Delete keys of a bucket that never had versioning, in one commit. Raises as `delete`."""
        held, wanted = self.buckets.find(bucket), list(keys)
        for key in wanted:
            authorize(principal, Action.DELETE_OBJECT, held, key=key)
        await self._versions.delete_plain(bucket, wanted)

    async def copy(
        self,
        principal: Principal | None,
        source: Found,
        bucket: str,
        key: str,
        wish: Wish,
        customer: CustomerKey | None = None,
    ) -> StoredObject:
        """A new object of the same bytes; larger ones share their blocks on the disk where they can.

        `source` is opened and stays so; `customer` is the key that opens it. Bytes are read and written
        anew when they must be enciphered otherwise or get another checksum, or were uploaded in parts: a
        copy has none, and its ETag is the MD5 of the whole. Raises as `put`.
        """
        owner = self.authorize_put(principal, bucket, key, wish.acl)
        data_key = self.keys.open(source.stored.encryption, customer)
        old = source.stored
        algorithm = old.checksum.algorithm if old.checksum else ""
        same_checksum = wish.expect.algorithm in ("", algorithm)
        had_parts = "-" in old.etag
        if (data_key is None) != (wish.encrypt is None) or not same_checksum or had_parts:
            wanted = wish.expect.algorithm or (algorithm if had_parts else "") or DEFAULT_ALGORITHM
            wish = replace(wish, expect=Expectation(algorithm=wanted))
            pieces = self._pieces(source, data_key)
            return await self.put(principal, bucket, key, pieces, wish, old.size_bytes)
        encryption = self.keys.seal(data_key, wish.encrypt) if data_key and wish.encrypt else ""
        facts = Facts(old.etag, old.checksum, old.sha256, encryption)
        with self._usage.reserved(bucket, old.size_bytes, LARGEST_OBJECT_BYTES):
            content = await self._same_bytes(source)
            return await self._versions.make(owner, bucket, key, content, facts, wish)

    async def _pieces(self, source: Found, data_key: bytes | None) -> AsyncIterator[bytes]:
        async for piece in self.read(source, 0, source.stored.size_bytes, data_key):
            yield bytes(piece)

    async def _same_bytes(self, source: Found) -> Content:
        if source.stored.generation in self.quarantine:
            raise DamagedObject(source.stored)
        if source.inline is not None:
            return Content(source.stored.size_bytes, inline=source.inline, nonce=source.nonce)
        linking = self._files.run(self._files.link, [piece.file for piece in source.pieces])
        try:
            names = await asyncio.shield(linking)
            await self._files.settle(names)
        except BaseException:
            linking.add_done_callback(self._unlink_again)
            raise
        pieces = tuple(replace(piece, file=name) for name, piece in zip(names, source.pieces, strict=True))
        return Content(source.stored.size_bytes, pieces=pieces)

    def _unlink_again(self, linking: asyncio.Future[list[str]]) -> None:
        if not linking.cancelled() and linking.exception() is None:
            self._files.release(-1, linking.result())

    async def known(
        self,
        principal: Principal | None,
        action: Action,
        bucket: str,
        key: str,
        version_id: str | None = None,
    ) -> StoredObject:
        """The object, if the principal may do that with it. Raises as `find`."""
        found = await self._look_up(principal, bucket, key, version_id)
        authorize(principal, action, self.buckets.find(bucket), found.stored)
        return found.stored

    async def set_acl(
        self, principal: Principal | None, bucket: str, key: str, acl: Acl, version_id: str | None = None
    ) -> StoredObject:
        """Raises as `find`, and as `check_acl`."""
        check_acl(self.buckets.find(bucket), acl)
        action = Action.PUT_OBJECT_ACL if version_id is None else Action.PUT_OBJECT_VERSION_ACL

        async def change(stored: StoredObject) -> bool:
            return await self._versions.change(stored, "acl", acl.value, stored.acl.value)

        return await self._changed(lambda: self.known(principal, action, bucket, key, version_id), change)

    async def set_tags(
        self,
        principal: Principal | None,
        action: Action,
        bucket: str,
        key: str,
        tags: Mapping[str, str],
        version_id: str | None = None,
    ) -> StoredObject:
        """Replace the tags; `action` is what is asked for, to put or to delete them."""

        async def change(stored: StoredObject) -> bool:
            return await self._versions.change(stored, "tags", as_json(tags), as_json(stored.tags))

        return await self._changed(lambda: self.known(principal, action, bucket, key, version_id), change)

    async def locked(
        self,
        principal: Principal | None,
        action: Action,
        bucket: str,
        key: str,
        version_id: str | None = None,
    ) -> StoredObject:
        """As `known`, in a bucket with object lock. Raises as that, and InvalidRequest."""
        self._versions.require_lock(bucket)
        return await self.known(principal, action, bucket, key, version_id)

    async def set_lock(
        self,
        principal: Principal | None,
        action: Action,
        bucket: str,
        key: str,
        edit: Callable[[Lock], Lock],
        version_id: str | None = None,
        *,
        bypass: bool = False,
    ) -> StoredObject:
        """Raises AccessDenied when what protects the version now does not allow the change."""
        held = self.buckets.find(bucket)
        bypass = bypass and is_allowed(principal, Action.BYPASS_GOVERNANCE_RETENTION, held, key=key)

        async def change(stored: StoredObject) -> bool:
            return await self._versions.set_lock(stored, edit(stored.lock), bypass=bypass)

        return await self._changed(lambda: self.locked(principal, action, bucket, key, version_id), change)

    async def _changed(
        self,
        look: Callable[[], Awaitable[StoredObject]],
        change: Callable[[StoredObject], Awaitable[bool]],
    ) -> StoredObject:
        """Change a version as it was seen; look again when somebody else came first."""
        for _ in range(5):
            stored = await look()
            if await change(stored):
                return stored
        raise OperationAborted()

    async def list(
        self,
        principal: Principal | None,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        limit: int = 1000,
    ) -> Page:
        """One page of keys in UTF-8 order. Raises NoSuchBucket, AccessDenied."""
        authorize(principal, Action.LIST_BUCKET, self.buckets.find(bucket))
        return await self._index.versions.page(bucket, prefix, delimiter, after, limit)

    async def list_versions(
        self,
        principal: Principal | None,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        after_version: str = "",
        limit: int = 1000,
    ) -> VersionPage:
        """One page of versions and delete markers: keys in UTF-8 order, the newest version of each first.

        Raises NoSuchBucket, AccessDenied, InvalidArgument.
        """
        authorize(principal, Action.LIST_BUCKET_VERSIONS, self.buckets.find(bucket))
        return await self._index.versions.version_page(bucket, prefix, delimiter, after, after_version, limit)

    async def stat(self, principal: Principal | None, bucket: str, key: str) -> ObjectFacts:
        """What an image reader must know. Raises NoSuchBucket, NoSuchKey, AccessDenied."""
        stored = (await self.find(principal, bucket, key)).stored
        return ObjectFacts(stored.size_bytes, stored.etag, stored.sha256, stored.generation)

    async def read_at(self, bucket: str, key: str, generation: int, offset: int, length: int) -> bytes:
        """Bytes of that generation, short only at its end. The right to read was checked by `stat`.

        Raises NoSuchKey when the object was replaced or deleted since.
        """
        found = await self._versions.find(bucket, key)
        if found is None or found.stored.generation != generation:
            raise NoSuchKey(Key=key)
        self._files.pin(generation)
        try:
            end = min(offset + length, found.stored.size_bytes)
            data_key = self.keys.open(found.stored.encryption, None)
            return b"".join([bytes(data) async for data in self.read(found, offset, end, data_key)])
        except FileNotFoundError:
            raise NoSuchKey(Key=key) from None
        finally:
            self._files.unpin(generation)

    async def used_bytes(self) -> int:
        """Bytes of all objects and parts. A copy counts in full though it shares its blocks."""
        return sum((await self._index.versions.held_bytes()).values())
