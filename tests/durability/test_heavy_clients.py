"""A thousand clients that hardly move, and one with an endless body: neither the others nor memory feel them.

EUCA_BOX_BODY_GIB says how large the body is; one PUT may have 5 at most, parts together more.
"""

import contextlib
import http.client
import os
import re
import resource
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from euca_box.auth.sigv4_sign import sign_headers
from tests.api.s3_box import ALICE
from tests.durability.client import Client
from tests.durability.test_kill import Server

MIB = 1 << 20
BODY_BYTES = int(float(os.environ.get("EUCA_BOX_BODY_GIB", "0.25")) * 1024) * MIB
PART_BYTES = 64 * MIB
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


@contextlib.contextmanager
def slow_clients(server: Server) -> Iterator[list[socket.socket]]:
    """A half of them in the middle of a head, a half in the middle of a body of 20,000 bytes."""
    with contextlib.ExitStack() as stack:
        slow = []
        for number in range(SLOW):
            connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
            slow.append(stack.enter_context(connection))
            head = put_head(server.port, f"slow{number}", 20_000)
            connection.sendall(head[:50] if number % 2 else head + b"x" * 10_000)
        yield slow


def test_a_thousand_slow_clients_disturb_nobody(server: Server) -> None:
    use_as_usual(server, 20)
    before = rss_bytes(server)
    with slow_clients(server) as slow:
        use_as_usual(server, 100)
        assert rss_bytes(server) - before < MORE_RSS_BYTES
        slow[0].sendall(b"x" * 10_000)
        assert slow[0].recv(100).startswith(b"HTTP/1.1 200 ")
    listed = Client(server.port).ask("GET", "/heavy?list-type=2")[1]
    assert b"<Key>slow0</Key>" in listed
    assert listed.count(b"<Key>") == 2


def send_zeros(server: Server, target: str, size: int) -> str:
    """The ETag of the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=300) as connection:
        connection.sendall(put_head(server.port, target, size))
        for _ in range(size // MIB):
            connection.sendall(bytes(MIB))
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 200
        return answer.headers["etag"]


def test_a_body_far_larger_than_memory_allows_disturbs_nobody(server: Server) -> None:
    use_as_usual(server, 20)
    before, size = rss_bytes(server), min(BODY_BYTES, 5 * 1024 * MIB)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_zeros, server, "large", size)
        while not sending.done():
            use_as_usual(server, 5)
            assert rss_bytes(server) - before < MORE_RSS_BYTES
        sending.result()
    answer = Client(server.port).ask("HEAD", "/heavy/large")
    assert answer[2]["content-length"] == str(size)


def test_a_body_in_parts_beside_slow_clients_disturbs_nobody(server: Server) -> None:
    use_as_usual(server, 20)
    before = rss_bytes(server)
    begun = Client(server.port).ask("POST", "/heavy/parts?uploads=")[1]
    upload = re.search(rb"<UploadId>(.*)</UploadId>", begun)[1].decode()
    numbers = range(1, BODY_BYTES // PART_BYTES + 1)
    with slow_clients(server), ThreadPoolExecutor(2) as pool:
        targets = [f"parts?partNumber={number}&uploadId={upload}" for number in numbers]
        sending = [pool.submit(send_zeros, server, target, PART_BYTES) for target in targets]
        while not all(part.done() for part in sending):
            use_as_usual(server, 5)
            assert rss_bytes(server) - before < MORE_RSS_BYTES
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{part.result()}</ETag></Part>"
            for number, part in zip(numbers, sending, strict=True)
        )
        document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        assert Client(server.port).ask("POST", f"/heavy/parts?uploadId={upload}", document)[0] == 200
    answer = Client(server.port).ask("HEAD", "/heavy/parts")
    assert answer[2]["content-length"] == str(len(numbers) * PART_BYTES)
