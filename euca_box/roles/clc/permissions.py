"""Permissions as clients write them <-> rules as we keep them: one source a rule.

Two forms come in: IpPermissions, and the flat fields of clients before 2010 (boto 2, euca2ools 1.x).
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from euca_box.messages import ec2_groups as ec2
from euca_box.messages.base import Call
from euca_box.model import ids
from euca_box.model.ec2_errors import InvalidGroupNotFound, InvalidPermissionMalformed
from euca_box.model.errors import (
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    UnsupportedOperation,
)
from euca_box.model.groups import ANYWHERE, GroupRule, SecurityGroup

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

NUMBERS = {"1": "icmp", "6": "tcp", "17": "udp", "all": "-1"}
LARGEST_PORT = 65535
DESCRIPTION_LENGTH = 255

Flat = ec2.AuthorizeSecurityGroupIngress | ec2.RevokeSecurityGroupIngress


def permissions_of(op: Flat) -> tuple[ec2.IpPermission, ...]:
    """The permissions of a request, in whichever form they came."""
    flat = _flat(op)
    if flat is not None and op.ip_permissions:
        raise InvalidParameterCombination("Rules are given either flat or as IpPermissions, not both.")
    return op.ip_permissions if flat is None else (flat,)


def rules_of(clc: "Clc", call: Call, wanted: Iterable[ec2.IpPermission]) -> list[GroupRule]:
    """The rules that permissions name. Raises InvalidPermission.Malformed, InvalidGroup.NotFound..."""
    rules = [rule for permission in wanted for rule in _rules(clc, call, permission)]
    if not rules:
        raise MissingParameter("IpPermissions")
    return rules


def grouped(rules: Iterable[GroupRule]) -> tuple[ec2.IpPermission, ...]:
    """Rules with the same protocol and ports as one permission with many sources, as EC2 shows them."""
    together: dict[tuple[str, int, int], list[GroupRule]] = {}
    for rule in rules:
        together.setdefault((rule.protocol, rule.from_port, rule.to_port), []).append(rule)
    return tuple(_permission(key, same) for key, same in together.items())


def in_words(rule: GroupRule) -> str:
    ports = "ALL" if rule.from_port == -1 else f"from port: {rule.from_port}, to port: {rule.to_port}"
    source = rule.cidr or rule.group_id
    return f"peer: {source}, {rule.protocol.upper()}, {ports}, ALLOW"


def _flat(op: Flat) -> ec2.IpPermission | None:
    """The fields of 2009-04-04. A source group without a protocol means all TCP, UDP and ICMP."""
    if op.source_security_group_name is not None:
        pair = ec2.UserIdGroupPair(
            group_name=op.source_security_group_name, user_id=op.source_security_group_owner_id
        )
        return ec2.IpPermission(op.ip_protocol or "-1", op.from_port, op.to_port, (pair,))
    if op.ip_protocol is None and op.cidr_ip is None:
        return None
    return ec2.IpPermission(
        op.ip_protocol or "-1", op.from_port, op.to_port, ip_ranges=(ec2.IpRange(op.cidr_ip or ANYWHERE),)
    )


def _rules(clc: "Clc", call: Call, permission: ec2.IpPermission) -> list[GroupRule]:
    protocol, low, high = _ports(permission)
    if permission.ipv6_ranges:
        raise UnsupportedOperation("IPv6 ranges are not supported: instances have IPv4 addresses only.")
    rules = [
        GroupRule(
            clc.new_id("sgr"),
            protocol,
            low,
            high,
            cidr=_cidr(r.cidr_ip),
            description=described(r.description),
        )
        for r in permission.ip_ranges
    ]
    for pair in permission.user_id_group_pairs:
        group = _source(clc, call, pair)
        rules.append(
            GroupRule(
                clc.new_id("sgr"), protocol, low, high, group_id=group.group_id,
                group_account=group.account, description=described(pair.description),
            )
        )  # fmt: skip
    if not rules:
        raise MissingParameter("IpPermissions.IpRanges")
    return rules


def _ports(permission: ec2.IpPermission) -> tuple[str, int, int]:
    protocol = permission.ip_protocol.lower()
    protocol = NUMBERS.get(protocol, protocol)
    low, high = permission.from_port, permission.to_port
    if protocol in ("tcp", "udp"):
        if low is None or high is None:
            raise InvalidParameterValue(
                f"Invalid value 'Must specify both from and to ports with {protocol.upper()}'."
            )
        if (low, high) == (-1, -1):
            low, high = 0, LARGEST_PORT
        if not 0 <= low <= high <= LARGEST_PORT:
            raise InvalidPermissionMalformed(f"Invalid TCP/UDP port range ({low}:{high})")
        return protocol, low, high
    if protocol == "icmp":
        kind, code = -1 if low is None else low, -1 if high is None else high
        if not (-1 <= kind <= 255 and -1 <= code <= 255):
            raise InvalidPermissionMalformed(f"ICMP code ({code}) out of range")
        return protocol, kind, code
    known = protocol == "-1" or (re.fullmatch("[0-9]{1,3}", protocol) is not None and int(protocol) <= 255)
    if not known:
        raise InvalidPermissionMalformed(f'Unsupported IP protocol "{permission.ip_protocol[:32]}"')
    return protocol, -1, -1  # EC2: ports are ignored, all are allowed


def _cidr(text: str) -> str:
    try:
        network = ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        raise InvalidParameterValue(f"CIDR block {text[:64]} is malformed") from None
    return str(network)


def described(text: str | None) -> str | None:
    if text is not None and len(text) > DESCRIPTION_LENGTH:
        raise InvalidParameterValue(f"Rule descriptions have at most {DESCRIPTION_LENGTH} characters.")
    return text


def _source(clc: "Clc", call: Call, pair: ec2.UserIdGroupPair) -> SecurityGroup:
    """A source group by id, or by name and owner. Another account's group must be named by its owner."""
    owner = pair.user_id or call.account
    group = None
    if pair.group_id is not None:
        group = clc.groups.owned(owner, ids.checked(pair.group_id, "sg"))
    elif pair.group_name is not None:
        group = next((g for g in clc.groups.of(owner) if g.name == pair.group_name), None)
    if group is None:
        raise InvalidGroupNotFound(pair.group_id or pair.group_name or "")
    return group


def _permission(key: tuple[str, int, int], rules: list[GroupRule]) -> ec2.IpPermission:
    protocol, low, high = key
    return ec2.IpPermission(
        ip_protocol=protocol,
        from_port=None if protocol == "-1" else low,
        to_port=None if protocol == "-1" else high,
        user_id_group_pairs=tuple(
            ec2.UserIdGroupPair(r.group_id, user_id=r.group_account, description=r.description)
            for r in rules
            if r.group_id is not None
        ),
        ip_ranges=tuple(ec2.IpRange(r.cidr, r.description) for r in rules if r.cidr is not None),
    )
