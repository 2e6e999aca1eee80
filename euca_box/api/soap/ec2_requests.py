"""A SOAP request of EC2 as the parameters of the Query API, which are read as those are.

An element is its parameter by name: `imageId` is ImageId, `instancesSet/item/instanceId` InstanceId.1,
`ipPermissions/item/fromPort` IpPermissions.1.FromPort; where names differ it is said in `_OTHER`.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lxml import etree

from euca_box.api.ec2 import shapes
from euca_box.api.ec2.decode import Tree
from euca_box.api.ec2.shapes import Member
from euca_box.api.soap import ec2_shapes
from euca_box.api.soap.ec2_shapes import Element, Message
from euca_box.model.errors import (
    InvalidParameterCombination,
    InvalidParameterValue,
    UnknownParameter,
    UnsupportedOperation,
)

_OTHER = {
    "groupSet": "SecurityGroup",
    "userData": "UserData",
    "executableBySet": "ExecutableBy",
    "filterSet": "Filter",
    "tagSet": "Tag",
    "valueSet": "Value",
    "restorableBySet": "RestorableBy",
    "awsAccessKeyId": "AWSAccessKeyId",
}
# Read and of no effect, as in Query requests of 1.6.2 and in AWS's own SOAP.
_WITHOUT_EFFECT = {"additionalInfo", "version", "encoding"}
# One of these empty elements says which attribute is meant.
_ATTRIBUTE_CHOICE = {"DescribeImageAttribute", "ResetImageAttribute", "DescribeVpcAttribute"}
_ATTRIBUTES = frozenset(
    (
        "launchPermission",
        "productCodes",
        "kernel",
        "ramdisk",
        "blockDeviceMapping",
        "description",
        "enableDnsSupport",
        "enableDnsHostnames",
    )
)

Take = Callable[[etree._Element, Tree], None]
Plan = Mapping[str, Take | None]  # None: nothing of ours has that


def parameters(version: str, action: str, element: etree._Element) -> Tree:
    """The tree of Query parameters. Raises UnknownParameter, InvalidParameterValue, UnsupportedOperation."""
    tree: Tree = {}
    plan = _plan(ec2_shapes.request(version, action), action)
    _take_all(element, plan, tree, etree.QName(element).namespace)
    return tree


@functools.cache
def _plan(message: Message, action: str) -> Plan:
    return planned(message, action, [])


def planned(message: Message, action: str, unmatched: list[str]) -> Plan:
    """How each element is taken; `unmatched` gets those that have no parameter."""
    plan = _of_elements(message.elements, shapes.actions()[action].request, unmatched)
    chosen = {name: _attribute(name) for name in plan.keys() & attribute_choices(action)}
    return {**plan, **chosen}


def attribute_choices(action: str) -> frozenset[str]:
    """Empty elements of which one says what is asked for."""
    return _ATTRIBUTES if action in _ATTRIBUTE_CHOICE else frozenset()


def _of_elements(elements: Iterable[Element], members: tuple[Member, ...], unmatched: list[str]) -> Plan:
    known = {member.wire: member for member in members}
    plan = {element.name: _taker(element, known, unmatched) for element in elements}
    unmatched += [name for name, take in plan.items() if take is None]
    return plan


def _taker(element: Element, known: dict[str, Member], unmatched: list[str]) -> Take | None:
    if element.name in _WITHOUT_EFFECT:
        return lambda child, tree: None
    if element.name == "userData" and element.members and known["UserData"].kind == "s":
        return _user_data
    if element.kind == "l":
        return _list_taker(element, known, unmatched)
    member = known.get(_OTHER.get(element.name, _capital(element.name)))
    if member is None:
        return None
    if element.kind == "v" or not element.members:  # an empty element, noDevice, is an empty value
        return _value(member.wire)
    inner = _of_elements(element.members, member.members, unmatched)

    def take(child: etree._Element, tree: Tree) -> None:
        _take_all(child, inner, tree.setdefault(member.wire, {}), etree.QName(child).namespace)

    return take


def _list_taker(element: Element, known: dict[str, Member], unmatched: list[str]) -> Take | None:
    item = element.item
    assert item is not None
    single = item.members[0] if len(item.members) == 1 and item.members[0].kind == "v" else None
    names = [_OTHER.get(element.name, ""), _capital(element.name)]
    if single is not None:
        names.insert(0, _capital(single.name))
    for name in names:
        member = known.get(name)
        if member is None or member.kind != "L" or member.item is None:
            continue
        if member.item.kind != "S" and single is not None:
            return _flat(element.name, member.wire, single.name, known)
        if member.item.kind == "S":
            return _numbered(member.wire, _of_elements(item.members, member.item.members, unmatched))
    return None


def _flat(listed: str, wire: str, name: str, known: dict[str, Member]) -> Take:
    """`<set><item><name>x</name></item></set>` is Wire.1=x."""

    def take(child: etree._Element, tree: Tree) -> None:
        for item in _items(child):
            found: Tree = {}
            _take_all(item, {name: _value(name)}, found, etree.QName(child).namespace)
            text = found.get(name, "")
            # 2011's groups of a VPC are named by id in the element that held names.
            by_id = listed == "groupSet" and text.startswith("sg-") and "SecurityGroupId" in known
            numbered = tree.setdefault("SecurityGroupId" if by_id else wire, {})
            numbered[str(len(numbered) + 1)] = text

    return take


def _numbered(wire: str, inner: Plan) -> Take:
    def take(child: etree._Element, tree: Tree) -> None:
        numbered = tree.setdefault(wire, {})
        for item in _items(child):
            _take_all(
                item, inner, numbered.setdefault(str(len(numbered) + 1), {}), etree.QName(child).namespace
            )

    return take


def _items(element: etree._Element) -> list[etree._Element]:
    for child in element:
        if etree.QName(child).localname != "item":
            raise UnknownParameter(etree.QName(child).localname[:64])
    return list(element)


def _take_all(element: etree._Element, plan: Plan, tree: Tree, space: str | None) -> None:
    seen: set[str] = set()
    for child in element:
        name = etree.QName(child).localname
        if etree.QName(child).namespace != space or name not in plan:
            raise UnknownParameter(name[:64])
        if name in seen:
            raise InvalidParameterCombination(f"The parameter {name} was given more than once")
        seen.add(name)
        take = plan[name]
        if take is None:
            raise UnsupportedOperation(f"The parameter {name} is not supported.")
        take(child, tree)


def _value(wire: str) -> Take:
    def take(child: etree._Element, tree: Tree) -> None:
        tree[wire] = _text(child)

    return take


def _text(element: etree._Element) -> str:
    if len(element):
        raise InvalidParameterValue(f"{etree.QName(element).localname[:64]} is a value, not a structure")
    return element.text or ""


def _user_data(child: etree._Element, tree: Tree) -> None:
    found: dict[str, Any] = {}
    plan = {name: _value(name) for name in ("data", "version", "encoding")}
    _take_all(child, plan, found, etree.QName(child).namespace)
    if "data" in found:
        tree["UserData"] = found["data"]


def _attribute(name: str) -> Take:
    def take(child: etree._Element, tree: Tree) -> None:
        if "Attribute" in tree:
            raise InvalidParameterCombination("One attribute is asked for at a time.")
        tree["Attribute"] = name

    return take


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
