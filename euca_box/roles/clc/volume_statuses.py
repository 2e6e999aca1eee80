"""DescribeVolumeStatus and the attributes of a volume (EC2 2016-11-15)."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from euca_box.messages import ec2_volumes as ec2
from euca_box.messages.base import Call, Done
from euca_box.messages.sc import ScDescribeVolumes, StoredVolume
from euca_box.model.errors import EucaError, InvalidParameterValue, MissingParameter
from euca_box.model.filters import filtered
from euca_box.model.paging import page
from euca_box.model.volumes import Volume, VolumeState
from euca_box.roles.clc import volumes
from euca_box.roles.clc.known_hosts import zone_names
from euca_box.roles.clc.rules import stop_if_dry_run

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

OK, IMPAIRED, NO_DATA = "ok", "impaired", "insufficient-data"
IO_ENABLED = "io-enabled"


@dataclass(frozen=True)
class _Row:
    """A volume as filters see it."""

    volume_id: str
    zone: str
    status: str
    details: str
    reason: str


FILTERS = {
    "action.code": lambda r: "enable-volume-io" if r.reason else None,
    "action.description": lambda r: r.reason or None,
    "availability-zone": lambda r: r.zone,
    "volume-status.details-name": lambda r: IO_ENABLED,
    "volume-status.details-status": lambda r: r.details,
    "volume-status.status": lambda r: r.status,
}


async def describe_volume_status(
    clc: "Clc", call: Call, op: ec2.DescribeVolumeStatus
) -> ec2.DescribeVolumeStatusResult:
    named = [volumes.reachable(clc, call, volume_id) for volume_id in dict.fromkeys(op.volume_ids)]
    stop_if_dry_run(op.dry_run)
    records = named or list(clc.volumes.of(call.account))
    stored = await _stored(clc, call) if records else {}
    rows = [_row(record, stored) for record in records if record.state is not VolumeState.DELETING]
    shown, token = page(
        sorted(filtered(rows, op.filters, FILTERS), key=lambda r: r.volume_id),
        lambda r: r.volume_id,
        max_results=op.max_results,
        next_token=op.next_token,
        ids_given=bool(named),
    )
    return ec2.DescribeVolumeStatusResult(tuple(_view(r) for r in shown), token)


async def describe_volume_attribute(
    clc: "Clc", call: Call, op: ec2.DescribeVolumeAttribute
) -> ec2.DescribeVolumeAttributeResult:
    volume = volumes.reachable(clc, call, op.volume_id)
    stop_if_dry_run(op.dry_run)
    if op.attribute == "autoEnableIO":
        value = ec2.AttributeBooleanValue(volume.auto_enable_io)
        return ec2.DescribeVolumeAttributeResult(volume.volume_id, auto_enable_io=value)
    if op.attribute == "productCodes":
        return ec2.DescribeVolumeAttributeResult(volume.volume_id, product_codes=())
    raise InvalidParameterValue(f"Value ({op.attribute[:64]}) for parameter attribute is invalid.")


async def modify_volume_attribute(clc: "Clc", call: Call, op: ec2.ModifyVolumeAttribute) -> Done:
    volume = volumes.reachable(clc, call, op.volume_id)
    if op.auto_enable_io is None:
        raise MissingParameter("AutoEnableIO")
    stop_if_dry_run(op.dry_run)
    value = op.auto_enable_io.value
    await clc.volumes.change(volume.volume_id, lambda v: replace(v, auto_enable_io=value))
    return Done()


async def enable_volume_io(clc: "Clc", call: Call, op: ec2.EnableVolumeIO) -> Done:
    """I/O of a volume is never switched off here, so it is on."""
    volumes.reachable(clc, call, op.volume_id)
    stop_if_dry_run(op.dry_run)
    return Done()


async def _stored(clc: "Clc", call: Call) -> dict[str, StoredVolume] | None:
    """What the storage controller says of them; None when it does not answer."""
    known: dict[str, StoredVolume] = {}
    try:
        for zone in zone_names(clc):
            found = await clc.bus.ask(clc.sc_of(zone), ScDescribeVolumes(), call)
            known |= {stored.volume_id: stored for stored in found.volumes}
    except EucaError:
        return None
    return known


def _row(volume: Volume, stored: dict[str, StoredVolume] | None) -> _Row:
    if stored is None:
        return _Row(volume.volume_id, volume.zone, NO_DATA, "not-applicable", "")
    found = stored.get(volume.volume_id)
    if volume.state is VolumeState.CREATING:
        return _Row(volume.volume_id, volume.zone, NO_DATA, "not-applicable", "")
    if volume.state is VolumeState.ERROR or found is None or found.state != "ready":
        reason = volume.reason or (found.reason if found else "") or "the storage controller has lost it"
        return _Row(volume.volume_id, volume.zone, IMPAIRED, "failed", reason)
    if found.reason:
        return _Row(volume.volume_id, volume.zone, IMPAIRED, "failed", found.reason)
    return _Row(volume.volume_id, volume.zone, OK, "passed", "")


def _view(row: _Row) -> ec2.VolumeStatusItem:
    details = (ec2.VolumeStatusDetails(IO_ENABLED, row.details),)
    actions = (ec2.VolumeStatusAction("enable-volume-io", row.reason),) if row.reason else ()
    status = ec2.VolumeStatusInfo(row.status, details)
    return ec2.VolumeStatusItem(row.volume_id, row.zone, status, actions)
