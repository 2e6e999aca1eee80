"""The versions of each key: look one up, make a new current one, end one. Rights are decided above."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from euca_box.model.acls import PRIVATE, Acl
from euca_box.model.notifications import Event
from euca_box.model.object_lock import NO_LOCK, Lock
from euca_box.model.s3_errors import (
    AccessDenied,
    InvalidRequest,
    MethodNotAllowed,
    NoSuchBucket,
    NoSuchKey,
    NoSuchVersion,
    OperationAborted,
    PreconditionFailed,
    S3Error,
)
from euca_box.objects.cache import Cache, Found
from euca_box.objects.commits import Commits
from euca_box.objects.conditions import NO_CONDITIONS, Conditions
from euca_box.objects.damage import Quarantine
from euca_box.objects.data import DataEngine
from euca_box.objects.digests import Expectation
from euca_box.objects.encryption import Encrypt
from euca_box.objects.index import Changes, DamagedObject, ObjectIndex
from euca_box.objects.intake import Content
from euca_box.objects.notices import REMOVED, Removal
from euca_box.objects.rows import ENABLED, NULL_VERSION, Bucket, Checksum, Owner, StoredObject
from euca_box.objects.version_ids import new_version_id
from euca_box.store.store import Conflict

_NO_MARKER = {"x-amz-delete-marker": "false"}
_TRIES = 5  # times that another change of the same version may come first


@dataclass(frozen=True, slots=True)
class Wish:
    """What a PUT says besides the bytes."""

    headers: Mapping[str, str] = field(default_factory=dict)
    acl: Acl | None = None  # none was given: private
    expect: Expectation = field(default_factory=Expectation)
    conditions: Conditions = NO_CONDITIONS
    tags: Mapping[str, str] = field(default_factory=dict)
    lock: Lock = NO_LOCK
    encrypt: Encrypt | None = None
    storage_class: str = ""
    event: Event = Event.PUT  # how it came, for those who are told


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found out about received bytes. `encryption` is the text of their sealed key."""

    etag: str
    checksum: Checksum | None = None
    sha256: str | None = None
    encryption: str = ""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion did: `version_id` went, or is the delete marker that came (`is_marker`)."""

    key: str
    version_id: str = ""
    is_marker: bool = False


class Versions:
    def __init__(
        self,
        index: ObjectIndex,
        files: DataEngine,
        cache: Cache,
        commits: Commits,
        quarantine: Quarantine,
        bucket_of: Callable[[str], Bucket],
        now_ms: Callable[[], int],
    ) -> None:
        self._index, self._rows, self._find = index, index.versions, index.versions.find
        self._files, self._cache, self._commits, self._notices = files, cache, commits, commits.notices
        self._quarantine, self._bucket_of, self.now_ms = quarantine, bucket_of, now_ms
        self._last_generation = time.time_ns()

    async def load(self) -> None:
        """Generations are never given twice: begin beyond the clock and beyond all rows."""
        self._last_generation = max(self._last_generation, await self._rows.newest_generation())

    async def find(self, bucket: str, key: str) -> Found | None:
        """The current version; None when there is none or it is a delete marker."""
        name = (bucket, key)
        found = self._cache.get(name)
        if found is not None:
            return found
        token = self._cache.start_load(name)
        try:
            found = await self._find(bucket, key)
        except BaseException as error:
            self._cache.drop(name)
            if isinstance(error, DamagedObject):
                self._quarantine.note(error.stored, "", 0)
            raise
        self._cache.end_load(name, token, found)
        return found

    async def find_version(self, bucket: str, key: str, version_id: str) -> Found | None:
        """Any version, delete markers too. Raises InvalidArgument."""
        found = self._cache.get((bucket, key))
        if found is not None and found.stored.version_id == version_id:
            return found
        try:
            return await self._rows.find_version(bucket, key, version_id)
        except DamagedObject as error:
            self._quarantine.note(error.stored, "", 0)
            raise

    async def absence(self, bucket: str, key: str) -> NoSuchKey:
        """Why there is no current version, for who may know."""
        marker = None
        if self._bucket_of(bucket).versioning:
            marker = await self._rows.find_marker(bucket, key)
        return NoSuchKey(Key=key).with_headers(marker_headers(marker) if marker else _NO_MARKER)

    async def make(
        self,
        owner: Owner,
        bucket: str,
        key: str,
        content: Content,
        facts: Facts,
        wish: Wish,
        *,
        with_changes: Changes = (),
        new_files: Iterable[str] | None = None,
        uploads: Sequence[str] = (),
    ) -> StoredObject:
        """Make received content the current version, in one commit with other changes.

        `uploads`: those whose parts the changes take.
        `new_files` go when the commit is refused; by default all files of the content.
        Raises NoSuchBucket, PreconditionFailed, NoSuchKey, OperationAborted, InsufficientStorage.
        """
        new = content.files if new_files is None else list(new_files)
        try:
            held = self._bucket_of(bucket)
        except NoSuchBucket:
            self._files.release(-1, new)
            raise
        generation = self._new_generation()
        stored = StoredObject(
            bucket=bucket,
            key=key,
            generation=generation,
            modified_ms=self.now_ms(),
            owner=owner,
            version_id=_version_id(held, generation),
            size_bytes=content.size_bytes,
            etag=facts.etag,
            acl=wish.acl or PRIVATE,
            checksum=facts.checksum,
            sha256=facts.sha256,
            headers=wish.headers,
            tags=wish.tags,
            lock=held.object_lock.applied(wish.lock, self.now_ms()) if held.object_lock else wish.lock,
            encryption=facts.encryption,
            storage_class=wish.storage_class,
        )
        notices = self._notices.of(
            held, wish.event, key, generation, stored.etag, stored.size_bytes, stored.version_id
        )
        change = self._rows.put(stored, content, held.versioning, wish.conditions)
        try:
            await self._commits.commit(
                [*with_changes, *change],
                [(bucket, key)],
                new,
                frozenset(content.files),
                uploads=uploads,
                notices=notices,
            )
        except Conflict as error:
            raise await self._refusal(held, await self._unmet(held, key, wish.conditions)) from error
        return stored

    def _new_generation(self) -> int:
        self._last_generation += 1
        return self._last_generation

    def _new_marker(self, owner: Owner, bucket: Bucket, key: str) -> StoredObject:
        generation = self._new_generation()
        return StoredObject(
            bucket=bucket.name,
            key=key,
            generation=generation,
            size_bytes=0,
            etag="",
            modified_ms=self.now_ms(),
            owner=owner,
            acl=PRIVATE,
            version_id=_version_id(bucket, generation),
            is_marker=True,
        )

    async def _unmet(self, bucket: Bucket, key: str, conditions: Conditions) -> S3Error | None:
        """The condition of a PUT that the current version does not meet."""
        found = await self.find(bucket.name, key)
        if found is None:
            return NoSuchKey(Key=key) if conditions.match is not None else None
        return None if conditions.fit(found.stored) else _failed(conditions)

    async def _refusal(self, bucket: Bucket, unmet: S3Error | None) -> S3Error:
        """Why a change did not fit."""
        now = await self._index.buckets.find(bucket.name)
        if now is None:
            return NoSuchBucket(BucketName=bucket.name)
        if now.versioning != bucket.versioning:
            return OperationAborted()
        return unmet or OperationAborted()

    async def delete(
        self,
        owner: Owner,
        bucket: str,
        key: str,
        conditions: Conditions = NO_CONDITIONS,
        told: Removal = REMOVED,
    ) -> Deleted:
        """End the current version: for good, or below a delete marker. An absent key is no error.

        Raises PreconditionFailed, OperationAborted.
        """
        held = self._bucket_of(bucket)
        if conditions is not NO_CONDITIONS and held.versioning and not await self._exists(bucket, key):
            return Deleted(key)  # nothing is there to compare with, so nothing is done
        marker = self._new_marker(owner, held, key)
        changes = self._rows.delete((bucket, key), held.versioning, conditions, marker)
        event = told.marked if held.versioning else told.deleted
        version_id = marker.version_id if held.versioning else ""
        notices = self._notices.of(held, event, key, marker.generation, version_id=version_id)
        try:
            await self._commits.commit(changes, [(bucket, key)], removes=True, notices=notices)
        except Conflict as error:
            failed = _failed(conditions) if conditions != NO_CONDITIONS else None
            raise await self._refusal(held, failed) from error
        return Deleted(key, marker.version_id, is_marker=True) if held.versioning else Deleted(key)

    async def _exists(self, bucket: str, key: str) -> bool:
        """Has the key any version, a delete marker too?"""
        return await self._rows.has_any(bucket, key)

    async def delete_plain(self, bucket: str, keys: Iterable[str]) -> None:
        """End current versions for good, all or none, in a bucket that never had versioning."""
        wanted, held = list(keys), self._bucket_of(bucket)
        of = self._notices.of
        notices = [n for key in wanted for n in of(held, Event.DELETED, key, self._new_generation())]
        changes = self._rows.delete_plain(bucket, wanted)
        try:
            await self._commits.commit(
                changes, [(bucket, key) for key in wanted], removes=True, notices=notices
            )
        except Conflict as error:
            raise await self._refusal(held, None) from error

    async def delete_version(
        self,
        bucket: str,
        key: str,
        version_id: str,
        conditions: Conditions = NO_CONDITIONS,
        *,
        bypass: bool = False,
        older_only: bool = False,
        told: Removal = REMOVED,
    ) -> Deleted:
        """Remove one version for good; an absent one is no error. `older_only`: not the current one.

        Raises AccessDenied (object lock), PreconditionFailed, InvalidArgument, OperationAborted.
        """
        for _ in range(_TRIES):
            found = await self.find_version(bucket, key, version_id)
            if found is None:
                return Deleted(key, version_id)
            stored = found.stored
            if not conditions.fit(stored):
                raise _failed(conditions)
            if stored.lock.forbids_removal(self.now_ms(), bypass=bypass):
                raise AccessDenied("Access Denied because object protected by object lock.")
            changes = self._rows.delete_version(stored, older_only=older_only)
            sequencer = self._new_generation()
            held = self._bucket_of(bucket)
            notices = self._notices.of(held, told.deleted, key, sequencer, version_id=version_id)
            try:
                await self._commits.commit(changes, [(bucket, key)], removes=True, notices=notices)
            except Conflict:
                self.forget(bucket, key)
            else:
                return Deleted(key, version_id, stored.is_marker)
        raise OperationAborted()

    async def change(
        self, stored: StoredObject, field: Literal["acl", "tags", "lock"], value: str, was: str
    ) -> bool:
        """Change a field of a version; False when it had another value than `was`, or went meanwhile."""
        changes = self._rows.change(stored, field, value, was)
        return (await self._commits.commit(changes, [(stored.bucket, stored.key)])).has_changed

    async def set_lock(self, stored: StoredObject, new: Lock, *, bypass: bool) -> bool:
        """As `change`. Raises AccessDenied when what protects the version does not allow it."""
        if stored.lock.forbids_change(new, self.now_ms(), bypass=bypass):
            raise AccessDenied("Access Denied because object protected by object lock.")
        return await self.change(stored, "lock", new.as_text(), stored.lock.as_text())

    def require_lock(self, bucket: str) -> None:
        """Raises InvalidRequest unless the bucket has object lock."""
        if self._bucket_of(bucket).object_lock is None:
            raise InvalidRequest("Bucket is missing Object Lock Configuration")

    def is_readable(self, found: Found) -> bool:
        """Are its files still there? Asked once, after pinning: they go together or not at all."""
        if not found.pieces:
            return True
        if self._files.is_going(found.stored.generation):
            return False
        try:
            self._files.shut(self._files.open(found.pieces[0].file))
        except FileNotFoundError:
            return False
        return True

    def forget(self, bucket: str, key: str) -> None:
        """Ask the database the next time."""
        self._cache.drop((bucket, key))


def _version_id(bucket: Bucket, generation: int) -> str:
    return new_version_id(generation) if bucket.versioning == ENABLED else NULL_VERSION


def _failed(conditions: Conditions) -> PreconditionFailed:
    return PreconditionFailed(Condition="If-Match" if conditions.none_match is None else "If-None-Match")


def marker_headers(marker: StoredObject) -> dict[str, str]:
    return {"x-amz-delete-marker": "true", "x-amz-version-id": marker.version_id}


def not_a_marker(found: Found | None, key: str, version_id: str) -> Found:
    """Raises NoSuchVersion, MethodNotAllowed for a delete marker."""
    if found is None:
        raise NoSuchVersion(Key=key, VersionId=version_id)
    if found.stored.is_marker:
        headers = marker_headers(found.stored) | {"allow": "DELETE"}
        raise MethodNotAllowed(ResourceType="DeleteMarker").with_headers(headers)
    return found
