"""HTTP/1.1 on raw sockets, with both engines where both can hold what is said."""

import asyncio
import contextlib
import ctypes
import inspect
import os
import re
import resource
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import hypercorn.asyncio.run
import hypercorn.asyncio.tcp_server
import pytest

from euca_box.api import server
from euca_box.api.http1 import connection as connection_module
from euca_box.api.http1 import connections as connections_module
from tests.api.http1_box import Http1Box, read_answer, read_to_end, running_app

VECTORS = Path(__file__).parents[1] / "vectors/http"
ENGINES = ("httptools", "h11")


@pytest.fixture(scope="module", params=ENGINES)
def both(request: pytest.FixtureRequest) -> Iterator[Http1Box]:
    with running_app(request.param) as box:
        yield box


@pytest.fixture(scope="module")
def box() -> Iterator[Http1Box]:
    with running_app("httptools") as box:
        yield box


def get(target: str, more: str = "", version: str = "1.1") -> bytes:
    return f"GET {target} HTTP/{version}\r\nHost: x\r\n{more}\r\n".encode()


def post(body: bytes, more: str = "", target: str = "/echo") -> bytes:
    return f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def chunked(body: bytes, more: str = "", target: str = "/echo") -> bytes:
    return f"POST {target} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n{more}\r\n".encode() + body


def statuses(answer: bytes) -> list[int]:
    return [int(number) for number in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


# Requests, in any cut


def test_pipelined_requests_are_answered_in_order(both: Http1Box) -> None:
    requests = [
        get("/echo/1"),
        post(b"two"),
        chunked(b"5\r\nthree\r\n0\r\n\r\n"),
        get("/pieces"),
        get("/echo/5"),
    ]
    answer = both.ask(b"".join(requests))
    places = [
        answer.index(x) for x in (b"GET /echo/1", b"POST /echo two", b"POST /echo three", b"one", b"/5")
    ]
    assert statuses(answer) == [200] * 5
    assert places == sorted(places)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 40])
def test_a_request_may_come_in_pieces_of_any_size(both: Http1Box, size: int) -> None:
    stream = (
        get("/echo/a%20b?c=d") + post(b"hello") + chunked(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n")
    )
    answer = both.ask(stream + get("/echo/last"), pieces=size)
    assert statuses(answer) == [200] * 4
    for expected in (b"GET /echo/a%20b?c=d ", b"POST /echo hello", b"POST /echo abcde", b"GET /echo/last"):
        assert expected in answer


def test_a_request_may_be_cut_at_every_single_place(box: Http1Box) -> None:
    stream = post(b"hello") + chunked(b"3\r\nabc\r\n0\r\n\r\n") + get("/echo/last")
    for cut in range(1, len(stream)):
        with box.connect() as connection:
            connection.sendall(stream[:cut])
            connection.sendall(stream[cut:])
            connection.shutdown(socket.SHUT_WR)
            answer = read_to_end(connection)
        assert statuses(answer) == [200] * 3, cut
        assert b"POST /echo abc" in answer


def test_empty_lines_before_a_request_are_ignored(box: Http1Box) -> None:
    assert statuses(box.ask(b"\r\n" + get("/echo"))) == [200]


def test_a_body_of_some_mebibytes_arrives_whole(both: Http1Box) -> None:
    body = os.urandom(3 << 20)
    assert both.ask(post(body)).endswith(body)
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:70000], body[70000:70001], body[70001:]))
    assert both.ask(chunked(pieces + b"0\r\n\r\n")).endswith(body)


def test_the_scope_says_who_asks_and_what(both: Http1Box) -> None:
    both.app.seen.clear()
    with both.connect() as connection:
        connection.sendall(
            b"GET /echo/%C3%A4?q=%20 HTTP/1.1\r\nHOST: Up\r\nX-A: 1 \t\r\nX-A: 2\r\nX-E:\r\n\r\n"
        )
        read_answer(connection)
        ours = connection.getsockname()
    [scope] = both.app.seen
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/echo/ä", b"/echo/%C3%A4", b"q=%20")
    assert scope["headers"] == [(b"host", b"Up"), (b"x-a", b"1"), (b"x-a", b"2"), (b"x-e", b"")]
    assert (scope["client"], scope["server"]) == (ours, ("127.0.0.1", both.port))
    assert (scope["method"], scope["scheme"], scope["http_version"]) == ("GET", "http", "1.1")
    assert (scope["type"], scope["root_path"]) == ("http", "")


# What two readers could understand in two ways

HOST = b"Host: x\r\n"
REFUSED_HEADS = {
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost: x\r\nX : a\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: x\r\nX\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    "NUL in the target": b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "bare CR": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "length with a sign": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
    "negative length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -3\r\n\r\nabc",
    "length in hex": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc",
    "no length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n",
    "other coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
    "chunked not last": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "hidden coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding twice": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
    "not ASCII": b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n",
    "HTTP/1.10": b"GET / HTTP/1.10\r\nHost: x\r\n\r\n",
    "not HTTP": b"GET / ICE/1.0\r\nHost: x\r\n\r\n",
    "garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}
STRICTER_HEADS = {
    "obs-fold": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "RTSP": b"DESCRIBE / RTSP/1.0\r\nHost: x\r\n\r\n",
    "bare LF": b"GET / HTTP/1.1\nHost: x\n\n",
    "one bare LF": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\nY: b\r\n\r\n",
    "both lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "the same length twice": b"POST / HTTP/1.1\r\nHost: x\r\n"
    b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "lengths in a list": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
    "chunked in 1.0": b"POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/2.0 without its preface": b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT a:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    "unknown method": b"FROB / HTTP/1.1\r\nHost: x\r\n\r\n",
    "length of 30 digits": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n",
}
REFUSED_CHUNKS = {
    "sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "not hex": b"g\r\nabc\r\n0\r\n\r\n",
    "too long": b"3\r\nabcd\r\n0\r\n\r\n",
    "size of 40 digits": b"0" * 39 + b"3\r\nabc\r\n0\r\n\r\n",
}
STRICTER_CHUNKS = {
    "endless extension": b"3;" + b"a" * 100_000 + b"\r\nabc\r\n0\r\n\r\n",
    "bare LF": b"3\nabc\n0\n\n",
    "bare LF behind": b"3\r\nabc\n0\r\n\r\n",
    "space behind": b"3 \r\nabc\r\n0\r\n\r\n",
    "NUL in an extension": b"3;\0\r\nabc\r\n0\r\n\r\n",
    "broken trailer": b"3\r\nabc\r\n0\r\nno colon\r\n\r\n",
    "endless trailer": b"3\r\nabc\r\n0\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
}


@pytest.mark.parametrize("name", REFUSED_HEADS)
def test_an_ambiguous_head_is_refused_and_nothing_behind_it_is_read(both: Http1Box, name: str) -> None:
    refused(both, REFUSED_HEADS[name])


@pytest.mark.parametrize("name", STRICTER_HEADS)
def test_our_engine_also_refuses_what_h11_lets_pass(box: Http1Box, name: str) -> None:
    refused(box, STRICTER_HEADS[name])


def refused(box: Http1Box, head: bytes) -> None:
    box.app.seen.clear()
    answer = box.ask(head + get("/echo/smuggled"))
    assert len(statuses(answer)) == 1
    assert 400 <= statuses(answer)[0] < 500 or statuses(answer) in ([501], [505])
    assert b"connection: close" in answer.lower()
    assert box.app.seen == []


@pytest.mark.parametrize("name", REFUSED_CHUNKS)
def test_broken_chunks_end_the_connection(both: Http1Box, name: str) -> None:
    refused_chunks(both, REFUSED_CHUNKS[name])


@pytest.mark.parametrize("name", STRICTER_CHUNKS)
def test_our_engine_also_refuses_chunks_that_h11_lets_pass(box: Http1Box, name: str) -> None:
    refused_chunks(box, STRICTER_CHUNKS[name])


@pytest.mark.parametrize("name", [*REFUSED_CHUNKS, *STRICTER_CHUNKS])
def test_chunks_that_break_in_the_middle_look_to_the_application_like_a_client_that_went(
    box: Http1Box, name: str
) -> None:
    box.app.began.clear(), box.app.gone.clear()
    with box.connect() as connection:
        connection.sendall(chunked(b"3\r\nabc\r\n"))
        assert box.app.began.wait(10)
        connection.sendall((REFUSED_CHUNKS | STRICTER_CHUNKS)[name])
        connection.sendall(get("/echo/smuggled"))
        assert statuses(read_to_end(connection)) == [400]
    assert box.app.gone.wait(10)


def refused_chunks(box: Http1Box, body: bytes) -> None:
    answer = box.ask(chunked(body) + get("/echo/smuggled"))
    assert statuses(answer) in ([400], [])
    assert b"smuggled" not in answer


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.raw")), ids=lambda path: path.stem)
def test_hostile_requests_get_one_answer_or_two_in_order(box: Http1Box, path: Path) -> None:
    answer = box.ask(path.read_bytes())
    assert 1 <= len(statuses(answer)) <= 2
    assert all(status == 200 or 400 <= status < 502 for status in statuses(answer)), answer[:200]


def test_a_head_of_60_kib_is_taken(both: Http1Box) -> None:
    assert statuses(both.ask(get("/echo", f"X: {'a' * 60_000}\r\n"))) == [200]


def test_the_limits_are_told_by_their_own_status(box: Http1Box) -> None:
    assert statuses(box.ask(get("/echo", f"X: {'a' * 100_000}\r\n"))) == [431]
    assert statuses(box.ask(get("/echo", "a:\r\n" * 1001))) == [431]
    assert statuses(box.ask(get("/" + "a" * 1_000_000))) == [414]
    assert statuses(box.ask(post(b"", "").replace(b": 0\r\n", b": 9999999999999999999\r\n"))) == [413]


# Expect: 100-continue


def test_continue_is_said_when_the_application_reads(both: Http1Box) -> None:
    with both.connect() as connection:
        connection.sendall(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"hello")
        assert read_answer(connection)[1] == b"POST /echo hello"


def test_a_refusal_before_the_body_says_no_continue_and_closes(box: Http1Box) -> None:
    with box.connect() as connection:
        connection.sendall(
            b"PUT /unread HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
        answer = read_to_end(connection)
    assert statuses(answer) == [403]
    assert b"connection: close" in answer


def test_continue_is_not_said_to_old_clients_nor_when_the_body_is_there(box: Http1Box) -> None:
    assert statuses(box.ask(post(b"hello", "Expect: 100-continue\r\n"))) == [200]
    assert statuses(box.ask(get("/echo", "Expect: 100-continue\r\n"))) == [200]
    assert statuses(box.ask(get("/echo", "Expect: gold\r\n"))) == [200]
    old = b"POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    assert statuses(box.ask(old + b"hello", pieces=len(old))) == [200]


def test_a_refused_client_that_goes_on_sending_reads_why(box: Http1Box) -> None:
    with box.connect() as connection:
        connection.sendall(post(b"x" * 400_000, target="/unread").replace(b": 400000", b": 900000000"))
        with contextlib.suppress(OSError):
            for _ in range(100):
                connection.sendall(b"x" * 65536)
        assert statuses(connection.recv(1000)) == [403]


# Answers


def test_an_answer_without_length_is_chunked_or_ends_with_the_connection(both: Http1Box) -> None:
    answer = both.ask(get("/pieces") + get("/echo"))
    assert b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\nHTTP/1.1" in answer
    old = both.ask(get("/pieces", version="1.0"))
    assert old.endswith(b"\r\n\r\nonetwo")
    assert b"chunked" not in old


@pytest.mark.parametrize("target", ["/echo", "/pieces", "/status/200", "/status/404"])
def test_head_has_no_body(both: Http1Box, target: str) -> None:
    answer = both.ask(b"HEAD %b HTTP/1.1\r\nHost: x\r\n\r\n" % target.encode() + get("/echo/next"))
    assert answer.partition(b"\r\n\r\n")[2].startswith(b"HTTP/1.1 200")
    assert len(statuses(answer)) == 2


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_have_no_body_have_no_framing(both: Http1Box, status: int) -> None:
    answer = both.ask(get(f"/status/{status}") + get("/echo/next"))
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"content-length" not in head.lower()
    assert rest.startswith(b"HTTP/1.1 200")


def test_every_answer_has_one_date(both: Http1Box) -> None:
    assert (
        len(
            re.findall(
                rb"(?i)\r\ndate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", both.ask(get("/echo"))
            )
        )
        == 1
    )


def test_connections_are_kept_as_the_client_says(box: Http1Box) -> None:
    for more, version, kept in (
        ("", "1.1", True),
        ("Connection: close\r\n", "1.1", False),
        ("Connection: x, CLOSE\r\n", "1.1", False),
        ("", "1.0", False),
        ("Connection: Keep-Alive\r\n", "1.0", True),
    ):
        answer = box.ask(get("/echo/1", more, version) + get("/echo/2"))
        assert len(statuses(answer)) == (2 if kept else 1), (more, version)
        assert (b"connection: close" in answer.partition(b"\r\n\r\n")[0]) is not kept


@pytest.mark.parametrize("target", ["/broken", "/silent", "/splitting"])
def test_an_application_that_breaks_answers_500_and_nothing_of_its_secrets(
    box: Http1Box, target: str
) -> None:
    answer = box.ask(get(target) + get("/echo"))
    assert statuses(answer) == [500]
    assert b"broken" not in answer
    assert b"set-cookie" not in answer


@pytest.mark.parametrize("target", ["/half", "/short"])
def test_an_answer_that_breaks_off_is_not_taken_for_whole(box: Http1Box, target: str) -> None:
    answer = box.ask(get(target) + get("/echo"))
    assert len(statuses(answer)) <= 1
    assert len(answer.partition(b"\r\n\r\n")[2]) < 10


# Clients that go, wait, or do not read


@pytest.mark.parametrize("reset", [True, False])
def test_the_application_learns_that_its_client_went(both: Http1Box, reset: bool) -> None:
    both.app.began.clear(), both.app.gone.clear()
    with both.connect() as connection:
        connection.sendall(get("/wait"))
        assert both.app.began.wait(10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", reset, 0))
    assert both.app.gone.wait(10)


def test_a_body_that_breaks_off_is_never_taken_for_whole(both: Http1Box) -> None:
    for request in (post(b"hello")[:-1], chunked(b"3\r\nabc\r\n"), chunked(b"3\r\nabc\r\n0\r\n")):
        both.app.gone.clear()
        both.ask(request)
        assert both.app.gone.wait(10)


def test_a_client_that_only_closed_its_side_reads_its_answers(both: Http1Box) -> None:
    with both.connect() as connection:
        connection.sendall(get("/echo/1") + get("/echo/2"))
        connection.shutdown(socket.SHUT_WR)
        assert statuses(read_to_end(connection)) == [200, 200]


def test_a_body_that_nobody_takes_holds_its_sender(both: Http1Box) -> None:
    both.app.began.clear(), both.call(both.app.go.clear)
    body = b"x" * (64 << 20)
    with both.connect() as connection:
        connection.sendall(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert both.app.began.wait(10)
        before, sent = memory_bytes(), 0
        connection.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            while sent < len(body):
                sent += connection.send(body[sent : sent + 65536])
        assert sent < len(body)
        assert memory_bytes() - before < 16 << 20
        both.call(both.app.go.set)
        connection.settimeout(20)
        connection.sendall(body[sent:])
        assert read_answer(connection)[1] == b"%d" % len(body)


def test_a_client_that_does_not_read_holds_the_application(both: Http1Box) -> None:
    both.app.began.clear(), both.call(both.app.go.clear)
    with both.connect() as connection:
        connection.sendall(get("/endless"))
        assert both.app.began.wait(10)
        still = wait_until_still(lambda: both.app.sent_bytes)
        assert still < 64 << 20
        assert len(connection.recv(65536)) > 0
    both.call(both.app.go.set)


def wait_until_still(value: object) -> int:
    """The value once it did not grow for a while."""
    assert callable(value)
    last, since = value(), time.monotonic()
    while time.monotonic() - since < 0.5:
        time.sleep(0.02)
        if value() != last:
            last, since = value(), time.monotonic()
    return int(last)


def memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[Http1Box]:
    """Deadlines of a fraction of a second."""
    monkeypatch.setattr(connections_module, "SWEEP_SECONDS", 0.02)
    for name in ("HEAD_SECONDS", "IDLE_SECONDS", "WRITE_SECONDS", "LINGER_SECONDS"):
        monkeypatch.setattr(connection_module, name, 0.2)
    with running_app("httptools") as box:
        yield box


@pytest.mark.parametrize("begun", [b"GET /\r\n", b"GET / HTTP/1.1\nHost: x", b"\x16\x03\x01 TLS\r\n"])
def test_a_head_that_no_further_byte_can_mend_is_refused_at_once(box: Http1Box, begun: bytes) -> None:
    with box.connect() as connection:
        connection.sendall(begun)
        connection.settimeout(5)
        assert statuses(read_to_end(connection)) == [400]


def test_a_head_that_does_not_end_is_given_up(hurried: Http1Box) -> None:
    with hurried.connect() as connection:
        for byte in get("/echo")[:-1]:
            connection.sendall(bytes([byte]))
        assert statuses(read_to_end(connection)) == [408]


def test_a_head_that_drips_gets_no_more_time_for_each_byte(hurried: Http1Box) -> None:
    with hurried.connect() as connection:
        answer = b""
        connection.settimeout(0.05)
        connection.sendall(b"GET / HTTP/1.1\r\n")
        while not answer:
            with contextlib.suppress(OSError):
                connection.sendall(b"X: y\r\n")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(1000)
        assert statuses(answer) == [408]


def test_an_idle_connection_ends_without_a_word(hurried: Http1Box) -> None:
    with hurried.connect() as connection:
        assert read_to_end(connection) == b""
    with hurried.connect() as connection:
        connection.sendall(get("/echo"))
        assert statuses(read_to_end(connection)) == [200]


def test_a_client_that_never_reads_is_cut_off(hurried: Http1Box) -> None:
    with hurried.connect() as connection:
        connection.sendall(get("/endless"))
        assert hurried.app.cut.wait(10)


def test_a_request_under_way_has_no_deadline_of_the_engine(hurried: Http1Box) -> None:
    with hurried.connect() as connection:
        connection.sendall(get("/late"))
        assert hurried.app.began.wait(10)
        connection.settimeout(1)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        hurried.call(hurried.app.go.set)
        assert read_answer(connection)[1] == b"late"


def test_a_refused_client_that_never_closes_is_cut_off(hurried: Http1Box) -> None:
    with hurried.connect() as connection:
        connection.sendall(b"GET / HTTP/9.9\r\n\r\n")
        assert statuses(read_to_end(connection)) == [400]
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_for_ever(connection)


def send_for_ever(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x" * 65536)


def test_a_thousand_slow_clients_cost_little_and_stop_nobody(box: Http1Box) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    with contextlib.ExitStack() as stack:
        before = memory_bytes()
        slow = [stack.enter_context(box.connect()) for _ in range(1000)]
        for number, connection in enumerate(slow):
            if number % 3:
                connection.sendall(get("/echo", "X: " + "a" * 1000)[:-2])
            elif number % 2:
                connection.sendall(post(b"hello")[:-1])
        assert statuses(box.ask(get("/echo"))) == [200]
        assert memory_bytes() - before < 64 << 20


def test_a_client_that_asks_a_thousand_things_at_once_does_not_stop_the_others(box: Http1Box) -> None:
    answers: list[bytes] = []
    many = threading.Thread(target=lambda: answers.append(box.ask(get("/echo") * 3000)))
    many.start()
    assert statuses(box.ask(get("/echo"))) == [200]
    many.join(30)
    assert len(statuses(answers[0])) == 3000


# The end


@pytest.mark.parametrize("engine", ENGINES)
def test_a_server_that_stops_finishes_what_is_under_way_and_ends_idle_connections_at_once(
    engine: str,
) -> None:
    with running_app(engine) as box, box.connect() as idle, box.connect() as begun, box.connect() as busy:
        idle.sendall(get("/echo"))
        read_answer(idle)
        begun.sendall(get("/echo")[:-2])
        busy.sendall(get("/late"))
        assert box.app.began.wait(10)
        box.call(box.stop.set)
        assert read_to_end(idle) == b""
        if engine == "httptools":
            assert read_to_end(begun) == b""
        else:
            begun.close()
        box.call(box.app.go.set)
        answer = read_to_end(busy)
        assert answer.endswith(b"late")
        if engine == "httptools":
            assert b"connection: close" in answer
        box.thread.join(5)
        assert not box.thread.is_alive()


def test_a_server_that_stops_cuts_off_what_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "GRACE_SECONDS", 0.2)
    with running_app("httptools") as box, box.connect() as busy:
        busy.sendall(get("/late"))
        assert box.app.began.wait(10)
        box.call(box.stop.set)
        assert read_to_end(busy) == b""


# Other protocols on the same port


def test_an_offer_of_http2_is_ignored(box: Http1Box) -> None:
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    answer = box.ask(get("/echo/1", offer) + get("/echo/2"))
    assert statuses(answer) == [200, 200]


def test_http2_with_prior_knowledge_is_answered(both: Http1Box) -> None:
    with both.connect() as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\n")
        connection.sendall(b"SM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
        assert connection.recv(9)[3] == 4  # SETTINGS: RFC 9113 6.5
        connection.sendall(bytes(2) + b"\x08\x06" + bytes(5) + b"12345678")
        frames = b""
        while b"12345678" not in frames:
            frames += connection.recv(1000)


def test_websockets_go_to_hypercorn_also_after_other_requests(both: Http1Box) -> None:
    wish = (
        "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    with both.connect() as connection:
        connection.sendall(get("/echo"))
        read_answer(connection)
        connection.sendall(get("/ws", wish))
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in connection.recv(1000)
        connection.sendall(b"\x81\x85\0\0\0\0hello")
        assert connection.recv(7) == b"\x81\x05HELLO"


def test_over_tls_the_scheme_is_https_and_all_else_the_same(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    for engine in ENGINES:
        with running_app(engine, (certificate, key)) as box:
            body = os.urandom(1 << 20)
            with box.connect() as connection:
                connection.sendall(post(body) + get("/echo/2"))
                assert read_answer(connection)[1].startswith(b"POST /echo " + body[:100])
            assert box.app.seen[0]["scheme"] == "https"
            with box.connect() as connection:
                connection.sendall(get("/echo", "Connection: close\r\n"))
                assert statuses(read_to_end(connection)) == [200]
            with socket.create_connection(("127.0.0.1", box.port), timeout=10) as plain:
                plain.sendall(get("/echo"))
                assert statuses(read_to_end(plain)) == []


def self_signed(folder: Path) -> tuple[Path, Path]:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "tls.pem", folder / "tls.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


# Hop limit


@pytest.mark.skipif(os.geteuid() != 0, reason="a packet socket needs root")
def test_an_answer_may_have_a_hop_limit_of_its_own(box: Http1Box) -> None:
    """Read off the packets on the loopback."""
    with (
        socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as wire,
        box.connect() as own,
    ):
        keep_only(wire, box.port)
        wire.bind(("lo", 0))
        wire.settimeout(10)
        for target in ("/hops", "/echo", "/hops"):
            own.sendall(get(target))
            read_answer(own)
        assert [hops for hops, _ in payloads(wire, box.port, 3)] == [1, 64, 1]


def keep_only(wire: socket.socket, port: int) -> None:
    """Let the kernel drop what other ports send: a busy loopback would push our packets out (bpf(4))."""
    program = (
        (0xB1, 0, 0, 0),
        (0x48, 0, 0, 0),
        (0x15, 0, 1, port),
        (0x06, 0, 0, 0xFFFFFFFF),
        (0x06, 0, 0, 0),
    )
    filters = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    attach = struct.pack("@HP", len(program), ctypes.addressof(filters))
    wire.setsockopt(socket.SOL_SOCKET, 26, attach)  # SO_ATTACH_FILTER


def payloads(wire: socket.socket, port: int, count: int) -> list[tuple[int, bytes]]:
    """TTL and payload of the TCP segments with data that come from the port; each once, as they leave."""
    found: list[tuple[int, bytes]] = []
    while len(found) < count:
        packet, address = wire.recvfrom(65536)
        header = (packet[0] & 15) * 4
        segment = packet[header:]
        if packet[9] != socket.IPPROTO_TCP or address[2] == socket.PACKET_OUTGOING:
            continue
        if int.from_bytes(segment[:2], "big") == port and (data := segment[(segment[12] >> 4) * 4 :]):
            found.append((packet[8], data))
    return found


def test_only_plain_http_over_ipv4_offers_a_hop_limit(box: Http1Box, tmp_path: Path) -> None:
    box.app.seen.clear()
    box.ask(get("/echo"))
    assert "euca_box.hop_limit" in box.app.seen[0]["extensions"]
    with running_app("httptools", self_signed(tmp_path)) as secure:
        with secure.connect() as connection:
            connection.sendall(get("/echo") + get("/hops"))
            assert statuses(read_to_end(connection)) == [200, 500]
        assert "euca_box.hop_limit" not in secure.app.seen[0]["extensions"]


# Hypercorn's private names


def test_the_names_of_hypercorn_that_we_use_are_as_they_were() -> None:
    parameters = list(inspect.signature(hypercorn.asyncio.tcp_server.TCPServer.__init__).parameters)
    assert parameters == ["self", "app", "loop", "config", "context", "state", "reader", "writer"]
    assert "await TCPServer(" in inspect.getsource(hypercorn.asyncio.run.worker_serve)
    assert hypercorn.asyncio.run.TCPServer is server._Server
    assert inspect.iscoroutinefunction(hypercorn.asyncio.tcp_server.TCPServer.run)
    assert asyncio.StreamReader.feed_eof
