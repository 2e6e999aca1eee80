"""The current version of each key: look it up, make a new one, read its bytes. Rights are decided above."""

import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from euca_box.model.acls import PRIVATE, Acl
from euca_box.model.s3_errors import NoSuchBucket, NoSuchKey, OperationAborted, PreconditionFailed
from euca_box.objects import index
from euca_box.objects.cache import Cache, Found
from euca_box.objects.commits import Commits
from euca_box.objects.digests import Expectation
from euca_box.objects.files import Files
from euca_box.objects.intake import Content
from euca_box.objects.rows import Checksum, Owner, Piece, StoredObject
from euca_box.store.sqlite_store import SqliteStore
from euca_box.store.store import Conflict, Statement


@dataclass(frozen=True, slots=True)
class Wish:
    """What a PUT says besides the bytes. Conditions: the key must be absent, or have this ETag ("*": any)."""

    headers: Mapping[str, str] = field(default_factory=dict)
    acl: Acl | None = None  # none was given: private
    expect: Expectation = field(default_factory=Expectation)
    only_if_absent: bool = False
    only_if_etag: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out about received bytes."""

    etag: str
    checksum: Checksum | None = None
    sha256: str | None = None


class Versions:
    def __init__(
        self, store: SqliteStore, files: Files, cache: Cache, commits: Commits, now: Callable[[], float]
    ) -> None:
        self._store, self._files, self._cache, self._commits = store, files, cache, commits
        self._now = now
        self._last_generation = time.time_ns()

    async def load(self) -> None:
        """Generations are never given twice: begin beyond the clock and beyond all rows."""
        [newest] = await self._store.read("SELECT COALESCE(MAX(generation), 0) AS last FROM object")
        self._last_generation = max(self._last_generation, newest["last"])

    def now_ms(self) -> int:
        return int(self._now() * 1000)

    async def find(self, bucket: str, key: str) -> Found | None:
        name = (bucket, key)
        found = self._cache.get(name)
        if found is not None:
            return found
        token = self._cache.start_load(name)
        try:
            found = await self._store.read_with(lambda db: index.find_object(db, bucket, key))
        except BaseException:
            self._cache.drop(name)
            raise
        self._cache.end_load(name, token, found)
        return found

    async def make(
        self,
        owner: Owner,
        bucket: str,
        key: str,
        content: Content,
        facts: Facts,
        wish: Wish,
        *,
        with_statements: Iterable[Statement] = (),
        new_files: Iterable[str] | None = None,
    ) -> StoredObject:
        """Make received content the current version, in one batch with other statements.

        `new_files` go when the batch is refused; by default all files of the content.
        Raises NoSuchBucket, PreconditionFailed, NoSuchKey, OperationAborted, InsufficientStorage.
        """
        self._last_generation += 1
        stored = StoredObject(
            bucket=bucket,
            key=key,
            generation=self._last_generation,
            size_bytes=content.size_bytes,
            etag=facts.etag,
            modified_ms=self.now_ms(),
            owner=owner,
            acl=wish.acl or PRIVATE,
            checksum=facts.checksum,
            sha256=facts.sha256,
            headers=wish.headers,
        )
        change = index.put_object(
            stored, content, only_if_absent=wish.only_if_absent, only_if_etag=wish.only_if_etag
        )
        new, batch = content.files if new_files is None else list(new_files), [*with_statements, *change]
        try:
            await self._commits.commit(batch, [(bucket, key)], new, frozenset(content.files))
        except Conflict as error:
            raise await self._refusal(bucket, key, wish) from error
        return stored

    async def _refusal(self, bucket: str, key: str, wish: Wish) -> Exception:
        """Why the batch did not fit."""
        if not await self._store.read("SELECT 1 FROM bucket WHERE name = ?", bucket):
            return NoSuchBucket(BucketName=bucket)
        found = await self.find(bucket, key)
        if wish.only_if_absent and found is not None:
            return PreconditionFailed(Condition="If-None-Match")
        if wish.only_if_etag is not None and found is None:
            return NoSuchKey(Key=key)
        if wish.only_if_etag is not None and found and wish.only_if_etag not in ("*", found.stored.etag):
            return PreconditionFailed(Condition="If-Match")
        return OperationAborted()

    def is_readable(self, found: Found) -> bool:
        """Are its files still there? Asked once, after pinning: they go together or not at all."""
        if not found.pieces:
            return True
        if self._files.is_going(found.stored.generation):
            return False
        try:
            os.close(self._files.open(found.pieces[0].file))
        except FileNotFoundError:
            return False
        return True

    def forget(self, bucket: str, key: str) -> None:
        """Ask the database the next time."""
        self._cache.drop((bucket, key))

    async def read(self, found: Found, start: int, end: int) -> AsyncIterator[bytes | bytearray]:
        """The bytes [start, end) of a pinned object, in pieces of at most 256 KiB."""
        if found.inline is not None:
            if start < end:
                yield found.inline[start:end]
            return
        begin = 0
        for piece in found.pieces:
            low, high = max(start, begin), min(end, begin + piece.size_bytes)
            if low < high:
                async for data in self._read_piece(piece, low - begin, high - begin):
                    yield data
            begin += piece.size_bytes

    async def _read_piece(self, piece: Piece, start: int, end: int) -> AsyncIterator[bytes | bytearray]:
        fd = self._files.open(piece.file)
        try:
            while start < end:
                data = await self._files.read(fd, start, end - start)
                if not data:
                    raise OSError(f"object data file {piece.file} is shorter than its row says")
                start += len(data)
                yield data
        finally:
            os.close(fd)
