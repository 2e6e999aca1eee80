"""A thousand clients that hardly move, and one with an endless body: neither the others nor memory feel them.

EUCA_BOX_BODY_GIB says how large the body is; 5 is the most that one PUT may have.
"""

import contextlib
import http.client
import os
import resource
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from euca_box.auth.sigv4_sign import sign_headers
from tests.api.s3_box import ALICE
from tests.durability.client import Client
from tests.durability.test_kill import Server

MIB = 1 << 20
BODY_BYTES = int(float(os.environ.get("EUCA_BOX_BODY_GIB", "0.25")) * 1024) * MIB
SLOW = 1000
MORE_RSS_BYTES = 128 * MIB


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * SLOW), hard))  # the server inherits it
    server = Server(tmp_path)
    server.start()
    try:
        assert Client(server.port).ask("PUT", "/heavy")[0] == 200
        yield server
    finally:
        server.kill()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def put_head(port: int, key: str, size: int) -> bytes:
    headers = {"content-length": str(size)}
    url, now = f"http://127.0.0.1:{port}/heavy/{key}", datetime.now(UTC)
    signed = sign_headers("PUT", url, headers, ALICE, now, payload_sha256="UNSIGNED-PAYLOAD")
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    return f"PUT /heavy/{key} HTTP/1.1\r\n{lines}\r\n".encode()


def rss_bytes(server: Server) -> int:
    assert server.process is not None
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def use_as_usual(server: Server, times: int) -> None:
    client = Client(server.port)
    for number in range(times):
        body = b"%d" % number * 1000
        assert client.ask("PUT", "/heavy/usual", body)[0] == 200
        assert client.ask("GET", "/heavy/usual")[1] == body
    client.close()


def test_a_thousand_slow_clients_disturb_nobody(server: Server) -> None:
    use_as_usual(server, 20)
    before = rss_bytes(server)
    with contextlib.ExitStack() as stack:
        slow = []
        for number in range(SLOW):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
            slow.append(stack.enter_context(connection))
            head = put_head(server.port, f"slow{number}", 20_000)
            connection.sendall(head[:50] if number % 2 else head + b"x" * 10_000)
        use_as_usual(server, 100)
        assert rss_bytes(server) - before < MORE_RSS_BYTES
        slow[0].sendall(b"x" * 10_000)
        assert slow[0].recv(100).startswith(b"HTTP/1.1 200 ")
    listed = Client(server.port).ask("GET", "/heavy?list-type=2")[1]
    assert b"<Key>slow0</Key>" in listed
    assert listed.count(b"<Key>") == 2


def test_a_body_far_larger_than_memory_allows_disturbs_nobody(server: Server) -> None:
    use_as_usual(server, 20)
    before, statuses = rss_bytes(server), []

    def send() -> None:
        with socket.create_connection(("127.0.0.1", server.port), timeout=300) as connection:
            connection.sendall(put_head(server.port, "large", BODY_BYTES))
            for _ in range(BODY_BYTES // MIB):
                connection.sendall(bytes(MIB))
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            statuses.append(answer.status)

    sender = threading.Thread(target=send)
    sender.start()
    while sender.is_alive():
        use_as_usual(server, 5)
        assert rss_bytes(server) - before < MORE_RSS_BYTES
    assert statuses == [200]
    answer = Client(server.port).ask("HEAD", "/heavy/large")
    assert answer[2]["content-length"] == str(BODY_BYTES)
