"""`euca-box doctor network`: the trace of a packet's way names the place where somebody broke it."""

import os
import signal
import time

import pytest

from euca_box.model.traces import BAD, NOTE
from euca_box.net.network import NetError

from .lab import SG, Lab, group, port_of, tcp
from .test_network_life import dnsmasq_pid, is_running, lease_of

pytestmark = pytest.mark.net
PUBLIC = "172.30.0.10"


def stops(lab: Lab, instance_id: str | None) -> dict[str, str]:
    """What is bad, and the command that is advised."""
    return {step.what: step.command for step in lab.call("trace", instance_id) if step.state == BAD}


def test_a_good_way_is_good_all_along(lab: Lab) -> None:
    lab.call("set_groups", [group(SG, tcp(22))])
    guest = lab.given_unconfigured_guest(1)
    assert lease_of(guest, lab)
    lab.call("assign_public", PUBLIC, guest.address)

    steps = lab.call("trace", guest.port.instance_id)

    assert not [step for step in steps if step.state == BAD]
    told = {step.what: step.detail for step in steps}
    assert told["its groups let in"] == "tcp 22 from 0.0.0.0/0"
    assert told["the guest has asked DHCP"] == "it has"
    assert f"{PUBLIC} is translated to {guest.address}" in told
    assert not stops(lab, None)


@pytest.mark.parametrize(
    ("breakage", "words"),
    [
        ("sysctl -qw net.ipv4.ip_forward=0", "forwards IPv4"),
        ("nft delete table inet euca_ebr0", "our table inet"),
        ("nft delete table bridge euca_ebr0", "our table bridge"),
        ("nft delete element inet euca_ebr0 in_of { 172.31.1.1 }", "its ingress"),
        ("nft delete element inet euca_ebr0 out_of { 172.31.1.1 }", "its egress"),
        ("nft delete element inet euca_ebr0 private_of { 172.30.0.10 }", "is translated"),
        ("nft delete element bridge euca_ebr0 mac { tab000001 . d0:0d:ab:00:00:01 }", "with its MAC"),
        ("nft delete element bridge euca_ebr0 ip4 { tab000001 . d0:0d:ab:00:00:01 . 172.31.1.1 }", "address"),
        ("ip link set ebr0 down", "bridge ebr0 is up"),
        ("ip link set tab000001 nomaster", "guarded port"),
        ("bridge link set dev tab000001 isolated off", "guarded port"),
        ("ip link del tab000001", "is there"),
    ],
)
def test_the_place_where_it_stops_is_named_with_a_command(lab: Lab, breakage: str, words: str) -> None:
    lab.call("set_groups", [group(SG, tcp(22))])
    guest = lab.given_guest(1)
    lab.call("assign_public", PUBLIC, guest.address)
    assert not stops(lab, guest.port.instance_id)

    lab.host.run("sh", "-c", f"exec {breakage}" if "{" not in breakage else breakage.replace("{", "'{") + "'")
    found = stops(lab, guest.port.instance_id)

    assert any(words in what for what in found), found
    assert all(found.values())


def test_a_guest_that_is_not_there_a_dead_dhcp_server_and_a_foreign_drop_are_named(lab: Lab) -> None:
    port = port_of(1)
    lab.call("plug", port)
    killed = dnsmasq_pid(lab)
    os.kill(killed, signal.SIGKILL)
    while is_running(killed):
        time.sleep(0.01)
    drop = "table inet strict { chain f { type filter hook forward priority 0; policy drop; }; }"
    lab.host.run("nft", drop)

    found = stops(lab, port.instance_id)

    assert "a guest is at tab000001" in found and "DHCP runs" in found
    [note] = [s for s in lab.call("trace", None) if s.state == NOTE]
    assert "inet table strict" in note.detail or "strict" in note.detail


def test_no_rule_is_a_note_and_an_unknown_instance_a_stop(lab: Lab) -> None:
    guest = lab.given_guest(1)
    notes = {s.what: s for s in lab.call("trace", guest.port.instance_id) if s.state == NOTE}
    assert "nothing" in notes["its groups let in"].detail

    assert list(stops(lab, "i-00000099")) == ["the instance is plugged in"]


def test_an_uplink_that_does_not_answer_is_named(rack_lab: Lab) -> None:
    guest = rack_lab.given_guest(1)
    rack_lab.call("assign_public", "198.51.100.77", guest.address)
    assert not stops(rack_lab, guest.port.instance_id)

    rack_lab.host.ip("neigh", "del", "proxy", "198.51.100.77", "dev", "up0")

    assert list(stops(rack_lab, guest.port.instance_id)) == ["198.51.100.77 is answered for on up0"]


def test_nothing_is_traced_before_the_network_is_prepared() -> None:
    lab = Lab(prepare=False)
    try:
        with pytest.raises(NetError, match="not prepared"):
            lab.call("trace", None)
    finally:
        lab.end()
