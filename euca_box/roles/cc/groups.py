"""Security groups: kept as the CLC last said, and passed on to every node."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from euca_box.messages import base
from euca_box.messages.base import Call, system_call
from euca_box.messages.cc import CcConfigureGroups
from euca_box.messages.instance_spec import GroupRules, GroupsInForce
from euca_box.messages.nc import NcConfigureGroups
from euca_box.model.errors import EucaError
from euca_box.store.store import Statement, one

if TYPE_CHECKING:
    from euca_box.roles.cc.nodes import NodeView
    from euca_box.roles.cc.role import Cc

log = logging.getLogger(__name__)

TELL_SECONDS = 5.0  # how long the client waits for nodes that do not answer


@dataclass(frozen=True)
class _Kept:
    version: int
    groups: tuple[GroupRules, ...]


async def load(cc: "Cc") -> None:
    row = one(await cc.store.read("SELECT value FROM meta WHERE name = 'groups'"))
    if row is not None:
        kept = base.decode(row["value"], _Kept)
        cc.groups, cc.groups_version = kept.groups, kept.version


async def configure_groups(cc: "Cc", call: Call, op: CcConfigureGroups) -> GroupsInForce:
    """Keep the rules, then pass them on before the answer to every node that is up: an authorised port
    is open when the client hears of it. A node that is down gets them when it is back."""
    if op.version < cc.groups_version:
        return GroupsInForce(cc.groups_version)
    if op.groups != cc.groups:
        await cc.store.write(
            Statement(
                "INSERT INTO meta (name, value) VALUES ('groups', ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (base.encode(_Kept(op.version, op.groups)),),
            )
        )
        cc.groups, cc.groups_version = op.groups, op.version
    behind = [node for node in cc.nodes.values() if node.up and node.groups_version < cc.groups_version]
    with trio.move_on_after(TELL_SECONDS):  # its own loop tells a node that takes longer
        async with trio.open_nursery() as nursery:
            for node in behind:
                nursery.start_soon(_send_now, cc, node)
    return GroupsInForce(cc.groups_version)


async def _send_now(cc: "Cc", node: "NodeView") -> None:
    try:
        await send(cc, node)
    except EucaError as error:
        log.warning("%s does not have the newest rules of groups: %s", node.address, error.message)


async def send(cc: "Cc", node: "NodeView") -> None:
    """Tell one node all groups; one that has a newer version (our rows were restored) is overruled.

    Raises Unavailable.
    """
    version = cc.groups_version
    op = NcConfigureGroups(version, cc.groups)
    reply = await cc.bus.ask(node.address, op, system_call("groups"))
    if reply.version > version:
        cc.groups_version = max(cc.groups_version, reply.version + 1)
        await send(cc, node)
        return
    node.groups_version = max(node.groups_version, version)
