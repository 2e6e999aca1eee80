"""The Query API reads any request: it answers, with a document, and never with 500."""

import dataclasses
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import quote_plus, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from euca_box.api.ec2 import decode, shapes
from euca_box.api.ec2.query import Ec2Query
from euca_box.api.front import Front, service_of
from euca_box.api.iam.query import IamQuery
from euca_box.auth import sigv2
from euca_box.auth.requests import SignedRequest
from euca_box.messages.registry import EC2_ACTIONS
from euca_box.model.errors import DryRunOperation, EucaError
from tests.fuzz.asgi_case import ALICE, NOW, Sent, bounded, exchange, keyring_of, pieces, scope_of, wild_bytes

FORM = (b"content-type", b"application/x-www-form-urlencoded")
HOST = (b"host", b"cloud.test:8773")
Pairs = list[tuple[str, str]]


class Bus:
    """Keeps what was asked, and does nothing."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def __call__(self, address: str, op: Any, call: Any) -> Any:
        self.asked.append(op)
        raise DryRunOperation


def front(bus: Bus) -> Front:
    keyring = keyring_of(ALICE)
    ec2 = Ec2Query(bus, keyring, lambda: NOW)
    iam = IamQuery(bus, keyring, lambda: NOW)

    async def health(*_: Any) -> None:
        raise AssertionError("S3 is not asked here")

    return Front(ec2=ec2, iam=iam, s3=ec2, health=health)


def check_answer(sent: Sent) -> None:
    """An answer of at most a refusal, as a document that a client can read."""
    assert 200 <= sent.status < 500, sent.body[:300]
    codes = [e.text for e in ET.fromstring(sent.body).iter() if e.tag.rpartition("}")[2] == "Code"]
    assert codes and codes[0]


def member_names(members: tuple[shapes.Member, ...], depth: int = 3) -> st.SearchStrategy[str]:
    """Names of parameters, right and nearly right, with lists where the model has lists and elsewhere."""
    if not members or depth == 0:
        return st.sampled_from(["X", "1", ""])
    member = st.sampled_from(members)
    number = st.sampled_from(
        ["", "", "", "", ".1", ".1", ".2", ".10", ".01", ".0", ".-1", ".x", ".9999999", "."]
    )

    def below(chosen: shapes.Member) -> st.SearchStrategy[str]:
        inner = chosen.item.members if chosen.item else chosen.members
        rest = st.just("") if not inner else st.one_of(st.just(""), member_names(inner, depth - 1))
        return st.tuples(number, rest).map(
            lambda found: chosen.wire + found[0] + ("." + found[1] if found[1] else "")
        )

    return member.flatmap(below)


values = st.one_of(
    pieces,
    st.sampled_from(["2026-01-01T00:00:00Z", "aGVsbG8=", "1e400", "10.0.0.0/8", "--1", "²", "a\ud800"]),
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, Pairs]:
    action = draw(st.sampled_from(sorted(EC2_ACTIONS)))
    members = shapes.actions()[action].request
    needed = required_names(EC2_ACTIONS[action], members) if draw(st.booleans()) else []
    names = st.one_of(member_names(members), member_names(members), pieces)
    more = draw(st.lists(st.tuples(names, values), max_size=4, unique_by=lambda pair: pair[0]))
    return action, [(name, draw(values)) for name in needed] + more


def required_names(kind: type, members: tuple[shapes.Member, ...]) -> list[str]:
    """What the action cannot do without, so that half of the requests get as far as their values."""
    needed = {f.name for f in dataclasses.fields(kind) if f.default is dataclasses.MISSING}
    return [m.wire for m in members if m.name in needed]


def encoded(pairs: Pairs) -> bytes:
    return "&".join(
        f"{quote_plus(n, errors='surrogatepass')}={quote_plus(v, errors='surrogatepass')}" for n, v in pairs
    ).encode()


def signed_v2(pairs: Pairs) -> bytes:
    """A form body that is believed."""
    pairs = [
        *pairs,
        ("AWSAccessKeyId", ALICE.access_key_id),
        ("SignatureVersion", "2"),
        ("SignatureMethod", "HmacSHA256"),
        ("Timestamp", NOW.isoformat()),
    ]
    # As the server will see them: a lone surrogate arrives as the bytes that it was sent as.
    seen = [
        tuple(unquote(quote_plus(t, errors="surrogatepass").replace("+", "%20"), errors="surrogateescape")
              for t in pair)
        for pair in pairs
    ]  # fmt: skip
    request = SignedRequest("POST", b"/", seen, [("host", HOST[1].decode())])  # type: ignore[arg-type]
    return encoded([*pairs, ("Signature", sigv2.signature(request, ALICE.secret_access_key))])


@bounded
@given(wild_bytes, wild_bytes, st.lists(st.tuples(wild_bytes, wild_bytes), max_size=3), st.booleans())
def test_any_bytes_are_refused_with_a_document(query: bytes, body: bytes, headers: Any, get: bool) -> None:
    scope = scope_of("GET" if get else "POST", b"/services/Eucalyptus", query, [HOST, FORM, *headers])
    bus = Bus()
    check_answer(exchange(front(bus), scope, [body]))
    assert bus.asked == []


@bounded
@given(requests())
def test_any_signed_request_is_understood_or_refused(request: tuple[str, Pairs]) -> None:
    """What is understood is a whole message of the action's type, with no broken text in it."""
    action, pairs = request
    bus = Bus()
    body = signed_v2([("Action", action), ("Version", "2016-11-15"), *pairs])
    sent = exchange(front(bus), scope_of(headers=[HOST, FORM]), [body])
    check_answer(sent)
    assert b"<Code>AuthFailure" not in sent.body
    for op in bus.asked:
        assert type(op) is EC2_ACTIONS[action]
        for text in texts(dataclasses.astuple(cast(Any, op))):
            text.encode()


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from texts(item)


@bounded
@given(st.lists(st.tuples(pieces, values), max_size=6))
def test_a_tree_holds_every_parameter_once(pairs: Pairs) -> None:
    try:
        tree = decode.tree_of(pairs)
    except EucaError:
        return
    assert sorted(leaves(tree)) == sorted(pairs)


def leaves(tree: decode.Tree, path: str = "") -> Pairs:
    found: Pairs = []
    for name, value in tree.items():
        found += leaves(value, f"{path}{name}.") if isinstance(value, dict) else [(path + name, value)]
    return found


def test_two_values_for_one_place_of_a_list_are_refused() -> None:
    kind, members = EC2_ACTIONS["DescribeInstances"], shapes.actions()["DescribeInstances"].request
    with pytest.raises(EucaError):
        decode.decode(kind, members, {"InstanceId": {"1": "i-00000001", "01": "i-00000002"}})


SCOPES = st.sampled_from(["ec2", "s3", "sts", "iam", "x", ""]).map(
    lambda service: f"AWS4-HMAC-SHA256 Credential=A/20260101/r/{service}/aws4_request".encode()
)
PATHS = st.one_of(
    wild_bytes.map(lambda rest: b"/" + rest),
    st.sampled_from(
        [b"/", b"", b"/services/Walrus", b"/SERVICES/walrus/", b"/services/Eucalyptus/../Walrus"]
    ),
)


@bounded
@given(st.sampled_from(["GET", "POST", "PUT", ""]), PATHS, wild_bytes, st.one_of(SCOPES, wild_bytes))
@example("GET", b"/", b"X-Amz-Credential=%ff%2f&X-Amz-Credential=", b"")
def test_any_request_belongs_to_one_service(method: str, path: bytes, query: bytes, header: bytes) -> None:
    scope = scope_of(method, path, query, [(b"Authorization", header)])
    assert service_of(scope) in ("ec2", "iam", "s3")
    if path.lower().rstrip(b"/") == b"/services/walrus":
        assert service_of(scope) == "s3"


@bounded
@given(st.text(max_size=30))
def test_any_timestamp_of_a_signature_is_a_moment_or_refused(text: str) -> None:
    pairs = [("Action", "DescribeRegions"), ("AWSAccessKeyId", ALICE.access_key_id), ("Signature", "x"),
             ("SignatureVersion", "2"), ("SignatureMethod", "HmacSHA256"), ("Expires", text)]  # fmt: skip
    check_answer(exchange(front(Bus()), scope_of(headers=[HOST, FORM]), [encoded(pairs)]))


def test_the_right_request_comes_through() -> None:
    """The harness itself: what it signs is believed."""
    bus = Bus()
    body = signed_v2(
        [("Action", "DescribeInstances"), ("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", "ü")]
    )
    sent = exchange(front(bus), scope_of(headers=[HOST, FORM]), [body])
    assert b"DryRunOperation" in sent.body
    assert bus.asked[0].filters[0].values == ("ü",)
