"""What must be true of an object for a change of it to happen: checked inside the change's own batch.

Source: S3 API reference, PutObject (If-Match, If-None-Match) and DeleteObject (If-Match,
x-amz-if-match-last-modified-time, x-amz-if-match-size).
"""

from dataclasses import dataclass

from euca_box.objects.rows import StoredObject
from euca_box.store.store import Statement, Value

_ROW = "bucket = ? AND key = ?"
_FITS = (
    "(? IN ('', '*') OR etag = ?) AND ? IN (-1, size_bytes) AND ? IN (-1, modified_ms / 1000)"
    " AND ? IN (-1, generation)"
)
# A delete marker is compared as an empty object is. What was never there may be deleted: it is gone.
_DELETE = (
    f"SELECT 1 AS fits WHERE EXISTS (SELECT 1 FROM object WHERE {_ROW} AND {_FITS})"  # noqa: S608
    f" OR (NOT EXISTS (SELECT 1 FROM object WHERE {_ROW})"
    f" AND (NOT EXISTS (SELECT 1 FROM version WHERE {_ROW})"
    f" OR EXISTS (SELECT 1 FROM (SELECT etag, size_bytes, modified_ms, generation FROM version WHERE {_ROW}"
    f" ORDER BY generation DESC LIMIT 1) WHERE {_FITS})))"
)


@dataclass(frozen=True, slots=True)
class Conditions:
    """`match` is an ETag that it must have, `none_match` one that it must not; "*" is any."""

    match: str | None = None
    none_match: str | None = None
    size_bytes: int | None = None
    modified_second: int | None = None
    generation: int | None = None

    def fit(self, stored: StoredObject) -> bool:
        """Do they hold for this version?"""
        return (
            self.match in (None, "*", stored.etag)
            and self.none_match not in ("*", stored.etag)
            and self.size_bytes in (None, stored.size_bytes)
            and self.modified_second in (None, stored.modified_ms // 1000)
            and self.generation in (None, stored.generation)
        )

    def for_put(self, bucket: str, key: str) -> list[Statement]:
        """Conflict unless the current version fits."""
        batch: list[Statement] = []
        if self.match is not None:
            sql = f"SELECT 1 AS fits FROM object WHERE {_ROW} AND (etag = ? OR ? = '*')"  # noqa: S608
            batch.append(Statement(sql, (bucket, key, self.match, self.match), expect=1))
        if self.none_match is not None:
            sql = (
                f"SELECT 1 AS fits WHERE NOT EXISTS (SELECT 1 FROM object WHERE {_ROW}"  # noqa: S608
                " AND (etag = ? OR ? = '*'))"
            )
            batch.append(Statement(sql, (bucket, key, self.none_match, self.none_match), expect=1))
        return batch

    def for_delete(self, bucket: str, key: str) -> list[Statement]:
        """Conflict unless the newest version fits; one that is not there does."""
        if self == NO_CONDITIONS:
            return []
        name = (bucket, key)
        numbers = (self.size_bytes, self.modified_second, self.generation)
        fits: tuple[Value, ...] = (
            self.match or "",
            self.match or "",
            *(-1 if number is None else number for number in numbers),
        )
        return [Statement(_DELETE, (*name, *fits, *name, *name, *name, *fits), expect=1)]


NO_CONDITIONS = Conditions()
