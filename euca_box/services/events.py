"""Event records, a line for each thing that a role was told to do (1.6.2's EventRecord and eventlog)."""

import dataclasses
import logging
from typing import Any

from euca_box.messages.base import Call, Op
from euca_box.model.errors import EucaError

_QUIET = ("Describe", "List", "Get", "Find", "Check")
_PREFIXES = ("Cc", "Nc", "Sc")
_REPEATED = ("Sync", "Configure", "Assign", "SetCredentials")  # sent again and again by loops


def note(role: object, call: Call, op: Op[Any], error: EucaError | None) -> None:
    """What came of an operation that changes something, or that was refused: with the ids it is about."""
    kind = type(op).__name__
    verb = kind[2:] if kind[:2] in _PREFIXES else kind
    if error is None and verb.startswith(_QUIET):
        return
    log = logging.getLogger(f"{type(role).__module__.rpartition('.')[0]}.events")
    level = logging.DEBUG if error is None and verb.startswith(_REPEATED) else logging.INFO
    if log.isEnabledFor(level):
        log.log(level, "%s %s: %s", kind, ids_in(op) or "-", outcome(error))


def outcome(error: EucaError | None) -> str:
    return "done" if error is None else f"{error.code}: {error.message[:300]}"


def ids_in(op: Op[Any]) -> str:
    """What the operation is about, in a line of a log."""
    return " ".join(_ids(op))


def _ids(op: Any) -> list[str]:
    """Values of the fields that are named `..._id`, its own and those of what it carries."""
    found: list[str] = []
    for field in dataclasses.fields(op):
        value = getattr(op, field.name)
        if field.name.endswith("_ids") and isinstance(value, tuple):
            found += [str(item)[:64] for item in value[:20]]
        elif field.name.endswith("_id") and field.name != "request_id" and isinstance(value, str) and value:
            found.append(value[:64])
        elif dataclasses.is_dataclass(value) and field.name in ("spec", "changes", "task", "order"):
            found += _ids(value)[:1]
    return found
