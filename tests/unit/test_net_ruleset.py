"""The guests' part of the firewall as text, and how it gets from one state to the next."""

import random
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from euca_box.net.firewall import base_ruleset
from euca_box.net.network import NetworkSettings, Port, Rule, SecurityGroup
from euca_box.net.ruleset import NetworkState, Ruleset, build_ruleset, difference

SETTINGS = NetworkSettings(
    IPv4Network("172.31.0.0/20"), IPv4Address("172.31.0.1"), Path("/nowhere"), 8775, 8773, tap_uid=1
)
A, B = "sg-0000000a", "sg-0000000b"
PORT = Port("i-00000001", "t00000001", "d0:0d:00:00:00:01", "172.31.0.5", (A,), "one")


def state_of(*ports: Port, groups: tuple[SecurityGroup, ...] = (), **public: str) -> NetworkState:
    return NetworkState({p.instance_id: p for p in ports}, {g.group_id: g for g in groups}, public)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Rule("tcp", 22, 22, cidr="0.0.0.0/0"), "tcp dport 22 accept"),
        (Rule("17", 53, 54, cidr="10.0.0.0/8"), "ip saddr 10.0.0.0/8 udp dport 53-54 accept"),
        (Rule("tcp", 0, 65535, cidr="10.1.2.3/8"), "ip saddr 10.0.0.0/8 meta l4proto 6 accept"),
        (Rule("tcp", 0, 0, cidr="0.0.0.0/0"), "tcp dport 0 accept"),
        (Rule("-1", -1, -1, cidr="0.0.0.0/0"), "accept"),
        (Rule("-1", 1, 2, group_id=B), "ip saddr @members_sg_0000000b accept"),
        (Rule("icmp", -1, -1, cidr="0.0.0.0/0"), "meta l4proto 1 accept"),
        (Rule("1", 3, 4, cidr="10.0.0.1/32"), "ip saddr 10.0.0.1/32 icmp type 3 icmp code 4 accept"),
        (Rule("icmp", 8, -1, cidr="0.0.0.0/0"), "icmp type 8 accept"),
        (Rule("50", -1, -1, cidr="0.0.0.0/0"), "meta l4proto 50 accept"),
    ],
)
def test_a_rule_reads_as_one_line(rule: Rule, text: str) -> None:
    rules = build_ruleset(state_of(groups=(SecurityGroup(A, (rule,), ()),)))

    assert rules.chains["in_sg_0000000a"] == (text,)


def test_a_port_finds_its_chains_by_its_address() -> None:
    alone = build_ruleset(state_of(PORT))
    assert alone.elements["inet", "in_of"] == {"172.31.0.5 : jump in_sg_0000000a"}

    both = replace(PORT, group_ids=(A, B))
    other = replace(both, instance_id="i-00000002", device="t00000002", private_ip="172.31.0.6")
    rules = build_ruleset(state_of(both, other))

    [one, two] = sorted(rules.elements["inet", "in_of"])
    shared = one.removeprefix("172.31.0.5 : jump ")
    assert two == f"172.31.0.6 : jump {shared}"
    assert rules.chains[shared] == ("jump in_sg_0000000a", "jump in_sg_0000000b")
    assert rules.chains["in_sg_0000000a"] == ()
    assert rules.elements["inet", "members_sg_0000000b"] == {"172.31.0.5", "172.31.0.6"}


def test_nothing_changed_is_nothing_said() -> None:
    rules = build_ruleset(state_of(PORT, groups=(SecurityGroup(A, (), ()),)))

    assert difference(SETTINGS, rules, rules) == ""


def test_one_new_port_says_nothing_about_the_others() -> None:
    before = build_ruleset(state_of(PORT))
    other = Port("i-00000002", "t00000002", "d0:0d:00:00:00:02", "172.31.0.6", (A,), "two")

    commands = difference(SETTINGS, before, build_ruleset(state_of(PORT, other)))

    assert "172.31.0.6" in commands and "172.31.0.5" not in commands and "flush" not in commands


def test_one_changed_group_rewrites_its_own_chain_only() -> None:
    other = SecurityGroup(B, (Rule("tcp", 1, 1, cidr="0.0.0.0/0"),), ())
    before = build_ruleset(
        state_of(PORT, groups=(SecurityGroup(A, (Rule("tcp", 2, 2, cidr="0.0.0.0/0"),), ()), other))
    )
    after = build_ruleset(
        state_of(PORT, groups=(SecurityGroup(A, (Rule("tcp", 3, 3, cidr="0.0.0.0/0"),), ()), other))
    )

    assert difference(SETTINGS, before, after).splitlines() == [
        "flush chain inet euca_ebr0 in_sg_0000000a",
        "add rule inet euca_ebr0 in_sg_0000000a tcp dport 3 accept",
    ]


def test_new_names_come_before_their_use_and_old_ones_go_after_it() -> None:
    full = build_ruleset(state_of(PORT, groups=(SecurityGroup(A, (Rule("-1", 0, 0, group_id=B),), ()),)))

    for commands in (
        difference(SETTINGS, Ruleset(), full),
        difference(SETTINGS, full, build_ruleset(state_of())),
    ):
        lines = commands.splitlines()
        for at, line in enumerate(lines):
            verb, kind, *rest = line.split()
            if verb == "add" and kind in ("chain", "set"):
                assert not any(rest[2] in earlier for earlier in lines[:at])
            if verb == "delete" and kind in ("chain", "set"):
                assert not any(f"{rest[2]} " in later for later in lines[at + 1 :])


def test_any_way_from_state_to_state_ends_where_it_should() -> None:
    """Applies the commands to a small model of nftables; the real one is asked in tests/hosts."""
    randomness = random.Random(7)
    current, model = Ruleset(), Model()
    for _ in range(200):
        wanted = build_ruleset(_random_state(randomness))
        model.apply(difference(SETTINGS, current, wanted))
        current = wanted
        assert model.chains == {name: list(rules) for name, rules in wanted.chains.items()}
        assert {k: v for k, v in model.elements.items() if v} == {
            k: set(v) for k, v in wanted.elements.items() if v
        }


def _random_state(randomness: random.Random) -> NetworkState:
    groups = [f"sg-0000000{digit}" for digit in range(6)]
    ports = [
        Port(
            f"i-0000000{n}",
            f"t0000000{n}",
            f"d0:0d:00:00:00:0{n}",
            f"172.31.0.{n + 5}",
            tuple(picked),
            f"h{n}",
        )
        for n in range(8)
        if randomness.random() < 0.6
        for picked in [randomness.sample(groups, randomness.randint(0, 3))]
    ]
    defined = [
        SecurityGroup(
            group_id,
            tuple(
                Rule("tcp", p, p, group_id=randomness.choice(groups)) for p in range(randomness.randint(0, 3))
            ),
            tuple(Rule("-1", -1, -1, cidr="0.0.0.0/0") for _ in range(randomness.randint(0, 1))),
        )
        for group_id in randomness.sample(groups, randomness.randint(0, 5))
    ]
    return state_of(*ports, groups=tuple(defined))


class Model:
    """nftables as far as the commands use it; refuses what the kernel would refuse."""

    def __init__(self) -> None:
        self.chains: dict[str, list[str]] = {}
        self.elements: dict[tuple[str, str], set[str]] = {}

    def apply(self, commands: str) -> None:
        for line in commands.splitlines():
            verb, kind, family, _, name, *rest = line.split(maxsplit=5)
            getattr(self, f"_{verb}_{kind}")(family, name, rest[0] if rest else "")

    def _add_chain(self, _family: str, name: str, _: str) -> None:
        self.chains[name] = []

    def _flush_chain(self, _family: str, name: str, _: str) -> None:
        self.chains[name].clear()

    def _delete_chain(self, _family: str, name: str, _: str) -> None:
        used = [rule for rules in (*self.chains.values(), *self.elements.values()) for rule in rules]
        assert not self.chains.pop(name) and not any(text.endswith(f"jump {name}") for text in used)

    def _add_rule(self, _family: str, name: str, rule: str) -> None:
        self.chains[name].append(rule)

    def _add_set(self, family: str, name: str, _: str) -> None:
        self.elements[family, name] = set()

    def _delete_set(self, family: str, name: str, _: str) -> None:
        assert not any(f"@{name} " in rule for rules in self.chains.values() for rule in rules)
        del self.elements[family, name]

    def _add_element(self, family: str, name: str, listed: str) -> None:
        self.elements.setdefault((family, name), set()).update(listed.strip("{ }").split(", "))

    def _delete_element(self, family: str, name: str, listed: str) -> None:
        gone = set(listed.strip("{ }").split(", "))
        assert gone <= self.elements[family, name]
        self.elements[family, name] -= gone


def test_the_base_ruleset_names_only_our_own_tables_and_devices() -> None:
    text = base_ruleset(replace(SETTINGS, bridge="ebr7", uplink="wlan0"))

    tables = {line.split()[-1] for line in text.splitlines() if line.startswith("delete table")}
    assert tables == {"euca_ebr7"}
    assert 'oifname "wlan0" snat ip to ip saddr map @public_of' in text
    assert "flush ruleset" not in text and "uplink" not in base_ruleset(SETTINGS)
