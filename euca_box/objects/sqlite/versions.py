"""Versions in SQLite: one batch of statements for each change, all in it or nothing.

`object` has the current version of each key and nothing else, so that GET and LIST never meet an old one;
`version` has the older ones and delete markers (docs/design/0009-versions.md).
"""

import json
import sqlite3
from collections.abc import Awaitable, Iterable, Sequence
from typing import Literal

from euca_box.objects.cache import Found, Key
from euca_box.objects.conditions import NO_CONDITIONS, Conditions
from euca_box.objects.crcs import crc32c
from euca_box.objects.index import DamagedObject, WalkedVersion
from euca_box.objects.intake import Content
from euca_box.objects.listing import Page
from euca_box.objects.rows import (
    NULL_VERSION,
    SUSPENDED,
    Piece,
    StoredObject,
    as_json,
    object_from,
    owner_values,
)
from euca_box.objects.sqlite.conditions import for_delete, for_put
from euca_box.objects.sqlite.listing import read_page
from euca_box.objects.sqlite.version_listing import read_version_page, read_walk
from euca_box.objects.version_ids import generation_of
from euca_box.objects.version_listing import VersionPage
from euca_box.store.sqlite_store import SqliteStore
from euca_box.store.store import Row, Statement, Value, insert

_COLUMNS = (
    "bucket, key, generation, version_id, size_bytes, etag, modified_ms, owner, owner_id, owner_name, acl,"
    " checksum, sha256, headers, tags, lock, encryption, storage_class"
)
_MARKS = ", ".join("?" * len(_COLUMNS.split(",")))
_KEY = "bucket = ? AND key = ?"
# Column names only, all of our own: nothing of a request is in the text of a statement.
_INSERT = f"INSERT INTO object ({_COLUMNS}) VALUES ({_MARKS})"  # noqa: S608
_REPLACE = (
    f"INSERT OR REPLACE INTO object ({_COLUMNS}) SELECT {_MARKS} FROM bucket"  # noqa: S608
    " WHERE name = ? AND versioning = ''"
)
_INSERT_MARKER = f"INSERT INTO version ({_COLUMNS}, marker) VALUES ({_MARKS}, 1)"  # noqa: S608
_CURRENT = f"(SELECT generation FROM object WHERE {_KEY})"  # noqa: S608
_NULL = f"(SELECT generation FROM version WHERE {_KEY} AND version_id = '{NULL_VERSION}')"  # noqa: S608
_SET_ASIDE = f"INSERT INTO version ({_COLUMNS}) SELECT {_COLUMNS} FROM object WHERE {_KEY}"  # noqa: S608
# The newest version becomes the current one when there is none, unless it is a delete marker.
_PROMOTE = (
    f"INSERT INTO object ({_COLUMNS}) SELECT {_COLUMNS} FROM version WHERE {_KEY} AND marker = 0"  # noqa: S608
    f" AND generation = (SELECT MAX(generation) FROM version WHERE {_KEY})"
    f" AND NOT EXISTS (SELECT 1 FROM object WHERE {_KEY})"
)
_DROP_BLOB = f"DELETE FROM blob WHERE generation = {_CURRENT}"  # noqa: S608
_DROP_PIECES = f"DELETE FROM piece WHERE generation = {_CURRENT} RETURNING generation, file"  # noqa: S608
_DROP = f"DELETE FROM object WHERE {_KEY}"  # noqa: S608
_DROP_NULL = (
    f"DELETE FROM blob WHERE generation = {_NULL}",  # noqa: S608
    f"DELETE FROM piece WHERE generation = {_NULL} RETURNING generation, file",  # noqa: S608
    f"DELETE FROM version WHERE {_KEY} AND version_id = '{NULL_VERSION}'",  # noqa: S608
)
_BYTES = (
    "b.bytes, b.crc AS blob_crc, b.nonce AS blob_nonce, p.file, p.size_bytes AS piece_bytes, p.crcs, p.nonce"
)
_JOINS = "LEFT JOIN blob b ON b.generation = o.generation LEFT JOIN piece p ON p.generation = o.generation"
_PIECE = ", p.checksum AS piece_checksum"
_FIND = f"SELECT o.*, 0 AS marker, {_BYTES}{_PIECE} FROM object o {_JOINS} WHERE o.{_KEY} ORDER BY p.number"  # noqa: S608
_VERSIONS = (
    f"SELECT o.*, {_BYTES}{_PIECE} FROM (SELECT {_COLUMNS}, 0 AS marker FROM object"  # noqa: S608
    f" WHERE {_KEY} AND version_id = ? UNION ALL SELECT {_COLUMNS}, marker FROM version"
    f" WHERE {_KEY} AND %s) o {_JOINS} ORDER BY p.number"
)
_FIND_VERSION = _VERSIONS % "generation = ? AND version_id = ?"
_FIND_NULL = _VERSIONS % f"version_id = '{NULL_VERSION}'"


def put_object(
    stored: StoredObject, content: Content, versioning: str, conditions: Conditions
) -> list[Statement]:
    """The batch that makes content the current version.

    Conflict: no such bucket, its versioning is another by now, or a condition does not hold.
    """
    name, batch = (stored.bucket, stored.key), []
    if conditions is not NO_CONDITIONS:
        batch += for_put(conditions, *name)
    if versioning:
        batch += [_bucket_is(stored.bucket, versioning), *_set_aside(name, versioning)]
        batch.append(Statement(_INSERT, _values(stored), expect=1))
    else:
        batch += _drop_bytes(name)
        batch.append(Statement(_REPLACE, (*_values(stored), stored.bucket), expect=1))
    return batch + _insert_bytes(stored.generation, content)


def _insert_bytes(generation: int, content: Content) -> list[Statement]:
    if content.inline is not None:
        sql = "INSERT INTO blob (generation, bytes, crc, nonce) VALUES (?, ?, ?, ?)"
        crc = crc32c(content.inline).to_bytes(4, "big")
        return [Statement(sql, (generation, content.inline, crc, content.nonce))]
    return [
        insert(
            "piece",
            {
                "generation": generation,
                "number": number,
                "file": piece.file,
                "size_bytes": piece.size_bytes,
                "crcs": piece.crcs,
                "nonce": piece.nonce,
                "checksum": piece.checksum,
            },
        )
        for number, piece in enumerate(content.pieces)
    ]


def delete_object(
    name: Key, versioning: str, conditions: Conditions, marker: StoredObject
) -> list[Statement]:
    """The batch that ends the current version: for good, or below a delete marker."""
    batch = [_bucket_is(name[0], versioning), *for_delete(conditions, *name)]
    if not versioning:
        return [*batch, *_drop_bytes(name), Statement(_DROP, name)]
    return [*batch, *_set_aside(name, versioning), Statement(_INSERT_MARKER, _values(marker), expect=1)]


def delete_objects(bucket: str, keys: Iterable[str]) -> list[Statement]:
    """The batch for many keys of a bucket that never had versioning."""
    batch = [_bucket_is(bucket, "")]
    for key in keys:
        name = (bucket, key)
        batch += [*_drop_bytes(name), Statement(_DROP, name)]
    return batch


def delete_version(stored: StoredObject, *, older_only: bool = False) -> list[Statement]:
    """Remove one version, locked as it was seen, for good; the newest one left becomes the current one."""
    name, generation = (stored.bucket, stored.key), stored.generation
    row = f"{_KEY} AND generation = ?"
    current = "0" if older_only else "1"
    as_seen = (
        f"SELECT 1 AS seen FROM (SELECT lock FROM object WHERE {row} AND {current}"  # noqa: S608
        f" UNION ALL SELECT lock FROM version WHERE {row}) WHERE lock = ?"
    )
    one = (*name, generation)
    return [
        Statement(as_seen, (*one, *one, stored.lock.as_text()), expect=1),
        Statement("DELETE FROM blob WHERE generation = ?", (generation,)),
        Statement("DELETE FROM piece WHERE generation = ? RETURNING generation, file", (generation,)),
        Statement(f"DELETE FROM object WHERE {row}", one),  # noqa: S608
        Statement(f"DELETE FROM version WHERE {row}", one),  # noqa: S608
        Statement(_PROMOTE, name * 3),
        Statement(f"DELETE FROM version WHERE {_KEY} AND generation = {_CURRENT}", name * 2),  # noqa: S608
    ]


def change_version(
    stored: StoredObject, field: Literal["acl", "tags", "lock"], value: str, was: str
) -> list[Statement]:
    """Change one column of a version, wherever it is by now, if it still has the value `was`."""
    sql = f"SET {field} = ? WHERE {_KEY} AND generation = ? AND {field} = ? RETURNING 1 AS changed"
    args = (value, stored.bucket, stored.key, stored.generation, was)
    return [Statement(f"UPDATE {table} {sql}", args) for table in ("object", "version")]


def _bucket_is(bucket: str, versioning: str) -> Statement:
    sql = "SELECT 1 AS seen FROM bucket WHERE name = ? AND versioning = ?"
    return Statement(sql, (bucket, versioning), expect=1)


def _set_aside(name: Key, versioning: str) -> list[Statement]:
    """The current version becomes an older one; in a suspended bucket the null version goes."""
    ends = _DROP_NULL if versioning == SUSPENDED else ()
    return [Statement(sql, name) for sql in (_SET_ASIDE, _DROP, *ends)]


def _drop_bytes(name: Key) -> list[Statement]:
    return [Statement(_DROP_BLOB, name), Statement(_DROP_PIECES, name)]


def find_object(db: sqlite3.Connection, bucket: str, key: str) -> Found | None:
    """Runs in the database's thread; one statement, so that row and bytes are of one version."""
    return _found(db.execute(_FIND, (bucket, key)).fetchall())


def find_version(db: sqlite3.Connection, bucket: str, key: str, version_id: str) -> Found | None:
    """As find_object, of any version. Raises InvalidArgument."""
    if version_id == NULL_VERSION:
        return _found(db.execute(_FIND_NULL, (bucket, key, version_id, bucket, key)).fetchall())
    args = (bucket, key, version_id, bucket, key, generation_of(version_id), version_id)
    return _found(db.execute(_FIND_VERSION, args).fetchall())


def find_marker(db: sqlite3.Connection, bucket: str, key: str) -> StoredObject | None:
    """The delete marker that hides the key, if its newest version is one."""
    sql = f"SELECT {_COLUMNS}, marker FROM version WHERE {_KEY} ORDER BY generation DESC LIMIT 1"  # noqa: S608
    row = db.execute(sql, (bucket, key)).fetchone()
    return object_from(row) if row is not None and row["marker"] else None


def has_versions(db: sqlite3.Connection, bucket: str, key: str) -> bool:
    sql = " UNION ALL ".join(f"SELECT 1 FROM {table} WHERE {_KEY}" for table in ("object", "version"))  # noqa: S608
    return db.execute(f"{sql} LIMIT 1", (bucket, key) * 2).fetchone() is not None


def _found(rows: Sequence[Row]) -> Found | None:
    if not rows:
        return None
    first: Row = dict(zip(rows[0].keys(), rows[0], strict=True))  # a sqlite3.Row looks for each name anew
    stored, inline = object_from(first), first["bytes"]
    if inline is not None:
        if first["blob_crc"] and first["blob_crc"] != crc32c(inline).to_bytes(4, "big"):
            raise DamagedObject(stored)
        return Found(stored, inline, nonce=first["blob_nonce"])
    if stored.is_marker:
        return Found(stored, None)
    pieces = (
        Piece(row["file"], row["piece_bytes"], row["crcs"], row["nonce"], row["piece_checksum"])
        for row in rows
    )
    return Found(stored, None, tuple(pieces))


def _values(stored: StoredObject) -> tuple[Value, ...]:
    return (
        stored.bucket,
        stored.key,
        stored.generation,
        stored.version_id,
        stored.size_bytes,
        stored.etag,
        stored.modified_ms,
        *owner_values(stored.owner),
        stored.acl.value,
        stored.checksum.as_text() if stored.checksum else "",
        stored.sha256 or "",
        json.dumps(dict(stored.headers)),
        as_json(stored.tags),
        stored.lock.as_text(),
        stored.encryption,
        stored.storage_class,
    )


_SUMS = (
    "SELECT bucket, SUM(size_bytes) AS held FROM (SELECT bucket, size_bytes FROM object UNION ALL"
    " SELECT bucket, size_bytes FROM version UNION ALL SELECT u.bucket, p.size_bytes FROM part p"
    " JOIN upload u ON u.upload_id = p.upload_id) GROUP BY bucket"
)


class SqliteVersions:
    """A `VersionIndex`. Its changes are functions of this module."""

    put = staticmethod(put_object)
    delete = staticmethod(delete_object)
    delete_plain = staticmethod(delete_objects)
    delete_version = staticmethod(delete_version)
    change = staticmethod(change_version)

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    def find(self, bucket: str, key: str) -> Awaitable[Found | None]:
        return self._store.read_with(lambda db: find_object(db, bucket, key))

    def find_version(self, bucket: str, key: str, version_id: str) -> Awaitable[Found | None]:
        return self._store.read_with(lambda db: find_version(db, bucket, key, version_id))

    def find_marker(self, bucket: str, key: str) -> Awaitable[StoredObject | None]:
        return self._store.read_with(lambda db: find_marker(db, bucket, key))

    def has_any(self, bucket: str, key: str) -> Awaitable[bool]:
        return self._store.read_with(lambda db: has_versions(db, bucket, key))

    async def newest_generation(self) -> int:
        newest = 0
        for table in ("object", "version"):
            [row] = await self._store.read(f"SELECT MAX(generation) AS newest FROM {table}")  # noqa: S608
            newest = max(newest, row["newest"] or 0)
        return newest

    async def held_bytes(self) -> dict[str, int]:
        return {row["bucket"]: row["held"] for row in await self._store.read(_SUMS)}

    async def files(self) -> set[str]:
        rows = await self._store.read("SELECT file FROM piece UNION ALL SELECT file FROM part")
        return {row["file"] for row in rows}

    def page(self, bucket: str, prefix: str, delimiter: str, after: str, limit: int) -> Awaitable[Page]:
        return self._store.read_with(lambda db: read_page(db, bucket, prefix, delimiter, after, limit))

    def version_page(
        self, bucket: str, prefix: str, delimiter: str, after: str, after_version: str, limit: int
    ) -> Awaitable[VersionPage]:
        return self._store.read_with(
            lambda db: read_version_page(db, bucket, prefix, delimiter, after, after_version, limit)
        )

    async def walk(self, bucket: str, key: str, generation: int) -> list[WalkedVersion]:
        return await self._store.read_with(lambda db: read_walk(db, bucket, key, generation))
