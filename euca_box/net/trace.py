"""Where the way of a packet ends: looks at the kernel, not at what we believe, and changes nothing.

In the order in which a packet from outside passes: host, foreign rules, bridge, tap, anti-spoof, DHCP, groups
and public address. Blocking calls.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from euca_box.model.traces import BAD, GOOD, NOTE, Step
from euca_box.net.foreign import find_foreign_drops
from euca_box.net.links import Links
from euca_box.net.network import NetError, NetworkSettings, Port, Rule
from euca_box.net.nft import Nft
from euca_box.net.ruleset import NetworkState

_ROOT = Path("/proc/sys/net")


class Traced(Protocol):
    """What of a host's network is looked at."""

    settings: NetworkSettings
    nft: Nft
    state: NetworkState
    links: Links

    def bridge_for(self, port: Port) -> str: ...
    def is_in_place(self, port: Port) -> bool: ...
    def is_dhcp_running(self) -> bool: ...
    def has_lease(self, port: Port) -> bool | None: ...


def trace_host(host: Traced) -> Iterator[Step]:
    """What all guests of this host need."""
    settings, routed = host.settings, host.settings.mode not in ("STATIC", "SYSTEM")
    if routed:
        forwards = _read("ipv4/ip_forward") == "1"
        yield _step("the host forwards IPv4", forwards, "", "sysctl -w net.ipv4.ip_forward=1")
    for family in ("bridge", "inet") if routed else ("bridge",):
        there = f"table {family} {settings.table}\n" in host.nft.run("list tables")
        name = f"table {family} {settings.table}"
        yield _step(
            f"nftables has our {name}", there, "the node makes it again in seconds", f"nft list {name}"
        )
    drops = find_foreign_drops(host.nft, settings)
    detail = "; ".join(drops) or "no table of others drops what it does not know"
    yield Step(
        _here(), "other firewalls let guests through", NOTE if drops else GOOD, detail, _ruleset(drops)
    )
    up = host.links.are_up(settings.bridge)
    yield _step(f"the bridge {settings.bridge} is up", up, "", f"ip -d link show {settings.bridge}")
    if settings.mode != "SYSTEM":
        yield _step("DHCP runs", host.is_dhcp_running(), "dnsmasq of our bridge", "pgrep -a dnsmasq")
    if settings.tunnel is not None and routed:
        yield from _trace_tunnel(host)


def trace_instance(host: Traced, instance_id: str) -> Iterator[Step]:
    """The way from this host to one guest."""
    port = host.state.ports.get(instance_id)
    if port is None:
        yield _step("the instance is plugged in", False, "this host's network does not know it", "")
        return
    tap, bridge = port.device, host.bridge_for(port)
    there = host.links.index_of(tap) is not None
    yield _step(f"the tap {tap} is there", there, "", f"ip -d link show {tap}")
    if not there:
        return
    in_place = host.is_in_place(port)
    yield _step(f"{tap} is a guarded port of {bridge}", in_place, "", f"bridge -d link show dev {tap}")
    carrier = host.links.has_carrier(tap)
    yield _step(f"a guest is at {tap}", carrier, "QEMU has the tap open", f"euca-box console {instance_id}")
    yield from _trace_guard(host, port)
    leased = host.has_lease(port)
    if leased is not None:
        text = "it has" if leased else "not yet; it may have a fixed address"
        console = f"euca-box console {instance_id}"
        yield Step(
            _here(), "the guest has asked DHCP", GOOD if leased else NOTE, text, "" if leased else console
        )
    if host.settings.mode in ("STATIC", "SYSTEM"):
        return
    yield from _trace_groups(host, port)
    for public_ip in [p for p, private in host.state.public.items() if private == port.private_ip]:
        yield from _trace_public(host, public_ip, port)


def _trace_guard(host: Traced, port: Port) -> Iterator[Step]:
    table = host.settings.table
    elements = {"mac": f"{port.device} . {port.mac}"}
    if host.settings.mode != "SYSTEM":
        elements["ip4"] = f"{port.device} . {port.mac} . {port.private_ip}"
    for name, element in elements.items():
        there = _has_element(host.nft, f"bridge {table} {name}", element)
        what = "MAC" if name == "mac" else "MAC and address"
        yield _step(f"it may speak with its {what}", there, element, f"nft list set bridge {table} {name}")


def _trace_groups(host: Traced, port: Port) -> Iterator[Step]:
    table = host.settings.table
    for way, name in (("in", "ingress"), ("out", "egress")):
        there = _has_key(host.nft, f"inet {table} {way}_of", port.private_ip)
        yield _step(f"its groups judge its {name}", there, "", f"nft list map inet {table} {way}_of")
    rules = [rule for g in port.group_ids if g in host.state.groups for rule in host.state.groups[g].ingress]
    words = ", ".join(_in_words(rule) for rule in rules[:20]) or "nothing: no rule lets anybody in"
    groups = " ".join(port.group_ids)
    command = "" if rules else f"aws ec2 describe-security-groups --group-ids {groups}"
    yield Step(_here(), "its groups let in", GOOD if rules else NOTE, words, command)


def _trace_public(host: Traced, public_ip: str, port: Port) -> Iterator[Step]:
    table, uplink = host.settings.table, host.settings.uplink
    there = _has_key(host.nft, f"inet {table} private_of", public_ip)
    what = f"{public_ip} is translated to {port.private_ip}"
    yield _step(what, there, "", f"nft list map inet {table} private_of")
    if uplink is None:
        text = "network.uplink is empty: it is reached from this host and its guests only"
        yield Step(_here(), f"{public_ip} is answered for", NOTE, text, "euca-box config show network.uplink")
        return
    answered = host.links.has_arp_answer(uplink, public_ip)
    yield _step(f"{public_ip} is answered for on {uplink}", answered, "", f"ip neigh show proxy dev {uplink}")


def _trace_tunnel(host: Traced) -> Iterator[Step]:
    device = f"{host.settings.bridge}x"
    up = host.links.are_up(device)
    yield _step(f"the tunnel {device} is up", up, "", f"ip -d link show {device}")
    hosts, count = ", ".join(sorted(host.state.hosts)) or "none", len(host.state.remotes)
    yield Step(
        _here(), "other hosts", NOTE, f"{hosts}; {count} instances there", f"bridge fdb show dev {device}"
    )


def _has_element(nft: Nft, where: str, element: str) -> bool:
    try:
        nft.run(f"get element {where} {{ {element} }}")
    except NetError:
        return False
    return True


def _has_key(nft: Nft, where: str, key: str) -> bool:
    return _has_element(nft, where, key)


def _in_words(rule: Rule) -> str:
    ports = "" if rule.from_port == -1 else f" {rule.from_port}"
    ports += f"-{rule.to_port}" if rule.to_port not in (-1, rule.from_port) else ""
    return f"{'all' if rule.protocol == '-1' else rule.protocol}{ports} from {rule.cidr or rule.group_id}"


def _step(what: str, good: bool, detail: str, command: str) -> Step:
    return Step(_here(), what, GOOD if good else BAD, detail, "" if good else command)


def _here() -> str:
    return "network"


def _ruleset(drops: list[Any]) -> str:
    return "nft list ruleset" if drops else ""


def _read(name: str) -> str:
    try:
        return (_ROOT / name).read_text().strip()
    except OSError:
        return ""
