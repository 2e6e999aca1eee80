"""Which private subnet and which public addresses a new cloud should take on this host, so that no route is
hidden.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from euca_box.net.links import Links
from euca_box.net.network import NetError

# 172.31.0.0/20 is in AWS's default VPC; the rest are seldom used by home routers, VPNs and Docker.
PRIVATE_CANDIDATES = tuple(
    IPv4Network(text)
    for text in ("172.31.0.0/20", "10.231.0.0/20", "172.29.0.0/20", "10.77.16.0/20", "192.168.208.0/20")
)
PUBLIC_CANDIDATES = tuple(
    IPv4Network(text)
    for text in ("172.30.0.0/24", "10.230.0.0/24", "172.28.240.0/24", "10.78.0.0/24", "192.168.231.0/24")
)
_FIRST_PUBLIC, _LAST_PUBLIC = 10, 99


@dataclass(frozen=True, slots=True)
class Addresses:
    """A choice for NetworkSettings. `public` is one inclusive range."""

    subnet: IPv4Network
    gateway: IPv4Address
    public: tuple[IPv4Address, IPv4Address]


def free_subnet(candidates: Sequence[IPv4Network], used: Iterable[IPv4Network]) -> IPv4Network:
    """The first candidate that overlaps nothing used. Raises NetError."""
    taken = tuple(used)
    for candidate in candidates:
        if not any(candidate.overlaps(network) for network in taken):
            return candidate
    raise NetError(
        f"every candidate is in use on this host: {', '.join(map(str, candidates))}; name a free subnet"
    )


def interface_addresses(device: str) -> list[IPv4Address]:
    """The IPv4 addresses of an interface of this host. Blocks. Raises NetError."""
    links = Links()
    try:
        return links.addresses_of(device)
    finally:
        links.close()


def choose_addresses(own_bridge: str = "ebr0") -> Addresses:
    """A free choice among the defaults.

    The same again while our own bridge has it. Blocks. Raises NetError.
    """
    links = Links()
    try:
        used = links.used_networks(own_bridge)
    finally:
        links.close()
    subnet = free_subnet(PRIVATE_CANDIDATES, used)
    public = free_subnet(PUBLIC_CANDIDATES, used)
    return Addresses(subnet, subnet[1], (public[_FIRST_PUBLIC], public[_LAST_PUBLIC]))
