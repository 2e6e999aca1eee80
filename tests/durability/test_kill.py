"""The process is killed under load, again and again: every answer it gave is kept, nothing else appears.

EUCA_BOX_KILLS says how often.
"""

import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.durability.client import Client, Unknown

KILLS = int(os.environ.get("EUCA_BOX_KILLS", "3"))
CLIENTS, KEYS = 8, 6
SIZES = (0, 100, 16384, 16385, 200_000)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        argv = [sys.executable, "-m", "tests.durability.server", str(self.folder), str(self.port)]
        self.process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self.process.poll() is None, "it does not start on what the last one left"
                time.sleep(0.02)
            else:
                return
        raise AssertionError("it does not answer")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Writer:
    """One client with keys of its own. `held`: key -> contents that it may have, absence as None."""

    def __init__(self, server: Server, number: int) -> None:
        self.server, self.number = server, number
        self.random = random.Random(number)
        self.held: dict[str, list[bytes | None]] = {f"w{number}-{n}": [None] for n in range(KEYS)}
        self.answers = 0

    def work(self, stop: threading.Event) -> None:
        client = Client(self.server.port)
        while not stop.is_set():
            key = self.random.choice(list(self.held))
            data = None
            if self.random.random() < 0.8:
                data = self.random.randbytes(self.random.choice(SIZES))
            self.held[key].append(data)
            try:
                if data is None:
                    status, _, _ = client.ask("DELETE", f"/kill/{key}")
                else:
                    status, _, _ = client.ask("PUT", f"/kill/{key}", data)
            except Unknown:
                break  # it may be there or not; after the restart the read-back settles it
            assert status in (200, 204)
            self.held[key] = [data]
            self.answers += 1
        client.close()

    def read_back(self) -> None:
        client = Client(self.server.port)
        for key, allowed in self.held.items():
            status, found, _ = client.ask("GET", f"/kill/{key}")
            now = found if status == 200 else None
            assert status in (200, 404)
            assert now in allowed, f"{key} holds {None if now is None else len(now)} bytes of nobody"
            self.held[key] = [now]
        client.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.start()
    assert Client(made.port).ask("PUT", "/kill")[0] == 200
    yield made
    made.kill()


def test_every_answer_outlives_kill_9(server: Server) -> None:
    writers = [Writer(server, number) for number in range(CLIENTS)]
    moments = random.Random(1)
    for _ in range(KILLS):
        stop = threading.Event()
        with ThreadPoolExecutor(CLIENTS) as pool:
            working = [pool.submit(writer.work, stop) for writer in writers]
            time.sleep(moments.uniform(0.1, 0.6))  # the moment of the kill is what is tried
            server.kill()
            stop.set()
            for done in working:
                done.result()
        server.start()
        for writer in writers:
            writer.read_back()
    files = {p.name for p in (server.folder / "objects").rglob("*") if p.is_file()}
    assert len(files) <= CLIENTS * KEYS, "files that belong to nothing were not swept"
    assert sum(writer.answers for writer in writers) > KILLS * CLIENTS


def test_a_kill_while_a_large_upload_is_received_leaves_no_file(server: Server) -> None:
    def files() -> list[Path]:
        return [p for p in (server.folder / "objects").rglob("*") if p.is_file() and p.stat().st_size]

    with ThreadPoolExecutor(1) as pool:
        broke_off = pool.submit(_breaks_off, Client(server.port))
        while not files():
            time.sleep(0.005)
        server.kill()
        assert broke_off.result()
    server.start()
    assert Client(server.port).ask("GET", "/kill/large")[0] == 404
    assert not files()


def _breaks_off(client: Client) -> bool:
    try:
        client.ask("PUT", "/kill/large", bytes(300 << 20))
    except Unknown:
        return True
    return False
