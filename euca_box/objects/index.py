"""What remembers buckets, versions and uploads: what every engine promises.

Reads see each commit that has returned. A change is made by the index and looked into by nobody else; given
to `commit`, alone or with others, all of it is durable when `commit` returns, or nothing of it happened. What
a change depends on is asked inside the commit. The engines keep one contract
(tests/contract/test_object_index.py); `objects/sqlite` is the one on SQLite.
"""

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from euca_box.model.notifications import Notice
from euca_box.model.s3_errors import S3InternalError
from euca_box.objects.cache import Found, Key
from euca_box.objects.conditions import Conditions
from euca_box.objects.intake import Content
from euca_box.objects.listing import Page
from euca_box.objects.rows import Bucket, Checksum, Damage, Part, Piece, StoredObject, Upload
from euca_box.objects.upload_listing import UploadPage
from euca_box.objects.version_listing import VersionPage

Changes = Sequence[Any]  # the engine's own; a + b is both, in this order


class DamagedObject(S3InternalError):
    """Bytes on the disk are not those that were written."""

    def __init__(self, stored: StoredObject) -> None:
        super().__init__()
        self.stored = stored


@dataclass(frozen=True, slots=True)
class Measure:
    """What a commit shall tell the growth of: the versions of these keys, the parts of these uploads."""

    keys: Sequence[Key]
    uploads: Sequence[str] = ()


class Committed(NamedTuple):
    """What a commit did. `released`: data that no row names any more, by generation, 0 of a part."""

    released: Mapping[int, list[str]]
    has_changed: bool  # did `change` find the version as it was seen?
    grown_bytes: int = 0  # where it was measured


class WalkedVersion(NamedTuple):
    """What a lifecycle rule asks of a version; `kind` as in version_listing."""

    key: str
    generation: int
    version_id: str
    size_bytes: int
    modified_ms: int
    tags: Mapping[str, str]
    kind: int


class VersionIndex(Protocol):
    """Versions by bucket, key and generation: the current one, older ones, delete markers."""

    def find(self, bucket: str, key: str) -> Awaitable[Found | None]:
        """The current version, its row and its bytes of one moment. Raises DamagedObject."""

    def find_version(self, bucket: str, key: str, version_id: str) -> Awaitable[Found | None]:
        """Any version, delete markers too. Raises InvalidArgument, DamagedObject."""

    def find_marker(self, bucket: str, key: str) -> Awaitable[StoredObject | None]:
        """The delete marker that hides the key, if its newest version is one."""

    def has_any(self, bucket: str, key: str) -> Awaitable[bool]:
        """Has the key any version, a delete marker too?"""

    async def newest_generation(self) -> int:
        """No version has a larger one; 0 without versions."""

    async def held_bytes(self) -> Mapping[str, int]:
        """Bytes of all versions and of the parts of open uploads, by bucket; those without any may be absent.

        A copy counts in full though it shares its blocks.
        """

    async def files(self) -> set[str]:
        """All data that a version or a part names."""

    def page(self, bucket: str, prefix: str, delimiter: str, after: str, limit: int) -> Awaitable[Page]:
        """At most limit keys and prefixes beyond `after`. Empty strings: no prefix, delimiter, marker."""

    def version_page(
        self, bucket: str, prefix: str, delimiter: str, after: str, after_version: str, limit: int
    ) -> Awaitable[VersionPage]:
        """At most limit versions and prefixes beyond that version of `after`. Raises InvalidArgument."""

    async def walk(self, bucket: str, key: str, generation: int) -> list[WalkedVersion]:
        """The next versions behind that one, in the order of `version_page`; none at the end."""

    def put(self, stored: StoredObject, content: Content, versioning: str, conditions: Conditions) -> Changes:
        """Make content the current version.

        Conflict: no such bucket, its versioning is another by now, or a condition does not hold.
        """

    def delete(self, name: Key, versioning: str, conditions: Conditions, marker: StoredObject) -> Changes:
        """End the current version: for good, or below the marker. Conflict as `put`."""

    def delete_plain(self, bucket: str, keys: Iterable[str]) -> Changes:
        """End current versions for good. Conflict: the bucket has had versioning."""

    def delete_version(self, stored: StoredObject, *, older_only: bool = False) -> Changes:
        """Remove one version for good; the newest one left becomes the current one.

        Conflict: it is gone, its lock is another than was seen, or it is the current one and must not be.
        """

    def change(
        self, stored: StoredObject, field: Literal["acl", "tags", "lock"], value: str, was: str
    ) -> Changes:
        """Change a field of a version, wherever it is by now, if it is still as it was."""


class BucketIndex(Protocol):
    async def all(self) -> list[Bucket]: ...

    async def find(self, name: str) -> Bucket | None: ...

    def put(self, bucket: Bucket) -> Changes:
        """A new one, with its settings. Conflict: there is one of that name."""

    def delete(self, name: str) -> Changes:
        """Its open uploads end with it. Conflict: a version is in it, or it is gone."""

    def change(self, name: str, field: Literal["acl", "versioning", "object_lock"], value: str) -> Changes:
        """Conflict: it is gone."""

    def put_setting(self, name: str, value: Any) -> Changes:
        """Set the document of the value's type. Conflict: the bucket is gone."""

    def delete_setting(self, name: str, kind: type) -> Changes:
        """Conflict: the bucket is gone. What is not set stays so."""


class UploadIndex(Protocol):
    """Multipart uploads and their parts. An upload counts its changes; a completed one has an ETag."""

    async def find(self, bucket: str, key: str, upload_id: str) -> Upload | None: ...

    async def parts(self, upload_id: str, after: int, limit: int) -> list[Part]:
        """By number, beyond `after`."""

    async def open_in(self, bucket: str) -> list[Upload]: ...

    def page(
        self, bucket: str, prefix: str, delimiter: str, after: str, after_upload: str, limit: int
    ) -> Awaitable[UploadPage]:
        """At most limit uploads and prefixes beyond that upload of `after`; without one, beyond the key."""

    def put(self, upload: Upload) -> Changes: ...

    def put_part(self, upload_id: str, part: Part) -> Changes:
        """In place of an earlier one of its number. Conflict: the upload ended."""

    def close(self, upload: Upload, etag: str, checksum: Checksum | None, now_ms: int) -> Changes:
        """It is complete, and its parts are taken. Conflict: it ended, or a part came since it was read."""

    def delete(self, upload_id: str) -> Changes:
        """Conflict: it ended."""

    def forget_completed(self, before_ms: int) -> Changes:
        """Those that were closed before that moment."""


class ScrubIndex(Protocol):
    """What a scrub goes through, and what it found."""

    async def next_files(self, generation: int) -> tuple[int, list[tuple[int, Piece]]] | None:
        """The next generation beyond that one that has data, and its numbered pieces; None at the end."""

    async def next_blobs(self, generation: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        """Generation, bytes and CRC32C (maybe empty) of what lies in the index itself, beyond that one."""

    async def names(self, generation: int) -> list[tuple[str, str, str]]:
        """Bucket, key and version id of the version, if it is still there."""

    def note_crcs(self, generation: int, number: int, crcs: bytes) -> Changes:
        """Give a piece without checksums its own."""

    async def damages(self) -> list[Damage]: ...

    def put_damage(self, damage: Damage) -> Changes: ...

    def delete_damage(self, generation: int) -> Changes: ...

    def forget_gone(self) -> Changes:
        """Damages of versions that are not there any more."""

    async def progress(self) -> str:
        """What was noted last; empty at first."""

    def note_progress(self, text: str) -> Changes: ...


class NoticeIndex(Protocol):
    """Notices that wait for their targets."""

    def put(self, notices: Iterable[Notice]) -> Changes:
        """Each has a sequence number that no other of its target has."""

    def delete(self, notices: Iterable[Notice]) -> Changes:
        """Absent ones are fine."""

    async def next(self, target: str, limit: int) -> list[Notice]:
        """The first ones of a target by sequence."""

    async def waiting(self) -> Mapping[str, int]:
        """How many wait, by the account of their bucket."""

    async def targets(self) -> set[str]:
        """Those that something waits for."""

    async def newest(self) -> int:
        """The largest sequence number; 0 when nothing waits."""


class ObjectIndex(Protocol):
    """Opened by one process. Only `commit` changes anything."""

    @property
    def versions(self) -> VersionIndex: ...

    @property
    def buckets(self) -> BucketIndex: ...

    @property
    def uploads(self) -> UploadIndex: ...

    @property
    def scrub(self) -> ScrubIndex: ...

    @property
    def notices(self) -> NoticeIndex: ...

    async def commit(self, changes: Changes, measure: Measure | None = None) -> Committed:
        """All or nothing, whether or not the caller still waits.

        Raises Conflict, StoreFull, and StoreError when the outcome is unknown.
        """
