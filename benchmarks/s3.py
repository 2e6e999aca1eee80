"""How fast S3 answers: ops/s and MB/s (1e6), beside moto where it is installed.

The server runs in a process of its own, durable as always; the client sends requests that were signed
before the clock starts, on 1 and on 16 connections. PUT in moto stays in memory.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from euca_box.auth.sigv4_sign import sign_headers
from euca_box.model.accounts import AccessKey, Principal

ROOT = Path(__file__).parents[1]
KEY = AccessKey("AKIABENCH", "bench-secret", Principal("000000000002", "bench", "a" * 64, "bench"))
MIB = 1 << 20
HOT_KEYS = 1000


async def serve_s3(folder: Path, port: int) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from euca_box.api.s3.app import s3_app
    from euca_box.auth.keyring import Keyring
    from euca_box.objects.engine import Objects
    from euca_box.store.sqlite_store import open_store

    store = await open_store(folder / "walrus.db", ROOT / "euca_box/roles/walrus/migrations")
    objects, keyring, config = await Objects.open(store, folder), Keyring(), Config()
    keyring.replace(1, [KEY])
    config.bind, config.accesslog = [f"127.0.0.1:{port}"], None
    config.backlog, config.keep_alive_max_requests = 1024, 10**9
    app: Any = s3_app(objects, keyring)
    await serve(app, config)
    await objects.close()
    await store.close()


def run_server(folder: Path, port: int) -> None:
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(serve_s3(folder, port))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_listening(port: int) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            break
        time.sleep(0.05)


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_listening(port)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def signed(method: str, port: int, target: str, size: int = 0) -> bytes:
    url = f"http://127.0.0.1:{port}{target}"
    headers = {"content-length": str(size)} if method == "PUT" else {}
    sent = sign_headers(method, url, headers, KEY, datetime.now(UTC), payload_sha256="UNSIGNED-PAYLOAD")
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode()


class Connection:
    """One client; connects again where the server closes after each answer, as moto does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, head: bytes, body: bytes) -> None:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=2 * MIB)
        reader, writer = self._streams
        writer.write(head + body if len(body) < MIB else head)
        if len(body) >= MIB:
            writer.write(body)
        await writer.drain()
        answer = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not answer.startswith((b"http/1.1 200", b"http/1.1 204")):
            raise RuntimeError(answer.decode())
        lines = (line for line in answer.split(b"\r\n") if line.startswith(b"content-length:"))
        left = 0 if head.startswith(b"HEAD") else int(next(lines, b":0").partition(b":")[2])
        while left:
            left -= len(await reader.read(min(left, MIB)))
        if b"connection: close" in answer:
            self.close()

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def measure(port: int, heads: list[bytes], body: bytes, connections: int, seconds: float) -> float:
    """Requests a second."""
    done, end, turn = 0, time.perf_counter() + seconds, iter(range(10**9))

    async def work() -> None:
        nonlocal done
        connection = Connection(port)
        while time.perf_counter() < end:
            await connection.exchange(heads[next(turn) % len(heads)], body)
            done += 1
        connection.close()

    begin = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    return done / (time.perf_counter() - begin)


async def measure_all(port: int, seconds: float) -> dict[str, float]:
    small, large = os.urandom(4096), os.urandom(64 * MIB)
    names = [f"/bench/k{number:04}" for number in range(HOT_KEYS)]
    puts = [signed("PUT", port, name, len(small)) for name in names]
    connection = Connection(port)
    await connection.exchange(signed("PUT", port, "/bench"), b"")
    for head in puts:
        await connection.exchange(head, small)
    connection.close()
    cases = {
        "put4k": (puts, small, 1.0),
        "get4k": ([signed("GET", port, name) for name in names], b"", 1.0),
        "head": ([signed("HEAD", port, name) for name in names], b"", 1.0),
        "list1000": ([signed("GET", port, "/bench?list-type=2")], b"", 1.0),
        "put64M MB/s": ([signed("PUT", port, f"/bench/l{n}", len(large)) for n in range(16)], large, 67.1),
        "get64M MB/s": ([signed("GET", port, f"/bench/l{n}") for n in range(1)], b"", 67.1),
    }
    found: dict[str, float] = {}
    for name, (heads, body, scale) in cases.items():
        for connections in (1, 16):
            rate = await measure(port, heads, body, connections, seconds)
            found[f"{name} c={connections}"] = rate * scale
    return found


def measure_server(command: list[str], port: int, seconds: float) -> dict[str, float]:
    with running(command, port):
        return asyncio.run(measure_all(port, seconds))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--serve", nargs=2, metavar=("FOLDER", "PORT"))
    asked = parser.parse_args()
    if asked.serve:
        run_server(Path(asked.serve[0]), int(asked.serve[1]))
        return
    port = free_port()
    folder = tempfile.mkdtemp(dir=".")
    try:
        columns = {
            "euca-box": measure_server(
                [sys.executable, __file__, "--serve", folder, str(port)], port, asked.seconds
            )
        }
    finally:
        shutil.rmtree(folder)
    moto = shutil.which("moto_server") or str(Path(sys.executable).parent / "moto_server")
    if Path(moto).exists():
        port = free_port()
        columns["moto"] = measure_server([moto, "-p", str(port)], port, asked.seconds)
    print(f"{'':18}" + "".join(f"{name:>12}" for name in columns))
    for row in columns["euca-box"]:
        print(f"{row:18}" + "".join(f"{found[row]:12.0f}" for found in columns.values()))


if __name__ == "__main__":
    main()
