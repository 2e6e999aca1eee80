"""The modes SYSTEM and STATIC: guests are on a bridge of the site's, beside its other machines.

The bridge is given and stays. We put taps on it, see that each guest speaks with its own MAC (STATIC: and
its own address), serves no DHCP and sends no router advertisements, tags or IPv6; and in SYSTEM learn from
its ARP which address the site's DHCP gave it. No groups, no public addresses, no metadata, as Eucalyptus 1.6.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from euca_box.net import foreign
from euca_box.net.dhcp import DhcpServer
from euca_box.net.firewall import removal
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
    device_of,
)
from euca_box.net.nft import Nft
from euca_box.net.nft_watch import TableWatch
from euca_box.net.ruleset import NetworkState
from euca_box.net.saved import SavedState
from euca_box.net.sysctls import silence_port
from euca_box.net.taps import create_tap

log = logging.getLogger(__name__)

# As in firewall.py; `learned` outlives every reload, and what a guest no longer uses ages out of it.
_RULES = """
add table bridge {table}
add set bridge {table} learned {{ type ifname . ether_addr . ipv4_addr; {learned} }}
add set bridge {table} guarded {{ type ifname; }}
add set bridge {table} mac {{ type ifname . ether_addr; }}
add set bridge {table} ip4 {{ type ifname . ether_addr . ipv4_addr; }}
add chain bridge {table} guest_arp
add chain bridge {table} guest_ip
add chain bridge {table} guest
add chain bridge {table} from_port {{ type filter hook prerouting priority -300; policy accept; }}
add chain bridge {table} to_port {{ type filter hook forward priority 0; policy accept; }}
flush table bridge {table}
flush set bridge {table} guarded
flush set bridge {table} mac
flush set bridge {table} ip4
add rule bridge {table} guest_arp iifname . arp saddr ether != @mac counter drop
add rule bridge {table} guest_arp arp saddr ip 0.0.0.0 accept
{arp}
add rule bridge {table} guest_ip ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept
add rule bridge {table} guest_ip udp sport 67 counter drop comment "only the site serves DHCP"
{ip}
add rule bridge {table} guest iifname . ether saddr != @mac counter drop comment "forged source MAC"
add rule bridge {table} guest ether type vmap {{ arp : jump guest_arp, ip : jump guest_ip }}
add rule bridge {table} guest counter drop comment "IPv6, VLAN, LLDP, anything else"
add rule bridge {table} from_port iifname @guarded jump guest
add rule bridge {table} to_port oifname @guarded udp dport 67 drop comment "DHCP requests are for the server"
"""
_LEARNED = "size 65535; flags dynamic,timeout; timeout 1h;"
_SYSTEM = {
    "arp": "add rule bridge {table} guest_arp "
    "update @learned {{ iifname . arp saddr ether . arp saddr ip }} accept",
    "ip": "add rule bridge {table} guest_ip accept",
}
_STATIC = {
    "arp": "add rule bridge {table} guest_arp iifname . arp saddr ether . arp saddr ip @ip4 accept\n"
    "add rule bridge {table} guest_arp counter drop",
    "ip": "add rule bridge {table} guest_ip iifname . ether saddr . ip saddr @ip4 accept\n"
    'add rule bridge {table} guest_ip counter drop comment "forged source address"',
}


class BridgedHost:
    """Not for two threads at once."""

    def __init__(self, settings: NetworkSettings) -> None:
        self.settings = settings
        self.nft = Nft()
        self.state = NetworkState()
        self.links = Links()
        self._saved = SavedState(settings.state_dir)
        self._ledger = Ledger(settings.state_dir / "ledger.json")
        self._watch = TableWatch(settings.table)
        self._dhcp = DhcpServer(settings) if settings.mode == "STATIC" else None

    def prepare(self) -> None:
        settings = self.settings
        self._check_bridge()
        saved = self._saved.load()
        there = self.links.taps()
        for port in saved.ports.values():
            if port.device not in there:
                self._saved.forget_port(port.instance_id)
        kept = {i: port for i, port in saved.ports.items() if port.device in there}
        self._ledger.note(*self._objects())
        self._become(replace(saved, ports=kept, public={}, remotes={}, hosts=frozenset()))
        for port in kept.values():
            self._attach(port)
        if self._dhcp is not None:
            self._dhcp.prepare(kept.values())
        foreign.open_docker_door(self.nft, settings)

    def plug(self, port: Port) -> None:
        check_port(self.settings, port)
        check_free(self.state.ports.values(), port)
        self._saved.save_port(port)
        self._become(replace(self.state, ports={**self.state.ports, port.instance_id: port}))
        if self._dhcp is not None:
            self._dhcp.add_host(port)
        if self.links.index_of(port.device) is None:
            create_tap(port.device, self.settings.tap_uid)
        self._attach(port)

    def unplug(self, instance_id: str) -> None:
        port = self.state.ports.get(instance_id)
        device = device_of(instance_id)
        if port is not None or self.links.bridge_of(device) == self.settings.bridge:
            self.links.delete_link(device)
        left = {i: p for i, p in self.state.ports.items() if i != instance_id}
        self._become(replace(self.state, ports=left))
        if self._dhcp is not None and port is not None:
            self._dhcp.forget_host(port)
        self._saved.forget_port(instance_id)

    def list_ports(self) -> list[Port]:
        taps = self.links.taps()
        known = [port for port in self.state.ports.values() if port.device in taps]
        others = taps - {port.device for port in known}
        strangers = sorted(d for d in others if self.links.bridge_of(d) == self.settings.bridge)
        return known + [Port(f"i-{device[1:]}", device, "", "", (), "") for device in strangers]

    def set_groups(self, groups: Sequence[SecurityGroup]) -> None:
        """Kept by nobody: these modes do not enforce groups, and the API says so."""
        for group in groups:
            check_group(group)

    def set_remotes(self, hosts: Sequence[str], remotes: Sequence[RemotePort]) -> None:
        """The site's network connects the hosts."""

    def assign_public(self, public_ip: str, private_ip: str) -> None:
        raise NetError(f"there are no public addresses in mode {self.settings.mode}")

    def unassign_public(self, public_ip: str) -> None:
        return None

    def learned(self) -> dict[str, str]:
        """Instance id -> the address that it last used in ARP."""
        if self.settings.mode != "SYSTEM":
            return {i: port.private_ip for i, port in self.state.ports.items()}
        by_device = {port.device: port for port in self.state.ports.values()}
        found: dict[str, tuple[int, str]] = {}
        for element in self._learned_elements():
            value, left = element["val"], int(element.get("expires", 0))
            device, mac, address = value["concat"]
            port = by_device.get(device)
            if port is not None and port.mac == mac and left >= found.get(port.instance_id, (-1, ""))[0]:
                found[port.instance_id] = left, str(address)
        return {instance_id: address for instance_id, (_, address) in found.items()}

    def repair(self) -> list[str]:
        done = []
        if self._watch.was_touched():
            self._become(self.state)
            done.append(f"another program changed the rules of {self.settings.bridge}; they are as they were")
        if self._watch.have_others_changed():
            foreign.open_docker_door(self.nft, self.settings)
        there = self.links.taps()
        for port in self.state.ports.values():
            if port.device in there and not self._is_attached(port):
                self._attach(port)
                done.append(f"the port {port.device} was changed and is as it was")
        if self._dhcp is not None and self._dhcp.revive():
            done.append(f"dnsmasq of {self.settings.bridge} had ended and runs again")
        return done

    def bridge_for(self, port: Port) -> str:
        return self.settings.bridge

    def is_in_place(self, port: Port) -> bool:
        return self._is_attached(port)

    def is_dhcp_running(self) -> bool:
        return self._dhcp is not None and self._dhcp.is_running()

    def has_lease(self, port: Port) -> bool | None:
        return self._dhcp.has_lease(port) if self._dhcp is not None else None

    def close(self) -> None:
        self.links.close()
        self._watch.close()
        self.nft.close()

    def remove(self) -> None:
        """All that is ours; the bridge is the site's."""
        for port in self._saved.load().ports.values():
            self.links.delete_link(port.device)
        for made in self._ledger.objects() | self._objects():
            if made.kind == "table":
                self._tell(removal(made.name))
        DhcpServer(self.settings).remove()
        foreign.close_docker_door(self.nft, self.settings)
        self._saved.forget_all()

    def _check_bridge(self) -> None:
        bridge, settings = self.settings.bridge, self.settings
        if not self.links.is_bridge(bridge):
            raise NetError(
                f"mode {settings.mode} uses a bridge of the site's, and there is no bridge {bridge!r}: "
                "make it, or set network.bridge"
            )
        if settings.mode == "STATIC" and not self.links.has_address_in(bridge, settings.subnet):
            raise NetError(
                f"the bridge {bridge} has no address in {settings.subnet}, so DHCP cannot be served there"
            )

    def _objects(self) -> set[HostObject]:
        bridge = self.settings.bridge
        return {
            HostObject("table", self.settings.table),
            HostObject("dhcp", bridge),
            HostObject("door", bridge),
        }

    def _attach(self, port: Port) -> None:
        if not self._is_attached(port):
            silence_port(port.device)
            self.links.attach_port(self.settings.bridge, port.device, port.mac, isolated=False)

    def _is_attached(self, port: Port) -> bool:
        return self.links.is_guarded_port(self.settings.bridge, port.device, isolated=False)

    def _become(self, state: NetworkState) -> None:
        """All rules again in one transaction: there are three elements for each guest, and no more."""
        self.state = state
        table, ports = self.settings.table, list(state.ports.values())
        by_mode = _STATIC if self.settings.mode == "STATIC" else _SYSTEM
        lines = {name: text.format(table=table) for name, text in by_mode.items()}
        text = _RULES.format(table=table, learned=_LEARNED, **lines)
        text += _elements(table, "guarded", (p.device for p in ports))
        text += _elements(table, "mac", (f"{p.device} . {p.mac}" for p in ports))
        if self.settings.mode == "STATIC":
            text += _elements(table, "ip4", (f"{p.device} . {p.mac} . {p.private_ip}" for p in ports))
        self._tell(text)

    def _tell(self, commands: str) -> None:
        with self._watch.own_change():
            self.nft.run(commands)

    def _learned_elements(self) -> list[dict[str, Any]]:
        objects = self.nft.list_json(f"list set bridge {self.settings.table} learned")
        elements: list[Any] = next((item["set"].get("elem", []) for item in objects if "set" in item), [])
        return [item["elem"] for item in elements if "elem" in item]


def _elements(table: str, name: str, elements: Iterable[str]) -> str:
    listed = ", ".join(sorted(elements))
    return f"add element bridge {table} {name} {{ {listed} }}\n" if listed else ""
