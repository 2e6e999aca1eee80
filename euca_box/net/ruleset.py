"""The part of the firewall that follows the guests.

A pure function of what is plugged, and the difference of two such.

For each group there is a set of its members' addresses and two chains of its rules; ports in several groups
share two chains that jump to these. A packet finds the chain of its guest by one map look-up, so the cost
does not grow with the number of guests, and a new port in a known group is a few elements.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Network

from euca_box.net.compact import compact
from euca_box.net.network import NetworkSettings, Port, RemotePort, SecurityGroup

_NO_GROUP = SecurityGroup("", (), ())
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


@dataclass(frozen=True, slots=True)
class _GroupText:
    """A group's rules as nftables has them, and the groups that they name."""

    group: SecurityGroup
    ingress: tuple[str, ...]
    egress: tuple[str, ...]
    named: frozenset[str]


class Texts:
    """Remembers the text of what did not change: to write 10,000 rules anew takes 0.1 s."""

    def __init__(self) -> None:
        self._texts: dict[str, _GroupText] = {}
        self._of_ports: tuple[object, object, _PortTexts] | None = None

    def of_ports(self, state: NetworkState) -> "_PortTexts":
        known = self._of_ports
        if known is None or known[0] is not state.ports or known[1] is not state.remotes:
            self._of_ports = known = state.ports, state.remotes, _texts_of_ports(state)
        return known[2]

    def of(self, group: SecurityGroup) -> _GroupText:
        known = self._texts.get(group.group_id)
        if known is None or known.group is not group:
            known = self._texts[group.group_id] = _text_of(group)
        return known

    def keep_only(self, group_ids: Iterable[str]) -> None:
        for group_id in self._texts.keys() - set(group_ids):
            del self._texts[group_id]


def _text_of(group: SecurityGroup) -> _GroupText:
    return _GroupText(
        group,
        compact(group.ingress, "ip saddr", _members_set),
        # The address that the guest dialled, as EC2 judges it, not where a public address was led.
        compact(group.egress, "ct original ip daddr", _members_set),
        frozenset(r.group_id for r in (*group.ingress, *group.egress) if r.group_id is not None),
    )


@dataclass(frozen=True, slots=True)
class _PortTexts:
    """What follows from the ports of this host and of others alone."""

    elements: Mapping[tuple[Table, str], frozenset[str]]
    chains: Mapping[str, tuple[str, ...]]
    members: Mapping[str, frozenset[str]]  # by group


def _texts_of_ports(state: NetworkState) -> _PortTexts:
    ports = state.ports.values()
    elements: dict[tuple[Table, str], frozenset[str]] = {
        ("bridge", "mac"): frozenset(f"{p.device} . {p.mac}" for p in ports),
        ("bridge", "ip4"): frozenset(f"{p.device} . {p.mac} . {p.private_ip}" for p in ports),
        ("inet", "in_of"): frozenset(f"{p.private_ip} : jump {_chain('in', _owner(p))}" for p in ports),
        ("inet", "out_of"): frozenset(f"{p.private_ip} : jump {_chain('out', _owner(p))}" for p in ports),
        ("inet", "remote_private_of"): frozenset(
            f"{r.public_ip} : {r.private_ip}" for r in state.remotes.values() if r.public_ip
        ),
        ("inet", "remote"): frozenset(r.private_ip for r in state.remotes.values()),
        ("inet", "gateways"): frozenset(str(IPv4Network(p.network)[1]) for p in ports if p.network),
    }
    chains: dict[str, tuple[str, ...]] = {}
    for port in {_owner(port): port for port in ports}.values():
        if (owner := _owner(port)) in port.group_ids:
            continue
        for way, peer_field in (("in", "ip saddr"), ("out", "ip daddr")):
            # In the MANAGED modes the members of a group reach each other (Eucalyptus 1.6).
            own = (f"{peer_field} {port.network} accept",) if port.network else ()
            jumps = tuple(f"jump {_chain(way, group_id)}" for group_id in port.group_ids)
            chains[_chain(way, owner)] = own + jumps
    members: dict[str, set[str]] = {}
    everybody: list[Port | RemotePort] = [*ports, *state.remotes.values()]
    for member in everybody:
        for group_id in member.group_ids:
            members.setdefault(group_id, set()).add(member.private_ip)
    return _PortTexts(elements, chains, {group_id: frozenset(found) for group_id, found in members.items()})


def build_ruleset(state: NetworkState, texts: Texts | None = None) -> Ruleset:
    """What the kernel should hold for this state."""
    texts = texts or Texts()
    of_ports = texts.of_ports(state)
    elements: dict[tuple[Table, str], frozenset[str]] = {
        **of_ports.elements,
        ("bridge", "guarded"): frozenset(p.device for p in state.ports.values()) | state.strangers,
        ("inet", "private_of"): frozenset(
            f"{public} : {private}" for public, private in state.public.items()
        ),
        ("inet", "public_of"): frozenset(f"{private} : {public}" for public, private in state.public.items()),
        ("inet", "hosts"): state.hosts,
        ("inet", "guest_links"): frozenset(f'"{name}"' for name in state.guest_links),
    }
    if state.trunks:
        elements["bridge", "trunks"] = frozenset(f'"{name}"' for name in state.trunks)
    chains = dict(of_ports.chains)
    for group_id, members in members_of(state, texts).items():
        elements["inet", _members_set(group_id)] = members
        group = state.groups.get(group_id)
        text = texts.of(group) if group is not None else _GroupText(_NO_GROUP, (), (), frozenset())
        chains[_chain("in", group_id)], chains[_chain("out", group_id)] = text.ingress, text.egress
    texts.keep_only(state.groups)
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
        after = new.elements.get((family, name), nothing)
        if after is not before:
            yield from _element_command("delete", family, table, name, before - after)
    for (family, name), after in new.elements.items():
        before = old.elements.get((family, name), nothing)
        if after is not before:
            yield from _element_command("add", family, table, name, after - before)
    for chain, rules in new.chains.items():
        before_rules = old.chains.get(chain, ())
        if rules is not before_rules and rules != before_rules:
            kept = len(before_rules)
            if rules[:kept] != before_rules:
                yield f"flush chain inet {table} {chain}"
                kept = 0
            for rule in rules[kept:]:
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


def members_of(state: NetworkState, texts: Texts | None = None) -> dict[str, frozenset[str]]:
    """Addresses by group: of every group that is defined, has a member here, or is named by a rule."""
    texts = texts or Texts()
    members = dict(texts.of_ports(state).members)
    for group in state.groups.values():
        for group_id in (group.group_id, *texts.of(group).named):
            members.setdefault(group_id, frozenset())
    return members


def _owner(port: Port) -> str:
    """Whose two chains judge the port: its group's, or those of all ports in the same groups."""
    if len(port.group_ids) == 1 and not port.network:
        return port.group_ids[0]
    return _name_of(port.group_ids, port.network)


@lru_cache(maxsize=4096)
def _name_of(group_ids: tuple[str, ...], network: str) -> str:
    return "all_" + hashlib.sha256(" ".join((network, *group_ids)).encode()).hexdigest()[:16]


def _chain(way: str, owner: str) -> str:
    return f"{way}_{owner.replace('-', '_')}"  # nftables names have no hyphen


def _members_set(group_id: str) -> str:
    return f"members_{group_id.replace('-', '_')}"
