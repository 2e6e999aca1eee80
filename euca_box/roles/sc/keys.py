"""Keys of encrypted volumes and snapshots in the rows of the storage controller, sealed by its master key."""

from typing import TYPE_CHECKING

from euca_box.blockstore.chunk_cipher import ChunkCipher

if TYPE_CHECKING:
    from euca_box.roles.sc.role import Sc
    from euca_box.roles.sc.snapshots import Taken
    from euca_box.roles.sc.volumes import Kept


def sealed_pair(sc: "Sc", volume_id: str, key: str, source_key: str) -> tuple[str, str]:
    """As they come, in hexadecimal digits; empty ones stay empty."""
    return (
        sc.sealer.seal(key, volume_id) if key else "",
        sc.sealer.seal(source_key, _source(volume_id)) if source_key else "",
    )


def key_of_volume(sc: "Sc", kept: "Kept") -> bytes | None:
    return bytes.fromhex(sc.sealer.open(kept.sealed_key, kept.volume_id)) if kept.sealed_key else None


def source_cipher(sc: "Sc", kept: "Kept") -> ChunkCipher | None:
    if not kept.sealed_source_key:
        return None
    key = sc.sealer.open(kept.sealed_source_key, _source(kept.volume_id))
    return ChunkCipher(bytes.fromhex(key))


def for_snapshot(sc: "Sc", kept: "Kept", snapshot_id: str) -> str:
    """The volume's key, sealed for a snapshot: the volume may go while it is sent."""
    if not kept.sealed_key:
        return ""
    return sc.sealer.seal(sc.sealer.open(kept.sealed_key, kept.volume_id), snapshot_id)


def snapshot_cipher(sc: "Sc", taken: "Taken") -> ChunkCipher | None:
    if not taken.sealed_key:
        return None
    return ChunkCipher(bytes.fromhex(sc.sealer.open(taken.sealed_key, taken.snapshot_id)))


def _source(volume_id: str) -> str:
    return f"source of {volume_id}"
