"""Public addresses on this node: the placements of the residents say where each leads."""

from dataclasses import replace
from typing import TYPE_CHECKING

from euca_box.messages.base import Call, Done
from euca_box.messages.nc import NcAssignAddress
from euca_box.model.ec2_errors import InvalidInstanceIDNotFound
from euca_box.model.errors import Unavailable
from euca_box.net.network import NetError
from euca_box.observe.failpoints import fp

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc


async def assign_address(nc: "Nc", call: Call, op: NcAssignAddress) -> Done:
    """The rows first: the network is made to follow them, now and by the sweep after a crash."""
    resident = nc.residents.get(op.instance_id)
    if resident is None or resident.ending:
        raise InvalidInstanceIDNotFound(op.instance_id)
    for other_id in [i for i in nc.residents if op.public_ip is not None and i != op.instance_id]:
        if nc.residents[other_id].placement.public_ip == op.public_ip:
            await _place(nc, other_id, None)
    await _place(nc, op.instance_id, op.public_ip)
    fp("nc.address.after-commit")
    try:
        await settle(nc)
    except NetError as error:
        raise Unavailable(f"The network of {nc.address} refused the address: {error}") from None
    return Done()


async def settle(nc: "Nc") -> None:
    """One at a time: see `_settle`."""
    async with nc.settling:
        await _settle(nc)


async def _settle(nc: "Nc") -> None:
    """Every address leads to the resident whose placement has it, and others lead nowhere.

    Raises NetError. A resident that is still starting is plugged, with its address, by its own task.
    """
    here = [r for r in nc.residents.values() if r.gone_at is None and r.placement.public_ip is not None]
    taken = {r.placement.public_ip: r.placement.private_ip for r in here}
    leads = await nc.network.public_addresses()
    for public_ip, private_ip in leads.items():
        if taken.get(public_ip) != private_ip:
            await nc.network.unassign_public(public_ip)
    plugged = {port.instance_id for port in await nc.network.ports()}
    for resident in here:
        where = resident.placement
        runs = resident.started and not resident.ending and not resident.stopping
        lasts = runs and resident.spec.instance_id in plugged
        if lasts and where.public_ip is not None and leads.get(where.public_ip) != where.private_ip:
            await nc.network.assign_public(where.public_ip, where.private_ip)


async def _place(nc: "Nc", instance_id: str, public_ip: str | None) -> None:
    placement = nc.residents[instance_id].placement
    if placement.public_ip != public_ip:
        await nc.mark(instance_id, placement=replace(placement, public_ip=public_ip))
