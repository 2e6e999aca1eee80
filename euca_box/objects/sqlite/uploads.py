"""Multipart uploads and their parts in SQLite."""

import json
from collections.abc import Awaitable

from euca_box.objects.rows import Checksum, Part, Upload, as_json, owner_values, part_from, upload_from
from euca_box.objects.sqlite.upload_listing import read_upload_page
from euca_box.objects.upload_listing import UploadPage
from euca_box.store.sqlite_store import SqliteStore
from euca_box.store.store import Statement, Value, insert

_IS_OPEN = "UPDATE upload SET changes = changes + 1 WHERE upload_id = ? AND etag = ''"


def put_upload(upload: Upload) -> list[Statement]:
    owner, owner_id, owner_name = owner_values(upload.owner)
    initiator, initiator_id, initiator_name = owner_values(upload.initiator)
    row: dict[str, Value] = {
        "upload_id": upload.upload_id,
        "bucket": upload.bucket,
        "key": upload.key,
        "owner": owner,
        "owner_id": owner_id,
        "owner_name": owner_name,
        "initiator": initiator,
        "initiator_id": initiator_id,
        "initiator_name": initiator_name,
        "started_ms": upload.started_ms,
        "acl": upload.acl.value,
        "headers": json.dumps(dict(upload.headers)),
        "algorithm": upload.algorithm,
        "checksum_type": upload.checksum_type,
        "tags": as_json(upload.tags),
        "lock": upload.lock.as_text(),
        "encryption": upload.encryption,
        "storage_class": upload.storage_class,
    }
    return [insert("upload", row)]


def put_part(upload_id: str, part: Part) -> list[Statement]:
    old = "DELETE FROM part WHERE upload_id = ? AND number = ? RETURNING 0 AS generation, file"
    row: dict[str, Value] = {
        "upload_id": upload_id,
        "number": part.number,
        "file": part.file,
        "size_bytes": part.size_bytes,
        "etag": part.etag,
        "checksum": part.checksum.as_text() if part.checksum else "",
        "modified_ms": part.modified_ms,
        "crcs": part.crcs,
        "nonce": part.nonce,
    }
    return [
        Statement(_IS_OPEN, (upload_id,), expect=1),
        Statement(old, (upload_id, part.number)),
        insert("part", row),
    ]


def close_upload(upload: Upload, etag: str, checksum: Checksum | None, now_ms: int) -> list[Statement]:
    close = (
        "UPDATE upload SET etag = ?, checksum = ?, done_ms = ?"
        " WHERE upload_id = ? AND changes = ? AND etag = ''"
    )
    args = (etag, checksum.as_text() if checksum else "", now_ms, upload.upload_id, upload.changes)
    return [Statement(close, args, expect=1), _drop_parts(upload.upload_id)]


def delete_upload(upload_id: str) -> list[Statement]:
    return [
        Statement(_IS_OPEN, (upload_id,), expect=1),
        _drop_parts(upload_id),
        Statement("DELETE FROM upload WHERE upload_id = ?", (upload_id,)),
    ]


def forget_completed(before_ms: int) -> list[Statement]:
    return [Statement("DELETE FROM upload WHERE etag <> '' AND done_ms < ?", (before_ms,))]


def _drop_parts(upload_id: str) -> Statement:
    return Statement("DELETE FROM part WHERE upload_id = ? RETURNING 0 AS generation, file", (upload_id,))


class SqliteUploads:
    """An `UploadIndex`."""

    put = staticmethod(put_upload)
    put_part = staticmethod(put_part)
    close = staticmethod(close_upload)
    delete = staticmethod(delete_upload)
    forget_completed = staticmethod(forget_completed)

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def find(self, bucket: str, key: str, upload_id: str) -> Upload | None:
        sql = "SELECT * FROM upload WHERE upload_id = ? AND bucket = ? AND key = ?"
        rows = await self._store.read(sql, upload_id, bucket, key)
        return upload_from(rows[0]) if rows else None

    async def parts(self, upload_id: str, after: int, limit: int) -> list[Part]:
        sql = "SELECT * FROM part WHERE upload_id = ? AND number > ? ORDER BY number LIMIT ?"
        return [part_from(row) for row in await self._store.read(sql, upload_id, after, limit)]

    async def open_in(self, bucket: str) -> list[Upload]:
        rows = await self._store.read("SELECT * FROM upload WHERE bucket = ? AND etag = ''", bucket)
        return [upload_from(row) for row in rows]

    def page(
        self, bucket: str, prefix: str, delimiter: str, after: str, after_upload: str, limit: int
    ) -> Awaitable[UploadPage]:
        return self._store.read_with(
            lambda db: read_upload_page(db, bucket, prefix, delimiter, after, after_upload, limit)
        )
