"""Putting a backup back: verified first, never under a cloud that runs, and again after a kill in the middle.

A marker says that it was begun; while it is there no cloud starts on the data directory. What the backup
replaces is moved aside, into DATA_DIR/replaced-NAME.
"""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from euca_box.backup.contents import Contents, Entry, blocks_of, digest_of, make_private
from euca_box.backup.creating import verify
from euca_box.backup.places import Bucket, Folder
from euca_box.backup.point import BackupError
from euca_box.config import ROLES
from euca_box.datadir import DataDir
from euca_box.observe.failpoints import fp

MARKER = "restoring.json"
ETC = "etc/"


def restore(
    data: DataDir, place: Folder | Bucket, contents: Contents, *, replace: bool, say: Callable[[str], None]
) -> Path | None:
    """Where what was there is now, if anything was. The caller has the lock. Raises BackupError, OSError."""
    begun = data.read_json(MARKER)
    if begun and begun["name"] != contents.name:
        raise BackupError(f"a restore of {begun['name']} was begun: finish that one first")
    if not begun and not replace and any((data.path / role / f"{role}.db").exists() for role in ROLES):
        raise BackupError(f"{data.path} has a cloud already: --replace moves it aside")
    verify(place, contents, say)
    data.write_json(MARKER, {"name": contents.name})
    fp("backup.restore.after-marker")
    aside = data.path / f"replaced-{contents.name}"
    _move_databases_aside(data, contents, aside)
    for entry in contents.entries:
        if not entry.path.startswith(ETC):
            _put(data, place, contents, entry, aside)
            fp("backup.restore.after-file")
    for folder in {(data.path / e.path).parent for e in contents.entries if not e.path.startswith(ETC)}:
        _sync_folder(folder)
    (data.path / MARKER).unlink()
    _sync_folder(data.path)
    return aside if aside.exists() else None


def check_not_begun(data: DataDir) -> None:
    """Raises BackupError while a restore is half done."""
    if found := data.read_json(MARKER):
        raise BackupError(f"a restore of {found['name']} into {data.path} was not finished. Run it again.")


def _move_databases_aside(data: DataDir, contents: Contents, aside: Path) -> None:
    """With their WAL, which belongs to them and is moved first: a new database must not meet an old one's."""
    entries = {entry.path: entry for entry in contents.entries}
    for role in ROLES:
        for name in (f"{role}.db-wal", f"{role}.db-shm", f"{role}.db"):
            path, kept = data.path / role / name, aside / role / name
            restored = entries.get(f"{role}/{name}")
            if path.exists() and not kept.exists() and not (restored and _is_same(path, restored)):
                _move(path, kept)


def _put(data: DataDir, place: Folder | Bucket, contents: Contents, entry: Entry, aside: Path) -> None:
    target = data.path / entry.path
    if target.exists() and _is_same(target, entry):
        return
    make_private(target.parent)
    fresh = target.with_name(f"{target.name}.restored")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        for block in place.read(contents.name, entry.path):
            if block.count(0) == len(block):
                file.seek(len(block), os.SEEK_CUR)
            else:
                file.write(block)
        file.truncate(entry.size_bytes)
        file.flush()
        os.fchmod(file.fileno(), entry.mode)
        os.fsync(file.fileno())
    if not _is_same(fresh, entry):
        raise BackupError(f"{entry.path} changed while it was restored")
    if target.exists() and not (aside / entry.path).exists():
        _move(target, aside / entry.path)
    fresh.replace(target)


def _is_same(path: Path, entry: Entry) -> bool:
    if path.stat().st_size != entry.size_bytes:
        return False
    return digest_of(blocks_of(path)) == (entry.sha256, entry.size_bytes)


def _move(path: Path, kept: Path) -> None:
    make_private(kept.parent)
    path.replace(kept)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
