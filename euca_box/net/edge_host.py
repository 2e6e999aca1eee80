"""The EDGE network of one host, in blocking calls.

It keeps what the kernel is believed to hold; after a restart that is built again from the saved state, and
the firewall is replaced as a whole in one transaction, which established connections do not notice.
"""

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from euca_box.net import foreign
from euca_box.net.conntrack import forget_connections
from euca_box.net.dhcp import DhcpServer
from euca_box.net.firewall import base_ruleset, removal
from euca_box.net.links import Links
from euca_box.net.network import (
    NetError,
    NetworkSettings,
    Port,
    SecurityGroup,
    check_free,
    check_group,
    check_port,
    check_public,
    device_of,
    ipv4,
)
from euca_box.net.nft import Nft
from euca_box.net.ruleset import NetworkState, Ruleset, build_ruleset, difference
from euca_box.net.saved import SavedState
from euca_box.net.sysctls import set_bridge_sysctls, silence_port
from euca_box.net.taps import create_tap

log = logging.getLogger(__name__)


class EdgeHost:
    """`state` is what is wanted, `_rules` what the kernel was last told. Not for two threads at once."""

    def __init__(self, settings: NetworkSettings) -> None:
        self.settings = settings
        self.nft = Nft()
        self.state = NetworkState()
        self._links = Links()
        self._rules = Ruleset()
        self._dhcp = DhcpServer(settings)
        self._saved = SavedState(settings.state_dir)

    def prepare(self) -> None:
        settings, links = self.settings, self._links
        links.ensure_bridge(
            settings.bridge, _bridge_mac(settings.bridge), settings.gateway, settings.subnet.prefixlen
        )
        set_bridge_sysctls(settings.bridge)
        links.ensure_way_back(settings.bridge, settings.subnet)
        self.state = self._as_found(self._saved.load())
        self._reload_firewall()
        for port in self.state.ports.values():
            self._attach(port)
        for public_ip in self.state.public:
            self._lead_here(public_ip)
        self._dhcp.prepare(self.state.ports.values())
        foreign.open_docker_door(self.nft, settings)
        for sentence in foreign.find_foreign_drops(self.nft, settings):
            log.warning("%s", sentence)

    def plug(self, port: Port) -> None:
        check_port(self.settings, port)
        check_free(self.state.ports.values(), port)
        if self.state.ports.get(port.instance_id) != port:
            self._saved.save_port(port)
        self._become(replace(self.state, ports={**self.state.ports, port.instance_id: port}))
        self._dhcp.add_host(port)
        if self._links.index_of(port.device) is None:
            create_tap(port.device, self.settings.tap_uid)
        self._attach(port)

    def unplug(self, instance_id: str) -> None:
        port = self.state.ports.get(instance_id)
        if port is None:
            self._delete_unknown_tap(instance_id)
            return
        for public_ip in [p for p, private in self.state.public.items() if private == port.private_ip]:
            self.unassign_public(public_ip)
        self._links.delete_link(port.device)
        self._become(
            replace(self.state, ports={i: p for i, p in self.state.ports.items() if i != instance_id})
        )
        self._links.delete_neighbour(self.settings.bridge, port.private_ip)
        self._dhcp.remove_host(port)
        forget_connections(ipv4(port.private_ip))
        self._saved.forget_port(instance_id)

    def list_ports(self) -> list[Port]:
        taps = self._links.taps()
        known = [port for port in self.state.ports.values() if port.device in taps]
        strangers = sorted(self._strangers(taps - {port.device for port in known}))
        return known + [Port(f"i-{device[1:]}", device, "", "", (), "") for device in strangers]

    def set_groups(self, groups: Sequence[SecurityGroup]) -> None:
        for group in groups:
            check_group(group)
        wanted = {group.group_id: group for group in groups}
        if wanted != self.state.groups:
            self._saved.save_groups(wanted)
        self._become(replace(self.state, groups=wanted))

    def assign_public(self, public_ip: str, private_ip: str) -> None:
        check_public(self.settings, public_ip)
        if ipv4(private_ip) not in self.settings.subnet:
            raise NetError(f"{private_ip} is not in {self.settings.subnet}")
        if self.state.public.get(public_ip) != private_ip:
            for other in [
                p for p, private in self.state.public.items() if public_ip == p or private_ip == private
            ]:
                self.unassign_public(other)
            public = {**self.state.public, public_ip: private_ip}
            self._saved.save_public(public)
            self._become(replace(self.state, public=public))
        self._lead_here(public_ip)

    def unassign_public(self, public_ip: str) -> None:
        if public_ip not in self.state.public:
            return
        public = {p: private for p, private in self.state.public.items() if p != public_ip}
        self._saved.save_public(public)
        self._become(replace(self.state, public=public))
        self._links.delete_route(self.settings.bridge, public_ip)
        if self.settings.uplink is not None:
            self._links.delete_arp_answer(self.settings.uplink, public_ip)
        forget_connections(ipv4(public_ip))

    def repair(self) -> list[str]:
        """A flushed ruleset lets guests speak as anybody, so this is asked for every few seconds."""
        done = []
        tables = self.nft.run("list tables")
        if not all(f"table {family} {self.settings.table}\n" in tables for family in ("bridge", "inet")):
            self._reload_firewall()
            done.append(f"the rules of {self.settings.bridge} were gone from nftables and are back")
        if self._dhcp.revive():
            done.append(f"dnsmasq of {self.settings.bridge} had ended and runs again")
        return done

    def close(self) -> None:
        self._links.close()
        self.nft.close()

    def remove(self) -> None:
        settings, state = self.settings, self._saved.load()
        self._dhcp.remove()
        known = {port.device for port in state.ports.values()}
        for device in known | self._strangers(self._links.taps() - known):
            self._links.delete_link(device)
        for public_ip in state.public:
            if settings.uplink is not None:
                self._links.delete_arp_answer(settings.uplink, public_ip)
        self._links.delete_way_back(settings.bridge)
        self._links.delete_link(settings.bridge)
        self.nft.run(removal(settings))
        foreign.close_docker_door(self.nft, settings)
        self._saved.forget_all()

    def _become(self, state: NetworkState) -> None:
        """Tell the kernel the difference.

        When it does not know what we believe it knows, tell it everything.
        """
        rules = build_ruleset(state)
        commands = difference(self.settings, self._rules, rules)
        self.state = state
        if not commands:
            return
        try:
            self.nft.run(commands)
            self._rules = rules
        except NetError as error:
            log.warning("the firewall is loaded again as a whole: %s", error)
            self._reload_firewall()

    def _reload_firewall(self) -> None:
        rules = build_ruleset(self.state)
        self.nft.run(base_ruleset(self.settings) + difference(self.settings, Ruleset(), rules))
        self._rules = rules

    def _as_found(self, state: NetworkState) -> NetworkState:
        """After a reboot no tap is left: its instance is plugged again, or never."""
        there = self._links.taps()
        vanished = [port for port in state.ports.values() if port.device not in there]
        for port in vanished:
            self._links.delete_neighbour(self.settings.bridge, port.private_ip)
            self._saved.forget_port(port.instance_id)
        known = {i: port for i, port in state.ports.items() if port.device in there}
        strangers = self._strangers(there - {port.device for port in known.values()})
        return replace(state, ports=known, strangers=strangers)

    def _attach(self, port: Port) -> None:
        bridge = self.settings.bridge
        if not self._links.is_port_of(bridge, port.device):
            silence_port(port.device)
            self._links.attach_port(bridge, port.device, port.mac)
        self._links.ensure_neighbour(bridge, port.private_ip, port.mac)

    def _strangers(self, taps: Iterable[str]) -> frozenset[str]:
        """Those of the taps that are on our bridge."""
        return frozenset(device for device in taps if self._links.is_port_of(self.settings.bridge, device))

    def _lead_here(self, public_ip: str) -> None:
        self._links.ensure_route(self.settings.bridge, public_ip, self.settings.gateway)
        if self.settings.uplink is not None:
            self._links.ensure_arp_answer(self.settings.uplink, public_ip)

    def _delete_unknown_tap(self, instance_id: str) -> None:
        device = device_of(instance_id)
        if self._links.is_port_of(self.settings.bridge, device):
            self._links.delete_link(device)
        self._saved.forget_port(instance_id)


def _bridge_mac(bridge: str) -> str:
    """Locally administered and the same after every restart, so that guests' ARP caches stay right."""
    digits = hashlib.sha256(bridge.encode()).hexdigest()[:8]
    return "02:eb:" + ":".join(digits[at : at + 2] for at in range(0, 8, 2))
