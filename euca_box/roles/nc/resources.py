"""What the node offers in all. What is taken, the cluster controller knows."""

from typing import TYPE_CHECKING

from euca_box.messages.base import Call
from euca_box.messages.nc import NcDescribeResource, NodeResources

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc

SMALL_HOST_MIB = 4096


async def describe_resource(nc: "Nc", call: Call, op: NcDescribeResource) -> NodeResources:
    """Settings where they say a number, else the host. Disk: what is free now and what instances have."""
    host = await nc.hypervisor.capacity()
    settings = nc.settings
    memory_mib = settings.memory_mib or _for_guests(host.memory_mib, settings.reserved_memory_mib)
    given = sum(r.spec.all_disk_gib for r in nc.residents.values() if r.gone_at is None)
    free_gib = nc.workbench.free_disk_gib(settings.folder) - settings.reserved_disk_gib
    accelerator = f"QEMU {host.qemu_version}, libvirt {host.libvirt_version}: {host.accelerator.reason}"
    return NodeResources(
        cores=settings.cores or host.cores,
        memory_mib=memory_mib,
        disk_gib=settings.disk_gib or max(free_gib, 0) + given,
        accelerator=host.accelerator.name,
        detail="; ".join(filter(None, (accelerator, host.limits))),
        tunnel_address=settings.tunnel_address,
        wake_mac=settings.wake_mac,
        sleeps=bool(settings.sleep_command),
    )


def _for_guests(memory_mib: int, reserved_mib: int) -> int:
    """All but the reserve; of a small host, that the default reserve would leave nothing of, most."""
    return max(memory_mib - reserved_mib, memory_mib * 3 // 4 if memory_mib < SMALL_HOST_MIB else 0)
