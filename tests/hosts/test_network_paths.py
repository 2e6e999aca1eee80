"""Which way packets go on an EDGE host: groups, public addresses, the host's own services.

All of it twice, with br_netfilter calling iptables for bridged frames and without.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from euca_box.net.network import Rule

from .lab import API_PORT, GATEWAY, METADATA_PORT, OTHER_SG, SG, Guest, Lab, group, tcp

pytestmark = pytest.mark.net
PUBLIC, OTHER_PUBLIC = "172.30.0.10", "172.30.0.11"
PING = Rule("icmp", -1, -1, cidr="0.0.0.0/0")


class Street:
    """Guests a and b in one group, c in another; all listen on tcp and udp 80."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.host, self.outside = lab, lab.host, lab.outside
        self.a, self.b, self.c = lab.given_guest(1), lab.given_guest(2), lab.given_guest(3, OTHER_SG)
        for guest in (self.a, self.b, self.c):
            guest.serve(80)
            guest.serve(80, "udp")
        self.host.serve(METADATA_PORT)
        self.host.serve(API_PORT)
        self.host.serve(22)
        self.outside.serve(9000)

    def given_groups(self, *groups: object) -> None:
        self.lab.call("set_groups", list(groups))


@pytest.fixture(scope="module", params=["0", "1"], ids=["bridge-nf off", "bridge-nf on"])
def street(request: pytest.FixtureRequest) -> Iterator[Street]:
    lab = Lab()
    try:
        if Path("/proc/sys/net/bridge").exists():
            lab.host.run("sysctl", "-qw", f"net.bridge.bridge-nf-call-iptables={request.param}")
        elif request.param == "1":
            pytest.skip("br_netfilter is not loaded")
        yield Street(lab)
    finally:
        lab.end()


@pytest.fixture(autouse=True)
def _nothing_assigned(street: Street) -> Iterator[None]:
    yield
    for public_ip in street.lab.call("public_addresses"):
        street.lab.call("unassign_public", public_ip)


def test_without_a_rule_nobody_gets_in(street: Street) -> None:
    street.given_groups(group(), group(OTHER_SG))

    assert street.a.dial(street.b.address, 80) == "none"
    assert street.c.dial(street.b.address, 80, "udp") == "none"
    assert not street.a.pings(street.b.address)
    assert street.host.dial(street.b.address, 80) == "none"


def test_a_port_is_open_to_a_cidr_and_no_other_port_is(street: Street) -> None:
    street.given_groups(group(SG, tcp(80, f"{street.c.address}/32")), group(OTHER_SG))

    assert street.c.dial(street.b.address, 80) == street.c.address
    assert street.a.dial(street.b.address, 80) == "none"
    assert street.c.dial(street.b.address, 80, "udp") == "none"
    assert not street.c.pings(street.b.address)


def test_a_group_is_open_to_another_group(street: Street) -> None:
    street.given_groups(group(SG, tcp(80, group_id=OTHER_SG)), group(OTHER_SG))

    assert street.c.dial(street.a.address, 80) == street.c.address
    assert street.b.dial(street.a.address, 80) == "none"
    assert street.a.dial(street.c.address, 80) == "none"


@pytest.mark.parametrize(
    ("rule", "tcp_answers", "udp_answers", "ping_answers"),
    [
        (Rule("-1", -1, -1, cidr="0.0.0.0/0"), True, True, True),
        (Rule("tcp", 0, 65535, cidr="172.31.0.0/16"), True, False, False),
        (Rule("6", 79, 81, cidr="0.0.0.0/0"), True, False, False),
        (Rule("udp", 80, 80, cidr="0.0.0.0/0"), False, True, False),
        (Rule("icmp", 8, -1, cidr="0.0.0.0/0"), False, False, True),
        (Rule("icmp", 8, 0, cidr="0.0.0.0/0"), False, False, True),
        (Rule("icmp", 0, -1, cidr="0.0.0.0/0"), False, False, False),
        (Rule("47", -1, -1, cidr="0.0.0.0/0"), False, False, False),
    ],
)
def test_each_kind_of_rule_lets_in_what_it_names(
    street: Street, rule: Rule, tcp_answers: bool, udp_answers: bool, ping_answers: bool
) -> None:
    street.given_groups(group(SG, rule), group(OTHER_SG))

    assert (street.a.dial(street.b.address, 80) != "none") is tcp_answers
    assert (street.a.dial(street.b.address, 80, "udp") != "none") is udp_answers
    assert street.a.pings(street.b.address) is ping_answers


def test_many_rules_of_many_networks_and_ports_hold_each_for_itself(street: Street) -> None:
    """Sets of pairs, of ports and of networks in the kernel, in both directions."""
    pairs = [tcp(1000 + n, f"10.{n}.0.0/16") for n in range(100)]
    mine = f"{street.c.address}/32"
    ingress = (*pairs, tcp(80, mine), tcp(81, mine), tcp(443, mine), Rule("udp", 53, 60, cidr="10.0.0.0/8"))
    egress = (*(tcp(2000 + n, f"10.{n}.0.0/16") for n in range(100)), tcp(80, f"{street.a.address}/32"))
    street.given_groups(group(SG, *ingress), group(OTHER_SG, egress=egress))

    assert street.c.dial(street.a.address, 80) == street.c.address
    assert street.b.dial(street.a.address, 80) == "none"
    assert street.c.dial(street.b.address, 80) == "none"  # its egress names a alone
    assert street.c.dial(street.a.address, 80, "udp") == "none"

    street.given_groups(group(SG, *ingress[:-4], *ingress[-3:]), group(OTHER_SG, egress=egress))
    assert street.c.dial(street.a.address, 80) == "none"


def test_egress_rules_hold_back(street: Street) -> None:
    street.given_groups(group(SG, tcp(80)), group(OTHER_SG, egress=(tcp(80, group_id=SG),)))
    assert street.c.dial(street.a.address, 80) == street.c.address
    assert street.c.dial("198.51.100.2", 9000) == "none"

    street.given_groups(group(SG, tcp(80)), group(OTHER_SG, egress=()))
    assert street.c.dial(street.a.address, 80) == "none"
    assert street.c.dial("169.254.169.254", 80) == street.c.address


def test_egress_is_judged_by_the_address_that_was_dialled(street: Street) -> None:
    street.lab.call("assign_public", PUBLIC, street.a.address)
    only_public = (tcp(80, f"{PUBLIC}/32"),)
    street.given_groups(group(SG, tcp(80)), group(OTHER_SG, egress=only_public))

    assert street.c.dial(PUBLIC, 80) != "none"
    assert street.c.dial(street.a.address, 80) == "none"


def test_a_change_of_rules_counts_at_once_and_cuts_nothing(street: Street) -> None:
    street.given_groups(group(SG, tcp(80)), group(OTHER_SG))
    held = street.a.hold(street.b.address, 80)
    assert held.ask() == street.a.address

    street.given_groups(group(SG), group(OTHER_SG))

    assert street.a.dial(street.b.address, 80) == "none"
    assert held.ask() == street.a.address


def test_an_instance_changes_its_groups_live(street: Street) -> None:
    street.given_groups(group(SG), group(OTHER_SG, tcp(80)))
    assert street.a.dial(street.b.address, 80) == "none"
    held = street.a.hold(street.c.address, 80)
    assert held.ask() == street.a.address

    street.lab.call("plug", replace(street.b.port, group_ids=(SG, OTHER_SG)))
    street.lab.call("plug", replace(street.c.port, group_ids=(SG,)))
    try:
        assert street.a.dial(street.b.address, 80) == street.a.address
        assert street.a.dial(street.c.address, 80) == "none"
        assert held.ask() == street.a.address
    finally:
        street.lab.call("plug", street.b.port)
        street.lab.call("plug", street.c.port)
    assert street.a.dial(street.b.address, 80) == "none"


def test_guests_reach_only_the_named_services_of_the_host(street: Street) -> None:
    street.given_groups(group(SG), group(OTHER_SG))

    assert street.a.dial(GATEWAY, API_PORT) == street.a.address
    assert street.a.dial("169.254.169.254", 80) == street.a.address
    for port in (22, METADATA_PORT, 80):
        assert street.a.dial(GATEWAY, port) == "none"
    for address in ("198.51.100.1", "169.254.169.254"):
        assert street.a.dial(address, 22) == "none"
    assert not street.a.pings(GATEWAY)


def test_the_metadata_address_answers_where_the_guest_thinks_it_is_on_its_link(street: Street) -> None:
    street.a.ip("route", "add", "169.254.0.0/16", "dev", "eth0")
    try:
        assert street.a.dial("169.254.169.254", 80) == street.a.address
    finally:
        street.a.ip("route", "del", "169.254.0.0/16", "dev", "eth0")


def test_guests_reach_the_outside_under_the_hosts_address(street: Street) -> None:
    street.given_groups(group(SG), group(OTHER_SG))

    assert street.a.dial("198.51.100.2", 9000) == "198.51.100.1"


def test_the_outside_cannot_reach_a_private_address_even_with_a_route(street: Street) -> None:
    street.given_groups(group(SG, tcp(80), PING), group(OTHER_SG))
    street.outside.ip("route", "replace", str(street.lab.settings.subnet), "via", "198.51.100.1")

    assert street.outside.dial(street.a.address, 80) == "none"
    assert not street.outside.pings(street.a.address)


def test_a_public_address_reaches_its_instance_from_everywhere_and_obeys_groups(street: Street) -> None:
    street.lab.call("assign_public", PUBLIC, street.b.address)
    street.outside.ip("route", "replace", "172.30.0.0/24", "via", "198.51.100.1")

    street.given_groups(group(SG, tcp(80)), group(OTHER_SG))
    assert street.outside.dial(PUBLIC, 80) == "198.51.100.2"
    assert street.host.dial(PUBLIC, 80) == str(GATEWAY)
    assert street.a.dial(PUBLIC, 80) == str(GATEWAY)
    assert street.b.dial(PUBLIC, 80) == PUBLIC

    street.given_groups(group(SG), group(OTHER_SG))
    for place in (street.outside, street.host, street.a, street.b):
        assert place.dial(PUBLIC, 80) == "none"


def test_the_host_reaches_a_public_address_without_a_default_route(street: Street) -> None:
    street.given_groups(group(SG, tcp(80)), group(OTHER_SG))
    assert "default" not in street.host.ip("route")

    street.lab.call("assign_public", PUBLIC, street.b.address)

    assert street.host.dial(PUBLIC, 80) == str(GATEWAY)


def test_between_public_addresses_the_caller_is_seen_by_its_own(street: Street) -> None:
    street.lab.call("assign_public", PUBLIC, street.a.address)
    street.lab.call("assign_public", OTHER_PUBLIC, street.b.address)
    street.given_groups(group(SG, tcp(80, f"{PUBLIC}/32")), group(OTHER_SG))

    assert street.a.dial(OTHER_PUBLIC, 80) == PUBLIC
    assert street.a.dial(street.b.address, 80) == "none"


def test_a_public_address_moves_and_goes(street: Street) -> None:
    street.given_groups(group(SG, tcp(80)), group(OTHER_SG))
    street.lab.call("assign_public", PUBLIC, street.a.address)
    held = street.host.hold(PUBLIC, 80)
    assert held.ask() == str(GATEWAY)

    street.lab.call("assign_public", PUBLIC, street.c.address)
    assert street.host.dial(PUBLIC, 80) == "none"
    assert held.ask() == "none"
    street.lab.call("assign_public", OTHER_PUBLIC, street.c.address)
    assert street.lab.call("public_addresses") == {OTHER_PUBLIC: street.c.address}

    street.lab.call("unassign_public", OTHER_PUBLIC)
    assert street.lab.call("public_addresses") == {}
    assert OTHER_PUBLIC not in street.host.ip("route")


def test_guests_know_only_the_hosts_mac(street: Street) -> None:
    street.given_groups(group(SG, tcp(80)), group(OTHER_SG))
    street.a.dial(street.b.address, 80)

    assert street.b.port.mac not in street.a.ip("neigh")


def test_on_a_rack_an_instance_leaves_under_its_public_address(rack_lab: Lab) -> None:
    guest: Guest = rack_lab.given_guest(1)
    rack_lab.call("set_groups", [group(SG, tcp(80))])
    rack_lab.outside.serve(9000)
    guest.serve(80)

    rack_lab.call("assign_public", "198.51.100.77", guest.address)
    # The kernel answers ARP for a neighbour's address after up to 0.8 s (proxy_delay of the uplink, which
    # is not ours to set): the first packets may wait.
    rack_lab.outside.pings("198.51.100.77")
    guest.dial("198.51.100.2", 9000)

    assert guest.dial("198.51.100.2", 9000) == "198.51.100.77"
    assert rack_lab.outside.dial("198.51.100.77", 80) == "198.51.100.2"
    assert rack_lab.host.dial("198.51.100.77", 80) == str(GATEWAY)

    rack_lab.call("unassign_public", "198.51.100.77")
    rack_lab.outside.ip("neigh", "flush", "dev", "up0")
    assert rack_lab.outside.dial("198.51.100.77", 80) == "none"
    assert guest.dial("198.51.100.2", 9000) == "198.51.100.1"
