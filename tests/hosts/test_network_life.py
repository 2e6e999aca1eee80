"""What becomes of an EDGE network over time.

Leases, kill -9, foreign firewalls, leaving the host as it was.
"""

import os
import re
import signal
import sys
import time
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from euca_box.net.network import NetError, Rule

from .lab import API_PORT, SG, Guest, Lab, group, port_of, tcp

pytestmark = pytest.mark.net
ALL = Rule("-1", -1, -1, cidr="0.0.0.0/0")
PUBLIC = "172.30.0.10"
LEASE_SCRIPT = '#!/bin/sh\n[ "$1" = bound ] && echo "got $ip/$mask router=$router dns=$dns name=$hostname"\n'


def lease_of(guest: Guest, lab: Lab, *options: str) -> str:
    """What a DHCP client in the guest is given, or an empty text."""
    script = lab.directory / "lease.sh"
    script.write_text(LEASE_SCRIPT)
    script.chmod(0o755)
    answer = guest.run(
        *("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t3", "-T1", "-s", str(script), *options),
        fails=True,
    )
    return next((line for line in answer.splitlines() if line.startswith("got ")), "")


def dnsmasq_pid(lab: Lab) -> int:
    return int((lab.settings.run_dir / "ebr0" / "dnsmasq.pid").read_text())


def rules_of(lab: Lab) -> list[str]:
    """Every line of the ruleset, in any order, without what was counted so far."""
    listed = lab.host.run("nft", "list", "ruleset")
    return sorted(re.sub(r"packets \d+ bytes \d+", "", listed).splitlines())


def is_running(pid: int) -> bool:
    """A zombie, which waits for a parent that does not care, has no command line."""
    command = Path(f"/proc/{pid}/cmdline")
    return command.exists() and command.read_bytes() != b""


def test_a_guest_is_given_its_own_address_and_no_other(lab: Lab) -> None:
    guest = lab.given_unconfigured_guest(1)

    assert lease_of(guest, lab, "-r", "172.31.1.2") == (
        "got 172.31.1.1/20 router=172.31.0.1 dns=172.31.0.1 name=ip-172-31-1-1"
    )


def test_guests_find_each_other_by_name(lab: Lab) -> None:
    guest, other = lab.given_guest(1), lab.given_unconfigured_guest(2)
    assert lease_of(other, lab)

    answer = guest.run("busybox", "nslookup", "ip-172-31-1-2.ec2.internal", "172.31.0.1", fails=True)

    assert other.address in answer


def test_names_of_the_cloud_are_asked_of_its_name_server_and_other_names_are_not(lab: Lab) -> None:
    lab.kill_agent()
    domains = ("eucalyptus.internal", "cloud.example")
    lab.start_agent(name_server="127.0.0.1#5300", own_domains=domains, domain=domains[0])
    lab.call("prepare")
    pid_file = lab.directory / "names.pid"
    lab.host.run(
        "dnsmasq", "--conf-file=/dev/null", "--port=5300", "--listen-address=127.0.0.1", "--bind-interfaces",
        "--no-resolv", "--no-hosts", "--address=/euca-10-9-8-7.eucalyptus.internal/10.9.8.7",
        "--address=/walrus.cloud.example/10.9.8.1", "--address=/secret.example.org/10.9.8.2",
        f"--pid-file={pid_file}",
    )  # fmt: skip
    guest = lab.given_guest(1)
    try:
        for name, address in (
            ("euca-10-9-8-7.eucalyptus.internal", "10.9.8.7"),
            ("b.walrus.cloud.example", "10.9.8.1"),
        ):
            assert address in guest.run("busybox", "nslookup", name, "172.31.0.1", fails=True)
        other = guest.run("busybox", "nslookup", "secret.example.org", "172.31.0.1", fails=True)
        assert "10.9.8.2" not in other
    finally:
        lab.host.run("kill", pid_file.read_text().strip())


def test_the_chosen_subnet_hides_no_route_but_may_be_our_own(lab: Lab) -> None:
    def chosen(bridge: str) -> str:
        code = f"from euca_box.net.subnets import *; print(choose_addresses({bridge!r}).subnet)"
        return lab.host.run(sys.executable, "-c", code).strip()

    assert chosen("ebr0") == "172.31.0.0/20"
    assert chosen("ebr1") == "10.231.0.0/20"
    lab.host.ip("route", "add", "10.0.0.0/8", "via", "198.51.100.2")
    lab.host.ip("route", "add", "0.0.0.0/1", "via", "198.51.100.2")
    assert chosen("ebr1") == "172.29.0.0/20"


def test_an_address_is_free_for_the_next_instance_at_once(lab: Lab) -> None:
    first = lab.given_unconfigured_guest(1)
    assert lease_of(first, lab)

    lab.call("unplug", first.port.instance_id)
    heir_port = replace(port_of(2), private_ip=first.address)
    lab.call("plug", heir_port)
    heir = lab.given_wire(heir_port)

    assert lease_of(heir, lab).startswith("got 172.31.1.1/")


def test_everything_goes_on_when_the_process_is_killed_and_is_adopted_by_the_next(lab: Lab) -> None:
    a, b = lab.given_guest(1), lab.given_guest(2)
    c = lab.given_unconfigured_guest(3)
    b.serve(80)
    lab.call("set_groups", [group(SG, tcp(80))])
    lab.call("assign_public", PUBLIC, b.address)
    held, held_public = a.hold(b.address, 80), lab.host.hold(PUBLIC, 80)
    assert (held.ask(), held_public.ask()) == (a.address, "172.31.0.1")
    server = dnsmasq_pid(lab)

    lab.kill_agent()
    assert (held.ask(), a.dial(b.address, 80)) == (a.address, a.address)
    assert lease_of(c, lab)
    lab.start_agent()
    lab.call("prepare")

    assert dnsmasq_pid(lab) == server
    assert lab.call("ports") == [a.port, b.port, c.port]
    assert lab.call("public_addresses") == {PUBLIC: b.address}
    assert (held.ask(), held_public.ask()) == (a.address, "172.31.0.1")
    assert a.dial(b.address, 80) == a.address
    assert a.dial(b.address, 81) == "none"


def test_a_dead_or_changed_dhcp_server_is_replaced(lab: Lab) -> None:
    os.kill(dnsmasq_pid(lab), signal.SIGKILL)
    lab.call("prepare")
    second = dnsmasq_pid(lab)
    guest = lab.given_unconfigured_guest(1)
    assert lease_of(guest, lab)

    lab.kill_agent()
    lab.start_agent(dns=("127.0.0.9",))
    lab.call("prepare")

    assert dnsmasq_pid(lab) != second and not is_running(second)
    assert lease_of(guest, lab)


def test_a_pid_file_that_names_a_stranger_kills_nobody(lab: Lab) -> None:
    lab.call("remove")
    pid_file = lab.settings.run_dir / "ebr0" / "dnsmasq.pid"
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    assert lab.agent is not None
    pid_file.write_text(str(lab.agent.pid))

    lab.call("prepare")

    assert lab.call("ports") == [] and dnsmasq_pid(lab) != lab.agent.pid


def test_unplug_leaves_nothing_of_the_instance(lab: Lab) -> None:
    lab.call("set_groups", [group(SG, ALL)])
    a, b = lab.given_guest(1), lab.given_guest(2)
    b.serve(80)
    lab.call("assign_public", PUBLIC, b.address)
    assert a.hold(b.address, 80).ask() == a.address
    assert lab.host.dial(PUBLIC, 80) != "none"

    lab.call("unplug", b.port.instance_id)
    lab.call("unplug", b.port.instance_id)

    kernel = (
        lab.host.run("nft", "list", "ruleset"),
        *(lab.host.ip(kind) for kind in ("neigh", "route", "link")),
    )
    for trace in (b.address, b.port.mac, b.port.device, PUBLIC):
        assert trace not in "".join(kernel)
    assert not list(lab.directory.rglob(f"*{b.port.instance_id}*"))
    assert lab.call("ports") == [a.port]
    lab.call("plug", replace(port_of(3), private_ip=b.address))
    heir = lab.given_wire(replace(port_of(3), private_ip=b.address)).configure()
    heir.serve(80)
    assert a.dial(b.address, 80) == a.address


def test_after_a_reboot_nothing_that_is_gone_is_believed_to_be_there(lab: Lab) -> None:
    guest = lab.given_guest(1)
    lab.call("set_groups", [group(SG, ALL)])
    lab.kill_agent()
    lab.host.ip("link", "del", guest.port.device)
    lab.host.ip("link", "del", "ebr0")
    lab.host.run("nft", "flush", "ruleset")

    lab.start_agent()
    lab.call("prepare")

    assert lab.call("ports") == []
    assert guest.address not in lab.host.run("nft", "list", "ruleset")
    lab.call("plug", guest.port)
    assert lab.call("ports") == [guest.port]


def test_rules_that_somebody_flushed_and_a_killed_dnsmasq_are_put_back_by_repair(lab: Lab) -> None:
    lab.call("set_groups", [group(SG, tcp(22))])
    lab.given_guest(1, SG)
    before = rules_of(lab)
    assert lab.call("repair") == []

    lab.host.run("nft", "flush", "ruleset")
    killed = dnsmasq_pid(lab)
    os.kill(killed, signal.SIGKILL)
    while is_running(killed):
        time.sleep(0.01)
    assert len(lab.call("repair")) == 2

    assert rules_of(lab) == before
    assert is_running(dnsmasq_pid(lab))
    assert lab.call("repair") == []


OF_OTHERS = (
    "delete element inet euca_ebr0 in_of { 172.31.1.1 }",
    "delete element bridge euca_ebr0 ip4 { tab000001 . d0:0d:ab:00:00:01 . 172.31.1.1 }",
    "flush chain inet euca_ebr0 to_guest",
    "insert rule inet euca_ebr0 forward accept",
    "delete table bridge euca_ebr0",
)


@pytest.mark.parametrize("tampering", OF_OTHERS)
def test_a_single_rule_that_another_program_changed_is_put_back(lab: Lab, tampering: str) -> None:
    lab.call("set_groups", [group(SG, tcp(22))])
    lab.given_guest(1, SG)
    before = rules_of(lab)
    assert lab.call("repair") == []

    lab.host.run("nft", tampering)
    assert rules_of(lab) != before
    [sentence] = lab.call("repair")

    assert "another program changed the rules of ebr0" in sentence
    assert rules_of(lab) == before
    assert lab.call("repair") == []


def test_changes_of_other_programs_to_their_own_rules_are_nothing_to_repair(lab: Lab) -> None:
    lab.given_guest(1)

    lab.host.run("nft", "add table inet theirs")
    lab.host.run("nft", "add chain inet theirs euca_ebr0")

    assert lab.call("repair") == []


@pytest.mark.parametrize(
    ("tampering", "words"),
    [
        ("ip link set tab000001 nomaster", "the port tab000001"),
        ("bridge link set dev tab000001 isolated off", "the port tab000001"),
        ("ip link set tab000001 down", "the port tab000001"),
        ("ip neigh del 172.31.1.1 dev ebr0m", ""),
        ("ip rule del iif ebr0", "routing rule"),
        ("ip link del ebr0m", "was gone or down"),
        ("ip link set ebr0 down", "was gone or down"),
        ("ip link del ebr0", "was gone or down"),
        ("sysctl -qw net.ipv4.conf.ebr0.proxy_arp=0", "proxy_arp"),
        ("sysctl -qw net.ipv4.ip_forward=0", "ip_forward"),
    ],
)
def test_links_that_another_program_changed_are_as_they_were(lab: Lab, tampering: str, words: str) -> None:
    lab.call("set_groups", [group(SG, tcp(80))])
    a, b = lab.given_guest(1), lab.given_guest(2)
    a.serve(80)
    a.dial("172.31.0.1", 80)  # the host knows by its neighbour entries alone where it is
    assert b.dial(a.address, 80) == b.address

    lab.host.run(*tampering.split())
    sentences = lab.call("repair")

    assert words in " ".join(sentences)
    assert b.dial(a.address, 80) == b.address
    assert lab.call("repair") == []


def test_rules_that_somebody_flushed_come_back_with_the_next_change(lab: Lab) -> None:
    a, b = lab.given_guest(1), lab.given_guest(2)
    b.serve(80)
    lab.host.run("nft", "flush", "ruleset")

    lab.call("set_groups", [group(SG, tcp(80))])

    assert a.dial(b.address, 80) == a.address
    assert a.dial(b.address, 81) == "none"


@pytest.fixture
def foreign_table(lab: Lab) -> str:
    rule = 'tcp dport 9 drop comment "mine"'
    lab.host.run("nft", f"table inet theirs {{ chain c {{ type filter hook input priority 10; {rule}; }}; }}")
    return lab.host.run("nft", "list", "table", "inet", "theirs")


def test_remove_takes_away_all_that_is_ours_and_nothing_else(lab: Lab, foreign_table: str) -> None:
    lab.given_guest(1)
    lab.call("set_groups", [group(SG, ALL)])
    lab.call("assign_public", PUBLIC, "172.31.1.1")
    server = dnsmasq_pid(lab)

    lab.call("remove")

    assert lab.host.run("nft", "list", "ruleset") == foreign_table
    assert lab.host.run("nft", "list", "tables").strip() == "table inet theirs"
    links = lab.host.ip("-br", "link")
    assert "ebr0" not in links and "tab000001" not in links and "up0" in links
    assert "ebr0" not in lab.host.ip("rule") + lab.host.ip("route", "show", "table", "all")
    assert not is_running(server)
    assert not [path for path in lab.directory.rglob("*") if path.is_file()]
    lab.call("remove")


def test_another_program_that_drops_forwarded_traffic_is_named(lab: Lab) -> None:
    assert lab.call("foreign_drops") == []
    lab.host.run(
        "nft", "table inet strict { chain f { type filter hook forward priority 0; policy drop; }; }"
    )
    lab.host.run("nft", "table ip polite { chain i { type filter hook input priority 0; counter reject; }; }")

    first, second = sorted(lab.call("foreign_drops"))

    assert "inet strict chain f" in first and "by policy" in first
    assert "ip polite chain i" in second


def test_dockers_closed_forward_chain_is_opened_for_our_bridge_only(lab: Lab) -> None:
    lab.host.run(
        "nft",
        "table ip filter { chain DOCKER-USER { return; }; "
        "chain FORWARD { type filter hook forward priority 0; policy drop; jump DOCKER-USER; }; }",
    )
    lab.call("set_groups", [group(SG)])
    guest = lab.given_guest(1)
    lab.outside.serve(9000)
    assert guest.dial("198.51.100.2", 9000) == "none"
    assert len(lab.call("foreign_drops")) == 1

    lab.call("repair")
    lab.call("prepare")

    assert guest.dial("198.51.100.2", 9000) == "198.51.100.1"
    assert lab.call("foreign_drops") == []
    assert lab.host.run("nft", "list", "chain", "ip", "filter", "DOCKER-USER").count("accept") == 2
    lab.call("remove")
    assert "accept" not in lab.host.run("nft", "list", "chain", "ip", "filter", "DOCKER-USER")


def test_by_setting_what_a_revoked_rule_allowed_is_cut_and_nothing_else(lab: Lab) -> None:
    lab.kill_agent()
    lab.start_agent(cut_revoked=True)
    lab.call("prepare")
    a, b = lab.given_guest(1), lab.given_guest(2)
    for port in (80, 81):
        b.serve(port)
    lab.host.serve(API_PORT)
    lab.call("set_groups", [group(SG, tcp(80), tcp(81))])
    lab.call("assign_public", PUBLIC, b.address)
    cut, kept, public = a.hold(b.address, 80), a.hold(b.address, 81), lab.host.hold(PUBLIC, 80)
    to_host = a.hold("172.31.0.1", API_PORT)
    assert [held.ask() for held in (cut, kept, public, to_host)] == [
        a.address,
        a.address,
        "172.31.0.1",
        a.address,
    ]

    lab.call("set_groups", [group(SG, tcp(81))])

    assert [held.ask() for held in (cut, kept, public, to_host)] == ["none", a.address, "none", a.address]
    lab.call("plug", replace(b.port, group_ids=("sg-0000000c",)))
    assert kept.ask() == "none"


def test_a_change_of_settings_moves_what_it_concerns_and_cuts_nothing_else(rack_lab: Lab) -> None:
    lab, public = rack_lab, "198.51.100.77"
    lab.call("set_groups", [group(SG, tcp(80))])
    a, b = lab.given_guest(1), lab.given_guest(2)
    b.serve(80)
    lab.call("assign_public", public, b.address)
    held = a.hold(b.address, 80)
    assert held.ask() == a.address
    assert public in lab.host.ip("neigh", "show", "proxy")
    lab.host.ip("link", "add", "up1", "type", "veth", "peer", "name", "up1", "netns", lab.outside.name)

    lab.kill_agent()
    lab.start_agent(uplink="up1", dns=("127.0.0.7",), metadata_port=8999)
    lab.call("prepare")

    assert f"{public} dev up1" in lab.host.ip("neigh", "show", "proxy")
    assert f"{public} dev up0" not in lab.host.ip("neigh", "show", "proxy")
    assert (held.ask(), a.dial(b.address, 80)) == (a.address, a.address)
    lab.host.serve(8999)
    assert a.dial("169.254.169.254", 80) == a.address


def test_another_subnet_is_refused_while_instances_run_in_the_first(lab: Lab) -> None:
    lab.given_guest(1)
    lab.kill_agent()
    settings = lab.settings
    lab.start_agent(subnet=IPv4Network("10.99.0.0/24"), gateway=IPv4Address("10.99.0.1"))

    with pytest.raises(NetError, match=r"runs with 172.31.1.1, which does not fit.*10.99.0.0/24"):
        lab.call("prepare")
    lab.kill_agent()
    lab.settings = settings


def test_another_bridge_takes_the_guests_and_the_old_one_goes(lab: Lab) -> None:
    lab.call("set_groups", [group(SG, tcp(80))])
    a, b = lab.given_guest(1), lab.given_guest(2)
    b.serve(80)

    lab.kill_agent()
    lab.start_agent(bridge="ebr7")
    lab.call("prepare")
    for guest in (a, b):
        guest.ip("neigh", "flush", "dev", "eth0")

    assert a.dial(b.address, 80) == a.address
    left = lab.host.ip("-br", "link") + lab.host.ip("rule") + lab.host.run("nft", "list", "tables")
    assert "ebr7" in left and "ebr0" not in left


def test_prepare_says_what_is_missing(lab: Lab) -> None:
    lab.kill_agent()
    lab.start_agent(uplink="nope0")
    lab.call("prepare")
    lab.call("plug", port_of(1))

    with pytest.raises(NetError, match="no interface nope0"):
        lab.call("assign_public", PUBLIC, "172.31.1.1")
