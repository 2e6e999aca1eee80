"""A load generator for S3: prepared bytes over kept connections, one request at a time on each.

Requests are signed and joined with their bodies before the clock starts; of an answer only the status and the
length are looked at. CPU is what the kernel counts (schedstat): the client's, and the server's over all its
threads, so that a figure for each request holds on a busy machine too.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATUS_OK = (b"200", b"204", b"206")


@dataclass(frozen=True)
class Load:
    """`requests`: head and body of each, sent in turns. `bytes_each`: payload that a request moves."""

    name: str
    requests: list[tuple[bytes, bytes]]
    bytes_each: int = 0


@dataclass(frozen=True)
class Figures:
    per_second: float
    p50_ms: float
    p99_ms: float
    server_us: float  # CPU for each request
    client_us: float
    megabytes_per_second: float  # of 1e6 bytes


def cpu_seconds(pid: int | str) -> float:
    """CPU time of all threads that live."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue  # it ended
    return total / 1e9


def rss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


class _Client(asyncio.Protocol):
    """Sends the next request when an answer has ended; connects again where the server closes."""

    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._transport: Any = None
        self._head = b""
        self._left = -1  # bytes of the body still to come; -1: in the head
        self._is_head_request = False
        self._closes = self._is_done = False
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        request = self._run.next_request()
        if request is None:
            self._is_done = True
            self._transport.close()
            self._run.client_is_done()
            return
        head, body = request
        self._is_head_request = head.startswith(b"HEAD")
        self._head, self._left = b"", -1
        self._began = time.perf_counter()
        if len(body) <= 65536:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            length = self._length(self._head[: end + 2])
            self._left = length - (len(self._head) - end - 4)
        else:
            self._left -= len(data)
        if self._left <= 0:
            self._run.note(time.perf_counter() - self._began)
            if self._closes:
                self._transport.close()
            else:
                self._next()

    def _length(self, head: bytes) -> int:
        if head[9:12] not in STATUS_OK:
            self._run.fail(RuntimeError(head.decode("latin-1")))
        lower = head.lower()
        self._closes = b"\r\nconnection: close\r\n" in lower
        at = lower.find(b"\r\ncontent-length:")
        if self._is_head_request or at < 0:
            return 0
        return int(lower[at + 17 : lower.find(b"\r\n", at + 2)])

    def connection_lost(self, exc: Exception | None) -> None:
        if self._closes:
            self._closes = False
            self._run.connect_again()
        elif not (self._is_done or self._run.is_over):
            self._run.fail(exc or ConnectionError("the server closed the connection"))


class _Run:
    def __init__(self, port: int, load: Load, connections: int, seconds: float) -> None:
        self._port, self._load, self._count = port, load, connections
        self._seconds = seconds
        self._turn: Iterator[int] = iter(range(10**9))
        self._latencies: list[float] = []
        self._open = connections
        self._tasks: set[asyncio.Task[object]] = set()
        self.is_over = False

    async def measure(self, pid: int) -> Figures:
        loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = loop.create_future()
        server, client = cpu_seconds(pid), time.process_time()
        self._began = time.perf_counter()
        for _ in range(self._count):
            self.connect_again()
        await self._done
        elapsed = time.perf_counter() - self._began
        count = len(self._latencies)
        ordered = sorted(self._latencies)
        return Figures(
            per_second=count / elapsed,
            p50_ms=ordered[count // 2] * 1e3,
            p99_ms=ordered[min(count - 1, count * 99 // 100)] * 1e3,
            server_us=(cpu_seconds(pid) - server) / count * 1e6,
            client_us=(time.process_time() - client) / count * 1e6,
            megabytes_per_second=count * self._load.bytes_each / elapsed / 1e6,
        )

    def connect_again(self) -> None:
        loop = asyncio.get_running_loop()
        make: Callable[[], _Client] = lambda: _Client(self)  # noqa: E731
        task = loop.create_task(loop.create_connection(make, "127.0.0.1", self._port))
        self._tasks.add(task)
        task.add_done_callback(self._connected)

    def _connected(self, task: "asyncio.Task[object]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.fail(error)

    def next_request(self) -> tuple[bytes, bytes] | None:
        if self._latencies and time.perf_counter() - self._began >= self._seconds:
            return None
        return self._load.requests[next(self._turn) % len(self._load.requests)]

    def note(self, seconds: float) -> None:
        self._latencies.append(seconds)

    def client_is_done(self) -> None:
        self._open -= 1
        if not self._open:
            self.is_over = True
            if not self._done.done():
                self._done.set_result(None)

    def fail(self, error: BaseException) -> None:
        self.is_over = True
        if not self._done.done():
            self._done.set_exception(error)


def measure(port: int, pid: int, load: Load, connections: int, seconds: float) -> Figures:
    """Raises RuntimeError with the head of an answer that is no success."""
    # Waking up, the client must not push the server off its core in the middle of a request (sched(7)).
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        import uvloop

        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    except ImportError:
        runner = asyncio.Runner()
    with runner:
        return runner.run(_Run(port, load, connections, seconds).measure(pid))
