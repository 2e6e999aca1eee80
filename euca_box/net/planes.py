"""Which devices carry the guests of this host: one bridge for all, or one for each group.

EDGE: one bridge with isolated ports; every packet of a guest is routed. MANAGED-NOVLAN: the same, and each
group has a part of the subnet with a gateway of its own on that bridge. MANAGED: each group has a bridge of
its own, whose ports see each other, and which other hosts share by VLAN or VXLAN; what leaves the group is
routed. The firewall is the same for all three. Blocking calls that raise NetError.
"""

import hashlib
from collections.abc import Callable, Collection
from typing import Protocol

from euca_box.net.ledger import HostObject
from euca_box.net.links import Links
from euca_box.net.network import NetError, NetworkSettings, Port, gateway_of, network_of, way_back
from euca_box.net.sysctls import set_bridge_sysctls, silence_port

Note = Callable[[HostObject], None]


class Plane(Protocol):
    def objects(self, ports: Collection[Port]) -> set[HostObject]:
        """What is on the host for these ports."""

    def guest_links(self, ports: Collection[Port]) -> frozenset[str]:
        """The devices that packets of these guests come in and go out by."""

    def make(self, ports: Collection[Port]) -> None:
        """What guests share. To be called again when the set of ports has changed."""

    def repair(self, ports: Collection[Port]) -> list[str]:
        """Put back what guests share; sentences about it."""

    def attach(self, port: Port) -> None: ...

    def is_attached(self, port: Port) -> bool:
        """Whether the tap is as `attach` leaves it."""

    def detach(self, port: Port) -> None:
        """The host forgets where the guest is; its tap is gone already."""

    def bridge_of(self, port: Port) -> str: ...


class FlatPlane:
    """One bridge for all guests, isolated from each other."""

    def __init__(self, settings: NetworkSettings, links: Links) -> None:
        self._settings, self._links = settings, links
        self._devices = settings.bridge, way_back(settings.bridge)

    def objects(self, ports: Collection[Port]) -> set[HostObject]:
        return {*(HostObject("link", name) for name in self._devices), HostObject("rule", self._devices[0])}

    def guest_links(self, ports: Collection[Port]) -> frozenset[str]:
        return frozenset(self._devices)

    def make(self, ports: Collection[Port]) -> None:
        settings, bridge = self._settings, self._settings.bridge
        own = {str(settings.gateway): settings.subnet.prefixlen}
        if settings.mode != "EDGE":
            own = {str(settings.gateway): 32}
            for port in ports:
                own[str(gateway_of(settings, port))] = network_of(settings, port).prefixlen
        self._links.ensure_bridge(bridge, mac_of_bridge(bridge), own)
        set_bridge_sysctls(bridge)
        self._links.ensure_way_back(bridge)
        self._links.ensure_guest_routes(bridge, settings.subnet)

    def repair(self, ports: Collection[Port]) -> list[str]:
        bridge = self._settings.bridge
        if not self._links.are_up(*self._devices):
            self.make(ports)
            for port in ports:
                self.attach(port)
            return [f"the bridge {bridge} was gone or down and is back"]
        return _repaired_routing(self._links, bridge, self._settings)

    def attach(self, port: Port) -> None:
        if not self.is_attached(port):
            silence_port(port.device)
            self._links.attach_port(self._devices[0], port.device, port.mac)
        self._links.ensure_neighbour(port.private_ip, port.mac, *self._devices)

    def is_attached(self, port: Port) -> bool:
        return self._links.is_guarded_port(self._devices[0], port.device)

    def detach(self, port: Port) -> None:
        self._links.delete_neighbour(port.private_ip, *self._devices)

    def bridge_of(self, port: Port) -> str:
        return self._devices[0]


class SegmentPlane:
    """A bridge for each group. The bridge of the settings has no ports: only the host's own address."""

    def __init__(self, settings: NetworkSettings, links: Links) -> None:
        self._settings, self._links = settings, links

    def objects(self, ports: Collection[Port]) -> set[HostObject]:
        names = {self._settings.bridge, *(self.bridge_of(port) for port in ports)}
        return {HostObject(kind, name) for name in names for kind in ("link", "rule")}

    def guest_links(self, ports: Collection[Port]) -> frozenset[str]:
        return frozenset(self.bridge_of(port) for port in ports)

    def make(self, ports: Collection[Port]) -> None:
        settings = self._settings
        self._links.ensure_bridge(
            settings.bridge, mac_of_bridge(settings.bridge), {str(settings.gateway): 32}
        )
        set_bridge_sysctls(settings.bridge)
        self._links.ensure_guest_routes(settings.bridge, None)
        for bridge, port in {self.bridge_of(port): port for port in ports}.items():
            own = {str(gateway_of(settings, port)): network_of(settings, port).prefixlen}
            self._links.ensure_bridge(bridge, mac_of_bridge(settings.bridge), own)
            set_bridge_sysctls(bridge, proxy_arp=False)
            self._links.ensure_guest_routes(bridge, None)

    def repair(self, ports: Collection[Port]) -> list[str]:
        bridges = {self.bridge_of(port) for port in ports}
        if not self._links.are_up(self._settings.bridge, *bridges):
            self.make(ports)
            for port in ports:
                self.attach(port)
            return ["a bridge was gone or down and is back"]
        done = []
        for bridge in bridges:
            done += _repaired_routing(self._links, bridge, self._settings)
        return done

    def attach(self, port: Port) -> None:
        if not self.is_attached(port):
            silence_port(port.device)
            self._links.attach_port(self.bridge_of(port), port.device, port.mac, isolated=False)
        self._links.ensure_neighbour(port.private_ip, port.mac, self.bridge_of(port))

    def is_attached(self, port: Port) -> bool:
        return self._links.is_guarded_port(self.bridge_of(port), port.device, isolated=False)

    def detach(self, port: Port) -> None:
        self._links.delete_neighbour(port.private_ip, self.bridge_of(port))

    def bridge_of(self, port: Port) -> str:
        return segment_bridge(self._settings.bridge, port.tag)


def plane_of(settings: NetworkSettings, links: Links) -> Plane:
    """Raises NetError for a mode that this driver does not have."""
    if settings.mode in ("EDGE", "MANAGED-NOVLAN"):
        return FlatPlane(settings, links)
    if settings.mode == "MANAGED":
        return SegmentPlane(settings, links)
    raise NetError(f"there is no network mode {settings.mode!r}")


def segment_bridge(bridge: str, tag: int) -> str:
    """The bridge of a group in mode MANAGED."""
    return f"{bridge}v{tag}"


def mac_of_bridge(bridge: str) -> str:
    """Locally administered, the same after every restart and on every host: guests' ARP caches stay right."""
    digits = hashlib.sha256(bridge.encode()).hexdigest()[:8]
    return "02:eb:" + ":".join(digits[at : at + 2] for at in range(0, 8, 2))


def _repaired_routing(links: Links, bridge: str, settings: NetworkSettings) -> list[str]:
    flat = bridge == settings.bridge
    if changed := set_bridge_sysctls(bridge, proxy_arp=flat):
        return [f"kernel settings of {bridge} were changed and are back: {', '.join(changed)}"]
    if links.ensure_guest_routes(bridge, settings.subnet if flat else None):
        return [f"the routing rule of {bridge} was gone and is back"]
    return []
