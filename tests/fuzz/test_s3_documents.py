"""Documents, ACLs and forms that strangers write: read whole or refused with a code, never half."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from euca_box.api.s3.configurations import CONFIGURATIONS, Configuration
from euca_box.api.s3.grants import acl_of_document
from euca_box.api.s3.multipart_forms import FormReader
from euca_box.api.s3.xml_shapes import _fields, document_response, read_document_as
from euca_box.auth.keyring import Keyring
from euca_box.model.acls import parse_acl
from euca_box.model.post_policies import parse_post_policy
from euca_box.model.s3_errors import InvalidPolicyDocument, S3Error
from euca_box.objects.settings import read_setting, setting_name, write_setting
from tests.fuzz.asgi_case import bounded, wild_bytes

TEXTS = st.sampled_from(
    ["", "1", "-1", "0", "true", "Enabled", "GET", "*", "http://*.x", "AES256", "aws:kms", "a/", "prefix",
     "2030-01-01T00:00:00Z", "2030-01-01T00:00:01Z", "99999999999999999999", "é", "&lt;", "Requester",
     "arn:aws:sns:r:1:n", "s3:ObjectCreated:*", "https", "301", "404", "x" * 300]
)  # fmt: skip


def elements(kind: Any, depth: int = 0) -> st.SearchStrategy[str]:
    """XML of the fields of a dataclass: mostly those that it has, in any number and order."""
    choices = [
        st.builds("<{0}>{1}</{0}>".format, st.just(field.wire), inner(field, depth))
        for field in _fields(kind)
    ]
    strange = st.builds("<{0}>{1}</{0}>".format, st.sampled_from(["Other", "Key", "Rule"]), TEXTS)
    return st.lists(st.one_of(*choices, *choices, strange), max_size=4).map("".join)


def inner(field: Any, depth: int) -> st.SearchStrategy[str]:
    within = elements(field.kind, depth + 1) if hasattr(field.kind, "__dataclass_fields__") else TEXTS
    if field.inside is None:
        return within
    return st.lists(st.builds("<{0}>{1}</{0}>".format, st.just(field.inside), within), max_size=3).map(
        "".join
    )


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda c: c.subresource)
@bounded
@given(st.data())
def test_a_configuration_is_kept_as_it_was_read_or_refused(configuration: Configuration, data: Any) -> None:
    body = data.draw(elements(configuration.kind))
    try:
        value = read_document_as(
            f"<{configuration.root}>{body}</{configuration.root}>".encode(),
            configuration.root,
            configuration.kind,
        )
        configuration.check(value)
    except S3Error:
        return
    value = configuration.complete(value)
    shown = document_response(configuration.root, value).body
    assert read_document_as(shown, configuration.root, configuration.kind) == value
    assert read_setting(setting_name(configuration.kind), write_setting(value)) == (configuration.kind, value)


ACL_PARTS = st.lists(
    st.sampled_from(
        ["<Owner>", "</Owner>", "<ID>", "</ID>", "a" * 64, "<AccessControlList>", "</AccessControlList>",
         "<Grant>", "</Grant>", "<Permission>READ</Permission>", "</Grantee>",
         '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="Group">',
         "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>"]
    ),
    max_size=14,
)  # fmt: skip


@bounded
@given(st.one_of(wild_bytes, ACL_PARTS.map(lambda parts: "".join(parts).encode())))
def test_an_acl_is_kept_as_it_was_read_or_refused(body: bytes) -> None:
    document = b"<AccessControlPolicy>" + body + b"</AccessControlPolicy>"
    try:
        acl = acl_of_document(document, "a" * 64, Keyring())
    except S3Error:
        return
    assert parse_acl(acl.value) == acl


FORM = st.lists(
    st.sampled_from(
        [b"--b\r\n", b"--b--\r\n", b"\r\n", b"\r\n\r\n", b'Content-Disposition: form-data; name="key"',
         b'Content-Disposition: form-data; name="file"; filename="x"', b"Content-Disposition: ", b"data",
         b"\n", b"\r", b"--", b"Content-Type: text/plain\r\n", b"\xff", b"--b"]
    ),
    max_size=16,
).map(b"".join)  # fmt: skip


async def _taken(body: bytes, size: int) -> Any:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    try:
        reader = FormReader("multipart/form-data; boundary=b", pieces())
        form = await reader.read_fields()
        return form.fields, form.filename, b"".join([piece async for piece in reader.file()])
    except S3Error as error:
        return error.code


@bounded
@given(st.one_of(FORM, wild_bytes), st.integers(1, 64))
def test_a_form_means_the_same_however_it_is_cut(body: bytes, size: int) -> None:
    assert asyncio.run(_taken(body, size)) == asyncio.run(_taken(body, 1 << 20))


@bounded
@given(st.one_of(st.text(max_size=40), st.sampled_from(["e30=", "bnVsbA==", "WzFd"])))
def test_any_policy_of_a_form_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidPolicyDocument):
        parse_post_policy(text)
