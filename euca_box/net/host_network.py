"""The network of a real host, in any mode.

Every call is short work in one thread at a time; edge_host.py does it, or bridged.py.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import trio

from euca_box.model.traces import Step
from euca_box.net.bridged import BridgedHost
from euca_box.net.edge_host import EdgeHost
from euca_box.net.foreign import find_foreign_drops
from euca_box.net.network import NetError, NetworkSettings, Port, RemotePort, SecurityGroup
from euca_box.net.trace import trace_host, trace_instance

T = TypeVar("T")
Host = EdgeHost | BridgedHost
_NAME = re.compile(r"[a-z][a-z0-9_]{0,13}")


class HostNetwork:
    """The `Network` of one real host. Needs root. Call `prepare` first."""

    def __init__(self, settings: NetworkSettings) -> None:
        for name in (settings.bridge, settings.table_prefix):
            if not _NAME.fullmatch(name):
                raise NetError(f"{name!r} is no name for a bridge or a table: a-z, 0-9 and _, at most 14")
        self._settings = settings
        self._host: Host | None = None
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def prepare(self) -> None:
        await self._run(self._prepare)

    async def plug(self, port: Port) -> None:
        await self._run(lambda: self._ready().plug(port))

    async def unplug(self, instance_id: str) -> None:
        await self._run(lambda: self._ready().unplug(instance_id))

    async def ports(self) -> list[Port]:
        return await self._run(lambda: self._ready().list_ports())

    async def set_groups(self, groups: Sequence[SecurityGroup]) -> None:
        await self._run(lambda: self._ready().set_groups(groups))

    async def set_remotes(self, hosts: Sequence[str], remotes: Sequence[RemotePort]) -> None:
        await self._run(lambda: self._ready().set_remotes(hosts, remotes))

    async def assign_public(self, public_ip: str, private_ip: str) -> None:
        await self._run(lambda: self._ready().assign_public(public_ip, private_ip))

    async def unassign_public(self, public_ip: str) -> None:
        await self._run(lambda: self._ready().unassign_public(public_ip))

    async def public_addresses(self) -> dict[str, str]:
        return await self._run(lambda: dict(self._ready().state.public))

    async def learned(self) -> dict[str, str]:
        return await self._run(lambda: self._ready().learned())

    async def repair(self) -> list[str]:
        return await self._run(lambda: self._ready().repair())

    async def trace(self, instance_id: str | None) -> list[Step]:
        return await self._run(lambda: list(self._trace(instance_id)))

    async def foreign_drops(self) -> list[str]:
        return await self._run(lambda: find_foreign_drops(self._ready().nft, self._settings))

    async def close(self) -> None:
        await self._run(self._close)

    async def remove(self) -> None:
        await self._run(self._remove)

    def _prepare(self) -> None:
        if self._host is None:
            self._host = self._new_host()
        self._host.prepare()

    def _trace(self, instance_id: str | None) -> Iterator[Step]:
        yield from trace_host(self._ready())
        if instance_id is not None:
            yield from trace_instance(self._ready(), instance_id)

    def _new_host(self) -> Host:
        bridged = self._settings.mode in ("STATIC", "SYSTEM")
        return BridgedHost(self._settings) if bridged else EdgeHost(self._settings)

    def _ready(self) -> Host:
        if self._host is None:
            raise NetError("the network is not prepared")
        return self._host

    def _close(self) -> None:
        if self._host is not None:
            self._host.close()
        self._host = None

    def _remove(self) -> None:
        if self._host is None:
            self._host = self._new_host()
        self._host.remove()
        self._close()

    async def _run(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._one_at_a_time)
