"""The other nodes of the zone, as the cluster controller says; in mode SYSTEM the addresses of guests."""

from typing import TYPE_CHECKING

from euca_box.messages.base import Call, Done
from euca_box.messages.nc import NcConfigureNetwork
from euca_box.model.errors import IncorrectState, Unavailable
from euca_box.net.network import NetError, RemotePort

if TYPE_CHECKING:
    from euca_box.roles.nc.role import Nc


async def configure_network(nc: "Nc", call: Call, op: NcConfigureNetwork) -> Done:
    """In force when this answers; the network keeps it for its next start."""
    if op.version < nc.network_version:
        return Done()
    if op.since is not None and not 0 <= op.since <= nc.network_version:
        raise IncorrectState(f"{nc.address} does not know version {op.since} of the network.")
    told = {
        r.instance_id: RemotePort(r.instance_id, r.mac, r.private_ip, r.group_ids, r.host, r.public_ip, r.tag)
        for r in op.remotes
    }
    remotes = told if op.since is None else {**nc.remotes, **told}
    for instance_id in op.gone:
        remotes.pop(instance_id, None)
    try:
        await nc.network.set_remotes(op.hosts, list(remotes.values()))
    except NetError as error:
        raise Unavailable(f"The network of {nc.address} refused the other nodes: {error}") from None
    nc.network_version, nc.remotes = op.version, remotes
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
