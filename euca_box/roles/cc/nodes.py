"""The nodes of the zone: which there are, kept as the CLC last said, and what is known of each."""

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import trio

from euca_box.messages import base
from euca_box.messages.base import Call
from euca_box.messages.cc import CcSyncNodes, NodesInForce, ZoneNode
from euca_box.messages.instance_spec import InstanceReport
from euca_box.messages.nc import NodeResources
from euca_box.model.nodes import NodeCondition, NodeWish
from euca_box.roles.cc import remotes
from euca_box.store.store import Statement, one
from euca_box.tasks import Bell

if TYPE_CHECKING:
    from euca_box.roles.cc.role import Cc

log = logging.getLogger(__name__)

KEEP_VERSION = (
    "INSERT INTO meta (name, value) VALUES ('nodes', ?) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


@dataclass(frozen=True)
class KeptNode:
    """What outlives this process: the CLC's wish, what the node last offered, whether it sleeps."""

    wish: ZoneNode
    resources: NodeResources | None = None
    asleep: bool = False


@dataclass
class NodeView:
    """What is known of a node at this moment. Times are of trio's clock."""

    address: str
    kept: KeptNode
    up: bool = False
    waking_since: float | None = None
    idle_since: float | None = None
    bell: Bell = field(default_factory=Bell)  # it may have to be woken
    errands: Bell = field(default_factory=Bell)  # an instance of it shall change
    detail: str = "has not answered yet"
    groups_version: int = -1
    whole: tuple[NodeResources | None, object, tuple[float, int, int]] | None = None  # of resources._whole
    network_version: int = -1  # what it was told of the other nodes
    reports: dict[str, InstanceReport] = field(default_factory=dict)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)  # of the loops that attend to it

    @property
    def resources(self) -> NodeResources | None:
        return self.kept.resources

    @property
    def state(self) -> NodeCondition:
        if self.up:
            return NodeCondition.UP
        if self.waking_since is not None:
            return NodeCondition.WAKING
        return NodeCondition.ASLEEP if self.kept.asleep else NodeCondition.DOWN

    @property
    def takes_new(self) -> bool:
        """Whether an instance may be placed on it: one that sleeps can be woken."""
        enabled = self.kept.wish.wish is NodeWish.ENABLED
        return enabled and self.resources is not None and self.state is not NodeCondition.DOWN


async def load(cc: "Cc") -> None:
    """The nodes of the settings, which no CLC need name, and those that the CLC did."""
    for address in cc.settings.nodes:
        cc.nodes[address] = NodeView(address, KeptNode(ZoneNode(address)))
    for row in await cc.store.read("SELECT record FROM node ORDER BY address"):
        kept = base.decode(row["record"], KeptNode)
        cc.nodes[kept.wish.address] = NodeView(kept.wish.address, kept)
        note_address(cc, kept)
    known = one(await cc.store.read("SELECT value FROM meta WHERE name = 'nodes'"))
    cc.nodes_version = int(known["value"]) if known is not None else -1


async def sync_nodes(cc: "Cc", call: Call, op: CcSyncNodes) -> NodesInForce:
    """Keep who belongs to the zone. Who is new is attended to from now on, who is not named no more."""
    if op.version < cc.nodes_version:
        return NodesInForce(cc.nodes_version)
    async with cc.placing:  # so that a node that is sent to sleep meanwhile is not written down as awake
        named = {wish.address: wish for wish in op.nodes}
        for address in cc.settings.nodes:
            named.setdefault(address, ZoneNode(address))
        gone = [address for address in cc.nodes if address not in named]
        kept = {address: _kept(cc, wish) for address, wish in named.items()}
        if gone or any(
            address not in cc.nodes or cc.nodes[address].kept != kept[address] for address in kept
        ):
            await cc.store.write(
                *(Statement("DELETE FROM node WHERE address = ?", (address,)) for address in gone),
                *(_row(record) for record in kept.values()),
                Statement(KEEP_VERSION, (str(op.version),)),
            )
        cc.nodes_version = op.version
        for address in gone:
            log.info("%s left %s", address, cc.settings.zone)
            cc.nodes.pop(address).scope.cancel()
            remotes.note_host(cc, address, "")
        for address, record in kept.items():
            if (node := cc.nodes.get(address)) is not None:
                node.kept = replace(node.kept, wish=record.wish)
            else:
                log.info("%s belongs to %s", address, cc.settings.zone)
                cc.nodes[address] = NodeView(address, record)
                cc.attend(cc.nodes[address])
    cc.changed()
    cc.bell.ring()
    return NodesInForce(cc.nodes_version)


async def remember(cc: "Cc", node: NodeView, **changes: object) -> None:
    """Change what is kept of a node that still belongs to the zone."""
    changed = replace(node.kept, **changes)  # type: ignore[arg-type]
    if changed == node.kept or cc.nodes.get(node.address) is not node:
        return
    node.kept = changed
    note_address(cc, changed)
    await cc.store.write(_row(changed))


def note_address(cc: "Cc", kept: KeptNode) -> None:
    """Where it is, for the others."""
    address = kept.resources.tunnel_address if kept.resources is not None else ""
    remotes.note_host(cc, kept.wish.address, address)


def _kept(cc: "Cc", wish: ZoneNode) -> KeptNode:
    known = cc.nodes.get(wish.address)
    return replace(known.kept, wish=wish) if known is not None else KeptNode(wish)


def _row(kept: KeptNode) -> Statement:
    return Statement(
        "INSERT INTO node (address, record) VALUES (?, ?) "
        "ON CONFLICT (address) DO UPDATE SET record = excluded.record",
        (kept.wish.address, base.encode(kept)),
    )
