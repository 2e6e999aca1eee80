"""What EC2 asks about snapshots while there are none: truly nothing.

What would make one is refused in `not_offered.py`.
"""

from dataclasses import dataclass

from euca_box.messages.base import Op
from euca_box.messages.ec2_common import Filter


@dataclass(frozen=True)
class DescribeSnapshotsResult:
    snapshots: tuple[str, ...] = ()


@dataclass(frozen=True)
class DescribeSnapshots(Op[DescribeSnapshotsResult], role="clc"):
    snapshot_ids: tuple[str, ...] = ()
    owner_ids: tuple[str, ...] = ()
    restorable_by_user_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False
