"""Images made of instances and of images: committed as pending here, made by the loop."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.messages import ec2_image_copies as ec2
from euca_box.messages.base import Call
from euca_box.model.ec2_errors import IncorrectInstanceState
from euca_box.model.errors import IdempotentParameterMismatch, InvalidParameterValue
from euca_box.model.images import IMAGE, NO_DATA, Image, ImageState, ImageType, Origin
from euca_box.model.instances import Instance, InstanceState
from euca_box.roles.clc import images, instances
from euca_box.roles.clc.rules import Tags, stop_if_dry_run, tags_for

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

IMAGED = (InstanceState.RUNNING, InstanceState.STOPPED)


async def create_image(clc: "Clc", call: Call, op: ec2.CreateImage) -> ec2.CreateImageResult:
    """Raises InvalidInstanceID.NotFound, IncorrectInstanceState, InvalidAMIName.*."""
    [record] = instances.reachable(clc, call, (op.instance_id,))
    tags = tags_for("image", op.tag_specifications)
    name = images.checked_name(clc, record.account, op.name)
    images.check_limit(clc, record.account)
    if record.state not in IMAGED:
        raise IncorrectInstanceState(
            f"The instance '{record.instance_id}' is not in a state from which it can be imaged."
        )
    stop_if_dry_run(op.dry_run)
    source = clc.images.find(record.image_id)
    image = Image(
        image_id=clc.new_id("emi"),
        account=record.account,
        type=ImageType.MACHINE,
        name=name,
        description=op.description,
        architecture=source.architecture if source else "x86_64",
        created_at=clc.now(),
        data=NO_DATA,
        public=False,
        kernel_id=record.kernel_id,
        ramdisk_id=record.ramdisk_id,
        root_device_name=record.root_device_name,
        boot_mode=record.boot_mode,
        imds_support=source.imds_support if source else "",
        product_codes=record.product_codes,
        tags=tags,
        state=IMAGE.start,
        deadline=clc.now() + clc.settings.image_seconds,
        origin=Origin(
            instance_id=record.instance_id, no_reboot=op.no_reboot, snapshots=record.boots_from_volume
        ),
    )
    await images.keep_new(clc, image)
    clc.image_bell.ring()
    return ec2.CreateImageResult(image.image_id)


async def copy_image(clc: "Clc", call: Call, op: ec2.CopyImage) -> ec2.CopyImageResult:
    """Raises InvalidAMIID.*, InvalidAMIName.*, IdempotentParameterMismatch."""
    async with clc.image_lock(call.account):
        return await _copy_image(clc, call, op)


async def _copy_image(clc: "Clc", call: Call, op: ec2.CopyImage) -> ec2.CopyImageResult:
    tags = tags_for("image", op.tag_specifications)
    if op.source_region.lower() != clc.settings.region.lower():
        raise InvalidParameterValue(f"This cloud has one region, {clc.settings.region}.")
    source = images.available(clc, call.account, op.source_image_id)
    if (earlier := _earlier(clc, call.account, op)) is not None:
        if (earlier.name, earlier.origin and earlier.origin.image) != (op.name, source.data):
            raise IdempotentParameterMismatch
        return ec2.CopyImageResult(earlier.image_id)
    name = images.checked_name(clc, call.account, op.name)
    images.check_limit(clc, call.account)
    if op.copy_image_tags:
        tags = _joined(source.tags, tags)
    copy = replace(
        source,
        image_id=clc.new_id(source.type.prefix),
        account=call.account,
        name=name,
        description=op.description if op.description is not None else source.description,
        created_at=clc.now(),
        data=NO_DATA,
        public=False,
        launch_users=(),
        tags=tags,
        state=IMAGE.start,
        deadline=clc.now() + clc.settings.image_seconds,
        last_launched=0.0,
        volumes=(),
        origin=Origin(
            image_id=source.image_id,
            image=source.data,
            client_token=op.client_token or "",
            snapshots=source.boots_from_volume,
        ),
    )
    copy = images.with_boot_images(clc, call, copy)
    stop_if_dry_run(op.dry_run)
    await clc.images.add([copy])
    clc.image_bell.ring()
    return ec2.CopyImageResult(copy.image_id)


def is_imaged(clc: "Clc", record: Instance) -> bool:
    """Is its disk being read for an image? A stopped instance must not start meanwhile."""
    return any(
        image.state is ImageState.PENDING and image.origin and image.origin.instance_id == record.instance_id
        for image in clc.images.of(record.account)
    )


def _earlier(clc: "Clc", account: str, op: ec2.CopyImage) -> Image | None:
    if not op.client_token:
        return None
    return next(
        (i for i in clc.images.of(account) if i.origin and i.origin.client_token == op.client_token), None
    )


def _joined(inherited: Iterable[tuple[str, str]], given: Tags) -> Tags:
    """Tags that begin with aws: are not copied (EC2, CopyImage, CopyImageTags)."""
    return tuple((dict(inherited) | dict(given)).items())
