"""Record what a program writes below a folder (`recorder.c`), and read the record."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_HEAD = struct.Struct("<ciqII")


@dataclass(frozen=True, slots=True)
class Event:
    """`kind`: Open, Write, Truncate, Sync, Unlink, Rename, Link, Mkdir, Note."""

    kind: str
    fd: int
    offset: int
    path: str
    data: bytes


def build_recorder(folder: Path) -> Path:
    library = folder / "recorder.so"
    command = ["gcc", "-O1", "-shared", "-fPIC", str(HERE / "recorder.c"), "-o", str(library), "-ldl"]
    subprocess.run(command, check=True)
    return library


def run_recorded(
    library: Path, root: Path, arguments: list[str], log: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a module of this package with its writes below root recorded, or made to fail."""
    loaded = {"LD_PRELOAD": str(library), "RECORD_ROOT": str(root), **environment}
    if log is not None:
        loaded["RECORD_LOG"] = str(log)
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env={**os.environ, **loaded},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def read_log(log: Path) -> Iterator[Event]:
    raw, at = log.read_bytes(), 0
    while at < len(raw):
        kind, fd, offset, path, data = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        yield Event(
            kind.decode(), fd, offset, raw[at : at + path].decode(), raw[at + path : at + path + data]
        )
        at += path + data


def note_of(event: Event) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(event.data)
    return found
