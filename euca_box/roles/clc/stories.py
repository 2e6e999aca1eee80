"""What the cloud controller knows of a thing: who asked for it, the state it is in, what it waits for."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from euca_box.model.addresses import Address
from euca_box.model.errors import EucaError
from euca_box.model.images import Image, ImageState
from euca_box.model.instances import Instance, InstanceState
from euca_box.model.snapshots import Snapshot, SnapshotState
from euca_box.model.stories import Happening, Standing, Story, naming
from euca_box.model.volumes import AttachmentState, Volume, VolumeState
from euca_box.roles.clc import launches
from euca_box.roles.clc.attachments import attachment_of
from euca_box.roles.clc.components import component_rows

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

MOST_EVENTS = 100
_MOVING = (InstanceState.PENDING, InstanceState.STOPPING, InstanceState.SHUTTING_DOWN)


async def tell(clc: "Clc", thing: str) -> Story:
    """Of an instance, volume, snapshot, image, address, node, component, or request."""
    happenings = await _events(clc, thing)
    standings = [await _instance(clc, record) for record in _asked_by(clc, thing)]
    for find, say in _KINDS:
        if (record := find(clc, thing)) is not None:
            standings.append(await say(clc, record))
    standings += _components(clc, thing)
    return Story(tuple(happenings), tuple(standings))


async def _events(clc: "Clc", thing: str) -> list[Happening]:
    """The calls that name it, or that are it; what a launch was answered is in the log."""
    rows = await clc.store.read(
        "SELECT at, who, action, parameters, request_id, error_code, error_message FROM event "
        "WHERE request_id = ? OR (parameters LIKE ? ESCAPE '\\' AND action NOT LIKE '%:Describe%' "
        "AND action NOT LIKE '%:Get%' AND action NOT LIKE '%:List%') ORDER BY id DESC LIMIT ?",
        thing, f"%{_escaped(thing)}%", MOST_EVENTS,
    )  # fmt: skip
    names = naming(thing)
    told = [row for row in rows if row["request_id"] == thing or names.search(row["parameters"])]
    return [Happening(row["at"], "clc", _event(row)) for row in reversed(told)]


def _event(row: Any) -> str:
    came = f"{row['error_code']}: {row['error_message']}" if row["error_code"] else "accepted"
    asked = ", ".join(f"{k}={v}" for k, v in json.loads(row["parameters"]).items())[:300]
    return f"{row['who']} asked for {row['action'].partition(':')[2]} ({asked}), {came} [{row['request_id']}]"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _asked_by(clc: "Clc", request_id: str) -> list[Instance]:
    return [record for record in clc.instances.all() if record.request_id == request_id]


async def _instance(clc: "Clc", record: Instance) -> Standing:
    where = f" on {record.node}" if record.node else ""
    text = f"{record.instance_id} is {record.state.value}{where}"
    if record.reason is not None:
        text += f": {record.reason.message}"
    if record.health:
        text += f": {record.health}"
    if record.state not in _MOVING:
        return Standing("clc", text, advice=_after(record))
    unmade = [a.volume_id for a in record.volumes if _is_unmade(clc, a.volume_id)]
    try:
        waits = await launches.waiting_for(clc, record)
    except EucaError as error:
        waits = f"{clc.cc_of(record.zone)}, which does not answer: {error.message}"
    return Standing(
        "clc",
        text,
        f"its volumes: {', '.join(unmade)}" if unmade else waits,
        record.deadline,
        clc.problems.get(f"cluster {record.zone}", ""),
        tuple(unmade) or ((record.node,) if record.node else ()),
    )


def _after(record: Instance) -> str:
    if record.state is InstanceState.TERMINATED and record.reason is not None:
        return "The reason above says why. Launch it again when its cause is gone."
    if record.state is InstanceState.STOPPED:
        return f"Start it: aws ec2 start-instances --instance-ids {record.instance_id}"
    return f"If it cannot be reached: euca-box doctor network {record.instance_id}" if record.node else ""


def _is_unmade(clc: "Clc", volume_id: str) -> bool:
    volume = clc.volumes.find(volume_id)
    return volume is not None and volume.state is VolumeState.CREATING


async def _volume(clc: "Clc", volume: Volume) -> Standing:
    text = f"{volume.volume_id}, {volume.size_gib} GiB, is {volume.state.value}"
    if volume.reason:
        text += f": {volume.reason}"
    if volume.state is VolumeState.CREATING:
        what = f"{clc.sc_of(volume.zone)} to make it" + (
            f" of {volume.snapshot_id}" if volume.snapshot_id else ""
        )
        return Standing(
            "clc", text, what, volume.deadline, see=(volume.snapshot_id,) if volume.snapshot_id else ()
        )
    if volume.state is VolumeState.DELETING:
        return Standing("clc", text, f"{clc.sc_of(volume.zone)} to delete it")
    found = attachment_of(clc, volume.volume_id)
    if found is None:
        return Standing("clc", text)
    instance_id, attachment = found[0].instance_id, found[1]
    text += f"; {attachment.state.value} at {instance_id} as {attachment.device}"
    why = clc.attach_problems.get(volume.volume_id, "")
    waits = {
        AttachmentState.ATTACHING: f"the node of {instance_id} to plug it in" + (f": {why}" if why else ""),
        AttachmentState.DETACHING: f"the guest {instance_id} to let go of it",
        AttachmentState.BUSY: f"the guest {instance_id}, which does not let go of it",
    }.get(attachment.state, "")
    advice = f"Unmount it in the guest, or: aws ec2 detach-volume --force --volume-id {volume.volume_id}"
    leaving = attachment.state in (AttachmentState.DETACHING, AttachmentState.BUSY)
    return Standing("clc", text, waits, advice=advice if leaving else "", see=(instance_id,) if waits else ())


async def _snapshot(clc: "Clc", snapshot: Snapshot) -> Standing:
    text = f"{snapshot.snapshot_id} of {snapshot.volume_id} is {snapshot.state.value}"
    if snapshot.reason:
        text += f": {snapshot.reason}"
    if snapshot.state is not SnapshotState.PENDING:
        return Standing("clc", text)
    percent = clc.snapshot_progress.get(snapshot.snapshot_id, 0)
    return Standing(
        "clc",
        text,
        f"{clc.sc_of(snapshot.zone)} to send it to Walrus, {percent} % are done",
        snapshot.deadline,
    )


async def _image(clc: "Clc", image: Image) -> Standing:
    text = f"{image.image_id} ({image.name}) is {image.state.value}"
    if image.reason:
        text += f": {image.reason}"
    if image.state is not ImageState.PENDING:
        return Standing("clc", text)
    percent = clc.image_progress.get(image.image_id, 0)
    return Standing("clc", text, f"Walrus or a node to make it, {percent} % are done", image.deadline)


async def _address(clc: "Clc", address: Address) -> Standing:
    text = f"{address.public_ip} ({address.allocation_id}) belongs to {address.account}"
    if address.instance_id is None:
        return Standing("clc", f"{text} and leads nowhere", advice="Associate it with an instance.")
    instance = clc.instances.find(address.instance_id)
    text += f" and shall lead to {address.instance_id}"
    if instance is not None and instance.public_ip != address.public_ip:
        why = clc.problems.get("addresses", "")
        return Standing(
            "clc",
            text,
            f"the node of {address.instance_id} to have it. {why}".strip(),
            see=(address.instance_id,),
        )
    return Standing("clc", text, advice=f"If nothing answers: euca-box doctor network {address.instance_id}")


def _components(clc: "Clc", thing: str) -> list[Standing]:
    """Of a host's name, an address on the bus, or a role."""
    found = []
    for row in component_rows(clc):
        if thing in (row.address, row.host, row.role, row.host_id, row.address.partition("@")[2]):
            ready = row.state != "NOTREADY"
            version = row.version or "version unknown"
            text = f"{row.address} on {row.host} ({version}) is {row.state}: {row.detail}"
            waits = "" if ready else f"{row.host} at {row.at} to answer"
            advice = "" if ready else f"Look at that host: euca-box status; euca-box logs --host {row.host}"
            found.append(Standing("clc", text.rstrip(": "), waits, advice=advice))
    return found


def _address_named(clc: "Clc", thing: str) -> Address | None:
    found = clc.addresses.find(thing)
    return found or next((a for a in clc.addresses.all() if a.public_ip == thing), None)


_KINDS: tuple[tuple[Callable[["Clc", str], Any], Callable[["Clc", Any], Any]], ...] = (
    (lambda clc, thing: clc.instances.find(thing), _instance),
    (lambda clc, thing: clc.volumes.find(thing), _volume),
    (lambda clc, thing: clc.snapshots.find(thing), _snapshot),
    (lambda clc, thing: clc.images.find(thing), _image),
    (_address_named, _address),
)
