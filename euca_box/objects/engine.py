"""The object store: buckets, objects, multipart uploads; bytes in files, the index in SQLite.

`Objects` lives in asyncio. A principal is the caller, None is anonymous; every method that takes one
decides whether it may. The row is the commit point: bytes are on the disk before it is, and a reader
sees an old or a new version, whole. One process owns a data folder.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from euca_box.model.accounts import Principal
from euca_box.model.acls import Acl
from euca_box.model.s3_errors import AccessDenied, KeyTooLongError, NoSuchKey, S3InternalError
from euca_box.objects import index
from euca_box.objects.acl import Action, authorize, check_acl, is_allowed, new_owner
from euca_box.objects.buckets import Buckets
from euca_box.objects.cache import Cache, Found
from euca_box.objects.commits import Commits
from euca_box.objects.digests import Digests
from euca_box.objects.files import Files
from euca_box.objects.intake import Content, receive
from euca_box.objects.listing import Page, read_page
from euca_box.objects.rows import LARGEST_OBJECT_BYTES, MIB, ObjectFacts, Owner, Piece, StoredObject
from euca_box.objects.space import Space
from euca_box.objects.uploads import Uploads
from euca_box.objects.versions import Facts, Versions, Wish
from euca_box.store.sqlite_store import SqliteStore
from euca_box.store.store import Statement

log = logging.getLogger(__name__)

LONGEST_KEY_BYTES = 1024


class Objects:
    """Open with `Objects.open`. `buckets` and `uploads` are its other parts."""

    def __init__(
        self, store: SqliteStore, files: Files, region: str, now: Callable[[], float], cache_bytes: int
    ) -> None:
        self._store, self._files = store, files
        cache = Cache(cache_bytes)
        self._commits = Commits(store, files, cache)
        self._versions = Versions(store, files, cache, self._commits, now)
        self.buckets = Buckets(store, self._commits, region, self._versions.now_ms)
        self.uploads = Uploads(store, files, self._commits, self._versions, self.buckets)

    @classmethod
    async def open(
        cls,
        store: SqliteStore,
        folder: Path,
        *,
        region: str = "us-east-1",
        now: Callable[[], float] = time.time,
        cache_bytes: int = 64 * MIB,
        reserve_bytes: int = 64 * MIB,
        ballast_bytes: int = 64 * MIB,
    ) -> "Objects":
        """Open the data folder and remove what a crash left in it. The store stays the caller's to close."""
        files = Files(folder / "objects", Space(folder, reserve_bytes, ballast_bytes))
        await files.run(files.prepare)
        self = cls(store, files, region, now, cache_bytes)
        rows = await store.read("SELECT file FROM piece UNION ALL SELECT file FROM part")
        removed, missing = await files.run(files.sweep, {row["file"] for row in rows})
        if removed or missing:
            log.info("object data: %d unreferenced files removed, %d files missing", removed, missing)
        await self._versions.load()
        await self.buckets.load()
        await self.uploads.forget_completed()
        return self

    async def close(self) -> None:
        """Finish what is being committed and removed."""
        await self._commits.close()
        await self._files.close()

    async def put(
        self, principal: Principal | None, bucket: str, key: str, body: AsyncIterator[bytes], wish: Wish
    ) -> StoredObject:
        """Store the body as the current version of key. Durable when it returns.

        Raises NoSuchBucket, AccessDenied, KeyTooLongError, BadDigest, XAmzContentSHA256Mismatch,
        PreconditionFailed, EntityTooLarge, InsufficientStorage, and what the body raises.
        """
        owner = self.authorize_put(principal, bucket, key, wish.acl)
        digests = Digests(wish.expect)
        content = await receive(self._files, digests, body, largest_bytes=LARGEST_OBJECT_BYTES)
        facts = Facts(digests.etag, digests.checksum, digests.sha256)
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

    async def find(self, principal: Principal | None, bucket: str, key: str) -> Found:
        """The current version, if the principal may read it.

        Who may not list the bucket cannot tell an absent object from a forbidden one.
        Raises NoSuchBucket, NoSuchKey, AccessDenied.
        """
        found = await self._versions.find(bucket, key)
        held = self.buckets.find(bucket)
        if found is None:
            if not is_allowed(principal, Action.LIST_BUCKET, held, key=key):
                raise AccessDenied()
            raise NoSuchKey(Key=key)
        authorize(principal, Action.GET_OBJECT, held, found.stored)
        return found

    @contextlib.asynccontextmanager
    async def opened(self, principal: Principal | None, bucket: str, key: str) -> AsyncIterator[Found]:
        """As `find`; the bytes stay readable with `read` until the block ends, whatever is written."""
        for _ in range(5):
            found = await self.find(principal, bucket, key)
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

    def read(self, found: Found, start: int, end: int) -> AsyncIterator[bytes | bytearray]:
        """The bytes [start, end) of an opened object, in pieces of at most 256 KiB."""
        return self._versions.read(found, start, end)

    async def delete(self, principal: Principal | None, bucket: str, keys: Iterable[str]) -> None:
        """Delete keys; absent ones are no error. Works on a full disk. Raises NoSuchBucket, AccessDenied."""
        held, wanted = self.buckets.find(bucket), list(keys)
        for key in wanted:
            authorize(principal, Action.DELETE_OBJECT, held, key=key)
        batch = index.delete_objects(bucket, wanted)
        await self._commits.commit(batch, [(bucket, key) for key in wanted], removes=True)

    async def copy(
        self, principal: Principal | None, source: Found, bucket: str, key: str, wish: Wish
    ) -> StoredObject:
        """A new object of the same bytes; larger ones share their blocks on the disk.

        `source` is opened and stays so. Raises as `put`.
        """
        owner = self.authorize_put(principal, bucket, key, wish.acl)
        content = await self._same_bytes(source)
        facts = Facts(source.stored.etag, source.stored.checksum, source.stored.sha256)
        return await self._versions.make(owner, bucket, key, content, facts, wish)

    async def _same_bytes(self, source: Found) -> Content:
        if source.inline is not None:
            return Content(source.stored.size_bytes, inline=source.inline)
        linking = self._files.run(self._files.link, [piece.file for piece in source.pieces])
        try:
            names = await asyncio.shield(linking)
            await self._files.sync_folders(names)
        except BaseException:
            linking.add_done_callback(self._unlink_again)
            raise
        sizes = [piece.size_bytes for piece in source.pieces]
        pieces = tuple(Piece(name, size) for name, size in zip(names, sizes, strict=True))
        return Content(source.stored.size_bytes, pieces=pieces)

    def _unlink_again(self, linking: asyncio.Future[list[str]]) -> None:
        if not linking.cancelled() and linking.exception() is None:
            self._files.release(-1, linking.result())

    async def known(self, principal: Principal | None, action: Action, bucket: str, key: str) -> StoredObject:
        """The object, if the principal may do that to it. Raises as `find`."""
        held = self.buckets.find(bucket)
        found = await self._versions.find(bucket, key)
        if found is None:
            may_list = is_allowed(principal, Action.LIST_BUCKET, held, key=key)
            raise NoSuchKey(Key=key) if may_list else AccessDenied()
        authorize(principal, action, held, found.stored)
        return found.stored

    async def set_acl(self, principal: Principal | None, bucket: str, key: str, acl: Acl) -> None:
        """Raises as `find`, and as `check_acl`."""
        stored = await self.known(principal, Action.PUT_OBJECT_ACL, bucket, key)
        check_acl(self.buckets.find(bucket), acl)
        sql = "UPDATE object SET acl = ? WHERE bucket = ? AND key = ? AND generation = ?"
        change = Statement(sql, (acl.value, bucket, key, stored.generation))
        await self._commits.commit([change], [(bucket, key)])

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
        return await self._store.read_with(lambda db: read_page(db, bucket, prefix, delimiter, after, limit))

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
            return b"".join([bytes(data) async for data in self.read(found, offset, end)])
        except FileNotFoundError:
            raise NoSuchKey(Key=key) from None
        finally:
            self._files.unpin(generation)

    async def used_bytes(self) -> int:
        """Bytes of all objects and parts. A copy counts in full though it shares its blocks."""
        sql = (
            "SELECT (SELECT COALESCE(SUM(size_bytes), 0) FROM object)"
            " + (SELECT COALESCE(SUM(size_bytes), 0) FROM part) AS used"
        )
        [row] = await self._store.read(sql)
        return int(row["used"])
