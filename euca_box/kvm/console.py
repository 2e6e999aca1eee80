"""Keeps the first and last output of a guest's serial console in files of bounded size, and shows it live.

QEMU listens on a unix socket and serves one client: the ConsoleReader is that client, and everybody else
attaches to it. What the guest prints while nobody is connected is lost, so connect before the guest starts.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import trio

# EC2 GetConsoleOutput shows the last 64 KiB.
LIMIT_BYTES = 65536
READ_BYTES = 65536
RETRY_SECONDS = 0.05
LONGEST_RETRY_SECONDS = 2.0
# Pieces a slow viewer may lag behind before it loses output.
VIEWER_PIECES = 64
SEND_SECONDS = 5.0
# Ninety times a real serial line. A guest that prints more waits for us, and nobody else does.
BYTES_PER_SECOND = 1 << 20


def first_path(path: Path) -> Path:
    """The file beside a ring with what was written first."""
    return path.with_name(path.name + ".first")


class ConsoleRing:
    """The last limit_bytes of what was written, in a file that never exceeds twice that, and in another the
    first limit_bytes since the guest was started (`fresh`).

    Synchronous: a write goes to the page cache. The files are a diary for people, hence without fsync.
    """

    def __init__(self, path: Path, limit_bytes: int = LIMIT_BYTES, *, fresh: bool = False) -> None:
        self._path = path
        self._limit_bytes = limit_bytes
        self._file = _opened(path)
        self._size_bytes = os.fstat(self._file).st_size
        self._first = _opened(first_path(path))
        if fresh:
            os.ftruncate(self._first, 0)
        self._first_bytes = os.fstat(self._first).st_size

    def append(self, data: bytes) -> None:
        if self._first_bytes < self._limit_bytes:
            self._first_bytes += os.write(self._first, data[: self._limit_bytes - self._first_bytes])
        data = data[-self._limit_bytes :]
        if self._size_bytes + len(data) > 2 * self._limit_bytes:
            self._shrink(self._limit_bytes - len(data))
        os.write(self._file, data)
        self._size_bytes += len(data)

    def tail(self) -> bytes:
        """At most limit_bytes, the newest last."""
        start = max(0, self._size_bytes - self._limit_bytes)
        return os.pread(self._file, self._limit_bytes, start)

    def first(self) -> bytes:
        """At most limit_bytes, from the start of the guest on."""
        return os.pread(self._first, self._limit_bytes, 0)

    def close(self) -> None:
        os.close(self._file)
        os.close(self._first)

    def _shrink(self, keep_bytes: int) -> None:
        """Keep the newest keep_bytes, in a new file: a crash leaves the old one or the new one."""
        kept = os.pread(self._file, keep_bytes, max(0, self._size_bytes - keep_bytes)) if keep_bytes else b""
        fresh = self._path.with_name(self._path.name + ".new")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        new = os.open(fresh, flags, 0o600)
        os.write(new, kept)
        os.replace(fresh, self._path)
        os.close(self._file)
        self._file = new
        self._size_bytes = len(kept)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


@dataclass(frozen=True, slots=True)
class Viewer:
    output: "trio.MemoryReceiveChannel[bytes]"  # begins with the ring's content
    send: Callable[[bytes], Awaitable[None]]  # keys pressed; BrokenResourceError when no guest is connected


class ConsoleReader:
    """Run it as a task: `nursery.start(reader.run)` returns when the console is connected."""

    def __init__(self, socket_path: Path, ring: ConsoleRing) -> None:
        self._socket_path = socket_path
        self._ring = ring
        self._viewers: set[trio.MemorySendChannel[bytes]] = set()
        self._guest: trio.SocketStream | None = None
        self._one_sender = trio.Lock()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect, read, and connect again, until cancelled."""
        while True:
            guest = await self._connect()
            self._guest = guest
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            try:
                await self._read(guest)
            finally:
                self._guest = None
                await trio.aclose_forcefully(guest)

    @asynccontextmanager
    async def attach(self) -> AsyncIterator[Viewer]:
        """See what was and what comes. A viewer that does not keep up loses output; the guest never waits."""
        sender, receiver = trio.open_memory_channel[bytes](VIEWER_PIECES)
        history = self._ring.tail()
        if history:
            sender.send_nowait(history)
        self._viewers.add(sender)
        try:
            with receiver:
                yield Viewer(receiver, self._send)
        finally:
            self._viewers.discard(sender)
            sender.close()

    async def _connect(self) -> trio.SocketStream:
        pause = RETRY_SECONDS
        while True:
            with suppress(OSError):
                return await trio.open_unix_socket(str(self._socket_path))
            await trio.sleep(pause)
            pause = min(2 * pause, LONGEST_RETRY_SECONDS)

    async def _read(self, guest: trio.SocketStream) -> None:
        while True:
            try:
                data = await guest.receive_some(READ_BYTES)
            except trio.BrokenResourceError:
                return
            if not data:
                return
            self._ring.append(data)
            for viewer in self._viewers:
                with suppress(trio.WouldBlock, trio.BrokenResourceError):
                    viewer.send_nowait(data)
            await trio.sleep(len(data) / BYTES_PER_SECOND)

    async def _send(self, data: bytes) -> None:
        guest = self._guest
        if guest is None:
            raise trio.BrokenResourceError("the console is not connected")
        # A guest that does not read its serial port would otherwise hold the viewer for ever.
        with trio.fail_after(SEND_SECONDS):
            async with self._one_sender:
                await guest.send_all(data)
