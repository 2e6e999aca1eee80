"""Notices that wait, in SQLite: in their order for each target."""

from collections.abc import Iterable, Mapping
from typing import Any

from euca_box.model.notifications import Cause, Notice
from euca_box.store.sqlite_store import SqliteStore
from euca_box.store.store import Row, Statement

_COLUMNS = (  # the fields of Notice and Cause, in their order
    "target, sequence, event, rule_id, bucket, owner, at_ms, key, etag, size_bytes, version_id, sequencer,"
    " principal, source_ip, request_id"
)
_PUT = f"INSERT INTO notice ({_COLUMNS}) VALUES ({', '.join('?' * 15)})"  # noqa: S608
_NEXT = f"SELECT {_COLUMNS} FROM notice WHERE target = ? ORDER BY sequence LIMIT ?"  # noqa: S608


def put_notices(notices: Iterable[Notice]) -> list[Statement]:
    return [Statement(_PUT, (*notice[:-1], *notice.cause)) for notice in notices]


def delete_notices(notices: Iterable[Notice]) -> list[Statement]:
    by_target: dict[str, list[int]] = {}
    for notice in notices:
        by_target.setdefault(notice.target, []).append(notice.sequence)
    return [
        Statement(
            f"DELETE FROM notice WHERE target = ? AND sequence IN ({', '.join('?' * len(numbers))})",  # noqa: S608
            (target, *numbers),
        )
        for target, numbers in by_target.items()
    ]


class SqliteNotices:
    """A `NoticeIndex`."""

    put = staticmethod(put_notices)
    delete = staticmethod(delete_notices)

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def next(self, target: str, limit: int) -> list[Notice]:
        return [_notice(row) for row in await self._store.read(_NEXT, target, limit)]

    async def waiting(self) -> Mapping[str, int]:
        rows = await self._store.read("SELECT owner, COUNT(*) AS waiting FROM notice GROUP BY owner")
        return {row["owner"]: row["waiting"] for row in rows}

    async def targets(self) -> set[str]:
        return {row["target"] for row in await self._store.read("SELECT DISTINCT target FROM notice")}

    async def newest(self) -> int:
        [row] = await self._store.read("SELECT COALESCE(MAX(sequence), 0) AS newest FROM notice")
        return int(row["newest"])


def _notice(row: Row) -> Notice:
    values: tuple[Any, ...] = tuple(row)  # a sqlite3.Row is a sequence of its values
    return Notice._make((*values[:-3], Cause._make(values[-3:])))
