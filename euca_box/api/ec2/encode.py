"""Reply -> XML, by functions compiled once for each shape, in the order of the EC2 model.

Lists are `<xxxSet><item/></xxxSet>`, absent values are left out, an empty list is an empty wrapper.
Records that roles hand out again and again (reservations, images) are frozen, so their XML is kept
beside them: a list of a thousand instances is a join of bytes (RUNTIME study: 0.08 ms against 18).
"""

import base64
import dataclasses
import functools
import types
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Union, get_args, get_origin, get_type_hints

from euca_box.api.ec2.shapes import Member
from euca_box.messages.base import Done
from euca_box.messages.ec2_images import Image
from euca_box.messages.ec2_instances import DescribeInstancesResult, Reservation

KEPT = (DescribeInstancesResult, Reservation, Image)

_FORBIDDEN = [*(c for c in range(0x20) if c not in (0x9, 0xA, 0xD)), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF]
_ILLEGAL = dict.fromkeys(_FORBIDDEN)
_ESCAPE = _ILLEGAL | {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", 0xD: "&#13;"}

Encoder = Callable[[Any], str]


def escaped(text: str) -> str:
    """Text as XML content; characters that XML 1.0 forbids are dropped."""
    return text.translate(_ESCAPE)


def response(action: str, members: tuple[Member, ...], version: str, request_id: str, reply: Any) -> bytes:
    """The document of a successful call. The namespace echoes the caller's Version, with the slash:
    libcloud looks elements up under it."""
    if isinstance(reply, Done):
        body = "<return>true</return>"
    else:
        kind: Any = type(reply)
        body = _structure_encoder(kind, members)(reply)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{action}Response xmlns="http://ec2.amazonaws.com/doc/{version}/">'
        f"<requestId>{request_id}</requestId>{body}</{action}Response>"
    ).encode()


def error_response(code: str, message: str, request_id: str) -> bytes:
    """The error document of EC2 (no namespace; `RequestID` in capitals, as AWS writes it here)."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>{escaped(code)}</Code>'
        f"<Message>{escaped(message)}</Message></Error></Errors><RequestID>{request_id}</RequestID></Response>"
    ).encode()


@functools.cache
def _structure_encoder(kind: Any, members: tuple[Member, ...]) -> Encoder:
    """XML of the members of one dataclass. A field that the model does not know is a TypeError here,
    and so in the test that compiles every action."""
    hints = get_type_hints(kind)
    fields = {field.name for field in dataclasses.fields(kind)}
    if unknown := fields - {member.name for member in members}:
        raise TypeError(f"{kind.__name__}: not in the EC2 model: {', '.join(sorted(unknown))}")
    parts = [
        (member.name, *_tags(member), _content(without_none(hints[member.name]), member))
        for member in members
        if member.name in fields
    ]

    def encode(value: Any) -> str:
        texts = []
        for name, start, end, empty, content in parts:
            if (item := getattr(value, name)) is not None:
                text = content(item)
                texts.append(f"{start}{text}{end}" if text else empty)
        return "".join(texts)

    return kept(encode) if kind in KEPT else encode


def kept(encode: Encoder) -> Encoder:
    """The same, with the text of each record kept as long as the record itself is."""
    texts: dict[int, tuple[weakref.ref[Any], str]] = {}

    def from_memory(record: Any) -> str:
        place = id(record)
        found = texts.get(place)
        if found is not None:  # its record still lives, so the place is not another's
            return found[1]
        text = encode(record)
        texts[place] = (weakref.ref(record, lambda _: texts.pop(place, None)), text)
        return text

    return from_memory


def _element(hint: Any, member: Member) -> Encoder:
    content = _content(without_none(hint), member)
    start, end, empty = _tags(member)

    def element(value: Any) -> str:
        text = content(value)
        return f"{start}{text}{end}" if text else empty

    return element


def _tags(member: Member) -> tuple[str, str, str]:
    """Start, end, and the one of an empty element."""
    return f"<{member.wire}>", f"</{member.wire}>", f"<{member.wire}/>"


def _content(hint: Any, member: Member) -> Encoder:
    if member.kind == "S":
        return _structure_encoder(hint, member.members)
    if member.kind == "L":
        assert member.item is not None
        item = _element(get_args(hint)[0], member.item) if member.item.kind != "S" else None
        if item is None:
            item = _wrapped(_structure_or_text(get_args(hint)[0], member.item), member.item.wire)
        encode_item = item
        return lambda values: "".join([encode_item(value) for value in values])
    return SCALARS[member.kind]


def _structure_or_text(hint: Any, member: Member) -> Encoder:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _structure_encoder(hint, member.members)
    return escaped  # a list that is always empty here, declared as tuple[str, ...]


def _wrapped(content: Encoder, name: str) -> Encoder:
    return lambda value: f"<{name}>{content(value)}</{name}>"


def _string(value: Any) -> str:
    return value.translate(_ESCAPE) if type(value) is str else escaped(str(value))


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"


SCALARS: dict[str, Encoder] = {
    "s": _string,
    "i": str,
    "f": str,
    "b": lambda value: "true" if value else "false",
    "t": _time,
    "B": lambda value: base64.b64encode(value).decode(),
}


def without_none(hint: Any) -> Any:
    """`X | None` -> `X`."""
    if get_origin(hint) in (Union, types.UnionType):
        [hint] = [arg for arg in get_args(hint) if arg is not type(None)]
    return hint
