"""Isolation as a matrix: in every mode that routes, of 1000 forged frames of each kind none passes.

In the same second as many honest frames pass, all of them: what stops the forged ones is not the laboratory.
"""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from euca_box.net.network import Port, Rule

from .frames import BROADCAST, arp, ether, ip_udp
from .lab import GATEWAY, METADATA_PORT, OTHER_SG, SG, SUBNET, Guest, Lab, group, port_of
from .rack import managed_port

pytestmark = pytest.mark.net
COUNT = 1000
FORGED, HONEST = b"forged-in-matrix", b"honest-in-matrix"
ALL = Rule("-1", -1, -1, cidr="0.0.0.0/0")
IPV6 = "33:33:00:00:00:01"


@dataclass
class Scene:
    """The thief and the victim are in one group, the stranger in another; everybody lets everybody in."""

    lab: Lab
    thief: Guest
    victim: Guest
    stranger: Guest

    @property
    def bridge(self) -> str:
        return "ebr0v3" if self.lab.settings.mode == "MANAGED" else "ebr0"

    @property
    def gateway_mac(self) -> str:
        return self.lab.host.run("cat", f"/sys/class/net/{self.bridge}/address").strip()

    @property
    def gateway(self) -> str:
        return str(GATEWAY) if self.lab.settings.mode == "EDGE" else "172.31.0.33"


def ports_of(mode: str) -> list[Port]:
    if mode == "EDGE":
        return [port_of(1, SG), port_of(2, SG), port_of(3, OTHER_SG)]
    return [managed_port(1, 3, SG), managed_port(2, 3, SG), managed_port(3, 4, OTHER_SG)]


@pytest.fixture(scope="module", params=["EDGE", "MANAGED-NOVLAN", "MANAGED"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    lab = Lab(mode=request.param)
    try:
        lab.call("set_groups", [group(SG, ALL), group(OTHER_SG, ALL)])
        guests = []
        for port in ports_of(request.param):
            lab.call("plug", port)
            guests.append(lab.given_wire(port).configure())
        lab.host.serve(METADATA_PORT)
        yield Scene(lab, *guests)
    finally:
        lab.end()


def ipv6(payload: bytes, next_header: int = 58) -> bytes:
    head = struct.pack("!IHBB", 0x60000000, len(payload), next_header, 255)
    return (
        head
        + socket.inet_pton(socket.AF_INET6, "fe80::1")
        + socket.inet_pton(socket.AF_INET6, "ff02::1")
        + payload
    )


def fragment(source: str, destination: str) -> bytes:
    """A later fragment, which has no UDP header."""
    packet = bytearray(ip_udp(source, destination, (1000, 1000), FORGED))
    packet[6:8] = struct.pack("!H", 100)
    packet[10:12] = bytes(2)
    total = sum(struct.unpack("!10H", packet[:20]))
    total = (total & 0xFFFF) + (total >> 16)
    packet[10:12] = struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
    return bytes(packet)


def metadata_syn(source: str) -> bytes:
    """TCP to 169.254.169.254:80 with the mark behind its header."""
    tcp = struct.pack("!HHIIBBHHH", 40000, 80, 1, 0, 5 << 4, 2, 1000, 0, 0) + FORGED
    packet = bytearray(ip_udp(source, "169.254.169.254", (0, 0), tcp)[:20] + tcp)
    packet[2:4], packet[9], packet[10:12] = struct.pack("!H", len(packet)), 6, bytes(2)
    total = sum(struct.unpack("!10H", packet[:20]))
    total = (total & 0xFFFF) + (total >> 16)
    packet[10:12] = struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF)
    return bytes(packet)


def forged(scene: Scene, kind: str) -> tuple[bytes, bytes]:
    """The frame, and the bytes in it by which it would be known on the other side."""
    me, you, mac = scene.thief.port, scene.victim.port, scene.gateway_mac
    udp = lambda source, ports=(1000, 1000), to=you.private_ip: ip_udp(source, to, ports, FORGED)  # noqa: E731
    own = udp(me.private_ip)
    arps = {
        "ARP for the gateway": arp(2, (me.mac, scene.gateway), you.private_ip),
        "ARP for the victim": arp(2, (me.mac, you.private_ip), scene.gateway),
        "gratuitous ARP for the victim": arp(1, (me.mac, you.private_ip), you.private_ip),
        "ARP with the victim's MAC inside": arp(2, (you.mac, me.private_ip), scene.gateway),
        "ARP of a free address": arp(2, (me.mac, "172.31.0.50"), scene.gateway),
    }
    if kind in arps:
        return ether(me.mac, BROADCAST, 0x0806, arps[kind]), arps[kind]
    frames = {
        "free MAC": ether("d0:0d:99:99:99:99", mac, 0x0800, own),
        "victim's MAC": ether(you.mac, mac, 0x0800, own),
        "gateway's MAC": ether(mac, you.mac, 0x0800, own),
        "free address": ether(me.mac, mac, 0x0800, udp("172.31.0.50")),
        "victim's address": ether(me.mac, mac, 0x0800, udp(you.private_ip, to=scene.gateway)),
        "victim's MAC and address": ether(you.mac, mac, 0x0800, udp(you.private_ip, to=scene.gateway)),
        "gateway's address": ether(me.mac, mac, 0x0800, udp(scene.gateway)),
        "an address of outside": ether(me.mac, mac, 0x0800, udp("198.51.100.2")),
        "fragment of the victim's": ether(me.mac, mac, 0x0800, fragment(you.private_ip, scene.gateway)),
        "DHCP server, to all": ether(
            me.mac, BROADCAST, 0x0800, udp(me.private_ip, (67, 68), "255.255.255.255")
        ),
        "DHCP server, to one": ether(me.mac, you.mac, 0x0800, udp(me.private_ip, (67, 68))),
        "router advertisement": ether(me.mac, IPV6, 0x86DD, ipv6(b"\x86\0\0\0" + FORGED)),
        "neighbour advertisement": ether(me.mac, IPV6, 0x86DD, ipv6(b"\x88\0\0\0" + FORGED)),
        "IPv6": ether(me.mac, IPV6, 0x86DD, ipv6(b"\x80\0\0\0" + FORGED)),
        "DHCPv6 server": ether(
            me.mac, IPV6, 0x86DD, ipv6(struct.pack("!HHHH", 547, 546, 24, 0) + FORGED, 17)
        ),
        "802.1Q": ether(me.mac, mac, 0x8100, struct.pack("!HH", 4, 0x0800) + own),
        "VLAN 0": ether(me.mac, mac, 0x8100, struct.pack("!HH", 0, 0x0800) + own),
        "QinQ": ether(me.mac, mac, 0x88A8, struct.pack("!HHHH", 3, 0x8100, 4, 0x0800) + own),
        "LLDP": ether(me.mac, "01:80:c2:00:00:0e", 0x88CC, FORGED),
        "spanning tree": ether(me.mac, "01:80:c2:00:00:00", 0x0026, b"\x42\x42\x03" + FORGED),
        "PPPoE": ether(me.mac, BROADCAST, 0x8863, FORGED),
        "metadata as the victim": ether(me.mac, mac, 0x0800, metadata_syn(you.private_ip)),
    }
    return frames[kind], FORGED


KINDS = (
    "free MAC", "victim's MAC", "gateway's MAC", "free address", "victim's address",
    "victim's MAC and address", "gateway's address", "an address of outside", "fragment of the victim's",
    "ARP for the gateway", "ARP for the victim", "gratuitous ARP for the victim",
    "ARP with the victim's MAC inside", "ARP of a free address", "DHCP server, to all",
    "DHCP server, to one", "router advertisement", "neighbour advertisement", "IPv6", "DHCPv6 server",
    "802.1Q", "VLAN 0", "QinQ", "LLDP", "spanning tree", "PPPoE", "metadata as the victim",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_no_forged_frame_passes_while_all_honest_ones_do(scene: Scene, kind: str) -> None:
    thief, victim = scene.thief, scene.victim
    frame, mark = forged(scene, kind)
    to = victim.port.mac if scene.lab.settings.mode == "MANAGED" else scene.gateway_mac
    packet = ip_udp(thief.address, victim.address, (1000, 1000), HONEST)
    honest = ether(thief.port.mac, to, 0x0800, packet)

    at_victim = victim.tally([mark, HONEST])
    at_host = scene.lab.host.tally([mark], scene.bridge)
    thief.send_in_turns(COUNT, frame, honest)

    assert at_victim() == [0, COUNT]
    assert at_host() == [0]


def test_the_same_frames_pass_where_nobody_guards(scene: Scene) -> None:
    """The control of the whole: without the bridge table they do arrive."""
    scene.lab.host.run("nft", "delete", "table", "bridge", "euca_ebr0")
    try:
        for kind in ("free address", "ARP for the victim", "IPv6", "802.1Q"):
            frame, mark = forged(scene, kind)
            at_host = scene.lab.host.tally([mark], scene.bridge)
            scene.thief.send_in_turns(COUNT, frame)
            assert at_host() == [COUNT], kind
    finally:
        assert scene.lab.call("repair")


@pytest.mark.parametrize("of", ["the same group", "another group"])
def test_traffic_of_others_is_not_visible(scene: Scene, of: str) -> None:
    """The stranger talks to the victim, and the victim to its host; the thief hears nothing of it."""
    watcher = scene.thief if of == "the same group" else scene.stranger
    speaker = scene.stranger if of == "the same group" else scene.thief
    packet = ip_udp(speaker.address, scene.victim.address, (1000, 1000), HONEST)
    bridge = "ebr0v4" if speaker is scene.stranger and scene.lab.settings.mode == "MANAGED" else scene.bridge
    mac = scene.lab.host.run("cat", f"/sys/class/net/{bridge}/address").strip()

    seen, arrived = watcher.tally([HONEST]), scene.victim.tally([HONEST])
    speaker.send_in_turns(COUNT, ether(speaker.port.mac, mac, 0x0800, packet))

    assert (seen(), arrived()) == ([0], [COUNT])


def test_nobody_reads_the_metadata_of_another(scene: Scene) -> None:
    """The victim's address on the thief's own port, in the same segment, and from another group."""
    for thief in (scene.thief, scene.stranger):
        thief.ip("addr", "add", f"{scene.victim.address}/{SUBNET.prefixlen}", "dev", "eth0")
        try:
            assert thief.dial("169.254.169.254", 80, source=scene.victim.address) == "none"
        finally:
            thief.ip("addr", "del", f"{scene.victim.address}/{SUBNET.prefixlen}", "dev", "eth0")
        thief.ip("neigh", "flush", "dev", "eth0")
        assert thief.dial("169.254.169.254", 80) == thief.address
    assert scene.victim.dial("169.254.169.254", 80) == scene.victim.address
