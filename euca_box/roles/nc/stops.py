"""Stop and start again on this node: the disk, the row and the private address stay in between."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from euca_box.kvm.hypervisor import KvmError, NoSuchDomain
from euca_box.messages import nc as messages
from euca_box.messages.base import Call, Done
from euca_box.model.ec2_errors import InvalidInstanceIDNotFound
from euca_box.model.errors import Unavailable
from euca_box.model.instances import Reason
from euca_box.net.network import NetError
from euca_box.observe.failpoints import fp
from euca_box.roles.nc import consoles, staging, volumes

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc, Resident

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0


async def stop_instance(nc: "Nc", call: Call, op: messages.NcStopInstance) -> Done:
    """Commit that it shall not run; its task does the rest."""
    async with nc.wishing:
        resident = _alive(nc, op.instance_id)
        if op.generation > resident.spec.generation:
            spec = replace(resident.spec, generation=op.generation)
            await nc.mark(op.instance_id, spec=spec, stopping=True, force=op.force)
    nc.ring(op.instance_id)
    return Done()


async def start_instance(nc: "Nc", call: Call, op: messages.NcStartInstance) -> Done:
    """Commit the newer spec; what runs is changed before the answer, what is stopped its task starts."""
    instance_id = op.spec.instance_id
    async with nc.wishing:
        resident = _alive(nc, instance_id)
        if op.spec.generation <= resident.spec.generation:
            return Done()
        if op.spec.starts > resident.spec.starts:
            await nc.mark(
                instance_id, spec=op.spec, placement=op.placement,
                stopping=False, stopped=False, started=False, force=False, reason=None,
            )  # fmt: skip
        else:
            await nc.mark(instance_id, spec=op.spec)
    nc.ring(instance_id)  # its task plugs it in, and again if that fails here
    if nc.residents[instance_id].started:
        try:
            await staging.plug(nc, nc.residents[instance_id])
        except NetError as error:
            raise Unavailable(f"The network of {nc.address} refused the change: {error}") from None
    return Done()


async def halt(nc: "Nc", resident: "Resident") -> None:
    """Stop the guest and take it from the network; each step may be repeated. Its disk is not touched."""
    instance_id = resident.spec.instance_id
    nc.step(instance_id, "is stopped")
    if not resident.force:
        await _let_power_off(nc, instance_id)
    await nc.hypervisor.destroy(instance_id)
    nc.running.discard(instance_id)
    fp("nc.halt.after-destroy")
    await volumes.release(nc, instance_id)
    await consoles.disconnect(nc, instance_id)
    here = await nc.network.public_addresses()
    for public_ip, private_ip in here.items():
        if private_ip == resident.placement.private_ip:
            await nc.network.unassign_public(public_ip)
    await nc.network.unplug(instance_id)
    await nc.workbench.remove(nc.sockets_of(instance_id))
    fp("nc.halt.before-commit")
    async with nc.wishing:
        now = nc.residents[instance_id]
        if now.stopping and not now.ending:
            placement = replace(now.placement, public_ip=None)
            launched = now.launched or now.started
            await nc.mark(instance_id, stopped=True, started=False, launched=launched, placement=placement)
            log.info("%s is stopped", instance_id)
    nc.steps.pop(instance_id, None)


async def rest(nc: "Nc", instance_id: str) -> None:
    """Return when a stopped instance shall start or end."""
    while (resident := nc.residents[instance_id]).stopped and not resident.ending:
        await nc.news.wait()


async def stop_by_itself(nc: "Nc", instance_id: str, reason: Reason) -> None:
    """It switched itself off, or could not be started again: it stays, and the cluster reads the reason."""
    resident = nc.residents[instance_id]
    if not resident.stopping:
        await nc.mark(instance_id, stopping=True, force=True, reason=reason)


async def _let_power_off(nc: "Nc", instance_id: str) -> None:
    """Press the power button, wait until the guest is off, the grace is over, or somebody is in a hurry."""
    try:
        await nc.hypervisor.shutdown(instance_id)
    except NoSuchDomain:
        return
    except KvmError as error:
        log.warning("%s does not take the power button: %s", instance_id, error)
        return
    with trio.move_on_after(nc.settings.stop_grace_seconds):
        while not ((now := nc.residents[instance_id]).ending or now.force):
            if all(domain.name != instance_id for domain in await nc.hypervisor.domains()):
                return
            await nc.bells[instance_id].wait(LOOK_SECONDS)
        return
    log.info("%s did not react to the power button within %g s", instance_id, nc.settings.stop_grace_seconds)


def _alive(nc: "Nc", instance_id: str) -> "Resident":
    resident = nc.residents.get(instance_id)
    if resident is None or resident.ending:
        raise InvalidInstanceIDNotFound(instance_id)
    return resident
