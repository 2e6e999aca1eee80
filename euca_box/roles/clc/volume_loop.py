"""Volumes on their way: each has a task until it is there, or gone, or in error with a reason.

And attachments that take too long, volumes of instances that have ended, and exports that nobody should have.
"""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from euca_box.messages.base import system_call
from euca_box.messages.sc import ScCreateVolume, ScDeleteVolume, ScDescribeVolumes, ScUnexportVolume
from euca_box.model.errors import ClientFault, EucaError
from euca_box.model.instances import Instance, InstanceState
from euca_box.model.volumes import VOLUME, Attachment, AttachmentState, Volume, VolumeEvent, VolumeState
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import attachments, attributes, modifications, volume_keys, volumes
from euca_box.roles.clc.known_hosts import zone_names

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
RETRY_SECONDS = 2.0
WAIT_SECONDS = 20.0  # how long a question for progress is held open
SETTLE_SECONDS = 30.0


async def work_on_volumes(clc: "Clc") -> None:
    """Every volume that is made or deleted has a task."""
    async with trio.open_nursery() as tasks:
        while True:
            for volume in clc.volumes.all():
                moving = volume.state in (VolumeState.CREATING, VolumeState.DELETING)
                if moving and volume.volume_id not in clc.busy:
                    clc.busy.add(volume.volume_id)
                    tasks.start_soon(_work_on, clc, volume.volume_id)
            for volume in clc.volumes.all():
                if volume.is_modified:
                    async with clc.volume_lock(volume.volume_id):
                        await modifications.finish(clc, volume.volume_id)
            for instance in clc.instances.all():
                if instance.volumes:
                    await _look_after(clc, instance)
            await clc.volume_bell.wait(LOOK_SECONDS)


async def settle_exports(clc: "Clc") -> None:
    """What is attached to nothing is exported to nobody: a node that did not answer may have left it so."""
    while True:
        for zone in zone_names(clc):
            try:
                await _settle(clc, clc.sc_of(zone))
            except EucaError as error:
                log.debug("exports of %s were not compared: %s", zone, error.message)
        await trio.sleep(SETTLE_SECONDS)


async def _work_on(clc: "Clc", volume_id: str) -> None:
    try:
        while (volume := clc.volumes.find(volume_id)) is not None:
            if volume.state is VolumeState.DELETING:
                await _try(clc, volume, deleting=True)
            elif volume.state is VolumeState.CREATING:
                await _try(clc, volume, deleting=False)
            else:
                return
    finally:
        clc.busy.discard(volume_id)


async def _try(clc: "Clc", volume: Volume, *, deleting: bool) -> None:
    try:
        await (_delete(clc, volume) if deleting else _create(clc, volume))
    except ClientFault as error:
        if not deleting:
            await _fail(clc, volume.volume_id, error.message)
            return
        await _late(clc, volume, error.message)
    except EucaError as error:
        await _late(clc, volume, error.message)
    except Exception:
        log.exception("%s: a step failed; tried again in %g s", volume.volume_id, RETRY_SECONDS)
        await _late(clc, volume, "an internal error.")


async def _late(clc: "Clc", volume: Volume, why: str) -> None:
    """It goes on until its deadline; then it is in error, and may be deleted (again)."""
    log.warning("%s: %s", volume.volume_id, why)
    if clc.now() > volume.deadline:
        what = "deleted" if volume.state is VolumeState.DELETING else "ready"
        await _fail(clc, volume.volume_id, f"It was not {what} in time: {why}")
    await trio.sleep(RETRY_SECONDS)


async def _create(clc: "Clc", volume: Volume) -> None:
    op = ScCreateVolume(
        volume.volume_id,
        volume.size_gib,
        volume.snapshot_id,
        WAIT_SECONDS,
        key=volume_keys.volume_key(clc, volume),
        source_key=volume_keys.source_key(clc, volume),
    )
    found = await clc.bus.ask(clc.sc_of(volume.zone), op, system_call(f"volume-{volume.volume_id}"))
    fp("clc.volume.after-sc")
    if found.state == "ready":
        await _move(clc, volume.volume_id, VolumeEvent.MADE)
        log.info("%s is available", volume.volume_id)
    elif found.state == "failed":
        await _fail(clc, volume.volume_id, found.reason)
    elif clc.now() > volume.deadline:
        await _fail(clc, volume.volume_id, f"It was not ready in time: {found.percent} % was done.")


async def _delete(clc: "Clc", volume: Volume) -> None:
    op = ScDeleteVolume(volume.volume_id)
    await clc.bus.ask(clc.sc_of(volume.zone), op, system_call(f"volume-{volume.volume_id}"))
    fp("clc.volume.after-gone")
    await clc.volumes.remove(volume.volume_id)
    log.info("%s is deleted", volume.volume_id)


async def _fail(clc: "Clc", volume_id: str, reason: str) -> None:
    log.warning("%s failed: %s", volume_id, reason)
    await _move(clc, volume_id, VolumeEvent.GIVEN_UP, reason)


async def _move(clc: "Clc", volume_id: str, event: VolumeEvent, reason: str = "") -> None:
    def move(current: Volume) -> Volume | None:
        if not VOLUME.takes(current.state, event):
            return None
        return replace(current, state=VOLUME.after(current.state, event), reason=reason)

    await clc.volumes.change(volume_id, move)
    clc.launch_bell.ring()  # an instance may wait for it


async def _look_after(clc: "Clc", instance: Instance) -> None:
    """One step for each attachment that needs one; what fails is tried again at the next look."""
    try:
        if instance.state is InstanceState.TERMINATED:
            await release(clc, instance)
            return
        for attachment in instance.volumes:
            late = instance.state is InstanceState.RUNNING and clc.now() > attachment.deadline
            if attachment.state is AttachmentState.ATTACHING and late:
                await _give_up(clc, instance, attachment)
            elif not attachment.wanted and attachment.force:
                await _cut_off(clc, instance, attachment)
    except EucaError as error:
        log.warning("%s: %s", instance.instance_id, error.message)


async def release(clc: "Clc", instance: Instance) -> None:
    """Volumes of an instance that has ended: free, or deleted where they were to go with it."""
    for attachment in instance.volumes:
        volume = clc.volumes.find(attachment.volume_id)
        # It may be somebody else's already: what ended has let go of it.
        if attachment.delete_on_termination and volume is not None and volume.attaches == attachment.number:
            await volumes.wish_deleted(clc, attachment.volume_id)
            fp("clc.release.after-delete")
    await clc.instances.change(instance.instance_id, lambda r: replace(r, volumes=()))
    clc.volume_bell.ring()


async def _give_up(clc: "Clc", instance: Instance, attachment: Attachment) -> None:
    """It could not be attached in time: it is free again, and says why."""
    volume_id = attachment.volume_id
    reason = clc.attach_problems.get(volume_id, "its node did not attach it in time")
    log.warning("%s is not attached to %s: %s", volume_id, instance.instance_id, reason)
    await clc.volumes.change(volume_id, lambda v: replace(v, reason=f"It was not attached: {reason}"))
    await attachments.wish_detached(clc, instance.instance_id, volume_id, force=True)
    await attributes.have_in_force(clc, instance.instance_id)
    clc.volume_bell.ring()


async def _cut_off(clc: "Clc", instance: Instance, attachment: Attachment) -> None:
    """Whatever the guest does: from now on its writes reach nobody."""
    op = ScUnexportVolume(attachment.volume_id, attachment.number, fence=True)
    await clc.bus.ask(clc.sc_of(instance.zone), op, system_call(f"cut-off-{attachment.volume_id}"))
    fp("clc.detach.after-fence")
    await clc.instances.change(instance.instance_id, lambda r: _without(r, attachment))
    log.info("%s was cut off from %s", attachment.volume_id, instance.instance_id)


def _without(record: Instance, ended: Attachment) -> Instance | None:
    now = next((a for a in record.volumes if a.volume_id == ended.volume_id), None)
    if now is None or now.wanted or now.number != ended.number:
        return None
    return attachments.without(record, ended.volume_id)


async def _settle(clc: "Clc", sc: str) -> None:
    found = await clc.bus.ask(sc, ScDescribeVolumes(), system_call("exports"))
    for stored in found.volumes:
        volume = clc.volumes.find(stored.volume_id)
        if not stored.exported or volume is None:
            continue
        async with clc.volume_lock(stored.volume_id):
            held = attachments.attachment_of(clc, stored.volume_id)
            if held is None and (now := clc.volumes.find(stored.volume_id)) is not None:
                op = ScUnexportVolume(stored.volume_id, min(stored.generation, now.attaches), fence=True)
                await clc.bus.ask(sc, op, system_call("exports"))
