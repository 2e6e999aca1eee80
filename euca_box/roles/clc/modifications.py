"""ModifyVolume: larger, or of another type. The wish is committed, then done, by a loop after a crash.

A guest that runs is told by its node: at its next request it sees the new size.
"""

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from euca_box.messages import ec2_volumes as ec2
from euca_box.messages.base import Call, system_call
from euca_box.messages.sc import ScGrowVolume
from euca_box.model.ec2_errors import IncorrectModificationState, IncorrectVolumeState
from euca_box.model.errors import (
    ClientFault,
    EucaError,
    InvalidParameterValue,
    MissingParameter,
    UnsupportedOperation,
)
from euca_box.model.filters import filtered
from euca_box.model.instances import InstanceState
from euca_box.model.paging import page
from euca_box.model.volumes import VOLUME_TYPES, Modification, ModificationState, Volume, VolumeState
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import attributes, volumes
from euca_box.roles.clc.attachments import attachment_of
from euca_box.roles.clc.rules import stop_if_dry_run
from euca_box.roles.clc.views import time_view

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Row:
    volume_id: str
    last: Modification


FILTERS = {
    "modification-state": lambda r: r.last.state.value,
    "original-size": lambda r: r.last.original_gib,
    "original-volume-type": lambda r: r.last.original_type,
    "start-time": lambda r: datetime.fromtimestamp(r.last.started_at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    "target-size": lambda r: r.last.target_gib,
    "target-volume-type": lambda r: r.last.target_type,
    "volume-id": lambda r: r.volume_id,
}


async def modify_volume(clc: "Clc", call: Call, op: ec2.ModifyVolume) -> ec2.ModifyVolumeResult:
    """Raises IncorrectState, IncorrectModificationState, InvalidParameterValue, UnsupportedOperation."""
    volume = volumes.reachable(clc, call, op.volume_id)
    if op.size is None and op.volume_type is None:
        raise MissingParameter("Size")
    if op.volume_type not in (None, *VOLUME_TYPES):
        raise UnsupportedOperation(f"Volume types are {', '.join(VOLUME_TYPES)} here.")
    async with clc.volume_lock(volume.volume_id):
        volume = volumes.reachable(clc, call, op.volume_id)
        target_gib = volume.size_gib if op.size is None else op.size
        _check(clc, volume, target_gib)
        if target_gib > volume.size_gib:
            await volumes.check_room(clc, call, volume.zone, [target_gib - volume.size_gib], new=0)
        stop_if_dry_run(op.dry_run)
        wish = Modification(
            state=ModificationState.MODIFYING,
            started_at=clc.now(),
            original_gib=volume.size_gib,
            target_gib=target_gib,
            original_type=volume.volume_type,
            target_type=op.volume_type or volume.volume_type,
            deadline=clc.now() + clc.settings.attach_seconds,
        )
        await clc.volumes.change(volume.volume_id, lambda v: replace(v, modification=wish))
        fp("clc.modify.after-commit")
        await finish(clc, volume.volume_id)
    now = clc.volumes.find(volume.volume_id)
    last = now.modification if now is not None and now.modification is not None else wish
    return ec2.ModifyVolumeResult(_view(_Row(volume.volume_id, last)))


async def finish(clc: "Clc", volume_id: str) -> None:
    """Have the storage controller do it; what it does not answer is asked again by the loop."""
    volume = clc.volumes.find(volume_id)
    if volume is None or volume.modification is None or not volume.is_modified:
        return
    wish, why = volume.modification, ""
    try:
        op = ScGrowVolume(volume_id, wish.target_gib)
        await clc.bus.ask(clc.sc_of(volume.zone), op, system_call(f"modify-{volume_id}"))
        fp("clc.modify.after-sc")
    except ClientFault as error:
        why = error.message
    except EucaError as error:
        log.warning("%s is not modified yet: %s", volume_id, error.message)
        if clc.now() <= wish.deadline:
            return
        why = f"It was not done in time: {error.message}"
    ended = replace(
        wish,
        state=ModificationState.FAILED if why else ModificationState.COMPLETED,
        ended_at=clc.now(),
        message=why,
    )

    def end(current: Volume) -> Volume:
        if why:
            return replace(current, modification=ended)
        size_gib, kind = wish.target_gib, wish.target_type
        return replace(current, size_gib=size_gib, volume_type=kind, modification=ended)

    await clc.volumes.change(volume_id, end)
    if not why and wish.target_gib > wish.original_gib:
        await _tell_guest(clc, volume_id)


async def _tell_guest(clc: "Clc", volume_id: str) -> None:
    """The node hears the size with the next wish; after a crash here, with the next of any kind."""
    held = attachment_of(clc, volume_id)
    if held is None or held[0].state is not InstanceState.RUNNING:
        return
    instance_id = held[0].instance_id
    await clc.instances.change(instance_id, lambda r: replace(r, generation=r.generation + 1))
    await attributes.have_in_force(clc, instance_id)


async def describe_volumes_modifications(
    clc: "Clc", call: Call, op: ec2.DescribeVolumesModifications
) -> ec2.DescribeVolumesModificationsResult:
    named = [volumes.reachable(clc, call, volume_id) for volume_id in dict.fromkeys(op.volume_ids)]
    stop_if_dry_run(op.dry_run)
    records = named or clc.volumes.of(call.account)
    rows = [_Row(v.volume_id, v.modification) for v in records if v.modification is not None]
    shown, token = page(
        sorted(filtered(rows, op.filters, FILTERS), key=lambda r: r.volume_id),
        lambda r: r.volume_id,
        max_results=op.max_results,
        next_token=op.next_token,
        ids_given=bool(named),
    )
    return ec2.DescribeVolumesModificationsResult(tuple(_view(row) for row in shown), token)


def _check(clc: "Clc", volume: Volume, target_gib: int) -> None:
    if volume.state is not VolumeState.AVAILABLE:
        raise IncorrectVolumeState(volume.volume_id, volume.state)
    if volume.is_modified:
        raise IncorrectModificationState(f"{volume.volume_id} is being modified already.")
    if target_gib < volume.size_gib:
        raise InvalidParameterValue(
            f"New size cannot be smaller than existing size: {target_gib} < {volume.size_gib}"
        )


def _view(row: _Row) -> ec2.VolumeModification:
    last = row.last
    return ec2.VolumeModification(
        volume_id=row.volume_id,
        modification_state=last.state.value,
        start_time=time_view(last.started_at),
        original_size=last.original_gib,
        target_size=last.target_gib,
        original_volume_type=last.original_type,
        target_volume_type=last.target_type,
        progress=100 if last.state is ModificationState.COMPLETED else 0,
        status_message=last.message or None,
        end_time=time_view(last.ended_at) if last.ended_at is not None else None,
    )
