"""What is in a backup: a list of files with sizes, modes and SHA-256, and of which moment they are."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from euca_box.backup.point import BackupError

FORMAT = 1
CONTENTS = "contents.json"
BLOCK_BYTES = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Entry:
    """A file, by its path below the data directory."""

    path: str
    size_bytes: int
    sha256: str
    mode: int


@dataclass(frozen=True)
class Contents:
    """`point_at`: the moment of the databases, a Unix time. `parts`: what was taken beside them."""

    name: str
    point_at: float
    version: str
    host: str
    schemas: dict[str, int]
    parts: tuple[str, ...]
    entries: tuple[Entry, ...]
    left_out: tuple[str, ...] = ()
    format: int = FORMAT
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.entries)

    def encoded(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()


def decoded(data: bytes) -> Contents:
    """Raises BackupError."""
    try:
        found = json.loads(data)
        if found["format"] > FORMAT:
            raise BackupError(f"the backup was made by a newer euca-box ({found['version']})")
        entries = tuple(Entry(**entry) for entry in found.pop("entries"))
        contents = Contents(
            **found | {"parts": tuple(found["parts"]), "left_out": tuple(found["left_out"])}, entries=entries
        )
    except (ValueError, TypeError, KeyError) as error:
        raise BackupError(f"{CONTENTS} is no list of a backup: {error}") from None
    if not _NAME.fullmatch(contents.name):
        raise BackupError(f"{contents.name[:80]!r} is no name of a backup")
    for entry in contents.entries:
        path = PurePosixPath(entry.path)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise BackupError(f"the backup names {entry.path!r}, which is not below a data directory")
        if entry.mode & ~0o777:
            raise BackupError(f"the backup gives {entry.path!r} a mode that no file of ours has")
    return contents


def copy_file(source: Path, target: Path, path: str) -> Entry:
    """The bytes, durable, holes kept; and what they are. Raises OSError."""
    make_private(target.parent)
    with source.open("rb") as given:
        facts = os.fstat(given.fileno())
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as taken:
            digest, size = _stream(given.read, taken.write, taken.seek)
            taken.truncate(size)
            taken.flush()
            os.fsync(taken.fileno())
    return Entry(path, size, digest, facts.st_mode & 0o777)


def make_private(folder: Path) -> None:
    """The folder and those above it that are missing, for their owner only."""
    if not folder.exists():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def digest_of(blocks: Iterable[bytes]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        size += len(block)
    return digest.hexdigest(), size


def blocks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block


def _stream(
    read: Callable[[int], bytes], write: Callable[[bytes], Any], seek: Callable[[int, int], Any]
) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while block := read(BLOCK_BYTES):
        digest.update(block)
        size += len(block)
        if block.count(0) == len(block):
            seek(len(block), os.SEEK_CUR)
        else:
            write(block)
    return digest.hexdigest(), size
