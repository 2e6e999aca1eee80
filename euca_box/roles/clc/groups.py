"""Security groups (EC2 2016-11-15). What is done to their rules is in `group_rules.py`."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from euca_box.messages import ec2_groups as ec2
from euca_box.messages.base import Call
from euca_box.model import ids
from euca_box.model.ec2_errors import (
    CannotDelete,
    DependencyViolation,
    InvalidGroupDuplicate,
    InvalidGroupNotFound,
    InvalidGroupReserved,
    InvalidVpcIDNotFound,
    SecurityGroupLimitExceeded,
)
from euca_box.model.errors import InvalidParameterValue, MissingParameter
from euca_box.model.filters import Getter, filtered
from euca_box.model.groups import ALLOW_ALL_RULE, DEFAULT, GroupRule, SecurityGroup
from euca_box.model.paging import page
from euca_box.roles.clc import permissions
from euca_box.roles.clc.rules import Tags, names_owner, stop_if_dry_run, tags_for, without_verbose
from euca_box.roles.clc.views import tags_view
from euca_box.store.store import Conflict, Statement, insert

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

TEXT = re.compile(r"[A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}")  # EC2, CreateSecurityGroup, VPC rule

RulesOf = Callable[[SecurityGroup], tuple[GroupRule, ...]]


def _rule_filters(prefix: str, rules_of: RulesOf) -> dict[str, Getter]:
    return {
        f"{prefix}ip-permission.cidr": lambda r: [x.cidr for x in rules_of(r)],
        f"{prefix}ip-permission.from-port": lambda r: [x.from_port for x in rules_of(r)],
        f"{prefix}ip-permission.to-port": lambda r: [x.to_port for x in rules_of(r)],
        f"{prefix}ip-permission.protocol": lambda r: [x.protocol for x in rules_of(r)],
        f"{prefix}ip-permission.group-id": lambda r: [x.group_id for x in rules_of(r)],
        f"{prefix}ip-permission.user-id": lambda r: [x.group_account for x in rules_of(r)],
    }


FILTERS: dict[str, Getter] = {
    "description": lambda r: r.description,
    "group-id": lambda r: r.group_id,
    "group-name": lambda r: r.name,
    "owner-id": lambda r: r.account,
    **_rule_filters("", lambda r: r.ingress),
    **_rule_filters("egress.", lambda r: r.egress),
}


async def create_security_group(
    clc: "Clc", call: Call, op: ec2.CreateSecurityGroup
) -> ec2.CreateSecurityGroupResult:
    tags = tags_for("security-group", op.tag_specifications)
    if op.vpc_id is not None and op.vpc_id.lower() != clc.settings.vpc_id:
        raise InvalidVpcIDNotFound(op.vpc_id)
    if op.group_name.lower() == DEFAULT:
        raise InvalidGroupReserved(op.group_name)
    if op.group_name.lower().startswith("sg-") or not TEXT.fullmatch(op.group_name):
        raise InvalidParameterValue(
            f"Value ({op.group_name[:64]}) for parameter GroupName is invalid. Character sets beyond "
            "letters, digits, spaces and ._-:/()#,@[]+=&;{}!$* are not supported."
        )
    if not TEXT.fullmatch(op.description):
        raise InvalidParameterValue("Value for parameter GroupDescription is invalid.")
    if find_by_name(clc, call.account, op.group_name) is not None:
        raise InvalidGroupDuplicate(op.group_name)
    if sum(1 for _ in clc.groups.of(call.account)) >= clc.settings.max_security_groups:
        raise SecurityGroupLimitExceeded
    stop_if_dry_run(op.dry_run)
    group = await _add(clc, call.account, op.group_name, op.description, tags)
    return ec2.CreateSecurityGroupResult(group.group_id, tags_view(tags))


async def delete_security_group(
    clc: "Clc", call: Call, op: ec2.DeleteSecurityGroup
) -> ec2.DeleteSecurityGroupResult:
    """Refused while an instance is a member or another group's rule names it."""
    group = reachable(clc, call, op.group_id, op.group_name)
    if group.name == DEFAULT:
        raise CannotDelete(
            f'the specified group: "{group.group_id}" name: "default" cannot be deleted by a user'
        )
    members = any(
        i.ended_at is None and group.group_id in i.group_ids for i in clc.instances.of(group.account)
    )
    named_by_others = any(
        rule.group_id == group.group_id
        for other in clc.groups.all()
        if other.group_id != group.group_id
        for rule in (*other.ingress, *other.egress)
    )
    if members or named_by_others:
        raise DependencyViolation(group.group_id)
    stop_if_dry_run(op.dry_run)
    await clc.groups.remove(
        group.group_id,
        Statement(
            "DELETE FROM security_group_name WHERE account = ? AND name = ?", (group.account, group.name)
        ),
    )
    return ec2.DeleteSecurityGroupResult(group_id=group.group_id)


async def describe_security_groups(
    clc: "Clc", call: Call, op: ec2.DescribeSecurityGroups
) -> ec2.DescribeSecurityGroupsResult:
    stop_if_dry_run(op.dry_run)
    await default_group(clc, call.account)
    names, everything = without_verbose(call, op.group_names)
    everything = everything or (call.admin and names_owner(op.filters))
    records = clc.groups.all() if everything else list(clc.groups.of(call.account))
    if op.group_ids or names:
        wanted = [reachable(clc, call, group_id, None) for group_id in op.group_ids]
        wanted += [named(clc, call.account, None, name) for name in names]
        records = list(dict.fromkeys(wanted))
    records = filtered(records, op.filters, FILTERS | {"vpc-id": lambda r: clc.settings.vpc_id})
    shown, token = page(
        sorted(records, key=lambda r: r.group_id),
        lambda r: r.group_id,
        max_results=op.max_results,
        next_token=op.next_token,
        ids_given=bool(op.group_ids),
    )
    return ec2.DescribeSecurityGroupsResult(tuple(_view(clc, r) for r in shown), token)


def find_by_name(clc: "Clc", account: str, name: str) -> SecurityGroup | None:
    return next((r for r in clc.groups.of(account) if r.name == name), None)


def named(clc: "Clc", account: str, group_id: str | None, name: str | None) -> SecurityGroup:
    """The account's group. Raises InvalidGroup.NotFound, InvalidGroupId.Malformed, MissingParameter."""
    if group_id is not None:
        group = clc.groups.owned(account, ids.checked(group_id, "sg"))
    elif name is not None:
        group = find_by_name(clc, account, name)
    else:
        raise MissingParameter("GroupId")
    if group is None:
        raise InvalidGroupNotFound(group_id or name or "")
    return group


def reachable(clc: "Clc", call: Call, group_id: str | None, name: str | None) -> SecurityGroup:
    """The caller's group; an administrator's may be of any account, by its id."""
    if call.admin and group_id is not None:
        group = clc.groups.find(ids.checked(group_id, "sg"))
        if group is None:
            raise InvalidGroupNotFound(group_id)
        return group
    return named(clc, call.account, group_id, name)


async def default_group(clc: "Clc", account: str) -> SecurityGroup:
    """The account's group `default`, made when it is first needed: members reach each other."""
    if (group := find_by_name(clc, account, DEFAULT)) is not None:
        return group
    lock = clc.group_locks.setdefault(account, trio.Lock())
    async with lock:
        group = find_by_name(clc, account, DEFAULT)
        return group or await _add(clc, account, DEFAULT, "default VPC security group", ())


async def _add(clc: "Clc", account: str, name: str, description: str, tags: Tags) -> SecurityGroup:
    group_id = clc.new_id("sg")
    inside: tuple[GroupRule, ...] = ()
    if name == DEFAULT:
        inside = (GroupRule(clc.new_id("sgr"), "-1", -1, -1, group_id=group_id, group_account=account),)
    group = SecurityGroup(
        group_id=group_id,
        account=account,
        name=name,
        description=description,
        ingress=inside,
        egress=(GroupRule(clc.new_id("sgr"), *ALLOW_ALL_RULE),),
        tags=tags,
    )
    try:
        await clc.groups.add([group], insert("security_group_name", {"account": account, "name": name}))
    except Conflict:
        raise InvalidGroupDuplicate(name) from None
    return group


def _view(clc: "Clc", group: SecurityGroup) -> ec2.SecurityGroup:
    return ec2.SecurityGroup(
        group_id=group.group_id,
        group_name=group.name,
        description=group.description,
        owner_id=group.account,
        vpc_id=clc.settings.vpc_id,
        ip_permissions=permissions.grouped(group.ingress),
        ip_permissions_egress=permissions.grouped(group.egress),
        tags=tags_view(group.tags),
    )
