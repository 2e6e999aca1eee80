"""What a request costs before anybody is believed: memory and time stay small whatever is sent."""

import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from euca_box.api.front import service_of
from euca_box.api.query import LARGEST_BODY_BYTES
from euca_box.api.s3.xml_in import parse_xml
from euca_box.auth import sigv4
from euca_box.auth.requests import AuthError, SignedRequest
from euca_box.model.errors import EucaError
from tests.fuzz.asgi_case import ALICE, NOW, Sent, exchange, keyring_of, scope_of
from tests.fuzz.test_query import FORM, HOST, Bus, check_answer, encoded, front

KIB, MIB = 1 << 10, 1 << 20


class Memory:
    """Bytes that Python holds more than at the start: at most, and in the end."""

    peak_bytes = 0
    kept_bytes = 0


@contextmanager
def measured() -> Iterator[Memory]:
    memory = Memory()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    try:
        yield memory
        now, peak = tracemalloc.get_traced_memory()
        memory.kept_bytes, memory.peak_bytes = now - before, peak - before
    finally:
        tracemalloc.stop()


def post(*pieces: bytes) -> Sent:
    return exchange(front(Bus()), scope_of(headers=[HOST, FORM]), pieces)


@pytest.fixture(autouse=True)
def _warm() -> None:
    """Tables that are made once do not count."""
    post(b"Action=DescribeRegions")


def test_a_body_of_10_mib_is_refused_while_it_comes() -> None:
    piece = bytes(64 * KIB)
    with measured() as memory:
        sent = post(*[piece] * 160)
    assert (sent.status, b"RequestEntityTooLarge" in sent.body) == (413, True)
    assert sent.received == LARGEST_BODY_BYTES // len(piece) + 1
    assert memory.peak_bytes < MIB


@pytest.mark.parametrize("body", [b"a=&" * 100_000, b"&" * 100_000, b"a.1=b&" * 80_000], ids=repr)
def test_100_000_parameters_are_refused_uncounted(body: bytes) -> None:
    with measured() as memory:
        sent = post(body)
    check_answer(sent)
    assert b"MalformedQueryString" in sent.body
    assert memory.peak_bytes < MIB


@pytest.mark.parametrize(
    "name",
    ["a" + ".1" * 200_000, "." * 500_000, "%2E" * 160_000, "%F0%9F%98%80" * 40_000],
    ids=lambda n: n[:9],
)
def test_one_endless_name_costs_a_bounded_amount(name: str) -> None:
    """urllib's unquote makes a bytes object of every percent sign: 70 times the body, for a moment."""
    body = f"Action=DescribeRegions&{name}=x".encode()
    with measured() as memory:
        check_answer(post(body))
    assert memory.peak_bytes < 48 * MIB


def refused_request(number: int) -> bytes:
    """Of somebody who knows a key's id, which is no secret, and not its secret."""
    pairs = [
        ("Action", "RunInstances"),
        ("UserData", f"{number:06d}" + "x" * 400_000),
        ("AWSAccessKeyId", ALICE.access_key_id),
        ("SignatureVersion", "2"),
        ("SignatureMethod", "HmacSHA256"),
        ("Timestamp", NOW.isoformat()),
        ("Signature", "AAAA"),
    ]
    return encoded(pairs)


def test_refused_requests_leave_nothing_behind() -> None:
    post(refused_request(0))
    with measured() as memory:
        for number in range(1, 11):
            assert post(refused_request(number)).status == 401
    assert memory.kept_bytes < MIB


def cpu_seconds(work: Callable[[], object]) -> float:
    """Of this thread: others on the machine do not count."""
    start = time.thread_time()
    work()
    return time.thread_time() - start


@pytest.mark.parametrize("where", ["header", "query"])
def test_where_a_request_belongs_is_seen_in_a_moment(where: str) -> None:
    text = b"Credential=" * 5000
    if where == "header":
        scope = scope_of(headers=[(b"authorization", text)])
    else:
        scope = scope_of("GET", query_string=b"X-Amz-Credential=" + text)
    assert cpu_seconds(lambda: service_of(scope)) < 0.1


@pytest.mark.parametrize(
    "header",
    [
        "AWS4-HMAC-SHA256 Credential=" + "a" * 64_000,
        "AWS4-HMAC-SHA256" + " " * 64_000,
        "AWS4-HMAC-SHA256 Credential=a" + " " * 64_000,
        "AWS4-HMAC-SHA256 Credential=" + "/" * 64_000 + ", SignedHeaders=h, Signature=" + "0" * 64,
        "AWS4-HMAC-SHA256 Credential=a,SignedHeaders=" + ";h" * 32_000 + ",Signature=" + "0" * 64,
    ],
    ids=lambda header: header[:30],
)
def test_a_long_signature_is_refused_in_a_moment(header: str) -> None:
    pairs = [("host", "h"), ("x-amz-date", NOW.strftime("%Y%m%dT%H%M%SZ")), ("authorization", header)]
    request = SignedRequest("GET", b"/", [], pairs, "0" * 64)

    def verify() -> None:
        with pytest.raises(AuthError):
            sigv4.verify(request, keyring_of(ALICE), NOW, s3=False)

    assert cpu_seconds(verify) < 0.3


@pytest.mark.parametrize(
    "body",
    [b"<a>" * 99_000, b"<?xml " + b"encoding=" * 60_000, b" " * MIB, b"<a b='" * 90_000],
    ids=lambda b: repr(b[:9]),
)
def test_a_long_document_is_refused_in_a_moment(body: bytes) -> None:
    def parse() -> None:
        with pytest.raises(EucaError):
            parse_xml(body, "Delete")

    assert cpu_seconds(parse) < 0.5
