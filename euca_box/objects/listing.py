"""Page through the keys of a bucket, with common prefixes, by seeking past each of them.

Keys are compared as UTF-8 bytes: SQLite does so for TEXT (BINARY collation), S3 wants so. Runs in the
database's thread.
"""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_COLUMNS = "key, size_bytes, etag, modified_ms, owner_id, owner_name, checksum, storage_class"
# Rows that begin with their key, in its order: from a key, inclusive or not, to a key that is not.
Scan = Callable[[str, bool, str | None], Iterator[sqlite3.Row]]


class Listed(NamedTuple):
    """What a listing shows of an object: as the row is, for there are a thousand on a page."""

    key: str
    size_bytes: int
    etag: str
    modified_ms: int
    owner_id: str
    owner_name: str
    checksum: str
    storage_class: str


@dataclass(slots=True)
class Page:
    """`last` is the key or prefix that the next page begins after; set when there is a next page."""

    objects: list[Listed] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    last: str | None = None

    @property
    def truncated(self) -> bool:
        return self.last is not None

    def __len__(self) -> int:
        return len(self.objects) + len(self.prefixes)


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
    cursor = db.cursor()
    cursor.row_factory = None
    rows = list(map(Listed._make, cursor.execute(sql, (*args, limit + 1)).fetchall()))
    return Page(rows[:limit], [], rows[limit - 1].key if len(rows) > limit else None)


def entries(scan: Scan, prefix: str, delimiter: str, after: str) -> Iterator[sqlite3.Row | str]:
    """Rows, and common prefixes as text, beyond `after`."""
    start, inclusive = (prefix, True) if after < prefix else (after, False)
    if delimiter and after.startswith(prefix) and after.endswith(delimiter) and len(after) > len(prefix):
        # The last page ended with this common prefix: nothing below it again.
        start, inclusive = successor(after) or "", True
        if not start:
            return
    end = successor(prefix)
    while True:
        seek = None
        for row in scan(start, inclusive, end):
            at = row[0].find(delimiter, len(prefix)) if delimiter else -1
            if at < 0:
                yield row
                continue
            common = row[0][: at + len(delimiter)]
            yield common
            seek = successor(common)
            break
        if seek is None:
            return
        start, inclusive = seek, True


def _scan(db: sqlite3.Connection, bucket: str) -> Scan:
    def scan(start: str, inclusive: bool, end: str | None) -> Iterator[sqlite3.Row]:
        sql = f"SELECT {_COLUMNS} FROM object WHERE bucket = ? AND key {'>=' if inclusive else '>'} ?"  # noqa: S608
        if end is None:
            return db.execute(sql + " ORDER BY key", (bucket, start))
        return db.execute(sql + " AND key < ? ORDER BY key", (bucket, start, end))

    return scan


def successor(prefix: str) -> str | None:
    """The first string, in UTF-8 order, beyond all that begin with prefix; None when there is none."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            following = 0xE000 if last == 0xD7FF else last + 1  # surrogates are no characters
            return prefix[:-1] + chr(following)
        prefix = prefix[:-1]
    return None
