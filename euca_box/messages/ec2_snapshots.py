"""EC2 actions on snapshots of volumes (EC2 2016-11-15)."""

from dataclasses import dataclass
from datetime import datetime

from euca_box.messages.base import Done, Op
from euca_box.messages.ec2_common import Filter, ProductCode, Tag, TagSpecification


@dataclass(frozen=True)
class Snapshot:
    snapshot_id: str
    volume_id: str
    state: str
    start_time: datetime
    progress: str
    owner_id: str
    description: str
    volume_size: int
    encrypted: bool = False
    storage_tier: str = "standard"
    state_message: str | None = None
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class CreateSnapshot(Op[Snapshot], role="clc", timeout=60):
    """The volume as it is at one moment before this answers; it is sent to Walrus afterwards."""

    volume_id: str
    description: str | None = None
    tag_specifications: tuple[TagSpecification, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class InstanceSpecification:
    instance_id: str
    exclude_boot_volume: bool = False
    exclude_data_volume_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class SnapshotInfo:
    snapshot_id: str
    volume_id: str
    state: str
    start_time: datetime
    progress: str
    owner_id: str
    description: str
    volume_size: int
    encrypted: bool = False
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class CreateSnapshotsResult:
    snapshots: tuple[SnapshotInfo, ...] = ()


@dataclass(frozen=True)
class CreateSnapshots(Op[CreateSnapshotsResult], role="clc", timeout=90):
    """All volumes of an instance as they are at one moment, for which its guest stands still."""

    instance_specification: InstanceSpecification
    description: str | None = None
    tag_specifications: tuple[TagSpecification, ...] = ()
    copy_tags_from_source: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class DeleteSnapshot(Op[Done], role="clc"):
    """Volumes and snapshots that came of it stay as they are."""

    snapshot_id: str
    dry_run: bool = False


@dataclass(frozen=True)
class CopySnapshotResult:
    snapshot_id: str
    tags: tuple[Tag, ...] = ()


@dataclass(frozen=True)
class CopySnapshot(Op[CopySnapshotResult], role="clc"):
    """A snapshot of one's own, of one that one may use."""

    source_region: str
    source_snapshot_id: str
    description: str | None = None
    destination_region: str | None = None
    presigned_url: str | None = None  # boto sends one; within one region nobody needs it
    encrypted: bool = False
    tag_specifications: tuple[TagSpecification, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class DescribeSnapshotsResult:
    snapshots: tuple[Snapshot, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeSnapshots(Op[DescribeSnapshotsResult], role="clc"):
    snapshot_ids: tuple[str, ...] = ()
    owner_ids: tuple[str, ...] = ()
    restorable_by_user_ids: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class CreateVolumePermission:
    """Who may make volumes of it: an account, or the group `all`."""

    user_id: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class CreateVolumePermissionModifications:
    add: tuple[CreateVolumePermission, ...] = ()
    remove: tuple[CreateVolumePermission, ...] = ()


@dataclass(frozen=True)
class ModifySnapshotAttribute(Op[Done], role="clc"):
    """`create_volume_permission`; or flat: `operation_type` with `user_ids` and `group_names`."""

    snapshot_id: str
    attribute: str | None = None
    create_volume_permission: CreateVolumePermissionModifications | None = None
    operation_type: str | None = None
    user_ids: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class DescribeSnapshotAttributeResult:
    snapshot_id: str
    create_volume_permissions: tuple[CreateVolumePermission, ...] | None = None
    product_codes: tuple[ProductCode, ...] | None = None


@dataclass(frozen=True)
class DescribeSnapshotAttribute(Op[DescribeSnapshotAttributeResult], role="clc"):
    snapshot_id: str
    attribute: str
    dry_run: bool = False


@dataclass(frozen=True)
class ResetSnapshotAttribute(Op[Done], role="clc"):
    """`createVolumePermission`: only the owner may use it."""

    snapshot_id: str
    attribute: str
    dry_run: bool = False
