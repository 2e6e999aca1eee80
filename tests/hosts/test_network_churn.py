"""Change upon change, restarts and kills, with traffic: what is allowed before and after never breaks."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from .lab import OTHER_SG, SG, Guest, Held, Lab, group, port_of, tcp

pytestmark = pytest.mark.net
PUBLIC, OTHER_PUBLIC = "172.30.0.10", "172.30.0.11"
CHANGES_PER_SECOND, SECONDS = 6, 60
LIVE_SECONDS = 0.2


@dataclass
class Watched:
    """Connections that are used all the time; what went wrong, and the longest pause."""

    wrong: list[str] = field(default_factory=list)
    asked: int = 0
    longest: float = 0.0


@contextmanager
def watched(flows: dict[str, tuple[Held, str]]) -> Iterator[Watched]:
    """`flows`: name -> the connection, and the address that its server sees."""
    found, stop = Watched(), threading.Event()

    def use() -> None:
        last = time.monotonic()
        while not stop.wait(0.02):
            for name, (held, address) in flows.items():
                if (answer := held.ask()) != address:
                    found.wrong.append(f"{name}: {answer}")
            now = time.monotonic()
            found.longest, last = max(found.longest, now - last), now
            found.asked += 1

    thread = threading.Thread(target=use)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


@dataclass
class Town:
    lab: Lab
    a: Guest
    b: Guest

    def flows(self) -> dict[str, tuple[Held, str]]:
        lab = self.lab
        return {
            "between guests": (self.a.hold(self.b.address, 80), self.a.address),
            "from the host by a public address": (lab.host.hold(PUBLIC, 80), "172.31.0.1"),
            "from a guest by a public address": (self.a.hold(PUBLIC, 80), "172.31.0.1"),
            "to the outside": (self.a.hold("198.51.100.2", 9000), "198.51.100.1"),
        }


@pytest.fixture
def town(lab: Lab) -> Town:
    lab.call("set_groups", [group(SG, tcp(80)), group(OTHER_SG)])
    a, b = lab.given_guest(1), lab.given_guest(2)
    b.serve(80)
    lab.outside.serve(9000)
    lab.call("assign_public", PUBLIC, b.address)
    return Town(lab, a, b)


def test_six_changes_a_second_for_a_minute_break_no_allowed_connection(town: Town) -> None:
    lab, took = town.lab, list[float]()
    with watched(town.flows()) as found:
        begin = time.monotonic()
        for number in range(CHANGES_PER_SECOND * SECONDS):
            rules = [tcp(1000 + n) for n in range(number % 7)]
            match number % 6:
                case 0:
                    lab.call("set_groups", [group(SG, tcp(80), *rules), group(OTHER_SG, *rules)])
                case 1:
                    lab.call("plug", port_of(9, OTHER_SG))
                case 2:
                    lab.call("assign_public", OTHER_PUBLIC, port_of(9).private_ip)
                case 3:
                    lab.call("plug", port_of(9, OTHER_SG, SG))
                case 4:
                    lab.call("unplug", port_of(9).instance_id)
                case 5:
                    lab.call("set_groups", [group(SG, *rules, tcp(80)), group(OTHER_SG)])
            took.append(lab.last_seconds)
            time.sleep(max(0.0, begin + (number + 1) / CHANGES_PER_SECOND - time.monotonic()))

    assert found.wrong == []
    assert found.asked > SECONDS
    assert sorted(took)[int(len(took) * 0.95)] < LIVE_SECONDS
    assert lab.call("repair") == []


def test_traffic_never_stops_while_the_process_is_killed_and_started(town: Town) -> None:
    with watched(town.flows()) as found:
        for _ in range(3):
            town.lab.kill_agent()
            assert town.a.dial(town.b.address, 80) == town.a.address
            town.lab.start_agent()
            town.lab.call("prepare")
            assert town.a.dial(town.b.address, 80) == town.a.address
            assert town.a.dial(town.b.address, 81) == "none"

    assert found.wrong == [] and found.asked > 10


def test_a_kill_in_the_middle_of_a_change_leaves_whole_rules(town: Town) -> None:
    """The old or the new, never half: a change is one transaction; the next start makes what was saved."""
    lab = town.lab
    with watched(town.flows()) as found:
        for number in range(5):
            many = tuple(tcp(2000 + n) for n in range(150 + number))
            killer = threading.Timer(0.01 * number, lab.agent.kill)  # type: ignore[union-attr]
            killer.start()
            with suppress(EOFError, BrokenPipeError):
                lab.call("set_groups", [group(SG, tcp(80), *many), group(OTHER_SG)])
            killer.join()
            lab.kill_agent()
            chain = lab.host.run("nft", "list", "chain", "inet", "euca_ebr0", "in_sg_000000aa")
            ports = [f"{{ 80, 2000-{2149 + n} }}" for n in range(number + 1)]
            [rule] = [line for line in chain.splitlines() if "accept" in line]
            assert any(f"tcp dport {whole} accept" in rule for whole in ("80", *ports)), rule
            lab.start_agent()
            lab.call("prepare")
    assert found.wrong == []


def test_a_revoked_rule_counts_within_200_ms_for_new_connections_and_old_ones_live(town: Town) -> None:
    lab = town.lab
    held = town.a.hold(town.b.address, 80)
    assert held.ask() == town.a.address

    lab.call("set_groups", [group(SG), group(OTHER_SG)])
    assert lab.last_seconds < LIVE_SECONDS
    assert town.a.dial(town.b.address, 80) == "none"
    lab.call("set_groups", [group(SG, tcp(80)), group(OTHER_SG)])
    assert lab.last_seconds < LIVE_SECONDS

    assert town.a.dial(town.b.address, 80) == town.a.address
    assert held.ask() == town.a.address
