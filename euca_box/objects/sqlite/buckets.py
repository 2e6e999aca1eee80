"""Buckets and their settings in SQLite."""

from collections.abc import Mapping
from typing import Any, Literal

from euca_box.objects.rows import Bucket, bucket_from, owner_values
from euca_box.objects.settings import read_setting, setting_name, write_setting
from euca_box.store.sqlite_store import SqliteStore
from euca_box.store.store import Statement, Value, insert


def put_bucket(bucket: Bucket) -> list[Statement]:
    owner, owner_id, owner_name = owner_values(bucket.owner)
    row: dict[str, Value] = {
        "name": bucket.name,
        "owner": owner,
        "owner_id": owner_id,
        "owner_name": owner_name,
        "created_ms": bucket.created_ms,
        "location": bucket.location,
        "acl": bucket.acl.value,
        "versioning": bucket.versioning,
        "object_lock": bucket.object_lock.as_text() if bucket.object_lock else "",
    }
    return [insert("bucket", row), *(_put_setting(bucket.name, value) for value in bucket.settings.values())]


def delete_bucket(name: str) -> list[Statement]:
    """Uploads end with the bucket; a version in it makes the batch fail (foreign key)."""
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


def change_bucket(
    name: str, field: Literal["acl", "versioning", "object_lock"], value: str
) -> list[Statement]:
    return [Statement(f"UPDATE bucket SET {field} = ? WHERE name = ?", (value, name), expect=1)]  # noqa: S608


def put_setting(name: str, value: Any) -> list[Statement]:
    return [_is_there(name), _put_setting(name, value)]


def delete_setting(name: str, kind: type) -> list[Statement]:
    sql = "DELETE FROM bucket_setting WHERE bucket = ? AND name = ?"
    return [_is_there(name), Statement(sql, (name, setting_name(kind)))]


def _is_there(name: str) -> Statement:
    return Statement("SELECT 1 AS seen FROM bucket WHERE name = ?", (name,), expect=1)


def _put_setting(name: str, value: Any) -> Statement:
    row = {"bucket": name, "name": setting_name(type(value)), "document": write_setting(value)}
    return insert("bucket_setting", row, or_replace=True)


class SqliteBuckets:
    """A `BucketIndex`."""

    put = staticmethod(put_bucket)
    delete = staticmethod(delete_bucket)
    change = staticmethod(change_bucket)
    put_setting = staticmethod(put_setting)
    delete_setting = staticmethod(delete_setting)

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def all(self) -> list[Bucket]:
        settings: dict[str, dict[type, Any]] = {}
        for row in await self._store.read("SELECT * FROM bucket_setting"):
            kind, value = read_setting(row["name"], row["document"])
            settings.setdefault(row["bucket"], {})[kind] = value
        rows = await self._store.read("SELECT * FROM bucket")
        return [bucket_from(row, settings.get(row["name"], {})) for row in rows]

    async def find(self, name: str) -> Bucket | None:
        rows = await self._store.read("SELECT * FROM bucket WHERE name = ?", name)
        documents = await self._store.read("SELECT * FROM bucket_setting WHERE bucket = ?", name)
        settings: Mapping[type, Any] = dict(read_setting(row["name"], row["document"]) for row in documents)
        return bucket_from(rows[0], settings) if rows else None
