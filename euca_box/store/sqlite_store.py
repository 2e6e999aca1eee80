"""SQLite through aiosqlite, in asyncio: one writer with group commit, one reader.

The only importer of aiosqlite. While one commit syncs, the next batches gather in a queue; the
writer, in aiosqlite's thread, takes them all and commits once: twelve times the rate of a commit each, with
the same promise. `_execute` is private to aiosqlite but the only way
with one thread hop for a whole transaction, so the version is bounded in pyproject.toml.
"""

import asyncio
import contextlib
import os
import sqlite3
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import aiosqlite

from euca_box.store import engine
from euca_box.store.store import Row, Statement, StoreError, Value

T = TypeVar("T")
_Waiting = tuple[tuple[Statement, ...], asyncio.Future[list[list[Row]]]]

GROUP = 256  # batches in one commit; more would only delay the first of them
CHECKPOINT_SECONDS = 0.25
LONG_WAL_FRAMES = 4096  # of 4 KiB


class SqliteStore:
    """A `Store` for asyncio. Open with `open_store`."""

    def __init__(
        self,
        writer: aiosqlite.Connection,
        reader: aiosqlite.Connection,
        checkpointer: sqlite3.Connection,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._checkpointer = checkpointer
        self._is_wal_long = False
        self._written, self._closed = asyncio.Event(), asyncio.Event()
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._write_waiting())
        self._checkpoints = self._loop.create_task(self._checkpoint_now_and_then())

    async def read(self, sql: str, *args: Value) -> list[Row]:
        return await self.read_with(lambda db: engine.read(db, sql, args))

    async def read_with(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run function(connection) on the reader, in its thread: for loops that page through an index."""
        try:
            result: T = await self._reader._execute(function, self._reader._conn)  # type: ignore[no-untyped-call]
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error
        return result

    async def write(self, *batch: Statement) -> list[list[Row]]:
        return await self.submit(*batch)

    def submit(self, *batch: Statement) -> asyncio.Future[list[list[Row]]]:
        """As `write`; it is under way when this returns. Raises StoreError."""
        if self._closing:
            raise StoreError("the store is closed")
        done: asyncio.Future[list[list[Row]]] = self._loop.create_future()
        self._waiting.append((batch, done))
        self._wake.set()
        return done

    async def backup(self, path: Path) -> None:
        """A consistent copy while others go on writing (SQLite manual, VACUUM INTO)."""
        await self.read_with(lambda db: db.execute("VACUUM INTO ?", (str(path),)))

    async def close(self) -> None:
        """Commit what waits, then close both connections."""
        self._closing = True
        self._wake.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._written.set()
        self._closed.set()
        await self._checkpoints
        self._checkpointer.close()
        await self._reader.close()
        await self._writer.close()

    async def _write_waiting(self) -> None:
        """Have the thread write until nothing waits, and again when something does."""
        while self._waiting or not self._closing:
            if not self._waiting:
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._writer._execute(self._drain, self._writer._conn)  # type: ignore[no-untyped-call]

    def _drain(self, db: sqlite3.Connection) -> None:
        """In the thread: group after group, what has come until then. It does not go back to the loop between
        two, which may be at work for longer than a commit takes."""
        while self._waiting:
            if self._is_wal_long:
                self._is_wal_long = False
                with contextlib.suppress(sqlite3.Error):
                    engine.checkpoint(db)
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), GROUP))]
            try:
                outcomes = engine.commit_group(db, [batch for batch, _ in group])
            except Exception as error:
                outcomes = [StoreError(str(error))] * len(group)
            self._loop.call_soon_threadsafe(self._tell, group, outcomes)

    def _tell(self, group: list[_Waiting], outcomes: list[engine.Outcome]) -> None:
        self._written.set()
        for (_, done), outcome in zip(group, outcomes, strict=True):
            if done.done():  # the caller was cancelled; the rows are committed all the same
                continue
            if isinstance(outcome, StoreError):
                done.set_exception(outcome)
            else:
                done.set_result(outcome)

    async def _checkpoint_now_and_then(self) -> None:
        """Beside the writer: a commit that did it by itself, as SQLite's do, would take twenty times as long.

        While others go on writing some frames are always left; the writer carries these when the WAL is long.
        """
        while not self._closed.is_set():
            await self._written.wait()
            self._written.clear()
            with contextlib.suppress(sqlite3.Error):  # a full disk: the next commit tells it
                frames = await asyncio.to_thread(engine.checkpoint, self._checkpointer)
                self._is_wal_long = frames > LONG_WAL_FRAMES
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), CHECKPOINT_SECONDS)


async def open_store(path: Path, migrations: Path) -> SqliteStore:
    """Open or create the database file, bring its schema up to date. Raises StoreError with the reason."""
    writer = await aiosqlite.connect(path, isolation_level=None)
    try:
        os.chmod(path, 0o600)
        await writer._execute(_opened, writer._conn, str(path), migrations)  # type: ignore[no-untyped-call]
    except sqlite3.Error as error:
        await writer.close()
        raise StoreError(f"{path}: {error}") from error
    except BaseException:
        await writer.close()
        raise
    reader = await aiosqlite.connect(path, isolation_level=None)
    await reader._execute(engine.prepare, reader._conn, str(path))  # type: ignore[no-untyped-call]
    await writer._execute(engine.leave_checkpoints, writer._conn)  # type: ignore[no-untyped-call]
    checkpointer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    engine.prepare(checkpointer, str(path))
    return SqliteStore(writer, reader, checkpointer)


def _opened(db: sqlite3.Connection, path: str, migrations: Path) -> None:
    engine.check(db, path)
    engine.prepare(db, path)
    engine.migrate(db, migrations, path)
