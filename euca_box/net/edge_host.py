"""The network of one host in the modes that route (EDGE, MANAGED, MANAGED-NOVLAN), in blocking calls.

It keeps what the kernel is believed to hold; after a restart that is built again from the saved state, and
the firewall is replaced as a whole in one transaction, which established connections do not notice.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from euca_box.net import foreign
from euca_box.net.conntrack import forget_connections, forget_flow, list_flows
from euca_box.net.dhcp import DhcpServer
from euca_box.net.firewall import base_ruleset, removal
from euca_box.net.judge import Judge
from euca_box.net.ledger import HostObject, Ledger
from euca_box.net.links import Links
from euca_box.net.network import (
    NetError,
    NetworkSettings,
    Port,
    RemotePort,
    SecurityGroup,
    check_free,
    check_group,
    check_port,
    check_public,
    check_remote,
    device_of,
    ipv4,
)
from euca_box.net.nft import Nft
from euca_box.net.nft_watch import TableWatch
from euca_box.net.planes import plane_of
from euca_box.net.ruleset import NetworkState, Ruleset, Texts, build_ruleset, difference
from euca_box.net.saved import SavedState
from euca_box.net.taps import create_tap
from euca_box.net.tunnels import Remotes, Tunnels

log = logging.getLogger(__name__)

PORTS_AT_ONCE = 10  # that one `repair` looks at, in turn: looking at one costs about a millisecond


class EdgeHost:
    """`state` is what is wanted, `_rules` what the kernel was last told. Not for two threads at once."""

    def __init__(self, settings: NetworkSettings) -> None:
        self.settings = settings
        self.nft = Nft()
        self.state = NetworkState()
        self.links = Links()
        self._plane = plane_of(settings, self.links)
        self._tunnels = Tunnels(settings, self.links)
        self._rules = Ruleset()
        self._texts = Texts()
        self._dhcp = DhcpServer(settings)
        self._saved = SavedState(settings.state_dir)
        self._ledger = Ledger(settings.state_dir / "ledger.json")
        self._watch = TableWatch(settings.table)
        self._turn = 0  # of the ports that `repair` looks at

    def prepare(self) -> None:
        settings = self.settings
        self.state = self._as_found(self._saved.load())
        self._tunnels.check(self.state.hosts, self.state.remotes.values())
        self._make_shared()
        self._reload_firewall()
        for port in self.state.ports.values():
            self._plane.attach(port)
        for public_ip in self.state.public:
            self._lead_here(public_ip)
        self._sweep()  # the server of another bridge would keep the address of ours
        self._dhcp.prepare(self.state.ports.values(), self._tunnels.mtu())
        foreign.open_docker_door(self.nft, settings)
        for sentence in foreign.find_foreign_drops(self.nft, settings):
            log.warning("%s", sentence)

    def plug(self, port: Port) -> None:
        check_port(self.settings, port)
        check_free(self.state.ports.values(), port)
        if self.state.ports.get(port.instance_id) != port:
            self._saved.save_port(port)
        before, networks = self.state, self._networks()
        self._become(replace(self.state, ports={**self.state.ports, port.instance_id: port}))
        self._cut_revoked(before)
        self._dhcp.add_host(port)
        if self._networks() != networks:
            self._make_shared()
            self._dhcp.set_networks(self.state.ports.values())
        if self.links.index_of(port.device) is None:
            create_tap(port.device, self.settings.tap_uid)
        self._plane.attach(port)

    def unplug(self, instance_id: str) -> None:
        port = self.state.ports.get(instance_id)
        if port is None:
            self._delete_unknown_tap(instance_id)
            return
        for public_ip in [p for p, private in self.state.public.items() if private == port.private_ip]:
            self.unassign_public(public_ip)
        self.links.delete_link(port.device)
        self._plane.detach(port)
        self._dhcp.remove_host(port, self._plane.bridge_of(port))
        before = self._networks()
        left = {i: p for i, p in self.state.ports.items() if i != instance_id}
        self._become(replace(self.state, ports=left))
        if self._networks() != before:
            self._make_shared()
            self._sweep()
            self._dhcp.set_networks(self.state.ports.values())
        forget_connections(ipv4(port.private_ip))
        self._saved.forget_port(instance_id)

    def list_ports(self) -> list[Port]:
        taps = self.links.taps()
        known = [port for port in self.state.ports.values() if port.device in taps]
        strangers = sorted(self._strangers(taps - {port.device for port in known}))
        return known + [Port(f"i-{device[1:]}", device, "", "", (), "") for device in strangers]

    def set_groups(self, groups: Sequence[SecurityGroup]) -> None:
        known, wanted = self.state.groups, dict[str, SecurityGroup]()
        for group in groups:
            same = known.get(group.group_id)
            if same is not None and same == group:
                wanted[group.group_id] = same  # the object of before: its text is known
            else:
                check_group(group)
                wanted[group.group_id] = group
        self._saved.save_groups([g for i, g in wanted.items() if g is not known.get(i)])
        self._saved.forget_groups(known.keys() - wanted.keys())
        before = self.state
        self._become(replace(self.state, groups=wanted))
        self._cut_revoked(before)

    def set_remotes(self, hosts: Sequence[str], remotes: Sequence[RemotePort]) -> None:
        for remote in remotes:
            check_remote(self.settings, remote)
        self._tunnels.check(hosts, remotes)
        others = {remote.instance_id: remote for remote in remotes}
        wanted = Remotes(frozenset(hosts), others)
        if wanted == Remotes(self.state.hosts, self.state.remotes):
            return
        self._saved.save_remotes(wanted.hosts, others.values())
        self._become(replace(self.state, hosts=wanted.hosts, remotes=others))
        self._make_shared()

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
        self.links.delete_route(self.settings.bridge, public_ip)
        self._sweep()
        forget_connections(ipv4(public_ip))

    def learned(self) -> dict[str, str]:
        return {instance_id: port.private_ip for instance_id, port in self.state.ports.items()}

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
        done = self._plane.repair(self.state.ports.values())
        if done:
            self._make_shared()
        for port in self._next_ports():
            if port.device in self.links.taps() and not self._plane.is_attached(port):
                done.append(f"the port {port.device} was changed and is as it was")
            self._plane.attach(port)
        for public_ip in self.state.public:
            self._lead_here(public_ip)
        return done

    def _next_ports(self) -> list[Port]:
        """Those whose turn it is to be looked at."""
        ports = [p for p in self.state.ports.values() if self.links.index_of(p.device) is not None]
        turn = [ports[(self._turn + n) % len(ports)] for n in range(min(PORTS_AT_ONCE, len(ports)))]
        self._turn += len(turn)
        return turn

    def bridge_for(self, port: Port) -> str:
        return self._plane.bridge_of(port)

    def is_in_place(self, port: Port) -> bool:
        return self._plane.is_attached(port)

    def is_dhcp_running(self) -> bool:
        return self._dhcp.is_running()

    def has_lease(self, port: Port) -> bool | None:
        return self._dhcp.has_lease(port)

    def close(self) -> None:
        self.links.close()
        self._watch.close()
        self.nft.close()

    def remove(self) -> None:
        state = self._saved.load()
        self._dhcp.remove()
        known = {port.device for port in state.ports.values()}
        for device in known | self._strangers(self.links.taps() - known):
            self.links.delete_link(device)
        for made in self._ledger.objects() | self._shared_objects() | self._answers(state.public):
            self._remove_object(made)
        self._saved.forget_all()

    def _shared_objects(self) -> set[HostObject]:
        """What is on this host for all guests, or for those of a segment."""
        bridge, table = self.settings.bridge, self.settings.table
        own = {HostObject("table", table), HostObject("dhcp", bridge), HostObject("door", bridge)}
        plane = self._plane.objects(self.state.ports.values())
        return own | plane | self._tunnels.objects(self._tags())

    def _networks(self) -> set[tuple[int, str]]:
        """Those of groups that have guests here."""
        return {(port.tag, port.network) for port in self.state.ports.values()}

    def _tags(self) -> set[int]:
        """Of the segments that have a bridge here."""
        managed = self.settings.mode == "MANAGED"
        return {port.tag for port in self.state.ports.values()} if managed else set()

    def _make_shared(self) -> None:
        self._ledger.note(*self._shared_objects())
        self._plane.make(self.state.ports.values())
        self._tunnels.make(Remotes(self.state.hosts, self.state.remotes), self._tags())

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
            self.links.delete_link(made.name)
        elif made.kind == "rule":
            self.links.delete_guest_rule(made.name)
        elif made.kind == "arp":
            self.links.delete_arp_answer(made.place, made.name)
        elif made.kind == "dhcp":
            DhcpServer(other).remove()
        elif made.kind == "door":
            foreign.close_docker_door(self.nft, other)
        elif made.kind == "table":
            self._tell(removal(made.name))

    def _tell(self, commands: str) -> None:
        with self._watch.own_change():
            self.nft.run(commands)

    def _become(self, state: NetworkState) -> None:
        """Tell the kernel the difference.

        When it does not know what we believe it knows, tell it everything.
        """
        state = self._with_devices(state)
        rules = build_ruleset(state, self._texts)
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

    def _cut_revoked(self, before: NetworkState) -> None:
        """By setting: end what the rules allowed before and allow no more."""
        same = before.groups == self.state.groups and before.ports == self.state.ports
        if same or not self.settings.cut_revoked:
            return
        own = self.links.own_addresses()
        old, new = Judge(before, own), Judge(self.state, own)
        for flow in list_flows():
            if old.allows(flow) and not new.allows(flow):
                forget_flow(flow)

    def _reload_firewall(self) -> None:
        self.state = self._with_devices(self.state)
        rules = build_ruleset(self.state, self._texts)
        self._tell(base_ruleset(self.settings) + difference(self.settings, Ruleset(), rules))
        self._rules = rules

    def _with_devices(self, state: NetworkState) -> NetworkState:
        ports = state.ports.values()
        tags = {port.tag for port in ports} if self.settings.mode == "MANAGED" else set[int]()
        return replace(state, guest_links=self._plane.guest_links(ports), trunks=self._tunnels.trunks(tags))

    def _as_found(self, state: NetworkState) -> NetworkState:
        """After a reboot no tap is left: its instance is plugged again, or never."""
        there = self.links.taps()
        for port in state.ports.values():
            if port.device in there:
                self._check_adopted(port)
        vanished = [port for port in state.ports.values() if port.device not in there]
        for port in vanished:
            self._plane.detach(port)
            self._saved.forget_port(port.instance_id)
        known = {i: port for i, port in state.ports.items() if port.device in there}
        strangers = self._strangers(there - {port.device for port in known.values()})
        return replace(state, ports=known, strangers=strangers)

    def _check_adopted(self, port: Port) -> None:
        try:
            check_port(self.settings, port)
        except NetError as error:
            raise NetError(
                f"{port.instance_id} runs with {port.private_ip}, which does not fit the settings ({error}): "
                "terminate all instances before you change the network's mode or subnet"
            ) from error

    def _strangers(self, taps: Iterable[str]) -> frozenset[str]:
        """Those of the taps that are on our bridges."""
        own = re.compile(rf"{self.settings.bridge}(v\d+)?")
        return frozenset(device for device in taps if own.fullmatch(self.links.bridge_of(device) or ""))

    def _lead_here(self, public_ip: str) -> None:
        self.links.ensure_route(self.settings.bridge, public_ip, self.settings.gateway)
        if self.settings.uplink is not None:
            self._ledger.note(HostObject("arp", public_ip, self.settings.uplink))
            self.links.ensure_arp_answer(self.settings.uplink, public_ip)

    def _delete_unknown_tap(self, instance_id: str) -> None:
        device = device_of(instance_id)
        if self._strangers([device]):
            self.links.delete_link(device)
        self._saved.forget_port(instance_id)
