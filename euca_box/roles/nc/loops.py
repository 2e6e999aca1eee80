"""What the NC does by itself: a task for each resident, the hypervisor's events, and what nobody owns."""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from euca_box.kvm.hypervisor import KvmError
from euca_box.model.instances import CRASHED, GUEST_SHUTDOWN, NODE_RESTARTED, Reason
from euca_box.net.network import NetError
from euca_box.observe import logs
from euca_box.roles.nc import consoles, health, leftovers, networks, staging, stops, usage, volumes
from euca_box.store.store import Statement
from euca_box.tasks import Bell

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc, Resident

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
VOLUME_SECONDS = 2.0  # how often a volume that is on its way is looked at, at least
RETRY_SECONDS = 2.0
EVENT_SECONDS = 2.0
GONE_SECONDS = 600.0  # how long the end of an instance is reported


async def residents(nc: "Nc") -> None:
    """A task for each instance that is not gone."""
    async with trio.open_nursery() as tasks:
        while True:
            for instance_id, resident in list(nc.residents.items()):
                if resident.gone_at is None and instance_id not in nc.bells:
                    nc.bells[instance_id] = Bell()
                    tasks.start_soon(_live, nc, instance_id)
            await nc.new_resident.wait(LOOK_SECONDS)


async def watch_domains(nc: "Nc") -> None:
    """Compare with the hypervisor on its events, and every few seconds for those that were lost."""
    events = nc.hypervisor.events()
    while True:
        await _compare(nc)
        with trio.move_on_after(LOOK_SECONDS):
            async for event in events:
                if event.kind == "paused":
                    nc.look_bell.ring()
                if event.kind in ("stopped", "crashed"):
                    nc.ends[event.name] = event.kind
                    nc.changed()
                    break


async def sweep(nc: "Nc") -> None:
    """Forget residents some time after their end; take away what belongs to nobody."""
    while True:
        for instance_id, resident in list(nc.residents.items()):
            if resident.gone_at is not None and nc.now() - resident.gone_at > GONE_SECONDS:
                await nc.store.write(Statement("DELETE FROM instance WHERE id = ?", (instance_id,)))
                del nc.residents[instance_id]
        await nc.results.forget_old()
        try:
            await leftovers.sweep(nc)
        except (NetError, KvmError, OSError) as error:
            log.warning("what nobody owns could not be removed: %s", error)
        await trio.sleep(LOOK_SECONDS * 6)


async def _live(nc: "Nc", instance_id: str) -> None:
    """One instance from its row to its end. A crash of this process is a pause."""
    try:
        while (resident := nc.residents[instance_id]).gone_at is None:
            logs.request_id.set(resident.spec.request_id or "-")  # of this task
            try:
                if resident.ending:
                    await staging.finish(nc, resident)
                elif resident.stopped:
                    await stops.rest(nc, instance_id)
                elif resident.stopping:
                    await stops.halt(nc, resident)
                elif not resident.started:
                    await _start(nc, instance_id)
                else:
                    await _keep(nc, instance_id)
            except Exception:
                log.exception("%s: a step failed; tried again in %g s", instance_id, RETRY_SECONDS)
                await trio.sleep(RETRY_SECONDS)
    finally:
        nc.bells.pop(instance_id, None)


async def _start(nc: "Nc", instance_id: str) -> None:
    """Start it, or give up with a reason; a wish to end it interrupts."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when_unwanted, nc, instance_id, nursery.cancel_scope)
        try:
            await staging.start(nc, nc.residents[instance_id])
        except Exception as error:
            log.exception("%s does not start", instance_id)
            if nc.residents[instance_id].launched:
                await stops.stop_by_itself(nc, instance_id, staging.reason_of(error))
            else:
                await nc.mark_ending(instance_id, staging.reason_of(error))
        nursery.cancel_scope.cancel()


async def _cancel_when_unwanted(nc: "Nc", instance_id: str, scope: trio.CancelScope) -> None:
    while not ((now := nc.residents[instance_id]).ending or now.stopping):
        await nc.news.wait()
    scope.cancel()


async def _keep(nc: "Nc", instance_id: str) -> None:
    """A started instance: adopt it after a restart, then wait until it ends or shall end or change."""
    plugged = nc.residents[instance_id]
    await staging.plug(nc, plugged)
    pause = LOOK_SECONDS * 6
    while _is_as(nc.residents[instance_id], plugged):
        await _compare(nc)
        if instance_id not in nc.running:
            reason = await _why_ended(nc, instance_id)
            log.info("%s ended: %s", instance_id, reason.message)
            stops_then = nc.residents[instance_id].spec.shutdown_behavior == "stop"
            if stops_then or reason is not GUEST_SHUTDOWN:  # what the guest did not wish costs no disk
                await stops.stop_by_itself(nc, instance_id, reason)
            else:
                await nc.mark_ending(instance_id, reason)
            return
        if instance_id not in nc.consoles:
            await consoles.connect(nc, instance_id)
        if await volumes.settle(nc, instance_id):
            pause = LOOK_SECONDS * 6
        else:
            pause = 0.2 if pause > VOLUME_SECONDS else min(2 * pause, VOLUME_SECONDS)
        await nc.bells[instance_id].wait(pause)


async def _why_ended(nc: "Nc", instance_id: str) -> Reason:
    """The event that says how may come a moment after the domain is missing from the list."""
    if instance_id not in nc.seen_running:
        return NODE_RESTARTED
    with trio.move_on_after(EVENT_SECONDS):
        while instance_id not in nc.ends:
            await nc.news.wait()
    return CRASHED if nc.ends.pop(instance_id, "") == "crashed" else GUEST_SHUTDOWN


def _is_as(resident: "Resident", plugged: "Resident") -> bool:
    """Whether it is still wanted to run as it was plugged in."""
    wanted = not resident.ending and not resident.stopping
    return wanted and resident.spec.generation == plugged.spec.generation


async def _compare(nc: "Nc") -> None:
    """Take in which domains there are; wake the tasks of those that vanished."""
    domains = await nc.hypervisor.domains()
    now = {domain.name for domain in domains}
    for name in nc.running - now:
        nc.ring(name)
    nc.running = now
    nc.seen_running |= now


async def guard_network(nc: "Nc") -> None:
    """Other programs flush rules and end servers that are ours."""
    while True:
        await trio.sleep(LOOK_SECONDS)
        try:
            for sentence in await nc.network.repair():
                log.warning("%s", sentence)
            await networks.learn_addresses(nc)
        except NetError as error:
            log.error("the network of this node is not as it should be: %s", error)


LOOPS: dict[str, Callable[["Nc"], Awaitable[None]]] = {
    "residents": residents,
    "watch domains": watch_domains,
    "sweep": sweep,
    "guard network": guard_network,
    "keep relays": volumes.keep_relays,
    "look after guests": health.look_after,
    "measure": usage.measure,
}
