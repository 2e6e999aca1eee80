"""Snapshots as they are while none can be made: none exist."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from euca_box.messages import ec2_storage as ec2
from euca_box.messages.base import Call
from euca_box.messages.ec2_common import Filter
from euca_box.model import ids
from euca_box.model.ec2_errors import InvalidSnapshotNotFound
from euca_box.model.errors import ClientFault
from euca_box.model.filters import filtered
from euca_box.model.paging import page
from euca_box.roles.clc.rules import stop_if_dry_run

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc


def _names(words: str) -> dict[str, Callable[[object], None]]:
    return dict.fromkeys(words.split(), lambda record: None)


SNAPSHOT_FILTERS = _names(
    "description encrypted owner-alias owner-id progress snapshot-id start-time status storage-tier "
    "volume-id volume-size"
)


async def describe_snapshots(
    clc: "Clc", call: Call, op: ec2.DescribeSnapshots
) -> ec2.DescribeSnapshotsResult:
    """Whoever owns or may restore them (`owner_ids`, `restorable_by_user_ids`): there are none."""
    _none(op.snapshot_ids, "snap", InvalidSnapshotNotFound, op.filters, SNAPSHOT_FILTERS)
    _check_page(op.max_results, op.next_token)
    stop_if_dry_run(op.dry_run)
    return ec2.DescribeSnapshotsResult()


def _none(
    wanted: Iterable[str],
    prefix: str,
    absent: Callable[[str], ClientFault],
    filters: tuple[Filter, ...],
    known: dict[str, Callable[[object], None]],
) -> None:
    """Refuse ids, which nothing can have, and filters that the action does not know."""
    for value in wanted:
        raise absent(ids.checked(value, prefix))
    filtered((), filters, known)


def _check_page(max_results: int | None, next_token: str | None) -> None:
    page((), str, max_results=max_results, next_token=next_token)
