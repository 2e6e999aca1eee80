"""A host with one role, `cc@z1`, behind its role bus: a loop of its own in a thread, TLS, a real socket."""

import asyncio
import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from euca_box.api.roles.app import RoleBus
from euca_box.api.server import bind, run_server
from euca_box.auth.certificates import certify_host
from euca_box.auth.host_messages import HostKey
from euca_box.bridge import Bridge
from euca_box.bus.bus import Bus, Desk, Operations
from euca_box.bus.memory import MemoryTransport
from euca_box.bus.peers import Peer, Peers
from euca_box.bus.remote import RemoteTransport
from euca_box.bus.results import StoredResults
from euca_box.roles.cc.role import MIGRATIONS
from euca_box.store.sync_store import SyncStore

ADDRESS = "cc@z1"


def new_key() -> HostKey:
    return HostKey(Ed25519PrivateKey.generate())


@dataclass
class RoleHost:
    role: Any
    key: HostKey = field(default_factory=new_key)
    client: HostKey = field(
        default_factory=new_key
    )  # of the host with the cloud controller, which has joined
    peers: Peers = field(default_factory=Peers)  # whom the host trusts
    port: int = 0
    loop: asyncio.AbstractEventLoop | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def peer(self) -> Peer:
        """As others know it."""
        return Peer(self.key.public, "127.0.0.1", self.port, (ADDRESS,))

    def transport(self, key: HostKey | None = None) -> RemoteTransport:
        return RemoteTransport(key or self.client, Peers([self.peer]))

    def trust(self, key: HostKey, *addresses: str) -> None:
        self.peers.replace([Peer(key.public, "127.0.0.1", 1, addresses)])


@contextlib.contextmanager
def role_host(role: Any, operations: Operations) -> Iterator[RoleHost]:
    host, ready = RoleHost(role), threading.Event()
    host.trust(host.client, "clc")
    folder = Path(tempfile.mkdtemp())
    thread = threading.Thread(target=lambda: asyncio.run(_serve(host, operations, folder, ready)))
    thread.start()
    try:
        assert ready.wait(20)
        yield host
    finally:
        assert host.loop is not None
        host.loop.call_soon_threadsafe(host.stop.set)
        thread.join()
        shutil.rmtree(folder)


async def _serve(host: RoleHost, operations: Operations, folder: Path, ready: threading.Event) -> None:
    tls = folder / "host.pem", folder / "host.key"
    certify_host(host.key.private, *tls)
    bridge, transport = Bridge(), MemoryTransport()
    bus = Bus(transport)

    async def main(task_status: Any) -> None:
        results = StoredResults(SyncStore(MIGRATIONS), time.monotonic)
        await transport.serve(ADDRESS, Desk(host.role, operations, results), task_status=task_status)

    async def ask(address: str, op: Any, call: Any) -> Any:
        return await bridge.to_trio(bus.ask, address, op, call)

    async def stopped() -> None:
        await host.stop.wait()

    await bridge.start(main)
    listener = bind("127.0.0.1", 0, tls, "port")
    host.port, host.loop = listener.port, asyncio.get_running_loop()
    kinds = {ADDRESS: {kind.__name__: kind for kind in operations}}
    app = RoleBus(ask, lambda: kinds, host.peers, host.key.host_id, host.client.public)
    ready.set()
    await run_server(app, listener, stopped)
    await bridge.stop()
