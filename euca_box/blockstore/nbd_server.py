"""A volume's source as an NBD export, read-only, for one storage daemon behind a unix socket.

The NBD protocol (doc/proto.md of NetworkBlockDevice/nbd): fixed newstyle handshake, structured replies, and
`base:allocation`, so that areas of zeros are neither asked for nor sent. The other side has met a guest: what
it says is checked.
"""

import enum
import errno
import logging
import os
import socket
import struct
from pathlib import Path

import trio

from euca_box.blockstore.engine import Source

log = logging.getLogger(__name__)

MAGIC, OPTION_MAGIC, REPLY = b"NBDMAGIC", b"IHAVEOPT", 0x3E889045565A9
REQUEST, STRUCTURED = 0x25609513, 0x668E33EF
ACK, INFO_REPLY, CONTEXT_REPLY, UNSUPPORTED = 1, 3, 4, (1 << 31) + 1
READ, DISCONNECT, BLOCK_STATUS = 0, 2, 7
DONE, DATA, ZEROS, STATUS, ERROR = 1, 1, 2, 5, (1 << 15) + 1
HOLE = 1  # not NBD_STATE_ZERO with it: then QEMU would write the zeros down
READ_ONLY = 0b11  # NBD_FLAG_HAS_FLAGS, NBD_FLAG_READ_ONLY
CONTEXT = b"base:allocation"
LONGEST_OPTION, LONGEST_READ, LONGEST_STATUS = 4096, 32 << 20, 1 << 30
REQUESTS_AT_ONCE = 16


class Option(enum.IntEnum):
    ABORT = 2
    INFO = 6
    GO = 7
    STRUCTURED_REPLY = 8
    SET_META_CONTEXT = 10


class Wrong(Exception):
    """The other side does not speak as it should."""


async def serve(
    path: Path,
    uid: int | None,
    source: Source,
    size_bytes: int,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Until cancelled, for processes of this user."""
    listener = trio.socket.from_stdlib_socket(_bound(path, uid))
    try:
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                connection, _ = await listener.accept()
                nursery.start_soon(_speak, trio.SocketStream(connection), source, size_bytes)
    finally:
        listener.close()
        _unlink(path)


def _bound(path: Path, uid: int | None) -> socket.socket:
    """Nobody can connect before it is closed to all but its user."""
    _unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o600)
    if uid is not None:
        os.chown(path, uid, uid)
    listener.listen(8)
    return listener


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _speak(stream: trio.SocketStream, source: Source, size_bytes: int) -> None:
    async with stream:
        client = _Client(stream, source, size_bytes)
        try:
            if await client.agree():
                await client.answer()
        except Wrong as error:
            log.warning("a storage daemon was cut off from its source: %s", error)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass


class _Client:
    def __init__(self, stream: trio.SocketStream, source: Source, size_bytes: int) -> None:
        self._stream, self._source, self._size = stream, source, size_bytes
        self._buffer = bytearray()
        self._sending = trio.Lock()
        self._slots = trio.CapacityLimiter(REQUESTS_AT_ONCE)
        self._is_structured = False

    async def agree(self) -> bool:
        """The handshake; False when the other side only wanted to look."""
        await self._stream.send_all(MAGIC + OPTION_MAGIC + struct.pack(">H", 0b11))
        await self._take(4)
        while True:
            magic, option, length = struct.unpack(">8sII", await self._take(16))
            if magic != OPTION_MAGIC or length > LONGEST_OPTION:
                raise Wrong("a strange option")
            data = await self._take(length)
            match option:
                case Option.ABORT:
                    await self._reply(option, ACK)
                    return False
                case Option.STRUCTURED_REPLY:
                    self._is_structured = True
                    await self._reply(option, ACK)
                case Option.SET_META_CONTEXT:
                    if CONTEXT in data:
                        await self._reply(option, CONTEXT_REPLY, struct.pack(">I", 0) + CONTEXT)
                    await self._reply(option, ACK)
                case Option.INFO | Option.GO:
                    await self._reply(option, INFO_REPLY, struct.pack(">HQH", 0, self._size, READ_ONLY))
                    await self._reply(option, INFO_REPLY, struct.pack(">HIII", 3, 1, 1 << 20, LONGEST_READ))
                    await self._reply(option, ACK)
                    if option == Option.GO:
                        if not self._is_structured:
                            raise Wrong("it takes no structured replies")
                        return True
                case _:
                    await self._reply(option, UNSUPPORTED)

    async def answer(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                data = await self._take(28, may_end=True)
                if not data:
                    break
                magic, _, kind, handle, offset, length = struct.unpack(">IHHQQI", data)
                if magic != REQUEST:
                    raise Wrong("a strange request")
                if kind == DISCONNECT:
                    break
                await self._slots.acquire_on_behalf_of(handle := _Handle(handle))
                nursery.start_soon(self._one, kind, handle, offset, length)
            nursery.cancel_scope.cancel()

    async def _one(self, kind: int, handle: "_Handle", offset: int, length: int) -> None:
        try:
            if offset + length > self._size or length == 0:
                await self._refuse(handle, errno.EINVAL)
            elif kind == READ and length <= LONGEST_READ:
                await self._read(handle, offset, length)
            elif kind == BLOCK_STATUS:
                await self._send(handle, STATUS, struct.pack(">I", 0) + self._status(offset, length))
            else:
                await self._refuse(handle, errno.EPERM if kind != READ else errno.EINVAL)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the one who reads sees it, too
        finally:
            self._slots.release_on_behalf_of(handle)

    async def _read(self, handle: "_Handle", offset: int, length: int) -> None:
        has_data, alike = self._source.data_at(offset)
        if not has_data and alike >= length:
            await self._send(handle, ZEROS, struct.pack(">QI", offset, length))
            return
        try:
            data = await self._source.read(offset, length)
        except OSError as error:
            log.warning("bytes of a volume cannot be had now: %s", error)
            await self._refuse(handle, errno.EIO)
        else:
            await self._send(handle, DATA, struct.pack(">Q", offset), data)

    def _status(self, offset: int, length: int) -> bytes:
        """One extent: the longest that begins there."""
        has_data, alike = self._source.data_at(offset)
        alike = min(alike, self._size - offset, max(length, LONGEST_STATUS))
        return struct.pack(">II", min(alike, length), 0 if has_data else HOLE)

    async def _refuse(self, handle: "_Handle", number: int) -> None:
        await self._send(handle, ERROR, struct.pack(">IH", number, 0))

    async def _send(self, handle: "_Handle", kind: int, head: bytes, data: bytes = b"") -> None:
        size = len(head) + len(data)
        start = struct.pack(">IHHQI", STRUCTURED, DONE, kind, handle.number, size)
        async with self._sending:
            await self._stream.send_all(start + head)
            if data:
                await self._stream.send_all(data)

    async def _reply(self, option: int, kind: int, data: bytes = b"") -> None:
        await self._stream.send_all(struct.pack(">QIII", REPLY, option, kind, len(data)) + data)

    async def _take(self, length: int, *, may_end: bool = False) -> bytes:
        while len(self._buffer) < length:
            data = await self._stream.receive_some(65536)
            if not data:
                if may_end and not self._buffer:
                    return b""
                raise trio.BrokenResourceError("it ended")
            self._buffer += data
        found = bytes(self._buffer[:length])
        del self._buffer[:length]
        return found


class _Handle:
    """A request under way; numbers of two may be alike."""

    def __init__(self, number: int) -> None:
        self.number = number
