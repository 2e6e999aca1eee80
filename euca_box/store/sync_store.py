"""The same SQLite in place, without a thread: for roles simulated under trio's MockClock.

The clock of a simulation jumps while a thread works, so a simulated store must answer in place. The
rows are as real as on disk, and the object outlives the role, as a file would.
"""

import sqlite3
from pathlib import Path

from euca_box.store import engine
from euca_box.store.store import Row, Statement, StoreError, Value


class SyncStore:
    """A `Store` that answers at once. Works under trio and under asyncio."""

    def __init__(self, migrations: Path, path: str = ":memory:") -> None:
        self._db = sqlite3.connect(path)
        engine.prepare(self._db, path)
        engine.migrate(self._db, migrations, path)

    async def read(self, sql: str, *args: Value) -> list[Row]:
        return engine.read(self._db, sql, args)

    async def write(self, *batch: Statement) -> list[list[Row]]:
        [outcome] = engine.commit_group(self._db, [batch])
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Nothing: the rows stay for the next role that is built on them."""
