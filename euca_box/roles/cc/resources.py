"""Capacity: what the nodes offer, less what was promised to instances."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from euca_box.messages import cc as messages
from euca_box.messages.base import Call
from euca_box.model.instances import VmType
from euca_box.model.nodes import NodeCondition
from euca_box.model.placement import Offer
from euca_box.roles.cc import addresses

if TYPE_CHECKING:
    from euca_box.roles.cc.nodes import NodeView
    from euca_box.roles.cc.role import Cc, Placed


async def describe_resources(cc: "Cc", call: Call, op: messages.CcDescribeResources) -> messages.Resources:
    types = [VmType(*numbers) for numbers in op.types]
    return messages.Resources(
        types=tuple(_available(cc, vm_type) for vm_type in types),
        nodes=tuple(_view(cc, node) for node in cc.nodes.values()) if op.nodes else (),
        public_addresses=len(cc.settings.public_addresses),
        public_addresses_free=len(await addresses.free_public(cc)),
    )


Room = tuple[float, int, int]  # cores, MiB, GiB


@dataclass(frozen=True, slots=True)
class Promised:
    """What instances take of a node: cores and memory while they shall run, disk while they exist."""

    cores: int = 0
    memory_mib: int = 0
    disk_gib: int = 0
    instances: int = 0

    def plus(self, other: "Promised", sign: int) -> "Promised":
        return Promised(
            self.cores + sign * other.cores,
            self.memory_mib + sign * other.memory_mib,
            self.disk_gib + sign * other.disk_gib,
            self.instances + sign * other.instances,
        )


NOTHING = Promised()


def promised_to(placed: "Placed") -> Promised | None:
    """What a placed instance takes of its node; a stopped one keeps its disk. None when it is gone."""
    if placed.gone_at is not None:
        return None
    disk_gib, vm_type = placed.spec.all_disk_gib, placed.spec.vm_type
    if placed.stopped:
        return Promised(0, 0, disk_gib, 1)
    return Promised(vm_type.cpu, vm_type.memory_mib, disk_gib, 1)


def choose_node(cc: "Cc", vm_type: VmType, other_than: str = "") -> "NodeView | None":
    """By the policy of the zone, among those that take instances and have room; None when there is none."""
    offers = [offer for node in cc.nodes.values() if (offer := _offer(cc, node, vm_type)) is not None]
    if other_than:
        offers = [offer for offer in offers if offer.node != other_than]
    if not offers:
        return None
    chosen = cc.policy(offers, cc.last_chosen)
    cc.last_chosen = chosen.node
    return cc.nodes[chosen.node]


def free(cc: "Cc", node: "NodeView") -> Room:
    """Cores (after overcommit), MiB and GiB that no instance was promised. Nothing on a node that is down."""
    if node.resources is None or node.state is NodeCondition.DOWN:
        return 0.0, 0, 0
    taken = cc.promised.get(node.address, NOTHING)
    cores, memory_mib, disk_gib = _whole(cc, node)
    return cores - taken.cores, memory_mib - taken.memory_mib, disk_gib - taken.disk_gib


def has_room(cc: "Cc", node: "NodeView", vm_type: VmType) -> bool:
    """Whether an instance whose disk is there may run there."""
    cores, memory_mib, _ = free(cc, node)
    return cores >= vm_type.cpu and memory_mib >= vm_type.memory_mib


def _offer(cc: "Cc", node: "NodeView", vm_type: VmType) -> Offer | None:
    """None without room. Asked of every node for every launch: no more is computed than decides it."""
    if not node.takes_new:
        return None
    cores, memory_mib, disk_gib = free(cc, node)
    if cores < vm_type.cpu or memory_mib < vm_type.memory_mib or disk_gib < vm_type.all_disk_gib:
        return None
    taken = cc.promised.get(node.address, NOTHING)
    return Offer(node.address, node.up, cores, memory_mib, disk_gib, taken.instances)


def _available(cc: "Cc", vm_type: VmType) -> messages.Available:
    now = sum(_how_many(free(cc, node), vm_type) for node in cc.nodes.values() if node.takes_new)
    most = sum(_how_many(_whole(cc, node), vm_type) for node in cc.nodes.values())
    return messages.Available(vm_type.name, now, most)


def _whole(cc: "Cc", node: "NodeView") -> Room:
    """What may be promised in all: what the node offers, by the factors of overcommitment."""
    offered, settings = node.resources, cc.settings
    if node.whole is not None and node.whole[:2] == (offered, settings):
        return node.whole[2]
    whole = (0.0, 0, 0)
    if offered is not None:
        whole = (
            offered.cores * settings.cpu_overcommit,
            int(offered.memory_mib * settings.memory_overcommit),
            int(offered.disk_gib * settings.disk_overcommit),
        )
    node.whole = (offered, settings, whole)
    return whole


def _how_many(offered: Room, vm_type: VmType) -> int:
    cores, memory_mib, disk_gib = offered
    fits = min(cores // vm_type.cpu, memory_mib // vm_type.memory_mib)
    if vm_type.all_disk_gib:  # one that boots from a volume may take nothing of the node's disk
        fits = min(fits, disk_gib // vm_type.all_disk_gib)
    return max(int(fits), 0)


def _view(cc: "Cc", node: "NodeView") -> messages.Node:
    offered = node.resources
    cores_free, memory_free, disk_free = free(cc, node)
    return messages.Node(
        name=node.address,
        state=node.state,
        cores=offered.cores if offered else 0,
        cores_free=cores_free,
        memory_mib=offered.memory_mib if offered else 0,
        memory_free_mib=memory_free,
        disk_gib=offered.disk_gib if offered else 0,
        disk_free_gib=disk_free,
        accelerator=offered.accelerator if offered else "",
        detail=node.detail,
        wish=node.kept.wish.wish,
    )
