"""The network of an instance: which part of the subnet its group has, and what other nodes must know of it.

In the MANAGED modes a group has a tag while it has instances here; the tag names its part of the subnet. What
nodes must know of each other follows from the placements, so it is computed and not kept: the loop tells each
node what it was not told yet.
"""

import logging
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from euca_box.messages.base import system_call
from euca_box.messages.instance_spec import InstanceSpec, RemoteInstance
from euca_box.messages.nc import NcConfigureNetwork
from euca_box.model import ids
from euca_box.model.ec2_errors import InsufficientInstanceCapacity
from euca_box.model.errors import EucaError
from euca_box.model.network_modes import FIRST_TAG, networks_in
from euca_box.store.store import Statement, one

if TYPE_CHECKING:
    from euca_box.roles.cc.nodes import NodeView
    from euca_box.roles.cc.role import Cc, Placed

log = logging.getLogger(__name__)

Picture = tuple[tuple[str, ...], tuple[RemoteInstance, ...]]


@dataclass(frozen=True)
class GroupNetwork:
    """`group_id` has the part of the subnet that belongs to the tag."""

    group_id: str
    tag: int
    network: IPv4Network

    def claim(self) -> Statement:
        """Part of the transaction that places an instance: the group keeps its tag."""
        return Statement(
            "INSERT INTO network_tag (tag, group_id) VALUES (?, ?) ON CONFLICT (group_id) DO NOTHING",
            (self.tag, self.group_id),
        )


async def network_for(cc: "Cc", spec: InstanceSpec) -> GroupNetwork:
    """The network of its group, or a free one. To be called under `placing`.

    Raises InsufficientInstanceCapacity when all are taken.
    """
    group_id, size = spec.group_ids[0], cc.settings.addresses_per_network
    known = one(await cc.store.read("SELECT tag FROM network_tag WHERE group_id = ?", group_id))
    if known is not None:
        return GroupNetwork(group_id, known["tag"], network_of_tag(cc, known["tag"]))
    taken = {row["tag"] for row in await cc.store.read("SELECT tag FROM network_tag")}
    for tag in range(FIRST_TAG, networks_in(cc.settings.subnet.num_addresses, size) + 1):
        if tag not in taken:
            return GroupNetwork(group_id, tag, network_of_tag(cc, tag))
    raise InsufficientInstanceCapacity(f"All networks in {cc.settings.subnet} are taken by other groups.")


def network_of_tag(cc: "Cc", tag: int) -> IPv4Network:
    """Tag t owns the part t - 2 of the subnet (Eucalyptus 1.6)."""
    size = cc.settings.addresses_per_network
    return IPv4Network((int(cc.settings.subnet.network_address) + (tag - 2) * size, 33 - size.bit_length()))


def release(cc: "Cc", placed: "Placed") -> list[Statement]:
    """When the last instance of the group ends, its tag is free."""
    tag, own_id = placed.placement.tag, placed.spec.instance_id
    others = (p for i, p in cc.placed.items() if i != own_id and p.gone_at is None)
    if not tag or any(p.placement.tag == tag for p in others):
        return []
    return [Statement("DELETE FROM network_tag WHERE tag = ?", (tag,))]


async def tell_nodes(cc: "Cc") -> None:
    """Each node that is up knows of the others; those that cannot be told now are told by the loop."""
    if len(cc.nodes) < 2:
        return
    for node in [node for node in cc.nodes.values() if node.up]:
        picture = _picture(cc, node)
        if node.network != picture:
            try:
                await _tell(cc, node, picture)
            except EucaError as error:
                log.warning("%s does not know of the other nodes: %s", node.address, error.message)


async def _tell(cc: "Cc", node: "NodeView", picture: Picture) -> None:
    cc.network_version = max(cc.network_version + 1, int(cc.now() * 1000))
    op = NcConfigureNetwork(cc.network_version, *picture)
    await cc.bus.ask(node.address, op, system_call("network"))
    node.network = picture


def _picture(cc: "Cc", node: "NodeView") -> Picture:
    """The other nodes that have said where they are, and what runs there."""
    hosts = {
        other.address: other.resources.tunnel_address
        for other in cc.nodes.values()
        if other is not node and other.resources is not None and other.resources.tunnel_address
    }
    remotes = (
        RemoteInstance(
            instance_id=p.spec.instance_id,
            mac=p.placement.mac or ids.mac_of(p.spec.instance_id),
            private_ip=p.placement.private_ip,
            group_ids=p.spec.group_ids,
            host=hosts[p.placement.node],
            public_ip=p.placement.public_ip or "",
            tag=p.placement.tag,
        )
        for p in cc.placed.values()
        if p.placement.node in hosts and p.gone_at is None and not p.stopped and p.placement.private_ip
    )
    return tuple(sorted(hosts.values())), tuple(sorted(remotes, key=lambda r: r.instance_id))
