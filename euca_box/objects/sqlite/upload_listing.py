"""Page through the open uploads of a bucket. Runs in the database's thread."""

import sqlite3
from collections.abc import Iterator
from itertools import chain

from euca_box.objects.listing import Scan, entries
from euca_box.objects.rows import upload_from
from euca_box.objects.upload_listing import UploadPage

_OPEN = "SELECT key AS name, * FROM upload WHERE bucket = ? AND etag = ''"


def read_upload_page(
    db: sqlite3.Connection,
    bucket: str,
    prefix: str,
    delimiter: str,
    after: str,
    after_upload: str,
    limit: int,
) -> UploadPage:
    """At most limit uploads and prefixes beyond that upload of `after`; without one, beyond the key."""
    page, latest = UploadPage(), ("", "")
    if limit <= 0:
        return page
    rest: Iterator[sqlite3.Row] = iter(())
    if after_upload and after.startswith(prefix):
        sql = f"{_OPEN} AND key = ? AND upload_id > ? ORDER BY upload_id"
        rest = db.execute(sql, (bucket, after, after_upload))
    for entry in chain(rest, entries(_scan(db, bucket), prefix, delimiter, after)):
        if len(page) == limit:
            page.last = latest
            return page
        if isinstance(entry, str):
            page.prefixes.append(entry)
            latest = (entry, "")
        else:
            page.uploads.append(upload_from(dict(entry)))
            latest = (entry["key"], entry["upload_id"])
    return page


def _scan(db: sqlite3.Connection, bucket: str) -> Scan:
    def scan(start: str, inclusive: bool, end: str | None) -> Iterator[sqlite3.Row]:
        sql, args = f"{_OPEN} AND key {'>=' if inclusive else '>'} ?", (bucket, start)
        if end is None:
            return db.execute(f"{sql} ORDER BY key, upload_id", args)
        return db.execute(f"{sql} AND key < ? ORDER BY key, upload_id", (*args, end))

    return scan
