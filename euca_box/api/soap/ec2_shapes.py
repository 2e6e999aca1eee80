"""The elements of EC2's dated SOAP schemas, from `ec2_shapes.json`,

scripts/extract_soap_shapes.py writes that.
"""

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Any

from euca_box.api.ec2 import shapes
from euca_box.api.ec2.shapes import Member

NEWEST = "2011-05-15"
NAMESPACE = "http://ec2.amazonaws.com/doc/{}/"
FIRST_WITH_REQUEST_ID = "2008-08-08"


@dataclass(frozen=True, slots=True, eq=False)  # by identity: the same tree of several versions is one object
class Element:
    """`kind`: v a value, s a structure of `members`, l a list of `item`."""

    name: str
    kind: str
    required: bool = False
    members: tuple["Element", ...] = ()
    item: "Element | None" = None


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """The content of a request or of a reply, in the order of the schema."""

    elements: tuple[Element, ...]


@functools.cache
def versions() -> tuple[str, ...]:
    """The dates, oldest first."""
    return tuple(sorted(_tables()[0]))


def has(version: str, action: str) -> bool:
    return action in _tables()[0].get(version, {})


def actions(version: str) -> list[str]:
    return sorted(_tables()[0][version])


def request(version: str, action: str) -> Message:
    return _message(_tables()[0][version][action][0])


def response(version: str, action: str) -> Message:
    return _message(_tables()[0][version][action][1])


def xsd_type(name: str) -> str:
    """The type of a value element: that of EC2's model, where all its members of the name agree."""
    return _XSD.get(_kinds().get(name, "s"), "xs:string")


_XSD = {"i": "xs:long", "b": "xs:boolean", "t": "xs:dateTime"}


@functools.cache
def _kinds() -> dict[str, str]:
    found: dict[str, str] = {}

    def walk(members: Iterable[Member]) -> None:
        for member in members:
            name = member.wire[:1].lower() + member.wire[1:]
            if member.kind not in "SL" and found.setdefault(name, member.kind) != member.kind:
                found[name] = "s"
            walk(member.members if member.item is None else (member.item,))

    for action in shapes.actions().values():
        walk((*action.request, *action.response))
    return found


@functools.cache
def _tables() -> tuple[dict[str, dict[str, list[int]]], list[Any]]:
    found = json.loads(resources.files(__package__).joinpath("ec2_shapes.json").read_text())
    return found["versions"], found["trees"]


@functools.cache
def _message(place: int) -> Message:
    return Message(tuple(map(_element, _tables()[1][place])))


def _element(tree: list[Any]) -> Element:
    name, kind, sub = tree
    if kind == "l":
        return Element(name, kind, item=_element(sub))
    return Element(name, kind.lower(), kind.isupper(), members=tuple(map(_element, sub or ())))
