"""Security groups on this node: given to the network, kept for the next start."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from euca_box.messages import base
from euca_box.messages.base import Call
from euca_box.messages.instance_spec import GroupRules, GroupsInForce
from euca_box.messages.instance_spec import Rule as MessageRule
from euca_box.messages.nc import NcConfigureGroups
from euca_box.net.network import Rule, SecurityGroup
from euca_box.store.store import Statement, one

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc


@dataclass(frozen=True)
class _Kept:
    version: int
    groups: tuple[GroupRules, ...]


async def load(nc: "Nc") -> None:
    row = one(await nc.store.read("SELECT value FROM meta WHERE name = 'groups'"))
    if row is not None:
        kept = base.decode(row["value"], _Kept)
        await nc.network.set_groups(_for_network(nc, kept.groups))
        nc.groups_version = kept.version


async def configure_groups(nc: "Nc", call: Call, op: NcConfigureGroups) -> GroupsInForce:
    """In force when this answers. An older version than the one in force is ignored."""
    if op.version < nc.groups_version:
        return GroupsInForce(nc.groups_version)
    await nc.network.set_groups(_for_network(nc, op.groups))
    await nc.store.write(
        Statement(
            "INSERT INTO meta (name, value) VALUES ('groups', ?) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (base.encode(_Kept(op.version, op.groups)),),
        )
    )
    nc.groups_version = op.version
    return GroupsInForce(op.version)


def _for_network(nc: "Nc", groups: tuple[GroupRules, ...]) -> list[SecurityGroup]:
    """The same object for a group that is the same object, so that the network need not compare its rules."""
    known = nc.network_groups
    nc.network_groups = {
        group.group_id: before
        if (before := known.get(group.group_id)) is not None and before[0] is group
        else (group, _group(group))
        for group in groups
    }
    return [group for _, group in nc.network_groups.values()]


def _group(group: GroupRules) -> SecurityGroup:
    def rules(given: tuple[MessageRule, ...]) -> tuple[Rule, ...]:
        return tuple(Rule(r.protocol, r.from_port, r.to_port, r.cidr, r.group_id) for r in given)

    return SecurityGroup(group.group_id, rules(group.ingress), rules(group.egress))
