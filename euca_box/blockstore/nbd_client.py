"""A copy that only QEMU can read, because it is enciphered: qemu-nbd serves it, threads read it. Blocks.

qemu-nbd ends with its last connection, and so with this process.
"""

import os
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from euca_box.blockstore.daemon import Owner
from euca_box.blockstore.engine import EngineError, Extent
from euca_box.blockstore.secret_file import secret_words

START_SECONDS = 20.0
ANSWER_SECONDS = 60.0
EXPORT = "copy"
CONNECTIONS = 64


class ServedCopy:
    """engine.Copy."""

    def __init__(self, folder: Path, image: str, key: bytes, owner: Owner, extents: Sequence[Extent]) -> None:
        """`image`: options of it (qemu-nbd(8), --image-opts); `folder`, the owner's, has the socket."""
        self.extents = extents
        self._folder, self._socket = folder, folder / "copy.sock"
        self._local = threading.local()
        self._open: list[socket.socket] = []
        self._socket.unlink(missing_ok=True)
        with secret_words(key) as (words, handle):
            argv = ["qemu-nbd", *words, "--image-opts", "-r", "-e", str(CONNECTIONS), "-x", EXPORT]
            self._process = subprocess.Popen(
                [*argv, "-k", str(self._socket), image],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                pass_fds=(handle,), cwd="/", **owner.rights(),
            )  # fmt: skip
            try:
                self._local.connection = self._connected()
            except BaseException:
                self.close()
                raise

    def read(self, offset: int, length: int) -> bytes:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        connection.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 0, 0, offset, length))
        magic, error, _ = struct.unpack(">IIQ", _take(connection, 16))
        if magic != 0x67446698 or error:
            raise OSError(error, "an enciphered copy cannot be read")
        return _take(connection, length)

    def close(self) -> None:
        for connection in self._open:
            connection.close()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.communicate()
        self._socket.unlink(missing_ok=True)
        if self._folder.exists():
            os.rmdir(self._folder)

    def _connected(self) -> socket.socket:
        """Once it listens. Raises EngineError."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                words = (self._process.communicate()[1] or b"")[-500:].decode(errors="replace").strip()
                raise EngineError(f"an enciphered copy cannot be opened: {words}")
            try:
                return self._connect()
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.01)
        raise EngineError("an enciphered copy was not opened in time")

    def _connect(self) -> socket.socket:
        """The fixed newstyle handshake of NBD (doc/proto.md), without zeroes."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(self._socket))
            _take(connection, 18)
            name = EXPORT.encode()
            data = struct.pack(">I", len(name)) + name + struct.pack(">H", 0)
            connection.sendall(struct.pack(">I8sII", 0b11, b"IHAVEOPT", 7, len(data)) + data)
            while True:
                _, _, kind, length = struct.unpack(">QIII", _take(connection, 20))
                _take(connection, length)
                if kind == 1:
                    break
                if kind >> 31:
                    raise OSError("an enciphered copy is not served")
        except BaseException:
            connection.close()
            raise
        self._open.append(connection)
        return connection


def _take(connection: socket.socket, length: int) -> bytes:
    found = bytearray(length)
    view = memoryview(found)
    while view:
        count = connection.recv_into(view)
        if count == 0:
            raise OSError("an enciphered copy broke off")
        view = view[count:]
    return bytes(found)
