"""Detailed monitoring of instances, and what was measured."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.messages import admin
from euca_box.messages import ec2_statuses as ec2
from euca_box.messages.base import Call
from euca_box.messages.cc import CcGetUsage, CcListUsage, InstanceUsage, Usage, Usages
from euca_box.messages.ec2_instances import Monitoring
from euca_box.model import ids
from euca_box.model.ec2_errors import InvalidInstanceIDNotFound
from euca_box.model.errors import EucaError
from euca_box.model.instances import Instance, InstanceState
from euca_box.roles.clc import attributes, instances
from euca_box.roles.clc.known_hosts import zone_names
from euca_box.roles.clc.rules import stop_if_dry_run

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc


async def monitor_instances(clc: "Clc", call: Call, op: ec2.MonitorInstances) -> ec2.MonitorInstancesResult:
    records = instances.reachable(clc, call, op.instance_ids)
    stop_if_dry_run(op.dry_run)
    return ec2.MonitorInstancesResult(await _set(clc, records, enabled=True))


async def unmonitor_instances(
    clc: "Clc", call: Call, op: ec2.UnmonitorInstances
) -> ec2.UnmonitorInstancesResult:
    records = instances.reachable(clc, call, op.instance_ids)
    stop_if_dry_run(op.dry_run)
    return ec2.UnmonitorInstancesResult(await _set(clc, records, enabled=False))


async def get_usage(clc: "Clc", call: Call, op: admin.GetUsage) -> Usage:
    """Raises InvalidInstanceID.NotFound, also for one that is not placed or gone."""
    record = clc.instances.find(ids.checked(op.instance_id, "i"))
    if record is None or not record.placed or record.ended_at is not None:
        raise InvalidInstanceIDNotFound(op.instance_id)
    return await clc.bus.ask(
        clc.cc_of(record.zone), CcGetUsage(record.instance_id, clc.now() - op.minutes * 60), call
    )


async def list_usage(clc: "Clc", call: Call, op: admin.ListUsage) -> Usages:
    """Of the zones that answer."""
    found: list[InstanceUsage] = []
    for zone in zone_names(clc):
        with suppress(EucaError):
            found += (await clc.bus.ask(clc.cc_of(zone), CcListUsage(), call)).instances
    return Usages(tuple(found))


async def _set(
    clc: "Clc", records: Iterable[Instance], *, enabled: bool
) -> tuple[ec2.InstanceMonitoring, ...]:
    def changed(record: Instance) -> Instance:
        if record.monitoring == enabled:
            return record
        return replace(record, monitoring=enabled, generation=record.generation + 1)

    shown = []
    for record in records:
        after = await clc.instances.change(record.instance_id, changed)
        in_force = (
            after is None
            or after.state is not InstanceState.RUNNING
            or await attributes.have_in_force(clc, record.instance_id)
        )
        words = ("enabled", "pending") if enabled else ("disabled", "disabling")
        shown.append(ec2.InstanceMonitoring(record.instance_id, Monitoring(words[not in_force])))
    return tuple(shown)
