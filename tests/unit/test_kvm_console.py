"""The console keeps the end of what a guest said; it can fill neither disk nor memory."""

import os
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from euca_box.kvm.console import BYTES_PER_SECOND, VIEWER_PIECES, ConsoleReader, ConsoleRing, first_path


@given(st.lists(st.binary(max_size=300), max_size=40))
def test_the_ring_holds_exactly_the_end_and_never_twice_its_limit(tmp_path_factory, pieces):
    path = tmp_path_factory.mktemp("ring") / "console"
    ring = ConsoleRing(path, limit_bytes=100)
    for piece in pieces:
        ring.append(piece)
        assert path.stat().st_size <= 200

    assert ring.tail() == b"".join(pieces)[-100:]
    ring.close()


def test_a_ring_opened_again_goes_on(tmp_path):
    ring = ConsoleRing(tmp_path / "console", 100)
    ring.append(b"before ")
    ring.close()

    again = ConsoleRing(tmp_path / "console", 100)
    again.append(b"after")

    assert again.tail() == b"before after"
    assert (tmp_path / "console").stat().st_mode & 0o777 == 0o600


def test_a_ring_is_not_written_through_a_link(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "console").symlink_to(tmp_path / "victim")

    with pytest.raises(OSError, match="symbolic"):
        ConsoleRing(tmp_path / "console")


@given(st.lists(st.binary(max_size=300), max_size=40))
def test_the_first_output_is_kept_beside_the_last(tmp_path_factory, pieces):
    ring = ConsoleRing(tmp_path_factory.mktemp("ring") / "console", limit_bytes=100)
    for piece in pieces:
        ring.append(piece)

    assert ring.first() == b"".join(pieces)[:100]
    ring.close()


def test_a_guest_that_is_started_again_has_first_words_again(tmp_path):
    path = tmp_path / "console"
    for fresh, words in ((True, b"boot one "), (False, b"adopted "), (True, b"boot two")):
        ring = ConsoleRing(path, 100, fresh=fresh)
        ring.append(words)
        first, last = ring.first(), ring.tail()
        ring.close()

    assert (first, last) == (b"boot two", b"boot one adopted boot two")
    assert first_path(path).stat().st_mode & 0o777 == 0o600


@pytest.mark.trio
async def test_a_flood_is_read_no_faster_than_a_console_may_be(tmp_path, nursery, autojump_clock):
    async with given_guest(tmp_path, nursery) as (guest, *_):
        began = trio.current_time()
        for _ in range(64):
            await guest.send_all(b"y" * 65536)
        seconds = trio.current_time() - began

        assert seconds >= 4 * (1 << 20) / BYTES_PER_SECOND - 1
        assert (tmp_path / "console").stat().st_size <= 2000


@asynccontextmanager
async def given_guest(tmp_path, nursery):
    socket = trio.socket.socket(trio.socket.AF_UNIX)
    path = tmp_path / "serial"
    await socket.bind(str(path))
    socket.listen(1)
    ring = ConsoleRing(tmp_path / "console", 1000)
    reader = ConsoleReader(path, ring)
    await nursery.start(reader.run)
    stream = trio.SocketStream((await socket.accept())[0])
    yield stream, reader, ring, partial(_next, socket)
    nursery.cancel_scope.cancel()


async def _next(socket):
    return trio.SocketStream((await socket.accept())[0])


async def _receive(viewer, size):
    got = b""
    with trio.fail_after(5):
        while len(got) < size:
            got += await viewer.output.receive()
    return got


@pytest.mark.trio
async def test_a_viewer_sees_what_was_and_what_comes_and_its_keys_arrive(tmp_path, nursery):
    async with given_guest(tmp_path, nursery) as (guest, reader, ring, _):
        async with reader.attach() as early:
            await guest.send_all(b"boot ")
            assert await _receive(early, 5) == b"boot "
        async with reader.attach() as late:
            await guest.send_all(b"login: ")
            assert await _receive(late, 12) == b"boot login: "
            await late.send(b"root\n")
            assert await guest.receive_some(10) == b"root\n"
        assert ring.tail() == b"boot login: "


@pytest.mark.trio
async def test_the_reader_connects_again_when_qemu_comes_back(tmp_path, nursery):
    async with given_guest(tmp_path, nursery) as (guest, reader, _, next_guest), reader.attach() as viewer:
        await guest.send_all(b"first ")
        assert await _receive(viewer, 6) == b"first "
        await guest.aclose()
        with trio.fail_after(5):
            guest = await next_guest()
        await guest.send_all(b"second")
        assert await _receive(viewer, 6) == b"second"


@pytest.mark.trio
async def test_the_reader_waits_for_a_socket_that_is_not_there_yet(tmp_path, autojump_clock, nursery):
    reader = ConsoleReader(tmp_path / "serial", ConsoleRing(tmp_path / "console"))
    nursery.start_soon(reader.run)
    await trio.sleep(10)
    socket = trio.socket.socket(trio.socket.AF_UNIX)
    await socket.bind(str(tmp_path / "serial"))
    socket.listen(1)

    await trio.sleep(3)

    assert (await socket.accept())[0]
    nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_keys_for_a_guest_that_is_gone_are_an_error(tmp_path):
    reader = ConsoleReader(tmp_path / "serial", ConsoleRing(tmp_path / "console"))
    async with reader.attach() as viewer:
        with pytest.raises(trio.BrokenResourceError):
            await viewer.send(b"x")


@pytest.mark.trio
async def test_a_viewer_that_does_not_read_holds_up_neither_guest_nor_others(tmp_path, nursery):
    async with given_guest(tmp_path, nursery) as (guest, reader, ring, _):
        async with reader.attach() as asleep:
            for _ in range(4 * VIEWER_PIECES):
                await guest.send_all(b"x" * 1000)
            await guest.send_all(b"end")
            with trio.fail_after(5):
                while not ring.tail().endswith(b"end"):
                    await trio.sleep(0)
            assert asleep.output.statistics().current_buffer_used <= VIEWER_PIECES
        assert os.stat(tmp_path / "console").st_size <= 2000


@pytest.mark.trio
async def test_a_viewer_that_leaves_is_forgotten(tmp_path, nursery):
    async with given_guest(tmp_path, nursery) as (guest, reader, ring, _):
        async with reader.attach():
            pass
        await guest.send_all(b"nobody listens")
        with trio.fail_after(5):
            while not ring.tail():
                await trio.sleep(0)
        assert ring.tail() == b"nobody listens"
