"""The databases of all roles as they were at one moment, while their roles go on writing.

For some milliseconds no role can commit: each database is locked against writers, then read snapshots of all
begin, then the locks are given back. What is copied afterwards, for however long, is of that moment (SQLite
manual: WAL mode, "read transactions"; Online Backup API).
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

LOCK_SECONDS = 30.0
PAGES = 4096  # copied at once


class BackupError(Exception):
    """It was not made, or cannot be used; the text says why."""


@contextlib.contextmanager
def moment(paths: Mapping[str, Path]) -> Iterator[tuple[float, Mapping[str, sqlite3.Connection]]]:
    """When it was (Unix time), and a connection for each database that sees it so. Raises BackupError."""
    with ExitStack() as stack:
        try:
            readers = {role: _opened(stack, path) for role, path in paths.items()}
            with ExitStack() as locked:
                for path in paths.values():
                    writer = _opened(locked, path)
                    writer.execute("BEGIN IMMEDIATE")  # ends when it is closed
                for reader in readers.values():
                    reader.execute("BEGIN")
                    reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
                at = time.time()
        except sqlite3.Error as error:
            raise BackupError(f"the databases cannot be read: {error}") from None
        yield at, readers


def copy_database(reader: sqlite3.Connection, target: Path) -> None:
    """As the reader sees it, whole, in one file. Raises BackupError."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy:
            reader.backup(copy, pages=PAGES)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a WAL beside it
            [answer] = copy.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"{target.name} was not copied: {error}") from None
    if answer != "ok":
        raise BackupError(f"{target.name} is damaged: {answer}")


def _opened(stack: ExitStack, path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None, timeout=LOCK_SECONDS)
    return stack.enter_context(contextlib.closing(db))
