"""What a storage controller and the CLC ask Walrus about snapshots: manifests, and the chunks they name.

A chunk is a piece of a volume under the SHA-256 of its bytes, kept once however many snapshots have it.
Walrus knows which snapshot needs which chunk, so that any storage controller restores it, and none is lost
too early.
"""

from dataclasses import dataclass, field

from euca_box.messages.base import Done, Op

BUCKET = "_snapshots"
CHUNKS_AT_ONCE = 500


def chunk_key(digest: str) -> str:
    return f"chunks/{digest[:2]}/{digest}"


def manifest_key(digest: str) -> str:
    return f"manifests/{digest}"


@dataclass(frozen=True)
class ReservedChunks:
    """`missing`: those that Walrus does not have, and the signed URL by which each is sent."""

    missing: tuple[tuple[str, str], ...]
    ca_file: str = ""


@dataclass(frozen=True)
class ReserveChunks(Op[ReservedChunks], role="walrus", timeout=30):
    """Keep these chunks (SHA-256, up to 500) for the snapshot. `have`: chunks that were sent since the last
    time. Twice is harmless. IncorrectState when the snapshot is stored, or was deleted; or when one of `have`
    did not come.
    """

    snapshot_id: str
    digests: tuple[str, ...] = ()
    have: tuple[str, ...] = ()


@dataclass(frozen=True)
class ForkSnapshot(Op[Done], role="walrus", timeout=60):
    """Keep all chunks of a stored snapshot for another one, that is still to be stored and builds on it.

    InvalidSnapshotNotFound when there is none.
    """

    snapshot_id: str
    source_id: str


@dataclass(frozen=True)
class ManifestUrl:
    url: str = field(repr=False)
    ca_file: str = ""


@dataclass(frozen=True)
class GetManifestUrl(Op[ManifestUrl], role="walrus", timeout=20):
    """Where a manifest with this SHA-256 is sent."""

    digest: str


@dataclass(frozen=True)
class StoredSnapshot:
    """`used_bytes`: of its chunks, as they were before they were compressed."""

    snapshot_id: str
    size_bytes: int
    manifest: str  # the SHA-256 of its manifest
    used_bytes: int


@dataclass(frozen=True)
class StoreSnapshot(Op[StoredSnapshot], role="walrus", timeout=120):
    """The snapshot is whole: its manifest was sent, and every chunk in it is there. Twice is harmless.

    IncorrectState when a chunk is missing, or the snapshot was deleted.
    """

    snapshot_id: str
    manifest: str


@dataclass(frozen=True)
class SnapshotSource:
    snapshot: StoredSnapshot
    url: str = field(repr=False)  # of the manifest
    ca_file: str = ""


@dataclass(frozen=True)
class GetSnapshot(Op[SnapshotSource], role="walrus", timeout=20):
    """Where its manifest is; the chunks are had by GetHiddenUrls. InvalidSnapshotNotFound."""

    snapshot_id: str


@dataclass(frozen=True)
class CopyStoredSnapshot(Op[StoredSnapshot], role="walrus", timeout=60):
    """Another snapshot of the same chunks. Twice is harmless. InvalidSnapshotNotFound."""

    snapshot_id: str
    source_id: str


@dataclass(frozen=True)
class DeleteSnapshot(Op[Done], role="walrus", timeout=120):
    """Forget it, and delete the chunks that no other snapshot has. An absent one is remembered: it cannot be
    stored any more. Twice is harmless."""

    snapshot_id: str
