"""Rules of security groups: authorised and revoked in both directions, described, and given descriptions.

All rules of a request or none. What one side does the other does too, with `egress` for the direction.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.messages import ec2_groups as ec2
from euca_box.messages.base import Call
from euca_box.messages.ec2_common import TagSpecification
from euca_box.model import ids
from euca_box.model.ec2_errors import (
    InvalidGroupNotFound,
    InvalidPermissionDuplicate,
    InvalidPermissionNotFound,
    InvalidSecurityGroupRuleIdNotFound,
    RulesPerSecurityGroupLimitExceeded,
)
from euca_box.model.errors import (
    EucaError,
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    UnsupportedOperation,
)
from euca_box.model.filters import filtered
from euca_box.model.groups import GroupRule, SecurityGroup
from euca_box.model.paging import page
from euca_box.roles.clc import permissions
from euca_box.roles.clc.firewall import send_groups
from euca_box.roles.clc.groups import default_group, reachable
from euca_box.roles.clc.network_rules import need_groups
from euca_box.roles.clc.rules import stop_if_dry_run

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)

FILTERS = {
    "group-id": lambda v: v.group_id,
    "security-group-rule-id": lambda v: v.security_group_rule_id,
}

Rules = tuple[GroupRule, ...]
Update = ec2.UpdateSecurityGroupRuleDescriptionsIngress | ec2.UpdateSecurityGroupRuleDescriptionsEgress


async def authorize_security_group_ingress(
    clc: "Clc", call: Call, op: ec2.AuthorizeSecurityGroupIngress
) -> ec2.AuthorizeSecurityGroupIngressResult:
    """Raises InvalidPermission.Duplicate, InvalidPermission.Malformed, limits."""
    need_groups(clc)
    _refuse_tags(op.tag_specifications)
    group = reachable(clc, call, op.group_id, op.group_name)
    rules = permissions.rules_of(clc, call, permissions.permissions_of(op))
    stop_if_dry_run(op.dry_run)
    return ec2.AuthorizeSecurityGroupIngressResult(
        security_group_rules=await _authorize(clc, group, rules, egress=False)
    )


async def authorize_security_group_egress(
    clc: "Clc", call: Call, op: ec2.AuthorizeSecurityGroupEgress
) -> ec2.AuthorizeSecurityGroupEgressResult:
    """Raises InvalidPermission.Duplicate, InvalidPermission.Malformed, limits."""
    need_groups(clc)
    _refuse_tags(op.tag_specifications)
    group = reachable(clc, call, op.group_id, None)
    rules = permissions.rules_of(clc, call, op.ip_permissions)
    stop_if_dry_run(op.dry_run)
    return ec2.AuthorizeSecurityGroupEgressResult(
        security_group_rules=await _authorize(clc, group, rules, egress=True)
    )


async def revoke_security_group_ingress(
    clc: "Clc", call: Call, op: ec2.RevokeSecurityGroupIngress
) -> ec2.RevokeSecurityGroupIngressResult:
    """Raises InvalidPermission.NotFound or InvalidSecurityGroupRuleId.NotFound when one is not there."""
    need_groups(clc)
    group = reachable(clc, call, op.group_id, op.group_name)
    given = permissions.permissions_of(op)
    gone = await _revoke(
        clc, call, group, given, op.security_group_rule_ids, egress=False, dry_run=op.dry_run
    )
    return ec2.RevokeSecurityGroupIngressResult(revoked_security_group_rules=gone)


async def revoke_security_group_egress(
    clc: "Clc", call: Call, op: ec2.RevokeSecurityGroupEgress
) -> ec2.RevokeSecurityGroupEgressResult:
    need_groups(clc)
    group = reachable(clc, call, op.group_id, None)
    gone = await _revoke(
        clc, call, group, op.ip_permissions, op.security_group_rule_ids, egress=True, dry_run=op.dry_run
    )
    return ec2.RevokeSecurityGroupEgressResult(revoked_security_group_rules=gone)


async def describe_security_group_rules(
    clc: "Clc", call: Call, op: ec2.DescribeSecurityGroupRules
) -> ec2.DescribeSecurityGroupRulesResult:
    stop_if_dry_run(op.dry_run)
    await default_group(clc, call.account)
    found = [view for group in clc.groups.of(call.account) for view in _views(clc, group)]
    if op.security_group_rule_ids:
        wanted = dict.fromkeys(ids.checked(rule_id, "sgr") for rule_id in op.security_group_rule_ids)
        found = [view for view in found if view.security_group_rule_id in wanted]
        known = {view.security_group_rule_id for view in found}
        if missing := [rule_id for rule_id in wanted if rule_id not in known]:
            raise InvalidSecurityGroupRuleIdNotFound(*missing)
    shown, token = page(
        sorted(filtered(found, op.filters, FILTERS), key=lambda v: v.security_group_rule_id),
        lambda v: v.security_group_rule_id,
        max_results=op.max_results,
        next_token=op.next_token,
        ids_given=bool(op.security_group_rule_ids),
    )
    return ec2.DescribeSecurityGroupRulesResult(tuple(shown), token)


async def update_descriptions_ingress(
    clc: "Clc", call: Call, op: ec2.UpdateSecurityGroupRuleDescriptionsIngress
) -> ec2.UpdateSecurityGroupRuleDescriptionsResult:
    return await _describe_anew(clc, call, op, egress=False)


async def update_descriptions_egress(
    clc: "Clc", call: Call, op: ec2.UpdateSecurityGroupRuleDescriptionsEgress
) -> ec2.UpdateSecurityGroupRuleDescriptionsResult:
    return await _describe_anew(clc, call, op, egress=True)


async def _authorize(
    clc: "Clc", group: SecurityGroup, rules: list[GroupRule], *, egress: bool
) -> tuple[ec2.SecurityGroupRule, ...]:
    def add(current: SecurityGroup) -> SecurityGroup:
        known = {rule.same_as for rule in _side(current, egress)}
        for rule in rules:
            if rule.same_as in known:
                raise InvalidPermissionDuplicate(permissions.in_words(rule))
            known.add(rule.same_as)
        if len(known) > clc.settings.max_group_rules:
            raise RulesPerSecurityGroupLimitExceeded
        return _with(current, (*_side(current, egress), *rules), egress)

    if await clc.groups.change(group.group_id, add) is None:
        raise InvalidGroupNotFound(group.group_id)
    await _put_in_force(clc)
    return tuple(_view(clc, group, rule, egress=egress) for rule in rules)


async def _revoke(
    clc: "Clc",
    call: Call,
    group: SecurityGroup,
    given: tuple[ec2.IpPermission, ...],
    asked_ids: tuple[str, ...],
    *,
    egress: bool,
    dry_run: bool,
) -> tuple[ec2.RevokedSecurityGroupRule, ...]:
    if asked_ids and given:
        raise InvalidParameterCombination("Rules are named either by id or by what they allow, not both.")
    rule_ids = {ids.checked(rule_id, "sgr") for rule_id in asked_ids}
    same = set() if rule_ids else {rule.same_as for rule in permissions.rules_of(clc, call, given)}
    taken: list[GroupRule] = []

    def take(current: SecurityGroup) -> SecurityGroup:
        taken[:] = [r for r in _side(current, egress) if r.same_as in same or r.rule_id in rule_ids]
        _refuse_missing(taken, same, rule_ids)
        return _with(current, tuple(r for r in _side(current, egress) if r not in taken), egress)

    take(clc.groups.find(group.group_id) or group)
    stop_if_dry_run(dry_run)
    if await clc.groups.change(group.group_id, take) is None:
        raise InvalidGroupNotFound(group.group_id)
    await _put_in_force(clc)
    return tuple(_revoked_view(group, rule, egress=egress) for rule in taken)


async def _describe_anew(
    clc: "Clc", call: Call, op: Update, *, egress: bool
) -> ec2.UpdateSecurityGroupRuleDescriptionsResult:
    """Descriptions stay here: clusters never hear of them."""
    group = reachable(clc, call, op.group_id, op.group_name)
    by_id, by_rule = op.security_group_rule_descriptions, op.ip_permissions
    if by_id and by_rule:
        raise InvalidParameterCombination("Rules are named either by id or by what they allow, not both.")
    if not by_id and not by_rule:
        raise MissingParameter("IpPermissions")
    words_of_id = {
        ids.checked(d.security_group_rule_id, "sgr"): permissions.described(d.description) for d in by_id
    }
    same = (
        {rule.same_as: rule.description for rule in permissions.rules_of(clc, call, by_rule)}
        if by_rule
        else {}
    )

    def describe(current: SecurityGroup) -> SecurityGroup:
        side = _side(current, egress)
        chosen = [r for r in side if r.same_as in same or r.rule_id in words_of_id]
        _refuse_missing(chosen, same, words_of_id)
        words = {r.rule_id: words_of_id.get(r.rule_id, same.get(r.same_as)) for r in chosen}
        anew = (replace(r, description=words[r.rule_id]) if r.rule_id in words else r for r in side)
        return _with(current, tuple(anew), egress)

    describe(clc.groups.find(group.group_id) or group)
    stop_if_dry_run(op.dry_run)
    if await clc.groups.change(group.group_id, describe) is None:
        raise InvalidGroupNotFound(group.group_id)
    return ec2.UpdateSecurityGroupRuleDescriptionsResult()


def _refuse_missing(
    chosen: list[GroupRule], same: Iterable[tuple[object, ...]], rule_ids: Iterable[str]
) -> None:
    known_ids, known = {r.rule_id for r in chosen}, {r.same_as for r in chosen}
    if missing := [rule_id for rule_id in rule_ids if rule_id not in known_ids]:
        raise InvalidSecurityGroupRuleIdNotFound(*missing)
    if any(rule not in known for rule in same):
        raise InvalidPermissionNotFound


async def _put_in_force(clc: "Clc") -> None:
    """Rules are in force when the client hears of them; a cluster that does not answer gets them later."""
    try:
        await send_groups(clc)
    except EucaError as error:
        log.warning("rules are not in force yet: %s", error.message)
        clc.groups_bell.ring()


def _refuse_tags(specifications: Iterable[TagSpecification]) -> None:
    for specification in specifications:
        if specification.resource_type != "security-group-rule":
            raise InvalidParameterValue(
                f"'{specification.resource_type[:64]}' is not a valid taggable resource type for this "
                "operation."
            )
        raise UnsupportedOperation("Tags on security group rules are not supported.")


def _side(group: SecurityGroup, egress: bool) -> Rules:
    return group.egress if egress else group.ingress


def _with(group: SecurityGroup, rules: Rules, egress: bool) -> SecurityGroup:
    return replace(group, egress=rules) if egress else replace(group, ingress=rules)


def _views(clc: "Clc", group: SecurityGroup) -> list[ec2.SecurityGroupRule]:
    return [
        _view(clc, group, rule, egress=egress) for egress in (False, True) for rule in _side(group, egress)
    ]


def _view(clc: "Clc", group: SecurityGroup, rule: GroupRule, *, egress: bool) -> ec2.SecurityGroupRule:
    source = None
    if rule.group_id is not None:
        source = ec2.ReferencedSecurityGroup(rule.group_id, rule.group_account or group.account)
    return ec2.SecurityGroupRule(
        security_group_rule_id=rule.rule_id,
        group_id=group.group_id,
        group_owner_id=group.account,
        is_egress=egress,
        ip_protocol=rule.protocol,
        from_port=rule.from_port,
        to_port=rule.to_port,
        cidr_ipv4=rule.cidr,
        referenced_group_info=source,
        description=rule.description,
        security_group_rule_arn=(
            f"arn:aws:ec2:{clc.settings.region}:{group.account}:security-group-rule/{rule.rule_id}"
        ),
    )


def _revoked_view(group: SecurityGroup, rule: GroupRule, *, egress: bool) -> ec2.RevokedSecurityGroupRule:
    return ec2.RevokedSecurityGroupRule(
        security_group_rule_id=rule.rule_id,
        group_id=group.group_id,
        is_egress=egress,
        ip_protocol=rule.protocol,
        from_port=rule.from_port,
        to_port=rule.to_port,
        cidr_ipv4=rule.cidr,
        referenced_group_id=rule.group_id,
        description=rule.description,
    )
