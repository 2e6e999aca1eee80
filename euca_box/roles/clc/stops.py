"""Stop and start again: what users may wish, and the steps that make it true.

Each wish has a generation; what is reported below counts only when it knows that generation.
"""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from euca_box.messages import ec2_instances as ec2
from euca_box.messages.base import Call, system_call
from euca_box.messages.cc import CcModifyInstance, CcStartInstance, CcStopInstance
from euca_box.messages.instance_spec import InstanceChanges, InstanceReport
from euca_box.model.ec2_errors import IncorrectInstanceState, InsufficientInstanceCapacity
from euca_box.model.errors import ClientFault, EucaError, OperationNotPermitted, UnsupportedOperation
from euca_box.model.instances import (
    GUEST_SHUTDOWN,
    INSTANCE,
    USER_REQUEST,
    Instance,
    InstanceEvent,
    InstanceState,
    NodeState,
    Reason,
    server_error,
)
from euca_box.observe import logs
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import attachments, auto_recovery, instances, places, tickets, views
from euca_box.roles.clc.firewall import send_groups
from euca_box.roles.clc.image_copies import is_imaged
from euca_box.roles.clc.rules import stop_if_dry_run
from euca_box.store.store import one

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)


async def stop_instances(clc: "Clc", call: Call, op: ec2.StopInstances) -> ec2.StopInstancesResult:
    """The wish is committed before the answer; disk, private address and metadata stay."""
    if op.hibernate:
        raise UnsupportedOperation("Hibernation is not supported.")
    records = instances.reachable(clc, call, op.instance_ids)
    for record in records:
        if record.disable_api_stop:
            raise OperationNotPermitted(
                f"The instance '{record.instance_id}' may not be stopped. Modify its 'disableApiStop' "
                "instance attribute and try again."
            )
        if record.state not in (InstanceState.RUNNING, InstanceState.STOPPING, InstanceState.STOPPED):
            raise IncorrectInstanceState(
                f"The instance '{record.instance_id}' is not in a state from which it can be stopped."
            )
    stop_if_dry_run(op.dry_run)
    forced = op.force or op.skip_os_shutdown
    changes = []
    for before in records:
        after = await wish_stopped(clc, before.instance_id, USER_REQUEST, "User initiated", forced=forced)
        changes.append(_change(before, after or before))
    fp("clc.stop.after-commit")
    clc.launch_bell.ring()
    return ec2.StopInstancesResult(tuple(changes))


async def start_instances(clc: "Clc", call: Call, op: ec2.StartInstances) -> ec2.StartInstancesResult:
    """Refused as a whole when one of them has no room on the node with its disk; they stay stopped then."""
    records = instances.reachable(clc, call, op.instance_ids)
    for record in records:
        if not INSTANCE.takes(record.state, InstanceEvent.START_AGAIN):
            raise IncorrectInstanceState(
                f"The instance '{record.instance_id}' is not in a state from which it can be started."
            )
        if is_imaged(clc, record):
            raise IncorrectInstanceState(
                f"An image is being made of '{record.instance_id}'. Try again later."
            )
        if record.boots_from_volume and record.root_volume is None:
            raise IncorrectInstanceState(
                f"The instance '{record.instance_id}' has no volume at {record.root_device_name}, its root."
            )
    await _check_room(clc, call, [r for r in records if r.state is InstanceState.STOPPED and not r.can_move])
    stop_if_dry_run(op.dry_run)
    changes = []
    for before in records:
        after = await clc.instances.change(before.instance_id, lambda r: _started_again(clc, r))
        changes.append(_change(before, after or before))
    fp("clc.start.after-commit")
    clc.launch_bell.ring()
    return ec2.StartInstancesResult(tuple(changes))


async def wish_stopped(
    clc: "Clc", instance_id: str, reason: Reason, transition: str, *, forced: bool
) -> Instance | None:
    """Commit that the instance shall stop. A forced wish overtakes one that waits for the guest."""
    at = datetime.fromtimestamp(clc.now(), UTC).strftime("%Y-%m-%d %H:%M:%S GMT")

    def stop(current: Instance) -> Instance | None:
        if not INSTANCE.takes(current.state, InstanceEvent.STOP):
            return None
        state = INSTANCE.after(current.state, InstanceEvent.STOP)
        if state is current.state:
            if state is InstanceState.STOPPED or current.stop_forced or not forced:
                return current
            return replace(current, stop_forced=True, generation=current.generation + 1)
        return replace(
            current,
            state=state,
            reason=reason,
            health="",
            transition=f"{transition} ({at})",
            generation=current.generation + 1,
            request_id=logs.current_request() or current.request_id,
            stop_forced=forced,
            placed=True,
            deadline=clc.now() + clc.settings.launch_seconds,
        )

    return await clc.instances.change(instance_id, stop)


async def halt(clc: "Clc", record: Instance) -> None:
    """Have the cluster stop it; the report says when it has. Past the deadline the plug is pulled."""
    if clc.now() > record.deadline and not record.stop_forced:
        log.warning("%s does not stop in time; it is forced", record.instance_id)
        record = await wish_stopped(clc, record.instance_id, USER_REQUEST, "", forced=True) or record
    op = CcStopInstance(record.instance_id, record.generation, record.stop_forced)
    await clc.bus.ask(clc.cc_of(record.zone), op, _call(record))
    fp("clc.halt.after-cc")


async def start_again(clc: "Clc", record: Instance) -> None:
    """Have the cluster start it; without room, or at the deadline, it is stopped again with the reason."""
    if clc.now() > record.deadline:
        reason = server_error("the start was given up: " + f"{record.node} did not start it in time")
        await _stop_again(clc, record, reason)
        return
    if record.placed:
        return
    changes = await changes_of(clc, record)
    if changes is None:
        await _stop_again(clc, record, server_error("its VM type is no longer offered"))
        return
    record = await auto_recovery.cut_off(clc, record)
    await send_groups(clc, record.zone)
    try:
        placement = await clc.bus.ask(clc.cc_of(record.zone), CcStartInstance(changes), _call(record))
    except InsufficientInstanceCapacity as error:
        await _stop_again(clc, record, Reason("Server.InsufficientInstanceCapacity", error.message))
        return
    except ClientFault as error:
        await _stop_again(clc, record, server_error(error.message))
        return
    fp("clc.start.after-cc")

    def placed(current: Instance) -> Instance | None:
        if current.generation != record.generation:
            return None
        return replace(current, placed=True, node=placement.node, public_ip=placement.public_ip)

    await clc.instances.change(record.instance_id, placed)


async def push_changes(clc: "Clc", instance_id: str) -> bool:
    """Tell the cluster what was changed of a running instance; whether that is in force now.

    What fails is repeated when a report shows an older generation. Raises EucaError.
    """
    record = clc.instances.find(instance_id)
    if record is None or record.state not in (InstanceState.PENDING, InstanceState.RUNNING):
        return False
    if not record.placed or (changes := await changes_of(clc, record)) is None:
        return False
    await send_groups(clc, record.zone)
    return (await clc.bus.ask(clc.cc_of(record.zone), CcModifyInstance(changes), _call(record))).in_force


async def take_report(clc: "Clc", record: Instance, report: InstanceReport) -> bool:
    """What a report says of stops and starts; False when it is of another kind."""
    stopped = report.state is NodeState.STOPPED
    if record.state is InstanceState.STOPPING:
        if stopped and report.generation >= record.generation:
            await _halted(clc, record, report)
        return True
    if record.state is InstanceState.STOPPED:
        if not stopped and report.generation < record.generation:
            log.warning("%s should not run; it is stopped", record.instance_id)
            op = CcStopInstance(record.instance_id, record.generation, record.stop_forced)
            await clc.bus.ask(clc.cc_of(record.zone), op, _call(record))
        elif stopped:
            await clc.instances.change(record.instance_id, lambda r: _with_address(clc, r, report))
        return True
    if report.starts < record.starts:
        return True  # from before it was started again
    if stopped:
        reason = report.reason or GUEST_SHUTDOWN
        log.info("%s stopped by itself: %s", record.instance_id, reason.message)
        words = reason.message.partition(": ")[2] or reason.message
        await wish_stopped(clc, record.instance_id, reason, words, forced=True)
        clc.launch_bell.ring()
        return True
    if record.placed and report.generation < record.generation:
        await _push_late(clc, record)
    return False


async def changes_of(clc: "Clc", record: Instance) -> InstanceChanges | None:
    """What a node must know of a record that it has; None when its VM type is no longer offered."""
    vm_type = clc.vm_types.get(record.instance_type)
    if vm_type is None:
        return None
    row = one(await clc.store.read("SELECT data FROM user_data WHERE instance_id = ?", record.instance_id))
    groups = clc.views.group_identifiers(record.group_ids)
    kernel = clc.images.find(record.kernel_id) if record.kernel_id else None
    ramdisk = clc.images.find(record.ramdisk_id) if record.ramdisk_id else None
    return InstanceChanges(
        instance_id=record.instance_id,
        generation=record.generation,
        starts=record.starts,
        vm_type=vm_type,
        launch_time=record.launch_time,
        group_ids=tuple(g.group_id for g in groups),
        group_names=tuple(g.group_name for g in groups),
        http_tokens=record.http_tokens,
        http_endpoint=record.http_endpoint,
        hop_limit=record.hop_limit,
        metadata_tags=record.metadata_tags,
        monitoring=record.monitoring,
        shutdown_behavior=record.shutdown_behavior,
        kernel_id=record.kernel_id,
        kernel=tickets.for_image(clc, kernel.data) if kernel else None,
        ramdisk_id=record.ramdisk_id,
        ramdisk=tickets.for_image(clc, ramdisk.data) if ramdisk else None,
        user_data=bytes(row["data"]) if row else b"",
        tags=record.tags,
        volumes=attachments.wishes(clc, record),
        request_id=record.request_id,
    )


def _started_again(clc: "Clc", record: Instance) -> Instance | None:
    if not INSTANCE.takes(record.state, InstanceEvent.START_AGAIN):
        return None
    state = INSTANCE.after(record.state, InstanceEvent.START_AGAIN)
    if state is record.state:
        return record
    return replace(
        record,
        state=state,
        generation=record.generation + 1,
        request_id=logs.current_request() or record.request_id,
        starts=record.starts + 1,
        stop_forced=False,
        placed=False,
        reason=None,
        health="",
        transition="",
        launch_time=clc.now(),
        deadline=clc.now() + clc.settings.launch_seconds,
    )


async def _halted(clc: "Clc", record: Instance, report: InstanceReport) -> None:
    def halted(current: Instance) -> Instance | None:
        if current.state is not InstanceState.STOPPING or report.generation < current.generation:
            return None
        state = INSTANCE.after(current.state, InstanceEvent.HALTED)
        return replace(attachments.halted(_with_address(clc, current, report)), state=state)

    if await clc.instances.change(record.instance_id, halted) is not None:
        log.info("%s is stopped", record.instance_id)


def _with_address(clc: "Clc", record: Instance, report: InstanceReport) -> Instance:
    """A stopped instance has the public address that waits for its next start: an elastic one, or none."""
    elastic = clc.views.elastic_address(record, report.public_ip) is not None
    return replace(record, public_ip=report.public_ip, elastic=elastic)


async def _stop_again(clc: "Clc", record: Instance, reason: Reason) -> None:
    log.warning("%s is not started: %s", record.instance_id, reason.message)
    await wish_stopped(clc, record.instance_id, reason, reason.message, forced=True)
    clc.launch_bell.ring()


async def _push_late(clc: "Clc", record: Instance) -> None:
    try:
        await push_changes(clc, record.instance_id)
    except EucaError as error:
        log.warning("%s is not changed yet: %s", record.instance_id, error.message)


async def _check_room(clc: "Clc", call: Call, records: list[Instance]) -> None:
    """Raises InsufficientInstanceCapacity. Who comes first when two ask at once, the cluster decides."""
    if not records:
        return
    nodes = {node.name: node for node in await places.nodes(clc, call) if node.state == "UP"}
    cores: dict[str, float] = {name: node.cores_free for name, node in nodes.items()}
    memory_mib = {name: node.memory_free_mib for name, node in nodes.items()}
    for record in records:
        node, vm_type = record.node or "", clc.vm_types.get(record.instance_type)
        if node not in nodes or vm_type is None:
            raise InsufficientInstanceCapacity(
                f"The node that has the disk of {record.instance_id} does not answer. Try again later."
            )
        cores[node] -= vm_type.cpu
        memory_mib[node] -= vm_type.memory_mib
        if cores[node] < 0 or memory_mib[node] < 0:
            raise InsufficientInstanceCapacity(
                f"The node that has the disk of {record.instance_id} has no room for {vm_type.name}."
            )


def _change(before: Instance, after: Instance) -> ec2.InstanceStateChange:
    return ec2.InstanceStateChange(
        before.instance_id, views.state_view(after.state), views.state_view(before.state)
    )


def _call(record: Instance) -> Call:
    return system_call(record.request_id or f"wish-{record.instance_id}-{record.generation}")
