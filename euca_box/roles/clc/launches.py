"""From wish to machine and back: what the loops do with one instance, each step safe to repeat."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from euca_box.messages.base import Call, system_call
from euca_box.messages.cc import CcDescribeInstances, CcRunInstance, CcTerminateInstance, Reports
from euca_box.messages.instance_spec import InstanceReport, InstanceSpec, changed_spec
from euca_box.model.ec2_errors import InsufficientInstanceCapacity
from euca_box.model.errors import ClientFault, EucaError
from euca_box.model.instances import (
    GUEST_SHUTDOWN,
    INSTANCE,
    Instance,
    InstanceEvent,
    InstanceState,
    NodeState,
    Reason,
    server_error,
)
from euca_box.observe import logs
from euca_box.observe.failpoints import fp
from euca_box.roles.clc import attachments, stops, tickets, zones
from euca_box.roles.clc.firewall import send_groups
from euca_box.roles.clc.instances import wish_gone
from euca_box.roles.clc.launch_volumes import has_unmade_volumes, volume_problem

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
AT_ONCE = 32  # instances that one cluster is asked to place at the same time


async def work_on(clc: "Clc", instance_id: str, step: Callable[["Clc", Instance], Awaitable[None]]) -> None:
    """Run one step, alone on this instance; a failure is logged and the loop comes back to it."""
    if instance_id in clc.busy or (record := clc.instances.find(instance_id)) is None:
        return
    clc.busy.add(instance_id)
    logs.request_id.set(record.request_id or "-")  # of this task
    try:
        await step(clc, record)
    except EucaError as error:
        log.warning("%s: %s; tried again in %g s", instance_id, error.message, RETRY_SECONDS)
        await trio.sleep(RETRY_SECONDS)
    except Exception:
        log.exception("%s: a step failed; tried again in %g s", instance_id, RETRY_SECONDS)
        await trio.sleep(RETRY_SECONDS)
    finally:
        clc.busy.discard(instance_id)
        now = clc.instances.find(instance_id)
        if now is not None and now.state is not record.state:
            clc.launch_bell.ring()  # it was terminated while it was launched: the loop had to pass it by


async def launch(clc: "Clc", record: Instance) -> None:
    """Have the cluster take the instance; give up at the deadline with a reason the user can read."""
    if clc.now() > record.deadline:
        text = "the launch was given up: " + (await waiting_for(clc, record))
        await _give_up(clc, record, server_error(text))
        return
    if record.placed:
        return
    if (problem := volume_problem(clc, record)) is not None:
        await _give_up(clc, record, server_error(problem))
        return
    if has_unmade_volumes(clc, record):
        return  # the bell rings when they are there
    spec = await _spec(clc, record)
    if spec is None:
        await _give_up(clc, record, server_error("its image or its VM type was removed before it started"))
        return
    limit = clc.launching.setdefault(record.zone, trio.CapacityLimiter(AT_ONCE))
    try:
        async with limit:  # thousands at once would wait for each other until all had waited too long
            await send_groups(clc, record.zone)
            placement = await clc.bus.ask(clc.cc_of(record.zone), CcRunInstance(spec), _call(record, "run"))
    except InsufficientInstanceCapacity as error:
        await _give_up(clc, record, Reason("Server.InsufficientInstanceCapacity", error.message))
        return
    except ClientFault as error:
        await _give_up(clc, record, server_error(error.message))
        return
    fp("clc.launch.after-cc")

    def placed(current: Instance) -> Instance:
        return replace(
            current,
            placed=True,
            node=placement.node,
            private_ip=placement.private_ip or None,
            mac=placement.mac,
            public_ip=placement.public_ip,
        )

    await clc.instances.change(record.instance_id, placed)
    log.info("%s goes to %s", record.instance_id, placement.node)


async def end(clc: "Clc", record: Instance) -> None:
    """Have the cluster end it, then wait for a report without it that is younger than the request."""
    await clc.bus.ask(
        clc.cc_of(record.zone), CcTerminateInstance(record.instance_id), _call(record, "terminate")
    )
    fp("clc.end.after-cc")
    reports = await _fresh_reports(clc, record)
    if reports is not None:
        await _gone(clc, record.instance_id)


async def take_reports(clc: "Clc", zone: str, after: int, wait_seconds: float) -> int:
    """One poll for news; answers the version to ask after next."""
    op = CcDescribeInstances(after, wait_seconds)
    reports = await clc.bus.ask(clc.cc_of(zone), op, system_call("watch"))
    for report in reports.instances:
        record = clc.instances.find(report.instance_id)
        with logs.part_of(record.request_id if record else ""):
            await _take_report(clc, zone, report)
    return reports.version


async def _take_report(clc: "Clc", zone: str, report: InstanceReport) -> None:
    record = clc.instances.find(report.instance_id)
    if record is None or record.state is InstanceState.TERMINATED:
        if not report.gone and report.state is not NodeState.TEARDOWN:
            log.warning("%s runs on %s and should not exist; ending it", report.instance_id, report.node)
            orphan = CcTerminateInstance(report.instance_id)
            await clc.bus.ask(clc.cc_of(zone), orphan, system_call("orphan"))
        return
    if record.state is InstanceState.SHUTTING_DOWN:
        if report.gone:
            await _gone(clc, report.instance_id)
        return
    if report.state is NodeState.TEARDOWN:
        reason = report.reason or GUEST_SHUTDOWN
        log.info("%s ended by itself: %s", report.instance_id, reason.message)
        await wish_gone(clc, report.instance_id, reason, reason.message.partition(": ")[2] or reason.message)
        clc.launch_bell.ring()
    elif not await stops.take_report(clc, record, report) and report.state is NodeState.EXTANT:
        await _running(clc, report)


async def _running(clc: "Clc", report: InstanceReport) -> None:
    started = False

    def run(current: Instance) -> Instance | None:
        nonlocal started
        started = current.state is InstanceState.PENDING
        if current.state not in (InstanceState.PENDING, InstanceState.RUNNING):
            return None
        if report.starts < current.starts:
            return None  # from before it was stopped
        state = INSTANCE.after(current.state, InstanceEvent.STARTED) if started else current.state
        current = attachments.taken(current, report.generation, report.volumes)
        return replace(
            current,
            state=state,
            placed=True,
            node=report.node,
            private_ip=report.private_ip,
            public_ip=report.public_ip,
            elastic=clc.views.elastic_address(current, report.public_ip) is not None,
            health=report.health,
            mac=report.mac,
        )

    for volume in report.volumes:
        clc.attach_problems[volume.volume_id] = volume.reason
    await clc.instances.change(report.instance_id, run)
    if started:
        log.info(
            "%s runs at %s (%s)",
            report.instance_id,
            report.public_ip or "no public address",
            report.private_ip,
        )


async def _gone(clc: "Clc", instance_id: str) -> None:
    def gone(current: Instance) -> Instance | None:
        if current.state is not InstanceState.SHUTTING_DOWN:
            return None
        return replace(
            current,
            state=INSTANCE.after(current.state, InstanceEvent.GONE),
            ended_at=clc.now(),
        )

    if await clc.instances.change(instance_id, gone) is not None:
        log.info("%s is terminated", instance_id)
        clc.volume_bell.ring()


async def _give_up(clc: "Clc", record: Instance, reason: Reason) -> None:
    log.warning("%s is given up: %s", record.instance_id, reason.message)
    await wish_gone(clc, record.instance_id, reason, reason.message)
    clc.launch_bell.ring()


async def _fresh_reports(clc: "Clc", record: Instance) -> Reports | None:
    """Reports without this instance, or None when something of it is left."""
    op = CcDescribeInstances(instance_ids=(record.instance_id,))
    reports = await clc.bus.ask(clc.cc_of(record.zone), op, system_call("end"))
    if any(r.instance_id == record.instance_id and not r.gone for r in reports.instances):
        await trio.sleep(RETRY_SECONDS)
        return None
    return reports


async def waiting_for(clc: "Clc", record: Instance) -> str:
    """Of a pending instance, for people. Raises EucaError when the cluster does not answer."""
    if has_unmade_volumes(clc, record):
        return "its volumes were not made in time"
    if not record.placed:
        return f"{clc.cc_of(record.zone)} did not take it in time"
    op = CcDescribeInstances(instance_ids=(record.instance_id,))
    reports = await clc.bus.ask(clc.cc_of(record.zone), op, system_call("deadline"))
    step = next((r.step for r in reports.instances if r.instance_id == record.instance_id), "")
    return step or f"{record.node} did not start it in time"


async def _spec(clc: "Clc", record: Instance) -> InstanceSpec | None:
    """Everything of a new instance; None when its image or its VM type is no longer there."""
    image = clc.images.find(record.image_id)
    changes = await stops.changes_of(clc, record)
    if image is None or changes is None:
        return None
    if (record.kernel_id and not changes.kernel) or (record.ramdisk_id and not changes.ramdisk):
        return None
    spec = InstanceSpec(
        instance_id=record.instance_id,
        reservation_id=record.reservation_id,
        account=record.account,
        # A root volume takes nothing of the node's disk.
        vm_type=replace(changes.vm_type, disk_gib=0) if record.boots_from_volume else changes.vm_type,
        launch_index=record.launch_index,
        launch_time=record.launch_time,
        image_id=image.image_id,
        image=tickets.for_image(clc, image.data),
        group_ids=(),
        group_names=(),
        key_name=record.key_name,
        public_key=record.public_key,
        root_device_name=record.root_device_name,
        boot_mode=record.boot_mode,
        product_codes=record.product_codes,
        zone=record.zone,
        region=clc.settings.region,
        vpc_id=clc.settings.vpc_id,
        subnet_id=zones.subnet_id_of(clc, record.zone),
        wants_public_ip=record.wants_public_ip,
        wanted_private_ip=record.wanted_private_ip,
        extra_disks=record.extra_disks,
        boots_from_volume=record.boots_from_volume,
        request_id=record.request_id,
    )
    return changed_spec(spec, changes)


def _call(record: Instance, step: str) -> Call:
    request_id = record.request_id or f"{step}-{record.instance_id}"
    return system_call(request_id, op_id=f"{step}:{record.instance_id}")
