"""What a hostile guest sends, with its legitimate twin.

Of the one nothing arrives, of the other everything.
"""

import struct
import subprocess
import sys
from collections.abc import Iterator

import pytest

from euca_box.net.network import Rule

from .frames import BROADCAST, MARK, arp, ether, ip_udp
from .lab import GATEWAY, HERE, METADATA_PORT, SG, SUBNET, Guest, Lab, group

pytestmark = pytest.mark.net
COUNT = 50


class Neighbours:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        lab.call("set_groups", [group(SG, Rule("-1", -1, -1, cidr="0.0.0.0/0"))])
        self.thief, self.victim = lab.given_guest(1), lab.given_guest(2)
        self.gateway_mac = self.lab.host.run("cat", "/sys/class/net/ebr0/address").strip()

    def arrived(self, frame: bytes, mark: bytes, at: str) -> int:
        """How many of COUNT frames from the thief are seen by the victim, or by the host on its bridge."""
        place, device = (self.victim, "eth0") if at == "victim" else (self.lab.host, "ebr0")
        counter = place.start(sys.executable, str(HERE / "probe.py"), "count", mark.hex(), "0.8", device)
        self.thief.send_frames(frame, COUNT)
        assert counter.stdout is not None
        return int(counter.stdout.readline())


@pytest.fixture(scope="module")
def neighbours() -> Iterator[Neighbours]:
    lab = Lab()
    try:
        yield Neighbours(lab)
    finally:
        lab.end()


def test_an_honest_packet_reaches_the_neighbour(neighbours: Neighbours) -> None:
    thief, victim = neighbours.thief.port, neighbours.victim.port
    packet = ip_udp(thief.private_ip, victim.private_ip, (1000, 1000))

    frame = ether(thief.mac, neighbours.gateway_mac, 0x0800, packet)

    assert neighbours.arrived(frame, MARK, "victim") == COUNT


@pytest.mark.parametrize(
    "trick", ["free MAC", "victim's MAC", "free address", "victim's address", "both", "gateway's"]
)
def test_a_forged_source_does_not_pass(neighbours: Neighbours, trick: str) -> None:
    thief, victim = neighbours.thief.port, neighbours.victim.port
    mac, address = {
        "free MAC": ("d0:0d:99:99:99:99", thief.private_ip),
        "victim's MAC": (victim.mac, thief.private_ip),
        "free address": (thief.mac, "172.31.9.9"),
        "victim's address": (thief.mac, victim.private_ip),
        "both": (victim.mac, victim.private_ip),
        "gateway's": (thief.mac, str(GATEWAY)),
    }[trick]

    frame = ether(mac, neighbours.gateway_mac, 0x0800, ip_udp(address, str(GATEWAY), (1000, 53)))

    assert neighbours.arrived(frame, MARK, "host") == 0


def test_frames_to_a_neighbours_mac_do_not_pass_beside_the_host(neighbours: Neighbours) -> None:
    thief, victim = neighbours.thief.port, neighbours.victim.port
    packet = ip_udp(thief.private_ip, victim.private_ip, (1000, 1000))

    assert neighbours.arrived(ether(thief.mac, victim.mac, 0x0800, packet), MARK, "victim") == 0
    assert neighbours.arrived(ether(thief.mac, BROADCAST, 0x0800, packet), MARK, "victim") == 0


@pytest.mark.parametrize("trick", ["gateway's", "victim's", "victim's, own MAC", "gratuitous"])
def test_a_forged_arp_message_does_not_pass(neighbours: Neighbours, trick: str) -> None:
    thief, victim = neighbours.thief.port, neighbours.victim.port
    message = {
        "gateway's": arp(2, (thief.mac, str(GATEWAY)), victim.private_ip),
        "victim's": arp(2, (victim.mac, victim.private_ip), str(GATEWAY)),
        "victim's, own MAC": arp(2, (thief.mac, victim.private_ip), str(GATEWAY)),
        "gratuitous": arp(1, (thief.mac, victim.private_ip), victim.private_ip),
    }[trick]
    frame = ether(thief.mac, BROADCAST, 0x0806, message)

    assert neighbours.arrived(frame, message, "host") == 0
    assert neighbours.arrived(frame, message, "victim") == 0


def test_an_honest_arp_request_reaches_the_host_alone(neighbours: Neighbours) -> None:
    thief = neighbours.thief.port
    message = arp(1, (thief.mac, thief.private_ip), str(GATEWAY))
    frame = ether(thief.mac, BROADCAST, 0x0806, message)

    assert neighbours.arrived(frame, message, "host") == COUNT
    assert neighbours.arrived(frame, message, "victim") == 0


def test_nobody_contests_a_guests_own_address(neighbours: Neighbours) -> None:
    """Proxy ARP answers for all others; an answer here would make a careful guest give its address up."""
    thief = neighbours.thief
    answer = thief.run("busybox", "arping", "-D", "-c2", "-w2", "-I", "eth0", thief.address, fails=True)
    assert "Received 0 response" in answer
    announcement = thief.run("busybox", "arping", "-U", "-c2", "-w2", "-I", "eth0", thief.address, fails=True)
    assert "reply" not in announcement


@pytest.mark.parametrize("kind", ["802.1Q", "VLAN 0", "QinQ", "IPv6", "router advertisement", "LLDP"])
def test_other_kinds_of_frames_do_not_pass(neighbours: Neighbours, kind: str) -> None:
    thief, victim = neighbours.thief.port, neighbours.victim.port
    packet = ip_udp(thief.private_ip, victim.private_ip, (1000, 1000))
    ipv6 = bytes.fromhex("6000000000103aff") + bytes(31) + b"\x01" + MARK
    ether_type, payload = {
        "802.1Q": (0x8100, struct.pack("!HH", 5, 0x0800) + packet),
        "VLAN 0": (0x8100, struct.pack("!HH", 0, 0x0800) + packet),
        "QinQ": (0x88A8, struct.pack("!HHHH", 5, 0x8100, 6, 0x0800) + packet),
        "IPv6": (0x86DD, ipv6),
        "router advertisement": (0x86DD, ipv6[:40] + b"\x86\x00\x00\x00" + MARK),
        "LLDP": (0x88CC, MARK),
    }[kind]

    for destination in (BROADCAST, neighbours.gateway_mac):
        frame = ether(thief.mac, destination, ether_type, payload)
        assert neighbours.arrived(frame, MARK, "host") == 0
        assert neighbours.arrived(frame, MARK, "victim") == 0


def test_a_guest_serves_no_dhcp_and_asks_only_the_host(neighbours: Neighbours) -> None:
    thief, victim = neighbours.thief.port, neighbours.victim.port
    offer = ip_udp(thief.private_ip, "255.255.255.255", (67, 68))
    discover = ip_udp("0.0.0.0", "255.255.255.255", (68, 67))

    assert neighbours.arrived(ether(thief.mac, BROADCAST, 0x0800, offer), MARK, "host") == 0
    assert neighbours.arrived(ether(thief.mac, victim.mac, 0x0800, offer), MARK, "victim") == 0
    assert neighbours.arrived(ether(thief.mac, BROADCAST, 0x0800, discover), MARK, "victim") == 0
    assert neighbours.arrived(ether(thief.mac, BROADCAST, 0x0800, discover), MARK, "host") == COUNT


def test_a_guest_with_its_neighbours_address_reads_no_metadata(neighbours: Neighbours) -> None:
    thief, victim = neighbours.thief, neighbours.victim
    neighbours.lab.host.serve(METADATA_PORT)
    thief.ip("addr", "add", f"{victim.address}/{SUBNET.prefixlen}", "dev", "eth0")
    try:
        assert thief.dial("169.254.169.254", 80, source=victim.address) == "none"
        thief.ip("neigh", "flush", "dev", "eth0")  # its question for the gateway was dropped too
        assert thief.dial("169.254.169.254", 80, source=thief.address) == thief.address
        assert victim.dial("169.254.169.254", 80) == victim.address
    finally:
        thief.ip("addr", "del", f"{victim.address}/{SUBNET.prefixlen}", "dev", "eth0")


def test_a_tap_opens_for_its_owner_only(neighbours: Neighbours) -> None:
    port = neighbours.thief.port
    code = (
        "import os,fcntl,struct;f=os.open('/dev/net/tun',os.O_RDWR);os.seteuid(12345);"
        f"fcntl.ioctl(f,0x400454ca,struct.pack('16sH22x',b'{port.device}',0x5002))"
    )
    stranger = subprocess.run(
        ["ip", "netns", "exec", neighbours.lab.host.name, sys.executable, "-c", code],
        capture_output=True,
        text=True,
    )

    assert "not permitted" in stranger.stderr


def test_a_tap_on_our_bridge_that_nobody_knows_cannot_speak() -> None:
    lab = Lab()
    try:
        guest: Guest = lab.given_guest(1)
        lab.kill_agent()
        (lab.settings.state_dir / "ports" / f"{guest.port.instance_id}.json").rename(
            lab.directory / "kept.json"
        )
        lab.start_agent()
        # The tap is ours by its name and its bridge, but not even its address is known.
        lab.call("prepare")
        lab.host.serve(METADATA_PORT)

        assert guest.dial("169.254.169.254", 80) == "none"
        [port] = lab.call("ports")
        assert (port.instance_id, port.private_ip) == (guest.port.instance_id, "")
        lab.call("plug", guest.port)
        guest.ip("neigh", "flush", "dev", "eth0")
        assert guest.dial("169.254.169.254", 80) == guest.address
    finally:
        lab.end()
