"""Who may make volumes of a snapshot: its only attribute that changes (EC2 2016-11-15)."""

from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.messages import ec2_snapshots as ec2
from euca_box.messages.base import Call, Done
from euca_box.model.ec2_errors import InvalidAMIAttributeItemValue, InvalidSnapshotNotFound
from euca_box.model.errors import InvalidParameterCombination, InvalidParameterValue, MissingParameter
from euca_box.model.snapshots import Snapshot
from euca_box.roles.clc.rules import stop_if_dry_run
from euca_box.roles.clc.snapshots import ALL, owned_snapshot
from euca_box.store.store import one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

PERMISSION, PRODUCT_CODES = "createVolumePermission", "productCodes"


async def modify_snapshot_attribute(clc: "Clc", call: Call, op: ec2.ModifySnapshotAttribute) -> Done:
    """Raises InvalidParameterValue for an account or a group that is not there."""
    snapshot = owned_snapshot(clc, call, op.snapshot_id)
    if op.attribute not in (None, PERMISSION):
        raise InvalidParameterValue(f"Value ({op.attribute[:64]}) for parameter attribute is invalid.")
    wish = _asked(op)
    add = {await _permission(clc, wanted) for wanted in wish.add}
    remove = {await _permission(clc, wanted) for wanted in wish.remove}
    stop_if_dry_run(op.dry_run)
    if ALL in add and snapshot.encrypted:
        raise InvalidParameterValue("An encrypted snapshot is not for everybody.")

    def modify(current: Snapshot) -> Snapshot:
        users = ({*current.users} | add) - remove - {ALL}
        public = (current.public or ALL in add) and ALL not in remove
        return replace(current, public=public, users=tuple(sorted(users)))

    if await clc.snapshots.change(snapshot.snapshot_id, modify) is None:
        raise InvalidSnapshotNotFound(op.snapshot_id)
    return Done()


async def describe_snapshot_attribute(
    clc: "Clc", call: Call, op: ec2.DescribeSnapshotAttribute
) -> ec2.DescribeSnapshotAttributeResult:
    snapshot = owned_snapshot(clc, call, op.snapshot_id)
    if op.attribute not in (PERMISSION, PRODUCT_CODES):
        raise InvalidParameterValue(f"Value ({op.attribute[:64]}) for parameter attribute is invalid.")
    stop_if_dry_run(op.dry_run)
    if op.attribute == PRODUCT_CODES:
        return ec2.DescribeSnapshotAttributeResult(snapshot.snapshot_id, product_codes=())
    everybody = (ec2.CreateVolumePermission(group=ALL),) if snapshot.public else ()
    users = tuple(ec2.CreateVolumePermission(user_id=user) for user in snapshot.users)
    return ec2.DescribeSnapshotAttributeResult(
        snapshot.snapshot_id, create_volume_permissions=everybody + users
    )


async def reset_snapshot_attribute(clc: "Clc", call: Call, op: ec2.ResetSnapshotAttribute) -> Done:
    snapshot = owned_snapshot(clc, call, op.snapshot_id)
    if op.attribute != PERMISSION:
        raise InvalidParameterValue(f"Value ({op.attribute[:64]}) for parameter attribute is invalid.")
    stop_if_dry_run(op.dry_run)
    await clc.snapshots.change(snapshot.snapshot_id, lambda s: replace(s, public=False, users=()))
    return Done()


def _asked(op: ec2.ModifySnapshotAttribute) -> ec2.CreateVolumePermissionModifications:
    """In whichever of its two forms it came."""
    flat = bool(op.user_ids or op.group_names or op.operation_type is not None)
    if flat == (op.create_volume_permission is not None):
        raise InvalidParameterCombination("Give CreateVolumePermission, or OperationType and who.")
    if op.create_volume_permission is not None:
        return op.create_volume_permission
    wanted = tuple(ec2.CreateVolumePermission(user_id=user) for user in op.user_ids)
    wanted += tuple(ec2.CreateVolumePermission(group=group) for group in op.group_names)
    if not wanted:
        raise MissingParameter("UserId")
    if op.operation_type == "add":
        return ec2.CreateVolumePermissionModifications(add=wanted)
    if op.operation_type == "remove":
        return ec2.CreateVolumePermissionModifications(remove=wanted)
    raise InvalidParameterValue("OperationType is add or remove.")


async def _permission(clc: "Clc", wanted: ec2.CreateVolumePermission) -> str:
    """An account's number, or ALL. Clients of 1.6.2 name accounts by their name."""
    if (wanted.user_id is None) == (wanted.group is None):
        raise InvalidParameterCombination("A permission names either a UserId or a Group.")
    if wanted.group is not None:
        if wanted.group != ALL:
            raise InvalidAMIAttributeItemValue(wanted.group, "userGroup")
        return ALL
    row = one(
        await clc.store.read(
            "SELECT account FROM account WHERE account = ? OR name = ?", wanted.user_id, wanted.user_id
        )
    )
    if row is None:
        raise InvalidAMIAttributeItemValue(wanted.user_id or "", "userId")
    return str(row["account"])
