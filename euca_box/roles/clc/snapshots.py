"""Snapshots: what users may wish. The loop in `snapshot_loop.py` makes it true."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from euca_box.messages import ec2_snapshots as ec2
from euca_box.messages.base import Call, Done, system_call
from euca_box.messages.sc import ScCreateSnapshot
from euca_box.model import ids
from euca_box.model.ec2_errors import (
    IncorrectVolumeState,
    InvalidSnapshotInUse,
    InvalidSnapshotNotFound,
    SnapshotLimitExceeded,
)
from euca_box.model.errors import (
    AuthFailure,
    EucaError,
    IncorrectState,
    InvalidParameterValue,
    UnsupportedOperation,
)
from euca_box.model.filters import Getter, filtered
from euca_box.model.images import ImageState
from euca_box.model.paging import page
from euca_box.model.snapshots import SNAPSHOT, Snapshot, SnapshotEvent, SnapshotState
from euca_box.model.volumes import Volume, VolumeState
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import volume_keys, volumes
from euca_box.roles.clc.rules import Tags, names_owner, stop_if_dry_run, tags_for, without_verbose
from euca_box.roles.clc.views import tags_view, time_view
from euca_box.store.store import insert

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

COPIED_FROM = "vol-ffffffff"  # as AWS shows the volume of a copy
DESCRIPTION_LENGTH = 255
ALL, SELF, AMAZON = "all", "self", "amazon"


def all_filters(clc: "Clc") -> dict[str, Getter]:
    return {
        "description": lambda r: r.description,
        "encrypted": lambda r: r.encrypted,
        "owner-alias": lambda r: None,
        "owner-id": lambda r: r.account,
        "progress": lambda r: progress_of(clc, r),
        "snapshot-id": lambda r: r.snapshot_id,
        "start-time": lambda r: datetime.fromtimestamp(r.started_at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "status": lambda r: r.state.value,
        "storage-tier": lambda r: "standard",
        "volume-id": lambda r: r.volume_id,
        "volume-size": lambda r: r.size_gib,
    }


async def create_snapshot(clc: "Clc", call: Call, op: ec2.CreateSnapshot) -> ec2.Snapshot:
    """Raises IncorrectState, SnapshotLimitExceeded, InsufficientVolumeCapacity, Unavailable."""
    tags = tags_for("snapshot", op.tag_specifications)
    description = checked_description(op.description)
    volume = volumes.reachable(clc, call, op.volume_id)
    if volume.state is not VolumeState.AVAILABLE:
        raise IncorrectVolumeState(volume.volume_id, volume.state)
    check_limit(clc, volume.account)
    stop_if_dry_run(op.dry_run)
    snapshot = new_snapshot(clc, volume, description, tags)
    await clc.snapshots.add([snapshot], insert("used_id", {"id": snapshot.snapshot_id}))
    fp("clc.snapshot.after-commit")
    await take(clc, snapshot)
    return snapshot_view(clc, snapshot)


async def take(clc: "Clc", snapshot: Snapshot) -> None:
    """Its moment lies before the answer; what cannot be taken now leaves no snapshot. Raises EucaError."""
    op = ScCreateSnapshot(snapshot.snapshot_id, snapshot.volume_id)
    try:
        await clc.bus.ask(clc.sc_of(snapshot.zone), op, system_call(f"snapshot-{snapshot.snapshot_id}"))
    except EucaError:
        # It may have been taken all the same: what there is of it goes.
        await wish_deleted(clc, snapshot.snapshot_id)
        clc.snapshot_bell.ring()
        raise
    fp("clc.snapshot.after-sc")
    clc.snapshot_bell.ring()


async def delete_snapshot(clc: "Clc", call: Call, op: ec2.DeleteSnapshot) -> Done:
    """Raises InvalidSnapshot.InUse for one that an image is made of."""
    snapshot = owned_snapshot(clc, call, op.snapshot_id)
    if (image := _image_of(clc, snapshot.snapshot_id)) is not None:
        raise InvalidSnapshotInUse(snapshot.snapshot_id, image)
    stop_if_dry_run(op.dry_run)
    await wish_deleted(clc, snapshot.snapshot_id)
    fp("clc.snapshot.after-delete")
    clc.snapshot_bell.ring()
    return Done()


async def copy_snapshot(clc: "Clc", call: Call, op: ec2.CopySnapshot) -> ec2.CopySnapshotResult:
    """Raises IncorrectState for one that is not completed."""
    tags = tags_for("snapshot", op.tag_specifications)
    description = checked_description(op.description)
    for region in (op.source_region, op.destination_region or clc.settings.region):
        if region.lower() != clc.settings.region.lower():
            raise InvalidParameterValue(f"This cloud has one region, {clc.settings.region}.")
    source = usable(clc, call.account, op.source_snapshot_id)
    if op.encrypted and not source.encrypted:
        raise UnsupportedOperation(
            "A copy is as its source. Make an encrypted volume of it, and a snapshot of that."
        )
    check_limit(clc, call.account)
    stop_if_dry_run(op.dry_run)
    copy = copy_of(clc, source, call.account, description, tags)
    await clc.snapshots.add([copy], insert("used_id", {"id": copy.snapshot_id}))
    clc.snapshot_bell.ring()
    return ec2.CopySnapshotResult(copy.snapshot_id, tags_view(tags))


async def describe_snapshots(
    clc: "Clc", call: Call, op: ec2.DescribeSnapshots
) -> ec2.DescribeSnapshotsResult:
    stop_if_dry_run(op.dry_run)
    named, every = without_verbose(call, op.snapshot_ids)
    records: Iterable[Snapshot]
    if named:
        records = [visible(clc, call, snapshot_id) for snapshot_id in dict.fromkeys(named)]
    else:
        everything = call.admin and (every or bool(op.owner_ids) or names_owner(op.filters))
        records = [r for r in clc.snapshots.all() if everything or r.may_use(call.account)]
    records = [r for r in records if r.state is not SnapshotState.DELETING]
    if op.owner_ids:
        owners = {call.account if owner == SELF else owner for owner in op.owner_ids}
        records = [r for r in records if r.account in owners]
    if op.restorable_by_user_ids:
        records = [r for r in records if _restorable(r, call.account, op.restorable_by_user_ids)]
    shown, token = page(
        sorted(filtered(records, op.filters, all_filters(clc)), key=lambda r: r.snapshot_id),
        lambda r: r.snapshot_id,
        max_results=op.max_results,
        next_token=op.next_token,
        ids_given=bool(named),
    )
    return ec2.DescribeSnapshotsResult(tuple(snapshot_view(clc, r) for r in shown), token)


def new_snapshot(clc: "Clc", volume: Volume, description: str, tags: Tags) -> Snapshot:
    snapshot_id = ids.unused(clc.new_id, "snap", clc.snapshots.find)
    return Snapshot(
        snapshot_id=snapshot_id,
        account=volume.account,
        volume_id=volume.volume_id,
        size_gib=volume.size_gib,
        state=SNAPSHOT.start,
        started_at=clc.now(),
        deadline=clc.now() + clc.settings.snapshot_seconds,
        description=description,
        encrypted=volume.encrypted,
        sealed_key=volume_keys.key_of_volume(clc, volume, snapshot_id),
        tags=tags,
        zone=volume.zone,
    )


def copy_of(clc: "Clc", source: Snapshot, account: str, description: str, tags: Tags = ()) -> Snapshot:
    snapshot_id = ids.unused(clc.new_id, "snap", clc.snapshots.find)
    return Snapshot(
        snapshot_id=snapshot_id,
        account=account,
        volume_id=COPIED_FROM,
        size_gib=source.size_gib,
        state=SNAPSHOT.start,
        started_at=clc.now(),
        deadline=clc.now() + clc.settings.snapshot_seconds,
        description=description,
        source_id=source.snapshot_id,
        encrypted=source.encrypted,
        sealed_key=volume_keys.key_of_snapshot(clc, source, snapshot_id),
        tags=tags,
    )


async def wish_deleted(clc: "Clc", snapshot_id: str) -> None:
    def delete(current: Snapshot) -> Snapshot:
        return replace(current, state=SNAPSHOT.after(current.state, SnapshotEvent.DELETE))

    await clc.snapshots.change(snapshot_id, delete)


def visible(clc: "Clc", call: Call, snapshot_id: str) -> Snapshot:
    """The snapshot if the caller may see it. Raises InvalidSnapshot.NotFound."""
    found = clc.snapshots.find(ids.checked(snapshot_id, "snap"))
    if found is None or found.state is SnapshotState.DELETING:
        raise InvalidSnapshotNotFound(snapshot_id)
    if not (found.may_use(call.account) or call.admin):
        raise InvalidSnapshotNotFound(snapshot_id)
    return found


def owned_snapshot(clc: "Clc", call: Call, snapshot_id: str) -> Snapshot:
    """The snapshot if the caller may change it. Raises AuthFailure for another's that it may only use."""
    found = visible(clc, call, snapshot_id)
    if found.account != call.account and not call.admin:
        raise AuthFailure(f"Not authorized for snapshot:{found.snapshot_id}")
    return found


def usable(clc: "Clc", account: str, snapshot_id: str) -> Snapshot:
    """One to make a volume of. Raises InvalidSnapshot.NotFound, IncorrectState."""
    found = clc.snapshots.find(ids.checked(snapshot_id, "snap"))
    if found is None or found.state is SnapshotState.DELETING or not found.may_use(account):
        raise InvalidSnapshotNotFound(snapshot_id)
    if found.state is not SnapshotState.COMPLETED:
        raise IncorrectState(f"The snapshot '{found.snapshot_id}' is '{found.state}', not 'completed'.")
    return found


def check_limit(clc: "Clc", account: str, count: int = 1) -> None:
    """Raises SnapshotLimitExceeded."""
    own = sum(1 for _ in clc.snapshots.of(account))
    if own + count > clc.settings.max_snapshots:
        raise SnapshotLimitExceeded(own, clc.settings.max_snapshots)


def checked_description(text: str | None) -> str:
    if text is not None and len(text) > DESCRIPTION_LENGTH:
        raise InvalidParameterValue(f"Descriptions have at most {DESCRIPTION_LENGTH} characters.")
    return text or ""


def progress_of(clc: "Clc", snapshot: Snapshot) -> str:
    if snapshot.state is SnapshotState.COMPLETED:
        return "100%"
    return f"{min(clc.snapshot_progress.get(snapshot.snapshot_id, 0), 99)}%"


def snapshot_view(clc: "Clc", snapshot: Snapshot) -> ec2.Snapshot:
    return ec2.Snapshot(
        snapshot_id=snapshot.snapshot_id,
        volume_id=snapshot.volume_id,
        state=snapshot.state.value,
        start_time=time_view(snapshot.started_at),
        progress=progress_of(clc, snapshot),
        owner_id=snapshot.account,
        description=snapshot.description,
        volume_size=snapshot.size_gib,
        encrypted=snapshot.encrypted,
        state_message=snapshot.reason or None,
        tags=tags_view(snapshot.tags),
    )


def _restorable(snapshot: Snapshot, account: str, users: tuple[str, ...]) -> bool:
    wanted = {account if user == SELF else user for user in users}
    # Whom else it was given to only its owner learns.
    given = {*snapshot.users} if snapshot.account == account else {*snapshot.users} & {account}
    return (ALL in wanted and snapshot.public) or bool(wanted & {snapshot.account, *given})


def _image_of(clc: "Clc", snapshot_id: str) -> str | None:
    """An image that makes volumes of it; one that failed makes none."""
    return next(
        (
            image.image_id
            for image in clc.images.all()
            if image.state is not ImageState.FAILED
            and any(v.snapshot_id == snapshot_id for v in image.volumes)
        ),
        None,
    )
