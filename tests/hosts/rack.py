"""Several hosts on one LAN, each with a network of its own process, joined by tunnels."""

import uuid
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from euca_box.net.network import NetworkSettings, Port, RemotePort, Tunnel

from .lab import SG, SUBNET, Guest, Lab, Place, port_of

NETWORK_SIZE = 32  # addresses for each group, as ADDRSPERNET of Eucalyptus 1.6


def managed_port(number: int, tag: int, *group_ids: str) -> Port:
    """The number-th guest of the network with this tag; tag 2 has the first part of the subnet."""
    first = (tag - 2) * NETWORK_SIZE
    network = IPv4Network(f"{SUBNET[first]}/27")
    return replace(
        port_of(number, *group_ids), private_ip=str(network[2 + number]), network=str(network), tag=tag
    )


class Rack:
    """`hosts` are laboratories; `where` remembers which guest is on which, as the CC does."""

    def __init__(self, count: int, mode: str = "EDGE", mtu: int = 1500, **changes: Any) -> None:
        self._ends = ExitStack()
        self.lan = Place(f"lan{uuid.uuid4().hex[:6]}")
        self._ends.callback(self.lan.end)
        self.lan.ip("link", "add", "lan", "type", "bridge")
        self.lan.ip("addr", "add", "198.51.100.100/24", "dev", "lan")
        self.lan.ip("link", "set", "lan", "up")
        self.mode, self._mtu, self._changes = mode, mtu, changes
        self.hosts: list[Lab] = []
        self.where: dict[str, tuple[Lab, Port, str]] = {}
        for _ in range(count):
            self.add_host()

    def add_host(self) -> Lab:
        number = len(self.hosts) + 1
        tunnel = Tunnel(IPv4Address(f"198.51.100.{number}"), "up0")
        host = Lab(lan=self.lan, number=number, mode=self.mode, tunnel=tunnel, **self._changes)
        host.host.ip("link", "set", "up0", "mtu", str(self._mtu))
        self._ends.callback(host.end)
        self.hosts.append(host)
        return host

    def given_guest(self, host: Lab, port: Port, public_ip: str = "") -> Guest:
        host.call("plug", port)
        self.where[port.instance_id] = host, port, public_ip
        return host.given_wire(port).configure()

    def tell(self, *hosts: Lab) -> None:
        """Every host (or these) of all others and of their guests, as the CC would."""
        for host in hosts or self.hosts:
            others = [h.address for h in self.hosts if h is not host]
            remotes = [
                RemotePort(p.instance_id, p.mac, p.private_ip, p.group_ids, at.address, public_ip, p.tag)
                for at, p, public_ip in self.where.values()
                if at is not host and at in self.hosts
            ]
            host.call("set_remotes", others, remotes)

    def set_groups(self, *groups: object) -> None:
        for host in self.hosts:
            host.call("set_groups", list(groups))

    def end(self) -> None:
        self._ends.close()


__all__ = ["SG", "NetworkSettings", "Rack", "managed_port"]
