"""Reply -> SOAP content, by functions compiled once for each message of each schema, in its order.

Values are found by their element's name in EC2's model, which kept the names of the schemas; where it has
another it is said in `_OTHER`. What the model came to know later has no place in an older schema.
"""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, get_args, get_type_hints

from euca_box.api.ec2 import shapes
from euca_box.api.ec2.encode import KEPT, SCALARS, Encoder, escaped, kept, without_none
from euca_box.api.ec2.shapes import Member
from euca_box.api.soap import ec2_shapes
from euca_box.api.soap.ec2_shapes import Element, Message
from euca_box.messages.base import Done

# Before API version 2009-10-31 and, of groups, as long as an item shows only one name.
_OTHER = {"shutdownState": "currentState"}


def content(version: str, action: str, request_id: str, reply: Any) -> str:
    """The one element of the Body."""
    if isinstance(reply, Done):
        body = "<return>true</return>"
    else:
        kind: Any = type(reply)
        body = _message_encoder(ec2_shapes.response(version, action), action, kind)(reply)
    space = ec2_shapes.NAMESPACE.format(version)
    told = f"<requestId>{request_id}</requestId>" if version >= ec2_shapes.FIRST_WITH_REQUEST_ID else ""
    return f'<{action}Response xmlns="{space}">{told}{body}</{action}Response>'


@functools.cache
def _message_encoder(message: Message, action: str, kind: Any) -> Encoder:
    return _structure(message.elements, shapes.actions()[action].response, kind)


@functools.cache
def _structure(elements: tuple[Element, ...], members: tuple[Member, ...], kind: Any) -> Encoder:
    hints = get_type_hints(kind)
    fields = {field.name for field in dataclasses.fields(kind)}
    known = {member.wire: member for member in members if member.name in fields}
    parts = [part for element in elements if (part := _part(element, elements, known, hints)) is not None]

    def encode(value: Any) -> str:
        return "".join([text(value) for text in parts])

    return kept(encode) if kind in KEPT else encode


def _part(
    element: Element, siblings: Iterable[Element], known: dict[str, Member], hints: dict[str, Any]
) -> Encoder | None:
    """The element with its tags; None where the reply has nothing for it and the schema does not need it."""
    member = known.get(_OTHER.get(element.name, element.name)) or known.get(element.name)
    if element.name == "groupId" and "groupName" in known and all(e.name != "groupName" for e in siblings):
        member = known["groupName"]  # the name was the id, before there were both
    start, end, empty = f"<{element.name}>", f"</{element.name}>", f"<{element.name}/>"
    needed = element.required and ec2_shapes.xsd_type(element.name) == "xs:string"  # no number is empty
    if member is None:
        return (lambda value: empty) if needed or element.kind == "l" else None
    inner = _inner(element, member, without_none(hints[member.name]))
    name, absent = member.name, empty if needed else ""

    def encode(value: Any) -> str:
        item = getattr(value, name)
        if item is None:
            return absent
        text = inner(item)
        return f"{start}{text}{end}" if text else empty

    return encode


def _inner(element: Element, member: Member, hint: Any) -> Encoder:
    if element.kind == "l" and element.item is not None:
        if member.kind == "S":  # `<kernel><value/></kernel>`: of one value, not of many
            return _structure((element.item,), member.members, hint)
        assert member.item is not None
        item = _item(element.item, member.item, get_args(hint)[0])
        return lambda values: "".join([item(value) for value in values])
    if element.kind == "s" and member.kind != "S":
        return lambda value: ""  # a list that the schema keeps empty
    if element.kind == "s":
        return _structure(element.members, member.members, hint)
    return SCALARS[member.kind]


def _item(element: Element, member: Member, hint: Any) -> Encoder:
    start, end = f"<{element.name}>", f"</{element.name}>"
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        inner = _structure(element.members, member.members, hint)
        return lambda value: f"{start}{inner(value)}{end}"
    scalar = SCALARS.get(member.kind, escaped)  # a list that is always empty here is declared as of texts
    if element.members:  # `<item><productCode/></item>`
        name = element.members[0].name
        return lambda value: f"{start}<{name}>{scalar(value)}</{name}>{end}"
    return lambda value: f"{start}{scalar(value)}{end}"
