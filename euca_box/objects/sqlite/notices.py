"""Notices that wait, in SQLite: in their order for each target."""

from collections.abc import Iterable, Mapping

from euca_box.model.notifications import Cause, Notice
from euca_box.store.sqlite_store import SqliteStore
from euca_box.store.store import Row, Statement

_PUT = (
    "INSERT INTO notice (target, sequence, event, rule_id, bucket, owner, at_ms, key, etag, size_bytes,"
    " version_id, sequencer, principal, source_ip, request_id)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def put_notices(notices: Iterable[Notice]) -> list[Statement]:
    return [
        Statement(
            _PUT,
            (
                notice.target,
                notice.sequence,
                notice.event,
                notice.rule_id,
                notice.bucket,
                notice.owner,
                notice.at_ms,
                notice.key,
                notice.etag,
                notice.size_bytes,
                notice.version_id,
                notice.sequencer,
                notice.cause.principal,
                notice.cause.source_ip,
                notice.cause.request_id,
            ),
        )
        for notice in notices
    ]


def delete_notices(notices: Iterable[Notice]) -> list[Statement]:
    sql = "DELETE FROM notice WHERE target = ? AND sequence = ?"
    return [Statement(sql, (notice.target, notice.sequence)) for notice in notices]


class SqliteNotices:
    """A `NoticeIndex`."""

    put = staticmethod(put_notices)
    delete = staticmethod(delete_notices)

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def next(self, target: str, limit: int) -> list[Notice]:
        sql = "SELECT * FROM notice WHERE target = ? ORDER BY sequence LIMIT ?"
        return [_notice(row) for row in await self._store.read(sql, target, limit)]

    async def waiting(self) -> Mapping[str, int]:
        rows = await self._store.read("SELECT owner, COUNT(*) AS waiting FROM notice GROUP BY owner")
        return {row["owner"]: row["waiting"] for row in rows}

    async def targets(self) -> set[str]:
        return {row["target"] for row in await self._store.read("SELECT DISTINCT target FROM notice")}

    async def newest(self) -> int:
        [row] = await self._store.read("SELECT COALESCE(MAX(sequence), 0) AS newest FROM notice")
        return int(row["newest"])


def _notice(row: Row) -> Notice:
    return Notice(
        target=row["target"],
        event=row["event"],
        rule_id=row["rule_id"],
        bucket=row["bucket"],
        owner=row["owner"],
        at_ms=row["at_ms"],
        key=row["key"],
        etag=row["etag"],
        size_bytes=row["size_bytes"],
        version_id=row["version_id"],
        sequencer=row["sequencer"],
        cause=Cause(row["principal"], row["source_ip"], row["request_id"]),
        sequence=row["sequence"],
    )
