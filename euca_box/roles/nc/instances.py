"""Instances on this node: what the cluster controller may ask."""

import logging
from typing import TYPE_CHECKING

import trio

from euca_box.kvm.hypervisor import KvmError, NoSuchDomain
from euca_box.messages import nc as messages
from euca_box.messages.base import Call, Done
from euca_box.messages.cc import ConsoleOutput, Reports, Screenshot
from euca_box.messages.instance_spec import InstanceReport
from euca_box.model.ec2_errors import IncorrectInstanceState, InvalidInstanceIDNotFound
from euca_box.model.errors import IncorrectState, Unavailable
from euca_box.model.instances import USER_REQUEST, NodeState
from euca_box.observe.failpoints import fp
from euca_box.roles.nc import moves, volumes
from euca_box.roles.nc.guest_users import choose_uid
from euca_box.roles.nc.networks import address_of

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc, Resident

log = logging.getLogger(__name__)


async def run_instance(nc: "Nc", call: Call, op: messages.NcRunInstance) -> Done:
    """Commit that it shall run; its task does the rest."""
    from euca_box.roles.nc.role import Resident

    instance_id = op.spec.instance_id
    if op.spec.starts <= nc.tombstones.get(instance_id, -1):
        raise IncorrectState(f"{instance_id} was terminated on {nc.address}, or runs elsewhere.")
    if (known := nc.residents.get(instance_id)) is None or known.gone_at is not None:
        await nc.keep(Resident(op.spec, op.placement, uid=choose_uid(nc, instance_id)))
        fp("nc.run.after-commit")
        nc.new_resident.ring()
    return Done()


async def terminate_instance(nc: "Nc", call: Call, op: messages.NcTerminateInstance) -> Done:
    """Commit that it shall go, and that this id never runs here again."""
    tombstone = moves.tombstone(nc, op.instance_id)
    resident = nc.residents.get(op.instance_id)
    if resident is None or resident.ending:
        await nc.store.write(tombstone)
    else:
        await nc.mark_ending(op.instance_id, USER_REQUEST, tombstone)
    fp("nc.terminate.after-commit")
    moves.bury(nc, op.instance_id)
    nc.ring(op.instance_id)
    return Done()


async def reboot_instance(nc: "Nc", call: Call, op: messages.NcRebootInstance) -> Done:
    """The guest gets its time to react, then is reset."""
    resident = _alive(nc, op.instance_id)
    if not resident.started or op.instance_id not in nc.running:
        raise IncorrectInstanceState(f"The instance '{op.instance_id}' does not run.")
    if op.wait:
        try:
            await nc.hypervisor.reboot(op.instance_id, nc.settings.reboot_grace_seconds)
        except NoSuchDomain:
            raise IncorrectInstanceState(f"The instance '{op.instance_id}' ended meanwhile.") from None
        except KvmError as error:
            log.warning("%s was not rebooted: %s", op.instance_id, error)
            raise Unavailable(f"The instance '{op.instance_id}' could not be rebooted.") from error
        return Done()
    assert nc.tasks is not None
    nc.tasks.start_soon(_reboot, nc, op.instance_id)
    return Done()


async def get_console_output(nc: "Nc", call: Call, op: messages.NcGetConsoleOutput) -> ConsoleOutput:
    resident = nc.residents.get(op.instance_id)
    if resident is None:
        raise InvalidInstanceIDNotFound(op.instance_id)
    log_file = nc.folder_of(op.instance_id) / "console.log"
    return ConsoleOutput(nc.workbench.console_tail(log_file), nc.now())


async def get_console_screenshot(nc: "Nc", call: Call, op: messages.NcGetConsoleScreenshot) -> Screenshot:
    if op.instance_id not in nc.running:
        raise IncorrectInstanceState(f"The instance '{op.instance_id}' does not run.")
    socket = nc.sockets_of(op.instance_id) / "vnc.sock"
    try:
        return Screenshot(await nc.workbench.screenshot(socket, wake_up=op.wake_up))
    except KvmError as error:
        log.warning("%s: no screenshot: %s", op.instance_id, error)
        raise Unavailable(f"The screen of '{op.instance_id}' does not answer. Try again.") from error


async def describe_instances(nc: "Nc", call: Call, op: messages.NcDescribeInstances) -> Reports:
    if op.after >= nc.version:
        with trio.move_on_after(op.wait_seconds):
            await nc.news.wait()
    return Reports(nc.version, tuple(_report(nc, r) for r in nc.residents.values()), complete=True)


async def _reboot(nc: "Nc", instance_id: str) -> None:
    try:
        await nc.hypervisor.reboot(instance_id, nc.settings.reboot_grace_seconds)
        log.info("%s was rebooted", instance_id)
    except KvmError as error:
        log.warning("%s was not rebooted: %s", instance_id, error)
    except Exception:
        # Nobody waits for this task; what escaped it would end the node.
        log.exception("%s was not rebooted", instance_id)


def _alive(nc: "Nc", instance_id: str) -> "Resident":
    resident = nc.residents.get(instance_id)
    if resident is None or resident.ending:
        raise InvalidInstanceIDNotFound(instance_id)
    return resident


def _report(nc: "Nc", resident: "Resident") -> InstanceReport:
    if resident.ending:
        state = NodeState.TEARDOWN
    elif resident.stopped:
        state = NodeState.STOPPED
    else:
        state = NodeState.EXTANT if resident.started else NodeState.PENDING
    return InstanceReport(
        instance_id=resident.spec.instance_id,
        state=state,
        node=nc.address,
        private_ip=address_of(nc, resident.spec.instance_id),
        public_ip=resident.placement.public_ip,
        reason=resident.reason,
        gone=resident.gone_at is not None,
        step=nc.steps.get(resident.spec.instance_id, ""),
        generation=resident.spec.generation,
        starts=resident.spec.starts,
        health=nc.health.get(resident.spec.instance_id, "") if state is NodeState.EXTANT else "",
        volumes=volumes.reports(nc, resident),
    )
