"""Attributes of images: who may run them, and what is said of them. Only for the owner and administrators."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from euca_box.messages import ec2_image_attributes as ec2
from euca_box.messages.base import Call, Done
from euca_box.messages.ec2_instances import BlockDeviceMapping
from euca_box.model import ids
from euca_box.model.ec2_errors import InvalidAMIAttributeItemValue, InvalidAMIIDNotFound
from euca_box.model.errors import InvalidParameterCombination, InvalidParameterValue, MissingParameter
from euca_box.model.images import Image
from euca_box.roles.clc import images, instances
from euca_box.roles.clc.images import owned_image
from euca_box.roles.clc.rules import stop_if_dry_run
from euca_box.roles.clc.views import product_codes_view, volume_mappings
from euca_box.store.store import one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

EVERYBODY = "all"
DESCRIPTION_LENGTH = 255
LAUNCH_PERMISSION = "launchPermission"
IMDS = "imdsSupport"
PRODUCT_CODES = "productCodes"
CODE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
MOST_CODES = 64


async def modify_image_attribute(clc: "Clc", call: Call, op: ec2.ModifyImageAttribute) -> Done:
    """Raises InvalidAMIAttributeItemValue for an account or a group that is not there."""
    image = owned_image(clc, call, op.image_id)
    wish = _asked(op)
    add = [await _permission(clc, wanted) for wanted in wish.permissions.add]
    remove = [await _permission(clc, wanted) for wanted in wish.permissions.remove]
    if len({*image.product_codes, *wish.product_codes}) > MOST_CODES:
        raise InvalidParameterValue(f"An image has at most {MOST_CODES} product codes.")
    stop_if_dry_run(op.dry_run)

    def modify(current: Image) -> Image:
        users = {*current.launch_users, *add} - {*remove}
        return replace(
            current,
            description=current.description if wish.description is None else wish.description,
            imds_support=wish.imds_support or current.imds_support,
            product_codes=tuple(sorted({*current.product_codes, *wish.product_codes})),
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
        PRODUCT_CODES: replace(empty, product_codes=product_codes_view(image.product_codes)),
        "blockDeviceMapping": replace(empty, block_device_mappings=_devices_view(image)),
        "bootMode": replace(empty, boot_mode=_value(image.boot_mode)),
        IMDS: replace(empty, imds_support=_value(image.imds_support)),
        "lastLaunchedTime": replace(empty, last_launched_time=_value(_last_launched(clc, image))),
        # Nothing is said of what no image here has, as EC2 does of what one has not.
        "sriovNetSupport": empty,
        "tpmSupport": empty,
        "uefiData": empty,
        "deregistrationProtection": replace(empty, deregistration_protection=_value("disabled")),
    }
    if op.attribute not in found:
        raise InvalidParameterValue(f"Value ({op.attribute[:64]}) for parameter attribute is invalid.")
    stop_if_dry_run(op.dry_run)
    return found[op.attribute]


async def confirm_product_instance(
    clc: "Clc", call: Call, op: ec2.ConfirmProductInstance
) -> ec2.ConfirmProductInstanceResult:
    """The owner of a product may ask of anybody's instance; of others it learns no more than it may see."""
    if not op.product_code:
        raise MissingParameter("ProductCode")
    record = clc.instances.find(ids.checked(op.instance_id, "i"))
    if record is not None and op.product_code in record.product_codes:
        image = clc.images.find(record.image_id)
        if image is not None and image.account == call.account:
            stop_if_dry_run(op.dry_run)
            return ec2.ConfirmProductInstanceResult(True, record.account)
    instances.reachable(clc, call, (op.instance_id,))
    stop_if_dry_run(op.dry_run)
    return ec2.ConfirmProductInstanceResult(False)


@dataclass(frozen=True)
class _Wish:
    """The one attribute that a request changes."""

    description: str | None = None
    permissions: ec2.LaunchPermissionModifications = ec2.LaunchPermissionModifications()
    imds_support: str = ""
    product_codes: tuple[str, ...] = ()


def _asked(op: ec2.ModifyImageAttribute) -> _Wish:
    """In whichever form it came."""
    flat = op.user_ids or op.user_groups or (op.operation_type is not None and not op.product_codes)
    given = [
        flat,
        op.launch_permission is not None,
        op.description is not None,
        op.value is not None,
        op.imds_support is not None,
        op.product_codes,
    ]
    if sum(map(bool, given)) > 1:
        raise InvalidParameterCombination("Only one attribute can be modified at a time.")
    if flat:
        _check_attribute(op, LAUNCH_PERMISSION)
        return _Wish(permissions=_flat_changes(op))
    if op.launch_permission is not None:
        _check_attribute(op, LAUNCH_PERMISSION)
        return _Wish(permissions=op.launch_permission)
    if op.product_codes:
        _check_attribute(op, PRODUCT_CODES)
        return _Wish(product_codes=_checked_codes(op))
    if op.imds_support is not None or (op.attribute == IMDS and op.value is not None):
        _check_attribute(op, IMDS)
        value = op.imds_support.value if op.imds_support is not None else op.value
        images.check_imds_support(value)
        return _Wish(imds_support=value or "")
    text = op.description.value if op.description is not None else op.value
    if text is None:
        raise InvalidParameterCombination("No attributes specified.")
    _check_attribute(op, "description", named=op.value is not None)
    if len(text) > DESCRIPTION_LENGTH:
        raise InvalidParameterValue(f"Descriptions have at most {DESCRIPTION_LENGTH} characters.")
    return _Wish(description=text)


def _checked_codes(op: ec2.ModifyImageAttribute) -> tuple[str, ...]:
    if op.operation_type not in (None, "add"):
        raise InvalidParameterValue("A product code that was added stays.")
    if not all(CODE.fullmatch(code) for code in op.product_codes):
        raise InvalidParameterValue(
            "A product code has 1 to 64 letters, digits, dots, dashes and underscores."
        )
    return op.product_codes


def _check_attribute(op: ec2.ModifyImageAttribute, name: str, *, named: bool = False) -> None:
    """`attribute`, where it is given or needed, must be the one that the other fields are about."""
    if op.attribute is None and named:
        raise MissingParameter("Attribute")
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


def _value(text: str) -> ec2.AttributeValue | None:
    return ec2.AttributeValue(text) if text else None


def _last_launched(clc: "Clc", image: Image) -> str:
    """Of an instance that is still shown, or of one that was forgotten since."""
    times = (r.launch_time for r in clc.instances.all() if r.image_id == image.image_id)
    last = max(times, default=image.last_launched)
    return datetime.fromtimestamp(last, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if last else ""


def _permissions_view(image: Image) -> tuple[ec2.LaunchPermission, ...]:
    everybody = (ec2.LaunchPermission(group=EVERYBODY),) if image.public else ()
    return everybody + tuple(ec2.LaunchPermission(user_id=user) for user in image.launch_users)


def _devices_view(image: Image) -> tuple[BlockDeviceMapping, ...]:
    """As the metadata of an instance tells it."""
    root = image.root_device_name
    if image.volumes:
        return volume_mappings(image)
    return (
        BlockDeviceMapping(root.removeprefix("/dev/"), "ami"),
        BlockDeviceMapping(root, "root"),
    )
