"""The databases: whole, and of a version that this program knows."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from euca_box.config import ROLES
from euca_box.model.findings import Finding, fail, ok

if TYPE_CHECKING:
    from euca_box.doctor.examination import Host

RESTORE = "Stop the cloud and restore a backup: euca-box backup list; euca-box backup restore."


def databases(host: "Host", fix: bool) -> Iterator[Finding]:
    for role, path in _paths(host):
        if not path.exists():
            if (host.data.path / "initialised.json").exists() and role == "clc":
                yield fail("database", f"{path} is missing, but the cloud was initialised", RESTORE)
            continue
        try:
            answer = _ask(path, "PRAGMA quick_check(1)")
        except sqlite3.Error as error:
            answer = str(error)
        if answer == "ok":
            yield ok("database", f"{role}: whole")
        else:
            yield fail("database", f"{path} is damaged: {answer}", RESTORE)


def schema(host: "Host", fix: bool) -> Iterator[Finding]:
    for role, path in _paths(host):
        known = len(list((Path(__file__).parent.parent / "roles" / role / "migrations").glob("[0-9]*.sql")))
        with contextlib.suppress(sqlite3.Error):
            if path.exists() and int(_ask(path, "PRAGMA user_version")) > known:
                text = f"{path} was written by a newer euca-box"
                yield fail("schema", text, "Install that version again, or restore a backup of this one.")


def _paths(host: "Host") -> Iterator[tuple[str, Path]]:
    for role in ROLES:
        yield role, host.data.path / role / f"{role}.db"


def _ask(path: Path, sql: str) -> str:
    """Of a database that may be in use: read, and nothing written."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as db:
        return str(db.execute(sql).fetchone()[0])
