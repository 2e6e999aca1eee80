"""What every Network promises, kept by the one in memory and by the one of a real host."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import trio

from euca_box.net.fake import FakeNetwork
from euca_box.net.network import NetError, Network, NetworkSettings, Rule
from tests.hosts.lab import API_PORT, GATEWAY, METADATA_PORT, SG, SUBNET, Lab, group, port_of, tcp

pytestmark = pytest.mark.trio
PUBLIC, OTHER_PUBLIC = "172.30.0.10", "172.30.0.11"
RANGE = (IPv4Address("172.30.0.10"), IPv4Address("172.30.0.99"))


class RemoteNetwork:
    """The HostNetwork of a laboratory's host, called from here."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        return partial(trio.to_thread.run_sync, self._lab.call, method)


def given_fake() -> Iterator[Network]:
    settings = NetworkSettings(
        SUBNET, GATEWAY, Path("/nowhere"), METADATA_PORT, API_PORT, tap_uid=1, public_addresses=(RANGE,)
    )
    yield FakeNetwork(settings)


def given_edge() -> Iterator[Network]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    lab = Lab(prepare=False)
    lab.kill_agent()
    lab.start_agent(public_addresses=(RANGE,))
    yield RemoteNetwork(lab)  # type: ignore[misc]
    lab.end()


@pytest.fixture(params=[given_fake, pytest.param(given_edge, marks=pytest.mark.net)])
async def network(request: pytest.FixtureRequest) -> AsyncIterator[Network]:
    given = request.param()
    network = next(given)
    await network.prepare()
    yield network
    next(given, None)


async def test_what_is_plugged_is_there_once_and_what_is_unplugged_is_not(network: Network) -> None:
    await network.plug(port_of(1))
    await network.plug(port_of(2))
    await network.plug(port_of(1))
    assert await network.ports() == [port_of(1), port_of(2)]

    await network.unplug(port_of(1).instance_id)
    await network.unplug(port_of(1).instance_id)
    assert await network.ports() == [port_of(2)]


async def test_prepare_may_be_repeated_and_keeps_what_is_there(network: Network) -> None:
    await network.plug(port_of(1))
    await network.assign_public(PUBLIC, port_of(1).private_ip)

    await network.prepare()

    assert await network.ports() == [port_of(1)]
    assert await network.public_addresses() == {PUBLIC: port_of(1).private_ip}


async def test_a_port_changes_its_groups_but_not_its_address(network: Network) -> None:
    await network.plug(port_of(1))
    changed = replace(port_of(1), group_ids=("sg-000000bb", SG))
    await network.plug(changed)
    assert await network.ports() == [changed]

    with pytest.raises(NetError, match="unplug it first"):
        await network.plug(replace(changed, private_ip="172.31.1.9"))
    assert await network.ports() == [changed]


async def test_an_address_belongs_to_one_port(network: Network) -> None:
    await network.plug(port_of(1))

    with pytest.raises(NetError, match="belongs to"):
        await network.plug(replace(port_of(2), private_ip=port_of(1).private_ip))


@pytest.mark.parametrize(
    "change",
    [
        {"instance_id": "i-AB000001"},
        {"instance_id": "i-../../etc"},
        {"device": "eth0"},
        {"mac": "d0:0d:ab:00:00:01\n"},
        {"mac": "02:00:00:00:00:01"},
        {"private_ip": "172.31.0.1"},
        {"private_ip": "172.31.15.255"},
        {"private_ip": "10.0.0.1"},
        {"private_ip": "172.31.1.1 }; flush ruleset"},
        {"hostname": "a,b"},
        {"hostname": ""},
        {"group_ids": ("sg-1; flush",)},
    ],
    ids=lambda change: " ".join(f"{name} {value!r}" for name, value in change.items()),
)
async def test_a_port_that_is_none_is_refused(network: Network, change: dict[str, Any]) -> None:
    with pytest.raises(NetError):
        await network.plug(replace(port_of(1), **change))
    assert await network.ports() == []


@pytest.mark.parametrize(
    "rule",
    [
        tcp(70000),
        Rule("tcp", 5, 4, cidr="0.0.0.0/0"),
        Rule("tcp", 1, 1),
        Rule("tcp", 1, 1, cidr="0.0.0.0/0", group_id=SG),
        Rule("tcp", 1, 1, cidr="::/0"),
        Rule("tcp", 1, 1, cidr="0.0.0.0/0 accept"),
        Rule("icmp", 256, -1, cidr="0.0.0.0/0"),
        Rule("gre", -1, -1, cidr="0.0.0.0/0"),
        Rule("256", -1, -1, cidr="0.0.0.0/0"),
        Rule("٣", -1, -1, cidr="0.0.0.0/0"),
    ],
    ids=repr,
)
async def test_a_rule_that_is_none_is_refused(network: Network, rule: Rule) -> None:
    with pytest.raises(NetError):
        await network.set_groups([group(SG, rule)])


async def test_groups_may_come_before_ports_and_name_groups_that_are_not_there(network: Network) -> None:
    await network.set_groups([group(SG, tcp(80, group_id="sg-0000dead"))])
    await network.plug(port_of(1))
    await network.set_groups([])
    await network.set_groups([group(SG, tcp(81)), group("sg-0000dead", tcp(80, group_id=SG))])
    await network.unplug(port_of(1).instance_id)
    await network.set_groups([])


async def test_a_public_address_and_a_private_one_have_only_each_other(network: Network) -> None:
    await network.assign_public(PUBLIC, "172.31.1.1")
    await network.assign_public(PUBLIC, "172.31.1.2")
    assert await network.public_addresses() == {PUBLIC: "172.31.1.2"}

    await network.assign_public(OTHER_PUBLIC, "172.31.1.2")
    assert await network.public_addresses() == {OTHER_PUBLIC: "172.31.1.2"}

    await network.unassign_public(OTHER_PUBLIC)
    await network.unassign_public(OTHER_PUBLIC)
    assert await network.public_addresses() == {}


@pytest.mark.parametrize(
    "public_ip", ["172.30.0.9", "127.0.0.1", "172.31.1.1", "224.0.0.1", "0.0.0.0", "x", "172.30.0.010"]
)
async def test_an_address_that_is_not_ours_to_give_is_refused(network: Network, public_ip: str) -> None:
    with pytest.raises(NetError):
        await network.assign_public(public_ip, "172.31.1.1")
    assert await network.public_addresses() == {}


async def test_an_unplugged_instance_leaves_no_public_address(network: Network) -> None:
    await network.plug(port_of(1))
    await network.assign_public(PUBLIC, port_of(1).private_ip)

    await network.unplug(port_of(1).instance_id)

    assert await network.public_addresses() == {}


async def test_nothing_works_after_close_until_it_is_prepared_again(network: Network) -> None:
    await network.plug(port_of(1))
    await network.close()
    with pytest.raises(NetError, match="not prepared"):
        await network.plug(port_of(2))

    await network.prepare()

    assert await network.ports() == [port_of(1)]


async def test_remove_forgets_everything(network: Network) -> None:
    await network.plug(port_of(1))
    await network.assign_public(PUBLIC, port_of(1).private_ip)

    await network.remove()
    await network.prepare()

    assert await network.ports() == []
    assert await network.public_addresses() == {}


async def test_the_network_in_memory_fails_when_told_to_and_only_once() -> None:
    network = next(given_fake())
    assert isinstance(network, FakeNetwork)
    await network.prepare()
    network.broken = "no more taps"

    with pytest.raises(NetError, match="no more taps"):
        await network.plug(port_of(1))
    await network.plug(port_of(1))


async def test_other_hosts_need_a_tunnel(network: Network) -> None:
    await network.set_remotes([], [])

    with pytest.raises(NetError, match="no tunnel"):
        await network.set_remotes(["198.51.100.9"], [])


async def test_a_trace_says_whether_an_instance_is_plugged_in(network: Network) -> None:
    await network.plug(port_of(1))

    assert "bad" in {step.state for step in await network.trace("i-00000099")}
    assert all(step.what for step in await network.trace(port_of(1).instance_id))
