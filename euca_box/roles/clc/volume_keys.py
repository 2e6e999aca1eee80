"""Keys of encrypted volumes and snapshots: each record has its own, sealed for it by the cloud's master key.

A snapshot has the key of its volume, and a volume of an encrypted snapshot has the key of the snapshot: what
they have in common is then the same in Walrus, too. A key ends with the last record that has it.
"""

import os
from typing import TYPE_CHECKING

from euca_box.model.snapshots import Snapshot
from euca_box.model.volumes import Volume

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

KEY_BYTES = 32


def new_keys(clc: "Clc", volume_id: str, snapshot: Snapshot | None, *, encrypted: bool) -> tuple[str, str]:
    """The sealed keys of a new volume and of its source; empty where there is none."""
    if snapshot is not None and snapshot.encrypted:
        key = clc.sealer.open(snapshot.sealed_key, snapshot.snapshot_id)
        return clc.sealer.seal(key, volume_id), clc.sealer.seal(key, _source(volume_id))
    if encrypted:
        return clc.sealer.seal(os.urandom(KEY_BYTES).hex(), volume_id), ""
    return "", ""


def key_of_volume(clc: "Clc", volume: Volume, snapshot_id: str) -> str:
    """Sealed for a snapshot of it; empty when it has none."""
    return clc.sealer.seal(volume_key(clc, volume), snapshot_id) if volume.encrypted else ""


def key_of_snapshot(clc: "Clc", snapshot: Snapshot, copy_id: str) -> str:
    """Sealed for a copy of it."""
    if not snapshot.encrypted:
        return ""
    return clc.sealer.seal(clc.sealer.open(snapshot.sealed_key, snapshot.snapshot_id), copy_id)


def volume_key(clc: "Clc", volume: Volume) -> str:
    """In hexadecimal digits, for the storage controller."""
    return clc.sealer.open(volume.sealed_key, volume.volume_id) if volume.sealed_key else ""


def source_key(clc: "Clc", volume: Volume) -> str:
    sealed = volume.sealed_source_key
    return clc.sealer.open(sealed, _source(volume.volume_id)) if sealed else ""


def _source(volume_id: str) -> str:
    return f"source of {volume_id}"
