"""A volume from a snapshot: there at once, filled in the background, and independent in the end.

Walrus keeps the chunks for the volume, whoever deletes the snapshot: under the name of a snapshot that is
never stored. The manifest is kept beside our rows. Both go when all bytes are here.
"""

import logging
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from euca_box.blockstore import chunks
from euca_box.blockstore.engine import EngineError, VolumeBusy
from euca_box.messages.base import system_call
from euca_box.messages.snapshots import DeleteSnapshot, ForkSnapshot, GetSnapshot
from euca_box.model.ec2_errors import InsufficientVolumeCapacity
from euca_box.model.snapshot_manifests import ManifestError, SnapshotManifest, decoded
from euca_box.observe.failpoints import fp
from euca_box.roles.sc import exports, keys
from euca_box.roles.sc.chunk_source import ChunkSource

if TYPE_CHECKING:
    from euca_box.roles.sc.role import Sc
    from euca_box.roles.sc.volumes import Kept

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1
COPY_SECONDS = 1.0
GIB = 1024**3


async def begin(sc: "Sc", kept: "Kept") -> bool:
    """Have the volume there, with all that it needs to be filled; False when it is of zeros. Repeatable.

    Raises DamagedChunk, ManifestError, TransferError, EngineError, OSError, EucaError.
    """
    manifest = await _manifest(sc, kept)
    if manifest.size_bytes > kept.size_bytes:
        raise ManifestError("the snapshot is larger than the volume")
    if not manifest.chunks:
        await sc.engine.create(kept.volume_id, kept.size_bytes, keys.key_of_volume(sc, kept))
        return False
    free = await sc.engine.free_bytes() - sc.settings.reserved_disk_gib * GIB
    if free < manifest.used_bytes and kept.volume_id not in await sc.engine.unfilled():
        raise InsufficientVolumeCapacity(
            f"The snapshot has {manifest.used_bytes >> 20} MiB; {max(free, 0) >> 20} are free."
        )
    await sc.engine.create_lazy(kept.volume_id, kept.size_bytes, keys.key_of_volume(sc, kept))
    return True


async def work_on(sc: "Sc", kept: "Kept") -> None:
    """Serve its bytes until all are here. Raises EngineError, ManifestError, OSError with the reason."""
    manifest = decoded(await sc.in_thread(_path(sc, kept).read_bytes), kept.fill_manifest)
    async with trio.open_nursery() as nursery:
        source = ChunkSource(sc, kept.volume_id, manifest, nursery, keys.source_cipher(sc, kept))
        await nursery.start(sc.engine.serve_source, kept.volume_id, source)
        async with sc.fills:  # all can be used; so many are filled at once
            why = await _bring(sc, kept.volume_id)
        nursery.cancel_scope.cancel()
    if why:
        raise EngineError(source.problem or why)


async def release(sc: "Sc", kept: "Kept") -> None:
    """Walrus need not keep its chunks for it any more. Raises EucaError."""
    call = system_call(f"fill-{kept.volume_id}")
    await sc.bus.ask("walrus", DeleteSnapshot(hold_of(kept.volume_id)), call)
    fp("sc.fill.after-release")
    await sc.in_thread(partial(_path(sc, kept).unlink, missing_ok=True))
    if (now := sc.volumes.get(kept.volume_id)) is not None:
        await sc.keep(replace(now, holds=False, fill_manifest="", sealed_source_key=""))


def hold_of(volume_id: str) -> str:
    return f"fill-{volume_id}"


async def fetch_manifest(sc: "Sc", snapshot_id: str) -> bytes:
    call = system_call(f"restore-{snapshot_id}")
    source = await sc.bus.ask("walrus", GetSnapshot(snapshot_id), call)
    text = await sc.in_thread(partial(sc.courier.get, source.url, source.ca_file))
    decoded(text, source.snapshot.manifest)
    return text


async def _manifest(sc: "Sc", kept: "Kept") -> SnapshotManifest:
    """As it is kept here; the first time it comes from Walrus, which then keeps its chunks for the volume."""
    if kept.fill_manifest:
        return decoded(await sc.in_thread(_path(sc, kept).read_bytes), kept.fill_manifest)
    text = await fetch_manifest(sc, kept.snapshot_id)
    digest = chunks.digest_of(text)
    manifest = decoded(text, digest)
    if manifest.chunks:
        await sc.mark(kept.volume_id, holds=True)
        fp("sc.fill.after-hold")
        call = system_call(f"fill-{kept.volume_id}")
        await sc.bus.ask("walrus", ForkSnapshot(hold_of(kept.volume_id), kept.snapshot_id), call)
        fp("sc.fill.after-fork")
        await sc.in_thread(partial(_write, sc, kept, text))
        await sc.mark(kept.volume_id, fill_manifest=digest)
        fp("sc.fill.after-manifest")
    return manifest


async def _bring(sc: "Sc", volume_id: str) -> str:
    """All bytes here, and then independent; else the reason why it does not go on."""
    try:
        while (found := await sc.engine.fill(volume_id)).state == "filling":
            sc.progress[volume_id] = found.percent
            await trio.sleep(LOOK_SECONDS)
        if found.state == "failed":
            return found.reason
        while not await _finish(sc, volume_id):  # noqa: ASYNC110
            await trio.sleep(COPY_SECONDS)
    except EngineError as error:
        return str(error)
    return ""


async def _finish(sc: "Sc", volume_id: str) -> bool:
    """False while it is copied. Who has it is cut off for a moment, as when it grows."""
    async with sc.lock(volume_id):
        kept = sc.volumes[volume_id]
        if kept.state != "ready":
            return True
        try:
            await sc.engine.finish_fill(volume_id)
        except VolumeBusy:
            return False
        fp("sc.fill.after-engine")
        kept = await sc.mark(volume_id, filling=False)
        if kept.exported:
            await exports.bring_up(sc, kept)
    log.info("%s is filled", volume_id)
    return True


def _path(sc: "Sc", kept: "Kept") -> Path:
    return sc.manifests / hold_of(kept.volume_id)


def _write(sc: "Sc", kept: "Kept", text: bytes) -> None:
    sc.manifests.mkdir(mode=0o700, exist_ok=True)
    chunks.write_private(_path(sc, kept), text)
