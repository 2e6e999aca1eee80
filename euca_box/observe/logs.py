"""Logs: lines for the terminal or journald, JSON lines in a file, the role and the request id in each.

Every component logs under its own name (`euca_box.roles.cc...`), as each 1.6.2 component had its
log; how much of each is logged can be changed while it runs. Text from outside cannot break a line: JSON
escapes control characters, the terminal form replaces them. What looks like a secret is left out.
"""

import contextlib
import contextvars
import functools
import json
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from euca_box.observe.log_file import LogFile

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")


LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
BOX = "box"  # what belongs to no role: the process, its listeners
# Whose lines those of a module are. The longest name counts.
_LOGGERS = {
    "euca_box": BOX,
    "euca_box.roles.clc": "clc",
    "euca_box.roles.walrus": "walrus",
    "euca_box.roles.cc": "cc",
    "euca_box.roles.sc": "sc",
    "euca_box.roles.nc": "nc",
    "euca_box.api.ec2": "clc",
    "euca_box.api.iam": "clc",
    "euca_box.api.soap.ec2": "clc",
    "euca_box.api.console": "clc",
    "euca_box.api.configuration": "clc",
    "euca_box.api.s3": "walrus",
    "euca_box.api.soap.s3": "walrus",
    "euca_box.objects": "walrus",
    "euca_box.blockstore": "sc",
    "euca_box.kvm": "nc",
    "euca_box.net": "nc",
    "euca_box.api.metadata": "nc",
}
_NOISY = ("aiosqlite", "hypercorn.access", "asyncio", "pyroute2")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
LONGEST_TEXT = 64 * 1024  # of a message or a traceback
# NAME=VALUE, "name": "value", user:password@host, PEM keys. Every repetition is bounded: text is hostile.
_SECRET = re.compile(
    r"(?i)((?:(?:signature|secret|password|passwd|security[-_]?token|session[-_]?token)[a-z0-9_-]{0,40}"
    r"|authorization)[\"']?\s{0,4}[=:]\s{0,4}(?:AWS4-HMAC-SHA256\s|AWS\s|Bearer\s|Basic\s)?[\"']?)"
    r"[^\s\"'&,;)}\]]+"
    r"|(://[^/\s:@]{0,200}:)[^@/\s]{1,500}(?=@)"
    r"|(-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----)[^-]*(?:-----END [A-Z ]{0,40}PRIVATE KEY-----)?"
)
_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}  # syslog(3)


def current_request() -> str:
    """The id of the user's request that this is part of; empty where it is part of none."""
    found = request_id.get()
    return "" if found == "-" else found


@contextlib.contextmanager
def part_of(request: str) -> Iterator[None]:
    """What is logged within belongs to this request."""
    token = request_id.set(request or "-")
    try:
        yield
    finally:
        request_id.reset(token)


@functools.lru_cache(1024)
def role_of(logger: str) -> str:
    """The role that a logger's lines belong to."""
    name = logger
    while name:
        if name in _LOGGERS:
            return _LOGGERS[name]
        name = name.rpartition(".")[0]
    return BOX


def without_secrets(text: str) -> str:
    """What is longer than LONGEST_TEXT loses its middle."""
    if len(text) > LONGEST_TEXT:
        text = f"{text[: LONGEST_TEXT // 2]} … {text[-LONGEST_TEXT // 2 :]}"
    return _SECRET.sub(lambda m: f"{m[1] or m[2] or m[3]}…", text)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, role, host, logger, request, message, traceback."""

    def __init__(self, host: str = "") -> None:
        super().__init__()
        self._host = host

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "role": role_of(record.name),
            "host": self._host,
            "logger": record.name,
            "request": request_id.get(),
            "message": without_secrets(record.getMessage()),
        }
        if record.exc_info:
            fields["traceback"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(fields, ensure_ascii=True)


class ForTerminal(logging.Formatter):
    """`12:30:01 cc  i-4e9f08a1 runs on nc@laptop`, coloured by nobody."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        return f"{time} {self.words(record)}"

    def words(self, record: logging.LogRecord) -> str:
        parts = record.name.split(".")
        where = parts[2] if len(parts) > 2 and parts[1] == "roles" else parts[-1]
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        line = f"{where:<9} {level}{_CONTROL.sub('?', without_secrets(record.getMessage()))}"
        if record.exc_info and record.exc_info[1] is not None:
            what = _CONTROL.sub(" ", without_secrets(repr(record.exc_info[1])))[:300]
            line += f" ({what}; traceback in the log file)"
        return line


class ForJournal(ForTerminal):
    """As journald takes it from stderr: `<4>cc  warning: ...`. It has its own clock (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        request = _CONTROL.sub("?", request_id.get())
        return f"<{_PRIORITIES.get(record.levelname, 5)}>{self.words(record)} [{request}]"


_file: LogFile | None = None
_default_level = "INFO"


def log_file() -> LogFile | None:
    """Where this process keeps its lines, if it does."""
    return _file


def set_up(
    folder: Path | None,
    level: str,
    *,
    host: str = "",
    levels: Mapping[str, str] | None = None,
    terminal: str = "auto",
    file_bytes: int = LogFile.MOST_BYTES,
    files: int = LogFile.FILES,
) -> None:
    """Lines to stderr (`terminal`: auto, text, json, journal, off), and to euca-box.log in the folder."""
    global _file, _default_level
    logging.raiseExceptions = False  # a full disk must not fill the terminal with tracebacks
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    _file, _default_level = None, level
    if terminal != "off":
        stream = logging.StreamHandler(sys.stderr)
        stream.setFormatter(_formatter(terminal, host))
        root.addHandler(stream)
    if folder is not None:
        _file = LogFile(folder / "euca-box.log", file_bytes, files)
        _file.setFormatter(JsonLines(host))
        root.addHandler(_file)
    root.setLevel(level)
    for role in {*_LOGGERS.values()}:
        set_level(role, (levels or {}).get(role, ""))
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)


def set_level(role: str, level: str) -> None:
    """How much of a role is logged from now on; empty: as much as of everything."""
    for name, owner in _LOGGERS.items():
        if owner == role:
            logging.getLogger(name).setLevel(level or _default_level)


def _formatter(terminal: str, host: str) -> logging.Formatter:
    if terminal == "auto":
        terminal = "journal" if _is_journal() else "text"
    kinds: dict[str, logging.Formatter] = {
        "text": ForTerminal(),
        "json": JsonLines(host),
        "journal": ForJournal(),
    }
    return kinds[terminal]


def _is_journal() -> bool:
    """systemd.exec(5), JOURNAL_STREAM: device and inode of what stderr was connected to."""
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
