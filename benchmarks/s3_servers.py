"""S3 servers to measure: ours, and peers where they are installed. Each runs in a process of its own."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from euca_box.model.accounts import AccessKey, Principal

ROOT = Path(__file__).parents[1]
MIGRATIONS = ROOT / "euca_box/roles/walrus/migrations"
KEY = AccessKey("AKIABENCH", "bench-secret", Principal("000000000002", "bench", "a" * 64, "bench"))
OTHER = AccessKey("AKIAOTHER", "other-secret", Principal("000000000003", "other", "b" * 64, "other"))
METERED = AccessKey("AKIAMETER", "meter-secret", Principal("000000000004", "meter", "c" * 64, "meter"))
HOOK = "EUCA_BENCH_HOOK"  # the URL that is told of changes
START_SECONDS = 60.0


@dataclass(frozen=True)
class Running:
    port: int
    pid: int


@dataclass(frozen=True)
class Server:
    """`argv` for a folder and a port. `is_durable`: an answered PUT survives a power cut."""

    name: str
    argv: Callable[[Path, int], list[str]]
    is_durable: bool = False


def servers(names: list[str]) -> list[Server]:
    """Those of ALL whose program is there, ours first."""
    found = [Server("euca-box", _ours, is_durable=True)]
    for name, program, argv in (
        ("seaweedfs", "weed", _seaweedfs),
        ("rclone", "rclone", _rclone),
        ("moto", "moto_server", _moto),
    ):
        if name in names and (path := _program(program)):
            found.append(Server(name, lambda folder, port, a=argv, p=path: a(p, folder, port)))  # type: ignore[misc]
    return found


def _program(name: str) -> str | None:
    """In the PATH, or beside this Python."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def _ours(folder: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.s3_servers", str(folder), str(port)]


def _seaweedfs(program: str, folder: Path, port: int) -> list[str]:
    identity = {
        "name": "bench",
        "credentials": [{"accessKey": KEY.access_key_id, "secretKey": KEY.secret_access_key}],
        "actions": ["Admin"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = {name: free_port() for name in ("master", "volume", "filer", "admin")}
    return [
        program,
        "mini",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-s3.port={port}",
        f"-s3.config={folder / 's3.json'}",
        "-webdav=false",
        "-master.telemetry=false",
        *(f"-{name}.port={number}" for name, number in ports.items()),
    ]


def _rclone(program: str, folder: Path, port: int) -> list[str]:
    keys = f"{KEY.access_key_id},{KEY.secret_access_key}"
    return [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", keys, str(folder)]


def _moto(program: str, folder: Path, port: int) -> list[str]:
    return [program, "-p", str(port)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(server: Server, folder: Path) -> Iterator[Running]:
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        server.argv(folder, port),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=environment,
    )
    try:
        _wait_for(port, process)
        yield Running(port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            probe.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            if probe.recv(9).startswith(b"HTTP/1."):
                return
        time.sleep(0.1)
    raise RuntimeError("the server does not answer")


async def serve_ours(folder: Path, port: int) -> None:
    from euca_box.api import server
    from euca_box.api.s3.access_log import AccessLog
    from euca_box.api.s3.app import s3_app
    from euca_box.api.s3.notifier import Notifier
    from euca_box.auth.keyring import Keyring
    from euca_box.model.quotas import Quota, Quotas
    from euca_box.objects.engine import Objects
    from euca_box.objects.sqlite.index import SqliteIndex
    from euca_box.store.sqlite_store import open_store

    store = await open_store(folder / "walrus.db", MIGRATIONS)
    quotas = Quotas(Quota(), {METERED.principal.account: Quota(0, 1 << 50)})
    objects, keyring = await Objects.open(SqliteIndex(store), folder, quotas=quotas), Keyring()
    keyring.replace(1, [KEY, OTHER, METERED])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    access_log = AccessLog(objects, folder / "access-logs", "us-east-1", lambda: datetime.now(UTC))
    notifier = Notifier({"hook": os.environ[HOOK]} if HOOK in os.environ else {}, "us-east-1")
    delivering = asyncio.create_task(notifier.run(objects))
    app: Any = s3_app(objects, keyring, None, access_log, notifier)
    engine = os.environ.get("EUCA_BOX__API__HTTP_ENGINE", server.HTTPTOOLS)
    await server.run_server(app, server.bind("127.0.0.1", port, None, "port"), stop.wait, engine)
    delivering.cancel()
    await objects.close()
    await store.close()


def main() -> None:
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(serve_ours(folder, port))


if __name__ == "__main__":
    main()
