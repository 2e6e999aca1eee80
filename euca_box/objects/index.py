"""The SQL of buckets and objects: one batch of statements for each change, all in it or nothing."""

import json
import sqlite3
from collections.abc import Iterable, Sequence

from euca_box.objects.cache import Found
from euca_box.objects.intake import Content
from euca_box.objects.rows import Bucket, Owner, Piece, StoredObject, object_from
from euca_box.store.store import Row, Statement, insert

_UPSERT = (
    "INSERT INTO object (bucket, key, generation, size_bytes, etag, modified_ms, owner, owner_id, owner_name,"
    " acl, checksum, sha256, headers) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT "
)
_REPLACE = (
    "(bucket, key) DO UPDATE SET generation = excluded.generation, size_bytes = excluded.size_bytes,"
    " etag = excluded.etag, modified_ms = excluded.modified_ms, owner = excluded.owner,"
    " owner_id = excluded.owner_id, owner_name = excluded.owner_name, acl = excluded.acl,"
    " checksum = excluded.checksum, sha256 = excluded.sha256, headers = excluded.headers"
)
_CURRENT = "(SELECT generation FROM object WHERE bucket = ? AND key = ?)"
_DROP_PIECES = f"DELETE FROM piece WHERE generation = {_CURRENT} RETURNING generation, file"  # noqa: S608
_DROP_BLOB = f"DELETE FROM blob WHERE generation = {_CURRENT}"  # noqa: S608
_FIND = (
    "SELECT o.*, b.bytes, p.file, p.size_bytes AS piece_bytes FROM object o"
    " LEFT JOIN blob b ON b.generation = o.generation LEFT JOIN piece p ON p.generation = o.generation"
    " WHERE o.bucket = ? AND o.key = ? ORDER BY p.number"
)


def put_object(
    stored: StoredObject, content: Content, *, only_if_absent: bool = False, only_if_etag: str | None = None
) -> list[Statement]:
    """The batch that makes content the current version. Its Conflict: no bucket, or a condition failed."""
    name = (stored.bucket, stored.key)
    batch: list[Statement] = []
    if only_if_etag is not None:
        same = "UPDATE object SET etag = etag WHERE bucket = ? AND key = ? AND (etag = ? OR ? = '*')"
        batch.append(Statement(same, (*name, only_if_etag, only_if_etag), expect=1))
    if not only_if_absent:
        batch += _drop_bytes(name)
    values = (
        *name,
        stored.generation,
        stored.size_bytes,
        stored.etag,
        stored.modified_ms,
        *_owner_values(stored.owner),
        stored.acl.value,
        stored.checksum.as_text() if stored.checksum else "",
        stored.sha256 or "",
        json.dumps(dict(stored.headers)),
    )
    batch.append(Statement(_UPSERT + ("DO NOTHING" if only_if_absent else _REPLACE), values, expect=1))
    if content.inline is not None:
        blob = "INSERT INTO blob (generation, bytes) VALUES (?, ?)"
        batch.append(Statement(blob, (stored.generation, content.inline)))
    for number, piece in enumerate(content.pieces):
        row = {"generation": stored.generation, "number": number}
        batch.append(insert("piece", {**row, "file": piece.file, "size_bytes": piece.size_bytes}))
    return batch


def delete_objects(bucket: str, keys: Iterable[str]) -> list[Statement]:
    batch: list[Statement] = []
    for key in keys:
        batch += _drop_bytes((bucket, key))
        batch.append(Statement("DELETE FROM object WHERE bucket = ? AND key = ?", (bucket, key)))
    return batch


def _drop_bytes(name: tuple[str, str]) -> list[Statement]:
    return [Statement(_DROP_BLOB, name), Statement(_DROP_PIECES, name)]


def released_files(results: Iterable[Sequence[Row]]) -> dict[int, list[str]]:
    """The files that a committed batch let go of, by generation."""
    files: dict[int, list[str]] = {}
    for rows in results:
        for row in rows:
            files.setdefault(row["generation"], []).append(row["file"])
    return files


def find_object(db: sqlite3.Connection, bucket: str, key: str) -> Found | None:
    """Runs in the database's thread; one statement, so that row and bytes are of one version."""
    rows = db.execute(_FIND, (bucket, key)).fetchall()
    if not rows:
        return None
    stored, inline = object_from(rows[0]), rows[0]["bytes"]
    if inline is not None:
        return Found(stored, inline)
    return Found(stored, None, tuple(Piece(row["file"], row["piece_bytes"]) for row in rows))


def insert_bucket(bucket: Bucket) -> Statement:
    owner, owner_id, owner_name = _owner_values(bucket.owner)
    return insert(
        "bucket",
        {
            "name": bucket.name,
            "owner": owner,
            "owner_id": owner_id,
            "owner_name": owner_name,
            "created_ms": bucket.created_ms,
            "location": bucket.location,
            "acl": bucket.acl.value,
        },
    )


def delete_bucket(name: str) -> list[Statement]:
    """Uploads end with the bucket; an object in it makes the batch fail (foreign key)."""
    parts = (
        "DELETE FROM part WHERE upload_id IN (SELECT upload_id FROM upload WHERE bucket = ?)"
        " RETURNING 0 AS generation, file"
    )
    return [
        Statement(parts, (name,)),
        Statement("DELETE FROM upload WHERE bucket = ?", (name,)),
        Statement("DELETE FROM bucket_setting WHERE bucket = ?", (name,)),
        Statement("DELETE FROM bucket WHERE name = ?", (name,), expect=1),
    ]


def _owner_values(owner: Owner) -> tuple[str, str, str]:
    return owner.account, owner.canonical_id, owner.display_name
