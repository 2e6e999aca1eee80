"""The process is killed under load, again and again: every answer it gave is kept, nothing else appears.

Every change that was answered is told, and none that was not asked for; the access log lacks the last moment
before a kill at most.

EUCA_BOX_KILLS says how often.
"""

import hashlib
import http.server
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.durability.client import Client, Unknown

KILLS = int(os.environ.get("EUCA_BOX_KILLS", "3"))
CLIENTS, KEYS = 8, 6
SIZES = (0, 100, 16384, 16385, 200_000)
NOTIFICATIONS = b"""<NotificationConfiguration><QueueConfiguration>
<Queue>arn:aws:sqs:us-east-1:000000000002:hook</Queue><Event>s3:ObjectCreated:*</Event>
<Event>s3:ObjectRemoved:*</Event></QueueConfiguration></NotificationConfiguration>"""
LOGGING = b"""<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket>
<TargetPrefix>x</TargetPrefix></LoggingEnabled></BucketLoggingStatus>"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Hook:
    """A notification target: what it was told, by sequencer, so that what comes twice counts once."""

    def __init__(self) -> None:
        self.told: dict[str, tuple[str, str, str]] = {}
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                message = json.loads(self.rfile.read(int(self.headers["content-length"])))
                for record in message.get("Records", ()):
                    facts = record["s3"]["object"]
                    told = (record["eventName"], facts["key"], facts.get("eTag", ""))
                    hook.told[facts["sequencer"]] = told
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Server:
    def __init__(self, folder: Path, hook_url: str = "") -> None:
        self.folder, self.port, self.hook_url = folder, free_port(), hook_url
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        argv = [sys.executable, "-m", "tests.durability.server", str(self.folder), str(self.port)]
        argv += [self.hook_url] if self.hook_url else []
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
        self.sent: set[tuple[str, str, str]] = set()  # event, key, ETag of all that was tried
        self.acknowledged: list[tuple[str, str, str]] = []
        self.lives: list[list[str]] = []  # of the server: ids of the requests that it answered

    def work(self, stop: threading.Event) -> None:
        client, answered = Client(self.server.port), []
        self.lives.append(answered)
        while not stop.is_set():
            key = self.random.choice(list(self.held))
            data = None
            if self.random.random() < 0.8:
                data = self.random.randbytes(self.random.choice(SIZES))
            self.held[key].append(data)
            event = ("ObjectRemoved:Delete", key, "")
            if data is not None:
                event = ("ObjectCreated:Put", key, hashlib.md5(data).hexdigest())
            self.sent.add(event)
            try:
                if data is None:
                    status, _, headers = client.ask("DELETE", f"/kill/{key}")
                else:
                    status, _, headers = client.ask("PUT", f"/kill/{key}", data)
            except Unknown:
                break  # it may be there or not; after the restart the read-back settles it
            assert status in (200, 204)
            self.held[key] = [data]
            self.answers += 1
            self.acknowledged.append(event)
            answered.append(headers["x-amz-request-id"])
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
def hook() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.server.shutdown()
    hook.server.server_close()


@pytest.fixture
def server(tmp_path: Path, hook: Hook) -> Iterator[Server]:
    made = Server(tmp_path, hook.url)
    made.start()
    client = Client(made.port)
    for target, document in (
        ("/kill", b""),
        ("/logs", b""),
        ("/logs?acl", b""),
        ("/kill?notification", NOTIFICATIONS),
        ("/kill?logging", LOGGING),
    ):
        acl = {"x_amz_acl": "log-delivery-write"} if target == "/logs?acl" else {}
        assert client.ask("PUT", target, document, **acl)[0] == 200, target
    yield made
    made.kill()


def test_every_answer_outlives_kill_9(server: Server, hook: Hook) -> None:
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
    check_told(hook, writers)
    check_logged(server, writers)


def check_told(hook: Hook, writers: list[Writer]) -> None:
    wanted = Counter(event for writer in writers for event in writer.acknowledged)
    deadline = time.monotonic() + 60
    while missing := wanted - Counter(hook.told.values()):
        assert time.monotonic() < deadline, f"never told: {list(missing)[:5]}"
        time.sleep(0.05)
    tried = {event for writer in writers for event in writer.sent}
    assert set(hook.told.values()) <= tried


def check_logged(server: Server, writers: list[Writer]) -> None:
    """A connection's requests are noted one after the other: what a kill takes is their end."""
    lines = b"".join(path.read_bytes() for path in (server.folder / "access-logs").iterdir()).decode()
    known = set(re.findall(r"\b[0-9A-F]{16}\b", lines))
    lives = [life for writer in writers for life in writer.lives]
    for life in lives:
        is_logged = [request_id in known for request_id in life]
        assert is_logged == sorted(is_logged, reverse=True), "a line is missing before one that is there"
    assert sum(len(known.intersection(life)) for life in lives) > sum(map(len, lives)) / 2


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
