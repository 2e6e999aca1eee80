"""AttachVolume and DetachVolume: the wish is one change of the instance's record, with a new generation."""

from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.messages import ec2_volumes as ec2
from euca_box.messages.base import Call
from euca_box.model.ec2_errors import (
    AttachmentLimitExceeded,
    IncorrectInstanceState,
    IncorrectVolumeState,
    InvalidAttachmentNotFound,
    InvalidVolumeZoneMismatch,
    VolumeInUse,
)
from euca_box.model.errors import InvalidParameterValue
from euca_box.model.instances import Instance, InstanceState
from euca_box.model.volumes import Attachment, AttachmentState, Volume, VolumeState
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import attachments, attributes, instances, volume_views, volumes
from euca_box.roles.clc.attachments import attachment_of, check_device, plain_device, wish_detached
from euca_box.roles.clc.rules import stop_if_dry_run

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

MOST = 26  # volumes of an instance
ATTACHED_TO = (InstanceState.RUNNING, InstanceState.STOPPED)


async def attach_volume(clc: "Clc", call: Call, op: ec2.AttachVolume) -> ec2.VolumeAttachment:
    """Raises IncorrectState, VolumeInUse, IncorrectInstanceState, InvalidParameterValue for the device."""
    volume = volumes.reachable(clc, call, op.volume_id)
    [record] = instances.reachable(clc, call, (op.instance_id,))
    async with clc.volume_lock(volume.volume_id):
        volume = volumes.reachable(clc, call, op.volume_id)
        _check_volume(clc, volume)
        if record.account != volume.account:
            raise InvalidParameterValue("The volume and the instance belong to different accounts.")
        check_device(op.device)
        device = op.device
        if record.boots_from_volume and plain_device(device) == plain_device(record.root_device_name):
            device = record.root_device_name
        if volume.zone != record.zone:
            raise InvalidVolumeZoneMismatch(volume.volume_id, record.instance_id)
        _check_instance(record, op.device)
        stop_if_dry_run(op.dry_run)
        after_number = await clc.volumes.change(volume.volume_id, attachments.numbered)
        assert after_number is not None
        fp("clc.attach.after-number")
        deadline = clc.now() + clc.settings.attach_seconds

        def attach(current: Instance) -> Instance:
            _check_instance(current, op.device)
            waits = current.state is not InstanceState.STOPPED
            made = Attachment(
                volume_id=volume.volume_id,
                device=device,
                state=AttachmentState.ATTACHING if waits else AttachmentState.ATTACHED,
                number=after_number.attaches,
                at=clc.now(),
                generation=current.generation + 1,
                deadline=deadline,
            )
            return replace(current, volumes=(*current.volumes, made), generation=current.generation + 1)

        after = await clc.instances.change(record.instance_id, attach)
    if after is None:
        raise IncorrectInstanceState(f"The instance '{record.instance_id}' is gone.")
    fp("clc.attach.after-commit")
    if after.state is not InstanceState.STOPPED:
        await attributes.have_in_force(clc, record.instance_id)
    clc.volume_bell.ring()
    found = next(a for a in after.volumes if a.volume_id == volume.volume_id)
    return volume_views.attachment_view(after, found, AttachmentState.ATTACHING.value)


async def detach_volume(clc: "Clc", call: Call, op: ec2.DetachVolume) -> ec2.VolumeAttachment:
    """Raises InvalidAttachment.NotFound, IncorrectState for a volume that is not attached."""
    volume = volumes.reachable(clc, call, op.volume_id)
    async with clc.volume_lock(volume.volume_id):
        held = attachment_of(clc, volume.volume_id)
        if held is None:
            raise IncorrectVolumeState(volume.volume_id, volume_views.state_of(clc, volume))
        record, attachment = held
        if op.instance_id not in (None, record.instance_id) or op.device not in (None, attachment.device):
            raise InvalidAttachmentNotFound(volume.volume_id)
        if attachment.device == record.root_device_name and record.state is not InstanceState.STOPPED:
            raise InvalidParameterValue("Unable to detach root volume of an instance that is not stopped.")
        stop_if_dry_run(op.dry_run)
        after = await wish_detached(clc, record.instance_id, volume.volume_id, force=op.force)
    fp("clc.detach.after-commit")
    if after is not None and after.state is InstanceState.RUNNING:
        await attributes.have_in_force(clc, record.instance_id)
    clc.volume_bell.ring()
    return volume_views.attachment_view(record, attachment, AttachmentState.DETACHING.value)


def _check_volume(clc: "Clc", volume: Volume) -> None:
    if (held := attachment_of(clc, volume.volume_id)) is not None:
        raise VolumeInUse(volume.volume_id, held[0].instance_id)
    if volume.state is not VolumeState.AVAILABLE:
        raise IncorrectVolumeState(volume.volume_id, volume.state)
    if volume.is_modified:
        raise IncorrectVolumeState(volume.volume_id, "being modified")


def _check_instance(record: Instance, device: str) -> None:
    if record.state not in ATTACHED_TO:
        raise IncorrectInstanceState(
            f"The instance '{record.instance_id}' is not 'running' or 'stopped', but '{record.state}'."
        )
    if len(record.volumes) >= MOST:
        raise AttachmentLimitExceeded(MOST)
    used = [disk.device_name for disk in record.extra_disks]
    # The root of one that boots from a volume is changed while it is stopped.
    used += [] if record.boots_from_volume else [record.root_device_name]
    used += [attachment.device for attachment in record.volumes]
    if plain_device(device) in map(plain_device, used):
        raise InvalidParameterValue(
            f"Invalid value '{device[:64]}' for unixDevice. Attachment point {device[:64]} is already in use"
        )
