"""Elastic addresses on their way down: the cluster is told all of them, in order, until it has them."""

from typing import TYPE_CHECKING

import trio

from euca_box.messages.base import system_call
from euca_box.messages.cc import CcAssignAddresses, ElasticAddress
from euca_box.model.addresses import Address, freed
from euca_box.model.errors import EucaError, Unavailable
from euca_box.model.instances import InstanceState
from euca_box.roles.clc.known_hosts import is_silent, zone_names
from euca_box.roles.clc.launches import take_reports

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

LOOK_SECONDS = 30.0
RETRY_SECONDS = 1.0


def holder(clc: "Clc", address: Address) -> str | None:
    """The instance that the address leads to. One that ends has let go of it."""
    if address.instance_id is None:
        return None
    instance = clc.instances.find(address.instance_id)
    if instance is None or instance.state in (InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED):
        return None
    return address.instance_id


async def send_addresses(clc: "Clc") -> None:
    """Tell each cluster who holds which of its addresses; in force, and in our records, when this returns.

    One at a time with allocations, so that no list is older than an address that it leaves out.
    Raises Unavailable, when all that answer know it.
    """
    failed: EucaError | None = None
    for zone in zone_names(clc):
        try:
            async with clc.address_lock:
                await _send(clc, zone)
            await take_reports(clc, zone, -1, 0.0)
        except EucaError as error:
            failed = error
    if failed is not None:
        raise failed


async def _send(clc: "Clc", zone: str) -> None:
    if is_silent(clc, zone):
        raise Unavailable(f"{clc.cc_of(zone)} gives no news.")
    while True:
        clc.addresses_version = max(clc.addresses_version + 1, int(clc.now() * 1000))
        op = CcAssignAddresses(clc.addresses_version, _wanted(clc, zone))
        reply = await clc.bus.ask(clc.cc_of(zone), op, system_call("addresses"))
        if reply.version <= clc.addresses_version:
            return
        clc.addresses_version = reply.version  # the clock of this host was set back


async def push_addresses(clc: "Clc") -> None:
    """On change, and again now and then: a cluster may have been restored, a crash left a row below."""
    while True:
        try:
            await _let_go(clc)
            await send_addresses(clc)
            clc.problems.pop("addresses", None)
        except EucaError as error:
            clc.problems["addresses"] = f"Addresses are not up to date: {error.message}"
            await trio.sleep(RETRY_SECONDS)
            continue
        await clc.address_bell.wait(LOOK_SECONDS)


async def _let_go(clc: "Clc") -> None:
    """Addresses of instances that ended stay allocated and lead nowhere."""
    async with clc.address_lock:
        for address in clc.addresses.all():
            if address.instance_id is not None and holder(clc, address) is None:
                await clc.addresses.change(address.allocation_id, freed)


def _wanted(clc: "Clc", zone: str) -> tuple[ElasticAddress, ...]:
    here = (a for a in clc.addresses.all() if (a.zone or clc.settings.zone) == zone)
    found = sorted(here, key=lambda a: a.allocation_id)
    return tuple(ElasticAddress(a.allocation_id, a.public_ip, holder(clc, a)) for a in found)
