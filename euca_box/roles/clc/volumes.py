"""Volumes: what users may wish. The loop in `volume_loop.py` makes it true."""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from euca_box.messages import base
from euca_box.messages import ec2_volumes as ec2
from euca_box.messages.base import Call, Done
from euca_box.messages.sc import ScDescribeStorage
from euca_box.model import ids
from euca_box.model.ec2_errors import (
    IncorrectVolumeState,
    InsufficientVolumeCapacity,
    InvalidVolumeNotFound,
    InvalidZoneNotFound,
    VolumeInUse,
    VolumeLimitExceeded,
)
from euca_box.model.errors import (
    IdempotentParameterMismatch,
    InvalidParameterValue,
    MissingParameter,
    Unavailable,
    UnsupportedOperation,
)
from euca_box.model.filters import Getter, filtered
from euca_box.model.hosts import ComponentState
from euca_box.model.paging import page
from euca_box.model.snapshots import Snapshot
from euca_box.model.volumes import DEFAULT_TYPE, VOLUME, VOLUME_TYPES, Volume, VolumeEvent, VolumeState
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import known_hosts, snapshots, volume_keys, zones
from euca_box.roles.clc.attachments import attachment_of
from euca_box.roles.clc.rules import names_owner, stop_if_dry_run, tags_for, without_verbose
from euca_box.roles.clc.volume_views import ATTACHMENT_FILTERS, state_of, volume_view
from euca_box.store.store import Conflict, insert, one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

FILTERS = {
    "availability-zone": lambda r: r.zone,
    "create-time": lambda r: datetime.fromtimestamp(r.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    "encrypted": lambda r: r.encrypted,
    "fast-restored": lambda r: False,
    "multi-attach-enabled": lambda r: False,
    "owner-id": lambda r: r.account,
    "size": lambda r: r.size_gib,
    "snapshot-id": lambda r: r.snapshot_id,
    "volume-id": lambda r: r.volume_id,
    "volume-type": lambda r: r.volume_type,
}


async def create_volume(clc: "Clc", call: Call, op: ec2.CreateVolume) -> ec2.Volume:
    """Refusals first, then one transaction with the volume and the token; the loop has it made."""
    fingerprint = hashlib.sha256(base.encode(op).encode()).hexdigest() if op.client_token else ""
    if op.client_token and (known := await _by_token(clc, call, op.client_token, fingerprint)):
        return volume_view(clc, known)
    _check_options(clc, op)
    tags = tags_for("volume", op.tag_specifications)
    snapshot = snapshots.usable(clc, call.account, op.snapshot_id) if op.snapshot_id else None
    size_gib = size_of(op.size, snapshot)
    zone = op.availability_zone if op.availability_zone not in (None, *zones.ANY) else clc.settings.zone
    assert zone is not None
    await check_room(clc, call, zone, [size_gib])
    stop_if_dry_run(op.dry_run)
    volume_id = ids.unused(clc.new_id, "vol", clc.volumes.find)
    key, source_key = volume_keys.new_keys(clc, volume_id, snapshot, encrypted=op.encrypted)
    volume = Volume(
        volume_id=volume_id,
        account=call.account,
        size_gib=size_gib,
        snapshot_id=snapshot.snapshot_id if snapshot else "",
        zone=zone,
        state=VOLUME.start,
        created_at=clc.now(),
        deadline=clc.now() + clc.settings.volume_seconds,
        volume_type=op.volume_type or DEFAULT_TYPE,
        client_token=op.client_token or "",
        encrypted=bool(key),
        sealed_key=key,
        sealed_source_key=source_key,
        tags=tags,
    )
    rows = [insert("used_id", {"id": volume.volume_id})]
    if op.client_token:
        token = {"account": call.account, "token": op.client_token, "parameters": fingerprint}
        rows.append(insert("volume_token", {**token, "volume_id": volume.volume_id}))
    try:
        await clc.volumes.add([volume], *rows)
    except Conflict:
        # The same token came twice at once and the other one won; or an id was there already.
        if op.client_token and (known := await _by_token(clc, call, op.client_token, fingerprint)):
            return volume_view(clc, known)
        raise
    fp("clc.volume.after-commit")
    clc.volume_bell.ring()
    return volume_view(clc, volume)


async def delete_volume(clc: "Clc", call: Call, op: ec2.DeleteVolume) -> Done:
    """Raises VolumeInUse, IncorrectState while it is made."""
    volume = reachable(clc, call, op.volume_id)
    stop_if_dry_run(op.dry_run)
    async with clc.volume_lock(volume.volume_id):
        volume = reachable(clc, call, op.volume_id)
        if (held := attachment_of(clc, volume.volume_id)) is not None:
            raise VolumeInUse(volume.volume_id, held[0].instance_id)
        if volume.state is VolumeState.CREATING:
            raise IncorrectVolumeState(volume.volume_id, volume.state)
        await wish_deleted(clc, volume.volume_id)
    fp("clc.volume.after-delete")
    clc.volume_bell.ring()
    return Done()


async def wish_deleted(clc: "Clc", volume_id: str) -> None:
    def delete(current: Volume) -> Volume:
        deadline = clc.now() + clc.settings.volume_seconds
        is_first = current.state is not VolumeState.DELETING
        state = VOLUME.after(current.state, VolumeEvent.DELETE)
        return replace(current, state=state, deadline=deadline if is_first else current.deadline)

    await clc.volumes.change(volume_id, delete)


async def describe_volumes(clc: "Clc", call: Call, op: ec2.DescribeVolumes) -> ec2.DescribeVolumesResult:
    stop_if_dry_run(op.dry_run)
    named, every = without_verbose(call, op.volume_ids)
    records: Iterable[Volume]
    if named:
        records = [reachable(clc, call, volume_id) for volume_id in dict.fromkeys(named)]
    else:
        every = every or (call.admin and names_owner(op.filters))
        records = clc.volumes.all() if every else clc.volumes.of(call.account)
    shown, token = page(
        sorted(filtered(records, op.filters, all_filters(clc)), key=lambda r: r.volume_id),
        lambda r: r.volume_id,
        max_results=op.max_results,
        next_token=op.next_token,
        ids_given=bool(named),
    )
    return ec2.DescribeVolumesResult(tuple(volume_view(clc, r) for r in shown), token)


def all_filters(clc: "Clc") -> dict[str, Getter]:
    """Those of the record, and those of its attachment."""
    of_attachment = {
        name: (lambda r, get=get: (held := attachment_of(clc, r.volume_id)) and get(*held))
        for name, get in ATTACHMENT_FILTERS.items()
    }
    return {**FILTERS, "status": lambda r: state_of(clc, r), **of_attachment}


def reachable(clc: "Clc", call: Call, volume_id: str) -> Volume:
    """The caller's volume; an administrator's are those of every account. Raises InvalidVolume.NotFound."""
    found = clc.volumes.reachable(call, ids.checked(volume_id, "vol"))
    if found is None:
        raise InvalidVolumeNotFound(volume_id)
    return found


def size_of(wanted: int | None, snapshot: Snapshot | None) -> int:
    """Raises MissingParameter, InvalidParameterValue for a volume smaller than its snapshot."""
    if wanted is None and snapshot is None:
        raise MissingParameter("Size/SnapshotId")
    if snapshot is None:
        return wanted or 0
    if wanted is not None and wanted < snapshot.size_gib:
        raise InvalidParameterValue(
            f"The size {wanted} is smaller than that of {snapshot.snapshot_id}, {snapshot.size_gib} GiB."
        )
    return snapshot.size_gib if wanted is None else wanted


async def check_room(clc: "Clc", call: Call, zone: str, sizes_gib: list[int], new: int | None = None) -> None:
    """For so many more volumes (`new`, else one for each size).

    Raises InvalidParameterValue, VolumeLimitExceeded, InsufficientVolumeCapacity, Unavailable.
    """
    if known_hosts.state_of(clc, clc.sc_of(zone)) is not ComponentState.ENABLED:
        raise Unavailable(f"The storage controller of {zone} takes no new volumes now.")
    storage = await clc.bus.ask(clc.sc_of(zone), ScDescribeStorage(), call)
    for size in sizes_gib:
        if not 1 <= size <= storage.max_volume_gib:
            raise InvalidParameterValue(
                f"The size of a volume is 1 to {storage.max_volume_gib} GiB here, not {size}."
            )
    own = list(clc.volumes.of(call.account))
    settings, total_gib = clc.settings, sum(volume.size_gib for volume in own) + sum(sizes_gib)
    if len(own) + (len(sizes_gib) if new is None else new) > settings.max_volumes:
        raise VolumeLimitExceeded(f"The account has {len(own)} volumes; {settings.max_volumes} are allowed.")
    if settings.max_volumes_gib and total_gib > settings.max_volumes_gib:
        raise VolumeLimitExceeded(
            f"All volumes of an account together have {settings.max_volumes_gib} GiB at most."
        )
    if storage.max_total_gib and storage.volumes_gib + sum(sizes_gib) > storage.max_total_gib:
        raise InsufficientVolumeCapacity("There is not enough room for the volume in this zone.")
    if storage.free_bytes == 0:
        raise InsufficientVolumeCapacity("The disk of the storage controller is full.")


def _check_options(clc: "Clc", op: ec2.CreateVolume) -> None:
    if op.client_token is not None and not re.fullmatch(r"[\x21-\x7e]{1,64}", op.client_token):
        raise InvalidParameterValue("Client tokens have 1 to 64 ASCII characters.")
    if op.availability_zone is None:
        raise MissingParameter("AvailabilityZone")
    if op.availability_zone not in zones.ANY and zones.find(clc, op.availability_zone) is None:
        raise InvalidZoneNotFound(op.availability_zone)
    if op.volume_type not in (None, *VOLUME_TYPES):
        raise UnsupportedOperation(f"Volume types are {', '.join(VOLUME_TYPES)} here.")
    if op.multi_attach_enabled:
        raise UnsupportedOperation("A volume has one writer at a time; multi-attach is not supported.")


async def _by_token(clc: "Clc", call: Call, token: str, fingerprint: str) -> Volume | None:
    """The volume that this token made. Raises IdempotentParameterMismatch."""
    row = one(
        await clc.store.read(
            "SELECT * FROM volume_token WHERE account = ? AND token = ?", call.account, token
        )
    )
    if row is None:
        return None
    if row["parameters"] != fingerprint:
        raise IdempotentParameterMismatch
    return clc.volumes.find(row["volume_id"])
