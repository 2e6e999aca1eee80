"""Many slow clients, and one very large body, hurt nobody else; memory stays where it was.

EUCA_BOX_SLOW_CLIENTS and EUCA_BOX_LARGE_BODY_MIB say how much.
"""

import contextlib
import hashlib
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

SLOW_CLIENTS = int(os.environ.get("EUCA_BOX_SLOW_CLIENTS", "200"))
LARGE_BODY_MIB = int(os.environ.get("EUCA_BOX_LARGE_BODY_MIB", "128"))
MIB = 1 << 20
MORE_MEMORY_MIB = 64


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    Client(server.port).ask("PUT", "/bucket")
    yield server
    server.kill()


def head_of(server: Server, key: str, size: int) -> bytes:
    """Of a signed PUT whose body is not signed."""
    url = f"http://127.0.0.1:{server.port}/bucket/{key}"
    given = {"content-length": str(size)}
    signed = sign_headers("PUT", url, given, ALICE, datetime.now(UTC), payload_sha256="UNSIGNED-PAYLOAD")
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    return f"PUT /bucket/{key} HTTP/1.1\r\n{lines}\r\n".encode()


def memory_mib(server: Server) -> float:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def assert_others_are_served(server: Server) -> None:
    client = Client(server.port)
    for number in range(20):
        assert client.ask("PUT", "/bucket/other", b"%d" % number)[0] == 200
        assert client.ask("GET", "/bucket/other")[1] == b"%d" % number


def test_slow_clients_cost_little_and_stop_nobody(server: Server) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    assert_others_are_served(server)
    before = memory_mib(server)
    with contextlib.ExitStack() as stack:
        for number in range(SLOW_CLIENTS):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            head = head_of(server, f"slow{number}", MIB)
            slow.sendall((head[: len(head) // 2], head, head + b"x" * 1000)[number % 3])
        assert_others_are_served(server)
        assert memory_mib(server) - before < MORE_MEMORY_MIB
    assert b"slow" not in Client(server.port).ask("GET", "/bucket?list-type=2")[1]


def test_a_very_large_body_is_not_held_in_memory_and_stops_nobody(server: Server) -> None:
    assert_others_are_served(server)
    before, piece, answers = memory_mib(server), os.urandom(MIB), []
    digest = hashlib.md5()

    def send() -> None:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(head_of(server, "large", LARGE_BODY_MIB * MIB))
            for _ in range(LARGE_BODY_MIB):
                connection.sendall(piece)
                digest.update(piece)
            answers.append(connection.recv(65536))

    sender = threading.Thread(target=send)
    sender.start()
    assert_others_are_served(server)
    during = memory_mib(server)
    sender.join(600)
    assert answers[0].startswith(b"HTTP/1.1 200")
    assert max(during, memory_mib(server)) - before < MORE_MEMORY_MIB
    _, _, headers = Client(server.port).ask("HEAD", "/bucket/large")
    assert (headers["etag"], int(headers["content-length"])) == (
        f'"{digest.hexdigest()}"',
        LARGE_BODY_MIB * MIB,
    )
