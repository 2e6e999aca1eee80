"""What the node controller finds wrong with its guests and its network."""

from typing import TYPE_CHECKING

from euca_box.kvm.hypervisor import KvmError
from euca_box.model.findings import Finding, fail, ok, warn
from euca_box.model.traces import BAD
from euca_box.net.network import NetError

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc


async def examine(nc: "Nc") -> list[Finding]:
    return [*await _hypervisor(nc), *await _network(nc), *_guests(nc)]


async def _hypervisor(nc: "Nc") -> list[Finding]:
    try:
        host = await nc.hypervisor.capacity()
    except KvmError as error:
        return [
            fail("hypervisor", f"libvirt does not answer: {error}", "euca-box logs --role nc --level WARNING")
        ]
    return [ok("hypervisor", f"libvirt answers: {host.cores} cores, {host.memory_mib} MiB")]


async def _network(nc: "Nc") -> list[Finding]:
    try:
        steps = await nc.network.trace(None)
    except NetError as error:
        return [fail("network", f"the network cannot be looked at: {error}", "euca-box doctor network")]
    bad = [step for step in steps if step.state == BAD]
    found = [
        fail("network", f"not so: {s.what} {s.detail}".strip(), s.command or "euca-box doctor network")
        for s in bad
    ]
    return found or [ok("network", "bridge, rules, DHCP and forwarding are as they should be")]


def _guests(nc: "Nc") -> list[Finding]:
    ill = [f"{instance_id} {words}" for instance_id, words in nc.health.items() if words]
    return [warn("guests", text, f"euca-box why {text.split()[0]}") for text in ill]
