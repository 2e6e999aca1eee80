"""Where tunnels and trunks lead, with links that only remember: also 802.1Q, which many kernels lack."""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from euca_box.net.ledger import HostObject
from euca_box.net.network import NetError, NetworkSettings, RemotePort, Tunnel
from euca_box.net.tunnels import Remotes, Tunnels

TUNNEL = Tunnel(IPv4Address("198.51.100.1"), "eth1")
SETTINGS = NetworkSettings(
    IPv4Network("172.31.0.0/20"), IPv4Address("172.31.0.1"), Path("/nowhere"), 8775, 8773, tap_uid=1,
    mode="MANAGED", tunnel=TUNNEL,
)  # fmt: skip
B = RemotePort("i-0000000b", "d0:0d:00:00:00:0b", "172.31.0.36", ("sg-0000000a",), "198.51.100.2", tag=3)
C = RemotePort("i-0000000c", "d0:0d:00:00:00:0c", "172.31.0.70", ("sg-0000000b",), "198.51.100.3", tag=4)
OTHERS = Remotes(frozenset({B.host, C.host}), {B.instance_id: B, C.instance_id: C})


@dataclass
class RememberedLinks:
    devices: dict[str, tuple[object, ...]] = field(default_factory=dict)
    forwarding: dict[str, set[tuple[str, str]]] = field(default_factory=dict)
    routes: dict[str, str] = field(default_factory=dict)
    masters: dict[str, str] = field(default_factory=dict)
    macs: dict[str, set[str]] = field(default_factory=dict)

    def index_of(self, device):
        return 1 if device in self.devices else None

    def delete_link(self, device):
        self.devices.pop(device, None)

    def mtu_of(self, device):
        return 9000

    def ensure_vxlan(self, device, mac, number, tunnel, mtu):
        self.devices[device] = ("vxlan", mac, number, mtu)

    def ensure_vlan(self, device, parent, tag):
        self.devices[device] = ("vlan", parent, tag)

    def attach_trunk(self, bridge, device):
        self.masters[device] = bridge

    def set_forwarding(self, device, entries):
        self.forwarding[device] = entries

    def set_remote_routes(self, device, bridge, guests, source):
        self.routes = dict(guests)

    def set_segment_macs(self, device, macs):
        self.macs[device] = macs


def test_routed_packets_go_to_the_host_of_their_guest() -> None:
    links = RememberedLinks()
    Tunnels(SETTINGS, links).make(OTHERS, ())

    assert links.devices == {"ebr0x": ("vxlan", "02:ec:c6:33:64:01", 15_400_000, 8950)}
    assert links.forwarding["ebr0x"] == {
        ("02:ec:c6:33:64:02", "198.51.100.2"),
        ("02:ec:c6:33:64:03", "198.51.100.3"),
    }
    assert links.routes == {"172.31.0.36": "02:ec:c6:33:64:02", "172.31.0.70": "02:ec:c6:33:64:03"}


def test_a_segment_is_shared_by_vxlan_with_the_hosts_that_have_guests_in_it() -> None:
    links = RememberedLinks()
    Tunnels(SETTINGS, links).make(OTHERS, (3,))

    assert links.devices["ebr0x3"][2] == 15_400_003
    assert links.masters == {"ebr0x3": "ebr0v3"}
    assert links.forwarding["ebr0x3"] == {(B.mac, B.host), ("00:00:00:00:00:00", B.host)}
    assert links.macs["ebr0x3"] == {B.mac}


def test_a_segment_is_shared_by_its_tag_where_the_settings_say_vlan() -> None:
    links = RememberedLinks()
    tunnels = Tunnels(replace(SETTINGS, tunnel=replace(TUNNEL, segments="vlan")), links)
    tunnels.make(OTHERS, (3,))

    assert links.devices["eth1.3"] == ("vlan", "eth1", 3)
    assert links.masters == {"eth1.3": "ebr0v3"} and links.macs["eth1.3"] == {B.mac}
    assert tunnels.trunks((3,)) == {"eth1.3"}
    assert HostObject("link", "eth1.3") in tunnels.objects((3,))
    tunnels.forget(3)
    assert "eth1.3" not in links.devices


def test_without_a_tunnel_there_is_no_other_host() -> None:
    links = RememberedLinks()
    tunnels = Tunnels(replace(SETTINGS, tunnel=None), links)
    tunnels.make(Remotes(), (3,))

    assert links.devices == {} and tunnels.mtu() is None and tunnels.trunks((3,)) == frozenset()
    with pytest.raises(NetError, match="no tunnel"):
        tunnels.check(["198.51.100.2"], [])


@pytest.mark.parametrize(
    ("hosts", "remotes", "words"),
    [(["198.51.100.1"], [], "this host"), (["198.51.100.9"], [B], "which is no host")],
)
def test_what_cannot_be_is_refused(hosts: list[str], remotes: list[RemotePort], words: str) -> None:
    with pytest.raises(NetError, match=words):
        Tunnels(SETTINGS, RememberedLinks()).check(hosts, remotes)
