"""What the roles may ask of a host's network: plug and unplug instances, security groups, public addresses.

The words are EC2's (EC2 API 2016-11-15 IpPermission); the network knows nothing of accounts or quotas.
Everything here is a pure value or a pure check; `host_network.py` is the real network and `fake.py` the one
in memory, both under one contract test.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from pathlib import Path
from typing import Protocol

from euca_box.model.traces import Step

METADATA_ADDRESS = IPv4Address("169.254.169.254")  # where every guest looks for its metadata

_INSTANCE_ID = re.compile(r"i-([0-9a-f]{8}|[0-9a-f]{17})")
_GROUP_ID = re.compile(r"sg-[0-9a-f]{8,17}")
_MAC = re.compile(r"d0:0d(:[0-9a-f]{2}){4}")
_SITE_MAC = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}")  # of one machine: the lowest bit is 0
_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
_NAMED_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17}
LARGEST_PORT = 65535
ONE_NETWORK = ("EDGE", "STATIC", "SYSTEM")  # modes without a network for each group


class NetError(Exception):
    """The host's network refused or failed; the text is for the operator, never for a client."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """How this host reaches the guests of other hosts.

    `address` is this host's, on the network between the nodes, and `device` the interface that has it.
    `number` is the VXLAN network identifier between hosts; a segment of mode MANAGED has it plus its tag.
    `segments` says by what the segments of mode MANAGED are told apart between hosts: vxlan, or vlan, whose
    tagged frames leave by `device`.
    """

    address: IPv4Address
    device: str
    number: int = 15_400_000
    port: int = 8776
    segments: str = "vxlan"


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Where a cloud's network lives on this host.

    `public_addresses` are inclusive ranges, (first, last); empty means that any address may be assigned.
    `uplink` is the interface whose LAN the public addresses belong to: there the host answers ARP for them
    and an instance's own traffic leaves under its public address. Without it public addresses work on this
    host and between guests, and everything else leaves under the host's own address. `state_dir` may be
    private; `run_dir` is read by dnsmasq, which is not root. `dns` are the resolvers asked for the guests;
    empty means those of the host. `mode` is EDGE, MANAGED or MANAGED-NOVLAN (planes.py), STATIC or SYSTEM
    (bridged.py); in STATIC `gateway` is the site's router. `cut_revoked`
    ends connections when no rule allows them any more.
    """

    subnet: IPv4Network
    gateway: IPv4Address
    state_dir: Path
    metadata_port: int
    api_port: int
    tap_uid: int
    bridge: str = "ebr0"
    public_addresses: tuple[tuple[IPv4Address, IPv4Address], ...] = ()
    uplink: str | None = None
    dns: tuple[str, ...] = ()
    domain: str = "ec2.internal"
    name_server: str = ""  # ADDRESS#PORT that knows `own_domains`; others are asked of `dns`
    own_domains: tuple[str, ...] = ()
    table_prefix: str = "euca_"
    run_dir: Path = Path("/run/euca-box/net")
    mode: str = "EDGE"
    tunnel: Tunnel | None = None
    cut_revoked: bool = False

    @property
    def table(self) -> str:
        """The name of our nftables tables; one for each bridge, so that several clouds live on one host."""
        return f"{self.table_prefix}{self.bridge}"


@dataclass(frozen=True, slots=True)
class Port:
    """One instance's place in the network.

    Tap `device`, MAC and private address belong together and to nobody else. In the modes MANAGED and
    MANAGED-NOVLAN `network` is its group's part of the subnet and `tag` its number.
    """

    instance_id: str
    device: str
    mac: str
    private_ip: str
    group_ids: tuple[str, ...]
    hostname: str
    network: str = ""
    tag: int = 0


@dataclass(frozen=True, slots=True)
class RemotePort:
    """An instance on another host. `host` is that host's address on the network between the nodes."""

    instance_id: str
    mac: str
    private_ip: str
    group_ids: tuple[str, ...]
    host: str
    public_ip: str = ""
    tag: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """One permission. `protocol` is tcp, udp, icmp, -1 (any) or an IP protocol number.

    For icmp `from_port` is the type and `to_port` the code, -1 is any. Exactly one of `cidr` (IPv4) and
    `group_id` is set.
    """

    protocol: str
    from_port: int
    to_port: int
    cidr: str | None = None
    group_id: str | None = None


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """Who may reach the members (`ingress`) and whom they may reach (`egress`).

    What no rule allows is dropped.
    """

    group_id: str
    ingress: tuple[Rule, ...]
    egress: tuple[Rule, ...]


class Network(Protocol):
    """Every method may be repeated with the same arguments.

    Every one raises NetError when the host refuses.
    """

    async def prepare(self) -> None:
        """Make what all guests share, and adopt what an earlier process left behind.

        Cuts nothing that runs.
        """

    async def plug(self, port: Port) -> None:
        """Make the tap and let it speak with exactly this MAC and address.

        Repeated with other groups, changes them live.
        """

    async def unplug(self, instance_id: str) -> None:
        """Take away everything of the instance.

        Tap, rules, lease, connections. An unknown instance is no error.
        """

    async def ports(self) -> list[Port]:
        """The ports that are really there. One that we know only by its tap has an empty `private_ip`."""

    async def set_groups(self, groups: Sequence[SecurityGroup]) -> None:
        """Make these the security groups, all of them.

        A group not named allows nothing. Established flows go on.
        """

    async def set_remotes(self, hosts: Sequence[str], remotes: Sequence[RemotePort]) -> None:
        """Make these the other hosts of this network, and these the instances on them, all of them.

        Without a tunnel in the settings there are none, and NetError says so.
        """

    async def assign_public(self, public_ip: str, private_ip: str) -> None:
        """Lead the public address to the private one, away from wherever either led before."""

    async def unassign_public(self, public_ip: str) -> None:
        """The public address leads nowhere; its connections end."""

    async def public_addresses(self) -> dict[str, str]:
        """Public address -> private address."""

    async def learned(self) -> dict[str, str]:
        """Instance id -> private address, of those whose address is known: in mode SYSTEM from their ARP."""

    async def repair(self) -> list[str]:
        """Put back what somebody else took away: rules, DHCP. Sentences about it; cheap when all is there."""

    async def trace(self, instance_id: str | None) -> list[Step]:
        """The way of a packet to the instance, or what all instances need; looks and changes nothing."""

    async def foreign_drops(self) -> list[str]:
        """Sentences about rules of other programs that would drop our guests' traffic.

        Empty when there are none.
        """

    async def close(self) -> None:
        """The control plane stops; guests, rules and leases go on."""

    async def remove(self) -> None:
        """Take away all that is ours from this host."""


def tunnel_of(bridge: str) -> str:
    """The device by which packets to guests of other hosts leave."""
    return f"{bridge}x"


def way_back(bridge: str) -> str:
    """The device by which a guest's packets to its neighbours leave."""
    return f"{bridge}m"


def device_of(instance_id: str) -> str:
    """The tap's name: i-1234abcd -> t1234abcd, of 17 digits the last 8 (a name has at most 15 characters)."""
    return "t" + _matched(_INSTANCE_ID, instance_id, "instance id")[-8:]


def check_port(settings: NetworkSettings, port: Port) -> None:
    """Refuse what must never reach the kernel or a file. Raises NetError."""
    if port.device != device_of(port.instance_id):
        raise NetError(
            f"{port.instance_id} must have the device {device_of(port.instance_id)}, not {port.device!r}"
        )
    _matched(_SITE_MAC if settings.mode == "STATIC" else _MAC, port.mac, "MAC")
    _matched(_HOSTNAME, port.hostname, "host name")
    for group_id in port.group_ids:
        check_group_id(group_id)
    if settings.mode == "SYSTEM":
        if port.private_ip:
            raise NetError(f"in mode SYSTEM the site gives addresses, not we: {port.private_ip}")
        return
    address, network = ipv4(port.private_ip), network_of(settings, port)
    reserved = (network.network_address, network.broadcast_address, gateway_of(settings, port))
    if address not in network or address in reserved:
        raise NetError(f"{address} is no guest address of {network}")


def network_of(settings: NetworkSettings, port: Port) -> IPv4Network:
    """The addresses that the guest believes to be on its link. Raises NetError."""
    if settings.mode in ONE_NETWORK:
        if port.network or port.tag:
            raise NetError(f"mode {settings.mode} has one network; {port.instance_id} wants {port.network!r}")
        return settings.subnet
    try:
        network = IPv4Network(port.network)
    except ValueError as error:
        raise NetError(f"{port.network[:40]!r} is no network of a group") from error
    own = network.subnet_of(settings.subnet) and settings.gateway not in network
    if not own or network.prefixlen > 30 or not 1 <= port.tag <= 4094:
        raise NetError(f"{network} with the tag {port.tag} is no network of a group in {settings.subnet}")
    return network


def gateway_of(settings: NetworkSettings, port: Port) -> IPv4Address:
    """Where the guest sends what is not for its link: the second address of its network."""
    return settings.gateway if settings.mode in ONE_NETWORK else network_of(settings, port)[1]


def check_remote(settings: NetworkSettings, remote: RemotePort) -> None:
    """Refuse what must never reach the kernel. Raises NetError."""
    device_of(remote.instance_id)
    _matched(_MAC, remote.mac, "MAC")
    for group_id in remote.group_ids:
        check_group_id(group_id)
    if ipv4(remote.private_ip) not in settings.subnet:
        raise NetError(f"{remote.private_ip} is not in {settings.subnet}")
    if remote.public_ip:
        check_public(settings, remote.public_ip)
    ipv4(remote.host)


def check_free(plugged: Iterable[Port], port: Port) -> None:
    """An address or a MAC belongs to one port, and a port keeps both until it is unplugged.

    Raises NetError.
    """
    for other in plugged:
        same = other.instance_id == port.instance_id
        shared = bool(port.private_ip) and other.private_ip == port.private_ip, other.mac == port.mac
        if same and (other.private_ip, other.mac) != (port.private_ip, port.mac):
            raise NetError(
                f"{port.instance_id} is plugged as {other.private_ip} {other.mac}; unplug it first"
            )
        if not same and any(shared):
            raise NetError(f"{port.private_ip} or {port.mac} belongs to {other.instance_id}")


def check_public(settings: NetworkSettings, public_ip: str) -> None:
    """Refuse an address that is not ours to give. Raises NetError."""
    address, ranges = ipv4(public_ip), settings.public_addresses
    if address in settings.subnet or address.is_loopback or address.is_multicast or address.is_unspecified:
        raise NetError(f"{address} cannot be a public address")
    if ranges and not any(first <= address <= last for first, last in ranges):
        raise NetError(f"{address} is not among this cloud's public addresses")


def check_group(group: SecurityGroup) -> None:
    """Refuse a group whose rules cannot be written as firewall rules. Raises NetError."""
    check_group_id(group.group_id)
    for rule in (*group.ingress, *group.egress):
        _check_rule(rule)


def check_group_id(group_id: str) -> str:
    return _matched(_GROUP_ID, group_id, "group id")


def protocol_number(protocol: str) -> int:
    """tcp -> 6, "47" -> 47, "-1" -> -1. Raises NetError."""
    if protocol in _NAMED_PROTOCOLS:
        return _NAMED_PROTOCOLS[protocol]
    if protocol == "-1":
        return -1
    if not (protocol.isascii() and protocol.isdigit() and len(protocol) <= 3 and int(protocol) <= 255):
        raise NetError(f"{protocol[:20]!r} is no IP protocol")
    return int(protocol)


def ipv4(text: str) -> IPv4Address:
    """Raises NetError."""
    try:
        return IPv4Address(text)
    except AddressValueError as error:
        raise NetError(f"{text[:40]!r} is no IPv4 address") from error


def _check_rule(rule: Rule) -> None:
    if (rule.cidr is None) == (rule.group_id is None):
        raise NetError(f"a rule names either a CIDR or a group: {rule}")
    if rule.group_id is not None:
        check_group_id(rule.group_id)
    if rule.cidr is not None:
        try:
            IPv4Network(rule.cidr, strict=False)
        except (AddressValueError, NetmaskValueError, ValueError) as error:
            raise NetError(f"{rule.cidr[:40]!r} is no IPv4 CIDR") from error
    number = protocol_number(rule.protocol)
    if number == 1:
        fits = -1 <= rule.from_port <= 255 and -1 <= rule.to_port <= 255
    else:
        fits = rule.from_port == -1 or 0 <= rule.from_port <= rule.to_port <= LARGEST_PORT
    if number in (1, 6, 17) and not fits:
        raise NetError(f"ports {rule.from_port} to {rule.to_port} do not fit {rule.protocol}")


def _matched(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise NetError(f"{text[:80]!r} is no {what}")
    return text
