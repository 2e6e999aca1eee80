"""Making a backup: databases of one moment, keys and lists, and what is asked for beside them; then reading
it all again to see that it is what was written.

Files of objects never change and have names of their own, so that those of the moment are there as long as
nothing is removed; who makes a backup with objects has the cloud hold removals meanwhile.
"""

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import euca_box
from euca_box.backup.contents import Contents, Entry, copy_file, digest_of
from euca_box.backup.places import Bucket, Folder
from euca_box.backup.point import BackupError, copy_database, moment
from euca_box.config import ROLES
from euca_box.datadir import DataDir

CONFIG_FOLDER = Path("/etc/euca-box")
LEFT_OUT = {".lock", "restoring.json"}
SMALL_FILES = ("*.pem", "*.key", "*.json", "*.toml")


@dataclass(frozen=True)
class Order:
    """`say` hears what is done now."""

    data: DataDir
    host: str
    objects: bool = False
    volumes: bool = False
    say: Callable[[str], None] = lambda text: None


def create(order: Order, place: Folder | Bucket) -> Contents:
    """Raises BackupError, OSError. What was begun and not finished is removed."""
    if order.volumes and isinstance(place, Bucket):
        raise BackupError("volumes go to a folder only: most of them is holes, which S3 would store")
    paths = {role: p for role in ROLES if (p := order.data.path / role / f"{role}.db").exists()}
    if not paths:
        raise BackupError(f"{order.data.path} has no databases")
    name = f"euca-box-{order.host}-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    staging = place.staging(name) if isinstance(place, Folder) else order.data.path / "backups" / f".{name}"
    staging.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        contents = _made(order, place, name, staging, paths)
        verify(place, contents, order.say)
        place.finish(contents)
    except BaseException:
        place.remove(name)
        raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return contents


def verify(
    place: Folder | Bucket, contents: Contents, say: Callable[[str], None] = lambda text: None
) -> None:
    """Read every byte again. Raises BackupError."""
    say(f"verifying {len(contents.entries)} files")
    for entry in contents.entries:
        try:
            found = digest_of(place.read(contents.name, entry.path))
        except OSError as error:
            raise BackupError(f"{entry.path} cannot be read: {error}") from None
        if found != (entry.sha256, entry.size_bytes):
            raise BackupError(f"{entry.path} of the backup is not what was written")


def _made(order: Order, place: Folder | Bucket, name: str, staging: Path, paths: dict[str, Path]) -> Contents:
    entries: list[Entry] = []
    left_out: list[str] = []

    def take(source: Path, path: str) -> None:
        copy = staging / "file"
        entries.append(copy_file(source, copy, path))
        place.put(name, path, copy)

    with moment(paths) as (at, readers):
        order.say(f"the moment is {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S.%f} UTC")
        schemas = {}
        for role, reader in readers.items():
            order.say(f"database of {role}")
            copied = staging / f"{role}.db"
            copy_database(reader, copied)
            schemas[role] = reader.execute("PRAGMA user_version").fetchone()[0]
            take(copied, f"{role}/{role}.db")
            if role == "sc" and order.volumes:
                free, busy = _volumes(copied)
                left_out += [f"volume {v} is attached: take a snapshot of it" for v in busy]
    for source in _small_files(order.data.path):
        take(source, str(source.relative_to(order.data.path)))
    for source in sorted(CONFIG_FOLDER.rglob("*.toml")) if CONFIG_FOLDER.is_dir() else ():
        take(source, f"etc/{source.relative_to(CONFIG_FOLDER)}")
    if order.objects:
        order.say("objects")
        for source in sorted((order.data.path / "walrus" / "objects").glob("[0-9a-f][0-9a-f]/*")):
            try:
                take(source, str(source.relative_to(order.data.path)))
            except FileNotFoundError:
                continue  # it was never finished, and no row names it
    if order.volumes and "sc" in paths:
        for volume_id in free:
            order.say(f"volume {volume_id}")
            for source in sorted((order.data.path / "sc" / "volumes").glob(f"{volume_id}.*")):
                take(source, str(source.relative_to(order.data.path)))
    parts = (*(("objects",) if order.objects else ()), *(("volumes",) if order.volumes else ()))
    return Contents(
        name, at, euca_box.__version__, order.host, schemas, parts, tuple(entries), tuple(left_out)
    )


def _volumes(database: Path) -> tuple[list[str], list[str]]:
    """Those that nobody writes to, and those that somebody may."""
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        records = [json.loads(row[0]) for row in db.execute("SELECT record FROM volume")]
    finally:
        db.close()
    free = [r["volume_id"] for r in records if r["state"] == "ready" and not r.get("exported")]
    return free, [r["volume_id"] for r in records if r.get("exported")]


def _small_files(folder: Path) -> Iterator[Path]:
    """Keys, certificates and lists: of the host, and of each role."""
    for pattern in SMALL_FILES:
        yield from sorted(p for p in folder.glob(pattern) if p.is_file() and p.name not in LEFT_OUT)
        for role in ROLES:
            yield from sorted(p for p in (folder / role).glob(pattern) if p.is_file())
