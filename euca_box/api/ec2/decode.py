"""Query parameters -> message, by rule: `Filter.1.Value.2=x` (the ec2 protocol, flattened lists).

Every parameter is either taken, refused as unknown, or refused as not supported: none is ignored.
"""

import base64
import binascii
import dataclasses
import functools
import types
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Union, get_args, get_origin, get_type_hints

from euca_box.api.ec2.shapes import Action, Member
from euca_box.messages.base import Op
from euca_box.model.errors import (
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    UnknownParameter,
    UnsupportedOperation,
)

DEEPEST = 10
Tree = dict[str, Any]  # name -> text, or name -> Tree


def tree_of(parameters: Iterable[tuple[str, str]]) -> Tree:
    """Nest dotted names. A name given twice is refused: what was signed must be what is used."""
    root: Tree = {}
    for name, value in parameters:
        parts = name.split(".")
        if len(parts) > DEEPEST:
            raise UnknownParameter(name)
        node = root
        for part in parts[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise InvalidParameterCombination(f"The parameter {name} is both a value and a structure")
        if parts[-1] in node:
            raise InvalidParameterCombination(f"The parameter {name} was given more than once")
        node[parts[-1]] = value
    return root


def decode(kind: type[Op[Any]], members: tuple[Member, ...], tree: Tree) -> Op[Any]:
    """The message of this kind. Raises MissingParameter, UnknownParameter, InvalidParameterValue."""
    message: Op[Any] = _structure(kind, members, tree, "")
    return message


def check(action: Action, tree: Tree) -> None:
    """Read the parameters of an action that has no message. Raises as `decode`."""
    _read_structure(action.request, tree, "")
    for wire in action.required:
        if wire not in tree:
            raise MissingParameter(wire)


def _read_structure(members: tuple[Member, ...], tree: Any, path: str) -> None:
    if not isinstance(tree, dict):
        raise InvalidParameterValue(f"The parameter {path.rstrip('.')} is a structure, not a value")
    known = {member.wire: member for member in members}
    for wire, value in tree.items():
        if wire not in known:
            raise UnknownParameter(path + wire)
        _reader(known[wire])(value, path + wire)


def _reader(member: Member) -> Callable[[Any, str], Any]:
    if member.kind == "S":
        return lambda value, path: _read_structure(member.members, value, path + ".")
    if member.kind == "L":
        assert member.item is not None
        return _list_of(_reader(member.item))
    return _SCALARS[member.kind]


@dataclasses.dataclass(frozen=True)
class _Field:
    name: str
    convert: Callable[[Any, str], Any]
    required: bool


@functools.cache
def _plan(kind: type, members: tuple[Member, ...]) -> dict[str, _Field | None]:
    """Wire name -> how to fill the field; None where the model has a member and the message does not."""
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    plan: dict[str, _Field | None] = {}
    for member in members:
        field = fields.get(member.name)
        if field is None:
            plan.setdefault(member.wire, None)
            continue
        convert = _converter(_without_none(hints[member.name]), member)
        plan[member.wire] = _Field(member.name, convert, field.default is dataclasses.MISSING)
    return plan


def _structure(kind: type, members: tuple[Member, ...], tree: Any, path: str) -> Any:
    if not isinstance(tree, dict):
        raise InvalidParameterValue(f"The parameter {path.rstrip('.')} is a structure, not a value")
    plan = _plan(kind, members)
    values: dict[str, Any] = {}
    for wire, value in tree.items():
        if wire not in plan:
            raise UnknownParameter(path + wire)
        field = plan[wire]
        if field is None:
            raise UnsupportedOperation(f"The parameter {path}{wire} is not supported.")
        values[field.name] = field.convert(value, path + wire)
    for wire, field in plan.items():
        if field is not None and field.required and field.name not in values:
            raise MissingParameter(path + wire)
    return kind(**values)


def _converter(hint: Any, member: Member) -> Callable[[Any, str], Any]:
    if member.kind == "S":
        return lambda value, path: _structure(hint, member.members, value, path + ".")
    if member.kind == "L":
        assert member.item is not None
        return _list_of(_converter(get_args(hint)[0], member.item))
    return _SCALARS["B" if hint is bytes else member.kind]


def _list_of(convert: Callable[[Any, str], Any]) -> Callable[[Any, str], tuple[Any, ...]]:
    def take(value: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(value, dict):
            # Some old clients send a list of one without a number (GetConsoleOutput InstanceId.1 and back).
            return (convert(value, path),)
        numbered = {}
        for key, item in value.items():
            if not (key.isascii() and key.isdigit()) or len(key) > 6:
                raise UnknownParameter(f"{path}.{key}")
            if int(key) in numbered:
                raise InvalidParameterCombination(f"The parameter {path}.{int(key)} was given more than once")
            numbered[int(key)] = item
        return tuple(convert(numbered[n], f"{path}.{n}") for n in sorted(numbered))

    return take


def _text(value: Any, path: str) -> str:
    if isinstance(value, dict):
        if list(value) == ["1"] and isinstance(value["1"], str):  # InstanceId.1 where one is wanted
            return value["1"]
        raise InvalidParameterValue(f"The parameter {path} is a value, not a structure")
    return str(value)


def _integer(value: Any, path: str) -> int:
    text = _text(value, path)
    if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit() or len(text) > 18:
        raise InvalidParameterValue(f"Value ({text[:64]}) for parameter {path} is invalid. Not an integer.")
    return int(text)


def _number(value: Any, path: str) -> float:
    try:
        return float(_text(value, path))
    except ValueError:
        raise InvalidParameterValue(f"Value for parameter {path} is invalid. Not a number.") from None


def _boolean(value: Any, path: str) -> bool:
    text = _text(value, path).lower()
    if text in ("true", "1"):
        return True
    if text in ("false", "0", ""):
        return False
    raise InvalidParameterValue(f"Value ({text[:64]}) for parameter {path} is invalid. Not a boolean.")


def _time(value: Any, path: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(value, path))
    except ValueError:
        raise InvalidParameterValue(f"Value for parameter {path} is invalid. Not a timestamp.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _blob(value: Any, path: str) -> bytes:
    try:
        return base64.b64decode("".join(_text(value, path).split()), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidParameterValue(f"Value for parameter {path} is invalid. Not base64.") from None


_SCALARS: dict[str, Callable[[Any, str], Any]] = {
    "s": _text,
    "i": _integer,
    "f": _number,
    "b": _boolean,
    "t": _time,
    "B": _blob,
}


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        [hint] = [arg for arg in get_args(hint) if arg is not type(None)]
    return hint
