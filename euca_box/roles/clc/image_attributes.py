"""Attributes of images: who may run them, and what is said of them. Only for the owner and administrators."""

from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.messages import ec2_image_attributes as ec2
from euca_box.messages.base import Call, Done
from euca_box.model.ec2_errors import InvalidAMIAttributeItemValue, InvalidAMIIDNotFound
from euca_box.model.errors import (
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    UnsupportedOperation,
)
from euca_box.model.images import Image
from euca_box.roles.clc import instances
from euca_box.roles.clc.images import owned_image
from euca_box.roles.clc.rules import stop_if_dry_run
from euca_box.store.store import one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

EVERYBODY = "all"
DESCRIPTION_LENGTH = 255
LAUNCH_PERMISSION = "launchPermission"
# Attributes of the EC2 model that no image here has.
ELSEWHERE = (
    "sriovNetSupport",
    "bootMode",
    "tpmSupport",
    "uefiData",
    "lastLaunchedTime",
    "imdsSupport",
    "deregistrationProtection",
)


async def modify_image_attribute(clc: "Clc", call: Call, op: ec2.ModifyImageAttribute) -> Done:
    """Raises InvalidAMIAttributeItemValue for an account or a group that is not there."""
    image = owned_image(clc, call, op.image_id)
    description, changes = _asked(op)
    add = [await _permission(clc, wanted) for wanted in changes.add]
    remove = [await _permission(clc, wanted) for wanted in changes.remove]
    stop_if_dry_run(op.dry_run)

    def modify(current: Image) -> Image:
        users = {*current.launch_users, *add} - {*remove}
        return replace(
            current,
            description=current.description if description is None else description,
            public=(current.public or EVERYBODY in add) and EVERYBODY not in remove,
            launch_users=tuple(sorted(users - {EVERYBODY})),
        )

    if await clc.images.change(image.image_id, modify) is None:
        raise InvalidAMIIDNotFound(op.image_id)  # it was deregistered meanwhile
    return Done()


async def reset_image_attribute(clc: "Clc", call: Call, op: ec2.ResetImageAttribute) -> Done:
    image = owned_image(clc, call, op.image_id)
    if op.attribute != LAUNCH_PERMISSION:
        raise InvalidParameterValue(f"Value ({op.attribute[:64]}) for parameter attribute is invalid.")
    stop_if_dry_run(op.dry_run)
    await clc.images.change(image.image_id, lambda current: replace(current, public=False, launch_users=()))
    return Done()


async def describe_image_attribute(
    clc: "Clc", call: Call, op: ec2.DescribeImageAttribute
) -> ec2.DescribeImageAttributeResult:
    image = owned_image(clc, call, op.image_id)
    empty = ec2.DescribeImageAttributeResult(image.image_id)
    # A table would be built whole for one entry; these are cheap.
    found = {
        "description": replace(empty, description=ec2.AttributeValue(image.description)),
        "kernel": replace(empty, kernel_id=ec2.AttributeValue(image.kernel_id)),
        "ramdisk": replace(empty, ramdisk_id=ec2.AttributeValue(image.ramdisk_id)),
        LAUNCH_PERMISSION: replace(empty, launch_permissions=_permissions_view(image)),
        "productCodes": replace(empty, product_codes=()),
        "blockDeviceMapping": replace(empty, block_device_mappings=_devices_view(image)),
    }
    if op.attribute in ELSEWHERE:
        raise UnsupportedOperation(f"Images have no attribute {op.attribute} here.")
    if op.attribute not in found:
        raise InvalidParameterValue(f"Value ({op.attribute[:64]}) for parameter attribute is invalid.")
    stop_if_dry_run(op.dry_run)
    return found[op.attribute]


async def confirm_product_instance(
    clc: "Clc", call: Call, op: ec2.ConfirmProductInstance
) -> ec2.ConfirmProductInstanceResult:
    """`false`, as EC2 says of an instance without the code: images have no product codes here."""
    instances.reachable(clc, call, (op.instance_id,))
    if not op.product_code:
        raise MissingParameter("ProductCode")
    stop_if_dry_run(op.dry_run)
    return ec2.ConfirmProductInstanceResult(False)


def _asked(op: ec2.ModifyImageAttribute) -> tuple[str | None, ec2.LaunchPermissionModifications]:
    """The description and the permissions that a request changes, in whichever form it came."""
    nothing = ec2.LaunchPermissionModifications()
    flat = op.user_ids or op.user_groups or op.operation_type is not None
    given = [flat, op.launch_permission is not None, op.description is not None, op.value is not None]
    if sum(map(bool, given)) > 1:
        raise InvalidParameterCombination("Only one attribute can be modified at a time.")
    if flat:
        _check_attribute(op, LAUNCH_PERMISSION)
        return None, _flat_changes(op)
    if op.launch_permission is not None:
        _check_attribute(op, LAUNCH_PERMISSION)
        return None, op.launch_permission
    text = op.description.value if op.description is not None else op.value
    if text is None:
        raise InvalidParameterCombination("No attributes specified.")
    _check_attribute(op, "description", named=op.value is not None)
    if len(text) > DESCRIPTION_LENGTH:
        raise InvalidParameterValue(f"Descriptions have at most {DESCRIPTION_LENGTH} characters.")
    return text, nothing


def _check_attribute(op: ec2.ModifyImageAttribute, name: str, *, named: bool = False) -> None:
    """`attribute`, where it is given or needed, must be the one that the other fields are about."""
    if op.attribute is None and named:
        raise MissingParameter("Attribute")
    if op.attribute == "productCodes":
        raise UnsupportedOperation("Product codes are not supported.")
    if op.attribute not in (None, name):
        raise InvalidParameterValue(f"Value ({op.attribute[:64]}) for parameter attribute is invalid.")


def _flat_changes(op: ec2.ModifyImageAttribute) -> ec2.LaunchPermissionModifications:
    wanted = tuple(ec2.LaunchPermission(user_id=user) for user in op.user_ids)
    wanted += tuple(ec2.LaunchPermission(group=group) for group in op.user_groups)
    if not wanted:
        raise MissingParameter("UserId")
    if op.operation_type == "add":
        return ec2.LaunchPermissionModifications(add=wanted)
    if op.operation_type == "remove":
        return ec2.LaunchPermissionModifications(remove=wanted)
    raise InvalidParameterValue("OperationType is add or remove.")


async def _permission(clc: "Clc", wanted: ec2.LaunchPermission) -> str:
    """An account's number, or EVERYBODY. Clients of 1.6.2 name accounts by their name."""
    if (wanted.user_id is None) == (wanted.group is None):
        raise InvalidParameterCombination("A launch permission names either a UserId or a Group.")
    if wanted.group is not None:
        if wanted.group != EVERYBODY:
            raise InvalidAMIAttributeItemValue(wanted.group, "userGroup")
        return EVERYBODY
    row = one(
        await clc.store.read(
            "SELECT account FROM account WHERE account = ? OR name = ?", wanted.user_id, wanted.user_id
        )
    )
    if row is None:
        raise InvalidAMIAttributeItemValue(wanted.user_id or "", "userId")
    return str(row["account"])


def _permissions_view(image: Image) -> tuple[ec2.LaunchPermission, ...]:
    everybody = (ec2.LaunchPermission(group=EVERYBODY),) if image.public else ()
    return everybody + tuple(ec2.LaunchPermission(user_id=user) for user in image.launch_users)


def _devices_view(image: Image) -> tuple[ec2.BlockDeviceMapping, ...]:
    """As the metadata of an instance tells it."""
    root = image.root_device_name
    return (
        ec2.BlockDeviceMapping(root.removeprefix("/dev/"), "ami"),
        ec2.BlockDeviceMapping(root, "root"),
    )
