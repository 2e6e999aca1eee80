"""What goes between hosts: an operation with its call, and its reply or its error, as JSON.

Newer hosts may send fields that this version does not know: they are ignored. Of an operation that it does
not know it says so.
"""

import functools
import json
from dataclasses import dataclass
from typing import Any

from euca_box.messages import base
from euca_box.messages.base import Call, Op
from euca_box.model import ec2_errors, errors
from euca_box.model.errors import ClientFault, EucaError, ServerFault


@dataclass(frozen=True)
class Letter:
    """`seconds`: how long the one who asks will wait yet."""

    op: Op[Any]
    call: Call
    seconds: float


class BadLetter(Exception):
    """The body is no letter; the text says why."""


def write(op: Op[Any], call: Call, seconds: float) -> bytes:
    text = f'{{"call":{base.encode(call)},"seconds":{seconds:.3f},"op":{base.encode(op)}}}'
    return text.encode()


def read(body: bytes, kind: type[Op[Any]]) -> Letter:
    """Raises BadLetter."""
    try:
        parts = json.loads(body)
        op = base.structure(parts["op"], kind)
        return Letter(op, base.structure(parts["call"], Call), float(parts["seconds"]))
    except (ValueError, TypeError, KeyError, RecursionError, ExceptionGroup) as error:
        raise BadLetter(f"no {kind.__name__}: {type(error).__name__}") from None


def write_reply(reply: Any) -> bytes:
    return f'{{"reply":{base.encode(reply)}}}'.encode()


def write_error(error: EucaError) -> bytes:
    told = {
        "name": type(error).__name__,
        "code": error.code,
        "status": error.http_status,
        "side": error.side,
        "message": error.message,
    }
    return json.dumps({"error": told}).encode()


def read_reply(body: bytes, kind: type[Op[Any]]) -> Any:
    """The reply. Raises the error that was sent in its place, or BadLetter."""
    try:
        parts = json.loads(body)
        told = parts.get("error")
        if told is None:
            return base.structure(parts["reply"], base.reply_type(kind))  # type: ignore[arg-type]
        error = _error(told)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ExceptionGroup) as mistake:
        raise BadLetter(f"no answer to {kind.__name__}: {type(mistake).__name__}") from None
    raise error


def _error(told: dict[str, Any]) -> EucaError:
    """Of the class that it had, if this version has it; else of one like it."""
    kind = _kinds().get(str(told["name"])) or _kind_like(told)
    error = kind.__new__(kind)
    EucaError.__init__(error, str(told["message"]))
    return error


def _kind_like(told: dict[str, Any]) -> type[EucaError]:
    parent = ClientFault if told["side"] == "Client" else ServerFault
    like = {"code": str(told["code"]), "http_status": int(told["status"])}
    return type(str(told["name"]), (parent,), like)


@functools.cache
def _kinds() -> dict[str, type[EucaError]]:
    return {
        name: kind
        for module in (errors, ec2_errors)
        for name, kind in vars(module).items()
        if isinstance(kind, type) and issubclass(kind, EucaError)
    }
