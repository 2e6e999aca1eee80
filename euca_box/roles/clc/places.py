"""Regions, zones, VM types, and the state of the cloud as an operator sees it."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from euca_box.messages import admin
from euca_box.messages import ec2_places as ec2
from euca_box.messages.base import Call
from euca_box.messages.cc import CcDescribeLeftovers, CcDescribeResources, Leftovers, Resources
from euca_box.model.ec2_errors import InvalidInstanceType
from euca_box.model.errors import EucaError, InvalidParameterValue
from euca_box.model.filters import filtered
from euca_box.model.instances import VmType
from euca_box.model.paging import page
from euca_box.roles.clc.components import component_problems
from euca_box.roles.clc.rules import VERBOSE, stop_if_dry_run

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

ZONE_FILTERS = {
    "zone-name": lambda z: z.zone_name,
    "zone-id": lambda z: z.zone_id,
    "region-name": lambda z: z.region_name,
    "state": lambda z: z.state,
    "opt-in-status": lambda z: z.opt_in_status,
    "group-name": lambda z: z.group_name,
    "zone-type": lambda z: z.zone_type,
    "message": lambda z: None,
}
OFFERING_FILTERS = {
    "instance-type": lambda o: o.instance_type,
    "location": lambda o: o.location,
}
REGION_FILTERS = {
    "region-name": lambda r: r.region_name,
    "endpoint": lambda r: r.endpoint,
    "opt-in-status": lambda r: r.opt_in_status,
}
TYPE_FILTERS = {
    "instance-type": lambda t: t.instance_type,
    "current-generation": lambda t: t.current_generation,
    "memory-info.size-in-mib": lambda t: t.memory_info.size_in_mi_b,
    "vcpu-info.default-vcpus": lambda t: t.v_cpu_info.default_v_cpus,
    "processor-info.supported-architecture": lambda t: t.processor_info.supported_architectures,
    "supported-root-device-type": lambda t: t.supported_root_device_types,
    "supported-usage-class": lambda t: t.supported_usage_classes,
    "supported-virtualization-type": lambda t: t.supported_virtualization_types,
    "bare-metal": lambda t: t.bare_metal,
    "instance-storage-supported": lambda t: t.instance_storage_supported,
    "free-tier-eligible": lambda t: t.free_tier_eligible,
}


async def describe_availability_zones(
    clc: "Clc", call: Call, op: ec2.DescribeAvailabilityZones
) -> ec2.DescribeAvailabilityZonesResult:
    """One zone for each cluster; `unavailable` while its cluster controller does not answer."""
    stop_if_dry_run(op.dry_run)
    name, region = clc.settings.zone, clc.settings.region
    zone_id = f"{region}-az1"
    verbose = call.admin and VERBOSE in op.zone_names  # how much room there is, as in 1.6.2
    for wanted, known in ((op.zone_names, name), (op.zone_ids, zone_id)):
        for value in wanted:
            if value != known and not (verbose and value == VERBOSE):
                raise InvalidParameterValue(f"Invalid availability zone: [{value[:64]}]")
    found = await resources(clc, call, *(clc.vm_types.values() if verbose else ()))
    state = "available" if found is not None else "unavailable"
    zone = ec2.AvailabilityZone(
        zone_name=name,
        zone_id=zone_id,
        region_name=region,
        state=state,
        group_name=f"{region}-zg-1",
        network_border_group=region,
    )
    capacity = _capacity_lines(clc, found) if verbose and found is not None else []
    shown = filtered([zone], op.filters, ZONE_FILTERS)
    return ec2.DescribeAvailabilityZonesResult((*shown, *capacity))


async def describe_regions(clc: "Clc", call: Call, op: ec2.DescribeRegions) -> ec2.DescribeRegionsResult:
    stop_if_dry_run(op.dry_run)
    for name in op.region_names:
        if name != clc.settings.region:
            raise InvalidParameterValue(f"Invalid region provided: {name[:64]}")
    endpoint = clc.settings.endpoint.partition("://")[2]
    region = ec2.Region(clc.settings.region, endpoint)
    return ec2.DescribeRegionsResult(tuple(filtered([region], op.filters, REGION_FILTERS)))


async def describe_instance_types(
    clc: "Clc", call: Call, op: ec2.DescribeInstanceTypes
) -> ec2.DescribeInstanceTypesResult:
    stop_if_dry_run(op.dry_run)
    if absent := [name[:64] for name in op.instance_types if name not in clc.vm_types]:
        raise InvalidInstanceType(*absent)
    wanted = [vm for vm in clc.vm_types.values() if not op.instance_types or vm.name in op.instance_types]
    views = filtered([_type_view(vm) for vm in wanted], op.filters, TYPE_FILTERS)
    shown, token = page(
        sorted(views, key=lambda v: v.instance_type),
        lambda v: v.instance_type,
        max_results=op.max_results,
        next_token=op.next_token,
        ids_given=bool(op.instance_types),
    )
    return ec2.DescribeInstanceTypesResult(tuple(shown), token)


async def describe_instance_type_offerings(
    clc: "Clc", call: Call, op: ec2.DescribeInstanceTypeOfferings
) -> ec2.DescribeInstanceTypeOfferingsResult:
    """All VM types, in the region or in its one zone."""
    stop_if_dry_run(op.dry_run)
    kind = op.location_type or "region"
    places = {
        "region": clc.settings.region,
        "availability-zone": clc.settings.zone,
        "availability-zone-id": f"{clc.settings.region}-az1",
    }
    if kind not in places:
        raise InvalidParameterValue(f"The location type '{kind[:64]}' is not one of {', '.join(places)}.")
    offered = [ec2.InstanceTypeOffering(vm.name, kind, places[kind]) for vm in clc.vm_types.values()]
    shown, token = page(
        sorted(filtered(offered, op.filters, OFFERING_FILTERS), key=lambda o: o.instance_type),
        lambda o: o.instance_type,
        max_results=op.max_results,
        next_token=op.next_token,
    )
    return ec2.DescribeInstanceTypeOfferingsResult(tuple(shown), token)


@dataclass
class Asked:
    """A question to the cluster that is on its way."""

    found: Resources | None = None
    is_answered: bool = False
    done: trio.Event = field(default_factory=trio.Event)


async def describe_cloud(clc: "Clc", call: Call, op: admin.DescribeCloud) -> admin.CloudStatus:
    found = await resources(clc, call)
    problems = [*clc.problems.values(), *component_problems(clc)]
    if found is None:
        problems.append(f"The cluster controller of {clc.settings.zone} does not answer.")
    [row] = await clc.store.read("SELECT count(*) AS n FROM user")
    return admin.CloudStatus(
        region=clc.settings.region,
        zone=clc.settings.zone,
        instances=sum(1 for i in clc.instances.all() if i.ended_at is None),
        images=len(clc.images.all()),
        users=row["n"],
        nodes=found.nodes if found else (),
        problems=tuple(problems),
    )


async def list_leftovers(clc: "Clc", call: Call, op: admin.ListLeftovers) -> Leftovers:
    return await clc.bus.ask(clc.cc, CcDescribeLeftovers(), call)


async def resources(clc: "Clc", call: Call, *types: VmType) -> Resources | None:
    """What the zone's cluster offers, or None when it does not answer.

    Many who ask the same at one moment, as launches do, share one answer.
    """
    wanted = tuple((t.name, t.cpu, t.memory_mib, t.all_disk_gib) for t in types)
    while (asked := clc.asked_resources.get(wanted)) is not None:
        await asked.done.wait()
        if asked.is_answered:
            return asked.found
    asked = clc.asked_resources[wanted] = Asked()
    try:
        with suppress(EucaError):
            asked.found = await clc.bus.ask(clc.cc, CcDescribeResources(wanted), call)
        asked.is_answered = True
    finally:  # the one who asked may have gone; the others ask for themselves then
        del clc.asked_resources[wanted]
        asked.done.set()
    return asked.found


def _capacity_lines(clc: "Clc", found: Resources) -> list[ec2.AvailabilityZone]:
    """A pseudo-zone for each VM type, as administrators of 1.6.2 read the room that is left."""
    region = clc.settings.region
    free = {available.instance_type: available for available in found.types}
    lines = [("|- vm types", "free / max   cpu   ram  disk")]
    for vm in clc.vm_types.values():
        now, most = free[vm.name].available, free[vm.name].most
        numbers = f"{now:04d} / {most:04d}  {vm.cpu:2d}   {vm.memory_mib:4d}  {vm.disk_gib:4d}"
        lines.append((f"|- {vm.name}", numbers))
    return [
        ec2.AvailabilityZone(name, "", region, numbers, network_border_group=region)
        for name, numbers in lines
    ]


def _type_view(vm: VmType) -> ec2.InstanceTypeInfo:
    return ec2.InstanceTypeInfo(
        instance_type=vm.name,
        processor_info=ec2.ProcessorInfo(),
        v_cpu_info=ec2.VCpuInfo(vm.cpu, vm.cpu),
        memory_info=ec2.MemoryInfo(vm.memory_mib),
        instance_storage_info=ec2.InstanceStorageInfo(vm.disk_gib, (ec2.DiskInfo(vm.disk_gib),)),
    )
