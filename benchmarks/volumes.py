"""Volumes and snapshots: how long the actions take, what a snapshot costs the guest, I/O through the export.

The pause is the longest write of a writer of 4 KiB blocks, one after the other through the export, while a
copy is taken and made. I/O is qemu-img bench of the same raw file, opened directly, through the export, and
through TLS and the storage daemon of another host (which is this one), in turns. Needs root.
"""

import os
import socket
import statistics
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from benchmarks.images import client_of, timed
from benchmarks.real_cloud import RealCloud, data_folder, enter_own_network, real_cloud
from euca_box.blockstore.engine import Connection
from euca_box.blockstore.files import FileEngine
from euca_box.blockstore.relay import Relay

GIB, MIB = 1 << 30, 1 << 20
TURNS = 12
ZONE = "us-east-1a"
IO = (("4 KiB reads, depth 16", "4k", 16, False), ("4 KiB writes, depth 16", "4k", 16, True),
      ("1 MiB reads, depth 8", "1M", 8, False))  # fmt: skip


def main() -> None:
    if not enter_own_network("benchmarks.volumes"):
        return
    with data_folder() as data_dir, real_cloud(data_dir) as cloud:
        cloud.wait_for_node()
        ec2 = client_of(cloud, "ec2")
        actions(ec2)
        snapshots(cloud, ec2)
    pause()
    throughput()


def actions(ec2: Any) -> None:
    times: dict[str, list[float]] = {name: [] for name in ("create", "delete")}
    for _ in range(TURNS):
        begin = time.perf_counter()
        volume = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
        until(lambda v=volume: state_of(ec2, v) == "available")
        times["create"].append(time.perf_counter() - begin)
        begin = time.perf_counter()
        ec2.delete_volume(VolumeId=volume)
        until(lambda v=volume: not exists(ec2, v))
        times["delete"].append(time.perf_counter() - begin)
    for name, seconds in times.items():
        print(f"{name:30} p50 {statistics.median(seconds) * 1000:7.0f} ms  max {max(seconds) * 1000:7.0f} ms")


def snapshots(cloud: RealCloud, ec2: Any) -> None:
    """10 GiB with 1 GiB of data that does not compress, beside a plain upload of the same bytes."""
    volume = ec2.create_volume(AvailabilityZone=ZONE, Size=10)["VolumeId"]
    until(lambda: state_of(ec2, volume) == "available")
    raw = cloud.data_dir / "sc" / "volumes" / f"{volume}.raw"
    write(raw, [(n * MIB, MIB) for n in range(0, 2048, 2)])
    plain = upload(cloud)
    first = timed(lambda: taken.append(snapshot(ec2, volume)))
    print(f"{'plain S3 upload of 1 GiB':30} {plain:7.2f} s")
    print(f"{'snapshot of it to completed':30} {first:7.2f} s  {plain / first:.0%} of the rate (aim 70 %)")
    for name in ("volume of the snapshot", "a second one"):
        begin = time.perf_counter()
        made = restored(ec2, taken[0])
        ready = time.perf_counter() - begin
        until(lambda m=made: not (raw.parent / f"{m}.lazy").exists(), 0.05)
        filled = time.perf_counter() - begin
        print(f"{name:30} {ready:7.2f} s  until it can be attached (aim 2 s); filled after {filled:.1f} s")
    # Without a holder the daemon ends, and what changed is found by comparing: all is read, new is sent.
    for name, places in (
        ("64 MiB in one piece", [(n * MIB, MIB) for n in range(64)]),
        ("1000 x 4 KiB scattered", [(n * 2 * MIB + 4096, 4096) for n in range(1000)]),
    ):
        before = stored(cloud)
        write(raw, places)
        seconds = timed(lambda: snapshot(ec2, volume))
        print(
            f"{'after ' + name:30} {seconds:7.2f} s  {(stored(cloud) - before) / MIB:.0f} MiB more in Walrus"
        )


taken: list[str] = []


def snapshot(ec2: Any, volume: str) -> str:
    made = str(ec2.create_snapshot(VolumeId=volume)["SnapshotId"])
    until(lambda: ec2.describe_snapshots(SnapshotIds=[made])["Snapshots"][0]["State"] == "completed", 0.02)
    return made


def restored(ec2: Any, snapshot_id: str) -> str:
    made = str(ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot_id)["VolumeId"])
    until(lambda: state_of(ec2, made) == "available")
    return made


def upload(cloud: RealCloud) -> float:
    s3 = client_of(cloud, "s3")
    s3.create_bucket(Bucket="plain")
    with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
        for _ in range(1024):
            file.write(os.urandom(MIB))
        file.flush()
        seconds = timed(lambda: s3.upload_file(file.name, "plain", "gib"))
    s3.delete_object(Bucket="plain", Key="gib")
    return seconds


def stored(cloud: RealCloud) -> int:
    folder = cloud.data_dir / "walrus" / "objects"
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write(raw: Path, places: list[tuple[int, int]]) -> None:
    with raw.open("r+b") as file:
        for offset, length in places:
            file.seek(offset)
            file.write(os.urandom(length))
        os.fsync(file.fileno())


def pause() -> None:
    """Of a writer through the export, while copies of 1 GiB of data are taken and made."""

    async def run(folder: Path) -> None:
        engine = FileEngine(folder / "sc", folder / "run")
        await engine.create("vol-1", 10 * GIB)
        write(folder / "sc" / "volumes" / "vol-1.raw", [(n * MIB, MIB) for n in range(1024)])
        found = await engine.export("vol-1", 1, None)
        writer = Writer(str(found.socket), found.export)
        writer.thread.start()
        await trio.sleep(2)
        calm = writer.take()
        for name in ("first", "second"):
            begin = time.perf_counter()
            await engine.begin_copy("vol-1", name, "first" if name == "second" else None)
            while (await engine.copy_progress("vol-1", name)).state == "copying":
                await trio.sleep(0.01)
            seconds, worst = time.perf_counter() - begin, writer.take()
            print(
                f"{'copy, ' + name:30} {seconds:7.2f} s  longest write {worst * 1000:.0f} ms, "
                f"{calm * 1000:.0f} ms without one (aim 100 ms)"
            )
            await engine.drop_copy("vol-1", name)
        writer.stop = True
        await trio.to_thread.run_sync(writer.thread.join)
        await engine.delete("vol-1")

    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ebv") as folder:
        trio.run(run, Path(folder))


class Writer:
    """Speaks NBD itself (the protocol's newstyle negotiation, NBD_OPT_GO), so that each write is timed."""

    def __init__(self, path: str, export: str) -> None:
        self.stop, self.worst = False, 0.0
        self.thread = threading.Thread(target=self._run)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._receive(18)
        self._socket.sendall(struct.pack(">I", 3))  # fixed newstyle, no zeroes
        name = export.encode()
        data = struct.pack(">I", len(name)) + name + struct.pack(">H", 0)
        self._socket.sendall(b"IHAVEOPT" + struct.pack(">II", 7, len(data)) + data)
        while True:
            _, _, kind, length = struct.unpack(">QIII", self._receive(20))
            self._receive(length)
            if kind == 1:
                return

    def take(self) -> float:
        worst, self.worst = self.worst, 0.0
        return worst

    def _run(self) -> None:
        block, number = bytes(4096), 0
        while not self.stop:
            begin = time.perf_counter()
            place = (number * 7 * 4096) % (2 * GIB)
            self._socket.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 1, number, place, 4096) + block)
            self._receive(16)
            self.worst, number = max(self.worst, time.perf_counter() - begin), number + 1

    def _receive(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            data += self._socket.recv(length - len(data))
        return data


def throughput() -> None:
    async def run(folder: Path) -> None:
        engine = FileEngine(folder / "sc", folder / "run")
        await engine.create("vol-1", GIB)
        raw = folder / "sc" / "volumes" / "vol-1.raw"
        write(raw, [(n * MIB, MIB) for n in range(1024)])
        relay = Relay(folder / "relay")
        for name, size, depth, is_write in IO:
            direct, through, far = [], [], []
            for turn in range(3):
                await engine.unexport("vol-1")
                direct.append(bench(["-t", "none", "-n", str(raw)], size, depth, is_write))
                found = await engine.export("vol-1", 2 * turn + 1, None)
                through.append(bench(["-t", "none", uri_of(found)], size, depth, is_write))
                request = await relay.request("vol-1")
                there = await engine.export_remotely("vol-1", 2 * turn + 2, "127.0.0.1", request)
                found = await relay.connect("vol-1", 2 * turn + 2, there, None)
                far.append(bench(["-t", "none", uri_of(found)], size, depth, is_write))
                await relay.disconnect("vol-1")
            base = statistics.median(direct)
            near, tls = base / statistics.median(through), base / statistics.median(far)
            print(f"{name:30} through the export {near:.2f} of the file itself, by TLS {tls:.2f}")
        await engine.delete("vol-1")

    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ebv") as folder:
        trio.run(run, Path(folder))


def uri_of(found: Connection) -> str:
    return f"nbd+unix:///{found.export}?socket={found.socket}"


def bench(target: list[str], size: str, depth: int, is_write: bool) -> float:
    """Seconds."""
    count, step = ("20000", "4096") if size == "4k" else ("1000", str(MIB))
    argv = ["qemu-img", "bench", "-f", "raw", "-c", count, "-d", str(depth), "-s", size, "-S", step]
    return timed(
        lambda: subprocess.run(
            [*argv, *(["-w"] if is_write else []), *target], check=True, stdout=subprocess.DEVNULL
        )
    )


def state_of(ec2: Any, volume: str) -> str:
    return str(ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"])


def exists(ec2: Any, volume: str) -> bool:
    return bool(ec2.describe_volumes(Filters=[{"Name": "volume-id", "Values": [volume]}])["Volumes"])


def until(is_true: Callable[[], bool], seconds: float = 0.005) -> None:
    deadline = time.perf_counter() + 300
    while not is_true():
        if time.perf_counter() > deadline:
            raise RuntimeError("it did not become true in time")
        time.sleep(seconds)


if __name__ == "__main__":
    main()
