"""The index of objects on SQLite: what `objects/index.py` promises, on the tables of the Walrus role."""

from collections.abc import Sequence

from euca_box.objects.index import Committed, Measure
from euca_box.objects.sqlite.buckets import SqliteBuckets
from euca_box.objects.sqlite.notices import SqliteNotices
from euca_box.objects.sqlite.scrub import SqliteScrub
from euca_box.objects.sqlite.uploads import SqliteUploads
from euca_box.objects.sqlite.versions import SqliteVersions
from euca_box.store.sqlite_store import SqliteStore
from euca_box.store.store import Row, Statement

_OF_KEY = (
    "SELECT COALESCE(SUM(size_bytes), 0) AS held FROM"
    " (SELECT size_bytes FROM object WHERE bucket = ? AND key = ?"
    " UNION ALL SELECT size_bytes FROM version WHERE bucket = ? AND key = ?)"
)
_OF_UPLOAD = "SELECT COALESCE(SUM(size_bytes), 0) AS held FROM part WHERE upload_id = ?"


class SqliteIndex:
    """An `ObjectIndex`. The store stays the caller's to close."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.versions = SqliteVersions(store)
        self.buckets = SqliteBuckets(store)
        self.uploads = SqliteUploads(store)
        self.scrub = SqliteScrub(store)
        self.notices = SqliteNotices(store)

    async def commit(self, changes: Sequence[Statement], measure: Measure | None = None) -> Committed:
        if measure is None:
            return _committed(await self._store.write(*changes))
        measured = [Statement(_OF_KEY, name * 2) for name in dict.fromkeys(measure.keys)]
        measured += [Statement(_OF_UPLOAD, (upload_id,)) for upload_id in measure.uploads]
        results = await self._store.write(*measured, *changes, *measured)
        count = len(measured)
        grown_bytes = _sum(results[-count:]) - _sum(results[:count])
        return _committed(results[count:-count])._replace(grown_bytes=grown_bytes)


def _sum(results: Sequence[Sequence[Row]]) -> int:
    return sum(rows[0]["held"] for rows in results)


def _committed(results: Sequence[Sequence[Row]]) -> Committed:
    """Which files were let go of is told by the rows that name one, other rows tell of a change."""
    released: dict[int, list[str]] = {}
    has_changed = False
    for rows in results:
        if not rows:
            continue
        if "file" not in rows[0].keys():  # noqa: SIM118 (a sqlite3.Row contains values)
            has_changed = True
            continue
        for row in rows:
            released.setdefault(row["generation"], []).append(row["file"])
    return Committed(released, has_changed)
