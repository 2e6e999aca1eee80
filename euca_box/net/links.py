"""Bridge, ports, neighbours, routes.

The only door to pyroute2. Synchronous; callers run it in a thread, one at a time.

An open `Links` belongs to the network namespace of the thread that made it.
"""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EEXIST, ENODEV, ENOENT, ESRCH
from ipaddress import IPv4Address, IPv4Network
from typing import Any
from zlib import crc32

from pyroute2 import IPRoute, NetlinkError

from euca_box.net.network import METADATA_ADDRESS, NetError, way_back
from euca_box.net.sysctls import set_way_back_sysctls

_TAP = re.compile(r"t[0-9a-f]{8}")
_PERMANENT = 0x80  # NUD_PERMANENT
_NO_ARP = 0x40  # NUD_NOARP: a static forwarding entry
_UP = 0x1  # IFF_UP
_PROXY = 0x08  # NTF_PROXY
_MASTER = 0x04  # NTF_MASTER
_LINK, _HOST = 253, 254  # scopes of routes
_ABSENT = (ENODEV, ENOENT, ESRCH)
_DEFAULT_LIKE = 8  # VPNs replace the default route by two /1 or more; such routes claim no address


class Links:
    """Raises NetError from every method when the kernel refuses."""

    def __init__(self) -> None:
        with _told("open netlink"):
            self._ip = IPRoute()

    def close(self) -> None:
        self._ip.close()

    def index_of(self, device: str) -> int | None:
        with _told(f"look for {device}"):
            try:
                return int(self._ip.link("get", ifname=device)[0]["index"])
            except NetlinkError as error:
                if error.code == ENODEV:
                    return None
                raise

    def ensure_bridge(self, bridge: str, mac: str, gateway: IPv4Address, prefix_length: int) -> None:
        """An own MAC, because a bridge without one takes its ports' and changes it as they come and go."""
        with _told(f"make the bridge {bridge}"):
            if self.index_of(bridge) is None:
                self._ip.link(
                    "add", ifname=bridge, kind="bridge", address=mac, br_stp_state=0, br_mcast_snooping=0
                )
            index = self._required(bridge)
            self._ip.addr("replace", index=index, address=str(gateway), prefixlen=prefix_length)
            for address in self._ip.get_addr(index=index, family=socket.AF_INET):
                if address.get_attr("IFA_LOCAL") != str(gateway):
                    self._ip.addr(
                        "del",
                        index=index,
                        address=address.get_attr("IFA_LOCAL"),
                        prefixlen=address["prefixlen"],
                    )
            self._ip.link("set", index=index, state="up")

    def taps(self) -> set[str]:
        """The names of all interfaces that look like our taps; fast, where a dump of 1000 takes 0.5 s."""
        with _told("list the interfaces"):
            return {name for _, name in socket.if_nameindex() if _TAP.fullmatch(name)}

    def is_port_of(self, bridge: str, device: str) -> bool:
        bridge_index, device_index = self.index_of(bridge), self.index_of(device)
        if bridge_index is None or device_index is None:
            return False
        with _told(f"look at {device}"):
            link = self._ip.link("get", index=device_index)[0]
            return bool(link.get_attr("IFLA_MASTER") == bridge_index)

    def is_guarded_port(self, bridge: str, device: str) -> bool:
        """Whether it is a port of the bridge, isolated, not learning, and up: as `attach_port` leaves it."""
        bridge_index, device_index = self.index_of(bridge), self.index_of(device)
        if bridge_index is None or device_index is None:
            return False
        with _told(f"look at {device}"):
            link = self._ip.link("get", index=device_index)[0]
            info = link.get_attr("IFLA_LINKINFO")
            port = info.get_attr("IFLA_INFO_SLAVE_DATA") if info is not None else None
            if link.get_attr("IFLA_MASTER") != bridge_index or port is None:
                return False
            flags = port.get_attr("IFLA_BRPORT_ISOLATED"), port.get_attr("IFLA_BRPORT_LEARNING")
            return bool(flags == (1, 0) and link["flags"] & _UP)

    def are_shared_links_up(self, bridge: str) -> bool:
        """Whether the bridge and its way back are there and up."""
        with _told(f"look at {bridge}"):
            for index in (self.index_of(bridge), self.index_of(way_back(bridge))):
                if index is None or not self._ip.link("get", index=index)[0]["flags"] & _UP:
                    return False
        return True

    def attach_port(self, bridge: str, device: str, mac: str) -> None:
        """Isolated from other ports.

        Knows its one MAC beforehand, so that it cannot claim another by speaking.
        """
        with _told(f"attach {device} to {bridge}"):
            index = self._required(device)
            self._ip.link("set", index=index, master=self._required(bridge))
            self._ip.brport("set", index=index, isolated=1, learning=0, unicast_flood=0, mcast_flood=0)
            self._ip.fdb("replace", ifindex=index, lladdr=mac, flags=_MASTER, state=_NO_ARP)
            self._ip.link("set", index=index, state="up")

    def delete_link(self, device: str) -> None:
        index = self.index_of(device)
        if index is not None:
            with _told(f"delete {device}"), _absent_is_fine():
                self._ip.link("del", index=index)

    def ensure_neighbour(self, bridge: str, address: str, mac: str) -> None:
        """The host never asks who has a guest's address, so nobody can answer wrongly."""
        with _told(f"set the neighbour {address}"):
            for device in (bridge, way_back(bridge)):
                index = self._required(device)
                self._ip.neigh("replace", dst=address, lladdr=mac, ifindex=index, state=_PERMANENT)

    def delete_neighbour(self, bridge: str, address: str) -> None:
        for device in (bridge, way_back(bridge)):
            index = self.index_of(device)
            if index is not None:
                with _told(f"delete the neighbour {address}"), _absent_is_fine():
                    self._ip.neigh("del", dst=address, ifindex=index)

    def ensure_route(self, bridge: str, address: str, source: IPv4Address) -> None:
        """Without it a host that has no default route could not even try to dial a public address."""
        with _told(f"route {address}"):
            index = self._required(bridge)
            self._ip.route(
                "replace",
                dst=f"{address}/32",
                oif=index,
                prefsrc=str(source),
                scope=_LINK,
                family=socket.AF_INET,
            )

    def delete_route(self, bridge: str, address: str) -> None:
        index = self.index_of(bridge)
        if index is not None:
            with _told(f"delete the route to {address}"), _absent_is_fine():
                self._ip.route("del", dst=f"{address}/32", oif=index, scope=_LINK, family=socket.AF_INET)

    def ensure_arp_answer(self, device: str, address: str) -> None:
        """Answer ARP for the address on this interface; it stays no address of the host's."""
        with _told(f"answer ARP for {address} on {device}"):
            self._ip.neigh("replace", dst=address, ifindex=self._required(device), flags=_PROXY)

    def delete_arp_answer(self, device: str, address: str) -> None:
        index = self.index_of(device)
        if index is not None:
            with _told(f"stop answering ARP for {address} on {device}"), _absent_is_fine():
                self._ip.neigh("del", dst=address, ifindex=index, flags=_PROXY)

    def ensure_way_back(self, bridge: str, subnet: IPv4Network) -> bool:
        """What a guest sends to its own subnet leaves by a second device on the same bridge.

        True when the routing rule was missing.

        Where net.bridge.bridge-nf-call-iptables is 1, br_netfilter bridges a packet itself when NAT leads it
        back out of the bridge it came in by (br_nf_pre_routing_finish), and isolated ports then lose it. With
        another device on the way out it goes up to the host, as everywhere else. For guests alone
        169.254.169.254 is here, by ARP too; a host that is itself a guest of some cloud keeps its own.
        """
        table, back = _routing_table(bridge), way_back(bridge)
        with _told("route the guests' traffic"):
            if self.index_of(back) is None:
                parent = self._required(bridge)
                self._ip.link("add", ifname=back, kind="macvlan", link=parent, macvlan_mode="private")
            set_way_back_sysctls(back)
            self._ip.link("set", index=self._required(back), state="up")
            routes: list[dict[str, Any]] = [
                {
                    "dst": f"{METADATA_ADDRESS}/32",
                    "oif": self._required(bridge),
                    "type": "local",
                    "scope": _HOST,
                },
                {"dst": str(subnet), "oif": self._required(back), "scope": _LINK},
            ]
            for route in routes:
                self._ip.route("replace", table=table, family=socket.AF_INET, **route)
            try:
                self._ip.rule("add", **_guest_rule(bridge))
            except NetlinkError as error:
                if error.code != EEXIST:
                    raise
                return False
        return True

    def delete_guest_rule(self, bridge: str) -> None:
        with _told("delete the guests' routing rule"), _absent_is_fine():
            self._ip.rule("del", **_guest_rule(bridge))

    def used_networks(self, own_bridge: str) -> list[IPv4Network]:
        """Every IPv4 network that this host has a route or an address in, except through our own bridge."""
        own, used = {self.index_of(own_bridge), self.index_of(way_back(own_bridge))} - {None}, set()
        with _told("list the routes"):
            for route in self._ip.get_routes(family=socket.AF_INET):
                if route["dst_len"] >= _DEFAULT_LIKE and route.get_attr("RTA_OIF") not in own:
                    used.add(IPv4Network(f"{route.get_attr('RTA_DST')}/{route['dst_len']}", strict=False))
        return sorted(used)

    def _required(self, device: str) -> int:
        index = self.index_of(device)
        if index is None:
            raise NetError(f"there is no interface {device}")
        return index


def _routing_table(bridge: str) -> int:
    """A routing table for each bridge, far from the numbers that people and daemons choose."""
    return 0x0D0D0000 + crc32(bridge.encode()) % 0x10000


def _guest_rule(bridge: str) -> dict[str, Any]:
    table = _routing_table(bridge)
    return {"iifname": bridge, "table": table, "priority": 100 + table % 0x4000, "family": socket.AF_INET}


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except (NetlinkError, OSError) as error:
        raise NetError(f"cannot {what}: {error}") from error


@contextmanager
def _absent_is_fine() -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code not in _ABSENT:
            raise
