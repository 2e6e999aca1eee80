"""The ways to other hosts: a VXLAN device for routed packets, and a trunk for each segment of mode MANAGED.

Nothing is learned from frames and nothing is asked: who is where comes from the cluster controller, and a
host's MAC in the tunnel follows from its address. What arrives from a host that was not named is dropped by
the firewall. Segments by 802.1Q need the kernel's module 8021q and a switch that lets the tags through.
Blocking calls that raise NetError.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from euca_box.net.ledger import HostObject
from euca_box.net.network import NetError, NetworkSettings, RemotePort, Tunnel, ipv4, tunnel_of
from euca_box.net.planes import mac_of_bridge, segment_bridge

OVERHEAD = 50  # bytes of a VXLAN frame around an Ethernet frame's payload, over IPv4 (RFC 7348 5)
NOBODY = "00:00:00:00:00:00"  # where frames to all go (bridge(8), fdb)


class TrunkLinks(Protocol):
    """What tunnels need of the kernel; Links has it, and a fake where a kernel has no 802.1Q."""

    def index_of(self, device: str) -> int | None: ...
    def delete_link(self, device: str) -> None: ...
    def mtu_of(self, device: str) -> int: ...
    def ensure_vxlan(self, device: str, mac: str, number: int, tunnel: Tunnel, mtu: int) -> None: ...
    def ensure_vlan(self, device: str, parent: str, tag: int) -> None: ...
    def attach_trunk(self, bridge: str, device: str) -> None: ...
    def set_forwarding(self, device: str, entries: set[tuple[str, str]]) -> None: ...
    def set_remote_routes(self, device: str, bridge: str, guests: Mapping[str, str], source: str) -> None: ...
    def set_segment_macs(self, device: str, macs: set[str]) -> None: ...


@dataclass(frozen=True)
class Remotes:
    """The other hosts, and the instances on them by instance id."""

    hosts: frozenset[str] = frozenset()
    ports: Mapping[str, RemotePort] = field(default_factory=dict)


class Tunnels:
    """Of one host. With no tunnel in the settings there is none, and no other host either."""

    def __init__(self, settings: NetworkSettings, links: TrunkLinks) -> None:
        self._settings, self._links = settings, links
        self._device = tunnel_of(settings.bridge)

    def mtu(self) -> int | None:
        """What fits through the tunnel; None where there is none."""
        tunnel = self._settings.tunnel
        return self._links.mtu_of(tunnel.device) - OVERHEAD if tunnel is not None else None

    def objects(self, tags: Iterable[int]) -> set[HostObject]:
        tunnel = self._settings.tunnel
        if tunnel is None:
            return set()
        return {HostObject("link", self._device), *(HostObject("link", self.trunk_of(t)) for t in tags)}

    def trunks(self, tags: Iterable[int]) -> frozenset[str]:
        return frozenset(self.trunk_of(t) for t in tags) if self._settings.tunnel else frozenset()

    def trunk_of(self, tag: int) -> str:
        tunnel = self._settings.tunnel
        if tunnel is not None and tunnel.segments == "vlan":
            return f"{tunnel.device}.{tag}"
        return f"{self._device}{tag}"

    def make(self, remotes: Remotes, tags: Iterable[int]) -> None:
        """The devices, and where everybody is. To be called again when that or the set of tags changes."""
        settings, tunnel = self._settings, self._settings.tunnel
        if tunnel is None:
            return
        others = {r.private_ip: host_mac(r.host) for r in remotes.ports.values()}
        hosts = {(host_mac(host), host) for host in remotes.hosts}
        mtu = self._links.mtu_of(tunnel.device) - OVERHEAD
        self._links.ensure_vxlan(self._device, host_mac(str(tunnel.address)), tunnel.number, tunnel, mtu)
        self._links.set_forwarding(self._device, hosts)
        self._links.set_remote_routes(self._device, settings.bridge, others, str(settings.gateway))
        for tag in tags:
            self._make_trunk(tunnel, tag, remotes)

    def forget(self, tag: int) -> None:
        """No guest of this host is in the segment any more."""
        if self._settings.tunnel is not None:
            self._links.delete_link(self.trunk_of(tag))

    def check(self, hosts: Iterable[str], remotes: Iterable[RemotePort]) -> None:
        """Raises NetError for what cannot be."""
        tunnel, known = self._settings.tunnel, set(hosts)
        if tunnel is None and known:
            raise NetError("other hosts were named, and this one has no tunnel: set network.tunnel")
        if tunnel is not None and str(tunnel.address) in known:
            raise NetError(f"{tunnel.address} is this host, not another")
        for remote in remotes:
            if remote.host not in known:
                raise NetError(f"{remote.instance_id} is on {remote.host[:40]!r}, which is no host")

    def _make_trunk(self, tunnel: Tunnel, tag: int, remotes: Remotes) -> None:
        bridge, trunk = segment_bridge(self._settings.bridge, tag), self.trunk_of(tag)
        members = [r for r in remotes.ports.values() if r.tag == tag]
        if tunnel.segments == "vlan":
            self._links.ensure_vlan(trunk, tunnel.device, tag)
        else:
            mtu = self._links.mtu_of(tunnel.device) - OVERHEAD
            self._links.ensure_vxlan(trunk, mac_of_bridge(trunk), tunnel.number + tag, tunnel, mtu)
            entries = {(r.mac, r.host) for r in members} | {(NOBODY, r.host) for r in members}
            self._links.set_forwarding(trunk, entries)
        self._links.attach_trunk(bridge, trunk)
        self._links.set_segment_macs(trunk, {r.mac for r in members})


def host_mac(address: str) -> str:
    """The MAC of a host in the tunnel, from its address between the nodes: all hosts know it unasked."""
    return "02:ec:" + ":".join(f"{byte:02x}" for byte in ipv4(address).packed)
