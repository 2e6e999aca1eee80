"""The rules of a group in as few nftables rules as say the same: sets of ports and of networks.

A packet that opens a connection passes the rules of its group one by one, so that a hundred ports for one
network, or one port for a hundred networks, are one rule here. What is left over, one network and one range
of ports each, goes into one set of pairs where the pairs do not overlap (which such sets refuse).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, collapse_addresses

from euca_box.net.network import LARGEST_PORT, Rule, protocol_number

Range = tuple[int, int]
ALL_PORTS: Range = (0, LARGEST_PORT)
EVERYBODY = IPv4Network("0.0.0.0/0")
_NAMES = {6: "tcp", 17: "udp"}
_FEW = 3  # rules that are not worth a set of pairs


@dataclass(frozen=True, slots=True)
class _Pair:
    """One network, one range of ports."""

    network: IPv4Network
    ports: Range

    def overlaps(self, other: "_Pair") -> bool:
        apart = self.ports[1] < other.ports[0] or other.ports[1] < self.ports[0]
        return not apart and self.network.overlaps(other.network)


def compact(rules: Iterable[Rule], peer_field: str, members_set: Callable[[str], str]) -> tuple[str, ...]:
    """`peer_field`: ip saddr, or what egress looks at. The chains only see IPv4."""
    ported: dict[int, dict[IPv4Network | str, list[Range]]] = {}
    others: dict[tuple[int, int, int], set[IPv4Network | str]] = {}
    for rule in rules:
        number, peer = protocol_number(rule.protocol), _peer(rule)
        if number in _NAMES:
            ported.setdefault(number, {}).setdefault(peer, []).append(_ports(rule))
        else:
            message = (rule.from_port, rule.to_port) if number == 1 else (-1, -1)
            others.setdefault((number, *message), set()).add(peer)
    lines: list[str] = []
    for (number, kind, code), peers in sorted(others.items()):
        lines += _for_peers(peers, _portless(number, kind, code), peer_field, members_set)
    for number, by_peer in sorted(ported.items()):
        lines += _of_protocol(number, by_peer, peer_field, members_set)
    return tuple(lines)


def _of_protocol(
    number: int,
    by_peer: dict[IPv4Network | str, list[Range]],
    peer_field: str,
    members_set: Callable[[str], str],
) -> Iterable[str]:
    by_ports: dict[tuple[Range, ...], set[IPv4Network | str]] = {}
    for peer, ranges in by_peer.items():
        by_ports.setdefault(_merged(ranges), set()).add(peer)
    single: list[_Pair] = []
    for ports, peers in sorted(by_ports.items()):
        networks = list(collapse_addresses(p for p in peers if isinstance(p, IPv4Network)))
        plain = len(ports) == 1 and len(networks) == 1 and len(peers) == 1 and networks[0] != EVERYBODY
        if plain and ports[0] != ALL_PORTS:
            single.append(_Pair(networks[0], ports[0]))
        else:
            yield from _for_peers(peers, _dport(number, ports), peer_field, members_set)
    yield from _pairs(number, single, peer_field)


def _pairs(number: int, single: list[_Pair], peer_field: str) -> Iterable[str]:
    apart: list[_Pair] = []
    for pair in single:
        if any(pair.overlaps(other) for other in apart):
            yield f"{peer_field} {_network(pair.network)} {_dport(number, (pair.ports,))} accept"
        else:
            apart.append(pair)
    if len(apart) > _FEW:
        listed = ", ".join(f"{_network(p.network)} . {_range(p.ports)}" for p in apart)
        yield f"{peer_field} . {_NAMES[number]} dport {{ {listed} }} accept"
        return
    for pair in apart:
        yield f"{peer_field} {_network(pair.network)} {_dport(number, (pair.ports,))} accept"


def _for_peers(
    peers: set[IPv4Network | str], what: str, peer_field: str, members_set: Callable[[str], str]
) -> Iterable[str]:
    """One rule for all networks, and one for each group: its members are a set already."""
    networks = list(collapse_addresses(p for p in peers if isinstance(p, IPv4Network)))
    if EVERYBODY in networks:
        yield f"{what} accept".strip()
        return
    if networks:
        texts = [_network(network) for network in networks]
        yield _joined(f"{peer_field} {_set_of(texts)}", what)
    for group_id in sorted(p for p in peers if isinstance(p, str)):
        yield _joined(f"{peer_field} @{members_set(group_id)}", what)


def _joined(*words: str) -> str:
    return " ".join(word for word in (*words, "accept") if word)


def _peer(rule: Rule) -> IPv4Network | str:
    return rule.group_id if rule.group_id is not None else IPv4Network(rule.cidr or "", strict=False)


def _ports(rule: Rule) -> Range:
    return ALL_PORTS if rule.from_port == -1 else (rule.from_port, rule.to_port)


def _merged(ranges: list[Range]) -> tuple[Range, ...]:
    """Overlapping and adjacent ones joined, in order."""
    found: list[Range] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], high)
        else:
            found.append((low, high))
    return tuple(found)


def _dport(number: int, ports: tuple[Range, ...]) -> str:
    if ports == (ALL_PORTS,):
        return f"meta l4proto {number}"
    return f"{_NAMES[number]} dport {_set_of([_range(r) for r in ports])}"


def _portless(number: int, kind: int, code: int) -> str:
    if number == -1:
        return ""
    if number == 1 and kind != -1:
        return f"icmp type {kind}" + ("" if code == -1 else f" icmp code {code}")
    return f"meta l4proto {number}"


def _set_of(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{{ {', '.join(texts)} }}"


def _range(ports: Range) -> str:
    return str(ports[0]) if ports[0] == ports[1] else f"{ports[0]}-{ports[1]}"


def _network(network: IPv4Network) -> str:
    return str(network)
