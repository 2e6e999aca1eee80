"""Page through the keys of a bucket. In the database's thread; TEXT is compared as UTF-8 bytes."""

import json
import sqlite3
from collections.abc import Iterator

from euca_box.objects.listing import Listed, Page, Scan, entries, successor

_COLUMNS = "key, size_bytes, etag, modified_ms, owner_id, owner_name, checksum, storage_class"


def read_page(
    db: sqlite3.Connection, bucket: str, prefix: str, delimiter: str, after: str, limit: int
) -> Page:
    """At most limit keys and prefixes beyond `after`. Empty strings: no prefix, delimiter, marker."""
    page = Page()
    if limit <= 0:
        return page
    if not delimiter:
        return _flat_page(db, bucket, prefix, after, limit)
    latest = ""
    for entry in entries(_scan(db, bucket), prefix, delimiter, after):
        if len(page) == limit:
            page.last = latest
            return page
        if isinstance(entry, str):
            page.prefixes.append(entry)
            latest = entry
        else:
            page.objects.append(Listed._make(entry))
            latest = entry[0]
    return page


def _flat_page(db: sqlite3.Connection, bucket: str, prefix: str, after: str, limit: int) -> Page:
    """A page without common prefixes: no more rows than it shows, as plain tuples."""
    start, inclusive = (prefix, True) if after < prefix else (after, False)
    end = successor(prefix)
    bounds = f"key {'>=' if inclusive else '>'} ?" + ("" if end is None else " AND key < ?")
    args = (bucket, start) if end is None else (bucket, start, end)
    sql = f"SELECT {_COLUMNS} FROM object WHERE bucket = ? AND {bounds} ORDER BY key LIMIT ?"  # noqa: S608
    # One row for all: for each row that sqlite3 steps to it lets go of Python's lock and waits for it again.
    joined = f"SELECT json_group_array(json_array({_COLUMNS})) FROM ({sql})"  # noqa: S608
    [text] = db.execute(joined, (*args, limit + 1)).fetchone()
    rows = list(map(Listed._make, json.loads(text)))
    return Page(rows[:limit], [], rows[limit - 1].key if len(rows) > limit else None)


def _scan(db: sqlite3.Connection, bucket: str) -> Scan:
    def scan(start: str, inclusive: bool, end: str | None) -> Iterator[sqlite3.Row]:
        sql = f"SELECT {_COLUMNS} FROM object WHERE bucket = ? AND key {'>=' if inclusive else '>'} ?"  # noqa: S608
        if end is None:
            return db.execute(sql + " ORDER BY key", (bucket, start))
        return db.execute(sql + " AND key < ? ORDER BY key", (bucket, start, end))

    return scan
