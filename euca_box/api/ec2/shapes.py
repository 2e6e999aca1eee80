"""Wire names of EC2's actions, from `shapes.json`, which scripts/extract_ec2_shapes.py writes.

A message field is the model's member in snake case: member `InstanceIds`, field `instance_ids`,
parameter `InstanceId.1`, element `instancesSet`. No name is written twice by hand.
"""

import functools
import json
import keyword
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any

_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True, eq=False)  # compared and hashed by identity: caches go by it
class Member:
    """One member of a shape. `kind` is s i f b t B, S (tree in `members`) or L (its item in `item`)."""

    name: str
    wire: str
    kind: str
    members: tuple["Member", ...] = ()
    item: "Member | None" = None


@dataclass(frozen=True, slots=True)
class Action:
    """`required`: wire names of an action that is read and then refused; others have a message for that."""

    request: tuple[Member, ...]
    response: tuple[Member, ...]
    required: tuple[str, ...] = ()


@functools.cache
def actions() -> dict[str, Action]:
    """Every action that has a shape, by name."""
    text = resources.files(__package__).joinpath("shapes.json").read_text()
    return {
        name: Action(_members(shape["in"]), _members(shape["out"]), tuple(shape.get("required", ())))
        for name, shape in json.loads(text).items()
    }


@functools.cache
def known_actions() -> frozenset[str]:
    """Every action of EC2's model, offered here or not."""
    return frozenset(resources.files(__package__).joinpath("actions.txt").read_text().split())


def field_name(member: str) -> str:
    """`CidrIpv4` -> `cidr_ipv4`, `Return` -> `return_`."""
    name = _WORD.sub("_", member).lower()
    return name + "_" if keyword.iskeyword(name) else name


def _members(tree: list[Any]) -> tuple[Member, ...]:
    return tuple(_member(name, wire, kind, sub) for name, wire, kind, sub in tree)


def _member(name: str, wire: str, kind: str, sub: Any) -> Member:
    if kind == "S":
        return Member(field_name(name), wire, kind, members=_members(sub))
    if kind == "L":
        return Member(field_name(name), wire, kind, item=_member(name, *sub))
    return Member(field_name(name), wire, kind)
