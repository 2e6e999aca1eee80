"""A whole S3 on a loopback port: Hypercorn, the application, the store, in a loop of their own thread."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import botocore.config

from euca_box.api import server
from euca_box.api.s3.access_log import AccessLog
from euca_box.api.s3.app import s3_app
from euca_box.api.s3.notifier import Notifier
from euca_box.api.s3.settings import S3Settings
from euca_box.auth.keyring import Keyring
from euca_box.model.accounts import AccessKey, Principal
from euca_box.objects.engine import Objects
from euca_box.objects.sqlite.index import SqliteIndex
from euca_box.store.sqlite_store import open_store

MIGRATIONS = Path(__file__).parents[2] / "euca_box/roles/walrus/migrations"
ALICE = AccessKey("AKIAALICE", "alice-secret", Principal("000000000002", "alice", "a" * 64, "alice"))
BOB = AccessKey("AKIABOB", "bob-secret", Principal("000000000003", "bob", "b" * 64, "bob"))
GONE = AccessKey(
    "AKIAGONE", "gone-secret", Principal("000000000004", "gone", "c" * 64, "gone"), enabled=False
)
KEYS = (ALICE, BOB, GONE)


@dataclass
class S3Box:
    port: int
    folder: Path
    loop: asyncio.AbstractEventLoop
    objects: Objects
    keyring: Keyring
    access_log: AccessLog

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, key: AccessKey = ALICE, path: str = "", **config: Any) -> Any:
        settings: dict[str, Any] = {"s3": {"addressing_style": "path"}, "retries": {"total_max_attempts": 1}}
        return boto3.client(
            "s3",
            endpoint_url=self.url + path,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            region_name="us-east-1",
            config=botocore.config.Config(**{**settings, **config}),
        )

    def run(self, coroutine: Any) -> Any:
        """Await something in the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def settle(self) -> None:
        """Wait until no file waits to be removed."""

        async def removed() -> None:
            await asyncio.gather(*self.objects._files._tasks)

        self.run(removed())

    def data_files(self) -> list[Path]:
        return [p for p in (self.folder / "objects").rglob("*") if p.is_file()]

    def raw(self, request: bytes, silence_seconds: float = 0.5) -> bytes:
        """What the server answers to these bytes, until it closes or is silent after its answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(request)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            return read_all(connection, silence_seconds)


def read_all(connection: socket.socket, silence_seconds: float = 10.0) -> bytes:
    answer = b""
    with contextlib.suppress(OSError):
        while data := connection.recv(65536):
            answer += data
            connection.settimeout(silence_seconds)
    return answer


@contextlib.contextmanager
def running_s3(
    folder: Path,
    settings: S3Settings | None = None,
    keys: Iterable[AccessKey] = KEYS,
    engine: str = server.HTTPTOOLS,
    targets: Mapping[str, str] | None = None,
    **options: Any,
) -> Iterator[S3Box]:
    started: dict[str, Any] = {}
    ready = threading.Event()

    async def main() -> None:
        store = await open_store(folder / "walrus.db", MIGRATIONS)
        objects = await Objects.open(SqliteIndex(store), folder, **options)
        keyring = Keyring()
        keyring.replace(1, keys)
        listener = server.bind("127.0.0.1", 0, None, "port")
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        access_log = AccessLog(objects, folder / "access-logs", "us-east-1", (settings or S3Settings()).now)
        started.update(box=S3Box(listener.port, folder, loop, objects, keyring, access_log), stop=stop)
        notifier = Notifier(targets or {}, "us-east-1", first_pause=0.01)
        delivering = asyncio.create_task(notifier.run(objects))
        app: Any = s3_app(objects, keyring, settings, access_log, notifier)
        ready.set()
        await server.run_server(app, listener, stop.wait, engine)
        delivering.cancel()
        await objects.close()
        await store.close()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield started["box"]
    finally:
        if started:
            started["box"].loop.call_soon_threadsafe(started["stop"].set)
        thread.join(30)
