"""What nodes must know of each other: where each is, and which instances are on the others.

It follows from the placements, so it is held in memory only. Each change has a version; a node is told what
changed after the one it knows, or everything when it is not known what it knows.
"""

import itertools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from euca_box.messages.base import system_call
from euca_box.messages.instance_spec import RemoteInstance
from euca_box.messages.nc import NcConfigureNetwork
from euca_box.model import ids
from euca_box.model.errors import EucaError

if TYPE_CHECKING:
    from euca_box.roles.cc.nodes import NodeView
    from euca_box.roles.cc.role import Cc, Placed

log = logging.getLogger(__name__)

AT_ONCE = 32  # nodes that are told at the same time
GONE_KEPT = 10_000  # ids of instances that are no longer there; who missed more is told everything


@dataclass(frozen=True, slots=True)
class _Where:
    node: str
    remote: RemoteInstance


class Remotes:
    def __init__(self) -> None:
        self.hosts: dict[str, str] = {}  # node -> its address between the nodes
        self.version = 0
        self.forgotten = 0  # who knows less than this version is told everything
        self._where: dict[str, _Where] = {}
        self._changed_at: dict[str, int] = {}  # the last one changed last

    def note(self, placed: "Placed", now: float) -> None:
        """Take in what became of an instance."""
        instance_id, node = placed.spec.instance_id, placed.placement.node
        there = node in self.hosts and placed.gone_at is None and not placed.stopped
        where = None
        if there and placed.placement.private_ip:
            where = _Where(node, _remote(placed, self.hosts[node]))
        if self._where.get(instance_id) == where:
            return
        if where is None:
            del self._where[instance_id]
        else:
            self._where[instance_id] = where
        self._grow(now)
        self._changed_at.pop(instance_id, None)
        self._changed_at[instance_id] = self.version
        self._prune()

    def note_host(self, node: str, address: str, now: float) -> bool:
        """Take in where a node is (empty: nowhere); whether that is new; then note its instances."""
        if self.hosts.get(node, "") == address:
            return False
        if address:
            self.hosts[node] = address
        else:
            del self.hosts[node]
        self._grow(now)
        return True

    def news_for(self, node: str, known: int) -> NcConfigureNetwork:
        hosts = tuple(sorted(address for name, address in self.hosts.items() if name != node))
        if known < self.forgotten:
            remotes = [w.remote for w in self._where.values() if w.node != node]
            return NcConfigureNetwork(self.version, hosts, _sorted(remotes))
        changed = itertools.takewhile(lambda i: self._changed_at[i] > known, reversed(self._changed_at))
        found = {i: self._where.get(i) for i in changed}
        remotes = [w.remote for w in found.values() if w is not None and w.node != node]
        gone = sorted(i for i, w in found.items() if w is None or w.node == node)
        return NcConfigureNetwork(self.version, hosts, _sorted(remotes), known, tuple(gone))

    def _grow(self, now: float) -> None:
        """Versions are above those of a process before this one."""
        self.version = max(self.version + 1, int(now * 1000))

    def _prune(self) -> None:
        if len(self._changed_at) > len(self._where) + GONE_KEPT:
            for instance_id in [i for i in self._changed_at if i not in self._where]:
                self.forgotten = max(self.forgotten, self._changed_at.pop(instance_id))


def _remote(placed: "Placed", host: str) -> RemoteInstance:
    return RemoteInstance(
        instance_id=placed.spec.instance_id,
        mac=placed.placement.mac or ids.mac_of(placed.spec.instance_id),
        private_ip=placed.placement.private_ip,
        group_ids=placed.spec.group_ids,
        host=host,
        public_ip=placed.placement.public_ip or "",
        tag=placed.placement.tag,
    )


def _sorted(remotes: list[RemoteInstance]) -> tuple[RemoteInstance, ...]:
    return tuple(sorted(remotes, key=lambda remote: remote.instance_id))


def note_host(cc: "Cc", node: str, address: str) -> None:
    if cc.remotes.note_host(node, address, cc.now()):
        for instance_id in cc.residents.get(node, ()):
            cc.remotes.note(cc.placed[instance_id], cc.now())
        cc.changed()


async def tell_nodes(cc: "Cc") -> None:
    """Each node that is up knows of the others; those that cannot be told now are told by the loop."""
    if len(cc.nodes) < 2:
        return
    limit = trio.CapacityLimiter(AT_ONCE)
    async with trio.open_nursery() as nursery:
        for node in cc.nodes.values():
            if node.up and node.network_version < cc.remotes.version:
                nursery.start_soon(_tell, cc, node, limit)


async def _tell(cc: "Cc", node: "NodeView", limit: trio.CapacityLimiter) -> None:
    async with limit:
        op = cc.remotes.news_for(node.address, node.network_version)
        try:
            await cc.bus.ask(node.address, op, system_call("network"))
            node.network_version = op.version
        except EucaError as error:
            node.network_version = -1  # what it knows is unknown
            log.warning("%s does not know of the other nodes: %s", node.address, error.message)
