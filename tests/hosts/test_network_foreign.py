"""Beside the firewalls of Docker, firewalld and libvirt: theirs goes on, and so does ours.

Their rulesets are written as these programs write them on Debian 12; one machine of theirs is behind each.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from .lab import OTHER_SG, SG, Guest, Lab, Place, group, tcp

pytestmark = pytest.mark.net

DOCKER = """
table ip nat {
  chain DOCKER { iifname "theirs0" counter return
    iifname != "theirs0" tcp dport 8080 counter dnat to 172.17.0.2:80; }
  chain PREROUTING { type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local counter jump DOCKER; }
  chain POSTROUTING { type nat hook postrouting priority srcnat; policy accept;
    oifname != "theirs0" ip saddr 172.17.0.0/16 counter masquerade; }
}
table ip filter {
  chain DOCKER { iifname != "theirs0" oifname "theirs0" ip daddr 172.17.0.2 tcp dport 80 counter accept; }
  chain DOCKER-ISOLATION-STAGE-1 {
    iifname "theirs0" oifname != "theirs0" counter jump DOCKER-ISOLATION-STAGE-2; counter return; }
  chain DOCKER-ISOLATION-STAGE-2 { oifname "theirs0" counter drop; counter return; }
  chain DOCKER-USER { counter return; }
  chain FORWARD { type filter hook forward priority filter; policy drop;
    counter jump DOCKER-USER
    counter jump DOCKER-ISOLATION-STAGE-1
    oifname "theirs0" ct state related,established counter accept
    oifname "theirs0" counter jump DOCKER
    iifname "theirs0" oifname != "theirs0" counter accept
    iifname "theirs0" oifname "theirs0" counter accept; }
}
"""
LIBVIRT = """
table ip nat {
  chain LIBVIRT_PRT { ip saddr 172.17.0.0/16 ip daddr 224.0.0.0/24 counter return
    ip saddr 172.17.0.0/16 ip daddr != 172.17.0.0/16 counter masquerade; }
  chain PREROUTING { type nat hook prerouting priority dstnat; tcp dport 8080 counter dnat to 172.17.0.2:80; }
  chain POSTROUTING { type nat hook postrouting priority srcnat; policy accept; counter jump LIBVIRT_PRT; }
}
table ip filter {
  chain LIBVIRT_FWO { ip saddr 172.17.0.0/16 iifname "theirs0" counter accept
    iifname "theirs0" counter reject; }
  chain LIBVIRT_FWI { ip daddr 172.17.0.0/16 oifname "theirs0" ct state new,related,established counter accept
    oifname "theirs0" counter reject; }
  chain LIBVIRT_FWX { iifname "theirs0" oifname "theirs0" counter accept; }
  chain FORWARD { type filter hook forward priority filter; policy accept;
    counter jump LIBVIRT_FWX
    counter jump LIBVIRT_FWI
    counter jump LIBVIRT_FWO; }
}
"""
FIREWALLD = """
table inet firewalld {
  chain nat_POST { type nat hook postrouting priority 110; policy accept;
    ip saddr 172.17.0.0/16 oifname "up0" masquerade; }
  chain nat_PRE { type nat hook prerouting priority -90; policy accept;
    iifname "up0" tcp dport 8080 dnat ip to 172.17.0.2:80; }
  chain filter_INPUT { type filter hook input priority 10; policy accept;
    ct state established,related accept; ct status dnat accept; iifname "lo" accept;
    ct state invalid drop; jump zones_IN; reject with icmpx admin-prohibited; }
  chain filter_FORWARD { type filter hook forward priority 10; policy accept;
    ct state established,related accept; ct status dnat accept; iifname "lo" accept;
    ct state invalid drop; jump zones_FWD; reject with icmpx admin-prohibited; }
  chain zones_IN { tcp dport 22 accept; iifname "theirs0" accept; }
  chain zones_FWD { iifname "theirs0" accept; }
}
"""
FOREIGN = {"docker": DOCKER, "libvirt": LIBVIRT, "firewalld": FIREWALLD}


@dataclass
class Yard:
    """A host where another program was first: `box` is its machine, at 172.17.0.2 behind theirs0."""

    name: str
    lab: Lab
    box: Place
    a: Guest
    b: Guest

    def works_for_them(self) -> tuple[str, str, str]:
        """What their machine and the outside see of each other, and what the host sees."""
        return (
            self.box.dial("198.51.100.2", 9000),
            self.lab.outside.dial("198.51.100.1", 8080),
            self.lab.host.dial("172.17.0.2", 80),
        )

    def rules(self) -> list[str]:
        """Theirs alone, without what was counted."""
        tables = self.lab.host.run("nft", "list", "tables").splitlines()
        names = [line.removeprefix("table ") for line in tables if "euca" not in line]
        listed = "".join(self.lab.host.run("nft", "list", "table", *name.split()) for name in names)
        return re.sub(r"packets \d+ bytes \d+", "", listed).splitlines()


THEIRS = ("198.51.100.1", "198.51.100.2", "172.17.0.1")


@pytest.fixture(scope="module", params=list(FOREIGN))
def yard(request: pytest.FixtureRequest) -> Iterator[Yard]:
    lab = Lab(prepare=False)
    host = lab.host
    box = lab._keep(Place(f"{host.name}-box"))
    host.ip("link", "add", "theirs0", "type", "bridge")
    host.ip("addr", "add", "172.17.0.1/16", "dev", "theirs0")
    host.ip("link", "set", "theirs0", "up")
    host.ip("link", "add", "vbox", "type", "veth", "peer", "name", "eth0", "netns", box.name)
    host.ip("link", "set", "vbox", "master", "theirs0", "up")
    box.ip("addr", "add", "172.17.0.2/16", "dev", "eth0")
    box.ip("link", "set", "eth0", "up")
    box.ip("route", "add", "default", "via", "172.17.0.1")
    host.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
    box.serve(80)
    lab.outside.serve(9000)
    rules = lab.directory / "theirs.nft"
    rules.write_text(FOREIGN[request.param])
    host.run("nft", "-f", str(rules))
    try:
        given = Yard(request.param, lab, box, None, None)  # type: ignore[arg-type]
        assert given.works_for_them() == THEIRS, "the laboratory itself"
        lab.call("prepare")
        given.a, given.b = lab.given_guest(1), lab.given_guest(2, OTHER_SG)
        given.b.serve(80)
        yield given
    finally:
        lab.end()


def test_their_machines_go_on_as_before(yard: Yard) -> None:
    before = yard.rules()

    yard.lab.call("set_groups", [group(SG, tcp(80)), group(OTHER_SG, tcp(80))])
    yard.lab.call("assign_public", "172.30.0.10", yard.b.address)
    yard.lab.call("repair")

    assert yard.works_for_them() == THEIRS
    assert yard.rules() == before
    yard.lab.call("unassign_public", "172.30.0.10")


def test_our_guests_go_on_beside_them_where_they_let_them(yard: Yard) -> None:
    yard.lab.call("set_groups", [group(SG), group(OTHER_SG, tcp(80))])
    drops = yard.lab.call("foreign_drops")
    if yard.name == "firewalld":
        assert "firewalld" in drops[0]
        assert yard.a.dial("198.51.100.2", 9000) == "none"
        for chain in ("zones_IN", "zones_FWD"):  # what the operator guide says to do
            yard.lab.host.run("nft", f'add rule inet firewalld {chain} iifname {{ "ebr0", "ebr0m" }} accept')
    else:
        assert drops == []

    assert yard.a.dial("198.51.100.2", 9000) == "198.51.100.1"
    assert yard.a.dial(yard.b.address, 80) == yard.a.address
    assert yard.a.dial(yard.b.address, 81) == "none"
    yard.lab.call("assign_public", "172.30.0.10", yard.b.address)
    assert yard.lab.host.dial("172.30.0.10", 80) == "172.31.0.1"
    yard.lab.call("unassign_public", "172.30.0.10")


def test_guests_and_their_machines_do_not_reach_each_other_unless_allowed(yard: Yard) -> None:
    """Their private network is outside for us; by a public address it comes in as everybody."""
    yard.lab.call("set_groups", [group(SG), group(OTHER_SG)])

    assert yard.box.dial(yard.b.address, 80) == "none"


def test_what_is_ours_goes_and_theirs_stays(yard: Yard) -> None:
    yard.lab.call("remove")

    assert "euca" not in yard.lab.host.run("nft", "list", "tables")
    rules = [line for line in yard.rules() if "ebr0" in line]
    assert rules == [] or yard.name == "firewalld"  # there the operator wrote them
    assert yard.works_for_them() == THEIRS
    yard.lab.call("prepare")
