"""EC2 actions on the attributes of images (EC2 2016-11-15, and the flat form of 2009-04-04)."""

from dataclasses import dataclass

from euca_box.messages.base import Done, Op
from euca_box.messages.ec2_common import ProductCode
from euca_box.messages.ec2_instances import BlockDeviceMapping


@dataclass(frozen=True)
class AttributeValue:
    value: str | None = None


@dataclass(frozen=True)
class LaunchPermission:
    """Who may run the image: an account, or the group `all`."""

    user_id: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class LaunchPermissionModifications:
    add: tuple[LaunchPermission, ...] = ()
    remove: tuple[LaunchPermission, ...] = ()


@dataclass(frozen=True)
class ModifyImageAttribute(Op[Done], role="clc"):
    """`launch_permission`, `description`, `imds_support` or `product_codes` (which are added, for good); or
    flat: `attribute` with `operation_type`, `user_ids` and `user_groups`, or with `value`. What is given
    already, or absent already, is no error."""

    image_id: str
    attribute: str | None = None
    operation_type: str | None = None
    user_ids: tuple[str, ...] = ()
    user_groups: tuple[str, ...] = ()
    value: str | None = None
    launch_permission: LaunchPermissionModifications | None = None
    description: AttributeValue | None = None
    imds_support: AttributeValue | None = None
    product_codes: tuple[str, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class ResetImageAttribute(Op[Done], role="clc"):
    """`launchPermission`: only the owner may run it."""

    image_id: str
    attribute: str
    dry_run: bool = False


@dataclass(frozen=True)
class DescribeImageAttributeResult:
    """The image's id and the one attribute that was asked for."""

    image_id: str
    description: AttributeValue | None = None
    kernel_id: AttributeValue | None = None
    ramdisk_id: AttributeValue | None = None
    launch_permissions: tuple[LaunchPermission, ...] | None = None
    product_codes: tuple[ProductCode, ...] | None = None
    block_device_mappings: tuple[BlockDeviceMapping, ...] | None = None
    boot_mode: AttributeValue | None = None
    imds_support: AttributeValue | None = None
    last_launched_time: AttributeValue | None = None
    deregistration_protection: AttributeValue | None = None
    sriov_net_support: AttributeValue | None = None
    tpm_support: AttributeValue | None = None
    uefi_data: AttributeValue | None = None


@dataclass(frozen=True)
class DescribeImageAttribute(Op[DescribeImageAttributeResult], role="clc"):
    image_id: str
    attribute: str
    dry_run: bool = False


@dataclass(frozen=True)
class ConfirmProductInstanceResult:
    return_: bool
    owner_id: str | None = None


@dataclass(frozen=True)
class ConfirmProductInstance(Op[ConfirmProductInstanceResult], role="clc"):
    """Whether the instance, whosever it is, runs a product of the caller; `owner_id` has the instance."""

    instance_id: str
    product_code: str
    dry_run: bool = False
