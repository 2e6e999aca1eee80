"""Which subnet and which public addresses this cloud has: chosen once, then kept.

"auto" takes ranges that hide no route of this host; the choice is written down, because instances and
leases depend on it.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from euca_box.config import Config, addresses_of
from euca_box.datadir import DataDir
from euca_box.net.subnets import choose_addresses

FILE = "network.json"


@dataclass(frozen=True)
class NetworkPlan:
    subnet: IPv4Network
    public_addresses: tuple[str, ...]

    @property
    def gateway(self) -> IPv4Address:
        return self.subnet[1]

    @property
    def public_range(self) -> str:
        """For people: first and last."""
        if not self.public_addresses:
            return "none"
        return f"{self.public_addresses[0]} to {self.public_addresses[-1]}"


def plan_network(config: Config, data: DataDir) -> NetworkPlan:
    """From the settings; for "auto" what was chosen before, else a free choice. Raises NetError."""
    kept = data.read_json(FILE)
    subnet, public = config.network.private_subnet, config.network.public_addresses
    if "auto" in (subnet, public) and not kept:
        chosen = choose_addresses(config.network.bridge)
        kept = {"subnet": str(chosen.subnet), "public": f"{chosen.public[0]}-{chosen.public[1]}"}
        data.write_json(FILE, kept)
    return NetworkPlan(
        IPv4Network(kept["subnet"] if subnet == "auto" else subnet),
        tuple(addresses_of(kept["public"] if public == "auto" else public)),
    )
