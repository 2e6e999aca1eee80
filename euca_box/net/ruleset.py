"""The part of the firewall that follows the guests.

A pure function of what is plugged, and the difference of two such.

For each group there is a set of its members' addresses and two chains of its rules; for each port two chains
that jump to the groups it is in. A packet finds its port's chain by one map look-up, so the cost does not
grow with the number of guests.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from euca_box.net.network import (
    LARGEST_PORT,
    NetworkSettings,
    Port,
    RemotePort,
    Rule,
    SecurityGroup,
    protocol_number,
)

Table = str  # "bridge" or "inet": the family; both tables have one name


@dataclass(frozen=True, slots=True)
class NetworkState:
    """What should be on this host: ports by instance id, groups by id, public -> private address.

    `strangers` are taps on our bridge that nothing is known of; they are guarded, so that they cannot speak.
    `remotes` are instances on the other `hosts`, by instance id. `guest_links` are the devices that guests'
    packets come in and go out by, `trunks` the ports of segments that lead to other hosts.
    """

    ports: Mapping[str, Port] = field(default_factory=dict)
    groups: Mapping[str, SecurityGroup] = field(default_factory=dict)
    public: Mapping[str, str] = field(default_factory=dict)
    strangers: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    remotes: Mapping[str, RemotePort] = field(default_factory=dict)
    guest_links: frozenset[str] = frozenset()
    trunks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Elements of sets and maps, keyed by (family, set); rules of chains, all in the inet table."""

    elements: Mapping[tuple[Table, str], frozenset[str]] = field(default_factory=dict)
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def build_ruleset(state: NetworkState) -> Ruleset:
    """What the kernel should hold for this state."""
    ports = state.ports.values()
    elements: dict[tuple[Table, str], frozenset[str]] = {
        ("bridge", "guarded"): frozenset(p.device for p in ports) | state.strangers,
        ("bridge", "mac"): frozenset(f"{p.device} . {p.mac}" for p in ports),
        ("bridge", "ip4"): frozenset(f"{p.device} . {p.mac} . {p.private_ip}" for p in ports),
        ("inet", "in_of"): frozenset(f"{p.private_ip} : jump {_chain('in', p.instance_id)}" for p in ports),
        ("inet", "out_of"): frozenset(f"{p.private_ip} : jump {_chain('out', p.instance_id)}" for p in ports),
        ("inet", "private_of"): frozenset(
            f"{public} : {private}" for public, private in state.public.items()
        ),
        ("inet", "public_of"): frozenset(f"{private} : {public}" for public, private in state.public.items()),
        ("inet", "remote_private_of"): frozenset(
            f"{r.public_ip} : {r.private_ip}" for r in state.remotes.values() if r.public_ip
        ),
        ("inet", "remote"): frozenset(r.private_ip for r in state.remotes.values()),
        ("inet", "hosts"): state.hosts,
        ("inet", "gateways"): frozenset(str(IPv4Network(p.network)[1]) for p in ports if p.network),
        ("inet", "guest_links"): frozenset(f'"{name}"' for name in state.guest_links),
    }
    if state.trunks:
        elements["bridge", "trunks"] = frozenset(f'"{name}"' for name in state.trunks)
    chains: dict[str, tuple[str, ...]] = {}
    for group_id, members in members_of(state).items():
        elements["inet", _members_set(group_id)] = frozenset(members)
        group = state.groups.get(group_id) or SecurityGroup(group_id, (), ())
        chains[_chain("in", group_id)] = tuple(_rule_text(rule, "ip saddr") for rule in group.ingress)
        # The address that the guest dialled, as EC2 judges it, not where a public address was led.
        chains[_chain("out", group_id)] = tuple(
            _rule_text(rule, "ct original ip daddr") for rule in group.egress
        )
    for port in ports:
        for way, peer_field in (("in", "ip saddr"), ("out", "ip daddr")):
            # In the MANAGED modes the members of a group reach each other (Eucalyptus 1.6).
            own = (f"{peer_field} {port.network} accept",) if port.network else ()
            jumps = tuple(f"jump {_chain(way, group_id)}" for group_id in port.group_ids)
            chains[_chain(way, port.instance_id)] = own + jumps
    return Ruleset(elements, chains)


def difference(settings: NetworkSettings, old: Ruleset, new: Ruleset) -> str:
    """The commands that lead from old to new, to be run as one transaction; empty when nothing changes."""
    return "".join(f"{line}\n" for line in _changes(settings.table, old, new))


def _changes(table: str, old: Ruleset, new: Ruleset) -> Iterator[str]:
    """New names first, because rules and elements need them.

    Old names last, when nothing needs them any more.
    """
    nothing: frozenset[str] = frozenset()
    for chain in new.chains.keys() - old.chains.keys():
        yield f"add chain inet {table} {chain}"
    for family, name in new.elements.keys() - old.elements.keys():
        if name.startswith("members_"):
            yield f"add set {family} {table} {name} {{ type ipv4_addr; }}"
    for (family, name), before in old.elements.items():
        gone = before - new.elements.get((family, name), nothing)
        yield from _element_command("delete", family, table, name, gone)
    for (family, name), after in new.elements.items():
        added = after - old.elements.get((family, name), nothing)
        yield from _element_command("add", family, table, name, added)
    for chain, rules in new.chains.items():
        before_rules = old.chains.get(chain, ())
        if rules != before_rules:
            if before_rules:
                yield f"flush chain inet {table} {chain}"
            for rule in rules:
                yield f"add rule inet {table} {chain} {rule}"
    gone_chains = sorted(old.chains.keys() - new.chains.keys())
    yield from (f"flush chain inet {table} {chain}" for chain in gone_chains)
    yield from (f"delete chain inet {table} {chain}" for chain in gone_chains)
    for family, name in old.elements.keys() - new.elements.keys() - {("bridge", "trunks")}:
        yield f"delete set {family} {table} {name}"


def _element_command(verb: str, family: str, table: str, name: str, elements: Iterable[str]) -> Iterator[str]:
    listed = ", ".join(sorted(elements))
    if listed:
        yield f"{verb} element {family} {table} {name} {{ {listed} }}"


def members_of(state: NetworkState) -> dict[str, list[str]]:
    """Addresses by group: of every group that is defined, has a member here, or is named by a rule."""
    members: dict[str, list[str]] = {}
    for group in state.groups.values():
        members.setdefault(group.group_id, [])
        for rule in (*group.ingress, *group.egress):
            if rule.group_id is not None:
                members.setdefault(rule.group_id, [])
    everybody: list[Port | RemotePort] = [*state.ports.values(), *state.remotes.values()]
    for port in everybody:
        for group_id in port.group_ids:
            members.setdefault(group_id, []).append(port.private_ip)
    return members


def _rule_text(rule: Rule, peer_field: str) -> str:
    """One nftables rule. The peer is left out where it is everybody; the chains only see IPv4."""
    words = []
    if rule.group_id is not None:
        words.append(f"{peer_field} @{_members_set(rule.group_id)}")
    elif rule.cidr is not None and (peer := IPv4Network(rule.cidr, strict=False)).prefixlen:
        words.append(f"{peer_field} {peer}")
    words.append(_protocol_text(rule))
    return " ".join(word for word in (*words, "accept") if word)


def _protocol_text(rule: Rule) -> str:
    number = protocol_number(rule.protocol)
    if number == -1:
        return ""
    if number == 1:
        return _icmp_text(rule)
    if number not in (6, 17) or rule.from_port == -1 or (rule.from_port, rule.to_port) == (0, LARGEST_PORT):
        return f"meta l4proto {number}"
    name = "tcp" if number == 6 else "udp"
    return (
        f"{name} dport {rule.from_port}-{rule.to_port}"
        if rule.to_port > rule.from_port
        else f"{name} dport {rule.from_port}"
    )


def _icmp_text(rule: Rule) -> str:
    if rule.from_port == -1:
        return "meta l4proto 1"
    code = "" if rule.to_port == -1 else f" icmp code {rule.to_port}"
    return f"icmp type {rule.from_port}{code}"


def _chain(way: str, owner: str) -> str:
    return f"{way}_{owner.replace('-', '_')}"  # nftables names have no hyphen


def _members_set(group_id: str) -> str:
    return f"members_{group_id.replace('-', '_')}"
