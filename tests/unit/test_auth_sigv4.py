"""SigV4: the published vectors, botocore as oracle, and what must be refused."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hypothesis import given
from hypothesis import strategies as st

from euca_box.auth import sigv4
from euca_box.auth.keyring import Keyring
from euca_box.auth.requests import AuthError, AuthKind, SignedRequest, parse_query
from euca_box.auth.sigv4_sign import presign_url, sign_headers
from euca_box.model.accounts import AccessKey, Principal

VECTORS = Path(__file__).parents[1] / "vectors"
SUITE = sorted((VECTORS / "sigv4-aws4_testsuite").rglob("*.req"))
SIGNATURES = json.loads((VECTORS / "signatures.json").read_text())
WHO = Principal("000000000002", "alice", "a" * 64, "alice")
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", SECRET, WHO)
SUITE_KEY = AccessKey("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", WHO)
OFF = AccessKey("AKIAOFF", SECRET, WHO, enabled=False)
NOW = datetime(2026, 5, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def keyring() -> Keyring:
    ring = Keyring()
    ring.replace(1, [KEY, SUITE_KEY, OFF])
    return ring


def of_kind(kind: str) -> list[Any]:
    return [pytest.param(v, id=v["name"]) for v in SIGNATURES if v["kind"] == kind]


def moment(stamp: str) -> datetime:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def suite_request(path: Path) -> SignedRequest:
    """A .req file of the suite; it holds raw UTF-8 and folded headers, which a wire does not."""
    head, _, body = path.read_bytes().decode().partition("\n\n")
    lines = re.sub(r"\n\s+", " ", head).split("\n")
    method, target = lines[0].split(" ", 1)
    raw_path, _, query = target.rpartition(" ")[0].partition("?")
    headers = [(n.lower(), v) for n, _, v in (line.partition(":") for line in lines[1:] if line)]
    sha256 = hashlib.sha256(body.encode()).hexdigest()
    return SignedRequest(method, raw_path.encode(), parse_query(query.encode()), headers, sha256)


@pytest.mark.parametrize("path", SUITE, ids=lambda p: p.stem)
def test_the_aws_suite_is_computed_and_believed(path: Path, keyring: Keyring) -> None:
    authorization = path.with_suffix(".authz").read_text().strip()
    claimed = re.search("SignedHeaders=([^,]+)", authorization)
    assert claimed is not None
    names, request = claimed[1].split(";"), suite_request(path)
    if "x-amz-security-token" in names and request.header("x-amz-security-token") is None:
        # The suite leaves the token out of some of its .req.
        token = re.search("x-amz-security-token:(.*)", path.with_suffix(".creq").read_text())
        assert token is not None
        request.headers.append(("x-amz-security-token", token[1]))
    canonical = sigv4.canonical_request(request, names, request.body_sha256 or "", s3=False)
    assert canonical.decode() == path.with_suffix(".creq").read_text().strip()
    signed = replace(request, headers=[*request.headers, ("authorization", authorization)])
    if "x-amz-security-token" in names:
        with pytest.raises(AuthError) as error:
            sigv4.verify(signed, keyring, moment("20150830T123600Z"), s3=False)
        assert error.value.kind is AuthKind.SESSION_TOKEN
    else:
        verified = sigv4.verify(signed, keyring, moment("20150830T123600Z"), s3=False)
        assert (verified.access_key, verified.service) == (SUITE_KEY, "service")


def vector_request(vector: dict[str, Any]) -> SignedRequest:
    headers = [*vector["headers"].items()]
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={vector['access_key']}/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders={';'.join(vector['signed_headers'])},Signature={vector['signature']}"
    )
    query = [(n, v) for n, v in vector["query"]]
    path = vector["path"].encode()
    return SignedRequest(vector["method"], path, query, [*headers, ("authorization", authorization)])


@pytest.mark.parametrize("vector", of_kind("sigv4-s3-header"))
def test_the_s3_header_examples_are_believed(vector: dict[str, Any], keyring: Keyring) -> None:
    verified = sigv4.verify(vector_request(vector), keyring, moment("20130524T000000Z"), s3=True)
    assert verified.payload_sha256 == vector["payload_sha256"]
    assert verified.access_key == KEY


@pytest.mark.parametrize("vector", of_kind("sigv4-s3-presigned"))
def test_the_s3_presigned_example_is_believed_until_it_expires(
    vector: dict[str, Any], keyring: Keyring
) -> None:
    query = [*map(tuple, vector["query"]), ("X-Amz-Signature", vector["signature"])]
    request = SignedRequest("GET", vector["path"].encode(), query, [("host", vector["host"])])
    start = moment("20130524T000000Z")
    assert sigv4.verify(request, keyring, start + timedelta(seconds=86400), s3=True).access_key == KEY
    with pytest.raises(AuthError) as error:
        sigv4.verify(request, keyring, start + timedelta(seconds=86401), s3=True)
    assert error.value.kind is AuthKind.EXPIRED


@pytest.mark.parametrize("vector", of_kind("sigv4-key"))
def test_the_published_signing_keys_are_derived(vector: dict[str, Any]) -> None:
    date = vector["name"].rpartition("-")[2]
    secrets = ("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", SECRET)
    derived = {sigv4.derive_key(secret, date, "us-east-1", "iam").hex() for secret in secrets}
    assert vector["signature"] in derived


@pytest.mark.parametrize("vector", of_kind("sigv4-s3-post-policy"))
def test_the_post_policy_example_is_computed(vector: dict[str, Any]) -> None:
    key = sigv4.derive_key(SECRET, "20151229", "us-east-1", "s3")
    assert sigv4.hmac_sha256(key, vector["policy_b64"].encode()).hex() == vector["signature"]


PATHS = [
    "/",
    "/bucket/a%20b",
    "/bucket/%C3%A9~%2B",
    "/bucket/a//b/../c",
    "/bucket/a%2Fb?prefix=x%2Fy&empty=&b=%20",
]


def signed_by_botocore(kind: str, url: str, method: str = "GET", body: bytes = b"") -> SignedRequest:
    credentials = botocore.credentials.Credentials(KEY.access_key_id, SECRET)
    headers = {"x-amz-meta-a": "two   blanks", "content-type": "text/plain"} if "Query" not in kind else {}
    request = botocore.awsrequest.AWSRequest(method, url, headers, body)
    service = "s3" if kind.startswith("S3") else "ec2"
    getattr(botocore.auth, kind)(credentials, service, "eu-x-1").add_auth(request)
    parts = urlsplit(request.prepare().url)
    sent = [(n.lower(), v.decode() if isinstance(v, bytes) else v) for n, v in request.headers.items()]
    if not any(name == "host" for name, _ in sent):
        sent.append(("host", parts.netloc))
    sha256 = hashlib.sha256(body).hexdigest()
    return SignedRequest(method, parts.path.encode(), parse_query(parts.query.encode()), sent, sha256)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["S3SigV4Auth", "S3SigV4QueryAuth", "SigV4Auth", "SigV4QueryAuth"])
def test_what_botocore_signs_is_believed(kind: str, path: str, keyring: Keyring) -> None:
    if kind == "SigV4QueryAuth":
        path = path.replace("&empty=", "")  # botocore drops empty values here
    request = signed_by_botocore(kind, "http://h.example:8773" + path)
    verified = sigv4.verify(request, keyring, datetime.now(UTC), s3=kind.startswith("S3"))
    assert (verified.region, verified.access_key) == ("eu-x-1", KEY)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("service", ["s3", "ec2"])
def test_what_we_sign_is_believed(path: str, service: str, keyring: Keyring) -> None:
    url = "http://h.example:8773" + path
    raw_path, _, query = path.partition("?")
    headers = sign_headers("PUT", url, {"X-Amz-Meta-A": " b "}, KEY, NOW, service=service)
    request = SignedRequest("PUT", raw_path.encode(), parse_query(query.encode()), list(headers.items()))
    assert sigv4.verify(request, keyring, NOW, s3=service == "s3").access_key == KEY
    signed = urlsplit(presign_url("GET", url, KEY, NOW, 60, service=service))
    link = SignedRequest(
        "GET", signed.path.encode(), parse_query(signed.query.encode()), [("host", "h.example:8773")]
    )
    assert sigv4.verify(link, keyring, NOW, s3=service == "s3").access_key == KEY


def header_request() -> SignedRequest:
    headers = sign_headers("GET", "http://h/b/k?a=1", {"x-amz-meta-x": "y"}, KEY, NOW)
    return SignedRequest("GET", b"/b/k", [("a", "1")], list(headers.items()))


def presigned_request(expires_seconds: int = 60) -> SignedRequest:
    parts = urlsplit(presign_url("GET", "http://h/b/k?a=1", KEY, NOW, expires_seconds))
    return SignedRequest("GET", b"/b/k", parse_query(parts.query.encode()), [("host", "h")])


def with_header(request: SignedRequest, name: str, change: Callable[[str], str | None]) -> SignedRequest:
    changed = [(n, change(v) if n == name else v) for n, v in request.headers]
    return replace(request, headers=[(n, v) for n, v in changed if v is not None])


def with_parameter(request: SignedRequest, name: str, value: str | None) -> SignedRequest:
    query = [(n, value if n == name else v) for n, v in request.query]
    return replace(request, query=[(n, v) for n, v in query if v is not None])


def resigned(request: SignedRequest, old: str, new: str) -> SignedRequest:
    return with_header(request, "authorization", lambda v: v.replace(old, new))


def flip(text: str) -> str:
    return text[:-1] + ("0" if text[-1] != "0" else "1")


H, P = header_request(), presigned_request()
REFUSED = {
    "another method": (replace(H, method="PUT"), AuthKind.BAD_SIGNATURE),
    "another path": (replace(H, raw_path=b"/b/K"), AuthKind.BAD_SIGNATURE),
    "another parameter": (with_parameter(H, "a", "2"), AuthKind.BAD_SIGNATURE),
    "one parameter more": (replace(H, query=[*H.query, ("b", "")]), AuthKind.BAD_SIGNATURE),
    "another signature": (with_header(H, "authorization", flip), AuthKind.BAD_SIGNATURE),
    "another host": (with_header(H, "host", lambda v: v + "x"), AuthKind.BAD_SIGNATURE),
    "another signed header": (with_header(H, "x-amz-meta-x", flip), AuthKind.BAD_SIGNATURE),
    "another payload hash": (with_header(H, "x-amz-content-sha256", flip), AuthKind.BAD_SIGNATURE),
    "no payload hash": (with_header(H, "x-amz-content-sha256", lambda v: None), AuthKind.MALFORMED_HEADER),
    "a payload hash of no kind": (
        with_header(H, "x-amz-content-sha256", lambda v: "x"),
        AuthKind.BAD_PAYLOAD,
    ),
    "a signed header is missing": (
        with_header(H, "x-amz-meta-x", lambda v: None),
        AuthKind.MALFORMED_HEADER,
    ),
    "an unsigned amz header": (
        replace(H, headers=[*H.headers, ("x-amz-acl", "public-read")]),
        AuthKind.UNSIGNED_HEADERS,
    ),
    "a signed header twice": (
        replace(H, headers=[*H.headers, ("x-amz-meta-x", "z")]),
        AuthKind.BAD_SIGNATURE,
    ),
    "two hosts": (replace(H, headers=[*H.headers, ("host", "h")]), AuthKind.AMBIGUOUS),
    "host not signed": (resigned(H, "=host;", "="), AuthKind.MALFORMED_HEADER),
    "date not signed": (resigned(H, ";x-amz-date", ""), AuthKind.UNSIGNED_HEADERS),
    "another region": (resigned(H, "us-east-1", "us-east-2"), AuthKind.BAD_SIGNATURE),
    "another service": (resigned(H, "/s3/", "/ec2/"), AuthKind.BAD_SIGNATURE),
    "another day": (resigned(H, "/20260524/", "/20260525/"), AuthKind.BAD_SIGNATURE),
    "unknown key": (resigned(H, KEY.access_key_id, "AKIANOBODY"), AuthKind.UNKNOWN_KEY),
    "disabled key": (resigned(H, KEY.access_key_id, OFF.access_key_id), AuthKind.UNKNOWN_KEY),
    "no date": (with_header(H, "x-amz-date", lambda v: None), AuthKind.BAD_DATE),
    "a date of no shape": (with_header(H, "x-amz-date", lambda v: "now"), AuthKind.BAD_DATE),
    "a date that is none": (with_header(H, "x-amz-date", lambda v: "20261399T000000Z"), AuthKind.BAD_DATE),
    "two Authorization headers": (
        replace(H, headers=[*H.headers, H.headers[-1]]),
        AuthKind.AMBIGUOUS,
    ),
    "header and query": (replace(P, headers=H.headers), AuthKind.AMBIGUOUS),
    "an empty Authorization": (
        with_header(H, "authorization", lambda v: "AWS4-HMAC-SHA256 "),
        AuthKind.MALFORMED_HEADER,
    ),
    "a session token added to what was signed": (
        replace(H, headers=[*H.headers, ("x-amz-security-token", "t")]),
        AuthKind.UNSIGNED_HEADERS,
    ),
    "no signature": (SignedRequest("GET", b"/"), AuthKind.MISSING),
    "presigned: another key": (replace(P, raw_path=b"/b/l"), AuthKind.BAD_SIGNATURE),
    "presigned: method": (replace(P, method="DELETE"), AuthKind.BAD_SIGNATURE),
    "presigned: longer": (with_parameter(P, "X-Amz-Expires", "61"), AuthKind.BAD_SIGNATURE),
    "presigned: zero": (with_parameter(P, "X-Amz-Expires", "0"), AuthKind.EXPIRED),
    "presigned: negative": (with_parameter(P, "X-Amz-Expires", "-1"), AuthKind.EXPIRED),
    "presigned: over a week": (with_parameter(P, "X-Amz-Expires", "604801"), AuthKind.EXPIRED),
    "presigned: a digit that is none": (with_parameter(P, "X-Amz-Expires", "²"), AuthKind.MALFORMED_QUERY),
    "presigned: no expiry": (with_parameter(P, "X-Amz-Expires", None), AuthKind.MALFORMED_QUERY),
    "presigned: twice": (replace(P, query=[*P.query, ("X-Amz-Expires", "60")]), AuthKind.AMBIGUOUS),
    "presigned: amz header": (
        replace(P, headers=[*P.headers, ("x-amz-acl", "public-read")]),
        AuthKind.UNSIGNED_HEADERS,
    ),
}


@pytest.mark.parametrize(("request_", "kind"), REFUSED.values(), ids=REFUSED.keys())
def test_a_changed_request_is_refused(request_: SignedRequest, kind: AuthKind, keyring: Keyring) -> None:
    assert sigv4.verify(H, keyring, NOW, s3=True).access_key == KEY
    with pytest.raises(AuthError) as error:
        sigv4.verify(request_, keyring, NOW, s3=True)
    assert error.value.kind is kind
    assert SECRET not in str(error.value.details) + str(error.value)


@pytest.mark.parametrize(
    ("request_", "minutes", "kind"),
    [
        (H, 16, AuthKind.SKEWED),
        (H, -16, AuthKind.SKEWED),
        (P, 2, AuthKind.EXPIRED),
        (P, -16, AuthKind.EXPIRED),
    ],
    ids=["header old", "header early", "link expired", "link early"],
)
def test_a_clock_far_away_is_refused(
    request_: SignedRequest, minutes: int, kind: AuthKind, keyring: Keyring
) -> None:
    with pytest.raises(AuthError) as error:
        sigv4.verify(request_, keyring, NOW + timedelta(minutes=minutes), s3=True)
    assert error.value.kind is kind


def test_ec2_signs_the_body_itself(keyring: Keyring) -> None:
    request = signed_by_botocore("SigV4Auth", "http://h/", "POST", b"Action=DescribeInstances")
    assert sigv4.verify(request, keyring, datetime.now(UTC), s3=False).service == "ec2"
    changed = replace(request, body_sha256=hashlib.sha256(b"Action=TerminateInstances").hexdigest())
    with pytest.raises(AuthError) as error:
        sigv4.verify(changed, keyring, datetime.now(UTC), s3=False)
    assert error.value.kind is AuthKind.BAD_SIGNATURE


NAMES = st.sampled_from(["authorization", "x-amz-date", "host", "date", "x-amz-content-sha256", "x-amz-q"])
VALUES = st.one_of(
    st.text(max_size=40),
    st.sampled_from([v for _, v in H.headers]),
    st.from_regex(
        r"AWS4-HMAC-SHA256 *Credential=.{0,20}/.{0,9}/?, *SignedHeaders=.{0,9}, *Signature=.{0,64}"
    ),
)


@given(
    headers=st.lists(st.tuples(NAMES, VALUES), max_size=8),
    query=st.lists(st.tuples(st.sampled_from([n for n, _ in P.query]), VALUES), max_size=8),
    raw_path=st.binary(max_size=30),
    s3=st.booleans(),
)
def test_only_typed_errors_escape(
    headers: list[tuple[str, str]], query: list[tuple[str, str]], raw_path: bytes, s3: bool
) -> None:
    ring = Keyring()
    ring.replace(1, [KEY])
    with pytest.raises(AuthError):
        sigv4.verify(SignedRequest("GET", raw_path, query, headers), ring, NOW, s3=s3)


@given(st.binary(max_size=200))
def test_any_query_string_is_read_or_refused(text: bytes) -> None:
    try:
        pairs = parse_query(text)
    except AuthError:
        return
    assert all(isinstance(part, str) for pair in pairs for part in pair)
