"""EC2 actions on volumes (EC2 2016-11-15)."""

from dataclasses import dataclass
from datetime import datetime

from euca_box.messages.base import Done, Op
from euca_box.messages.ec2_common import Filter, Tag, TagSpecification


@dataclass(frozen=True)
class VolumeAttachment:
    volume_id: str
    instance_id: str
    device: str
    state: str
    attach_time: datetime
    delete_on_termination: bool = False


@dataclass(frozen=True)
class Volume:
    volume_id: str
    size: int
    availability_zone: str
    state: str
    create_time: datetime
    volume_type: str
    encrypted: bool = False
    multi_attach_enabled: bool = False
    snapshot_id: str = ""
    attachments: tuple[VolumeAttachment, ...] = ()
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class CreateVolume(Op[Volume], role="clc"):
    """A volume of zeros, or of a snapshot. The same client token gives the same volume."""

    availability_zone: str | None = None
    size: int | None = None
    snapshot_id: str | None = None
    volume_type: str | None = None
    encrypted: bool = False
    multi_attach_enabled: bool = False
    tag_specifications: tuple[TagSpecification, ...] = ()
    client_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class DeleteVolume(Op[Done], role="clc"):
    """The wish is committed before the answer. A volume that is being deleted already is fine."""

    volume_id: str
    dry_run: bool = False


@dataclass(frozen=True)
class DescribeVolumesResult:
    volumes: tuple[Volume, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeVolumes(Op[DescribeVolumesResult], role="clc"):
    volume_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class AttachVolume(Op[VolumeAttachment], role="clc", timeout=60):
    """To a running instance at once, to a stopped one for its next start. `device` is kept as given.

    The guest finds the volume by its serial number, the id.
    """

    volume_id: str
    instance_id: str
    device: str
    dry_run: bool = False


@dataclass(frozen=True)
class DetachVolume(Op[VolumeAttachment], role="clc", timeout=60):
    """Ask the guest to let go of it. `force`: cut it off, whatever the guest does with it."""

    volume_id: str
    instance_id: str | None = None
    device: str | None = None
    force: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class VolumeModification:
    volume_id: str
    modification_state: str
    start_time: datetime
    original_size: int
    target_size: int
    original_volume_type: str
    target_volume_type: str
    progress: int
    status_message: str | None = None
    end_time: datetime | None = None


@dataclass(frozen=True)
class ModifyVolumeResult:
    volume_modification: VolumeModification


@dataclass(frozen=True)
class ModifyVolume(Op[ModifyVolumeResult], role="clc", timeout=60):
    """Make it larger, or call its type otherwise. While no guest that runs has it."""

    volume_id: str
    size: int | None = None
    volume_type: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class DescribeVolumesModificationsResult:
    volumes_modifications: tuple[VolumeModification, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeVolumesModifications(Op[DescribeVolumesModificationsResult], role="clc"):
    """The last one of each volume that was ever modified."""

    volume_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class VolumeStatusDetails:
    name: str
    status: str


@dataclass(frozen=True)
class VolumeStatusInfo:
    status: str
    details: tuple[VolumeStatusDetails, ...] = ()


@dataclass(frozen=True)
class VolumeStatusAction:
    code: str
    description: str
    event_type: str = "potential-data-inconsistency"


@dataclass(frozen=True)
class VolumeStatusItem:
    volume_id: str
    availability_zone: str
    volume_status: VolumeStatusInfo
    actions: tuple[VolumeStatusAction, ...] = ()


@dataclass(frozen=True)
class DescribeVolumeStatusResult:
    volume_statuses: tuple[VolumeStatusItem, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeVolumeStatus(Op[DescribeVolumeStatusResult], role="clc"):
    """Whether the storage controller has them, and the reason where it has not."""

    volume_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class AttributeBooleanValue:
    value: bool = False


@dataclass(frozen=True)
class DescribeVolumeAttributeResult:
    volume_id: str
    auto_enable_io: AttributeBooleanValue | None = None
    product_codes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class DescribeVolumeAttribute(Op[DescribeVolumeAttributeResult], role="clc"):
    volume_id: str
    attribute: str
    dry_run: bool = False


@dataclass(frozen=True)
class ModifyVolumeAttribute(Op[Done], role="clc"):
    """`auto_enable_io` is kept and shown: I/O is never switched off here."""

    volume_id: str
    auto_enable_io: AttributeBooleanValue | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class EnableVolumeIO(Op[Done], role="clc"):
    """I/O is never switched off here, so there is nothing to do."""

    volume_id: str
    dry_run: bool = False
