"""Attachments: a volume of an instance. They stand in the instance's record, and go down with its wishes."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.model.errors import InvalidParameterValue
from euca_box.model.instances import Instance, InstanceState
from euca_box.model.volumes import (
    ATTACHMENT,
    Attachment,
    AttachmentEvent,
    Volume,
    VolumeReport,
    VolumeWish,
)
from euca_box.roles.clc import tickets

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

_DEVICE = re.compile(r"(?:/dev/)?(?:sd|xvd|vd|hd)[a-z]{1,2}[0-9]{0,2}")


class AttachmentIndex:
    """Volume -> the instance that has it, kept up by the changes of the instances' records."""

    def __init__(self) -> None:
        self._instances: dict[str, str] = {}

    def note(self, before: Instance | None, after: Instance | None) -> None:
        for attachment in _live(before):
            if self._instances.get(attachment.volume_id) == (before and before.instance_id):
                del self._instances[attachment.volume_id]
        for attachment in _live(after):
            assert after is not None
            self._instances[attachment.volume_id] = after.instance_id

    def find(self, volume_id: str) -> str | None:
        return self._instances.get(volume_id)


def attachment_of(clc: "Clc", volume_id: str) -> tuple[Instance, Attachment] | None:
    """Which instance has the volume, or is about to get it, or has not let go of it yet."""
    instance_id = clc.attachments.find(volume_id)
    instance = clc.instances.find(instance_id) if instance_id is not None else None
    if instance is None:
        return None
    return next(((instance, a) for a in instance.volumes if a.volume_id == volume_id), None)


async def wish_detached(clc: "Clc", instance_id: str, volume_id: str, *, force: bool) -> Instance | None:
    """Of a stopped instance it is done at once: its node let go of it when it stopped."""

    def detach(current: Instance) -> Instance | None:
        found = next((a for a in current.volumes if a.volume_id == volume_id), None)
        if found is None:
            return None
        if current.state is InstanceState.STOPPED:
            return without(current, volume_id)
        if not found.wanted and (found.force or not force):
            return current
        ended = replace(
            found,
            state=ATTACHMENT.after(found.state, AttachmentEvent.DETACH),
            force=force,
            generation=current.generation + 1,
            deadline=clc.now() + clc.settings.detach_seconds,
        )
        return replace(with_attachment(current, ended), generation=current.generation + 1)

    return await clc.instances.change(instance_id, detach)


def wishes(clc: "Clc", record: Instance) -> tuple[VolumeWish, ...]:
    """What its node shall have attached."""
    found = []
    for attachment in record.volumes:
        if attachment.wanted:
            volume = clc.volumes.find(attachment.volume_id)
            size_gib = volume.size_gib if volume is not None else 0
            ticket = tickets.for_volume(clc, attachment.volume_id, attachment.number)
            wish = VolumeWish(attachment.volume_id, attachment.device, attachment.number, size_gib, ticket)
            found.append(wish)
    return tuple(found)


def taken(record: Instance, generation: int, reports: Iterable[VolumeReport]) -> Instance:
    """The record after what its node said while it knew the wish of this generation."""
    found = {report.volume_id: report for report in reports}
    for attachment in record.volumes:
        if generation >= attachment.generation:
            changed = _taken(attachment, found.get(attachment.volume_id))
            if changed is None:
                record = without(record, attachment.volume_id)
            else:
                record = with_attachment(record, changed)
    return record


def halted(record: Instance) -> Instance:
    """Nothing of it runs: its node has let go of all volumes, and has those that it shall have next time."""
    return replace(
        record,
        volumes=tuple(
            replace(a, state=ATTACHMENT.after(a.state, AttachmentEvent.TAKEN))
            for a in record.volumes
            if a.wanted
        ),
    )


def numbered(volume: Volume) -> Volume:
    """For a new holder: who has an older number can be cut off."""
    return replace(volume, attaches=volume.attaches + 1, reason="")


def with_attachment(record: Instance, changed: Attachment) -> Instance:
    volumes = tuple(changed if a.volume_id == changed.volume_id else a for a in record.volumes)
    return record if volumes == record.volumes else replace(record, volumes=volumes)


def without(record: Instance, volume_id: str) -> Instance:
    return replace(record, volumes=tuple(a for a in record.volumes if a.volume_id != volume_id))


def check_device(device: str) -> None:
    """Raises InvalidParameterValue."""
    if not _DEVICE.fullmatch(device):
        raise InvalidParameterValue(f"Value ({device[:64]}) for parameter device is invalid.")


def plain_device(device: str) -> str:
    """`sdf` and `/dev/sdf` are the same place."""
    return device.removeprefix("/dev/")


def _taken(attachment: Attachment, report: VolumeReport | None) -> Attachment | None:
    """None: it is no longer attached."""
    if report is not None and report.number > attachment.number:
        return attachment
    if attachment.wanted:
        if report is None or report.state != "attached" or report.number != attachment.number:
            return attachment
        return replace(attachment, state=ATTACHMENT.after(attachment.state, AttachmentEvent.TAKEN))
    if report is None:
        return None
    if report.state == "busy":
        return replace(attachment, state=ATTACHMENT.after(attachment.state, AttachmentEvent.HELD))
    return attachment


def _live(record: Instance | None) -> tuple[Attachment, ...]:
    """Those that count: nothing is attached to an instance that has ended."""
    if record is None or record.state is InstanceState.TERMINATED:
        return ()
    return record.volumes
