"""Snapshots of volumes in Walrus: which exist, which chunks each needs, and what nobody needs any more.

All changes of what is needed go one after the other, so that a chunk that is about to be deleted is never
promised to a snapshot.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from euca_box.messages import base
from euca_box.messages import snapshots as messages
from euca_box.messages.base import Call, Done
from euca_box.messages.snapshots import BUCKET, CHUNKS_AT_ONCE, StoredSnapshot, chunk_key, manifest_key
from euca_box.model.accounts import LENDER
from euca_box.model.ec2_errors import InvalidSnapshotNotFound
from euca_box.model.errors import IncorrectState, InvalidParameterValue
from euca_box.model.s3_errors import NoSuchBucket, NoSuchKey
from euca_box.model.snapshot_manifests import (
    LONGEST_BYTES,
    ManifestError,
    SnapshotManifest,
    decoded,
    is_digest,
)
from euca_box.observe.failpoints import fp
from euca_box.roles.walrus.lending import ca_file_for, lent_url
from euca_box.store.store import Statement, insert, one

if TYPE_CHECKING:
    from euca_box.roles.walrus.role import Walrus

log = logging.getLogger(__name__)

DELETED = "deleted"
GARBAGE_AT_ONCE = 200
PARTS_BYTES = 8 << 20


async def reserve_chunks(walrus: "Walrus", call: Call, op: messages.ReserveChunks) -> messages.ReservedChunks:
    _check(*op.digests, *op.have)
    await walrus.vault.open_hidden(BUCKET)
    sizes = {digest: await _size(walrus, chunk_key(digest)) for digest in op.have}
    if lost := [digest for digest, size in sizes.items() if size is None]:
        raise IncorrectState(f"{len(lost)} chunks of {op.snapshot_id} did not come.")
    async with walrus.reserving:
        if await _record(walrus, op.snapshot_id) not in (None, ""):
            raise IncorrectState(f"{op.snapshot_id} is stored already, or was deleted.")
        arrived = [_arrived(digest, size or 0) for digest, size in sizes.items()]
        await walrus.store.write(
            _begun(op.snapshot_id), *arrived, *(_needed(op.snapshot_id, digest) for digest in op.digests)
        )
        there = await _there(walrus, op.digests) - await _damaged(walrus)
    missing = [digest for digest in dict.fromkeys(op.digests) if digest not in there]
    urls = tuple((digest, lent_url(walrus, call, "PUT", BUCKET, chunk_key(digest))) for digest in missing)
    return messages.ReservedChunks(urls, ca_file_for(walrus, call))


async def fork_snapshot(walrus: "Walrus", call: Call, op: messages.ForkSnapshot) -> Done:
    async with walrus.reserving:
        await _stored(walrus, op.source_id)
        if await _record(walrus, op.snapshot_id) not in (None, ""):
            raise IncorrectState(f"{op.snapshot_id} is stored already, or was deleted.")
        await walrus.store.write(_begun(op.snapshot_id), _needs_all_of(op.snapshot_id, op.source_id))
    return Done()


async def get_manifest_url(walrus: "Walrus", call: Call, op: messages.GetManifestUrl) -> messages.ManifestUrl:
    _check(op.digest)
    await walrus.vault.open_hidden(BUCKET)
    url = lent_url(walrus, call, "PUT", BUCKET, manifest_key(op.digest))
    return messages.ManifestUrl(url, ca_file_for(walrus, call))


async def store_snapshot(walrus: "Walrus", call: Call, op: messages.StoreSnapshot) -> StoredSnapshot:
    _check(op.manifest)
    manifest = await _read_manifest(walrus, op.manifest)
    needed = sorted(set(manifest.chunks.values()))
    async with walrus.reserving:
        record = await _record(walrus, op.snapshot_id)
        if record == DELETED:
            raise IncorrectState(f"{op.snapshot_id} was deleted.")
        if record:
            known: StoredSnapshot = base.decode(record, StoredSnapshot)
            return known
        for part in _parts(needed, CHUNKS_AT_ONCE):
            if len(await _there(walrus, part)) != len(part):
                raise IncorrectState(f"Chunks of {op.snapshot_id} are missing.")
        stored = StoredSnapshot(op.snapshot_id, manifest.size_bytes, op.manifest, manifest.used_bytes)
        await walrus.store.write(*(_needed(op.snapshot_id, digest) for digest in needed), _kept(stored))
        fp("walrus.snapshot.after-commit")
        # What was kept for it because an earlier one had it, and what an earlier try had sent.
        rows = await walrus.store.read(
            "SELECT digest FROM snapshot_chunk WHERE snapshot_id = ?", op.snapshot_id
        )
        await _take_back(walrus, op.snapshot_id, sorted({row["digest"] for row in rows} - {*needed}))
    return stored


async def get_snapshot(walrus: "Walrus", call: Call, op: messages.GetSnapshot) -> messages.SnapshotSource:
    stored = await _stored(walrus, op.snapshot_id)
    url = lent_url(walrus, call, "GET", BUCKET, manifest_key(stored.manifest))
    return messages.SnapshotSource(stored, url, ca_file_for(walrus, call))


async def copy_stored_snapshot(
    walrus: "Walrus", call: Call, op: messages.CopyStoredSnapshot
) -> StoredSnapshot:
    async with walrus.reserving:
        record = await _record(walrus, op.snapshot_id)
        if record == DELETED:
            raise IncorrectState(f"{op.snapshot_id} was deleted.")
        if record:
            known: StoredSnapshot = base.decode(record, StoredSnapshot)
            return known
        source = await _stored(walrus, op.source_id)
        copy = StoredSnapshot(op.snapshot_id, source.size_bytes, source.manifest, source.used_bytes)
        await walrus.store.write(_needs_all_of(op.snapshot_id, op.source_id), _kept(copy))
    return copy


async def delete_snapshot(walrus: "Walrus", call: Call, op: messages.DeleteSnapshot) -> Done:
    """The tombstone first, then its needs in parts: a crash between leaves needs, which the sweep takes."""
    async with walrus.reserving:
        row = one(await walrus.store.read("SELECT manifest FROM snapshot WHERE id = ?", op.snapshot_id))
        await walrus.store.write(_tombstone(op.snapshot_id))
    fp("walrus.snapshot.after-tombstone")
    await _collect(walrus, op.snapshot_id)
    if row is not None and row["manifest"]:
        await _drop_manifest(walrus, row["manifest"])
    return Done()


async def sweep(walrus: "Walrus") -> None:
    """Finish deletions that a crash broke off; take objects that no row names."""
    rows = await walrus.store.read(
        "SELECT DISTINCT n.snapshot_id AS id FROM snapshot_chunk n JOIN snapshot s ON s.id = n.snapshot_id "
        "WHERE s.record = ?",
        DELETED,
    )
    for row in rows:
        await _collect(walrus, row["id"])
    after: str | None = ""
    while after is not None:
        page = await walrus.vault.list_hidden(BUCKET, "", after, CHUNKS_AT_ONCE)
        await _sweep_page(walrus, [entry.key for entry in page.objects])
        after = page.last


async def _sweep_page(walrus: "Walrus", keys: Sequence[str]) -> None:
    async with walrus.reserving:
        orphans = []
        for key in keys:
            # A chunk that is reserved may be on its way just now.
            is_chunk = key.startswith("chunks/")
            column = (
                "digest FROM snapshot_chunk WHERE digest" if is_chunk else "id FROM snapshot WHERE manifest"
            )
            if not await walrus.store.read(f"SELECT {column} = ?", key.rpartition("/")[2]):
                orphans.append(key)
        fresh = _fresh_manifests(walrus, orphans)
        if orphans := [key for key in orphans if key not in fresh]:
            log.warning("%d objects of no snapshot are removed", len(orphans))
            digests = [key.rpartition("/")[2] for key in orphans]
            await walrus.store.write(
                *(Statement("DELETE FROM chunk WHERE digest = ?", (digest,)) for digest in digests)
            )
            await walrus.vault.remove_hidden(BUCKET, orphans)


def _fresh_manifests(walrus: "Walrus", keys: Iterable[str]) -> set[str]:
    """Manifests seen for the first time: their snapshot may be stored in a moment."""
    found = {key for key in keys if key.startswith("manifests/")}
    fresh = found - walrus.seen_manifests
    walrus.seen_manifests = found
    return fresh


async def _collect(walrus: "Walrus", snapshot_id: str) -> None:
    """Take back what a deleted snapshot needed, and delete what nobody else needs."""
    while True:
        async with walrus.reserving:
            rows = await walrus.store.read(
                "SELECT digest FROM snapshot_chunk WHERE snapshot_id = ? ORDER BY digest LIMIT ?",
                snapshot_id,
                GARBAGE_AT_ONCE,
            )
            if not rows:
                return
            await _take_back(walrus, snapshot_id, [row["digest"] for row in rows])


async def _take_back(walrus: "Walrus", snapshot_id: str, digests: Sequence[str]) -> None:
    """The snapshot needs these no more; those that nobody else needs go. While nothing is reserved."""
    for part in _parts(digests, GARBAGE_AT_ONCE):
        marks = ", ".join("?" * len(part))
        sql = f"SELECT digest FROM snapshot_chunk WHERE digest IN ({marks}) AND snapshot_id <> ?"  # noqa: S608
        elsewhere = {row["digest"] for row in await walrus.store.read(sql, *part, snapshot_id)}
        garbage = [digest for digest in part if digest not in elsewhere]
        await walrus.store.write(
            *(_not_needed(snapshot_id, digest) for digest in part),
            *(Statement("DELETE FROM chunk WHERE digest = ?", (digest,)) for digest in garbage),
        )
        fp("walrus.snapshot.after-needs")
        await walrus.vault.remove_hidden(BUCKET, [chunk_key(digest) for digest in garbage])


async def _drop_manifest(walrus: "Walrus", digest: str) -> None:
    async with walrus.reserving:
        if not await walrus.store.read("SELECT 1 FROM snapshot WHERE manifest = ?", digest):
            await walrus.vault.remove_hidden(BUCKET, [manifest_key(digest)])


async def _read_manifest(walrus: "Walrus", digest: str) -> SnapshotManifest:
    """Raises IncorrectState."""
    key = manifest_key(digest)
    try:
        facts = await walrus.vault.stat(LENDER, BUCKET, key)
        if facts.size_bytes > LONGEST_BYTES:
            raise IncorrectState("The manifest is too long.")
        parts = [
            await walrus.vault.read_at(
                BUCKET, key, facts.generation, at, min(PARTS_BYTES, facts.size_bytes - at)
            )
            for at in range(0, facts.size_bytes, PARTS_BYTES)
        ]
        return decoded(b"".join(parts), digest)
    except (NoSuchKey, NoSuchBucket):
        raise IncorrectState("The manifest did not come.") from None
    except ManifestError as error:
        raise IncorrectState(f"{error}.") from error


async def _size(walrus: "Walrus", key: str) -> int | None:
    try:
        return (await walrus.vault.stat(LENDER, BUCKET, key)).size_bytes
    except (NoSuchKey, NoSuchBucket):
        return None


async def _record(walrus: "Walrus", snapshot_id: str) -> str | None:
    row = one(await walrus.store.read("SELECT record FROM snapshot WHERE id = ?", snapshot_id))
    return None if row is None else str(row["record"])


async def _stored(walrus: "Walrus", snapshot_id: str) -> StoredSnapshot:
    """Raises InvalidSnapshotNotFound."""
    record = await _record(walrus, snapshot_id)
    if record in (None, "", DELETED):
        raise InvalidSnapshotNotFound(snapshot_id)
    found: StoredSnapshot = base.decode(record or "", StoredSnapshot)
    return found


async def _there(walrus: "Walrus", digests: Sequence[str]) -> set[str]:
    """Those whose bytes are here. SQLite takes so many marks at once."""
    found: set[str] = set()
    for part in _parts(digests, CHUNKS_AT_ONCE):
        marks = ", ".join("?" * len(part))
        sql = f"SELECT digest FROM chunk WHERE digest IN ({marks})"  # noqa: S608 - marks only
        found |= {row["digest"] for row in await walrus.store.read(sql, *part)}
    return found


async def _damaged(walrus: "Walrus") -> set[str]:
    """Chunks that are known to be damaged: sent again, they are whole for all snapshots that need them."""
    _, damages, _ = await walrus.vault.scrub_report()
    return {damage.key.rpartition("/")[2] for damage in damages if damage.bucket == BUCKET}


def _parts(digests: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (digests[at : at + size] for at in range(0, len(digests), size))


def _begun(snapshot_id: str) -> Statement:
    return Statement(
        "INSERT INTO snapshot (id, manifest, record) VALUES (?, '', '') ON CONFLICT (id) DO NOTHING",
        (snapshot_id,),
    )


def _kept(stored: StoredSnapshot) -> Statement:
    values = {"id": stored.snapshot_id, "manifest": stored.manifest, "record": base.encode(stored)}
    return insert("snapshot", values, or_replace=True)


def _tombstone(snapshot_id: str) -> Statement:
    return insert("snapshot", {"id": snapshot_id, "manifest": "", "record": DELETED}, or_replace=True)


def _arrived(digest: str, size: int) -> Statement:
    return Statement(
        "INSERT INTO chunk (digest, stored_bytes) VALUES (?, ?) ON CONFLICT (digest) DO NOTHING",
        (digest, size),
    )


def _needed(snapshot_id: str, digest: str) -> Statement:
    return Statement(
        "INSERT INTO snapshot_chunk (digest, snapshot_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (digest, snapshot_id),
    )


def _not_needed(snapshot_id: str, digest: str) -> Statement:
    return Statement("DELETE FROM snapshot_chunk WHERE digest = ? AND snapshot_id = ?", (digest, snapshot_id))


def _needs_all_of(snapshot_id: str, source_id: str) -> Statement:
    return Statement(
        "INSERT INTO snapshot_chunk (digest, snapshot_id) SELECT digest, ? FROM snapshot_chunk "
        "WHERE snapshot_id = ? ON CONFLICT DO NOTHING",
        (snapshot_id, source_id),
    )


def _check(*digests: str) -> None:
    if len(digests) > 2 * CHUNKS_AT_ONCE or not all(map(is_digest, digests)):
        raise InvalidParameterValue(f"Up to {CHUNKS_AT_ONCE} chunks are named at once, by their SHA-256.")
