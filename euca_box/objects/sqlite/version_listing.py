"""Page through all versions of a bucket. Runs in the database's thread.

The current versions and the others are two tables, each in this order; SQLite merges them row by row.
"""

import json
import sqlite3
from collections.abc import Iterator
from itertools import chain

from euca_box.objects.index import WalkedVersion
from euca_box.objects.listing import Scan, entries
from euca_box.objects.rows import NULL_VERSION
from euca_box.objects.version_ids import generation_of
from euca_box.objects.version_listing import CURRENT, ListedVersion, VersionPage

_COLUMNS = (
    "key, generation, version_id, size_bytes, etag, modified_ms, owner_id, owner_name,"
    " checksum, storage_class"
)
_WALKED = "key, generation, version_id, size_bytes, modified_ms, tags"
_WALK_PAGE = 1000


def read_version_page(
    db: sqlite3.Connection,
    bucket: str,
    prefix: str,
    delimiter: str,
    after: str,
    after_version: str,
    limit: int,
) -> VersionPage:
    """At most limit versions and prefixes beyond that version of `after`. Raises InvalidArgument."""
    page, latest = VersionPage(), ("", "")
    if limit <= 0:
        return page
    rest: Iterator[sqlite3.Row] = iter(())
    if after_version and after.startswith(prefix):
        rest = _rest_of_key(db, bucket, after, after_version)
    newest = _newest(db, bucket, after) if after_version else 0
    key = ""
    for entry in chain(rest, entries(_scan(db, bucket), prefix, delimiter, after)):
        if len(page) == limit:
            page.last = latest
            return page
        if isinstance(entry, str):
            page.prefixes.append(entry)
            latest = (entry, "")
            continue
        is_latest = entry[0] != key and (entry[0] != after or entry[1] == newest)
        key = entry[0]
        page.versions.append(ListedVersion._make((*entry, is_latest)))
        latest = (entry[0], entry[2])
    return page


def _rest_of_key(db: sqlite3.Connection, bucket: str, key: str, version_id: str) -> Iterator[sqlite3.Row]:
    """The versions of one key that are older than the one named."""
    below = _generation(db, bucket, key, version_id)
    sql = (
        f"SELECT {_COLUMNS}, {CURRENT} AS kind FROM object WHERE bucket = ? AND key = ? AND generation < ?"  # noqa: S608
        f" UNION ALL SELECT {_COLUMNS}, marker FROM version WHERE bucket = ? AND key = ? AND generation < ?"
        " ORDER BY generation DESC"
    )
    return db.execute(sql, (bucket, key, below) * 2)


def _generation(db: sqlite3.Connection, bucket: str, key: str, version_id: str) -> int:
    if version_id != NULL_VERSION:
        return generation_of(version_id)
    sql = (
        "SELECT generation FROM object WHERE bucket = ? AND key = ? AND version_id = 'null'"
        " UNION ALL SELECT generation FROM version WHERE bucket = ? AND key = ? AND version_id = 'null'"
    )
    row = db.execute(sql, (bucket, key) * 2).fetchone()
    # A null version that went since the last page had others behind it: better twice than never.
    return int(row[0]) if row else 2**63 - 1


def _newest(db: sqlite3.Connection, bucket: str, key: str) -> int:
    sql = (
        "SELECT MAX(COALESCE((SELECT generation FROM object WHERE bucket = ? AND key = ?), 0),"
        " COALESCE((SELECT MAX(generation) FROM version WHERE bucket = ? AND key = ?), 0))"
    )
    return int(db.execute(sql, (bucket, key) * 2).fetchone()[0])


def _scan(db: sqlite3.Connection, bucket: str) -> Scan:
    def scan(start: str, inclusive: bool, end: str | None) -> Iterator[sqlite3.Row]:
        where = f"WHERE bucket = ? AND key {'>=' if inclusive else '>'} ?"
        args: tuple[str, ...] = (bucket, start)
        if end is not None:
            where, args = where + " AND key < ?", (*args, end)
        sql = (
            f"SELECT {_COLUMNS}, {CURRENT} AS kind FROM object {where}"  # noqa: S608
            f" UNION ALL SELECT {_COLUMNS}, marker FROM version {where} ORDER BY key, generation DESC"
        )
        return db.execute(sql, args * 2)

    return scan


def read_walk(db: sqlite3.Connection, bucket: str, key: str, generation: int) -> list[WalkedVersion]:
    """The next versions behind that one: the rest of its key, or of the keys beyond."""
    if generation:
        rest = _walked(db, "bucket = ? AND key = ? AND generation < ?", (bucket, key, generation))
        if rest:
            return rest
    return _walked(db, "bucket = ? AND key > ?", (bucket, key))


def _walked(db: sqlite3.Connection, where: str, args: tuple[str | int, ...]) -> list[WalkedVersion]:
    sql = (
        f"SELECT {_WALKED}, {CURRENT} AS kind FROM object WHERE {where} UNION ALL"  # noqa: S608
        f" SELECT {_WALKED}, marker FROM version WHERE {where}"
        f" ORDER BY key, generation DESC LIMIT {_WALK_PAGE}"
    )
    return [
        WalkedVersion(key, generation, version_id, size_bytes, modified_ms, json.loads(tags or "{}"), kind)
        for key, generation, version_id, size_bytes, modified_ms, tags, kind in db.execute(sql, args * 2)
    ]
