"""The modes MANAGED and MANAGED-NOVLAN on one host: a network for each group, as Eucalyptus 1.6 had them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from euca_box.net.network import NetError, Rule

from .frames import BROADCAST, MARK, arp, ether, ip_udp
from .lab import API_PORT, METADATA_PORT, OTHER_SG, SG, Guest, Lab, group, tcp
from .rack import managed_port
from .test_network_life import dnsmasq_pid, is_running, lease_of

pytestmark = pytest.mark.net
PUBLIC, OTHER_PUBLIC = "172.30.0.10", "172.30.0.11"
ALL = Rule("-1", -1, -1, cidr="0.0.0.0/0")


class Street:
    """Guests a and b of one group, c of another."""

    def __init__(self, mode: str, bridge_nf: str) -> None:
        self.lab = Lab(mode=mode)
        self.host, self.outside = self.lab.host, self.lab.outside
        if Path("/proc/sys/net/bridge").exists():
            self.host.run("sysctl", "-qw", f"net.bridge.bridge-nf-call-iptables={bridge_nf}")
        self.a, self.b, self.c = (
            self.given_guest(number, tag, sg)
            for number, tag, sg in ((1, 3, SG), (2, 3, SG), (3, 4, OTHER_SG))
        )
        for guest in (self.a, self.b, self.c):
            guest.serve(80)
        self.host.serve(METADATA_PORT)
        self.host.serve(API_PORT)
        self.host.serve(22)
        self.outside.serve(9000)

    def given_guest(self, number: int, tag: int, sg: str) -> Guest:
        port = managed_port(number, tag, sg)
        self.lab.call("plug", port)
        return self.lab.given_wire(port).configure()

    def given_groups(self, *groups: object) -> None:
        self.lab.call("set_groups", list(groups))


CASES = [(mode, nf) for mode in ("MANAGED", "MANAGED-NOVLAN") for nf in "01"]


@pytest.fixture(scope="module", params=CASES, ids=lambda p: f"{p[0]} bridge-nf {p[1]}")
def street(request: pytest.FixtureRequest) -> Iterator[Street]:
    street = Street(*request.param)
    try:
        yield street
    finally:
        street.lab.end()


@pytest.fixture(autouse=True)
def _nothing_assigned(street: Street) -> Iterator[None]:
    yield
    for public_ip in street.lab.call("public_addresses"):
        street.lab.call("unassign_public", public_ip)


def test_members_of_a_group_reach_each_other_and_nobody_else_does(street: Street) -> None:
    street.given_groups(group(), group(OTHER_SG))

    assert street.a.dial(street.b.address, 80) == street.a.address
    assert street.c.dial(street.a.address, 80) == "none"
    assert street.a.dial(street.c.address, 80) == "none"
    assert street.outside.dial(street.a.address, 80) == "none"


def test_a_group_is_opened_to_another_group_and_to_a_network(street: Street) -> None:
    street.given_groups(group(SG, tcp(80, group_id=OTHER_SG)), group(OTHER_SG))
    assert street.c.dial(street.a.address, 80) == street.c.address
    assert street.a.dial(street.c.address, 80) == "none"

    street.given_groups(group(SG), group(OTHER_SG, tcp(80, f"{street.a.address}/32")))
    assert street.a.dial(street.c.address, 80) == street.a.address
    assert street.b.dial(street.c.address, 80) == "none"


def test_public_addresses_lead_in_and_between_groups(street: Street) -> None:
    street.lab.call("assign_public", PUBLIC, street.a.address)
    street.lab.call("assign_public", OTHER_PUBLIC, street.c.address)
    street.outside.ip("route", "replace", "172.30.0.0/24", "via", "198.51.100.1")
    street.given_groups(group(SG, tcp(80)), group(OTHER_SG))

    assert street.outside.dial(PUBLIC, 80) == "198.51.100.2"
    assert street.host.dial(PUBLIC, 80) != "none"
    assert street.c.dial(PUBLIC, 80) == OTHER_PUBLIC
    assert street.b.dial(PUBLIC, 80) != "none"
    assert street.a.dial(OTHER_PUBLIC, 80) == "none"


def test_a_guest_has_metadata_the_api_and_the_outside_and_no_more_of_the_host(street: Street) -> None:
    street.given_groups(group(), group(OTHER_SG))

    for guest in (street.a, street.c):
        assert guest.dial("169.254.169.254", 80) == guest.address
        assert guest.dial("172.31.0.1", API_PORT) == guest.address
        assert guest.dial("198.51.100.2", 9000) == "198.51.100.1"
        gateway = str(guest.ip("route", "show", "default").split()[2])
        for address in ("172.31.0.1", gateway, "198.51.100.1"):
            assert guest.dial(address, 22) == "none"


def test_dhcp_gives_the_network_of_the_group(street: Street) -> None:
    port = managed_port(9, 6, SG)
    street.lab.call("plug", port)
    guest = street.lab.given_wire(port)
    try:
        assert lease_of(guest, street.lab) == (
            "got 172.31.0.139/27 router=172.31.0.129 dns=172.31.0.1 name=ip-172-31-1-9"
        )
    finally:
        street.lab.call("unplug", port.instance_id)
    links = street.host.ip("addr")
    assert "ebr0v6" not in links and "172.31.0.129" not in links


def test_the_dhcp_server_lives_through_many_networks_and_restarts(street: Street) -> None:
    """It is started again with each network that comes or goes, and once more by none of these."""
    for number in range(6):
        port = managed_port(9, 10 + number, SG)
        street.lab.call("plug", port)
        street.lab.call("unplug", port.instance_id)
    server = dnsmasq_pid(street.lab)
    street.lab.kill_agent()
    street.lab.start_agent()
    street.lab.call("prepare")
    assert dnsmasq_pid(street.lab) == server and is_running(server)
    port = managed_port(10, 7, SG)
    street.lab.call("plug", port)
    guest = street.lab.given_wire(port)
    try:
        assert "router=172.31.0.161 " in lease_of(guest, street.lab)
    finally:
        street.lab.call("unplug", port.instance_id)
    assert is_running(dnsmasq_pid(street.lab))
    assert street.lab.call("repair") == []


def test_forged_frames_do_not_pass_within_a_group(street: Street) -> None:
    street.given_groups(group(SG, ALL), group(OTHER_SG))
    a, b = street.a.port, street.b.port
    honest = ip_udp(a.private_ip, b.private_ip, (1000, 1000))
    to = b.mac if street.lab.settings.mode == "MANAGED" else gateway_mac(street)
    forged = {
        "source MAC": ether("d0:0d:99:99:99:99", to, 0x0800, honest),
        "source address": ether(a.mac, to, 0x0800, ip_udp("172.31.0.50", b.private_ip, (1000, 1000))),
        "VLAN": ether(a.mac, to, 0x8100, b"\x00\x04\x08\x00" + honest),
        "IPv6": ether(a.mac, BROADCAST, 0x86DD, bytes.fromhex("6000000000103aff") + bytes(32) + MARK),
        "DHCP server": ether(a.mac, BROADCAST, 0x0800, ip_udp(a.private_ip, "255.255.255.255", (67, 68))),
        "DHCP question": ether(a.mac, BROADCAST, 0x0800, ip_udp("0.0.0.0", "255.255.255.255", (68, 67))),
    }
    counted = street.b.count(MARK)
    street.a.send_frames(ether(a.mac, to, 0x0800, honest))
    assert counted() == 20
    for kind, frame in forged.items():
        counted = street.b.count(MARK, seconds=0.4)
        street.a.send_frames(frame)
        assert counted() == 0, kind

    claim = arp(2, (a.mac, "172.31.0.33"), b.private_ip)
    counted = street.b.count(claim, seconds=0.4)
    street.a.send_frames(ether(a.mac, BROADCAST, 0x0806, claim))
    assert counted() == 0


def test_a_group_sees_nothing_of_another(street: Street) -> None:
    street.given_groups(group(SG, ALL), group(OTHER_SG, ALL))
    c = street.c.port
    counted = street.a.count(bytes.fromhex(c.mac.replace(":", "")))
    question = arp(1, (c.mac, c.private_ip), street.a.address)
    street.c.send_frames(ether(c.mac, BROADCAST, 0x0806, question))
    assert counted() == 0


def test_the_network_is_adopted_by_the_next_process(street: Street) -> None:
    street.given_groups(group(SG, tcp(80)), group(OTHER_SG))
    held = street.c.hold(street.a.address, 80)
    assert held.ask() == street.c.address

    street.lab.kill_agent()
    street.lab.start_agent()
    street.lab.call("prepare")

    assert held.ask() == street.c.address
    assert street.lab.call("ports") == [street.a.port, street.b.port, street.c.port]
    assert street.lab.call("repair") == []


def test_a_port_without_a_network_of_its_group_is_refused(street: Street) -> None:
    good = managed_port(8, 5, SG)
    for change in ({"network": ""}, {"network": "172.31.0.0/27"}, {"network": "10.0.0.0/27"}, {"tag": 0}):
        with pytest.raises(NetError):
            street.lab.call("plug", replace(good, **change))


def gateway_mac(street: Street) -> str:
    return street.host.run("cat", "/sys/class/net/ebr0/address").strip()
