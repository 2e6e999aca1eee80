"""The other nodes of the zone, as the cluster controller says; in mode SYSTEM the addresses of guests."""

from typing import TYPE_CHECKING

from euca_box.messages.base import Call, Done
from euca_box.messages.nc import NcConfigureNetwork
from euca_box.model.errors import Unavailable
from euca_box.net.network import NetError, RemotePort

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc


async def configure_network(nc: "Nc", call: Call, op: NcConfigureNetwork) -> Done:
    """In force when this answers; the network keeps it for its next start."""
    if op.version < nc.network_version:
        return Done()
    remotes = [
        RemotePort(r.instance_id, r.mac, r.private_ip, r.group_ids, r.host, r.public_ip, r.tag)
        for r in op.remotes
    ]
    try:
        await nc.network.set_remotes(op.hosts, remotes)
    except NetError as error:
        raise Unavailable(f"The network of {nc.address} refused the other nodes: {error}") from None
    nc.network_version = op.version
    return Done()


async def learn_addresses(nc: "Nc") -> None:
    """Take in which address each guest was given by the site. Raises NetError."""
    for instance_id, address in (await nc.network.learned()).items():
        resident = nc.residents.get(instance_id)
        if resident is None or resident.gone_at is not None or nc.settings.network_mode != "SYSTEM":
            continue
        if nc.site_addresses.get(instance_id) != address:
            nc.site_addresses[instance_id] = address
            nc.changed()


def address_of(nc: "Nc", instance_id: str) -> str | None:
    """What is known of the instance's private address."""
    return nc.residents[instance_id].placement.private_ip or nc.site_addresses.get(instance_id)
