"""This host among the hosts of its cloud: its key, whom it believes, where it listens, where it is.

It listens where it has joined a cloud, or has the cloud controller that others can join.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import trio

import euca_box
from euca_box import joining, membership
from euca_box.api import server
from euca_box.api.roles.app import RoleBus
from euca_box.api.roles.relay import Relays
from euca_box.auth import tickets
from euca_box.bus.bus import Operations
from euca_box.bus.memory import MemoryTransport
from euca_box.bus.peers import Peers
from euca_box.bus.remote import RemoteTransport
from euca_box.config import Config
from euca_box.datadir import DataDir
from euca_box.initialise import host_addresses
from euca_box.membership import Membership
from euca_box.messages.base import Call, Op, system_call
from euca_box.messages.hosts import AnnounceHost, Welcome
from euca_box.model.errors import EucaError
from euca_box.model.hosts import Component, Host, Peer, address_of
from euca_box.roles.cc import role as cc_role
from euca_box.roles.clc import role as clc_role
from euca_box.roles.host import role as host_role
from euca_box.roles.nc import role as nc_role
from euca_box.roles.sc import role as sc_role
from euca_box.roles.walrus import role as walrus_role
from euca_box.services import service

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
AGAIN_SECONDS = 2.0
OPERATIONS: Mapping[str, Operations] = {
    "clc": clc_role.OPERATIONS,
    "walrus": walrus_role.OPERATIONS,
    "cc": cc_role.OPERATIONS,
    "sc": sc_role.OPERATIONS,
    "nc": nc_role.OPERATIONS,
    "host": host_role.OPERATIONS,
}

Ask = Callable[[str, Op[Any], Call], Awaitable[Any]]


@dataclass
class HostBus:
    """`listeners` are bound, `problem` says why none is."""

    config: Config
    data: DataDir
    roles: tuple[str, ...]
    joined: Membership | None
    name: str
    listeners: list[server.Listener] = field(default_factory=list)
    problem: str = ""

    def __post_init__(self) -> None:
        self.key = membership.host_key(self.data)
        known = membership.known_peers(self.data)
        self.peers, self._known_version = Peers(known.peers), known.version
        self.remote = RemoteTransport(self.key, self.peers)
        self._kinds = {
            role: {kind.__name__: kind for kind in (*operations, *service.OPERATIONS)}
            for role, operations in OPERATIONS.items()
        }
        self._addresses: list[str] = []  # that it listens on
        self.address = ""  # at which others reach it

    # Listening

    @property
    def listens(self) -> bool:
        return "clc" in self.roles or self.joined is not None

    @property
    def url(self) -> str:
        return f"https://{self.address}:{self.port}" if self.listeners and self.address else ""

    @property
    def port(self) -> int:
        return self.listeners[0].port if self.listeners else self.config.bus.port

    @property
    def controller_url(self) -> str:
        """Where the cloud controller is; empty where it is here."""
        clc = self.peers.at("clc")
        return f"https://{clc.host}:{clc.port}" if clc is not None else ""

    def bind(self) -> None:
        """Raises PortTaken, unless nobody depends on it: a cloud of one host works without it."""
        if not self.listens:
            return
        try:
            for address in self._wanted():
                self.listeners.append(self._bound(address))
        except server.PortTaken as error:
            if self.joined is not None or self.peers.all():
                raise
            for listener in self.listeners:
                listener.bound.close()
            self.listeners, self._addresses, self.problem = [], [], str(error)
            log.warning("other hosts cannot join: %s", error)
        self.address = self._own_address() if self.listeners else ""

    def _wanted(self) -> list[str]:
        listen = self.config.bus.listen
        return host_addresses(without=self.config.network.bridge) if listen == ["auto"] else listen

    def _bound(self, address: str) -> server.Listener:
        port = self.listeners[0].port if self.listeners else self.config.bus.port
        listener = server.bind(address, port, membership.tls_files(self.data), "bus.port")
        self._addresses.append(address)
        return listener

    def _own_address(self) -> str:
        """As set, as it joined, or the first one that it has."""
        here = host_addresses(without=self.config.network.bridge)
        if self.config.bus.address:
            return self.config.bus.address
        if self.joined is not None and self.joined.address in here:
            return self.joined.address
        if self.joined is not None and (clc := self.peers.at("clc")) is not None:
            try:
                return joining.way_to(clc.host, clc.port)
            except OSError:
                return self.joined.address
        return next((a for a in self._addresses if a != "0.0.0.0"), next(iter(here), ""))  # noqa: S104

    def relays(self, transport: MemoryTransport) -> Relays:
        """Consoles of guests, here and on other hosts."""

        def is_here(address: str) -> bool:
            return address in transport.addresses()

        return Relays(self.key, self.peers, is_here, self.data.run_dir / "consoles")

    def app(self, ask: Ask, transport: MemoryTransport) -> RoleBus:
        """What other hosts may ask here: the roles that run now."""

        def kinds() -> dict[str, dict[str, type[Op[Any]]]]:
            return {address: self._kinds[address.partition("@")[0]] for address in transport.addresses()}

        relays = self.relays(transport)
        return RoleBus(ask, kinds, self.peers, self.key.host_id, self.controller, relays)

    @property
    def controller(self) -> bytes:
        """The key of the cloud controller's host."""
        return self.joined.controller if self.joined else self.key.public

    def ticket(self, kind: str, *names: str) -> str:
        """Of the cloud controller that runs here."""
        return tickets.write(self.key, kind, *names)

    # As others know it

    def own_host(self, api_port: int) -> Host:
        """For the cloud controller; at no address where no other host could reach it."""
        zone = self.config.cloud.zone
        return Host(
            host_id=self.key.host_id,
            public_key=self.key.public,
            name=self.name,
            host=self.address if self.listeners else "",
            port=self.port,
            zone=zone,
            components=tuple(Component(address_of(role, zone, self.name)) for role in self.roles),
            joined_at=0.0,
            api_port=api_port,
        )

    def agent(self, roles: Callable[[], dict[str, str]], settings: dict[str, str]) -> host_role.HostAgent:
        async def keep(version: int, peers: tuple[Peer, ...]) -> None:
            await trio.to_thread.run_sync(membership.keep_peers, self.data, version, peers)

        return host_role.HostAgent(
            host_id=self.key.host_id,
            software=euca_box.__version__,
            controller=self.controller,
            peers=self.peers,
            version=self._known_version,
            keep=keep,
            roles=roles,
            skews=lambda: dict(self.remote.skew_seconds),
            settings=settings,
        )

    async def close_when_cancelled(self) -> None:
        """Connections belong to trio."""
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await self.remote.close()

    async def follow(
        self,
        ask: Ask,
        api_port: int,
        serve: Callable[[server.Listener], object],
        is_stopped: Callable[[], bool],
    ) -> None:
        """Listen on addresses that come; tell the cloud controller where this host is, and when it moves."""
        told = ""
        while not is_stopped():
            if self.listeners and self.config.bus.listen == ["auto"]:
                for address in set(self._wanted()) - set(self._addresses):
                    try:
                        listener = self._bound(address)
                    except server.PortTaken as error:
                        log.warning("%s", error)
                        continue
                    self.listeners.append(listener)
                    serve(listener)
            if self.joined is not None:
                self.address = self._own_address()
                if told != self.address and await self._announced(ask, api_port):
                    told = self.address
            await asyncio.sleep(LOOK_SECONDS if told or self.joined is None else AGAIN_SECONDS)

    async def _announced(self, ask: Ask, api_port: int) -> bool:
        at = await asyncio.to_thread(joining.own_address, self.data, self.address, self.port, api_port)
        try:
            welcome: Welcome = await ask("clc", AnnounceHost(at), system_call(f"announce-{time.time():.0f}"))
        except EucaError as error:
            log.warning(
                "the cloud controller was not told that this host is at %s: %s", self.address, error.message
            )
            return False
        await asyncio.to_thread(joining.keep_files, self.data, welcome)
        if self.joined is not None:  # settings that changed are in force at the next start
            self.joined = replace(self.joined, settings=welcome.settings, address=self.address)
            await asyncio.to_thread(membership.keep, self.data, self.joined)
        log.info("the cloud controller knows that %s is at %s", self.name, self.address)
        return True
