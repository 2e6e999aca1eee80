"""Logs: one line for each event on the terminal, JSON lines in a file, and the request id in each.

Every component logs under its own name (`euca_box.roles.cc...`), as each 1.6.2 component had its
log. Text from outside cannot break a line: JSON escapes control characters, the terminal form
replaces them.
"""

import contextvars
import json
import logging
import logging.handlers
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
FILE_LIMIT_BYTES = 32_768_000  # where 1.6.2 cut cc.log


class _WithRequestId(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, request, message, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "request": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=True)


class ForTerminal(logging.Formatter):
    """`12:30:01 cc  i-4e9f08a1 runs on nc@laptop`, coloured by nobody."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        parts = record.name.split(".")
        where = parts[2] if len(parts) > 2 and parts[1] == "roles" else parts[-1]
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        line = f"{time} {where:<9} {level}{_CONTROL.sub('?', record.getMessage())}"
        if record.exc_info and record.exc_info[1] is not None:
            line += f" ({_CONTROL.sub(' ', repr(record.exc_info[1]))[:300]}; traceback in the log file)"
        return line


def set_up(folder: Path | None, level: str) -> None:
    """Terminal on stderr, and euca-box.log in the folder (0600, cut at 32 MB, four old ones kept)."""
    logging.raiseExceptions = False  # a full disk must not fill the terminal with tracebacks
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.setLevel(level)
    terminal = logging.StreamHandler(sys.stderr)
    terminal.setFormatter(ForTerminal())
    terminal.addFilter(_WithRequestId())
    root.addHandler(terminal)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = logging.handlers.RotatingFileHandler(
            folder / "euca-box.log", maxBytes=FILE_LIMIT_BYTES, backupCount=4, encoding="utf-8"
        )
        (folder / "euca-box.log").chmod(0o600)
        file.setFormatter(JsonLines())
        file.addFilter(_WithRequestId())
        root.addHandler(file)
    for noisy in ("aiosqlite", "hypercorn.access", "asyncio", "pyroute2"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
