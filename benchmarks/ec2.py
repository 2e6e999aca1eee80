"""How fast the EC2 API answers, at 4 and 64 connections, beside moto where it is installed.

Ours: the whole HTTP server and CLC in a process of its own, with its rows on the disk; below it a cluster
controller that has always room and starts nothing. Moto keeps everything in memory and pages at 100, so its
rate is that of fetching all pages. Requests are signed before the clock starts; nothing is parsed but the
length. The 99th percentile is of whole answers, with all connections waiting at once.
"""

import argparse
import asyncio
import contextlib
import cProfile
import hashlib
import itertools
import pstats
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from benchmarks.s3_servers import free_port
from euca_box.auth.sigv4_sign import sign_headers
from euca_box.messages.cc import Available, CcDescribeResources, Resources
from euca_box.model.accounts import AccessKey, Principal

KEY = AccessKey("AKIABENCHBENCHBENCH2", "bench-secret", Principal("000000000002", "bench", "a" * 64, "bench"))
FORM = "application/x-www-form-urlencoded; charset=utf-8"
COUNTS = (0, 100, 1000, 10_000)
CONNECTIONS = (4, 64)
SECONDS = 3.0
MANY = 100_000
IMAGE_ID = "emi-12345678"


# Our server


async def serve_ec2(
    port: int, count: int, images: int, told: bool, profile: str | None, certificate: str | None
) -> None:
    """`certificate`: a PEM file; who signs SOAP with it is the user of KEY."""
    from euca_box import interpreter
    from euca_box.api.ec2.query import Ec2Query
    from euca_box.api.front import Front
    from euca_box.api.health import Health
    from euca_box.api.server import bind, run_server
    from euca_box.api.soap.ec2 import Ec2Soap
    from euca_box.auth.keyring import Keyring
    from euca_box.auth.notary import Notary
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
        max_instances=10**9,
    )

    async def role(task_status: Any) -> None:
        clc = clc_role.Clc(
            settings,
            BridgedStore(store, bridge),
            bus,
            keyring,
            Sealer(b"k" * 32),
            Notary(folder),
            time.time,
            random.Random(1),
        )
        await clc.load()
        keyring.replace(keyring.version + 1, [KEY])
        await _fill(clc, count, images)
        if told:
            begin = time.perf_counter()
            await clc.instances.load()
            print(f"loaded in {time.perf_counter() - begin:.2f}", flush=True)
        interpreter.settle()
        async with trio.open_nursery() as nursery:
            cc = clc.cc_of(clc.settings.zone)
            await nursery.start(transport.serve, cc, Desk(None, {CcDescribeResources: _room}))
            nursery.start_soon(transport.serve, "clc", Desk(clc, clc_role.OPERATIONS))
            task_status.started()

    async def ask(address: str, op: Any, call: Any) -> Any:
        return await bridge.to_trio(bus.ask, address, op, call)

    try:
        await bridge.start(role)
        if certificate is not None:
            keyring.replace_certificates(_signer(Path(certificate)))
        front = Front(
            ec2=Ec2Query(ask, keyring, _now),
            iam=None,
            s3=None,
            health=Health(dict),
            ec2_soap=Ec2Soap(ask, keyring, _now, f"http://127.0.0.1:{port}"),
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


def _now() -> datetime:
    return datetime.now(UTC)


def _signer(pem: Path) -> dict[bytes, Any]:
    from euca_box.auth.wsse import Signer

    certificate = x509.load_pem_x509_certificate(pem.read_bytes())
    return {certificate.public_bytes(Encoding.DER): Signer(certificate.public_key(), KEY)}


async def _room(_: None, call: Any, op: CcDescribeResources) -> Resources:
    return Resources(tuple(Available(name, 10**6, 10**6) for name, *_ in op.types), ())


async def _fill(clc: Any, count: int, images: int) -> None:
    """Running instances, one to a reservation, each with two tags and the default group; public images."""
    from euca_box.model.images import Image, ImageData, ImageType
    from euca_box.model.instances import Instance, InstanceState
    from euca_box.roles.clc.groups import default_group

    account = KEY.principal.account
    group = await default_group(clc, account)
    records = [
        Instance(
            instance_id=f"i-{n:08x}",
            reservation_id=f"r-{n:08x}",
            account=account,
            image_id=IMAGE_ID,
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
    for begin in range(0, count, 5000):
        await clc.instances.add(records[begin : begin + 5000])
    data = ImageData("b", "k", "e" * 32, "f" * 64, 1 << 20, "raw", 1 << 20, True)
    await clc.images.add(
        [
            Image(f"emi-{0x12345678 + n:08x}", "000000000001", ImageType.MACHINE, f"image {n}", "", "x86_64",
                  1.77e9, data)
            for n in range(max(images, 1))
        ]
    )  # fmt: skip


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


def request(port: int, **parameters: str) -> bytes:
    """A signed POST, ready to send."""
    body = urllib.parse.urlencode({"Version": "2016-11-15", **parameters}).encode()
    headers = sign_headers(
        "POST", f"http://127.0.0.1:{port}/", {"content-type": FORM}, KEY, datetime.now(UTC),
        service="ec2", payload_sha256=hashlib.sha256(body).hexdigest(),
    )  # fmt: skip
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST / HTTP/1.1\r\n{head}content-length: {len(body)}\r\n\r\n".encode() + body


class Connection:
    """One client; connects again where the server closes, as moto does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sent: bytes) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)
        reader, writer = self._streams
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length is not None, head
        body = await reader.readexactly(int(length[1]))
        assert b" 200 " in head.partition(b"\r\n")[0], body
        if b"connection: close" in head.lower():
            self.close()
        return body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


Work = Callable[[Connection], Awaitable[None]]


@dataclass(frozen=True)
class Rate:
    per_second: float
    p50_ms: float
    p99_ms: float


async def load(port: int, work: Work, connections: int, seconds: float) -> Rate:
    """Every connection works, again and again, until the time is over; at least once."""
    spent: list[float] = []
    begin = time.perf_counter()

    async def client() -> None:
        connection = Connection(port)
        while True:
            before = time.perf_counter()
            await work(connection)
            now = time.perf_counter()
            spent.append(now - before)
            if now - begin > seconds:
                break
        connection.close()

    await asyncio.gather(*(client() for _ in range(connections)))
    took = time.perf_counter() - begin
    spent.sort()
    return Rate(len(spent) / took, 1000 * spent[len(spent) // 2], 1000 * spent[int(len(spent) * 0.99)])


def listing(port: int, action: str, each: bytes, expected: int, **parameters: str) -> Work:
    """A whole listing, with all its pages; each page is signed once."""
    signed: dict[str, bytes] = {}

    async def work(connection: Connection) -> None:
        token, found = "", 0
        while True:
            if token not in signed:
                more = {"NextToken": token} if token else {}
                signed[token] = request(port, Action=action, **parameters, **more)
            body = await connection.ask(signed[token])
            found += body.count(each)
            following = re.search(rb"<nextToken>([^<]+)</nextToken>", body)
            if following is None:
                break
            token = following[1].decode()
        assert expected in (found, -1), (expected, found)

    return work


def one(port: int, **parameters: str) -> Work:
    """The same request again and again."""
    sent = request(port, **parameters)

    async def work(connection: Connection) -> None:
        await connection.ask(sent)

    return work


# Servers


def wait_listening(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.05)


@contextlib.contextmanager
def running(argv: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_listening(port)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


# Measures


@dataclass(frozen=True)
class Measure:
    """`make(port, image_id, instance_ids)` gives the work; moto is left out where it takes minutes."""

    name: str
    records: int
    make: Callable[[int, str, list[str]], Work]
    moto: bool = True


def _instances(count: int) -> Measure:
    def make(port: int, image_id: str, instance_ids: list[str]) -> Work:
        return listing(port, "DescribeInstances", b"<instanceState>", count)

    return Measure(f"DescribeInstances, {count}", count, make, moto=count <= 1000)


def _run(count: int) -> Measure:
    def make(port: int, image_id: str, instance_ids: list[str]) -> Work:
        wanted = {"MinCount": str(count), "MaxCount": str(count), "ImageId": image_id}
        return one(port, Action="RunInstances", InstanceType="m1.small", **wanted)

    return Measure(f"RunInstances x{count}", 0, make)


def _tag(port: int, image_id: str, instance_ids: list[str]) -> Work:
    turns = itertools.count()
    signed = [
        request(
            port,
            Action="CreateTags",
            **{"ResourceId.1": instance_ids[n % len(instance_ids)], "Tag.1.Key": "k", "Tag.1.Value": str(n)},
        )
        for n in range(1000)
    ]

    async def work(connection: Connection) -> None:
        await connection.ask(signed[next(turns) % len(signed)])

    return work


def _images(port: int, image_id: str, instance_ids: list[str]) -> Work:
    return listing(port, "DescribeImages", b"<imageId>", -1)


def _page_of_many(port: int, image_id: str, instance_ids: list[str]) -> Work:
    wanted = {"Filter.1.Name": "tag:Name", "Filter.1.Value.1": "server 5*", "MaxResults": "100"}
    return one(port, Action="DescribeInstances", **wanted)


MEASURES = (
    *(_instances(count) for count in COUNTS),
    _run(1),
    _run(50),
    Measure("CreateTags", 100, _tag),
    Measure("DescribeImages", 0, _images),
)


def ours(measure: Measure, connections: int, images: int, seconds: float) -> Rate:
    port = free_port()
    argv = [sys.executable, "-m", "benchmarks.ec2", "--serve", str(port), str(measure.records), str(images)]
    with running(argv, port):
        work = measure.make(port, IMAGE_ID, [f"i-{n:08x}" for n in range(max(measure.records, 1))])
        return _measured(port, work, connections, seconds)


def theirs(program: str, measure: Measure, connections: int, seconds: float) -> Rate:
    port = free_port()
    with running([program, "-p", str(port)], port):
        image_id, instance_ids = asyncio.run(_fill_moto(port, measure.records))
        return _measured(port, measure.make(port, image_id, instance_ids), connections, seconds)


def _measured(port: int, work: Work, connections: int, seconds: float) -> Rate:
    async def measured() -> Rate:
        await load(port, work, 1, 0)  # what is made at the first request
        return await load(port, work, connections, seconds)

    return asyncio.run(measured())


async def _fill_moto(port: int, count: int) -> tuple[str, list[str]]:
    connection = Connection(port)
    found = re.search(rb"<imageId>(ami-[^<]+)", await connection.ask(request(port, Action="DescribeImages")))
    assert found is not None
    image_id, instance_ids = found[1].decode(), ["i-0"]
    for begin in range(0, count, 100):  # one to a reservation would take minutes
        size = str(min(100, count - begin))
        wanted = {"MinCount": size, "MaxCount": size, "ImageId": image_id}
        body = await connection.ask(request(port, Action="RunInstances", **wanted))
        instance_ids = [name.decode() for name in re.findall(rb"<instanceId>([^<]+)", body)]
    connection.close()
    return image_id, instance_ids


def count_moto_images(program: str) -> int:
    port = free_port()
    with running([program, "-p", str(port)], port):
        body = asyncio.run(Connection(port).ask(request(port, Action="DescribeImages")))
        return body.count(b"<imageId>")


def measure_many(seconds: float) -> None:
    """How long the rows of many instances take to load, and a filtered page of 100 of them."""
    port = free_port()
    argv = [sys.executable, "-m", "benchmarks.ec2", "--serve", str(port), str(MANY), "0", "--told"]
    told = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert told.stdout is not None
    try:
        loaded = next(line for line in told.stdout if line.startswith("loaded"))
        wait_listening(port)
        rate = _measured(port, _page_of_many(port, "", []), 1, seconds)
    finally:
        told.terminate()
        told.wait(30)
    print(f"\n{MANY:,} instances: {loaded.strip()} s (aim: 3)")
    print(f"a filtered page of 100 of them: {rate.p50_ms:.1f} ms (aim: 10)")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--only", default="", help="Measures whose name has this.")
    parser.add_argument("--without-moto", action="store_true")
    parser.add_argument("--serve", nargs=3, type=int, metavar=("PORT", "INSTANCES", "IMAGES"))
    parser.add_argument(
        "--told", action="store_true", help="With --serve: load the rows once more, say how long."
    )
    parser.add_argument("--certificate", help="With --serve: a PEM file, of who signs SOAP.")
    parser.add_argument("--profile", help="With --serve: where to write the profile.")
    asked = parser.parse_args()
    if asked.serve:
        with contextlib.suppress(ImportError):
            import uvloop

            asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
        asyncio.run(serve_ec2(*asked.serve, asked.told, asked.profile, asked.certificate))
        return
    moto = None if asked.without_moto else shutil.which("moto_server", path=str(Path(sys.executable).parent))
    images = count_moto_images(moto) if moto else 100
    print(f"{'':26}{'c':>3}{'euca-box /s':>12}{'p50 ms':>8}{'p99 ms':>8}{'moto /s':>10}{'ratio':>7}")
    for measure in MEASURES:
        for connections in CONNECTIONS if asked.only in measure.name else ():
            rate = ours(measure, connections, images, asked.seconds)
            line = (
                f"{measure.name:26}{connections:3}{rate.per_second:12.1f}{rate.p50_ms:8.1f}{rate.p99_ms:8.1f}"
            )
            if moto and measure.moto:
                other = theirs(moto, measure, connections, asked.seconds)
                line += f"{other.per_second:10.2f}{rate.per_second / other.per_second:7.0f}"
            print(line, flush=True)
    if asked.only in "many":
        measure_many(asked.seconds)


if __name__ == "__main__":
    main()
