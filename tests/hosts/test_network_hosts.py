"""One network over several hosts: guests reach each other through tunnels, under the same rules."""

from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from euca_box.net.network import NetError, Rule, Tunnel
from euca_box.net.tunnels import host_mac

from .frames import MARK, ether, ip_udp, vxlan
from .lab import API_PORT, OTHER_SG, SG, Lab, group, port_of, tcp
from .rack import Rack, managed_port

pytestmark = pytest.mark.net
PUBLIC = "172.30.0.10"


class Pair:
    """Guests a on the first host, b and c on the second; a and b in one group."""

    def __init__(self, mode: str, bridge_nf: str) -> None:
        self.rack = Rack(2, mode)
        for lab in self.rack.hosts:
            lab.host.run("sysctl", "-qw", f"net.bridge.bridge-nf-call-iptables={bridge_nf}", fails=True)
        self.one, self.two = self.rack.hosts
        ports = (
            [port_of(1, SG), port_of(2, SG), port_of(3, OTHER_SG)]
            if mode == "EDGE"
            else [managed_port(1, 3, SG), managed_port(2, 3, SG), managed_port(3, 4, OTHER_SG)]
        )
        self.a = self.rack.given_guest(self.one, ports[0])
        self.b = self.rack.given_guest(self.two, ports[1])
        self.c = self.rack.given_guest(self.two, ports[2])
        self.rack.tell()
        for guest in (self.a, self.b, self.c):
            guest.serve(80)


MODES = [("EDGE", "1"), ("MANAGED-NOVLAN", "1"), ("MANAGED", "1"), ("MANAGED", "0")]


@pytest.fixture(scope="module", params=MODES, ids=lambda p: f"{p[0]} bridge-nf {p[1]}")
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    pair = Pair(*request.param)
    try:
        yield pair
    finally:
        pair.rack.end()


def test_guests_of_two_hosts_reach_each_other_as_the_rules_say(pair: Pair) -> None:
    pair.rack.set_groups(group(SG, tcp(80)), group(OTHER_SG))

    assert pair.a.dial(pair.b.address, 80) == pair.a.address
    assert pair.c.dial(pair.a.address, 80) == pair.c.address
    assert pair.a.dial(pair.c.address, 80) == "none"

    pair.rack.set_groups(group(SG), group(OTHER_SG))
    assert pair.c.dial(pair.a.address, 80) == "none"
    within = pair.a.address if pair.rack.mode != "EDGE" else "none"
    assert pair.a.dial(pair.b.address, 80) == within


def test_a_group_of_another_host_is_known_by_its_members(pair: Pair) -> None:
    pair.rack.set_groups(group(SG, tcp(80, group_id=OTHER_SG)), group(OTHER_SG, tcp(80, group_id=SG)))

    assert pair.c.dial(pair.a.address, 80) == pair.c.address
    assert pair.a.dial(pair.c.address, 80) == pair.a.address


def test_a_public_address_leads_to_a_guest_of_another_host(pair: Pair) -> None:
    pair.rack.set_groups(group(SG, tcp(80)), group(OTHER_SG))
    host, port, _ = pair.rack.where[pair.a.port.instance_id]
    pair.one.call("assign_public", PUBLIC, pair.a.address)
    pair.rack.where[port.instance_id] = host, port, PUBLIC
    pair.rack.tell()

    assert pair.c.dial(PUBLIC, 80) == pair.c.address

    pair.one.call("unassign_public", PUBLIC)
    pair.rack.where[port.instance_id] = host, port, ""
    pair.rack.tell()
    assert pair.c.dial(PUBLIC, 80) == "none"


def test_the_largest_packet_that_fits_comes_whole(pair: Pair) -> None:
    pair.rack.set_groups(group(SG, Rule("-1", -1, -1, cidr="0.0.0.0/0")), group(OTHER_SG))
    ping = ("ping", "-c1", "-W1", "-n", "-M", "do", "-s")

    assert "1 received" in pair.c.run(*ping, "1422", pair.a.address)
    assert "1 received" not in pair.c.run(*ping, "1423", pair.a.address, fails=True)


def test_guests_reach_no_other_host_but_its_api(pair: Pair) -> None:
    pair.rack.set_groups(group(SG), group(OTHER_SG))
    pair.two.host.serve(API_PORT)
    pair.two.host.serve(22)

    assert pair.a.dial(pair.two.address, API_PORT) == pair.one.address
    assert pair.a.dial(pair.two.address, 22) == "none"
    assert not pair.a.pings(pair.two.address)


def test_traffic_goes_on_when_the_process_of_a_host_dies_and_the_next_adopts_it(pair: Pair) -> None:
    pair.rack.set_groups(group(SG, tcp(80)), group(OTHER_SG))
    held = pair.c.hold(pair.a.address, 80)
    assert held.ask() == pair.c.address

    pair.one.kill_agent()
    assert (held.ask(), pair.c.dial(pair.a.address, 80)) == (pair.c.address, pair.c.address)
    pair.one.start_agent()
    pair.one.call("prepare")

    assert (held.ask(), pair.c.dial(pair.a.address, 80)) == (pair.c.address, pair.c.address)


def test_a_host_is_added_and_removed_while_others_talk(pair: Pair) -> None:
    pair.rack.set_groups(group(SG, tcp(80)), group(OTHER_SG))
    held = pair.c.hold(pair.a.address, 80)
    assert held.ask() == pair.c.address

    third = pair.rack.add_host()
    port = port_of(7, SG) if pair.rack.mode == "EDGE" else managed_port(7, 3, SG)
    guest = pair.rack.given_guest(third, port)
    third.call("set_groups", [group(SG, tcp(80)), group(OTHER_SG)])
    pair.rack.tell()
    assert guest.dial(pair.a.address, 80) == guest.address
    assert guest.dial(pair.b.address, 80) == guest.address
    assert held.ask() == pair.c.address

    pair.rack.hosts.remove(third)
    pair.rack.tell()
    assert guest.dial(pair.a.address, 80) == "none"
    assert held.ask() == pair.c.address
    assert guest.address not in pair.one.host.ip("route") + pair.one.host.ip("neigh")
    third.call("set_remotes", [], [])
    del pair.rack.where[port.instance_id]


def test_frames_of_a_stranger_in_the_lan_do_not_enter_the_tunnel(pair: Pair) -> None:
    """A machine of the LAN that speaks VXLAN with our number, and a guest that tries it by its host."""
    pair.rack.set_groups(group(SG, Rule("-1", -1, -1, cidr="0.0.0.0/0")), group(OTHER_SG))
    packet = ip_udp(pair.c.address, pair.a.address, (1000, 1000))
    data = vxlan(ether(host_mac(pair.two.address), host_mac(pair.one.address), 0x0800, packet))

    for sender, arrives in ((pair.rack.lan, 0), (pair.c, 0), (pair.two.host, 20)):
        counted = pair.a.count(MARK)
        sender.send_datagrams(pair.one.address, 8776, data)
        assert counted() == arrives  # of the host it comes: the frame itself is a good one


def test_what_cannot_be_is_refused(lab: Lab) -> None:
    with pytest.raises(NetError, match="no tunnel"):
        lab.call("set_remotes", ["198.51.100.9"], [])
    lab.kill_agent()
    lab.start_agent(tunnel=Tunnel(IPv4Address("198.51.100.1"), "up0"))
    lab.call("prepare")
    with pytest.raises(NetError, match="this host"):
        lab.call("set_remotes", ["198.51.100.1"], [])
