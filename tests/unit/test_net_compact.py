"""Fewer rules that say the same: compared, packet by packet, with the rules one by one."""

import random
import re
from ipaddress import IPv4Address, IPv4Network

import pytest

from euca_box.net.compact import compact
from euca_box.net.network import Rule, protocol_number

BASES = (0x0A000000, 0x0A000007, 0x0A010000, 0x0A090909)
MEMBERS = {"members_a": "10.0.0.7", "members_b": "10.9.9.9"}


def of(*rules: Rule) -> tuple[str, ...]:
    return compact(rules, "ip saddr", lambda group_id: f"members_{group_id}")


def tcp(low: int, high: int, cidr: str = "0.0.0.0/0") -> Rule:
    return Rule("tcp", low, high, cidr=cidr)


def test_ports_of_one_network_are_one_rule() -> None:
    assert of(tcp(22, 22), tcp(80, 90), tcp(85, 99), tcp(100, 100)) == ("tcp dport { 22, 80-100 } accept",)


def test_networks_of_one_port_are_one_rule() -> None:
    assert of(tcp(22, 22, "10.0.0.0/9"), tcp(22, 22, "10.128.0.0/9"), tcp(22, 22, "192.168.0.0/16")) == (
        "ip saddr { 10.0.0.0/8, 192.168.0.0/16 } tcp dport 22 accept",
    )


def test_everybody_makes_others_superfluous() -> None:
    assert of(tcp(22, 22, "10.0.0.0/8"), tcp(22, 22), Rule("tcp", 22, 22, group_id="a")) == (
        "tcp dport 22 accept",
    )


def test_a_hundred_pairs_are_one_rule_and_what_overlaps_is_beside_it() -> None:
    pairs = [tcp(1000 + n, 1000 + n, f"10.0.{n}.0/24") for n in range(100)]
    found = of(*pairs, tcp(900, 1100, "10.0.5.0/28"))

    assert len(found) == 2
    assert "ip saddr 10.0.5.0/28 tcp dport 900-1100 accept" in found or any(
        "10.0.5.0/28 . 900-1100" in line for line in found
    )


def accepts(line: str, source: str, protocol: int, port: int) -> bool:
    """What nftables makes of one rule of ours."""
    words = line.removesuffix("accept").strip()
    if pairs := re.fullmatch(r"ip saddr \. (tcp|udp) dport \{ (.*) \}", words):
        wanted = protocol == {"tcp": 6, "udp": 17}[pairs[1]]
        split = [item.split(" . ") for item in pairs[2].split(", ")]
        return wanted and any(_in(source, net) and _within(port, ports) for net, ports in split)
    if peer := re.match(r"ip saddr (@\w+|\{ [^}]* \}|\S+)", words):
        listed = peer[1].strip("{ }").split(", ")
        if not any(MEMBERS[p[1:]] == source if p[0] == "@" else _in(source, p) for p in listed):
            return False
        words = words[peer.end() :].strip()
    if not words:
        return True
    if found := re.fullmatch(r"meta l4proto (\d+)", words):
        return protocol == int(found[1])
    found = re.fullmatch(r"(tcp|udp) dport (.*)", words)
    assert found, line
    right = protocol == {"tcp": 6, "udp": 17}[found[1]]
    return right and any(_within(port, r) for r in found[2].strip("{ }").split(", "))


def _in(address: str, network: str) -> bool:
    return IPv4Address(address) in IPv4Network(network)


def _within(port: int, text: str) -> bool:
    low, _, high = text.partition("-")
    return int(low) <= port <= int(high or low)


def one_by_one(rule: Rule, source: str, protocol: int, port: int) -> bool:
    if rule.group_id is not None and MEMBERS[f"members_{rule.group_id}"] != source:
        return False
    if rule.cidr is not None and not _in(source, rule.cidr):
        return False
    number = protocol_number(rule.protocol)
    return number == -1 or (
        number == protocol
        and (number == 47 or rule.from_port == -1 or rule.from_port <= port <= rule.to_port)
    )


@pytest.mark.parametrize("seed", range(30))
def test_many_rules_say_the_same_in_fewer(seed: int) -> None:
    chance = random.Random(seed)
    rules, lows = [], (0, 22, 80, 443, 1000, 65535)
    for _ in range(chance.randrange(1, 40)):
        low = chance.choice(lows)
        base, bits = chance.choice(BASES), chance.choice((0, 8, 16, 24, 32))
        networks = {"cidr": str(IPv4Network((base, bits), strict=False))}
        peer = chance.choice(({"group_id": "a"}, {"group_id": "b"}, networks, networks, networks))
        protocol = chance.choice(("tcp", "tcp", "udp", "-1" if chance.random() < 0.05 else "tcp", "47"))
        ports = (-1, -1) if chance.random() < 0.05 else (low, min(65535, low + chance.choice((0, 1, 60))))
        rules.append(Rule(protocol, *ports, **peer))  # type: ignore[arg-type]
    lines = of(*rules)

    assert len(lines) <= len(rules)
    for _ in range(400):
        source = chance.choice(("10.0.0.7", "10.0.0.1", "10.1.0.1", "10.9.9.9", "11.0.0.1"))
        packet = source, chance.choice((6, 17, 47)), chance.choice((0, 22, 23, 80, 100, 443, 1000, 65535))
        assert any(accepts(line, *packet) for line in lines) is any(one_by_one(r, *packet) for r in rules), (
            packet
        )
