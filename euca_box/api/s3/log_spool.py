"""Log lines on their way: appended to files in groups, and there after a kill but for the last moment.

A line stands behind a label, which says whose log it is. A file is finished when it is large or when
somebody wants to deliver; what an earlier process left is finished too.
"""

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger(__name__)

GROUP_SECONDS = 0.02
FILE_BYTES = 16 << 20
MOST_BYTES = 512 << 20


class Spool:
    """Lives in asyncio; files are written in a thread. Names of files are nanoseconds since 1970."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._lines: list[bytes] = []
        self._writing: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._path: Path | None = None  # of the file that is written
        self._left_out = 0
        self._held = sum(path.stat().st_size for path in self.finished())

    def add(self, label: bytes, line: bytes) -> None:
        """`label` has no tab and no end of line, `line` ends with one."""
        self._lines.append(b"%b\t%b" % (label, line))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write_soon())

    async def _write_soon(self) -> None:
        await asyncio.sleep(GROUP_SECONDS)
        async with self._lock:
            await self._write()

    async def _write(self) -> None:
        lines, self._lines = self._lines, []
        data = b"".join(lines)
        if not data:
            return
        if self._held + len(data) > MOST_BYTES:
            self._leave_out(lines, "too much waits to be delivered")
            return
        if self._path is None:
            self._path = self._folder / f"{time.time_ns():020d}"
        try:
            size_bytes = await asyncio.to_thread(_append, self._path, data)
        except OSError as error:
            self._leave_out(lines, str(error))
            return
        self._held += len(data)
        if size_bytes >= FILE_BYTES:
            self._path = None

    def _leave_out(self, lines: list[bytes], reason: str) -> None:
        self._left_out += len(lines)
        log.warning("%d lines of access logs were left out by now: %s", self._left_out, reason)

    async def finish(self) -> None:
        """All lines so far are in finished files."""
        async with self._lock:
            await self._write()
            self._path = None

    def finished(self) -> list[Path]:
        """The oldest first."""
        return sorted(p for p in self._folder.iterdir() if p.name.isdigit() and p != self._path)

    async def read(self, path: Path) -> dict[bytes, bytes]:
        """The lines of each label."""
        return await asyncio.to_thread(_by_label, path)

    async def keep(self, path: Path, logs: Mapping[bytes, bytes]) -> None:
        """Leave those in the file and no more; without any it goes."""
        self._held -= await asyncio.to_thread(_replace, path, logs)


def _append(path: Path, data: bytes) -> int:
    """The size that the file has then. A line that did not fit in whole is cut off again."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        before = os.fstat(fd).st_size
        try:
            written = 0
            while written < len(data):
                written += os.write(fd, data[written:])
        except OSError:
            os.ftruncate(fd, before)
            raise
        return before + written
    finally:
        os.close(fd)


def _by_label(path: Path) -> dict[bytes, bytes]:
    logs: dict[bytes, list[bytes]] = {}
    with path.open("rb") as file:
        for whole in file:
            label, tab, line = whole.partition(b"\t")
            if tab and line.endswith(b"\n"):  # a kill may have cut the last one
                logs.setdefault(label, []).append(line)
    return {label: b"".join(lines) for label, lines in logs.items()}


def _replace(path: Path, logs: Mapping[bytes, bytes]) -> int:
    """How many bytes smaller it is."""
    before = path.stat().st_size
    if not logs:
        path.unlink()
        return before
    new = path.with_name(f"{path.name}.new")
    lines = (b"%b\t%b" % (label, line) for label, text in logs.items() for line in text.splitlines(True))
    new.write_bytes(b"".join(lines))
    new.replace(path)
    return before - path.stat().st_size
