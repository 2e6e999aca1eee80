"""Bridge, ports, neighbours, routes.

Synchronous; callers run it in a thread, one at a time. An open `Links` belongs to the network namespace of
the thread that made it.
"""

import re
import socket
from collections.abc import Mapping
from errno import EEXIST
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from euca_box.net.netlink import NetlinkError, absent_is_fine, told
from euca_box.net.network import METADATA_ADDRESS, way_back
from euca_box.net.routing import routing_table
from euca_box.net.sysctls import set_way_back_sysctls
from euca_box.net.trunk_devices import TrunkDevices

_TAP = re.compile(r"t[0-9a-f]{8}")
_PERMANENT = 0x80  # NUD_PERMANENT
_NO_ARP = 0x40  # NUD_NOARP: a static forwarding entry
_UP, _LOWER_UP = 0x1, 0x10000  # IFF_*
_PROXY = 0x08  # NTF_PROXY
_MASTER = 0x04  # NTF_MASTER
_LINK, _HOST = 253, 254  # scopes of routes
_DEFAULT_LIKE = 8  # VPNs replace the default route by two /1 or more; such routes claim no address


class Links(TrunkDevices):
    """Raises NetError from every method when the kernel refuses."""

    def ensure_bridge(self, bridge: str, mac: str, addresses: Mapping[str, int]) -> None:
        """`addresses`: address -> length of its prefix; others are taken away.

        An own MAC, because a bridge without one takes its ports' and changes it as they come and go."""
        with told(f"make the bridge {bridge}"):
            if self.index_of(bridge) is None:
                self.ip.link(
                    "add", ifname=bridge, kind="bridge", address=mac, br_stp_state=0, br_mcast_snooping=0
                )
            index = self.required(bridge)
            for address, prefix_length in addresses.items():
                self.ip.addr("replace", index=index, address=address, prefixlen=prefix_length)
            for found in self.ip.get_addr(index=index, family=socket.AF_INET):
                address, length = str(found.get_attr("IFA_LOCAL")), int(found["prefixlen"])
                if addresses.get(address) != length:
                    with absent_is_fine():  # a secondary address goes with its primary one
                        self.ip.addr("del", index=index, address=address, prefixlen=length)
            for address, prefix_length in addresses.items():
                self.ip.addr("replace", index=index, address=address, prefixlen=prefix_length)
            self.ip.link("set", index=index, state="up")

    def taps(self) -> set[str]:
        """The names of all interfaces that look like our taps; fast, where a dump of 1000 takes 0.5 s."""
        with told("list the interfaces"):
            return {name for _, name in socket.if_nameindex() if _TAP.fullmatch(name)}

    def bridge_of(self, device: str) -> str | None:
        """The name of the bridge that the device is a port of."""
        index = self.index_of(device)
        if index is None:
            return None
        with told(f"look at {device}"):
            master = self.ip.link("get", index=index)[0].get_attr("IFLA_MASTER")
            return socket.if_indextoname(master) if master else None

    def is_bridge(self, device: str) -> bool:
        index = self.index_of(device)
        if index is None:
            return False
        with told(f"look at {device}"):
            info = self.ip.link("get", index=index)[0].get_attr("IFLA_LINKINFO")
            return info is not None and info.get_attr("IFLA_INFO_KIND") == "bridge"

    def addresses_of(self, device: str) -> list[IPv4Address]:
        """The IPv4 addresses of the interface; none when it is not there."""
        index = self.index_of(device)
        if index is None:
            return []
        with told(f"look at {device}"):
            found = self.ip.get_addr(index=index, family=socket.AF_INET)
            return [IPv4Address(address.get_attr("IFA_LOCAL")) for address in found]

    def mac_of(self, device: str) -> str:
        with told(f"look at {device}"):
            return str(self.ip.link("get", index=self.required(device))[0].get_attr("IFLA_ADDRESS"))

    def default_device(self) -> str:
        """The interface of the IPv4 default route; empty when there is none."""
        with told("look for the default route"):
            for route in self.ip.get_default_routes(family=socket.AF_INET):
                if (index := route.get_attr("RTA_OIF")) is not None:
                    return str(self.ip.link("get", index=index)[0].get_attr("IFLA_IFNAME"))
        return ""

    def broadcast_addresses(self) -> list[tuple[str, str]]:
        """Device and broadcast address of every IPv4 network of this host that has one."""
        with told("look at the interfaces"):
            names = dict(socket.if_nameindex())
            found = self.ip.get_addr(family=socket.AF_INET)
            pairs = ((names.get(a["index"]), a.get_attr("IFA_BROADCAST")) for a in found)
            return [(name, str(address)) for name, address in pairs if name and address]

    def own_addresses(self) -> set[str]:
        """Every IPv4 address of this host."""
        with told("list the addresses"):
            found = self.ip.get_addr(family=socket.AF_INET)
            return {str(address.get_attr("IFA_LOCAL")) for address in found}

    def has_address_in(self, device: str, network: IPv4Network) -> bool:
        return any(address in network for address in self.addresses_of(device))

    def is_guarded_port(self, bridge: str, device: str, *, isolated: bool = True) -> bool:
        """Whether it is a port of the bridge, not learning, and up: as `attach_port` leaves it."""
        bridge_index, device_index = self.index_of(bridge), self.index_of(device)
        if bridge_index is None or device_index is None:
            return False
        with told(f"look at {device}"):
            link = self.ip.link("get", index=device_index)[0]
            info = link.get_attr("IFLA_LINKINFO")
            port = info.get_attr("IFLA_INFO_SLAVE_DATA") if info is not None else None
            if link.get_attr("IFLA_MASTER") != bridge_index or port is None:
                return False
            flags = port.get_attr("IFLA_BRPORT_ISOLATED"), port.get_attr("IFLA_BRPORT_LEARNING")
            return bool(flags == (int(isolated), 0) and link["flags"] & _UP)

    def are_up(self, *devices: str) -> bool:
        """Whether all of them are there and up."""
        with told(f"look at {', '.join(devices)}"):
            for index in map(self.index_of, devices):
                if index is None or not self.ip.link("get", index=index)[0]["flags"] & _UP:
                    return False
        return True

    def has_carrier(self, device: str) -> bool:
        """Whether somebody is at the other end: of a tap, a program that has it open."""
        with told(f"look at {device}"):
            return bool(self.ip.link("get", index=self.required(device))[0]["flags"] & _LOWER_UP)

    def attach_port(self, bridge: str, device: str, mac: str, *, isolated: bool = True) -> None:
        """Isolated from other ports, where the mode says so.

        Knows its one MAC beforehand, so that it cannot claim another by speaking.
        """
        with told(f"attach {device} to {bridge}"):
            index = self.required(device)
            self.ip.link("set", index=index, master=self.required(bridge))
            flags = {"isolated": int(isolated), "learning": 0, "unicast_flood": 0, "mcast_flood": 0}
            self.ip.brport("set", index=index, **flags)
            self.ip.fdb("replace", ifindex=index, lladdr=mac, flags=_MASTER, state=_NO_ARP)
            self.ip.link("set", index=index, state="up")

    def delete_link(self, device: str) -> None:
        index = self.index_of(device)
        if index is not None:
            with told(f"delete {device}"), absent_is_fine():
                self.ip.link("del", index=index)

    def ensure_neighbour(self, address: str, mac: str, *devices: str) -> None:
        """The host never asks who has a guest's address, so nobody can answer wrongly."""
        with told(f"set the neighbour {address}"):
            for device in devices:
                index = self.required(device)
                self.ip.neigh("replace", dst=address, lladdr=mac, ifindex=index, state=_PERMANENT)

    def delete_neighbour(self, address: str, *devices: str) -> None:
        for device in devices:
            index = self.index_of(device)
            if index is not None:
                with told(f"delete the neighbour {address}"), absent_is_fine():
                    self.ip.neigh("del", dst=address, ifindex=index)

    def ensure_route(self, bridge: str, address: str, source: IPv4Address) -> None:
        """Without it a host that has no default route could not even try to dial a public address."""
        with told(f"route {address}"):
            index = self.required(bridge)
            self.ip.route(
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
            with told(f"delete the route to {address}"), absent_is_fine():
                self.ip.route("del", dst=f"{address}/32", oif=index, scope=_LINK, family=socket.AF_INET)

    def ensure_arp_answer(self, device: str, address: str) -> None:
        """Answer ARP for the address on this interface; it stays no address of the host's."""
        with told(f"answer ARP for {address} on {device}"):
            self.ip.neigh("replace", dst=address, ifindex=self.required(device), flags=_PROXY)

    def has_arp_answer(self, device: str, address: str) -> bool:
        index = self.index_of(device)
        found: list[object] = []
        with told(f"look at the answers of {device}"), absent_is_fine():
            found = list(self.ip.neigh("get", dst=address, ifindex=index, flags=_PROXY))
        return bool(found)

    def delete_arp_answer(self, device: str, address: str) -> None:
        index = self.index_of(device)
        if index is not None:
            with told(f"stop answering ARP for {address} on {device}"), absent_is_fine():
                self.ip.neigh("del", dst=address, ifindex=index, flags=_PROXY)

    def ensure_way_back(self, bridge: str) -> None:
        """The second device of a bridge, by which its guests' traffic comes back to it.

        Where net.bridge.bridge-nf-call-iptables is 1, br_netfilter bridges a packet itself when NAT leads it
        back out of the bridge it came in by (br_nf_pre_routing_finish), and isolated ports then lose it. With
        another device on the way out it goes up to the host, as everywhere else.
        """
        back = way_back(bridge)
        with told(f"make {back}"):
            if self.index_of(back) is None:
                parent = self.required(bridge)
                self.ip.link("add", ifname=back, kind="macvlan", link=parent, macvlan_mode="private")
            set_way_back_sysctls(back)
            self.ip.link("set", index=self.required(back), state="up")

    def ensure_guest_routes(self, bridge: str, subnet: IPv4Network | None) -> bool:
        """A routing table for what comes in by this bridge; True when its rule was missing.

        What goes to `subnet` leaves by the way back. For guests alone 169.254.169.254 is here, by ARP too; a
        host that is itself a guest of some cloud keeps its own.
        """
        table = routing_table(bridge)
        with told("route the guests' traffic"):
            index = self.required(bridge)
            here = {"dst": f"{METADATA_ADDRESS}/32", "oif": index, "type": "local", "scope": _HOST}
            self.ip.route("replace", table=table, family=socket.AF_INET, **here)
            if subnet is not None:
                back = {"dst": str(subnet), "oif": self.required(way_back(bridge)), "scope": _LINK}
                self.ip.route("replace", table=table, family=socket.AF_INET, **back)
            try:
                self.ip.rule("add", **_guest_rule(bridge))
            except NetlinkError as error:
                if error.code != EEXIST:
                    raise
                return False
        return True

    def delete_guest_rule(self, bridge: str) -> None:
        with told("delete the guests' routing rule"), absent_is_fine():
            self.ip.rule("del", **_guest_rule(bridge))

    def used_networks(self, own_bridge: str) -> list[IPv4Network]:
        """Every IPv4 network that this host has a route or an address in, except through our own bridge."""
        used = set()
        names = re.compile(rf"{re.escape(own_bridge)}(m|x\d*|v\d+)?")
        own = {index for index, name in socket.if_nameindex() if names.fullmatch(name)}
        with told("list the routes"):
            for route in self.ip.get_routes(family=socket.AF_INET):
                if route["dst_len"] >= _DEFAULT_LIKE and route.get_attr("RTA_OIF") not in own:
                    used.add(IPv4Network(f"{route.get_attr('RTA_DST')}/{route['dst_len']}", strict=False))
        return sorted(used)


def _guest_rule(bridge: str) -> dict[str, Any]:
    table = routing_table(bridge)
    return {"iifname": bridge, "table": table, "priority": 100 + table % 0x4000, "family": socket.AF_INET}
