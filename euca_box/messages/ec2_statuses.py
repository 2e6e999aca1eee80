"""EC2 actions that tell how instances are (EC2 2016-11-15)."""

from dataclasses import dataclass
from datetime import datetime

from euca_box.messages.base import Op
from euca_box.messages.ec2_common import Filter
from euca_box.messages.ec2_instances import InstanceState, Monitoring


@dataclass(frozen=True)
class InstanceStatusDetails:
    status: str
    name: str = "reachability"
    impaired_since: datetime | None = None


@dataclass(frozen=True)
class InstanceStatusSummary:
    """`ok`, `impaired`, `insufficient-data` or `not-applicable`."""

    status: str
    details: tuple[InstanceStatusDetails, ...] = ()


@dataclass(frozen=True)
class InstanceStatus:
    instance_id: str
    availability_zone: str
    instance_state: InstanceState
    system_status: InstanceStatusSummary
    instance_status: InstanceStatusSummary


@dataclass(frozen=True)
class DescribeInstanceStatusResult:
    instance_statuses: tuple[InstanceStatus, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeInstanceStatus(Op[DescribeInstanceStatusResult], role="clc"):
    """Running instances, or all; `system_status` is about the node, `instance_status` about the guest."""

    instance_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    include_all_instances: bool = False
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class InstanceMonitoring:
    instance_id: str
    monitoring: Monitoring


@dataclass(frozen=True)
class MonitorInstancesResult:
    instance_monitorings: tuple[InstanceMonitoring, ...] = ()


@dataclass(frozen=True)
class MonitorInstances(Op[MonitorInstancesResult], role="clc"):
    """Have them measured each minute; `pending` where the node does not know it yet."""

    instance_ids: tuple[str, ...]
    dry_run: bool = False


@dataclass(frozen=True)
class UnmonitorInstancesResult:
    instance_monitorings: tuple[InstanceMonitoring, ...] = ()


@dataclass(frozen=True)
class UnmonitorInstances(Op[UnmonitorInstancesResult], role="clc"):
    """Have them measured each five minutes again."""

    instance_ids: tuple[str, ...]
    dry_run: bool = False


@dataclass(frozen=True)
class GetPasswordDataResult:
    instance_id: str
    timestamp: datetime
    password_data: str = ""


@dataclass(frozen=True)
class GetPasswordData(Op[GetPasswordDataResult], role="clc"):
    """Empty: only guests of Windows tell a password, and none is known here."""

    instance_id: str
    dry_run: bool = False
