"""What the node offers in all. What is taken, the cluster controller knows."""

from typing import TYPE_CHECKING

from euca_box.messages.base import Call
from euca_box.messages.nc import NcDescribeResource, NodeResources

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc

HOST_MEMORY_MIB = 1024  # kept for the host, or a quarter of a small one
HOST_DISK_GIB = 2


async def describe_resource(nc: "Nc", call: Call, op: NcDescribeResource) -> NodeResources:
    """Settings where they say a number, else the host. Disk: what is free now and what instances have."""
    host = await nc.hypervisor.capacity()
    settings = nc.settings
    memory_mib = settings.memory_mib or max(host.memory_mib - HOST_MEMORY_MIB, host.memory_mib * 3 // 4)
    given = sum(r.spec.all_disk_gib for r in nc.residents.values() if r.gone_at is None)
    free_gib = nc.workbench.free_disk_gib(settings.folder) - HOST_DISK_GIB
    return NodeResources(
        cores=settings.cores or host.cores,
        memory_mib=memory_mib,
        disk_gib=settings.disk_gib or max(free_gib, 0) + given,
        accelerator=host.accelerator.name,
        detail=f"QEMU {host.qemu_version}, libvirt {host.libvirt_version}: {host.accelerator.reason}",
    )
