"""A screenshot is what the VNC server showed, and a server that lies gets nowhere."""

import io
import struct
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from PIL import Image

from euca_box.kvm.vnc import VncError, screenshot

RED, GREEN = b"\xff\x00\x00\x00", b"\x00\xff\x00\x00"
HELLO = b"RFB 003.008\n"
ASKED = bytes([3, 0, 0, 0, 0, 0])  # for the whole picture


def size(width, height, name=b"guest"):
    return struct.pack(">HH16xI", width, height, len(name)) + name


def update(*rectangles):
    text = struct.pack(">BxH", 0, len(rectangles))
    for x, y, w, h, data in rectangles:
        text += struct.pack(">HHHHi", x, y, w, h, 0) + data
    return text


@asynccontextmanager
async def vnc_server(tmp_path, *, hello=HELLO, security=b"\x01\x01", result=bytes(4), screen, then=b""):
    """Says its lines in turn, whatever it hears; `heard` is what the client sent."""
    listener = trio.socket.socket(trio.socket.AF_UNIX)
    await listener.bind(str(tmp_path / "vnc"))
    listener.listen(1)
    heard = bytearray()

    async def serve():
        stream = trio.SocketStream((await listener.accept())[0])
        for line, answer_bytes in ((hello, 12), (security, 1), (result, 1), (screen, 20 + 8)):
            await stream.send_all(line)
            while answer_bytes and (data := await stream.receive_some(answer_bytes)):
                heard.extend(data)
                answer_bytes -= len(data)
        while ASKED not in heard and (data := await stream.receive_some(100)):
            heard.extend(data)
        await stream.send_all(then)
        await stream.aclose()

    async def serve_whom_it_may():
        with suppress(trio.BrokenResourceError):
            await serve()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_whom_it_may)
        yield tmp_path / "vnc", heard
        nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_the_picture_is_put_together_from_its_rectangles(tmp_path):
    then = b"\x02" + struct.pack(">B3xI", 3, 2) + b"hi"  # a bell and a text between them
    then += update((0, 0, 16, 8, RED * 128)) + update((0, 8, 8, 8, GREEN * 64), (8, 8, 8, 8, RED * 64))
    async with vnc_server(tmp_path, screen=size(16, 16), then=then) as (socket, _):
        picture = Image.open(io.BytesIO(await screenshot(socket)))
    assert (picture.format, picture.size) == ("JPEG", (16, 16))
    assert picture.getpixel((2, 2))[0] > 200 > 60 > picture.getpixel((2, 2))[1]
    assert picture.getpixel((2, 13))[1] > 200 > 60 > picture.getpixel((2, 13))[0]


@pytest.mark.trio
async def test_waking_up_presses_a_key_and_lets_it_go(tmp_path):
    then = update((0, 0, 2, 1, RED * 2))
    async with vnc_server(tmp_path, screen=size(2, 1), then=then) as (socket, heard):
        await screenshot(socket, wake_up=True)
    assert struct.pack(">BBxxI", 4, 1, 0xFFE1) + struct.pack(">BBxxI", 4, 0, 0xFFE1) in heard


@pytest.mark.trio
@pytest.mark.parametrize(
    "lies",
    [
        {"hello": b"HTTP/1.1 400", "screen": b""},
        {"security": b"\x01\x02", "screen": b""},
        {"security": b"\x00", "screen": b""},
        {"result": b"\0\0\0\1", "screen": b""},
        {"screen": size(65535, 65535)},
        {"screen": size(0, 0)},
        {"screen": struct.pack(">HH16xI", 2, 2, 1 << 31)},
        {"screen": size(2, 2), "then": update((1, 1, 2, 2, RED * 4))},
        {"screen": size(2, 2), "then": update((0, 0, 0, 0, b""))},
        {"screen": size(2, 2), "then": struct.pack(">BxHHHHHi", 0, 1, 0, 0, 2, 2, 16)},
        {"screen": size(2, 2), "then": struct.pack(">B3xI", 3, 1 << 31)},
        {"screen": size(2, 2), "then": b"\x07"},
        {"screen": size(2, 2), "then": update((0, 0, 2, 1, RED))},
    ],
)
async def test_a_server_that_lies_is_refused(tmp_path, lies):
    async with vnc_server(tmp_path, **lies) as (socket, _):
        with pytest.raises(VncError):
            await screenshot(socket)


@pytest.mark.trio
async def test_no_server_is_an_error_in_words(tmp_path):
    with pytest.raises(VncError, match="cannot be had"):
        await screenshot(tmp_path / "nobody")


@pytest.mark.trio
async def test_a_server_that_says_nothing_is_not_waited_for_for_ever(tmp_path, autojump_clock):
    listener = trio.socket.socket(trio.socket.AF_UNIX)
    await listener.bind(str(tmp_path / "mute"))
    listener.listen(1)
    with pytest.raises(VncError):
        await screenshot(tmp_path / "mute")
    listener.close()
