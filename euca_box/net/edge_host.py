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
from euca_box.net.ledger import HostObject, Ledger
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
    way_back,
)
from euca_box.net.nft import Nft
from euca_box.net.nft_watch import TableWatch
from euca_box.net.ruleset import NetworkState, Ruleset, build_ruleset, difference
from euca_box.net.saved import SavedState
from euca_box.net.sysctls import set_bridge_sysctls, silence_port
from euca_box.net.taps import create_tap

log = logging.getLogger(__name__)

PORTS_AT_ONCE = 10  # that one `repair` looks at, in turn: looking at one costs about a millisecond


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
        self._ledger = Ledger(settings.state_dir / "ledger.json")
        self._watch = TableWatch(settings.table)
        self._turn = 0  # of the ports that `repair` looks at

    def prepare(self) -> None:
        settings = self.settings
        self._ledger.note(*self._shared_objects())
        self._make_shared_links()
        self.state = self._as_found(self._saved.load())
        self._reload_firewall()
        for port in self.state.ports.values():
            self._attach(port)
        for public_ip in self.state.public:
            self._lead_here(public_ip)
        self._sweep()  # the server of another bridge would keep the address of ours
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
        self._sweep()
        forget_connections(ipv4(public_ip))

    def repair(self) -> list[str]:
        """A flushed ruleset lets guests speak as anybody, so this is asked for every few seconds."""
        bridge, done = self.settings.bridge, []
        if self._watch.was_touched():
            self._reload_firewall()
            done.append(f"another program changed the rules of {bridge} in nftables; they are as they were")
        if self._watch.have_others_changed():
            foreign.open_docker_door(self.nft, self.settings)
        done += self._repair_links()
        if self._dhcp.revive():
            done.append(f"dnsmasq of {bridge} had ended and runs again")
        return done

    def _repair_links(self) -> list[str]:
        settings, done = self.settings, []
        changed = (
            set_bridge_sysctls(settings.bridge) if self._links.are_shared_links_up(settings.bridge) else None
        )
        if changed is None:
            self._make_shared_links()
            for port in self.state.ports.values():
                self._attach(port)
            done.append(f"the bridge {settings.bridge} was gone or down and is back")
        elif changed:
            done.append(
                f"kernel settings of {settings.bridge} were changed and are back: {', '.join(changed)}"
            )
        elif self._links.ensure_way_back(settings.bridge, settings.subnet):
            done.append(f"the routing rule of {settings.bridge} was gone and is back")
        done += [f"the port {port.device} was changed and is as it was" for port in self._repaired_ports()]
        for public_ip in self.state.public:
            self._lead_here(public_ip)
        return done

    def _repaired_ports(self) -> list[Port]:
        """Those of the next few ports that were not as we made them."""
        ports = list(self.state.ports.values())
        turn = [ports[(self._turn + n) % len(ports)] for n in range(min(PORTS_AT_ONCE, len(ports)))]
        self._turn += len(turn)
        there = self._links.taps()
        wrong = [
            port
            for port in turn
            if port.device in there and not self._links.is_guarded_port(self.settings.bridge, port.device)
        ]
        for port in wrong:
            self._links.attach_port(self.settings.bridge, port.device, port.mac)
        for port in turn:
            self._links.ensure_neighbour(self.settings.bridge, port.private_ip, port.mac)
        return wrong

    def close(self) -> None:
        self._links.close()
        self._watch.close()
        self.nft.close()

    def remove(self) -> None:
        state = self._saved.load()
        self._dhcp.remove()
        known = {port.device for port in state.ports.values()}
        for device in known | self._strangers(self._links.taps() - known):
            self._links.delete_link(device)
        for made in self._ledger.objects() | self._shared_objects() | self._answers(state.public):
            self._remove_object(made)
        self._saved.forget_all()

    def _shared_objects(self) -> set[HostObject]:
        """What is on this host for all guests."""
        bridge, table = self.settings.bridge, self.settings.table
        links = (HostObject("link", bridge), HostObject("link", way_back(bridge)))
        return {
            *links,
            HostObject("rule", bridge),
            HostObject("table", table),
            HostObject("dhcp", bridge),
            HostObject("door", bridge),
        }

    def _answers(self, public_ips: Iterable[str]) -> set[HostObject]:
        uplink = self.settings.uplink
        return {HostObject("arp", public_ip, uplink) for public_ip in public_ips} if uplink else set()

    def _sweep(self) -> None:
        """Take away what the ledger names and neither the settings nor the state ask for."""
        gone = self._ledger.objects() - self._shared_objects() - self._answers(self.state.public)
        for made in sorted(gone):
            self._remove_object(made)
            log.info("removed from this host: %s %s %s", made.kind, made.name, made.place)
        self._ledger.strike(gone)

    def _remove_object(self, made: HostObject) -> None:
        other = replace(self.settings, bridge=made.name)
        if made.kind == "link":
            self._links.delete_link(made.name)
        elif made.kind == "rule":
            self._links.delete_guest_rule(made.name)
        elif made.kind == "arp":
            self._links.delete_arp_answer(made.place, made.name)
        elif made.kind == "dhcp":
            DhcpServer(other).remove()
        elif made.kind == "door":
            foreign.close_docker_door(self.nft, other)
        elif made.kind == "table":
            self._tell(removal(made.name))

    def _make_shared_links(self) -> None:
        settings, links = self.settings, self._links
        mac, prefix_length = _bridge_mac(settings.bridge), settings.subnet.prefixlen
        links.ensure_bridge(settings.bridge, mac, settings.gateway, prefix_length)
        set_bridge_sysctls(settings.bridge)
        links.ensure_way_back(settings.bridge, settings.subnet)

    def _tell(self, commands: str) -> None:
        with self._watch.own_change():
            self.nft.run(commands)

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
            self._tell(commands)
            self._rules = rules
        except NetError as error:
            log.warning("the firewall is loaded again as a whole: %s", error)
            self._reload_firewall()

    def _reload_firewall(self) -> None:
        rules = build_ruleset(self.state)
        self._tell(base_ruleset(self.settings) + difference(self.settings, Ruleset(), rules))
        self._rules = rules

    def _as_found(self, state: NetworkState) -> NetworkState:
        """After a reboot no tap is left: its instance is plugged again, or never."""
        there = self._links.taps()
        for port in state.ports.values():
            if port.device in there and ipv4(port.private_ip) not in self.settings.subnet:
                raise NetError(
                    f"{port.instance_id} runs with {port.private_ip}, outside of {self.settings.subnet}: "
                    "terminate all instances before you change the subnet"
                )
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
            self._ledger.note(HostObject("arp", public_ip, self.settings.uplink))
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
