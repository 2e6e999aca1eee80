"""Which subnet and which public addresses this cloud has: chosen once, then kept.

"auto" takes ranges that hide no route of this host; the choice is written down, because instances and
leases depend on it.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from euca_box.config import Config, addresses_of
from euca_box.datadir import DataDir
from euca_box.model.network_modes import FIRST_TAG, MODES, networks_in
from euca_box.net.network import NetError, Tunnel
from euca_box.net.subnets import choose_addresses, interface_addresses

FILE = "network.json"


@dataclass(frozen=True)
class NetworkPlan:
    subnet: IPv4Network
    public_addresses: tuple[str, ...]
    mode: str = "EDGE"
    router: str = ""
    tunnel: Tunnel | None = None  # this host's way to other nodes

    @property
    def gateway(self) -> IPv4Address:
        """The host's own address among the guests; in mode STATIC the site's router."""
        return IPv4Address(self.router) if self.router else self.subnet[1]

    @property
    def serves_guests(self) -> bool:
        """Whether the host has an address of its own among the guests: for metadata, names, the API."""
        return MODES[self.mode].metadata

    @property
    def public_range(self) -> str:
        """For people: first and last."""
        if not self.public_addresses:
            return "none"
        return f"{self.public_addresses[0]} to {self.public_addresses[-1]}"


def plan_network(config: Config, data: DataDir) -> NetworkPlan:
    """From the settings; for "auto" what was chosen before, else a free choice. Raises NetError."""
    mode = config.network.mode
    _check(config)
    kept = data.read_json(FILE)
    subnet, public = config.network.private_subnet, config.network.public_addresses
    if "auto" in (subnet, public) and not kept:
        chosen = choose_addresses(config.network.bridge)
        kept = {"subnet": str(chosen.subnet), "public": f"{chosen.public[0]}-{chosen.public[1]}"}
        data.write_json(FILE, kept)
    if not MODES[mode].public:
        public = ""
    return NetworkPlan(
        IPv4Network(kept["subnet"] if subnet == "auto" else subnet),
        tuple(addresses_of(kept["public"] if public == "auto" else public)),
        mode,
        config.network.router if mode == "STATIC" else "",
        tunnel_of(config),
    )


def tunnel_of(config: Config) -> Tunnel | None:
    """This host's way to other nodes, by the first address of its interface to them. Raises NetError."""
    network = config.network
    if not network.private_interface or not MODES[network.mode].metadata:
        return None
    addresses = interface_addresses(network.private_interface)
    if not addresses:
        raise NetError(
            f"network.private_interface is {network.private_interface!r}, which has no IPv4 address here"
        )
    return Tunnel(
        addresses[0], network.private_interface, network.tunnel_number, network.tunnel_port, network.segments
    )


def _check(config: Config) -> None:
    network = config.network
    if network.mode == "STATIC" and (network.private_subnet == "auto" or not network.mac_map):
        raise NetError("mode STATIC needs network.private_subnet and network.mac_map: the site's")
    if MODES[network.mode].network_for_each_group and network.private_subnet != "auto":
        size = IPv4Network(network.private_subnet).num_addresses
        if networks_in(size, network.addresses_per_network) < FIRST_TAG:
            raise NetError(
                f"network.private_subnet has {size} addresses: too few for networks of "
                f"{network.addresses_per_network} (network.addresses_per_network)"
            )
