"""The log file of a process, cut by size, and its last lines in memory for those who follow them.

A line is written once and whole. When the disk is full lines are lost, and nothing else.
"""

import contextlib
import logging
import os
import secrets
from collections import deque
from pathlib import Path


class LogFile(logging.Handler):
    """0600; cut at `most_bytes`, `files` old ones are kept beside it: NAME.1 is the newest of them."""

    MOST_BYTES = 32_768_000  # where 1.6.2 cut cc.log
    FILES = 4
    REMEMBERED = 2000

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES, files: int = FILES) -> None:
        super().__init__()
        self.path = path
        self.life = secrets.token_hex(4)  # of this process: numbers begin anew with the next
        self._most_bytes, self._files = most_bytes, files
        self._number = 0
        self._recent: deque[tuple[int, str]] = deque(maxlen=self.REMEMBERED)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = self._open()
        self._bytes = os.fstat(self._descriptor).st_size

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # a message that does not fit its arguments
            self.handleError(record)
            return
        self._number += 1
        self._recent.append((self._number, line))
        data = line.encode("ascii", "backslashreplace") + b"\n"
        with contextlib.suppress(OSError):
            if self._bytes + len(data) > self._most_bytes:
                self._cut()
            self._bytes += os.write(self._descriptor, data)

    @property
    def cursor(self) -> str:
        """Names the place behind the last line."""
        return f"{self.life}-{self._number}"

    def after(self, cursor: str) -> list[str]:
        """What came behind that place, as far as it is remembered."""
        life, _, number = cursor.partition("-")
        seen = int(number) if life == self.life and number.isdigit() else 0
        with self.lock or contextlib.nullcontext():
            return [line for n, line in self._recent if n > seen]

    def paths(self) -> list[Path]:
        """The newest first."""
        old = [self.path.with_name(f"{self.path.name}.{n}") for n in range(1, self._files + 1)]
        return [path for path in (self.path, *old) if path.exists()]

    def close(self) -> None:
        super().close()
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
        self._descriptor = -1

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path, flags, 0o600)
        os.fchmod(descriptor, 0o600)
        return descriptor

    def _cut(self) -> None:
        for number in range(self._files, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            newer = self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
            with contextlib.suppress(FileNotFoundError):
                newer.replace(older)
        if not self._files:
            os.truncate(self.path, 0)
        fresh = self._open()
        os.close(self._descriptor)
        self._descriptor, self._bytes = fresh, 0
