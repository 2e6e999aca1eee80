"""Capacity: what the nodes offer, less what was promised to instances. GREEDY: the first that fits."""

from typing import TYPE_CHECKING

from euca_box.messages import cc as messages
from euca_box.messages.base import Call
from euca_box.model.instances import VmType
from euca_box.roles.cc import addresses

if TYPE_CHECKING:
    from euca_box.roles.cc.role import Cc, NodeView


async def describe_resources(cc: "Cc", call: Call, op: messages.CcDescribeResources) -> messages.Resources:
    types = [VmType(*numbers) for numbers in op.types]
    return messages.Resources(
        types=tuple(_available(cc, vm_type) for vm_type in types),
        nodes=tuple(_view(cc, node) for node in cc.nodes.values()),
        public_addresses=len(cc.settings.public_addresses),
        public_addresses_free=len(await addresses.free_public(cc)),
    )


def choose_node(cc: "Cc", vm_type: VmType) -> "NodeView | None":
    """GREEDY (Eucalyptus 1.6.2): the first node, in the order of the configuration, that fits."""
    return next((node for node in cc.nodes.values() if _how_many(free(cc, node), vm_type) > 0), None)


def free(cc: "Cc", node: "NodeView") -> tuple[float, int, int]:
    """Cores (after overcommit), MiB and GiB that no instance was promised. Nothing on a node that is down."""
    if node.resources is None or not node.up:
        return 0.0, 0, 0
    here = [p for p in cc.placed.values() if p.placement.node == node.address and p.gone_at is None]
    running = [p.spec.vm_type for p in here if not p.stopped]
    cores, memory_mib, disk_gib = _whole(cc, node)
    return (
        cores - sum(t.cpu for t in running),
        memory_mib - sum(t.memory_mib for t in running),
        disk_gib - sum(p.spec.all_disk_gib for p in here),  # a stopped one keeps its disk
    )


def has_room(cc: "Cc", node: "NodeView", vm_type: VmType) -> bool:
    """Whether an instance whose disk is there may run there."""
    cores, memory_mib, _ = free(cc, node)
    return cores >= vm_type.cpu and memory_mib >= vm_type.memory_mib


def _available(cc: "Cc", vm_type: VmType) -> messages.Available:
    now = sum(_how_many(free(cc, node), vm_type) for node in cc.nodes.values())
    most = sum(_how_many(_whole(cc, node), vm_type) for node in cc.nodes.values())
    return messages.Available(vm_type.name, now, most)


def _whole(cc: "Cc", node: "NodeView") -> tuple[float, int, int]:
    """What may be promised in all: what the node offers, by the factors of overcommitment."""
    if node.resources is None:
        return 0.0, 0, 0
    offered, settings = node.resources, cc.settings
    return (
        offered.cores * settings.cpu_overcommit,
        int(offered.memory_mib * settings.memory_overcommit),
        int(offered.disk_gib * settings.disk_overcommit),
    )


def _how_many(offered: tuple[float, int, int], vm_type: VmType) -> int:
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
        state="UP" if node.up else "DOWN",
        cores=offered.cores if offered else 0,
        cores_free=cores_free,
        memory_mib=offered.memory_mib if offered else 0,
        memory_free_mib=memory_free,
        disk_gib=offered.disk_gib if offered else 0,
        disk_free_gib=disk_free,
        accelerator=offered.accelerator if offered else "",
        detail=node.detail,
    )
