"""IAM and STS parameters -> message, and reply -> XML, by rule from the fields of the dataclasses.

The AWS query protocol: `Tags.member.1.Key=x` in, `<Tags><member><Key>x</Key></member></Tags>` out. Wire
names are the fields' in camel case. Every parameter is taken or refused.
"""

import dataclasses
import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, get_args, get_origin, get_type_hints
from urllib.parse import quote

from euca_box.api.ec2.decode import Tree
from euca_box.api.ec2.encode import escaped
from euca_box.messages.base import Op
from euca_box.model.errors import ValidationError

MOST_MEMBERS = 1000
# IAM API reference, GetPolicyVersion: documents come percent-encoded as RFC 3986 says.
_ENCODED = {"document", "policy_document", "assume_role_policy_document"}


def decode(kind: type[Op[Any]], tree: Tree) -> Op[Any]:
    """The message of this kind. Raises ValidationError."""
    message: Op[Any] = _read(kind, tree, "")
    return message


def encode(reply: Any) -> str:
    """The elements within `<ActionResult>`."""
    return "".join(
        _element(wire, value, field.name in _ENCODED)
        for field, wire in _fields_of(reply)
        if (value := getattr(reply, field.name)) is not None and _is_shown(field.name, value)
    )


def _fields_of(value: Any) -> tuple[tuple["dataclasses.Field[Any]", str], ...]:
    kind: Any = type(value)
    return _fields(kind)


@functools.cache
def _fields(kind: Any) -> tuple[tuple["dataclasses.Field[Any]", str], ...]:
    return tuple(
        (field, field.metadata.get("wire") or _wire(field.name)) for field in dataclasses.fields(kind)
    )


def _wire(name: str) -> str:
    """`user_name` -> UserName."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _is_shown(name: str, value: Any) -> bool:
    """AWS leaves the tags out of what has none; other lists are there and empty."""
    return value != () or name != "tags"


def _element(wire: str, value: Any, is_encoded: bool) -> str:
    return f"<{wire}>{_content(value, is_encoded)}</{wire}>"


def _content(value: Any, is_encoded: bool = False) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):  # a Moment
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, tuple):
        return "".join(f"<member>{_content(item)}</member>" for item in value)
    if isinstance(value, dict):
        return "".join(
            f"<entry><key>{escaped(key)}</key><value>{_content(item)}</value></entry>"
            for key, item in value.items()
        )
    if dataclasses.is_dataclass(value):
        return encode(value)
    return escaped(quote(value, safe="-_.~") if is_encoded else str(value))


def _read(kind: Any, tree: Any, path: str) -> Any:
    if not isinstance(tree, dict):
        raise ValidationError(f"{path.rstrip('.')} is a structure, not a value.")
    known = {wire: field for field, wire in _fields(kind)}
    for wire in tree:
        if wire not in known:
            raise ValidationError(f"The parameter {(path + wire)[:128]} is not recognized.")
    hints = get_type_hints(kind)
    values = {known[w].name: _reader(hints[known[w].name])(value, path + w) for w, value in tree.items()}
    for wire, field in known.items():
        if field.name not in values and _is_required(field):
            raise ValidationError(
                f"1 validation error detected: Value null at '{path}{wire[:1].lower()}{wire[1:]}' failed to "
                "satisfy constraint: Member must not be null"
            )
    return kind(**values)


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


@functools.cache
def _reader(hint: Any) -> Callable[[Any, str], Any]:
    options = [option for option in get_args(hint) if option is not type(None)]
    if type(None) in get_args(hint):
        return _reader(options[0])
    if get_origin(hint) is tuple:
        item = _reader(options[0])
        return lambda value, path: _members(value, path, item)
    if dataclasses.is_dataclass(hint):
        return lambda value, path: _read(hint, value, path + ".")
    return {bool: _bool, int: _int, str: _text}[hint]


def _members(value: Any, path: str, item: Callable[[Any, str], Any]) -> tuple[Any, ...]:
    if value == "":
        return ()  # how clients write a list of nothing
    members = value.get("member") if isinstance(value, dict) and len(value) == 1 else None
    if not isinstance(members, dict) or not all(n.isascii() and n.isdigit() and len(n) < 6 for n in members):
        raise ValidationError(f"{path[:128]} is a list: {path[:100]}.member.1 and so on.")
    if len(members) > MOST_MEMBERS:
        raise ValidationError(f"{path[:128]} has more than {MOST_MEMBERS} members.")
    return tuple(item(members[n], f"{path}.member.{n}") for n in sorted(members, key=int))


def _text(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise ValidationError(f"{path[:128]} is a value, not a structure.")
    return value


def _bool(value: Any, path: str) -> bool:
    if _text(value, path) not in ("true", "false"):
        raise ValidationError(f"{path[:128]} must be true or false.")
    return bool(value == "true")


def _int(value: Any, path: str) -> int:
    text = _text(value, path)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValidationError(f"{path[:128]} must be a number.")
    return int(text)
