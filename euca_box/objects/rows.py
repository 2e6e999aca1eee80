"""What the object store keeps: buckets, objects, their checksums and pieces. Pure values."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from euca_box.model.accounts import Principal
from euca_box.model.acls import Acl, parse_acl
from euca_box.model.bucket_settings import ObjectOwnership
from euca_box.model.object_lock import NO_LOCK, DefaultRetention, Lock
from euca_box.model.policies import Policy

T = TypeVar("T")

MIB = 1 << 20
BLOCK_BYTES = 256 * 1024  # what is read at once, and what has a checksum of its own
LARGEST_OBJECT_BYTES = 5 << 40
LARGEST_PART_BYTES = 5 << 30
SMALLEST_PART_BYTES = 5 * MIB
MOST_PARTS = 10_000
NULL_VERSION = "null"
ENABLED, SUSPENDED = "Enabled", "Suspended"  # versioning of a bucket


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose it is: the account decides on rights, the other two are what S3 shows."""

    account: str
    canonical_id: str
    display_name: str


ANONYMOUS = Owner("", "65a011a29cdf8ec533ec3d1ccaae921c", "anonymous")  # the id that AWS shows


def owner_of(principal: Principal) -> Owner:
    return Owner(principal.account, principal.canonical_id, principal.display_name)


@dataclass(frozen=True, slots=True)
class Checksum:
    """An additional checksum: algorithm CRC32 and so on, base64 value, FULL_OBJECT or COMPOSITE."""

    algorithm: str
    value: str
    kind: str = "FULL_OBJECT"

    def as_text(self) -> str:
        return f"{self.algorithm} {self.value} {self.kind}"


def parse_checksum(text: str) -> Checksum | None:
    return Checksum(*text.split(" ")) if text else None


def is_hidden(bucket: str) -> bool:
    """Is it one of the cloud's own: no user can make, see or reach a bucket of such a name."""
    return bucket.startswith("_")


@dataclass(frozen=True, slots=True)
class Bucket:
    name: str
    owner: Owner
    created_ms: int
    location: str
    acl: Acl
    settings: Mapping[type, Any] = field(default_factory=dict)
    versioning: str = ""  # empty until it is switched on for the first time, then Enabled or Suspended
    object_lock: DefaultRetention | None = None

    def setting(self, kind: type[T]) -> T | None:
        """What was set on the bucket of that kind."""
        return self.settings.get(kind)

    @property
    def is_hidden(self) -> bool:
        return is_hidden(self.name)

    @property
    def policy(self) -> Policy | None:
        return self.settings.get(Policy)

    @property
    def ownership(self) -> ObjectOwnership:
        """Without a setting the writer of an object owns it, as it was when S3 began."""
        return self.setting(ObjectOwnership) or ObjectOwnership.OBJECT_WRITER


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A version of a key. `generation` never names two contents, and is larger the newer a version is.

    `etag` has no quotes. `headers` holds content-type, cache-control and so on, and x-amz-meta-*, names
    in lower case. `encryption` is empty, or what `objects/encryption.py` needs. `storage_class` is empty
    for STANDARD. A delete marker is a version without bytes.
    """

    bucket: str
    key: str
    generation: int
    size_bytes: int
    etag: str
    modified_ms: int
    owner: Owner
    acl: Acl
    checksum: Checksum | None = None
    sha256: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    version_id: str = NULL_VERSION
    tags: Mapping[str, str] = field(default_factory=dict)
    lock: Lock = NO_LOCK
    encryption: str = ""
    storage_class: str = ""
    is_marker: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of an object; `file` is its name below the data folder.

    `crcs` are the CRC32C of each BLOCK_BYTES as they are on the disk, four bytes each, empty for files of
    before migration 0003; `nonce` is the counter that the cipher began with; `checksum` that of the part.
    """

    file: str
    size_bytes: int
    crcs: bytes = b""
    nonce: bytes = b""
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """What the image code needs to know before it reads an object."""

    size_bytes: int
    etag: str
    sha256: str | None
    generation: int


@dataclass(frozen=True, slots=True)
class Upload:
    upload_id: str
    bucket: str
    key: str
    owner: Owner
    initiator: Owner
    started_ms: int
    acl: Acl
    headers: Mapping[str, str]
    algorithm: str
    checksum_type: str
    changes: int = 0  # how often parts came
    etag: str = ""  # empty until completed
    checksum: Checksum | None = None  # of the completed one
    tags: Mapping[str, str] = field(default_factory=dict)
    lock: Lock = NO_LOCK
    encryption: str = ""
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    file: str
    size_bytes: int
    etag: str
    checksum: Checksum | None
    modified_ms: int
    crcs: bytes = b""
    nonce: bytes = b""


@dataclass(frozen=True, slots=True)
class Damage:
    """Where a version is damaged. `file` is empty for bytes in the index."""

    generation: int
    bucket: str
    key: str
    version_id: str
    file: str
    offset_bytes: int
    found_ms: int


def as_json(values: object) -> str:
    """A mapping as text; an empty one is the empty text."""
    return json.dumps(values, ensure_ascii=False) if values else ""


def owner_values(owner: Owner) -> tuple[str, str, str]:
    return owner.account, owner.canonical_id, owner.display_name


def bucket_from(row: Mapping[str, Any], settings: Mapping[type, Any]) -> Bucket:
    lock = row["object_lock"]
    return Bucket(
        row["name"],
        _owner(row),
        row["created_ms"],
        row["location"],
        parse_acl(row["acl"]),
        settings,
        row["versioning"],
        DefaultRetention.parse(lock) if lock else None,
    )


def object_from(row: Mapping[str, Any]) -> StoredObject:
    return StoredObject(
        bucket=row["bucket"],
        key=row["key"],
        generation=row["generation"],
        size_bytes=row["size_bytes"],
        etag=row["etag"],
        modified_ms=row["modified_ms"],
        owner=_owner(row),
        acl=parse_acl(row["acl"]),
        checksum=parse_checksum(row["checksum"]),
        sha256=row["sha256"] or None,
        headers=json.loads(row["headers"]),
        version_id=row["version_id"],
        tags=json.loads(row["tags"]) if row["tags"] else {},
        lock=Lock.parse(row["lock"]) if row["lock"] else NO_LOCK,
        encryption=row["encryption"],
        storage_class=row["storage_class"],
        is_marker=bool(row["marker"]),
    )


def upload_from(row: Mapping[str, Any]) -> Upload:
    return Upload(
        upload_id=row["upload_id"],
        bucket=row["bucket"],
        key=row["key"],
        owner=_owner(row),
        initiator=_initiator(row),
        started_ms=row["started_ms"],
        acl=parse_acl(row["acl"]),
        headers=json.loads(row["headers"]),
        algorithm=row["algorithm"],
        checksum_type=row["checksum_type"],
        changes=row["changes"],
        etag=row["etag"],
        checksum=parse_checksum(row["checksum"]),
        tags=json.loads(row["tags"]) if row["tags"] else {},
        lock=Lock.parse(row["lock"]) if row["lock"] else NO_LOCK,
        encryption=row["encryption"],
        storage_class=row["storage_class"],
    )


def part_from(row: Mapping[str, Any]) -> Part:
    return Part(
        row["number"],
        row["file"],
        row["size_bytes"],
        row["etag"],
        parse_checksum(row["checksum"]),
        row["modified_ms"],
        row["crcs"],
        row["nonce"],
    )


def _owner(row: Mapping[str, Any]) -> Owner:
    return Owner(row["owner"], row["owner_id"], row["owner_name"])


def _initiator(row: Mapping[str, Any]) -> Owner:
    if not row["initiator_id"]:
        return _owner(row)
    return Owner(row["initiator"], row["initiator_id"], row["initiator_name"])
