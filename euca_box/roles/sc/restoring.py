"""A volume from a snapshot: its chunks from Walrus, each compared with its SHA-256 before it is written."""

from functools import partial
from typing import TYPE_CHECKING

from euca_box.blockstore import chunks
from euca_box.blockstore.chunks import DamagedChunk, TransferError
from euca_box.blockstore.engine import Fill
from euca_box.messages.base import Call, system_call
from euca_box.messages.snapshots import BUCKET, GetSnapshot, chunk_key
from euca_box.messages.walrus import GetHiddenUrls, GetScrub
from euca_box.model.snapshot_manifests import ManifestError, SnapshotManifest, decoded
from euca_box.tasks import together

if TYPE_CHECKING:
    from euca_box.roles.sc.role import Sc
    from euca_box.roles.sc.volumes import Kept

BATCH = 64


async def fill(sc: "Sc", kept: "Kept") -> None:
    """All of it; again from the start after a crash. Raises DamagedChunk, ManifestError, TransferError,
    EngineError, OSError, EucaError."""
    manifest = await fetch_manifest(sc, kept.snapshot_id)
    if manifest.size_bytes > kept.size_bytes:
        raise ManifestError("the snapshot is larger than the volume")
    opened = await sc.engine.open_fill(kept.volume_id)
    try:
        numbers = sorted(manifest.chunks)
        for at in range(0, len(numbers), BATCH):
            missing = await _fill_from_cache(sc, manifest, numbers[at : at + BATCH], opened)
            if missing:
                await _fill_batch(sc, kept, manifest, missing, opened)
            sc.progress[kept.volume_id] = 99 * min(at + BATCH, len(numbers)) // len(numbers)
        await sc.in_thread(opened.sync)
    finally:
        opened.close()


async def fetch_manifest(sc: "Sc", snapshot_id: str) -> SnapshotManifest:
    call = system_call(f"restore-{snapshot_id}")
    source = await sc.bus.ask("walrus", GetSnapshot(snapshot_id), call)
    text = await sc.in_thread(partial(sc.courier.get, source.url, source.ca_file))
    return decoded(text, source.snapshot.manifest)


async def _fill_from_cache(
    sc: "Sc", manifest: SnapshotManifest, numbers: list[int], opened: Fill
) -> list[int]:
    """The chunks that are not near."""
    missing: list[int] = []

    def write(number: int) -> None:
        data = sc.cache.get(manifest.chunks[number], manifest.length_of(number))
        if data is None:
            missing.append(number)
        else:
            opened.write(number * manifest.chunk_bytes, data)

    await together([partial(sc.in_thread, partial(write, number)) for number in numbers])
    return sorted(missing)


async def _fill_batch(
    sc: "Sc", kept: "Kept", manifest: SnapshotManifest, numbers: list[int], opened: Fill
) -> None:
    keys = tuple(chunk_key(manifest.chunks[number]) for number in numbers)
    call = system_call(f"restore-{kept.volume_id}")
    found = await sc.bus.ask("walrus", GetHiddenUrls(BUCKET, keys), call)
    writes = [
        partial(_write, sc, manifest, number, url, found.ca_file, opened)
        for number, url in zip(numbers, found.urls, strict=True)
    ]
    try:
        await together([partial(sc.in_thread, write) for write in writes])
    except TransferError:
        await _check_damage(sc, set(keys), call)
        raise


async def _check_damage(sc: "Sc", keys: set[str], call: Call) -> None:
    """What Walrus knows to be damaged it refuses like any trouble of its own. Raises DamagedChunk."""
    report = await sc.bus.ask("walrus", GetScrub(), call)
    if any(found.bucket == BUCKET and found.key in keys for found in report.quarantine):
        raise DamagedChunk("a chunk of the snapshot is damaged in Walrus")


def _write(sc: "Sc", manifest: SnapshotManifest, number: int, url: str, ca_file: str, opened: Fill) -> None:
    packed = sc.courier.get(url, ca_file)
    data = chunks.unpack(packed, manifest.chunks[number], manifest.length_of(number))
    sc.cache.put(manifest.chunks[number], data)
    opened.write(number * manifest.chunk_bytes, data)
