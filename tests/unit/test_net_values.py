"""Pure parts of the network: names, free subnets, saved state, the DHCP release."""

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from euca_box.net.dhcp_release import release_message
from euca_box.net.network import NetError, Port, Rule, SecurityGroup, device_of, protocol_number
from euca_box.net.ruleset import NetworkState
from euca_box.net.saved import SavedState
from euca_box.net.subnets import PRIVATE_CANDIDATES, PUBLIC_CANDIDATES, free_subnet

PORT = Port("i-00000001", "t00000001", "d0:0d:00:00:00:01", "172.31.0.5", ("sg-0000000a",), "one")
GROUP = SecurityGroup(
    "sg-0000000a", (Rule("tcp", 1, 2, cidr="10.0.0.0/8"),), (Rule("-1", -1, -1, group_id="sg-0000000a"),)
)


def test_a_tap_is_named_after_its_instance() -> None:
    assert device_of("i-1234abcd") == "t1234abcd"
    assert device_of("i-0123456789abcdef0") == "t9abcdef0"


@pytest.mark.parametrize("text", ["", "i-1234ABCD", "i-1234abcd\n", "i-1234abcde", "x-1234abcd", "i-../../x"])
def test_what_is_no_instance_has_no_tap(text: str) -> None:
    with pytest.raises(NetError):
        device_of(text)


@pytest.mark.parametrize(
    ("text", "number"), [("tcp", 6), ("udp", 17), ("icmp", 1), ("-1", -1), ("0", 0), ("255", 255)]
)
def test_a_protocol_has_a_number(text: str, number: int) -> None:
    assert protocol_number(text) == number


@pytest.mark.parametrize("text", ["", "256", "-2", "TCP", "٣", "6 accept", "9" * 10000])
def test_a_protocol_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(NetError):
        protocol_number(text)


def test_the_first_subnet_that_hides_no_route_is_chosen() -> None:
    first, second = PRIVATE_CANDIDATES[:2]

    assert free_subnet(PRIVATE_CANDIDATES, []) == first
    assert free_subnet(PRIVATE_CANDIDATES, [IPv4Network("172.31.3.4/32")]) == second
    assert free_subnet(PRIVATE_CANDIDATES, [IPv4Network("172.16.0.0/12")]) == second
    with pytest.raises(NetError, match="every candidate"):
        free_subnet(PRIVATE_CANDIDATES, [IPv4Network("0.0.0.0/0")])


def test_no_private_candidate_overlaps_a_public_one() -> None:
    assert not any(a.overlaps(b) for a in PRIVATE_CANDIDATES for b in PUBLIC_CANDIDATES)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    saved = SavedState(tmp_path / "new")
    assert saved.load() == NetworkState()

    saved.save_port(PORT)
    saved.save_groups([GROUP])
    saved.save_public({"172.30.0.10": "172.31.0.5"})

    assert SavedState(tmp_path / "new").load() == NetworkState(
        {PORT.instance_id: PORT}, {GROUP.group_id: GROUP}, {"172.30.0.10": "172.31.0.5"}
    )
    saved.forget_all()
    assert saved.load() == NetworkState()


def test_a_half_written_file_is_not_read(tmp_path: Path) -> None:
    saved = SavedState(tmp_path)
    saved.load()
    saved.save_public({"172.30.0.10": "172.31.0.5"})
    (tmp_path / "public.new").write_text('{"172.30')
    (tmp_path / "ports" / "i-00000001.new").write_text("{")

    assert saved.load() == NetworkState(public={"172.30.0.10": "172.31.0.5"})


def test_a_damaged_state_is_reported_and_not_guessed(tmp_path: Path) -> None:
    saved = SavedState(tmp_path)
    saved.load()
    (tmp_path / "ports" / "i-00000001.json").write_text('{"instance_id": "i-00000001"}')

    with pytest.raises(NetError, match="cannot be read"):
        saved.load()


def test_a_release_names_the_client_the_address_and_the_server() -> None:
    message = release_message(IPv4Address("172.31.0.1"), "172.31.0.5", "d0:0d:00:00:00:01")

    assert len(message) == 300  # BOOTP's smallest (RFC 1542 2.1)
    assert message[12:16] == bytes([172, 31, 0, 5])
    assert message[28:34] == bytes.fromhex("d00d00000001")
    assert bytes([53, 1, 7]) in message and bytes([54, 4, 172, 31, 0, 1]) in message
