"""What both SQLite drivers do on a connection: pragmas, migrations, a group of batches as one commit.

Synchronous code: `sqlite_store` runs it in aiosqlite's thread, `sync_store` in place.
"""

import functools
import itertools
import os
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from euca_box.observe.failpoints import fp
from euca_box.store.store import Conflict, Row, Statement, StoreError, StoreFull, Value

WAL_BYTES = 64 << 20  # what a burst made of the WAL beyond that is given back

Batch = Sequence[Statement]
Outcome = list[list[Row]] | StoreError


def prepare(db: sqlite3.Connection, path: str) -> None:
    """WAL and synchronous=FULL, asserted: with NORMAL a power cut loses acknowledged commits."""
    db.row_factory = sqlite3.Row
    db.isolation_level = None
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA busy_timeout = 5000")
    if path != ":memory:":
        [mode] = db.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreError(f"{path}: the file system does not allow SQLite's WAL ({mode})")
    db.execute("PRAGMA synchronous = FULL")
    [level] = db.execute("PRAGMA synchronous").fetchone()
    if level != 2:
        raise StoreError(f"{path}: synchronous=FULL was not taken ({level})")


def leave_checkpoints(db: sqlite3.Connection) -> None:
    """To somebody else: commits of this connection make none."""
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")


def checkpoint(db: sqlite3.Connection) -> int:
    """Carry what the WAL holds into the database, as far as no reader needs it; nobody waits for it.

    Frames that the WAL then still begins with: 0 when all were carried and the next commit starts it anew
    (SQLite manual, PRAGMA wal_checkpoint).
    """
    _, written, carried = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return 0 if carried == written else int(written)


def check(db: sqlite3.Connection, path: str) -> None:
    """Refuse a damaged file instead of serving half of it (SQLite manual, PRAGMA quick_check)."""
    try:
        [answer] = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is damaged: {error}. Restore it from a backup.") from error
    if answer != "ok":
        raise StoreError(f"{path} is damaged: {answer}. Restore it from a backup.")


def migrate(db: sqlite3.Connection, folder: Path, path: str) -> None:
    """Apply 0001_*.sql, 0002_*.sql, ... that this file has not seen; user_version counts them."""
    [done] = db.execute("PRAGMA user_version").fetchone()
    scripts = sorted(folder.glob("[0-9]*.sql"))
    if done > len(scripts):
        raise StoreError(
            f"{path} was written by a newer euca-box (schema {done}, this version knows {len(scripts)}). "
            "Install that version again, or restore the backup made before the upgrade."
        )
    file = _file_of(db)
    if file is not None and 0 < done < len(scripts):
        _keep_copy(db, done, file)
    for number, script in enumerate(scripts, start=1):
        if not script.name.startswith(f"{number:04}_"):
            raise StoreError(f"migration {script.name} is out of order")
        if number > done:
            _apply(db, number, script.read_text())
            fp(f"store.migrate.after-{number:04}")
    if file is not None:
        _settle_copies(file)


def _file_of(db: sqlite3.Connection) -> Path | None:
    """None of one in memory (SQLite manual, PRAGMA database_list)."""
    name = next(row[2] for row in db.execute("PRAGMA database_list") if row[1] == "main")
    return Path(name) if name else None


UPGRADING = ".upgrading"


def _keep_copy(db: sqlite3.Connection, done: int, file: Path) -> None:
    """The database as it was, beside it. Until the upgrade is through it has UPGRADING behind its name: after
    a kill in the middle there are several, and the first is the one that the older version wrote."""
    copy, fresh = (
        file.with_name(f"{file.name}.schema-{done:04}{UPGRADING}"),
        file.with_name(f"{file.name}.copying"),
    )
    if copy.exists():
        return
    fresh.unlink(missing_ok=True)
    try:
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        db.execute("VACUUM INTO ?", (str(fresh),))
    except (sqlite3.Error, OSError) as error:
        fresh.unlink(missing_ok=True)
        text = f"{file} is not upgraded: a copy of it cannot be kept ({error}). Make room, start again."
        raise StoreError(text) from error
    fresh.replace(copy)


def _settle_copies(file: Path) -> None:
    """Of an upgrade that is through: FILE.schema-N, as the older version wrote it, and no earlier one."""
    made = sorted(file.parent.glob(f"{file.name}.schema-*{UPGRADING}"))
    if not made:
        return
    for earlier in file.parent.glob(f"{file.name}.schema-????"):
        earlier.unlink()
    made[0].replace(made[0].with_name(made[0].name.removesuffix(UPGRADING)))
    for copy in made[1:]:
        copy.unlink()


def _apply(db: sqlite3.Connection, number: int, script: str) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement in re.split(r";\s*\n", script):
            if statement.strip():
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {number}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def read(db: sqlite3.Connection, sql: str, args: Sequence[Value]) -> list[Row]:
    try:
        return db.execute(sql, args).fetchall()
    except sqlite3.Error as error:
        raise StoreError(str(error)) from error


def commit_group(db: sqlite3.Connection, batches: Sequence[Batch]) -> list[Outcome]:
    """Many batches, one fsync; a refused one harms no other."""
    try:
        db.execute("BEGIN IMMEDIATE")
        outcomes = _in_a_row(db, batches)
        if outcomes is None:
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            outcomes = [_in_savepoint(db, batch) for batch in batches]
        db.execute("COMMIT")
    except sqlite3.Error as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        failed = _translated(error)
        return [failed for _ in batches]
    return outcomes


def _in_a_row(db: sqlite3.Connection, batches: Sequence[Batch]) -> list[Outcome] | None:
    """Without savepoints, which cost as much as statements; None when a refused batch left something."""
    if all(len(batch) == 1 and _is_plain(batch[0]) for batch in batches):
        return _at_once(db, [batch[0] for batch in batches])
    outcomes: list[Outcome] = []
    for batch in batches:
        results: list[list[Row]] = []
        try:
            results.extend(_run(db, statement) for statement in batch)  # keeps what came before an error
        except _REFUSALS as error:
            if results or not _is_without_effect(error):
                return None
            outcomes.append(_refusal(error))
        else:
            outcomes.append(results)
    return outcomes


_PLAIN = re.compile(r"INSERT INTO \w+ \([\w, ]+\) VALUES (\((?:\?, )*\?\))")


def _is_plain(statement: Statement) -> bool:
    return statement.expect is None and _row_of(statement.sql) is not None


@functools.lru_cache(256)
def _row_of(sql: str) -> str | None:
    """`(?, ?, ?)` of an INSERT of one row."""
    found = _PLAIN.fullmatch(sql)
    return found and found[1]


def _at_once(db: sqlite3.Connection, rows: Sequence[Statement]) -> list[Outcome] | None:
    """Rows of many callers by few statements: after each the thread waits for its turn at the interpreter.

    A statement takes 32,766 values (SQLite manual, Limits), far more than a group has. None when a row was
    refused.
    """
    for sql, same in itertools.groupby(sorted(rows, key=_sql), key=_sql):
        values = [statement.args for statement in same]
        marks = ", ".join([str(_row_of(sql))] * (len(values) - 1))
        try:
            db.execute(f"{sql}, {marks}" if marks else sql, [*itertools.chain(*values)])
        except sqlite3.IntegrityError:
            return None
    return [[[]] for _ in rows]


def _sql(statement: Statement) -> str:
    return statement.sql


def _in_savepoint(db: sqlite3.Connection, batch: Batch) -> Outcome:
    db.execute("SAVEPOINT batch")
    try:
        results = [_run(db, statement) for statement in batch]
    except _REFUSALS as error:
        db.execute("ROLLBACK TO batch")
        db.execute("RELEASE batch")
        return _refusal(error)
    db.execute("RELEASE batch")
    return results


_REFUSALS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, Conflict)


class _Miscounted(Conflict):
    """`touched` rows were, and stay, changed."""

    def __init__(self, statement: Statement, touched: int) -> None:
        super().__init__(f"{touched} rows instead of {statement.expect}: {statement.sql}")
        self.touched = touched


def _is_without_effect(error: Exception) -> bool:
    """A statement that breaks a constraint is undone by SQLite itself (manual, ON CONFLICT: ABORT)."""
    return not isinstance(error, _Miscounted) or not error.touched


def _refusal(error: Exception) -> Conflict:
    return error if isinstance(error, Conflict) else Conflict(str(error))


def _run(db: sqlite3.Connection, statement: Statement) -> list[Row]:
    cursor = db.execute(statement.sql, statement.args)
    if cursor.description:
        rows: list[Row] = cursor.fetchall()
        touched = len(rows)
    else:
        rows, touched = [], cursor.rowcount
    if statement.expect is not None and touched != statement.expect:
        raise _Miscounted(statement, touched)
    return rows


def _translated(error: sqlite3.Error) -> StoreError:
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return StoreFull("the disk that holds the database is full")
    return StoreError(str(error))
