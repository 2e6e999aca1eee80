"""What it costs to ask a role: in the same process, and on another host by signed REST over TLS (loopback).

The other host is a process of its own. Its role answers at once; one caller asks, then sixteen at a time.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from benchmarks.load import cpu_seconds
from euca_box.auth.host_messages import HostKey, load_or_make
from euca_box.bus.bus import Bus, Desk
from euca_box.bus.memory import MemoryTransport
from euca_box.bus.peers import Peer, Peers
from euca_box.bus.remote import RemoteTransport
from euca_box.messages.base import Done, Op, system_call

ADDRESS, CALL = "cc@z1", system_call("bench")
LOCAL, SECONDS, CALLERS = 5000, 3.0, (1, 16)
AIM_LOCAL_US, AIM_REMOTE = 60, 1500


@dataclass(frozen=True)
class Nothing(Op[Done], role="cc", timeout=10):
    instance_id: str = "i-12345678"


async def nothing(role: object, call: Any, op: Nothing) -> Done:
    return Done()


OPERATIONS = {Nothing: nothing}


async def local_us() -> float:
    transport = MemoryTransport()
    bus, spent = Bus(transport), []
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.serve, ADDRESS, Desk(None, OPERATIONS))
        for _ in range(LOCAL):
            before = time.perf_counter()
            await bus.ask(ADDRESS, Nothing(), CALL)
            spent.append(time.perf_counter() - before)
        nursery.cancel_scope.cancel()
    return 1e6 * statistics.median(spent)


async def remote(transport: RemoteTransport, callers: int) -> float:
    """Asks in a second."""
    bus, done, ends = Bus(transport), 0, time.perf_counter() + SECONDS

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < ends:
            await bus.ask(ADDRESS, Nothing(), CALL)
            done += 1

    await bus.ask(ADDRESS, Nothing(), CALL)
    begin = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(caller)
    return done / (time.perf_counter() - begin)


def serve(folder: Path) -> None:
    """The other host: writes its port to the folder."""
    from euca_box.api.roles.app import RoleBus
    from euca_box.api.server import bind, run_server
    from euca_box.auth.certificates import certify_host
    from euca_box.bridge import Bridge

    async def main() -> None:
        key, client = (load_or_make(folder / name) for name in ("server", "client"))
        tls = folder / "host.pem", folder / "host.key"
        certify_host(key.private, *tls)
        bridge, transport = Bridge(), MemoryTransport()
        bus = Bus(transport)

        async def role(task_status: Any) -> None:
            await transport.serve(ADDRESS, Desk(None, OPERATIONS), task_status=task_status)

        async def ask(address: str, op: Any, call: Any) -> Any:
            return await bridge.to_trio(bus.ask, address, op, call)

        await bridge.start(role)
        listener = bind("127.0.0.1", 0, tls, "port")
        peers = Peers([Peer(client.public, "127.0.0.1", 1, ("clc",))])
        app = RoleBus(ask, lambda: {ADDRESS: {"Nothing": Nothing}}, peers, key.host_id, client.public)
        (folder / "port.new").write_text(str(listener.port))
        (folder / "port.new").rename(folder / "port")
        await run_server(app, listener, asyncio.Event().wait)  # type: ignore[arg-type]

    asyncio.run(main())


async def measure_remote(client: HostKey, peer: Peer, pid: int) -> None:
    transport = RemoteTransport(client, Peers([peer]))
    for callers in CALLERS:
        server, own, begin = cpu_seconds(pid), time.process_time(), time.perf_counter()
        rate = await remote(transport, callers)
        asked = rate * (time.perf_counter() - begin)
        there = 1e6 * (cpu_seconds(pid) - server) / asked
        here = 1e6 * (time.process_time() - own) / asked
        print(
            f"{f'another host, {callers} callers':32}{rate:10.0f} /s{there:10.0f} us there{here:8.0f} us here"
        )
    await transport.close()


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] == "--serve":
        serve(Path(sys.argv[2]))
        return
    import tempfile

    print(f"{'this process, median':32}{trio.run(local_us):10.0f} us   (aim: {AIM_LOCAL_US})")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        keys = {who: load_or_make(folder / who) for who in ("server", "client")}
        process = subprocess.Popen([sys.executable, "-m", "benchmarks.bus", "--serve", name])
        try:
            while not (folder / "port").exists():
                time.sleep(0.05)
            peer = Peer(keys["server"].public, "127.0.0.1", int((folder / "port").read_text()), (ADDRESS,))
            trio.run(measure_remote, keys["client"], peer, process.pid)
        finally:
            process.terminate()
            process.wait()
    print(f"aim: {AIM_REMOTE} asks a second of another host")


if __name__ == "__main__":
    main()
