"""Every host is asked how it is, and told whom to believe when that changed.

A host that was removed is told nothing more; all others forget it with the next version, sent at once.
"""

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from euca_box.messages.base import system_call
from euca_box.messages.cc import CcSyncNodes, ZoneNode
from euca_box.messages.hosts import HostConfigurePeers
from euca_box.model.errors import EucaError
from euca_box.model.hosts import Host, agent_of
from euca_box.roles.clc import components, hosts, known_hosts

if TYPE_CHECKING:
    from euca_box.roles.clc.role import Clc

log = logging.getLogger(__name__)

LOOK_SECONDS = 3.0
AGAIN_SECONDS = 30.0
LONGEST_SETTINGS = 1 << 20  # characters: 65,000 public addresses
TELL_SECONDS = 8.0  # those who do not answer by then are told when they do


async def watch_hosts(clc: "Clc") -> None:
    """All at once: a host that does not answer keeps no other waiting."""
    while True:
        await tell(clc)
        await clc.hosts_bell.wait(LOOK_SECONDS)


async def push_nodes(clc: "Clc") -> None:
    """Which nodes each zone has, and what is wished of them, to its cluster controller: on change, and again
    now and then. Where no host can join, the cluster controller has the one node of its settings."""
    told: dict[str, tuple[int, float]] = {}  # zone -> version, and when
    while True:
        for zone, nodes in components.nodes_by_zone(clc).items() if known_hosts.everyone(clc) else ():
            version, at = told.get(zone, (-1, 0.0))
            if version != clc.hosts_version or trio.current_time() - at > AGAIN_SECONDS:
                told.pop(zone, None)
                if await _push(clc, zone, tuple(nodes)):
                    told[zone] = clc.hosts_version, trio.current_time()
        await clc.nodes_bell.wait(LOOK_SECONDS)


async def _push(clc: "Clc", zone: str, nodes: tuple[ZoneNode, ...]) -> bool:
    version, problem = clc.hosts_version, f"nodes {zone}"
    try:
        in_force = await clc.bus.ask(clc.cc_of(zone), CcSyncNodes(version, nodes), system_call("nodes"))
    except EucaError as error:
        clc.problems[problem] = f"{clc.cc_of(zone)} does not know the newest nodes: {error.message}"
        return False
    clc.problems.pop(problem, None)
    if in_force.version > version:  # our rows were restored from a backup
        await clc.store.write(known_hosts.next_version(clc, in_force.version + 1))
        clc.hosts_bell.ring()
        clc.nodes_bell.ring()
        return False
    return version == clc.hosts_version


async def tell_own(clc: "Clc") -> None:
    """This host believes a new one before that one hears that it has joined; the others follow."""
    if clc.own_host is not None:
        await _tell(clc, clc.own_host)
    clc.hosts_bell.ring()


async def tell(clc: "Clc") -> None:
    """The version that is in force now, to every host that has another one."""
    everyone = known_hosts.everyone(clc)
    for host_id in clc.seen_hosts.keys() - {host.host_id for host in everyone}:
        del clc.seen_hosts[host_id]
    with trio.move_on_after(TELL_SECONDS):
        async with trio.open_nursery() as asks:
            for host in everyone:
                asks.start_soon(partial(_tell, clc, host))


async def _tell(clc: "Clc", host: Host) -> None:
    seen = clc.seen_hosts.get(host.host_id, known_hosts.Seen())
    knows = seen.report.peers_version if seen.report is not None and not seen.error else -1
    version = clc.hosts_version
    op = HostConfigurePeers(version, () if knows == version else hosts.peers_of(clc, host))
    try:
        report = await clc.bus.ask(agent_of(host.host_id), op, system_call("hosts"))
        if report.peers_version < version and not op.peers:
            op = HostConfigurePeers(version, hosts.peers_of(clc, host))
            report = await clc.bus.ask(agent_of(host.host_id), op, system_call("hosts"))
    except EucaError as error:
        if not seen.error:
            log.warning("%s at %s does not answer: %s", host.name, host.host, error.message)
        clc.seen_hosts[host.host_id] = known_hosts.Seen(seen.report, seen.seen_at, error.message)
        return
    if report.peers_version > clc.hosts_version:
        # Our rows are older than what was told once: they were restored from a backup.
        await clc.store.write(known_hosts.next_version(clc, report.peers_version + 1))
        clc.hosts_bell.ring()
    await _take_settings(clc, host, report.settings)
    clc.seen_hosts[host.host_id] = known_hosts.Seen(report, clc.now(), "")


async def _take_settings(clc: "Clc", host: Host, told: dict[str, str]) -> None:
    """What the network of its zone is like says the host of a cluster controller, and it says no more."""
    settings = {name: value for name, value in told.items() if name in hosts.OF_THE_ZONE}
    if not settings or settings == host.settings or host.component(f"cc@{host.zone}") is None:
        return
    if sum(map(len, settings.values())) <= LONGEST_SETTINGS:
        await clc.hosts.change(host.host_id, lambda h: replace(h, settings=settings))
