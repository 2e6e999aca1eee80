"""Devices that lead to other hosts: VXLAN (RFC 7348) and 802.1Q, with static tables and nothing learned.

Sources: ip-link(8), bridge(8); linux/drivers/net/vxlan/vxlan_core.c.
"""

import socket
from collections.abc import Mapping
from typing import Any

from euca_box.net.netlink import Netlink, NetlinkError, absent_is_fine, told
from euca_box.net.network import NetError, Tunnel
from euca_box.net.routing import routing_table

_SELF, _MASTER = 0x02, 0x04  # NTF_*
_NO_ARP, _PERMANENT = 0x40, 0x80  # NUD_*
_LINK = 253  # scope of a route
_MAIN = 254  # the routing table of the host
_NO_MODULE = (95, 22)  # EOPNOTSUPP, EINVAL: the kernel does not know such a device


class TrunkDevices(Netlink):
    def mtu_of(self, device: str) -> int:
        with told(f"look at {device}"):
            return int(self.ip.link("get", index=self.required(device))[0].get_attr("IFLA_MTU"))

    def ensure_vxlan(self, device: str, mac: str, number: int, tunnel: Tunnel, mtu: int) -> None:
        """Made again when its address, number or port is another: they do not change on a device."""
        with told(f"make {device}"):
            index = self.index_of(device)
            if index is not None and self._vxlan_of(index) != (number, str(tunnel.address), tunnel.port):
                self.ip.link("del", index=index)
                index = None
            if index is None:
                self.ip.link(
                    "add",
                    ifname=device,
                    kind="vxlan",
                    address=mac,
                    vxlan_id=number,
                    vxlan_local=str(tunnel.address),
                    vxlan_link=self.required(tunnel.device),
                    vxlan_port=tunnel.port,
                    vxlan_learning=0,
                )
            self.ip.link("set", index=self.required(device), mtu=mtu, state="up")

    def ensure_vlan(self, device: str, parent: str, tag: int) -> None:
        """Tagged frames of the interface. NetError says when the kernel has no 802.1Q."""
        with told(f"make {device}"):
            if self.index_of(device) is None:
                try:
                    self.ip.link("add", ifname=device, kind="vlan", link=self.required(parent), vlan_id=tag)
                except NetlinkError as error:
                    if error.code not in _NO_MODULE:
                        raise
                    raise NetError(
                        'this kernel has no 802.1Q (module 8021q): use network.segments = "vxlan"'
                    ) from error
            self.ip.link("set", index=self.required(device), state="up")

    def attach_trunk(self, bridge: str, device: str) -> None:
        """A port of the bridge that learns nothing and floods broadcasts only."""
        with told(f"attach {device} to {bridge}"):
            index = self.required(device)
            self.ip.link("set", index=index, master=self.required(bridge))
            self.ip.brport("set", index=index, learning=0, unicast_flood=0, mcast_flood=1)

    def set_forwarding(self, device: str, entries: set[tuple[str, str]]) -> None:
        """Which host has which MAC: (MAC, address of the host), all of them."""
        with told(f"tell {device} where everybody is"):
            index = self.required(device)
            found = {
                (str(entry.get_attr("NDA_LLADDR")), str(entry.get_attr("NDA_DST")))
                for entry in self.ip.fdb("dump", ifindex=index)
                if entry.get_attr("NDA_DST") is not None
            }
            for mac, host in found - entries:
                with absent_is_fine():
                    self.ip.fdb("del", ifindex=index, lladdr=mac, dst=host, flags=_SELF)
            for mac, host in sorted(entries - found):
                self.ip.fdb("append", ifindex=index, lladdr=mac, dst=host, flags=_SELF, state=_PERMANENT)

    def set_remote_routes(self, device: str, bridge: str, guests: Mapping[str, str], source: str) -> None:
        """`guests`: address -> MAC of its host in the tunnel. For the host's own packets, and for guests'."""
        with told(f"route to the guests behind {device}"):
            index = self.required(device)
            own: dict[str, Any] = {"oif": index, "scope": _LINK, "family": socket.AF_INET}
            for table in (_MAIN, routing_table(bridge)):
                routes = self.ip.get_routes(family=socket.AF_INET, oif=index, table=table)
                found = {str(route.get_attr("RTA_DST")) for route in routes if route["dst_len"] == 32}
                for address in found - guests.keys():
                    with absent_is_fine():
                        self.ip.route("del", dst=f"{address}/32", table=table, **own)
                for address in sorted(guests.keys() - found):
                    self.ip.route("replace", dst=f"{address}/32", table=table, prefsrc=source, **own)
            self._set_neighbours(index, guests)

    def set_segment_macs(self, device: str, macs: set[str]) -> None:
        """The MACs of the segment's guests behind this trunk, all of them."""
        with told(f"tell the bridge who is behind {device}"):
            index = self.required(device)
            found = {
                str(entry.get_attr("NDA_LLADDR"))
                for entry in self.ip.fdb("dump", ifindex=index)
                if entry.get_attr("NDA_MASTER") is not None and entry["state"] & _NO_ARP
            }
            for mac in found - macs:
                with absent_is_fine():
                    self.ip.fdb("del", ifindex=index, lladdr=mac, flags=_MASTER)
            for mac in macs - found:
                self.ip.fdb("replace", ifindex=index, lladdr=mac, flags=_MASTER, state=_NO_ARP)

    def _set_neighbours(self, index: int, guests: Mapping[str, str]) -> None:
        found = {
            str(entry.get_attr("NDA_DST")): str(entry.get_attr("NDA_LLADDR"))
            for entry in self.ip.get_neighbours(ifindex=index, family=socket.AF_INET)
        }
        for address in found.keys() - guests.keys():
            with absent_is_fine():
                self.ip.neigh("del", dst=address, ifindex=index)
        for address, mac in guests.items():
            if found.get(address) != mac:
                self.ip.neigh("replace", dst=address, lladdr=mac, ifindex=index, state=_PERMANENT)

    def _vxlan_of(self, index: int) -> tuple[int, str, int]:
        info = self.ip.link("get", index=index)[0].get_attr("IFLA_LINKINFO")
        data = info.get_attr("IFLA_INFO_DATA") if info is not None else None
        if data is None:
            return 0, "", 0
        return (
            int(data.get_attr("IFLA_VXLAN_ID") or 0),
            str(data.get_attr("IFLA_VXLAN_LOCAL")),
            int(data.get_attr("IFLA_VXLAN_PORT") or 0),
        )
