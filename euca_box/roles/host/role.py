"""The agent of a host: it is told which hosts to believe, and says how the host is.

The list is kept in a file, so that a host that starts while the cloud controller is away knows its peers.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from euca_box.bus.bus import Desk, Operations
from euca_box.bus.memory import MemoryTransport
from euca_box.bus.peers import Peers
from euca_box.messages.base import Call
from euca_box.messages.hosts import HostConfigurePeers, HostReport
from euca_box.model.errors import UnauthorizedOperation
from euca_box.model.hosts import Peer, agent_of

log = logging.getLogger(__name__)


@dataclass
class HostAgent:
    """`keep(version, peers)` writes the list down, `version` is that of the one in `peers`. `controller`: the
    key of the cloud controller's host, which no list may change."""

    host_id: str
    software: str
    controller: bytes
    peers: Peers
    version: int
    keep: Callable[[int, tuple[Peer, ...]], Awaitable[None]]
    roles: Callable[[], dict[str, str]]
    skews: Callable[[], dict[str, float]]
    settings: dict[str, str] = field(default_factory=dict)  # of its zone, if its cluster controller is here
    changing: trio.Lock = field(default_factory=trio.Lock)


async def configure_peers(agent: HostAgent, call: Call, op: HostConfigurePeers) -> HostReport:
    async with agent.changing:
        if op.version > agent.version and (op.peers or not call.host):
            _check(agent, op.peers, call)
            await agent.keep(op.version, op.peers)
            agent.peers.replace(op.peers)
            agent.version = op.version
            names = ", ".join(sorted(a for p in op.peers for a in p.addresses if "host@" not in a))
            log.info("the hosts of the cloud, version %d: %s", op.version, names or "none but this one")
    return HostReport(agent.software, agent.version, agent.roles(), agent.skews(), agent.settings)


def _check(agent: HostAgent, peers: tuple[Peer, ...], call: Call) -> None:
    """The cloud controller is the one that was joined. Raises UnauthorizedOperation."""
    controllers = {peer.public_key for peer in peers if "clc" in peer.roles}
    expected = {agent.controller} if call.host else set()
    if controllers != expected:
        raise UnauthorizedOperation


async def run(
    agent: HostAgent,
    transport: MemoryTransport,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    await transport.serve(agent_of(agent.host_id), Desk(agent, OPERATIONS), task_status=task_status)


OPERATIONS: Operations = {HostConfigurePeers: configure_peers}
