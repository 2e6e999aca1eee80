"""The modes SYSTEM and STATIC: guests beside the site's machines on a bridge that is not ours."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from euca_box.net.network import NetError, Port

from .frames import BROADCAST, MARK, arp, ether, ip_udp
from .lab import Guest, Lab, group, port_of
from .test_network_life import lease_of, rules_of

pytestmark = pytest.mark.net
SITE = IPv4Network("198.51.100.0/24")


def site_lab(mode: str) -> Lab:
    """The host's br0 has the interface to the site's LAN; the other machine there serves DHCP in SYSTEM."""
    lab = Lab(
        prepare=False,
        mode=mode,
        bridge="br0",
        subnet=SITE,
        gateway=IPv4Address("198.51.100.2"),
        dns=("9.9.9.9",),
    )
    lab.host.ip("link", "add", "br0", "type", "bridge")
    lab.host.ip("addr", "flush", "dev", "up0")
    lab.host.ip("link", "set", "up0", "master", "br0")
    lab.host.ip("addr", "add", "198.51.100.1/24", "dev", "br0")
    lab.host.ip("link", "set", "br0", "up")
    lab.call("prepare")
    return lab


@pytest.fixture
def system() -> Iterator[Lab]:
    lab = site_lab("SYSTEM")
    lab.outside.run(
        "dnsmasq", "--conf-file=/dev/null", "--port=0", "--interface=up0", "--bind-interfaces", "--no-ping",
        "--dhcp-range=198.51.100.50,198.51.100.60,255.255.255.0,1h", "--dhcp-option=3,198.51.100.2",
        f"--dhcp-leasefile={lab.directory}/site-leases", f"--pid-file={lab.directory}/site.pid",
    )  # fmt: skip
    yield lab
    lab.outside.run("kill", (lab.directory / "site.pid").read_text().strip())
    lab.end()


@pytest.fixture
def static() -> Iterator[Lab]:
    lab = site_lab("STATIC")
    yield lab
    lab.end()


def site_port(number: int) -> Port:
    return replace(port_of(number), private_ip="")


def mapped_port(number: int) -> Port:
    """A pair of the site's map of MACs and addresses."""
    port = replace(
        port_of(number), mac=f"52:54:00:00:00:{number:02x}", private_ip=f"198.51.100.{20 + number}"
    )
    return replace(port, hostname=f"host-{number}")


def given_guest(lab: Lab, port: Port) -> Guest:
    lab.call("plug", port)
    return lab.given_wire(port)


def with_lease(lab: Lab, guest: Guest) -> str:
    """The guest takes what DHCP gives it; the address."""
    lease = lease_of(guest, lab)
    assert lease.startswith("got 198.51.100."), lease
    address = lease.split()[1]
    guest.ip("addr", "add", address, "dev", "eth0")
    return address.partition("/")[0]


def test_the_site_gives_the_address_and_the_node_learns_it(system: Lab) -> None:
    guest = given_guest(system, site_port(1))
    assert system.call("learned") == {}

    address = with_lease(system, guest)
    system.outside.serve(9000)

    assert guest.dial("198.51.100.2", 9000) == address
    assert system.call("learned") == {guest.port.instance_id: address}
    system.call("plug", site_port(2))
    assert system.call("learned") == {guest.port.instance_id: address}
    system.kill_agent()
    system.start_agent()
    system.call("prepare")
    assert system.call("learned") == {guest.port.instance_id: address}
    assert system.call("ports") == [guest.port, site_port(2)]


def test_guests_of_the_site_reach_each_other(system: Lab) -> None:
    a, b = given_guest(system, site_port(1)), given_guest(system, site_port(2))
    address, other = with_lease(system, a), with_lease(system, b)
    b.serve(80)

    assert a.dial(other, 80) == address


@pytest.mark.parametrize("mode", ["SYSTEM", "STATIC"])
def test_forged_frames_do_not_reach_the_site(mode: str) -> None:
    lab = site_lab(mode)
    try:
        port = site_port(1) if mode == "SYSTEM" else mapped_port(1)
        guest = given_guest(lab, port)
        address = port.private_ip or "198.51.100.51"
        honest = ip_udp(address, "198.51.100.255", (1000, 1000))
        forged = {
            "source MAC": ether("d0:0d:99:99:99:99", BROADCAST, 0x0800, honest),
            "DHCP server": ether(port.mac, BROADCAST, 0x0800, ip_udp(address, "255.255.255.255", (67, 68))),
            "VLAN": ether(port.mac, BROADCAST, 0x8100, b"\x00\x05\x08\x00" + honest),
            "router advertisement": ether(
                port.mac,
                BROADCAST,
                0x86DD,
                bytes.fromhex("6000000000103aff") + bytes(32) + b"\x86\0\0\0" + MARK,
            ),
        }
        if mode == "STATIC":
            other = ip_udp("198.51.100.99", "198.51.100.255", (1000, 1000))
            forged["source address"] = ether(port.mac, BROADCAST, 0x0800, other)
        counted = lab.outside.count(MARK, "up0")
        guest.send_frames(ether(port.mac, BROADCAST, 0x0800, honest))
        assert counted() == 20
        for kind, frame in forged.items():
            counted = lab.outside.count(MARK, "up0", 0.4)
            guest.send_frames(frame)
            assert counted() == 0, kind
        claim = arp(2, ("d0:0d:99:99:99:99", "198.51.100.2"), "198.51.100.1")
        counted = lab.outside.count(claim, "up0", 0.4)
        guest.send_frames(ether(port.mac, BROADCAST, 0x0806, claim))
        assert counted() == 0
    finally:
        lab.end()


def test_a_guest_has_the_pair_of_the_map(static: Lab) -> None:
    guest = given_guest(static, mapped_port(1))

    assert lease_of(guest, static) == "got 198.51.100.21/24 router=198.51.100.2 dns=9.9.9.9 name=host-1"
    assert static.call("learned") == {guest.port.instance_id: "198.51.100.21"}
    static.call("unplug", guest.port.instance_id)
    assert static.call("ports") == []


@pytest.mark.parametrize("mode", ["SYSTEM", "STATIC"])
def test_what_these_modes_do_not_have_is_refused(mode: str) -> None:
    lab = site_lab(mode)
    try:
        lab.call("set_groups", [group()])
        assert lab.call("public_addresses") == {}
        with pytest.raises(NetError, match=f"no public addresses in mode {mode}"):
            lab.call("assign_public", "198.51.100.77", "198.51.100.21")
    finally:
        lab.end()


def test_a_bridge_that_is_not_there_is_named() -> None:
    lab = Lab(prepare=False, mode="SYSTEM", bridge="br0")
    try:
        with pytest.raises(NetError, match="there is no bridge 'br0'"):
            lab.call("prepare")
    finally:
        lab.kill_agent()
        lab.start_agent(mode="EDGE", bridge="ebr0")
        lab.end()


def test_rules_and_ports_that_others_changed_are_put_back(system: Lab) -> None:
    guest = given_guest(system, site_port(1))
    before = rules_of(system)
    assert system.call("repair") == []

    system.host.run("nft", "flush", "ruleset")
    system.host.ip("link", "set", guest.port.device, "nomaster")

    assert len(system.call("repair")) == 2
    assert rules_of(system) == before
    assert system.call("repair") == []


def test_remove_leaves_the_sites_bridge(system: Lab) -> None:
    given_guest(system, site_port(1))

    system.call("remove")

    assert "euca" not in system.host.run("nft", "list", "tables")
    links = system.host.ip("-br", "link")
    assert "br0" in links and "tab000001" not in links
