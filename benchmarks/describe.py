"""How fast DescribeInstances answers with 100 and 1000 instances, beside moto where it is installed.

Ours: the whole HTTP server and CLC in a process of its own, records put straight into the CLC's rows, no
guests. Moto pages at 100, so its rate is that of fetching all pages. Requests are signed before the
clock starts and sent over one kept connection; nothing is parsed but the length.
"""

import argparse
import asyncio
import contextlib
import cProfile
import hashlib
import http.client
import pstats
import random
import re
import shutil
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.s3 import free_port, running
from euca_box.auth.sigv4_sign import sign_headers
from euca_box.model.accounts import AccessKey, Principal

KEY = AccessKey("AKIABENCHBENCHBENCH2", "bench-secret", Principal("000000000002", "bench", "a" * 64, "bench"))
FORM = "application/x-www-form-urlencoded; charset=utf-8"
COUNTS = (100, 1000)
SECONDS = 3.0
AIM = 50  # times the rate of moto


# Our server


async def serve_ec2(port: int, count: int, profile: str | None) -> None:
    from euca_box.api.ec2.query import Ec2Query
    from euca_box.api.front import Front
    from euca_box.api.health import Health
    from euca_box.api.server import bind, run_server
    from euca_box.auth.keyring import Keyring
    from euca_box.auth.secrets import Sealer
    from euca_box.bridge import Bridge
    from euca_box.bus.bus import Bus, Desk
    from euca_box.bus.memory import MemoryTransport
    from euca_box.model.instances import VmType
    from euca_box.roles.clc import role as clc_role
    from euca_box.store.bridged_store import BridgedStore
    from euca_box.store.sqlite_store import open_store

    folder = Path(tempfile.mkdtemp())
    store = await open_store(folder / "clc.db", clc_role.MIGRATIONS)
    bridge, transport, keyring = Bridge(), MemoryTransport(), Keyring()
    bus = Bus(transport)
    settings = clc_role.ClcSettings(
        "us-east-1",
        "us-east-1a",
        "000000000001",
        f"http://127.0.0.1:{port}",
        (VmType("m1.small", 1, 128, 10),),
    )

    async def role(task_status: Any) -> None:
        clc = clc_role.Clc(
            settings,
            BridgedStore(store, bridge),
            bus,
            keyring,
            Sealer(b"k" * 32),
            time.time,
            random.Random(1),
        )
        await clc.load()
        keyring.replace(keyring.version + 1, [KEY])
        await _fill(clc, count)
        await transport.serve("clc", Desk(clc, clc_role.OPERATIONS), task_status=task_status)

    async def ask(address: str, op: Any, call: Any) -> Any:
        return await bridge.to_trio(bus.ask, address, op, call)

    try:
        await bridge.start(role)
        front = Front(
            ec2=Ec2Query(ask, keyring, lambda: datetime.now(UTC)), iam=None, s3=None, health=Health(dict)
        )
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(15, stop.set)

        async def stopped() -> None:
            await stop.wait()

        with _profiled(profile):
            await run_server(front, bind("127.0.0.1", port, None, "port"), stopped)
        await bridge.stop()
        await store.close()
    finally:
        shutil.rmtree(folder)


async def _fill(clc: Any, count: int) -> None:
    """Running instances, one to a reservation, each with two tags and the default group."""
    from euca_box.model.instances import Instance, InstanceState
    from euca_box.roles.clc.groups import default_group

    account = KEY.principal.account
    group = await default_group(clc, account)
    records = [
        Instance(
            instance_id=f"i-{n:08x}",
            reservation_id=f"r-{n:08x}",
            account=account,
            image_id="emi-12345678",
            instance_type="m1.small",
            zone="us-east-1a",
            state=InstanceState.RUNNING,
            launch_time=1.77e9 + n,
            launch_index=0,
            deadline=0.0,
            group_ids=(group.group_id,),
            kernel_id="eki-12345678",
            ramdisk_id="eri-12345678",
            key_name="key",
            placed=True,
            private_ip=f"172.31.{n // 250}.{n % 250 + 4}",
            public_ip=f"172.30.{n // 250}.{n % 250 + 4}",
            tags=(("Name", f"server {n}"), ("env", "bench")),
        )
        for n in range(count)
    ]
    await clc.instances.add(records)


@contextlib.contextmanager
def _profiled(path: str | None) -> Iterator[None]:
    if path is None:
        yield
        return
    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        pstats.Stats(profile).dump_stats(path)


# Requests


def signed(port: int, **parameters: str) -> tuple[bytes, dict[str, str]]:
    pairs = {"Action": "DescribeInstances", "Version": "2016-11-15", **parameters}
    body = urllib.parse.urlencode(pairs).encode()
    headers = sign_headers(
        "POST", f"http://127.0.0.1:{port}/", {"content-type": FORM}, KEY, datetime.now(UTC),
        service="ec2", payload_sha256=hashlib.sha256(body).hexdigest(),
    )  # fmt: skip
    return body, headers


def fetch_all(connection: http.client.HTTPConnection, port: int, requests: dict[str, Any]) -> tuple[int, int]:
    """Every page; how many instances and bytes there were. `requests` keeps what was signed before."""
    token, instances, size = "", 0, 0
    while True:
        if token not in requests:
            requests[token] = signed(port, **({"NextToken": token} if token else {}))
        body, headers = requests[token]
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status == 200, data
        size += len(data)
        instances += data.count(b"<instanceState>")
        found = re.search(rb"<nextToken>([^<]+)</nextToken>", data)
        if found is None:
            return instances, size
        token = found[1].decode()


def measure(port: int, count: int, seconds: float) -> tuple[float, int]:
    """Full listings a second, and the bytes of one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    requests: dict[str, Any] = {}
    instances, size = fetch_all(connection, port, requests)
    assert instances == count, (instances, count)
    done, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds or not done:
        fetch_all(connection, port, requests)
        done += 1
    rate = done / (time.perf_counter() - begin)
    connection.close()
    return rate, size


def measure_ours(count: int, seconds: float, profile: str | None = None) -> tuple[float, int]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.describe", "--serve", str(port), str(count)]
    with running([*command, *(["--profile", profile] if profile else [])], port):
        return measure(port, count, seconds)


def measure_moto(program: str, count: int, seconds: float) -> tuple[float, int]:
    port = free_port()
    with running([program, "-p", str(port)], port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        body, headers = signed(port, Action="DescribeImages")
        connection.request("POST", "/", body, headers)
        found = re.search(rb"<imageId>(ami-[^<]+)", connection.getresponse().read())
        assert found is not None
        for begin in range(0, count, 100):  # one to a reservation would take minutes
            size = str(min(100, count - begin))
            body, headers = signed(
                port, Action="RunInstances", ImageId=found[1].decode(), MinCount=size, MaxCount=size
            )
            connection.request("POST", "/", body, headers)
            assert connection.getresponse().read()
        connection.close()
        return measure(port, count, seconds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--serve", nargs=2, type=int, metavar=("PORT", "COUNT"))
    parser.add_argument("--profile", help="With --serve: where to write the profile.")
    asked = parser.parse_args()
    if asked.serve:
        with contextlib.suppress(ImportError):
            import uvloop

            asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        asyncio.run(serve_ec2(asked.serve[0], asked.serve[1], asked.profile))
        return
    moto = shutil.which("moto_server", path=str(Path(sys.executable).parent))
    print(f"{'':16}{'euca-box /s':>12}{'ms':>8}{'kB':>8}{'moto /s':>10}{'ms':>9}{'ratio':>8}")
    for count in COUNTS:
        rate, size = measure_ours(count, asked.seconds)
        line = f"{count:>5} instances {rate:12.1f}{1000 / rate:8.2f}{size / 1000:8.0f}"
        if moto:
            theirs, _ = measure_moto(moto, count, asked.seconds)
            line += f"{theirs:10.3f}{1000 / theirs:9.0f}{rate / theirs:8.0f}  (aim: {AIM})"
        print(line, flush=True)


if __name__ == "__main__":
    main()
