"""Placement policies: which of the nodes with room an instance goes to."""

import pytest

from euca_box.model.placement import POLICIES, Offer, policy_named


def offer(node, instances=0, memory=1000, awake=True):
    return Offer(node, awake, 4.0, memory, 10, instances)


def chosen(policy, offers, last=""):
    return POLICIES[policy](offers, last).node


def test_greedy_takes_the_first_that_is_awake():
    assert chosen("GREEDY", [offer("a", awake=False), offer("b", 9), offer("c")]) == "b"


def test_greedy_wakes_the_first_when_all_sleep():
    assert chosen("GREEDY", [offer("a", awake=False), offer("b", awake=False)]) == "a"


def test_round_robin_takes_the_next_and_begins_again():
    offers = [offer("b"), offer("a"), offer("c")]
    turns, last = [], ""
    for _ in range(4):
        last = chosen("ROUNDROBIN", offers, last)
        turns.append(last)
    assert turns == ["a", "b", "c", "a"]


def test_round_robin_does_not_wake_while_another_is_awake():
    assert chosen("ROUNDROBIN", [offer("a"), offer("b", awake=False)], last="a") == "a"


def test_spread_takes_the_one_with_the_fewest_then_the_most_memory():
    assert chosen("SPREAD", [offer("a", 2), offer("b", 1, 500), offer("c", 1, 900)]) == "c"


def test_power_save_fills_what_is_in_use_before_an_empty_one():
    assert chosen("POWERSAVE", [offer("a", 0), offer("b", 3, 400), offer("c", 2, 900)]) == "b"


def test_power_save_takes_an_empty_one_that_is_awake_before_it_wakes_one():
    assert chosen("POWERSAVE", [offer("a", awake=False), offer("b", 0)]) == "b"


def test_a_policy_of_another_package_is_found_by_its_name(monkeypatch, tmp_path):
    """The way of docs/operator-guide.md: an entry point in the group euca_box.placement."""
    (tmp_path / "rack_policy.py").write_text(
        "def last_rack(offers, last):\n    return max(offers, key=lambda offer: offer.node)\n"
    )
    info = tmp_path / "rack_policy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rack-policy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[euca_box.placement]\nlast-rack = rack_policy:last_rack\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert policy_named("last-rack")([offer("a"), offer("z")], "").node == "z"


def test_a_policy_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="CLEVER is no placement policy; there are GREEDY, ROUNDROBIN"):
        policy_named("CLEVER")
