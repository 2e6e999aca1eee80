"""The rules of security groups on their way down: what a cluster needs of them, in order."""

from typing import TYPE_CHECKING

from euca_box.messages.base import system_call
from euca_box.messages.cc import CcConfigureGroups
from euca_box.messages.instance_spec import GroupRules, Rule
from euca_box.model.errors import EucaError, Unavailable
from euca_box.model.groups import GroupRule, SecurityGroup
from euca_box.roles.clc.known_hosts import is_silent, zone_names

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc


async def send_groups(clc: "Clc", only: str | None = None) -> None:
    """Tell the clusters, or that of one zone, all groups that live instances are in; they are in force there
    when this returns.

    One at a time, so that an older set never comes after a newer one. Raises Unavailable, when all that
    answer know it.
    """
    failed: EucaError | None = None
    async with clc.sending_groups:
        for zone in [only] if only is not None else zone_names(clc):
            try:
                await _send(clc, zone, again=only is None)
            except EucaError as error:
                failed = error
    if failed is not None:
        raise failed


async def _send(clc: "Clc", zone: str, *, again: bool) -> None:
    """`again`: also when the cluster has said that it has these; it may have lost them since."""
    if is_silent(clc, zone):
        raise Unavailable(f"{clc.cc_of(zone)} gives no news.")
    while True:
        groups = _groups_in_use(clc)
        if not again and clc.groups_in_force.get(zone) == groups:
            return
        clc.groups_version = max(clc.groups_version + 1, int(clc.now() * 1000))
        op = CcConfigureGroups(clc.groups_version, groups)
        clc.groups_in_force.pop(zone, None)
        reply = await clc.bus.ask(clc.cc_of(zone), op, system_call("groups"))
        if reply.version <= clc.groups_version:
            clc.groups_in_force[zone] = groups
            return
        clc.groups_version = reply.version  # the clock of this host was set back


def _groups_in_use(clc: "Clc") -> tuple[GroupRules, ...]:
    used = clc.census.groups
    found = sorted((g for g in clc.groups.all() if used[g.group_id] > 0), key=lambda g: g.group_id)
    sent = {group.group_id: _as_before(clc, group) for group in found}
    clc.sent_groups = sent
    return tuple(rules for _, rules in sent.values())


def _as_before(clc: "Clc", group: SecurityGroup) -> tuple[SecurityGroup, GroupRules]:
    """The same object for a group that did not change, so that nobody below looks at its rules again."""
    known = clc.sent_groups.get(group.group_id)
    return known if known is not None and known[0] is group else (group, _rules(group))


def _rules(group: SecurityGroup) -> GroupRules:
    def plain(rules: tuple[GroupRule, ...]) -> tuple[Rule, ...]:
        return tuple(Rule(r.protocol, r.from_port, r.to_port, r.cidr, r.group_id) for r in rules)

    return GroupRules(group.group_id, plain(group.ingress), plain(group.egress))
