"""Finding lines in the log files again: the newest that are asked for, read from the end."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BLOCK_BYTES = 256 * 1024
LONGEST_LINE = 1 << 20
_ORDER = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


@dataclass(frozen=True)
class Wanted:
    """Empty means any. `about` is a part of the message or of the request id; `since` is a Unix time."""

    roles: tuple[str, ...] = ()
    request: str = ""
    about: str = ""
    since: float = 0.0
    level: str = ""

    @property
    def since_text(self) -> str:
        """As it stands in the lines; text of one form sorts like time."""
        return (
            datetime.fromtimestamp(self.since, UTC).isoformat(timespec="milliseconds") if self.since else ""
        )

    def takes(self, line: str) -> bool:
        """Whether it is one of the lines. What is no JSON is none."""
        if (self.request and self.request not in line) or (self.about and self.about not in line):
            return False
        fields = fields_of(line)
        return bool(
            fields
            and (not self.roles or fields.get("role", "box") in self.roles)
            and (not self.request or fields.get("request") == self.request)
            and (not self.about or self.about in f"{fields.get('message')} {fields.get('request')}")
            and (not self.level or _ORDER.get(str(fields.get("level")), 0) >= _ORDER[self.level])
            and str(fields.get("time", "")) >= self.since_text
        )


def fields_of(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def newest(paths: Iterable[Path], wanted: Wanted, most: int) -> list[str]:
    """The last lines that are wanted, the oldest of them first. `paths`: the newest file first."""
    found: list[str] = []
    for path in paths:
        for line in _backwards(path):
            if wanted.since and fields_of(line).get("time", "~") < wanted.since_text:
                return found[::-1]
            if wanted.takes(line):
                found.append(line)
                if len(found) >= most:
                    return found[::-1]
    return found[::-1]


def _backwards(path: Path) -> Iterator[str]:
    """The lines of a file, the last first. A line without its end, cut by a full disk, is left out."""
    try:
        file = path.open("rb")
    except OSError:
        return
    with file:
        end, rest = file.seek(0, 2), b""
        while end > 0:
            begin = max(0, end - BLOCK_BYTES)
            file.seek(begin)
            lines = (file.read(end - begin) + rest).split(b"\n")
            rest, end = lines[0][:LONGEST_LINE], begin
            for line in reversed(lines[1:]):
                if line:
                    yield line.decode("utf-8", "replace")
        if rest:
            yield rest.decode("utf-8", "replace")
