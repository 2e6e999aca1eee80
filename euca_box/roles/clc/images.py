"""Images: registered from an object in Walrus, which looks at its bytes before anything else does."""

import re
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.images.manifest import SUFFIX
from euca_box.messages import ec2_images as ec2
from euca_box.messages.base import Call
from euca_box.messages.ec2_common import ProductCode, Returned
from euca_box.messages.ec2_instances import StateReason
from euca_box.messages.walrus import CheckedImage, CheckImage
from euca_box.model import ids
from euca_box.model.ec2_errors import (
    InvalidAMIIDNotFound,
    InvalidAMIIDUnavailable,
    InvalidAMINameDuplicate,
    InvalidAMINameMalformed,
    InvalidBlockDeviceMapping,
    InvalidManifest,
    ResourceLimitExceeded,
)
from euca_box.model.errors import (
    AuthFailure,
    EucaError,
    InvalidParameterCombination,
    InvalidParameterValue,
    MissingParameter,
    UnsupportedOperation,
)
from euca_box.model.filters import filtered
from euca_box.model.images import (
    BOOT_MODES,
    IMAGE,
    IMDS_SUPPORT,
    NO_DATA,
    Image,
    ImageState,
    ImageType,
    Origin,
)
from euca_box.model.paging import page
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import block_devices, bundled_images, image_loop, launch_volumes
from euca_box.roles.clc.rules import Tags, names_owner, stop_if_dry_run, tags_for, without_verbose
from euca_box.roles.clc.views import root_type

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

ARCHITECTURES = ("i386", "x86_64")
ROOT_DEVICE = "/dev/sda1"
ANSWER_SECONDS = 20.0  # how long RegisterImage waits for a bundle before the image is left pending
NAME = re.compile(r"[A-Za-z0-9()./_ '@\[\]-]{3,128}")

FILTERS = {
    "architecture": lambda r: r.architecture,
    "boot-mode": lambda r: r.boot_mode or None,
    "description": lambda r: r.description,
    "hypervisor": lambda r: "xen",
    "image-id": lambda r: ids.image_names(r.image_id),
    "image-type": lambda r: r.type.value,
    "is-public": lambda r: r.public,
    "kernel-id": lambda r: ids.image_names(r.kernel_id),
    "manifest-location": lambda r: r.location,
    "name": lambda r: r.name,
    "owner-id": lambda r: r.account,
    "product-code": lambda r: r.product_codes,
    "product-code.type": lambda r: ProductCode("").product_code_type if r.product_codes else None,
    "ramdisk-id": lambda r: ids.image_names(r.ramdisk_id),
    "root-device-name": lambda r: r.root_device_name,
    "root-device-type": lambda r: root_type(r.boots_from_volume),
    "state": lambda r: r.state.value,
    "state-reason-message": lambda r: r.reason or None,
    "virtualization-type": lambda r: "hvm",
}


async def register_image(clc: "Clc", call: Call, op: ec2.RegisterImage) -> ec2.RegisterImageResult:
    """Raises InvalidManifest when the bytes are no image, InvalidAMIName.*, InvalidAMIID.NotFound."""
    tags = tags_for("image", op.tag_specifications)
    if op.image_location is None and op.block_device_mappings:
        return await _register_snapshot(clc, call, op, tags)
    bucket, key = _location(op.image_location)
    if op.block_device_mappings:
        raise UnsupportedOperation("Volumes are mapped by an image whose root is a snapshot.")
    name = checked_name(clc, call.account, op.name if op.name is not None else f"{bucket}/{key}")
    draft = _draft(clc, call, op, name, tags)
    # Refused before anything is read, when that needs nothing read.
    draft = with_boot_images(clc, call, draft)
    stop_if_dry_run(op.dry_run)
    if key.endswith(SUFFIX):
        return await _register_bundle(clc, call, draft, bucket, key)
    checked = await clc.bus.ask("walrus", CheckImage(bucket, key), call)
    _check_kind(draft, checked, key)
    image = replace(
        draft,
        image_id=clc.new_id(checked.type.prefix),
        type=checked.type,
        architecture=checked.architecture or draft.architecture or "x86_64",
        data=checked.data,
        root_device_name=draft.root_device_name or ROOT_DEVICE,
    )
    await keep_new(clc, image)
    return ec2.RegisterImageResult(image.image_id)


async def _register_snapshot(
    clc: "Clc", call: Call, op: ec2.RegisterImage, tags: Tags
) -> ec2.RegisterImageResult:
    """Instances of it boot from a volume of the snapshot. Without a kernel the volume is a whole disk."""
    if op.name is None:
        raise MissingParameter("Name")
    draft = _draft(clc, call, op, checked_name(clc, call.account, op.name), tags)
    draft = with_boot_images(clc, call, draft)
    root = block_devices.plain(op.root_device_name or ROOT_DEVICE)
    mappings = block_devices.devices_of(op.block_device_mappings)
    wanted = launch_volumes.wanted_volumes(clc, call, mappings)
    if any(mapping.ebs is None for _, mapping in mappings):
        raise UnsupportedOperation("An image maps volumes only; what a VM type has each instance gets.")
    if not any(volume.device == root and volume.snapshot_id for volume in wanted):
        raise InvalidBlockDeviceMapping(f"The root device {root} needs the id of a snapshot.")
    stop_if_dry_run(op.dry_run)
    image = replace(
        draft,
        image_id=clc.new_id("emi"),
        architecture=draft.architecture or "x86_64",
        root_device_name=root,
        volumes=wanted,
        data=replace(NO_DATA, bootable=draft.kernel_id is None),
    )
    await keep_new(clc, image)
    return ec2.RegisterImageResult(image.image_id)


def _draft(clc: "Clc", call: Call, op: ec2.RegisterImage, name: str, tags: Tags) -> Image:
    """Raises InvalidParameterValue."""
    if op.architecture not in (None, *ARCHITECTURES):
        raise InvalidParameterValue(f"The architecture '{op.architecture[:32]}' is not i386 or x86_64.")
    if op.virtualization_type not in (None, "hvm"):
        raise InvalidParameterValue("The virtualization type must be hvm.")
    if op.boot_mode not in (None, *BOOT_MODES):
        raise InvalidParameterValue(f"BootMode is one of {', '.join(BOOT_MODES)}.")
    check_imds_support(op.imds_support)
    return Image(
        image_id="",
        account=call.account,
        type=ImageType.MACHINE,
        name=name,
        description=op.description,
        architecture=op.architecture or "",
        created_at=clc.now(),
        data=NO_DATA,
        public=clc.settings.images_public,
        kernel_id=op.kernel_id,
        ramdisk_id=op.ramdisk_id,
        root_device_name=op.root_device_name or "",
        tags=tags,
        boot_mode=op.boot_mode or "",
        imds_support=op.imds_support or "",
    )


async def _register_bundle(
    clc: "Clc", call: Call, draft: Image, bucket: str, key: str
) -> ec2.RegisterImageResult:
    """Pending until Walrus has unpacked it; what fails soon is an answer rather than an image."""
    check_limit(clc, call.account)
    manifest, secret = await bundled_images.read_bundle(clc, call, bucket, key)
    root = dict(manifest.block_devices).get("root", ROOT_DEVICE)
    image = replace(
        draft,
        image_id=clc.new_id(manifest.type.prefix),
        type=manifest.type,
        architecture=draft.architecture or manifest.architecture,
        kernel_id=draft.kernel_id or manifest.kernel_id,
        ramdisk_id=draft.ramdisk_id or manifest.ramdisk_id,
        root_device_name=draft.root_device_name or f"/dev/{root.removeprefix('/dev/')}",
        state=IMAGE.start,
        deadline=clc.now() + clc.settings.image_seconds,
        origin=Origin(bundle=f"{bucket}/{key}"),
    )
    image = with_boot_images(clc, call, image)
    if image.architecture not in ARCHITECTURES:
        raise InvalidManifest(f"The architecture of {bucket}/{key} is not i386 or x86_64.")
    await bundled_images.keep_bundle(clc, call, image.image_id, bucket, key, manifest, secret)
    fp("clc.register.after-keep")
    await keep_new(clc, image)
    clc.image_bell.ring()
    made = await image_loop.wait_made(clc, image.image_id, ANSWER_SECONDS)
    if made is not None and made.state is ImageState.FAILED:
        await clc.images.remove(image.image_id)
        await _flush(clc, image.image_id)
        raise InvalidManifest(made.reason)
    return ec2.RegisterImageResult(image.image_id)


async def keep_new(clc: "Clc", image: Image) -> None:
    """Raises InvalidAMIName.Duplicate, also for a name that another request took meanwhile."""
    async with clc.image_lock(image.account):
        checked_name(clc, image.account, image.name)
        await clc.images.add([image])


async def deregister_image(clc: "Clc", call: Call, op: ec2.DeregisterImage) -> Returned:
    """Running instances keep what they have; a later RunInstances does not find it."""
    image = owned_image(clc, call, op.image_id)
    stop_if_dry_run(op.dry_run)
    await clc.images.remove(image.image_id)
    await _flush(clc, image.image_id)
    return Returned()


async def _flush(clc: "Clc", image_id: str) -> None:
    """Now if it can be; else the loop does it."""
    with suppress(EucaError):
        await image_loop.flush_if_unused(clc, image_id)


async def describe_images(clc: "Clc", call: Call, op: ec2.DescribeImages) -> ec2.DescribeImagesResult:
    stop_if_dry_run(op.dry_run)
    named, verbose = without_verbose(call, op.image_ids)
    if named:
        records = list(dict.fromkeys(_shown(clc, call, image_id) for image_id in named))
    else:
        # An administrator sees private images of others when the request names their owners.
        names_owners = verbose or bool(op.owners) or names_owner(op.filters)
        everything = call.admin and names_owners
        records = [r for r in clc.images.all() if everything or r.may_run(call.account)]
    if op.owners:
        owners = {call.account if o == "self" else o for o in op.owners}
        records = [r for r in records if r.account in owners]
    if op.executable_users:
        records = [r for r in records if _executable(r, call.account, op.executable_users)]
    records = filtered(records, op.filters, FILTERS)
    shown, token = page(
        sorted(records, key=lambda r: r.image_id),
        lambda r: r.image_id,
        max_results=op.max_results,
        next_token=op.next_token,
        ids_given=bool(op.image_ids),
    )
    return ec2.DescribeImagesResult(tuple(_view(clc, r) for r in shown), token)


def _view(clc: "Clc", record: Image) -> ec2.Image:
    """Of a pending one with how far it is, which EC2 has no other place for."""
    view, percent = clc.views.image(record), clc.image_progress.get(record.image_id)
    if record.state is not ImageState.PENDING or percent is None:
        return view
    return replace(view, state_reason=StateReason("pending", f"{percent} % is done."))


def visible(clc: "Clc", account: str, image_id: str) -> Image:
    """The image if the account may see it. Raises InvalidAMIID.NotFound, InvalidAMIID.Malformed."""
    image = clc.images.find(ids.checked_image(image_id))
    if image is None or not image.may_run(account):
        raise InvalidAMIIDNotFound(image_id)
    return image


def owned_image(clc: "Clc", call: Call, image_id: str) -> Image:
    """The image if the caller may change it. Raises InvalidAMIID.NotFound for what it may not even see,
    AuthFailure for another account's."""
    image = _shown(clc, call, image_id)
    if image.account != call.account and not call.admin:
        raise AuthFailure(f"Not authorized for image:{image.image_id}")
    return image


def usable(clc: "Clc", account: str, image_id: str, kind: ImageType) -> Image:
    """The image, if it is of this kind and available. Raises InvalidParameterValue when it is another,
    InvalidAMIID.Unavailable when it is pending or failed."""
    image = visible(clc, account, image_id)
    if image.type is not kind:
        raise InvalidParameterValue(f"{image.image_id} is a {image.type.value} image, not a {kind.value}.")
    return available(clc, account, image_id)


def available(clc: "Clc", account: str, image_id: str) -> Image:
    """Raises InvalidAMIID.NotFound, InvalidAMIID.Unavailable."""
    image = visible(clc, account, image_id)
    if image.state is not ImageState.AVAILABLE:
        raise InvalidAMIIDUnavailable(image.image_id)
    return image


def check_imds_support(value: str | None) -> None:
    """Raises InvalidParameterValue."""
    if value not in (None, IMDS_SUPPORT):
        raise InvalidParameterValue(f"ImdsSupport is {IMDS_SUPPORT} or not given.")


def check_limit(clc: "Clc", account: str) -> None:
    """Of images that take room of the cloud's own. Raises ResourceLimitExceeded."""
    own = sum(image.origin is not None for image in clc.images.of(account))
    if own >= clc.settings.max_images:
        raise ResourceLimitExceeded(f"The account has {own} images that the cloud keeps; deregister some.")


def _shown(clc: "Clc", call: Call, image_id: str) -> Image:
    """An administrator sees every image whose id it knows."""
    found = clc.images.find(ids.checked_image(image_id)) if call.admin else None
    return found or visible(clc, call.account, image_id)


def _location(location: str | None) -> tuple[str, str]:
    if location is None:
        raise MissingParameter("ImageLocation")
    bucket, slash, key = location.strip("/").partition("/")
    if not (bucket and slash and key):
        raise InvalidParameterValue(
            f"The image location '{location[:128]}' must be BUCKET/KEY of an object in Walrus."
        )
    return bucket, key


def checked_name(clc: "Clc", account: str, name: str) -> str:
    """Raises InvalidAMIName.Malformed, InvalidAMIName.Duplicate."""
    if not NAME.fullmatch(name):
        raise InvalidAMINameMalformed
    same = next((r for r in clc.images.of(account) if r.name == name), None)
    if same is not None:
        raise InvalidAMINameDuplicate(name, same.image_id)
    return name


def with_boot_images(clc: "Clc", call: Call, image: Image) -> Image:
    """Their ids as we write them. Raises InvalidAMIID.*, InvalidParameterValue."""
    kernel, ramdisk = image.kernel_id, image.ramdisk_id
    return replace(
        image,
        kernel_id=usable(clc, call.account, kernel, ImageType.KERNEL).image_id if kernel else None,
        ramdisk_id=usable(clc, call.account, ramdisk, ImageType.RAMDISK).image_id if ramdisk else None,
    )


def _check_kind(image: Image, checked: CheckedImage, key: str) -> None:
    """1.6.2 went by the file name; the bytes decide, and a name that says otherwise is a mistake."""
    name = key.rpartition("/")[2]
    for start, kind in (("vmlinuz", ImageType.KERNEL), ("initrd", ImageType.RAMDISK)):
        if name.startswith(start) and checked.type is not kind:
            raise InvalidManifest(
                f"{name[:64]} is named like a {kind.value}, but its bytes are a {checked.type.value} image."
            )
    if checked.type is not ImageType.MACHINE and (image.kernel_id or image.ramdisk_id):
        raise InvalidParameterCombination("Only a machine image has a kernel and a ramdisk.")


def _executable(image: Image, account: str, users: tuple[str, ...]) -> bool:
    """By an explicit permission, as EC2 counts it. Whom else an image was given to only its owner sees."""
    wanted = {account if user == "self" else user for user in users}
    shared = image.launch_users if image.account == account else {account} & {*image.launch_users}
    return ("all" in wanted and image.public) or bool(wanted & {*shared})
