"""Admission of RunInstances: every reason to refuse, in the order of Eucalyptus (3.4), and nothing else."""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from euca_box.messages import ec2_instances as ec2
from euca_box.messages.base import Call
from euca_box.model.ec2_errors import (
    InstanceLimitExceeded,
    InsufficientInstanceCapacity,
    InvalidBlockDeviceMapping,
    InvalidKeyPairNotFound,
    InvalidSubnetIDNotFound,
    InvalidUserDataMalformed,
)
from euca_box.model.errors import InvalidParameterCombination, InvalidParameterValue, UnsupportedOperation
from euca_box.model.groups import DEFAULT
from euca_box.model.images import Image, ImageType, ImageVolume
from euca_box.model.instances import ExtraDisk, Instance, VmType
from euca_box.roles.clc import (
    block_devices,
    groups,
    images,
    interfaces,
    keypairs,
    launch_volumes,
    network_rules,
    places,
    volumes,
    zones,
)
from euca_box.roles.clc.rules import Tags, tags_for

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

USER_DATA_BYTES = 16384
DEFAULT_TYPE = "m1.small"
GIB = 1024**3
SHUTDOWN_BEHAVIORS = ("stop", "terminate")

NamesOf = Callable[[Instance], list[str]]


@dataclass(frozen=True)
class Wish:
    """A request that may be granted: `count` is what fits now, min_count at least."""

    count: int
    zone: str
    image: Image
    kernel: Image | None
    ramdisk: Image | None
    vm_type: VmType
    group_ids: tuple[str, ...]
    public_key: str
    user_data: bytes
    tags: Tags
    private_ip: str | None
    extra_disks: tuple[ExtraDisk, ...]
    volumes: tuple[ImageVolume, ...] = ()
    volume_tags: Tags = ()


async def admit(clc: "Clc", call: Call, op: ec2.RunInstances) -> Wish:
    """Raises the AWS error of the first reason to refuse."""
    _check_counts(op)
    user_data = decoded_user_data(op.user_data)
    _check_options(clc, op)
    private_ip = interfaces.checked_private_ip(clc, op)
    tags = tags_for("instance", [s for s in op.tag_specifications if s.resource_type != "volume"])
    volume_tags = tags_for("volume", [s for s in op.tag_specifications if s.resource_type == "volume"])
    image, kernel, ramdisk = _boot_images(clc, call, op)
    key = keypairs.find_by_name(clc, call.account, op.key_name) if op.key_name is not None else None
    if op.key_name is not None and key is None:
        raise InvalidKeyPairNotFound(op.key_name)
    vm_type = _vm_type(clc, op, image)
    root, mappings = image.root_device_name, block_devices.devices_of(op.block_device_mappings)
    wanted = launch_volumes.wanted_volumes(clc, call, mappings, image.volumes, root)
    if not image.boots_from_volume and any(volume.device == root for volume in wanted):
        raise InvalidBlockDeviceMapping(f"The root of {image.image_id} at {root} is not a volume.")
    extra_disks = block_devices.extra_disks(vm_type, op.block_device_mappings, root, wanted)
    group_ids = await _groups(clc, call, op)
    network_rules.check_groups(clc, group_ids)
    network_rules.wants_public(clc, op.addressing_type)
    _check_limit(clc, call, op)
    zone, count = await _fitting(clc, call, op, vm_type)
    if wanted:
        await volumes.check_room(clc, call, zone, [volume.size_gib for volume in wanted] * count)
    return Wish(
        count=count,
        zone=zone,
        image=image,
        kernel=kernel,
        ramdisk=ramdisk,
        vm_type=vm_type,
        group_ids=group_ids,
        public_key=key.public_key if key else "",
        user_data=user_data,
        tags=tags,
        private_ip=private_ip,
        extra_disks=extra_disks,
        volumes=wanted,
        volume_tags=volume_tags,
    )


def _check_counts(op: ec2.RunInstances) -> None:
    if op.min_count < 1 or op.max_count < 1:
        raise InvalidParameterValue("Value for parameter minCount and maxCount must be at least 1.")
    if op.min_count > op.max_count:
        raise InvalidParameterCombination("The minimum count must not be greater than the maximum count.")


def decoded_user_data(text: str | None) -> bytes:
    """Raises InvalidUserData.Malformed."""
    try:
        data = base64.b64decode("".join((text or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidUserDataMalformed("Invalid BASE64 encoding of user data.") from None
    check_user_data(data)
    return data


def check_user_data(data: bytes) -> None:
    """Raises InvalidUserData.Malformed."""
    if len(data) > USER_DATA_BYTES:
        raise InvalidUserDataMalformed(f"User data is limited to {USER_DATA_BYTES} bytes")


def _check_options(clc: "Clc", op: ec2.RunInstances) -> None:
    """What is asked for and cannot be had is refused, never ignored."""
    if op.client_token is not None and not re.fullmatch(r"[\x21-\x7e]{1,64}", op.client_token):
        raise InvalidParameterValue("Client tokens have 1 to 64 ASCII characters.")
    placement = op.placement or ec2.Placement()
    zones.checked(clc, placement.availability_zone)
    if placement.group_name or placement.tenancy not in (None, "default"):
        raise UnsupportedOperation("Placement groups and tenancies are not supported.")
    _check_subnet(clc, op.subnet_id, placement.availability_zone)
    if op.addressing_type not in (None, "public", "private"):
        raise InvalidParameterValue("The addressing type is public or private.")
    if op.ebs_optimized:
        raise UnsupportedOperation("EBS-optimized instances are not supported.")
    if op.instance_initiated_shutdown_behavior not in (None, *SHUTDOWN_BEHAVIORS):
        raise InvalidParameterValue("InstanceInitiatedShutdownBehavior is stop or terminate.")
    check_metadata_options(op.metadata_options or ec2.InstanceMetadataOptionsRequest())


def _check_subnet(clc: "Clc", subnet_id: str | None, zone: str | None) -> None:
    if subnet_id is None:
        return
    found = zones.of_subnet(clc, subnet_id)
    if found is None:
        raise InvalidSubnetIDNotFound(subnet_id)
    if zone not in (*zones.ANY, found.name):
        raise InvalidParameterCombination(
            f"The subnet {subnet_id[:40]} is not in the availability zone you requested."
        )


def check_metadata_options(options: ec2.InstanceMetadataOptionsRequest) -> None:
    """Raises InvalidParameterValue."""
    if options.http_tokens not in (None, "optional", "required"):
        raise InvalidParameterValue("HttpTokens is optional or required.")
    if options.http_endpoint not in (None, "enabled", "disabled"):
        raise InvalidParameterValue("HttpEndpoint is enabled or disabled.")
    if options.instance_metadata_tags not in (None, "enabled", "disabled"):
        raise InvalidParameterValue("InstanceMetadataTags is enabled or disabled.")
    hops = options.http_put_response_hop_limit
    if hops is not None and not 1 <= hops <= 64:
        raise InvalidParameterValue("HttpPutResponseHopLimit is 1 to 64.")


def _boot_images(clc: "Clc", call: Call, op: ec2.RunInstances) -> tuple[Image, Image | None, Image | None]:
    """Kernel and ramdisk: the request's, else the image's. A bare file system needs a kernel."""
    image = images.usable(clc, call.account, op.image_id, ImageType.MACHINE)
    kernel = _boot_image(clc, call, op.kernel_id, image, image.kernel_id, ImageType.KERNEL)
    ramdisk = _boot_image(clc, call, op.ramdisk_id, image, image.ramdisk_id, ImageType.RAMDISK)
    if kernel is None and not image.data.bootable:
        raise InvalidParameterCombination(
            f"Unable to determine required kernel image: {image.image_id} is a file system without a boot "
            "record. Give a KernelId, or register the image with one."
        )
    if ramdisk is not None and kernel is None:
        raise InvalidParameterCombination("A ramdisk needs a kernel.")
    return image, kernel, ramdisk


def _boot_image(
    clc: "Clc", call: Call, asked: str | None, image: Image, registered: str | None, kind: ImageType
) -> Image | None:
    """What the caller names must be the caller's to use; what the image was registered with, its owner's."""
    if asked:
        return images.usable(clc, call.account, asked, kind)
    return images.usable(clc, image.account, registered, kind) if registered else None


def _vm_type(clc: "Clc", op: ec2.RunInstances, image: Image) -> VmType:
    name = op.instance_type or DEFAULT_TYPE
    vm_type = clc.vm_types.get(name)
    if vm_type is None:
        raise InvalidParameterValue(f"Invalid value '{name[:64]}' for InstanceType.")
    if image.data.virtual_size_bytes > vm_type.disk_gib * GIB:
        raise InvalidParameterCombination(
            f"The image {image.image_id} is larger than the disk of {vm_type.name} ({vm_type.disk_gib} GiB)."
        )
    return vm_type


async def _groups(clc: "Clc", call: Call, op: ec2.RunInstances) -> tuple[str, ...]:
    wanted = [groups.named(clc, call.account, group_id, None) for group_id in op.security_group_ids]
    for name in op.security_groups:
        # The default group is made when it is first named, as in 1.6.2.
        if name == DEFAULT:
            wanted.append(await groups.default_group(clc, call.account))
        else:
            wanted.append(groups.named(clc, call.account, None, name))
    if not wanted:
        wanted.append(await groups.default_group(clc, call.account))
    return tuple(dict.fromkeys(group.group_id for group in wanted))


def _check_limit(clc: "Clc", call: Call, op: ec2.RunInstances) -> None:
    here = clc.census.live[call.account]
    if here + op.min_count > clc.settings.max_instances:
        raise InstanceLimitExceeded(clc.settings.max_instances)


async def _fitting(clc: "Clc", call: Call, op: ec2.RunInstances, vm_type: VmType) -> tuple[str, int]:
    """Where and how many start: as many as fit, up to max_count. Fewer than min_count starts none."""
    placement = op.placement or ec2.Placement()
    wanted = zones.checked(clc, placement.availability_zone)
    if wanted is None and op.subnet_id is not None:
        wanted = zones.of_subnet(clc, op.subnet_id)
    asked = [wanted] if wanted is not None else zones.all_zones(clc)
    found = {}
    for each in asked:
        if each.enabled and (offer := await places.resources(clc, call, vm_type, zone=each.name)):
            found[each.name] = offer
    names = " or ".join(zone.name for zone in asked)
    if not found:
        raise InsufficientInstanceCapacity(f"The availability zone {names} does not answer. Try again later.")
    zone = zones.fullest(found)[0]
    available = found[zone].types[0].available - clc.census.waiting[vm_type.name]
    here = clc.census.live[call.account]
    count = min(op.max_count, available, clc.settings.max_instances - here)
    if count < op.min_count:
        raise InsufficientInstanceCapacity(
            f"We currently do not have sufficient {vm_type.name} capacity in the Availability Zone you "
            f"requested ({names}): {max(available, 0)} of {op.min_count} fit."
        )
    return zone, count
