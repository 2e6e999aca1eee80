"""The network of an instance in the MANAGED modes: which part of the subnet its group has.

A group has a tag while it has instances here; the tag names its part of the subnet.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from euca_box.messages.instance_spec import InstanceSpec
from euca_box.model.ec2_errors import InsufficientInstanceCapacity
from euca_box.model.network_modes import FIRST_TAG, networks_in
from euca_box.store.store import Statement, one

if TYPE_CHECKING:
    from euca_box.roles.cc.role import Cc, Placed


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
