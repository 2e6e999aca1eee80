"""The door to a role's rows: what every store promises, whichever database is behind it.

    rows = await store.read("SELECT * FROM image WHERE owner = ?", account)
    [[row]] = await store.write(Statement("UPDATE ... RETURNING ...", args, expect=1), ...)

A batch given to `write` is one transaction: all of it is committed, durable, when write returns,
or none of it. SQL stays in the subset that SQLite and PostgreSQL share. Never await the bus between
a read and the write that depends on it: put the condition into the statement (`expect`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Value = None | int | float | str | bytes
Row = Mapping[str, Any]


class StoreError(Exception):
    """The database refused or vanished. The outcome of a write is unknown: read again."""


class StoreFull(StoreError):
    """No room for a new row. What is there can still be read."""


class Conflict(StoreError):
    """A statement did not touch as many rows as it expected, or a unique row is already there."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement of a batch. `expect` rows must be changed or returned, else Conflict."""

    sql: str
    args: tuple[Value, ...] = ()
    expect: int | None = None


class Store(Protocol):
    async def read(self, sql: str, *args: Value) -> list[Row]:
        """Rows of a SELECT. Sees every write that has returned."""

    async def write(self, *batch: Statement) -> list[list[Row]]:
        """Commit the batch as one transaction; for each statement the rows it returned.

        Raises Conflict (nothing of this batch is kept, other writers are not disturbed), StoreFull,
        StoreError.
        """

    async def close(self) -> None: ...


def insert(table: str, values: Mapping[str, Value], *, or_replace: bool = False) -> Statement:
    """INSERT of one row. With or_replace the row of the same key is replaced."""
    columns = ", ".join(values)
    marks = ", ".join("?" * len(values))
    verb = "INSERT OR REPLACE" if or_replace else "INSERT"
    # Table and column names come from our own code, never from a request.
    return Statement(f"{verb} INTO {table} ({columns}) VALUES ({marks})", tuple(values.values()))


def one(rows: Sequence[Row]) -> Row | None:
    return rows[0] if rows else None
