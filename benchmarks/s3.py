"""How fast S3 answers, beside SeaweedFS, rclone and moto where they are installed.

    python -m benchmarks s3 [--peers seaweedfs,rclone,moto] [--only put4k,get4k] [--list-to 1000000]
    python -m benchmarks s3 --features

Ours answers a PUT when it is durable, peers run with their defaults. See load.py for how it is measured.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.load import Figures, Load, measure, rss_mib
from benchmarks.s3_servers import KEY, MIGRATIONS, Running, Server, running, servers
from euca_box.auth.sigv4_sign import sign_headers
from euca_box.model.accounts import AccessKey

MIB = 1 << 20
HOT_KEYS = 1000
LARGE_BYTES = 64 * MIB
PART_BYTES, PARTS = 16 * MIB, 64
SMALL = ("put4k", "get4k", "head", "list1000")
LARGE = ("put64M", "get64M", "mpu1G")
LIST_SIZES = (1_000, 10_000, 100_000, 1_000_000)


def signed(
    method: str,
    port: int,
    target: str,
    size: int = 0,
    key: AccessKey = KEY,
    more: Mapping[str, str] | None = None,
) -> bytes:
    url = f"http://127.0.0.1:{port}{target}"
    headers = {"content-length": str(size)} if method in ("PUT", "POST") else {}
    headers |= more or {}
    sent = sign_headers(method, url, headers, key, datetime.now(UTC), payload_sha256="UNSIGNED-PAYLOAD")
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode()


class Target:
    """One server under load."""

    def __init__(self, at: Running, seconds: float) -> None:
        self._at, self._seconds = at, seconds
        self._small, self._large = os.urandom(4096), os.urandom(LARGE_BYTES)
        self._names = [f"/bench/k{number:04}" for number in range(HOT_KEYS)]
        self._exchange("PUT", "/bench")
        for name in self._names:
            self._exchange("PUT", name, self._small)

    def _exchange(self, method: str, target: str, body: bytes = b"") -> None:
        load = Load(target, [(signed(method, self._at.port, target, len(body)), body)])
        measure(self._at.port, self._at.pid, load, 1, 0.0001)

    def load(self, name: str) -> Load:
        port = self._at.port
        if name == "put4k":
            return Load(name, [(signed("PUT", port, n, 4096), self._small) for n in self._names], 4096)
        if name == "get4k":
            return Load(name, [(signed("GET", port, n), b"") for n in self._names], 4096)
        if name == "head":
            return Load(name, [(signed("HEAD", port, n), b"") for n in self._names])
        if name == "list1000":
            return Load(name, [(signed("GET", port, "/bench?list-type=2&prefix=k"), b"")])
        if name == "put64M":
            heads = [signed("PUT", port, f"/bench/l{n}", LARGE_BYTES) for n in range(4)]
            return Load(name, [(head, self._large) for head in heads], LARGE_BYTES)
        self._exchange("PUT", "/bench/l0", self._large)
        return Load(name, [(signed("GET", port, "/bench/l0"), b"")], LARGE_BYTES)

    def figures(self, name: str, connections: int) -> Figures:
        if name == "mpu1G":
            return self._multipart(connections)
        load = self.load(name)
        measure(self._at.port, self._at.pid, load, connections, self._seconds / 4)
        return measure(self._at.port, self._at.pid, load, connections, self._seconds)

    def _multipart(self, connections: int) -> Figures:
        """All parts of one upload; completing it is not in the figure, but is done."""
        import boto3

        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self._at.port}",
            aws_access_key_id=KEY.access_key_id,
            aws_secret_access_key=KEY.secret_access_key,
            region_name="us-east-1",
        )
        upload = client.create_multipart_upload(Bucket="bench", Key="mpu")["UploadId"]
        body = self._large[:PART_BYTES]
        heads = [
            signed("PUT", self._at.port, f"/bench/mpu?partNumber={n + 1}&uploadId={upload}", PART_BYTES)
            for n in range(PARTS)
        ]
        load = Load("mpu1G", [(head, body) for head in heads], PART_BYTES)
        figures = measure(self._at.port, self._at.pid, load, connections, self._seconds)
        parts = client.list_parts(Bucket="bench", Key="mpu", UploadId=upload)["Parts"]
        named = [{"PartNumber": p["PartNumber"], "ETag": p["ETag"]} for p in parts]
        client.complete_multipart_upload(
            Bucket="bench", Key="mpu", UploadId=upload, MultipartUpload={"Parts": named}
        )
        return figures


def measure_server(server: Server, names: list[str], connections: list[int], seconds: float) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir="."))
    try:
        with running(server, folder.resolve()) as at:
            target = Target(at, seconds)
            for name in names:
                for count in connections if name in SMALL else [c for c in connections if c <= 16]:
                    _show(server.name, name, count, target, at)
    except RuntimeError as error:
        print(f"{server.name:10} {error}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _show(server: str, name: str, count: int, target: Target, at: Running) -> None:
    try:
        f = target.figures(name, count)
    except (RuntimeError, OSError) as error:
        print(f"{server:10} {name:9} {count:4}   failed: {str(error).splitlines()[0][:80]}", flush=True)
        return
    print(
        f"{server:10} {name:9} {count:4} {f.per_second:10.0f} {f.megabytes_per_second:8.0f} {f.p50_ms:9.2f} "
        f"{f.p99_ms:9.2f} {f.server_us:10.1f} {f.client_us:10.1f} {rss_mib(at.pid):8.0f}",
        flush=True,
    )


async def _fill(folder: Path, size: int) -> None:
    """One object by the front door, the others as copies of its row: LIST looks at nothing else."""
    from euca_box.objects.engine import Objects
    from euca_box.objects.sqlite.index import SqliteIndex
    from euca_box.objects.versions import Wish
    from euca_box.store.sqlite_store import open_store
    from euca_box.store.store import Statement

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * 4096

    store = await open_store(folder / "walrus.db", MIGRATIONS)
    objects = await Objects.open(SqliteIndex(store), folder)
    await objects.buckets.create(KEY.principal, "bench")
    await objects.put(KEY.principal, "bench", "k", body(), Wish(headers={}))
    [row] = await store.read("SELECT * FROM object")
    values = {name: name for name in row.keys()}  # noqa: SIM118 (a Row is no mapping)
    values |= {"key": "printf('k%09d', n)", "generation": "generation + n"}
    await store.write(
        Statement(
            "WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?)"
            f" INSERT INTO object ({', '.join(values)}) SELECT {', '.join(values.values())}"
            " FROM object, counted",
            (size - 1,),
        )
    )
    await objects.close()
    await store.close()


def measure_lists(largest: int, seconds: float) -> None:
    """LIST of 1000 keys behind a marker in the middle of a flat bucket; the rows are put in directly."""
    print(f"\n{'keys':>10}{'LIST/s':>10}{'p50 ms':>10}{'server us':>11}")
    for size in [s for s in LIST_SIZES if s <= largest]:
        folder = Path(tempfile.mkdtemp(prefix="bench-", dir="."))
        try:
            asyncio.run(_fill(folder.resolve(), size))
            with running(servers([])[0], folder.resolve()) as at:
                marker = f"k{size // 2:09}"
                head = signed("GET", at.port, f"/bench?list-type=2&start-after={marker}")
                f = measure(at.port, at.pid, Load("list", [(head, b"")]), 1, seconds)
                print(f"{size:10}{f.per_second:10.0f}{f.p50_ms:10.2f}{f.server_us:11.0f}", flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks s3")
    parser.add_argument("--peers", default="seaweedfs,rclone,moto")
    parser.add_argument("--only", default=",".join((*SMALL, *LARGE)))
    parser.add_argument("--connections", default="1,16,64")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--list-to", type=int, default=0)
    parser.add_argument("--features", action="store_true", help="what each feature costs, and nothing else")
    asked = parser.parse_args()
    if asked.features:
        from benchmarks import s3_features

        s3_features.main(asked.seconds)
        return
    counts = [int(c) for c in asked.connections.split(",")]
    print(
        f"{'':10} {'':9} {'conn':>4} {'ops/s':>10} {'MB/s':>8} {'p50 ms':>9} {'p99 ms':>9} "
        f"{'server us':>10} {'client us':>10} {'RSS MiB':>8}"
    )
    for server in servers(asked.peers.split(",")):
        measure_server(server, [n for n in asked.only.split(",") if n], counts, asked.seconds)
    if asked.list_to:
        measure_lists(asked.list_to, asked.seconds)


if __name__ == "__main__":
    main()
