"""Volumes that are made with an instance: which they are, and whether they are there."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from euca_box.messages.base import Call
from euca_box.messages.ec2_instances import BlockDeviceMapping, EbsBlockDevice
from euca_box.model import ids
from euca_box.model.ec2_errors import InvalidBlockDeviceMapping
from euca_box.model.errors import UnsupportedOperation
from euca_box.model.images import ImageVolume
from euca_box.model.instances import Instance
from euca_box.model.volumes import (
    ATTACHMENT,
    DEFAULT_TYPE,
    VOLUME,
    VOLUME_TYPES,
    Attachment,
    Volume,
    VolumeState,
)
from euca_box.roles.clc import snapshots, volume_keys
from euca_box.roles.clc.rules import Tags

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc


def wanted_volumes(
    clc: "Clc",
    call: Call,
    mappings: Iterable[tuple[str, BlockDeviceMapping]],
    before: Iterable[ImageVolume] = (),
    root: str = "",
) -> tuple[ImageVolume, ...]:
    """Those of the image, as the mappings (device, mapping) change them, and those that they add.

    Raises InvalidBlockDeviceMapping, InvalidSnapshot.NotFound, IncorrectState, UnsupportedOperation.
    """
    found = {volume.device: volume for volume in before}
    for device, mapping in mappings:
        if mapping.no_device is not None:
            if device == root and device in found:
                raise InvalidBlockDeviceMapping("The root volume cannot be left out.")
            found.pop(device, None)
        elif mapping.ebs is not None:
            if mapping.virtual_name is not None:
                raise InvalidBlockDeviceMapping(
                    f"{device} is either a volume or {mapping.virtual_name[:64]}."
                )
            found[device] = _wanted(clc, call, device, mapping.ebs, found.get(device))
    return tuple(sorted(found.values(), key=lambda volume: volume.device))


def made_volumes(
    clc: "Clc", instance: Instance, wanted: Iterable[ImageVolume], tags: Tags
) -> tuple[tuple[Volume, ...], tuple[Attachment, ...]]:
    """New records for one instance: they are made and attached by the loops."""
    made, attached = [], []
    for wish in wanted:
        volume_id = ids.unused(clc.new_id, "vol", clc.volumes.find)
        snapshot = clc.snapshots.find(wish.snapshot_id) if wish.snapshot_id else None
        key, source_key = volume_keys.new_keys(clc, volume_id, snapshot, encrypted=wish.encrypted)
        volume = Volume(
            volume_id=volume_id,
            account=instance.account,
            size_gib=wish.size_gib,
            zone=instance.zone,
            state=VOLUME.start,
            created_at=clc.now(),
            deadline=instance.deadline,
            snapshot_id=wish.snapshot_id,
            volume_type=wish.volume_type,
            attaches=1,
            encrypted=bool(key),
            sealed_key=key,
            sealed_source_key=source_key,
            tags=tags,
        )
        made.append(volume)
        attached.append(
            Attachment(
                volume_id=volume.volume_id,
                device=wish.device,
                state=ATTACHMENT.start,
                number=1,
                at=clc.now(),
                generation=instance.generation,
                deadline=instance.deadline + clc.settings.attach_seconds,
                delete_on_termination=wish.delete_on_termination,
            )
        )
    return tuple(made), tuple(attached)


def has_unmade_volumes(clc: "Clc", record: Instance) -> bool:
    found = (clc.volumes.find(attachment.volume_id) for attachment in record.volumes)
    return any(volume is not None and volume.state is VolumeState.CREATING for volume in found)


def volume_problem(clc: "Clc", record: Instance) -> str | None:
    """Why a new instance will never have its volumes, in words."""
    for attachment in record.volumes:
        volume = clc.volumes.find(attachment.volume_id)
        if volume is None:
            return f"its volume {attachment.volume_id} is gone"
        if volume.state is VolumeState.ERROR:
            return f"its volume {attachment.volume_id} could not be made: {volume.reason}"
    return None


def _wanted(
    clc: "Clc", call: Call, device: str, ebs: EbsBlockDevice, before: ImageVolume | None
) -> ImageVolume:
    if ebs.volume_type not in (None, *VOLUME_TYPES):
        raise UnsupportedOperation(f"Volume types are {', '.join(VOLUME_TYPES)} here.")
    if before is not None and ebs.snapshot_id not in (None, before.snapshot_id):
        raise InvalidBlockDeviceMapping(f"The snapshot at {device} is that of the image.")
    snapshot_id = before.snapshot_id if before is not None else ebs.snapshot_id or ""
    smallest = before.size_gib if before is not None else 0
    encrypted = bool(ebs.encrypted) or (before is not None and before.encrypted)
    if snapshot_id and before is None:
        # What the image names its owner could use; what the caller names the caller must.
        snapshot = snapshots.usable(clc, call.account, snapshot_id)
        snapshot_id, smallest = snapshot.snapshot_id, snapshot.size_gib
        encrypted = encrypted or snapshot.encrypted
    size_gib = ebs.volume_size if ebs.volume_size is not None else smallest
    if size_gib < max(smallest, 1):
        raise InvalidBlockDeviceMapping(
            f"The volume at {device} needs a size of {max(smallest, 1)} GiB at least."
        )
    ends = ebs.delete_on_termination
    return ImageVolume(
        device=device,
        size_gib=size_gib,
        snapshot_id=snapshot_id,
        delete_on_termination=ends if ends is not None else before is None or before.delete_on_termination,
        volume_type=ebs.volume_type or (before.volume_type if before else DEFAULT_TYPE),
        encrypted=encrypted,
    )
