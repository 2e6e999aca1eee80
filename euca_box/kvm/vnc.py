"""One look at a guest's screen, by the VNC socket of its QEMU (RFB 3.8, RFC 6143).

Width and height are the guest's to choose, so they are bounded before a byte of the picture is taken.
"""

import io
import struct
from pathlib import Path

import trio

from euca_box.kvm.hypervisor import KvmError

SECONDS = 8.0
MOST_PIXELS = 4096 * 2304
JPEG_QUALITY = 85
_READ_BYTES = 256 * 1024
_VERSION = b"RFB 003.008\n"
_NO_SECURITY, _RAW = 1, 0
_SHIFT_KEY = 0xFFE1
_WAKE_SECONDS = 1.0
# 32 bits a pixel, little endian, red first: what Pillow calls RGBX. RFC 6143 section 7.4.
_PIXEL_FORMAT = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)


class VncError(KvmError):
    """The screen could not be had; the text says why."""


async def screenshot(socket: Path, *, wake_up: bool = False) -> bytes:
    """The screen as JPEG. `wake_up` presses Shift first, which a blanked console takes as a sign of life.

    Raises VncError.
    """
    try:
        with trio.fail_after(SECONDS):
            async with await trio.open_unix_socket(socket) as stream:
                width, height, pixels = await _look(_Reader(stream), wake_up)
    except (OSError, trio.TooSlowError, trio.BrokenResourceError) as error:
        raise VncError(f"the screen behind {socket} cannot be had: {error or 'no answer'}") from error
    return await trio.to_thread.run_sync(_jpeg, width, height, pixels)


class _Reader:
    """The socket, read in exact amounts."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._waiting = bytearray()

    async def take(self, count: int) -> bytes:
        while len(self._waiting) < count:
            data = await self.stream.receive_some(_READ_BYTES)
            if not data:
                raise VncError("QEMU closed the connection")
            self._waiting += data
        taken = bytes(self._waiting[:count])
        del self._waiting[:count]
        return taken


async def _look(reader: _Reader, wake_up: bool) -> tuple[int, int, bytes]:
    width, height = await _handshake(reader)
    if not 0 < width * height <= MOST_PIXELS:
        raise VncError(f"a screen of {width} x {height} pixels is not taken")
    send = reader.stream.send_all
    await send(struct.pack(">B3x", 0) + _PIXEL_FORMAT)
    await send(struct.pack(">BxHi", 2, 1, _RAW))
    if wake_up:
        await send(struct.pack(">BBxxI", 4, 1, _SHIFT_KEY) + struct.pack(">BBxxI", 4, 0, _SHIFT_KEY))
        await trio.sleep(_WAKE_SECONDS)
    await send(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
    return width, height, await _picture(reader, width, height)


async def _handshake(reader: _Reader) -> tuple[int, int]:
    """RFC 6143 section 7.1 to 7.3."""
    if not (await reader.take(12)).startswith(b"RFB 003."):
        raise VncError("no VNC server answers there")
    await reader.stream.send_all(_VERSION)
    [count] = await reader.take(1)
    if _NO_SECURITY not in await reader.take(count):
        raise VncError("the VNC server wants a password")
    await reader.stream.send_all(bytes([_NO_SECURITY]))
    if await reader.take(4) != bytes(4):
        raise VncError("the VNC server refused")
    await reader.stream.send_all(b"\x01")  # shared: others who look stay connected
    width, height = struct.unpack(">HH16x", await reader.take(20))
    [name_bytes] = struct.unpack(">I", await reader.take(4))
    if name_bytes > 4096:
        raise VncError("the name of the screen is too long")
    await reader.take(name_bytes)
    return width, height


async def _picture(reader: _Reader, width: int, height: int) -> bytes:
    """Rectangles until every pixel has come once. RFC 6143 section 7.6."""
    pixels, missing = bytearray(width * height * 4), width * height
    while missing > 0:
        [kind] = await reader.take(1)
        if kind == 0:
            [count] = struct.unpack(">xH", await reader.take(3))
            for _ in range(count):
                missing -= await _rectangle(reader, pixels, width, height)
        else:
            await _skip(reader, kind)
    return bytes(pixels)


async def _rectangle(reader: _Reader, pixels: bytearray, width: int, height: int) -> int:
    x, y, w, h, encoding = struct.unpack(">HHHHi", await reader.take(12))
    if encoding != _RAW or x + w > width or y + h > height or not w * h:
        raise VncError("the VNC server sent a rectangle that was not asked for")
    data = await reader.take(w * h * 4)
    for row in range(h):
        start = ((y + row) * width + x) * 4
        pixels[start : start + w * 4] = data[row * w * 4 : (row + 1) * w * 4]
    area: int = w * h
    return area


async def _skip(reader: _Reader, kind: int) -> None:
    if kind == 2:  # bell
        return
    if kind != 3:  # text that was cut
        raise VncError(f"the VNC server sent a message of kind {kind}")
    [length] = struct.unpack(">3xI", await reader.take(7))
    if length > 65536:
        raise VncError("the VNC server sent a long text")
    await reader.take(length)


def _jpeg(width: int, height: int, pixels: bytes) -> bytes:
    from PIL import Image  # some 10 MiB of memory, for those who ask only

    out = io.BytesIO()
    Image.frombytes("RGB", (width, height), pixels, "raw", "RGBX").save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()
