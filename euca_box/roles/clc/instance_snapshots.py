"""CreateSnapshots: all volumes of an instance at one moment. All are taken, or none is left."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

from euca_box.messages import ec2_snapshots as ec2
from euca_box.messages.base import Call, system_call
from euca_box.messages.cc import CcHoldInstance
from euca_box.messages.sc import ScCreateSnapshot
from euca_box.model.ec2_errors import IncorrectInstanceState, IncorrectVolumeState, InvalidVolumeNotFound
from euca_box.model.errors import EucaError, InvalidParameterValue
from euca_box.model.instances import Instance, InstanceState
from euca_box.model.snapshots import Snapshot
from euca_box.model.volumes import Volume, VolumeState
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import instances, snapshots
from euca_box.roles.clc.rules import Tags, stop_if_dry_run, tags_for
from euca_box.roles.clc.views import tags_view, time_view
from euca_box.store.store import insert
from euca_box.tasks import together

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)

VOLUME = "volume"


async def create_snapshots(clc: "Clc", call: Call, op: ec2.CreateSnapshots) -> ec2.CreateSnapshotsResult:
    """Raises IncorrectInstanceState, InvalidParameterValue, and as CreateSnapshot."""
    [record] = instances.reachable(clc, call, (op.instance_specification.instance_id,))
    tags = tags_for("snapshot", op.tag_specifications)
    description = snapshots.checked_description(op.description)
    if op.copy_tags_from_source not in (None, VOLUME):
        raise InvalidParameterValue("CopyTagsFromSource is volume.")
    if record.state not in (InstanceState.RUNNING, InstanceState.STOPPED):
        raise IncorrectInstanceState(f"The instance '{record.instance_id}' is neither running nor stopped.")
    wanted = _wanted(clc, record, op.instance_specification)
    snapshots.check_limit(clc, record.account, len(wanted))
    stop_if_dry_run(op.dry_run)
    copies = op.copy_tags_from_source == VOLUME
    made = [snapshots.new_snapshot(clc, v, description, _joined(v, tags) if copies else tags) for v in wanted]
    await clc.snapshots.add(made, *(insert("used_id", {"id": s.snapshot_id}) for s in made))
    fp("clc.snapshots.after-commit")
    try:
        async with _held(clc, record, len(made)):
            await together([partial(_take, clc, snapshot) for snapshot in made])
    except EucaError:
        for snapshot in made:
            await snapshots.wish_deleted(clc, snapshot.snapshot_id)
        raise
    finally:
        clc.snapshot_bell.ring()
    return ec2.CreateSnapshotsResult(tuple(_view(clc, snapshot) for snapshot in made))


def _wanted(clc: "Clc", record: Instance, asked: ec2.InstanceSpecification) -> list[Volume]:
    excluded = {*asked.exclude_data_volume_ids}
    root = record.root_volume if record.boots_from_volume else None
    if unknown := excluded - {attachment.volume_id for attachment in record.volumes}:
        raise InvalidVolumeNotFound(min(unknown))
    if root is not None and root.volume_id in excluded:
        raise InvalidParameterValue("The boot volume is excluded by ExcludeBootVolume.")
    if root is not None and asked.exclude_boot_volume:
        excluded.add(root.volume_id)
    found = []
    for attachment in record.volumes:
        volume = clc.volumes.find(attachment.volume_id)
        if volume is None or attachment.volume_id in excluded:
            continue
        if volume.state is not VolumeState.AVAILABLE:
            raise IncorrectVolumeState(volume.volume_id, volume.state)
        found.append(volume)
    if not found:
        raise InvalidParameterValue(f"The instance '{record.instance_id}' has no volumes to snapshot.")
    return found


@asynccontextmanager
async def _held(clc: "Clc", record: Instance, count: int) -> AsyncIterator[None]:
    """One volume needs nobody to stand still. Raises EucaError."""
    if record.state is not InstanceState.RUNNING or count < 2:
        yield
        return
    call = system_call(f"hold-{record.instance_id}")
    try:
        await clc.bus.ask(clc.cc_of(record.zone), CcHoldInstance(record.instance_id, hold=True), call)
        fp("clc.snapshots.after-hold")
        yield
    finally:
        with trio.CancelScope(shield=True):
            try:
                go_on = CcHoldInstance(record.instance_id, hold=False)
                await clc.bus.ask(clc.cc_of(record.zone), go_on, call)
            except EucaError as error:
                log.warning("%s goes on by itself: %s", record.instance_id, error.message)


async def _take(clc: "Clc", snapshot: Snapshot) -> None:
    op = ScCreateSnapshot(snapshot.snapshot_id, snapshot.volume_id)
    await clc.bus.ask(clc.sc_of(snapshot.zone), op, system_call(f"snapshot-{snapshot.snapshot_id}"))


def _joined(volume: Volume, tags: Tags) -> Tags:
    return tuple((dict(volume.tags) | dict(tags)).items())


def _view(clc: "Clc", snapshot: Snapshot) -> ec2.SnapshotInfo:
    return ec2.SnapshotInfo(
        snapshot_id=snapshot.snapshot_id,
        volume_id=snapshot.volume_id,
        state=snapshot.state.value,
        start_time=time_view(snapshot.started_at),
        progress=snapshots.progress_of(clc, snapshot),
        owner_id=snapshot.account,
        description=snapshot.description,
        volume_size=snapshot.size_gib,
        encrypted=snapshot.encrypted,
        tags=tags_view(snapshot.tags),
    )
