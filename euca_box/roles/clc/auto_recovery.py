"""Instances whose node is lost start on another one, where an operator wishes it and no node has their disks.

What is cut off stands in the record before anything is done: first no volume can be written to by the old
guest any more, then another node may start it. What is left of it on the old node ends when that one is back.
"""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from euca_box.messages.base import system_call
from euca_box.messages.sc import ScUnexportVolume
from euca_box.model.instances import INSTANCE, Instance, InstanceEvent, InstanceState
from euca_box.model.nodes import NodeCondition
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import places
from euca_box.roles.clc.attachments import numbered
from euca_box.roles.clc.known_hosts import zone_names

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
CALL = system_call("recover")


async def recover_instances(clc: "Clc") -> None:
    """Every few seconds, when `recover_seconds` is not 0."""
    lost_at: dict[str, float] = {}  # node -> since when it is down
    while True:
        await trio.sleep(LOOK_SECONDS)
        if clc.settings.recover_seconds:
            for zone in zone_names(clc):
                await _look(clc, zone, lost_at)


async def cut_off(clc: "Clc", record: Instance) -> Instance:
    """No volume of it can be written to by who had it before. Raises EucaError."""
    for volume_id, number in record.cut_off:
        op = ScUnexportVolume(volume_id, number, fence=True)
        await clc.bus.ask(clc.sc_of(record.zone), op, system_call(f"cut-off-{volume_id}"))
    fp("clc.recover.after-fence")
    if not record.cut_off:
        return record

    def done(current: Instance) -> Instance | None:
        return replace(current, cut_off=()) if current.cut_off == record.cut_off else None

    return await clc.instances.change(record.instance_id, done) or record


async def _look(clc: "Clc", zone: str, lost_at: dict[str, float]) -> None:
    found = await places.resources(clc, CALL, zone=zone)
    if found is None:
        return  # who does not answer says nothing of its nodes
    states = {node.name: node.state for node in found.nodes}
    for record in clc.instances.all():
        if record.zone != zone or record.node is None:
            continue
        if states.get(record.node, NodeCondition.DOWN) != NodeCondition.DOWN:
            lost_at.pop(record.node, None)
            continue
        lost_seconds = clc.now() - lost_at.setdefault(record.node, clc.now())
        is_due = lost_seconds > clc.settings.recover_seconds
        if is_due and record.state is InstanceState.RUNNING and record.can_move:
            await _recover(clc, record)


async def _recover(clc: "Clc", record: Instance) -> None:
    numbers: dict[str, int] = {}
    for attachment in record.volumes:
        async with clc.volume_lock(attachment.volume_id):
            volume = await clc.volumes.change(attachment.volume_id, numbered)
        if volume is None:
            return
        numbers[attachment.volume_id] = volume.attaches
    fp("clc.recover.after-numbers")

    def recovered(current: Instance) -> Instance | None:
        if current.volumes != record.volumes or not INSTANCE.takes(current.state, InstanceEvent.RECOVER):
            return None
        generation = current.generation + 1
        return replace(
            current,
            state=INSTANCE.after(current.state, InstanceEvent.RECOVER),
            generation=generation,
            starts=current.starts + 1,
            placed=False,
            health="",
            launch_time=clc.now(),
            deadline=clc.now() + clc.settings.launch_seconds,
            cut_off=tuple((a.volume_id, a.number) for a in current.volumes),
            volumes=tuple(replace(a, number=numbers[a.volume_id]) for a in current.volumes if a.wanted),
        )

    if await clc.instances.change(record.instance_id, recovered) is not None:
        log.warning("%s is lost with %s; it is started on another node", record.instance_id, record.node)
    fp("clc.recover.after-commit")
    clc.launch_bell.ring()
