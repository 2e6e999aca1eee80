"""Images whose bytes are snapshots of volumes: made of an instance that boots from one, or copies of such.

The image and its snapshots are committed at once; the loop of the snapshots takes them, and the image is
available when all are there.
"""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.messages.base import system_call
from euca_box.messages.cc import CcRebootInstance
from euca_box.model.errors import ClientFault, EucaError, IncorrectState
from euca_box.model.images import Image, ImageState, ImageVolume
from euca_box.model.instances import Instance, InstanceState
from euca_box.model.snapshots import Snapshot, SnapshotState
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import snapshots
from euca_box.store.store import insert

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)


async def progress(clc: "Clc", image: Image) -> int:
    """Percent of a pending one; 100 when its snapshots are all there. Raises ClientFault when they never
    will be, EucaError."""
    if not image.volumes:
        await _begin(clc, image)
        return 0
    found = [clc.snapshots.find(volume.snapshot_id) for volume in image.volumes if volume.snapshot_id]
    for snapshot in found:
        if snapshot is None or snapshot.state is SnapshotState.DELETING:
            raise IncorrectState("A snapshot of it was deleted.")
        if snapshot.state is SnapshotState.ERROR:
            raise IncorrectState(f"A snapshot of it failed: {snapshot.reason}")
    if all(snapshot is not None and snapshot.state is SnapshotState.COMPLETED for snapshot in found):
        return 100
    parts = [int(snapshots.progress_of(clc, snapshot).rstrip("%")) for snapshot in found if snapshot]
    return min(sum(parts) // len(parts), 99)


async def drop(clc: "Clc", image: Image) -> None:
    """The snapshots of an image that failed: nobody asked for them alone."""
    for volume in image.volumes:
        if volume.snapshot_id:
            await snapshots.wish_deleted(clc, volume.snapshot_id)
    clc.snapshot_bell.ring()


async def _begin(clc: "Clc", image: Image) -> None:
    assert image.origin is not None
    if image.origin.image_id:
        source = clc.images.find(image.origin.image_id)
        if source is None:
            raise IncorrectState("The image that it is a copy of was deregistered.")
        made = [(volume, _copied(clc, image, volume)) for volume in source.volumes]
    else:
        record = clc.instances.find(image.origin.instance_id)
        if record is None or record.state not in (InstanceState.RUNNING, InstanceState.STOPPED):
            raise IncorrectState("The instance ended before its volumes were snapshot.")
        if record.state is InstanceState.RUNNING and not image.origin.no_reboot:
            await _reboot(clc, record)
        made = _of_instance(clc, image, record)
    new = [snapshot for _, snapshot in made if snapshot is not None]
    volumes = tuple(
        replace(volume, snapshot_id=snapshot.snapshot_id) if snapshot is not None else volume
        for volume, snapshot in made
    )

    def begun(current: Image) -> Image | None:
        return replace(current, volumes=volumes) if current.state is ImageState.PENDING else None

    ids_used = [insert("used_id", {"id": snapshot.snapshot_id}) for snapshot in new]
    if await clc.images.change(image.image_id, begun, *clc.snapshots.inserts(new), *ids_used) is not None:
        clc.snapshots.take(new)
    fp("clc.image.after-snapshots")
    clc.snapshot_bell.ring()


async def _reboot(clc: "Clc", record: Instance) -> None:
    """Its file systems are in order when this returns: it has just left the power button behind it."""
    call = system_call(f"image-{record.instance_id}")
    try:
        await clc.bus.ask(clc.cc_of(record.zone), CcRebootInstance(record.instance_id, wait=True), call)
    except ClientFault:
        raise
    except EucaError as error:
        log.warning("%s was not rebooted for its image: %s", record.instance_id, error.message)
        raise


def _of_instance(clc: "Clc", image: Image, record: Instance) -> list[tuple[ImageVolume, Snapshot | None]]:
    found: list[tuple[ImageVolume, Snapshot | None]] = []
    for attachment in record.volumes:
        volume = clc.volumes.find(attachment.volume_id)
        if volume is None:
            continue
        snapshot = snapshots.new_snapshot(
            clc, volume, f"Created by CreateImage({record.instance_id}) for {image.image_id}", ()
        )
        mapped = ImageVolume(
            device=attachment.device,
            size_gib=volume.size_gib,
            delete_on_termination=attachment.delete_on_termination,
            volume_type=volume.volume_type,
            encrypted=volume.encrypted,
        )
        found.append((mapped, snapshot))
    return found


def _copied(clc: "Clc", image: Image, volume: ImageVolume) -> Snapshot | None:
    source = clc.snapshots.find(volume.snapshot_id) if volume.snapshot_id else None
    if source is None:
        return None
    return snapshots.copy_of(clc, source, image.account, f"Copied for {image.image_id}")
