"""Pages of all versions of a bucket: keys in UTF-8 order, the newest version of each first. Pure values."""

from dataclasses import dataclass, field
from typing import NamedTuple

CURRENT, OLDER, MARKER = -1, 0, 1


class ListedVersion(NamedTuple):
    """What a listing shows of a version, or of a delete marker (`kind` MARKER)."""

    key: str
    generation: int
    version_id: str
    size_bytes: int
    etag: str
    modified_ms: int
    owner_id: str
    owner_name: str
    checksum: str
    storage_class: str
    kind: int
    is_latest: bool


@dataclass(slots=True)
class VersionPage:
    """`last` is the key, and version id if it is one, that the next page begins after; None at the end."""

    versions: list[ListedVersion] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    last: tuple[str, str] | None = None

    def __len__(self) -> int:
        return len(self.versions) + len(self.prefixes)
