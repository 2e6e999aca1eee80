"""How instances are, as far as the cloud can tell: whether the node answers and the guest is there."""

from typing import TYPE_CHECKING

from euca_box.messages import ec2_statuses as ec2
from euca_box.messages.base import Call
from euca_box.model.filters import filtered
from euca_box.model.instances import Instance, InstanceState
from euca_box.model.paging import page
from euca_box.roles.clc import instances, places, views
from euca_box.roles.clc.rules import stop_if_dry_run

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

# EC2, SummaryStatus, and the StatusType of its one detail
OK, IMPAIRED, UNKNOWN, NONE = "ok", "impaired", "insufficient-data", "not-applicable"
_DETAILS = {OK: "passed", IMPAIRED: "failed", UNKNOWN: "insufficient-data"}

FILTERS = {
    "availability-zone": lambda s: s.availability_zone,
    "instance-state-code": lambda s: s.instance_state.code,
    "instance-state-name": lambda s: s.instance_state.name,
    "instance-status.reachability": lambda s: [d.status for d in s.instance_status.details],
    "instance-status.status": lambda s: s.instance_status.status,
    "system-status.reachability": lambda s: [d.status for d in s.system_status.details],
    "system-status.status": lambda s: s.system_status.status,
}


async def describe_instance_status(
    clc: "Clc", call: Call, op: ec2.DescribeInstanceStatus
) -> ec2.DescribeInstanceStatusResult:
    stop_if_dry_run(op.dry_run)
    if op.instance_ids:
        records = instances.reachable(clc, call, op.instance_ids)
    else:
        records = list(clc.instances.of(call.account))
    if not op.include_all_instances:
        records = [r for r in records if r.state is InstanceState.RUNNING]
    up = {node.name for node in await places.nodes(clc, call) if node.state == "UP"} if records else set()
    shown, token = page(
        sorted(filtered([_status(r, up) for r in records], op.filters, FILTERS), key=_id_of),
        _id_of,
        max_results=op.max_results,
        next_token=op.next_token,
        ids_given=bool(op.instance_ids),
    )
    return ec2.DescribeInstanceStatusResult(tuple(shown), token)


async def get_password_data(clc: "Clc", call: Call, op: ec2.GetPasswordData) -> ec2.GetPasswordDataResult:
    [record] = instances.reachable(clc, call, (op.instance_id,))
    stop_if_dry_run(op.dry_run)
    return ec2.GetPasswordDataResult(record.instance_id, views.time_view(clc.now()))


def _status(record: Instance, up: set[str]) -> ec2.InstanceStatus:
    """A guest on a node that does not answer may well run; nobody knows. `health`: what its node saw."""
    system, guest = NONE, NONE
    if record.state is InstanceState.PENDING:
        system = guest = UNKNOWN
    elif record.state is InstanceState.RUNNING:
        system, guest = (OK, OK) if record.node in up else (IMPAIRED, UNKNOWN)
        guest = IMPAIRED if record.health and guest == OK else guest
    return ec2.InstanceStatus(
        instance_id=record.instance_id,
        availability_zone=record.zone,
        instance_state=views.state_view(record.state),
        system_status=_summary(system),
        instance_status=_summary(guest),
    )


def _summary(status: str) -> ec2.InstanceStatusSummary:
    detail = _DETAILS.get(status)
    return ec2.InstanceStatusSummary(status, (ec2.InstanceStatusDetails(detail),) if detail else ())


def _id_of(status: ec2.InstanceStatus) -> str:
    return status.instance_id
