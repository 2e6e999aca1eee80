"""Conditions of a change as statements of its batch."""

from euca_box.objects.conditions import NO_CONDITIONS, Conditions
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


def for_put(conditions: Conditions, bucket: str, key: str) -> list[Statement]:
    """Conflict unless the current version fits."""
    batch: list[Statement] = []
    if conditions.match is not None:
        sql = f"SELECT 1 AS fits FROM object WHERE {_ROW} AND (etag = ? OR ? = '*')"  # noqa: S608
        batch.append(Statement(sql, (bucket, key, conditions.match, conditions.match), expect=1))
    if conditions.none_match is not None:
        sql = (
            f"SELECT 1 AS fits WHERE NOT EXISTS (SELECT 1 FROM object WHERE {_ROW}"  # noqa: S608
            " AND (etag = ? OR ? = '*'))"
        )
        batch.append(Statement(sql, (bucket, key, conditions.none_match, conditions.none_match), expect=1))
    return batch


def for_delete(conditions: Conditions, bucket: str, key: str) -> list[Statement]:
    """Conflict unless the newest version fits; one that is not there does."""
    if conditions == NO_CONDITIONS:
        return []
    name = (bucket, key)
    numbers = (conditions.size_bytes, conditions.modified_second, conditions.generation)
    fits: tuple[Value, ...] = (
        conditions.match or "",
        conditions.match or "",
        *(-1 if number is None else number for number in numbers),
    )
    return [Statement(_DELETE, (*name, *fits, *name, *name, *name, *fits), expect=1)]
