"""Volumes and attachments as EC2 shows them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from euca_box.messages import ec2_volumes as ec2
from euca_box.model.instances import Instance
from euca_box.model.volumes import IN_USE, Attachment, AttachmentState, Volume, VolumeState
from euca_box.roles.clc.attachments import attachment_of
from euca_box.roles.clc.views import tags_view, time_view

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

ATTACHMENT_FILTERS: dict[str, Any] = {
    "attachment.attach-time": lambda i, a: datetime.fromtimestamp(a.at, UTC).strftime(
        "%Y-%m-%dT%H:%M:%S.000Z"
    ),
    "attachment.delete-on-termination": lambda i, a: a.delete_on_termination,
    "attachment.device": lambda i, a: a.device,
    "attachment.instance-id": lambda i, a: i.instance_id,
    "attachment.status": lambda i, a: a.state.value,
}


def state_of(clc: "Clc", volume: Volume) -> str:
    if volume.state is VolumeState.AVAILABLE and attachment_of(clc, volume.volume_id) is not None:
        return IN_USE
    return volume.state.value


def volume_view(clc: "Clc", volume: Volume) -> ec2.Volume:
    held = attachment_of(clc, volume.volume_id)
    return ec2.Volume(
        volume_id=volume.volume_id,
        size=volume.size_gib,
        availability_zone=volume.zone,
        state=state_of(clc, volume),
        create_time=time_view(volume.created_at),
        volume_type=volume.volume_type,
        encrypted=volume.encrypted,
        snapshot_id=volume.snapshot_id,
        attachments=() if held is None else (attachment_view(*held),),
        tags=tags_view(volume.tags),
    )


def attachment_view(instance: Instance, attachment: Attachment, state: str = "") -> ec2.VolumeAttachment:
    return ec2.VolumeAttachment(
        volume_id=attachment.volume_id,
        instance_id=instance.instance_id,
        device=attachment.device,
        state=state or shown_state(attachment),
        attach_time=time_view(attachment.at),
        delete_on_termination=attachment.delete_on_termination,
    )


def shown_state(attachment: Attachment) -> str:
    # `busy` is a value of the same list: EC2 2016-11-15, VolumeAttachmentState.
    return AttachmentState(attachment.state).value
