"""How guests are: whether QEMU answers, and whether the guest stands still because its disk failed.

A guest whose disk failed (a full disk of the node, an export that went away) is paused by QEMU with the
request in hand. It is let run again at each look: QEMU repeats the request, and pauses the guest again if
that fails too.
"""

import logging
from typing import TYPE_CHECKING

import trio

from euca_box.kvm.hypervisor import DomainState, KvmError
from euca_box.model.instances import DISK_FAILS, NO_ANSWER

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
UNWELL_LOOK_SECONDS = 2.0  # while something is wrong with one


async def look_after(nc: "Nc") -> None:
    while True:
        try:
            await _look(nc)
        except KvmError as error:
            log.warning("the guests could not be looked after: %s", error)
        if nc.health:
            await trio.sleep(UNWELL_LOOK_SECONDS)  # one that pauses again and again is not asked more often
        else:
            await nc.look_bell.wait(LOOK_SECONDS)


async def _look(nc: "Nc") -> None:
    silent = await nc.hypervisor.unresponsive()
    domains = {domain.name: domain for domain in await nc.hypervisor.domains()}
    found = dict.fromkeys(silent & domains.keys(), NO_ANSWER)
    for domain in domains.values():
        if domain.io_error and domain.name not in silent and _may_run(nc, domain.name):
            found[domain.name] = DISK_FAILS
            await _let_run(nc, domain.name)
        elif domain.state is DomainState.PAUSED and _is_forgotten(nc, domain.name):
            log.warning("%s stands still and nobody holds it", domain.name)
            await _let_run(nc, domain.name)
    _take(nc, found)


def _may_run(nc: "Nc", instance_id: str) -> bool:
    resident = nc.residents.get(instance_id)
    return resident is not None and not (resident.ending or resident.stopping)


def _is_forgotten(nc: "Nc", instance_id: str) -> bool:
    """It was held when an earlier process ended. One that is being started stands still for a moment, too."""
    resident = nc.residents.get(instance_id)
    started = resident is not None and resident.started and _may_run(nc, instance_id)
    return started and instance_id not in nc.holds


async def _let_run(nc: "Nc", instance_id: str) -> None:
    try:
        await nc.hypervisor.resume(instance_id)
    except KvmError as error:
        log.warning("%s stays paused: %s", instance_id, error)


def _take(nc: "Nc", found: dict[str, str]) -> None:
    for instance_id in found.keys() | nc.health.keys():
        if found.get(instance_id) != nc.health.get(instance_id):
            log.warning("%s: %s", instance_id, found.get(instance_id, "is well again"))
    if found != nc.health:
        nc.health = found
        nc.changed()
