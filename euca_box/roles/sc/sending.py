"""A copy on its way to Walrus: in chunks, of which only those go that Walrus does not have. Repeatable.

Two batches at a time are read, hashed and packed in threads; Walrus is asked once for each which it lacks.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from euca_box.blockstore import chunks
from euca_box.blockstore.chunk_cipher import ChunkCipher
from euca_box.blockstore.chunks import CHUNK_BYTES
from euca_box.blockstore.engine import Copy
from euca_box.messages.base import system_call
from euca_box.messages.snapshots import (
    GetManifestUrl,
    GetSnapshot,
    ReserveChunks,
    StoredSnapshot,
    StoreSnapshot,
)
from euca_box.model.ec2_errors import InvalidSnapshotNotFound
from euca_box.model.snapshot_manifests import ManifestError, SnapshotManifest, decoded
from euca_box.observe.failpoints import fp
from euca_box.roles.sc import keys
from euca_box.tasks import together

if TYPE_CHECKING:
    from euca_box.roles.sc.role import Sc
    from euca_box.roles.sc.snapshots import Taken

BATCH = 48  # chunks
BATCHES = 2
ZEROS = bytes(CHUNK_BYTES)


@dataclass
class _Job:
    taken: "Taken"
    copy: Copy
    size_bytes: int
    total: int  # chunks to look at
    cipher: ChunkCipher | None
    done: int = 0
    found: dict[int, str] = field(default_factory=dict)  # number -> digest; "" of zeros


async def send(sc: "Sc", taken: "Taken") -> StoredSnapshot:
    """Raises EngineError, TransferError, ManifestError, OSError, EucaError."""
    if (known := await _already(sc, taken)) is not None:
        return known
    before: dict[int, str] = {}
    if taken.changes:
        manifest = known_manifest(sc, taken.since, taken.since_manifest)
        if manifest is None:
            raise ManifestError("the manifest that it builds on is gone")
        before = dict(manifest.chunks)
    copy = await sc.engine.open_copy(taken.snapshot_id)
    try:
        numbers = _numbers(copy, changes=taken.changes)
        size_bytes = taken.size_gib << 30
        job = _Job(taken, copy, size_bytes, max(len(numbers), 1), keys.snapshot_cipher(sc, taken))
        await _send_all(sc, job, numbers)
    finally:
        copy.close()
    names = {n: digest for n, digest in (before | job.found).items() if digest}
    return await _store(sc, taken, SnapshotManifest(size_bytes, CHUNK_BYTES, names))


async def _already(sc: "Sc", taken: "Taken") -> StoredSnapshot | None:
    """What Walrus has: it had told us, and we had no time to write it down."""
    try:
        call = system_call(f"snapshot-{taken.snapshot_id}")
        return (await sc.bus.ask("walrus", GetSnapshot(taken.snapshot_id), call)).snapshot
    except InvalidSnapshotNotFound:
        return None


def known_manifest(sc: "Sc", snapshot_id: str, digest: str) -> SnapshotManifest | None:
    """That of a snapshot of ours, as it was kept here; None when it is not there, or damaged."""
    try:
        return decoded((sc.manifests / snapshot_id).read_bytes(), digest)
    except (OSError, ManifestError):
        return None


def forget_manifests(sc: "Sc") -> None:
    """Those that no next snapshot builds on."""
    needed = {kept.last_snapshot for kept in sc.volumes.values()}
    needed |= {taken.since for taken in sc.snapshots.values() if taken.state not in ("stored", "failed")}
    for path in sc.manifests.glob("snap-*"):
        if path.name not in needed:
            path.unlink(missing_ok=True)


def _numbers(copy: Copy, *, changes: bool) -> list[int]:
    """Chunks that may have another content than before: with data, or of zeros since."""
    found: dict[int, None] = {}
    for extent in copy.extents:
        if extent.kind == "data" or (extent.kind == "zero" and changes):
            last = (extent.start + extent.length - 1) // CHUNK_BYTES
            found |= dict.fromkeys(range(extent.start // CHUNK_BYTES, last + 1))
    return list(found)


async def _send_all(sc: "Sc", job: _Job, numbers: list[int]) -> None:
    batches = iter([numbers[at : at + BATCH] for at in range(0, len(numbers), BATCH)])

    async def send_some() -> None:
        for batch in batches:
            await _send_batch(sc, job, batch)

    await together([send_some] * BATCHES)


async def _send_batch(sc: "Sc", job: _Job, numbers: list[int]) -> None:
    data: dict[str, bytes] = {}
    await together([partial(_read, sc, job, number, data) for number in numbers])
    snapshot_id = job.taken.snapshot_id
    call = system_call(f"snapshot-{snapshot_id}")
    if data:
        wanted = await sc.bus.ask("walrus", ReserveChunks(snapshot_id, tuple(data)), call)
        await together(
            [partial(_put, sc, url, wanted.ca_file, data[digest]) for digest, url in wanted.missing]
        )
        fp("sc.snapshot.after-chunks")
        sent = tuple(digest for digest, _ in wanted.missing)
        await sc.bus.ask("walrus", ReserveChunks(snapshot_id, have=sent), call)
    job.done += len(numbers)
    sc.progress[snapshot_id] = 30 + 69 * job.done // job.total
    sc.changed()


async def _read(sc: "Sc", job: _Job, number: int, data: dict[str, bytes]) -> None:
    start = number * CHUNK_BYTES
    length = min(CHUNK_BYTES, job.size_bytes - start)
    found = await sc.in_thread(partial(_hashed, job, number, start, length))
    job.found[number] = ""
    if found is not None:
        job.found[number], data[found[0]] = found


async def _put(sc: "Sc", url: str, ca_file: str, data: bytes) -> None:
    # Not kept near: written a second time, they would slow down the disk that all wait for.
    await sc.in_thread(lambda: sc.courier.put(url, ca_file, chunks.pack(data)))


def _hashed(job: _Job, number: int, start: int, length: int) -> tuple[str, bytes] | None:
    data = job.copy.read(start, length)
    if data == ZEROS[:length]:
        return None
    if job.cipher is not None:
        data = job.cipher.encipher(number, data)
    return chunks.digest_of(data), data


async def _store(sc: "Sc", taken: "Taken", manifest: SnapshotManifest) -> StoredSnapshot:
    """The manifest to Walrus, and beside our rows, for the next one to build on."""
    text = manifest.encoded()
    digest = chunks.digest_of(text)
    call = system_call(f"snapshot-{taken.snapshot_id}")
    target = await sc.bus.ask("walrus", GetManifestUrl(digest), call)
    await sc.in_thread(partial(sc.courier.put, target.url, target.ca_file, text))
    await sc.in_thread(partial(_write, sc, taken.snapshot_id, text))
    fp("sc.snapshot.after-manifest")
    return await sc.bus.ask("walrus", StoreSnapshot(taken.snapshot_id, digest), call)


def _write(sc: "Sc", snapshot_id: str, text: bytes) -> None:
    sc.manifests.mkdir(mode=0o700, exist_ok=True)
    chunks.write_private(sc.manifests / snapshot_id, text)
