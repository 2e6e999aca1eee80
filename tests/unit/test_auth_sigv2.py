"""The signatures of 2006 to 2010: EC2 Query version 2, and S3 REST."""

import hmac
import json
import re
from base64 import b64encode
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

from euca_box.auth import s3v2, sigv2
from euca_box.auth.faults import ec2_fault, iam_fault
from euca_box.auth.keyring import Keyring
from euca_box.auth.requests import AuthError, AuthKind, SignedRequest, parse_query
from euca_box.model.accounts import AccessKey, Principal

SIGNATURES = json.loads((Path(__file__).parents[1] / "vectors/signatures.json").read_text())
WHO = Principal("000000000002", "alice", "a" * 64, "alice")
KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", WHO)
NOW = datetime(2026, 5, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def keyring() -> Keyring:
    ring = Keyring()
    ring.replace(1, [KEY])
    return ring


def of_kind(kind: str) -> list[Any]:
    return [pytest.param(v, id=v["name"]) for v in SIGNATURES if v["kind"] == kind]


@pytest.mark.parametrize("vector", of_kind("sigv2-query"))
def test_the_published_query_signatures_are_computed(vector: dict[str, Any]) -> None:
    query = list(vector["params"].items())
    request = SignedRequest(vector["method"], vector["path"].encode(), query, [("host", vector["host"])])
    assert sigv2.string_to_sign(request) == vector["string_to_sign"]
    method = {"sha256": "HmacSHA256", "sha1": "HmacSHA1"}[vector["hash"]]
    assert sigv2.signature(request, vector["secret_key"], method) == vector["signature"]


@pytest.mark.parametrize("vector", of_kind("s3-rest-v2"))
def test_the_published_s3_signatures_are_computed(vector: dict[str, Any]) -> None:
    text = vector["string_to_sign"].encode()
    assert s3v2.signature(text, vector["secret_key"]) == vector["signature"]


def query_request(**changes: str) -> SignedRequest:
    params = {
        "Action": "DescribeInstances",
        "AWSAccessKeyId": KEY.access_key_id,
        "SignatureMethod": "HmacSHA256",
        "SignatureVersion": "2",
        "Timestamp": "2026-05-24T12:00:00.000Z",
        "Filter.1.Name": "a b*~+&",
        **changes,
    }
    request = SignedRequest(
        "POST", b"/services/Eucalyptus", list(params.items()), [("host", "H.example:8773")]
    )
    signed = sigv2.signature(request, KEY.secret_access_key, params.get("SignatureMethod", "HmacSHA256"))
    return replace(request, query=[*request.query, ("Signature", signed)])


@pytest.mark.parametrize("method", ["HmacSHA256", "HmacSHA1"])
def test_a_signed_query_is_believed(method: str, keyring: Keyring) -> None:
    assert sigv2.verify(query_request(SignatureMethod=method), keyring, NOW) == KEY


def old_request(version: str, text: str, **more: str) -> SignedRequest:
    """As the EC2 developer guide of 2007 signs: HMAC-SHA1 over the text."""
    params = {"Action": "DescribeInstances", "AWSAccessKeyId": KEY.access_key_id, **more}
    params |= {"SignatureVersion": version, "Timestamp": "2026-05-24T12:00:00Z"}
    digest = hmac.digest(KEY.secret_access_key.encode(), text.encode(), "sha1")
    query = [*params.items(), ("Signature", b64encode(digest).decode())]
    return SignedRequest("GET", b"/", query, [("host", "h")])


V0 = "DescribeInstances2026-05-24T12:00:00Z"
V1 = (
    f"ActionDescribeInstancesAWSAccessKeyId{KEY.access_key_id}instanceId.1i-1"
    "SignatureVersion1Timestamp2026-05-24T12:00:00Z"
)


def test_signatures_of_2006_are_believed_when_the_operator_wants_them(keyring: Keyring) -> None:
    asked = [old_request("0", V0), old_request("1", V1, **{"instanceId.1": "i-1"})]
    for request in asked:
        assert sigv2.verify(request, keyring, NOW, oldest=0) == KEY
        with pytest.raises(AuthError) as error:
            sigv2.verify(request, keyring, NOW)
        assert error.value.kind is AuthKind.UNSUPPORTED


def test_a_changed_request_of_2006_is_refused(keyring: Keyring) -> None:
    changed = [
        old_request("0", V0 + "x"),
        old_request("1", V1, **{"instanceId.1": "i-2"}),
        replace(old_request("1", V1), query=old_request("1", V1).query[:-1]),
        old_request("3", V0),
        old_request("-1", V0),
        old_request("²", V0),
    ]
    for request in changed:
        with pytest.raises(AuthError):
            sigv2.verify(request, keyring, NOW, oldest=0)


def test_what_botocore_signs_is_believed(keyring: Keyring) -> None:
    credentials = botocore.credentials.Credentials(KEY.access_key_id, KEY.secret_access_key)
    request = botocore.awsrequest.AWSRequest("POST", "http://h:8773/x", data={"Action": "Ä b"})
    request.params = {}
    botocore.auth.SigV2Auth(credentials).add_auth(request)
    sent = SignedRequest("POST", b"/x", list(request.data.items()), [("host", "h:8773")])
    assert sigv2.verify(sent, keyring, datetime.now(UTC)) == KEY


Q = query_request()
REFUSED = {
    "method": (replace(Q, method="GET"), AuthKind.BAD_SIGNATURE),
    "path": (replace(Q, raw_path=b"/"), AuthKind.BAD_SIGNATURE),
    "host": (replace(Q, headers=[("host", "h.example")]), AuthKind.BAD_SIGNATURE),
    "parameter": (replace(Q, query=[*Q.query, ("InstanceId.1", "i-1")]), AuthKind.BAD_SIGNATURE),
    "parameter twice": (replace(Q, query=[*Q.query, ("Action", "X")]), AuthKind.AMBIGUOUS),
    "version 1": (query_request(SignatureVersion="1"), AuthKind.UNSUPPORTED),
    "version 0": (query_request(SignatureVersion="0"), AuthKind.UNSUPPORTED),
    "unknown key": (query_request(AWSAccessKeyId="AKIANOBODY"), AuthKind.UNKNOWN_KEY),
    "old": (query_request(Timestamp="2026-05-24T11:44:00Z"), AuthKind.SKEWED),
    "early": (query_request(Timestamp="2026-05-24T12:16:00Z"), AuthKind.SKEWED),
    "no date": (query_request(Timestamp="yesterday"), AuthKind.BAD_DATE),
    "both dates": (query_request(Expires="2026-05-24T12:16:00Z"), AuthKind.MALFORMED_QUERY),
    "not signed": (replace(Q, query=Q.query[:-1]), AuthKind.MISSING),
    "a token": (query_request(SecurityToken="t"), AuthKind.SESSION_TOKEN),
}


@pytest.mark.parametrize(("request_", "kind"), REFUSED.values(), ids=REFUSED.keys())
def test_a_changed_query_is_refused(request_: SignedRequest, kind: AuthKind, keyring: Keyring) -> None:
    with pytest.raises(AuthError) as error:
        sigv2.verify(request_, keyring, NOW)
    assert error.value.kind is kind
    assert 400 <= ec2_fault(error.value).http_status < 500
    assert 400 <= iam_fault(error.value).http_status < 500


def test_ec2_does_not_tell_an_unknown_key_from_a_wrong_signature() -> None:
    faults = [ec2_fault(AuthError(kind, "x")) for kind in (AuthKind.UNKNOWN_KEY, AuthKind.BAD_SIGNATURE)]
    assert (faults[0].code, faults[0].http_status, faults[0].message) == (
        "AuthFailure",
        401,
        "AWS was not able to validate the provided access credentials",
    )
    assert faults[0].message == faults[1].message
    assert iam_fault(AuthError(AuthKind.UNKNOWN_KEY, "x")).code == "InvalidClientTokenId"


def test_every_kind_has_an_answer_in_every_family() -> None:
    for kind in AuthKind:
        error = AuthError(kind, "text")
        assert re.fullmatch("[A-Za-z]+", ec2_fault(error).code)
        assert re.fullmatch("[A-Za-z]+", iam_fault(error).code)


S3_PATHS = [
    "/bucket/a%20b",
    "/bucket/k?acl",
    "/bucket/?prefix=x&uploads",
    "/bucket/k?uploadId=1&partNumber=2&x=1",
]


@pytest.mark.parametrize("path", S3_PATHS)
@pytest.mark.parametrize("kind", ["HmacV1Auth", "HmacV1QueryAuth"])
def test_what_botocore_signs_for_s3_is_believed(kind: str, path: str, keyring: Keyring) -> None:
    credentials = botocore.credentials.Credentials(KEY.access_key_id, KEY.secret_access_key)
    headers = (
        {"content-type": "text/x", "X-Amz-Meta-B": "2", "x-amz-acl": "private"}
        if kind == "HmacV1Auth"
        else {}
    )
    request = botocore.awsrequest.AWSRequest("PUT", "http://h" + path, headers=headers)
    getattr(botocore.auth, kind)(credentials).add_auth(request)
    parts = urlsplit(request.url)
    sent = [(n.lower(), v) for n, v in request.headers.items()]
    signed = SignedRequest("PUT", parts.path.encode(), parse_query(parts.query.encode()), sent)
    now = datetime.now(UTC)
    assert s3v2.verify(signed, [signed.raw_path], keyring, now) == KEY
    with pytest.raises(AuthError) as error:
        s3v2.verify(replace(signed, method="GET"), [signed.raw_path], keyring, now)
    assert error.value.kind is AuthKind.BAD_SIGNATURE
    late = now + timedelta(hours=2)
    with pytest.raises(AuthError) as error:
        s3v2.verify(signed, [signed.raw_path], keyring, late)
    assert error.value.kind in (AuthKind.SKEWED, AuthKind.EXPIRED)


@given(
    headers=st.lists(
        st.tuples(st.sampled_from(["authorization", "date", "x-amz-date"]), st.text()), max_size=4
    ),
    query=st.lists(
        st.tuples(st.sampled_from(["AWSAccessKeyId", "Signature", "Expires", "Timestamp"]), st.text()),
        max_size=5,
    ),
)
def test_only_typed_errors_escape(headers: list[tuple[str, str]], query: list[tuple[str, str]]) -> None:
    ring = Keyring()
    ring.replace(1, [KEY])
    request = SignedRequest("GET", b"/b", query, headers)
    with pytest.raises(AuthError):
        s3v2.verify(request, [b"/b"], ring, NOW)
    with pytest.raises(AuthError):
        sigv2.verify(request, ring, NOW)
