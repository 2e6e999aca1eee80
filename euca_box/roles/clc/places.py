"""Regions, zones, VM types, and the state of the cloud as an operator sees it."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from euca_box.messages import admin
from euca_box.messages import ec2_places as ec2
from euca_box.messages.base import Call
from euca_box.messages.cc import (
    CcDescribeLeftovers,
    CcDescribeResources,
    Leftover,
    Leftovers,
    Node,
    Resources,
)
from euca_box.model.ec2_errors import InvalidInstanceType
from euca_box.model.errors import EucaError, InvalidParameterValue
from euca_box.model.filters import filtered
from euca_box.model.instances import VmType
from euca_box.model.paging import page
from euca_box.roles.clc import components, known_hosts, zones
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
    region, known = clc.settings.region, zones.all_zones(clc)
    verbose = call.admin and VERBOSE in op.zone_names  # how much room there is, as in 1.6.2
    names = {zone.name for zone in known} | ({VERBOSE} if verbose else set())
    for wanted, there in ((op.zone_names, names), (op.zone_ids, {zone.id_in(region) for zone in known})):
        for value in wanted:
            if value not in there:
                raise InvalidParameterValue(f"Invalid availability zone: [{value[:64]}]")
    if named := set(op.zone_names) - {VERBOSE}:
        known = [zone for zone in known if zone.name in named]
    if op.zone_ids:
        known = [zone for zone in known if zone.id_in(region) in op.zone_ids]
    shown: list[ec2.AvailabilityZone] = []
    for zone in known:
        found = await resources(clc, call, *(clc.vm_types.values() if verbose else ()), zone=zone.name)
        shown += filtered([_zone_view(clc, zone, found)], op.filters, ZONE_FILTERS)
        shown += _capacity_lines(clc, found) if verbose and found is not None else []
    return ec2.DescribeAvailabilityZonesResult(tuple(shown))


def _zone_view(clc: "Clc", zone: zones.Zone, found: Resources | None) -> ec2.AvailabilityZone:
    """AWS: `impaired` is a zone that answers and takes nothing new."""
    region = clc.settings.region
    state = "available" if zone.enabled else "impaired"
    return ec2.AvailabilityZone(
        zone_name=zone.name,
        zone_id=zone.id_in(region),
        region_name=region,
        state=state if found is not None else "unavailable",
        group_name=f"{region}-zg-1",
        network_border_group=region,
    )


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
    """All VM types, in the region or in each zone."""
    stop_if_dry_run(op.dry_run)
    kind = op.location_type or "region"
    known = zones.all_zones(clc)
    places = {
        "region": [clc.settings.region],
        "availability-zone": [zone.name for zone in known],
        "availability-zone-id": [zone.id_in(clc.settings.region) for zone in known],
    }
    if kind not in places:
        raise InvalidParameterValue(f"The location type '{kind[:64]}' is not one of {', '.join(places)}.")
    offered = [
        ec2.InstanceTypeOffering(vm.name, kind, place)
        for vm in clc.vm_types.values()
        for place in places[kind]
    ]
    shown, token = page(
        sorted(filtered(offered, op.filters, OFFERING_FILTERS), key=_offering_key),
        _offering_key,
        max_results=op.max_results,
        next_token=op.next_token,
    )
    return ec2.DescribeInstanceTypeOfferingsResult(tuple(shown), token)


def _offering_key(offering: ec2.InstanceTypeOffering) -> str:
    return f"{offering.instance_type} {offering.location}"


# The zone, and types by their numbers.
Question = tuple[str, tuple[tuple[str, int, int, int], ...]]


@dataclass
class Asked:
    """A question to the cluster that is on its way."""

    found: Resources | None = None
    is_answered: bool = False
    done: trio.Event = field(default_factory=trio.Event)


async def describe_cloud(clc: "Clc", call: Call, op: admin.DescribeCloud) -> admin.CloudStatus:
    problems = [*clc.problems.values(), *components.component_problems(clc)]
    shown: list[Node] = []
    for name in known_hosts.zone_names(clc):
        found = await resources(clc, call, zone=name)
        if found is None:
            problems.append(f"The cluster controller of {name} does not answer.")
        shown += found.nodes if found else ()
    [row] = await clc.store.read("SELECT count(*) AS n FROM user")
    return admin.CloudStatus(
        region=clc.settings.region,
        zone=clc.settings.zone,
        instances=sum(1 for i in clc.instances.all() if i.ended_at is None),
        images=len(clc.images.all()),
        users=row["n"],
        nodes=tuple(shown),
        problems=tuple(problems),
    )


async def list_leftovers(clc: "Clc", call: Call, op: admin.ListLeftovers) -> Leftovers:
    """Of the zones that answer."""
    everything: list[Leftover] = []
    for name in known_hosts.zone_names(clc):
        with suppress(EucaError):
            everything += (await clc.bus.ask(clc.cc_of(name), CcDescribeLeftovers(), call)).found
    return Leftovers(tuple(everything))


async def nodes(clc: "Clc", call: Call) -> list[Node]:
    """Those of all zones that answer."""
    found = [await resources(clc, call, zone=name) for name in known_hosts.zone_names(clc)]
    return [node for zone in found if zone is not None for node in zone.nodes]


async def resources(clc: "Clc", call: Call, *types: VmType, zone: str) -> Resources | None:
    """What the zone's cluster offers, room for VM types or the nodes; None when it does not answer.

    Many who ask the same at one moment, as launches do, share one answer.
    """
    if known_hosts.is_silent(clc, zone):
        return None
    wanted = zone, tuple((t.name, t.cpu, t.memory_mib, t.all_disk_gib) for t in types)
    while (asked := clc.asked_resources.get(wanted)) is not None:
        await asked.done.wait()
        if asked.is_answered:
            return asked.found
    asked = clc.asked_resources[wanted] = Asked()
    try:
        with suppress(EucaError):
            op = CcDescribeResources(wanted[1], nodes=not types)
            asked.found = await clc.bus.ask(clc.cc_of(zone), op, call)
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
