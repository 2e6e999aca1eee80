"""The S3 front end takes any request apart: what is not understood is an error of S3."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from euca_box.api.s3.authenticate import authenticate, s3_fault
from euca_box.api.s3.request import S3Request, read_request
from euca_box.api.s3.routes import operation_of
from euca_box.api.s3.settings import S3Settings
from euca_box.api.s3.xml_in import children, local_name, parse_xml, text_of
from euca_box.auth import s3v2, sigv4
from euca_box.auth.requests import AuthError, SignedRequest
from euca_box.model.errors import EucaError
from euca_box.model.s3_errors import MalformedXML
from tests.fuzz.asgi_case import ALICE, NOW, bounded, keyring_of, pieces, scope_of, wild_bytes

SETTINGS = S3Settings(domains=("s3.cloud.test",), now=lambda: NOW)
METHODS = st.sampled_from(["GET", "PUT", "HEAD", "POST", "DELETE", "PATCH", "\xff"])
NAMES = st.sampled_from(
    [b"Authorization", b"Content-Length", b"Date", b"Host", b"X-Amz-Date", b"x-amz-content-sha256",
     b"x-amz-meta-a", b"x-amz-security-token", b"Content-MD5", b"Transfer-Encoding", b"x-amz-copy-source"]
)  # fmt: skip
PARAMETERS = st.sampled_from(
    ["acl", "uploads", "uploadId", "partNumber", "versionId", "list-type", "X-Amz-Algorithm", "X-Amz-Date",
     "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Expires", "X-Amz-SignedHeaders", "AWSAccessKeyId",
     "Signature", "Expires", "tagging", "prefix"]
)  # fmt: skip

scope = f"{ALICE.access_key_id}/20260102/us-east-1/s3/aws4_request"
dates = st.one_of(
    st.text(alphabet="0123456789TZ:+-, GMTJanFri", max_size=32),
    st.lists(st.sampled_from(["Fri,", "02", "Jan", "2026", "99999", "03:04:05", "3.4", "+9999", "GMT", "-"]),
             max_size=7).map(" ".join),
    st.sampled_from(["20260102T030405Z", "Fri, 02 Jan 2026 03:04:05 GMT", "20260231T030405Z"]),
)  # fmt: skip
authorizations = st.one_of(
    pieces,
    st.tuples(pieces, pieces).map(lambda found: f"AWS {found[0]}:{found[1]}"),
    st.tuples(st.sampled_from([scope, "A/2/3/4/5", ""]), pieces, st.sampled_from(["0" * 64, "0", ""])).map(
        lambda f: f"AWS4-HMAC-SHA256 Credential={f[0]}, SignedHeaders=host;{f[1]}, Signature={f[2]}"
    ),
)
quoted = st.sampled_from([scope.replace("/", "%2F"), "AWS4-HMAC-SHA256", "0" * 64, "60", "host", "1%00"])
queries = st.lists(st.tuples(PARAMETERS, st.one_of(pieces, quoted, dates)), max_size=7).map(
    lambda pairs: "&".join(f"{n}={v}" for n, v in pairs).encode("utf-8", "surrogatepass")
)
headers = st.lists(
    st.tuples(NAMES, st.one_of(authorizations, dates, pieces)).map(
        lambda found: (found[0], found[1].encode("utf-8", "surrogatepass"))
    ),
    max_size=7,
)


@bounded
@given(METHODS, wild_bytes, st.one_of(queries, wild_bytes), headers)
def test_any_request_is_taken_apart_or_refused(method: str, path: bytes, query: bytes, sent: Any) -> None:
    request = understood(scope_of(method, path, query, sent))
    if request is not None:
        assert request.principal is None, "nobody can guess a signature"
        assert "/" not in request.bucket or "%2f" in request.path.lower() or request.bucket == ""
        request.key.encode()


def understood(asgi: dict[str, Any]) -> S3Request | None:
    async def receive() -> Any:
        raise AssertionError("the body is not read here")

    refused: EucaError
    try:
        request = read_request(asgi, receive, SETTINGS)
        authenticate(request, keyring_of(ALICE), NOW)
        operation_of(request)
    except AuthError as error:
        refused = s3_fault(error)
    except EucaError as error:
        refused = error
    else:
        return request
    assert 300 <= refused.http_status < 500 or refused.http_status == 501
    return None


@bounded
@given(authorizations, st.lists(st.tuples(NAMES, dates), max_size=4), dates)
def test_any_signature_is_refused_by_every_scheme(authorization: str, more: Any, date: str) -> None:
    pairs = [("authorization", authorization), ("date", date), ("host", "h")]
    pairs += [(n.decode().lower(), v) for n, v in more]
    request = SignedRequest("GET", b"/b/k", [], pairs, "0" * 64)
    for verify in (
        lambda: sigv4.verify(request, keyring_of(ALICE), NOW, s3=True),
        lambda: sigv4.verify(request, keyring_of(ALICE), NOW, s3=False),
        lambda: s3v2.verify(request, [b"/b/k"], keyring_of(ALICE), NOW),
    ):
        with pytest.raises(AuthError):
            verify()


documents = st.one_of(
    wild_bytes,
    st.lists(
        st.sampled_from(
            ["<Delete>", "</Delete>", "<Delete xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>", "<Object>",
             "</Object>", "<Key>", "</Key>", "&lt;", "&#0;", "&#x1F600;", "&x;", "<![CDATA[", "]]>",
             "<!--", "-->",
             "<?xml version='1.0' encoding='utf-16'?>", "<!DOCTYPE a [", "<a:b xmlns:a='u'/>", "é"]
        ),
        max_size=14,
    ).map(lambda parts: "".join(parts).encode()),
)  # fmt: skip


@bounded
@given(documents)
def test_any_document_is_read_or_refused(body: bytes) -> None:
    try:
        root = parse_xml(body, "Delete")
        for child in children(root, "Object"):
            assert isinstance(text_of(child, "Key"), str | None)
    except MalformedXML:
        return
    assert local_name(root) == "Delete"
    assert all(isinstance(node.tag, str) for node in root.iter() if not isinstance(node, etree._Entity))
