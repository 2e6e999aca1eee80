"""Uploads by the forms of browsers: what the policy allows is stored, and nothing else."""

import base64
import hashlib
import hmac
import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.api.s3_box import ALICE, S3Box, running_s3

BOUNDARY = "----boundary"
_names = itertools.count()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Box]:
    with running_s3(tmp_path_factory.mktemp("s3")) as box:
        yield box


@pytest.fixture
def bucket(box: S3Box) -> str:
    name = f"forms-{next(_names)}"
    box.client().create_bucket(Bucket=name)
    return name


def form(fields: dict[str, Any], file: bytes | None = b"data", filename: str = "a.txt") -> bytes:
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    if file is not None:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        parts.append(head.encode() + b"Content-Type: text/html\r\n\r\n" + file + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def post(box: S3Box, bucket: str, body: bytes, content_type: str = "") -> tuple[int, dict[str, str], bytes]:
    headers = {"content-type": content_type or f"multipart/form-data; boundary={BOUNDARY}"}
    request = urllib.request.Request(f"{box.url}/{bucket}", data=body, method="POST", headers=headers)
    try:
        with urllib.request.build_opener(_NoRedirect).open(request) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read()


def code_of(answer: bytes) -> str:
    return ElementTree.fromstring(answer).findtext("Code") or ""


def policy_of(bucket: str, *conditions: Any, minutes: int = 5) -> str:
    document = {
        "expiration": (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "conditions": [{"bucket": bucket}, ["starts-with", "$key", "up/"], *conditions],
    }
    return base64.b64encode(json.dumps(document).encode()).decode()


def signed(policy: str, **fields: Any) -> dict[str, Any]:
    """The fields with the signature of 2006."""
    digest = hmac.new(ALICE.secret_access_key.encode(), policy.encode(), hashlib.sha1).digest()
    signature = base64.b64encode(digest).decode()
    return {
        "key": "up/k",
        "AWSAccessKeyId": ALICE.access_key_id,
        "policy": policy,
        "signature": signature,
        **fields,
    }


def keys_of(box: S3Box, bucket: str) -> list[str]:
    return [o["Key"] for o in box.client().list_objects_v2(Bucket=bucket).get("Contents", [])]


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_form_that_boto3_signed_uploads(box: S3Box, bucket: str, version: str) -> None:
    alice = box.client(signature_version=version)
    fields = {"acl": "public-read", "Content-Type": "text/plain", "x-amz-meta-a": "b"}
    conditions: list[Any] = [{name: value} for name, value in fields.items()]
    conditions.append(["content-length-range", 1, 10])
    made = alice.generate_presigned_post(bucket, "up/${filename}", fields, conditions)
    status, _, _ = post(box, bucket, form(made["fields"], filename="x/photo.jpg"))
    assert status == 204
    stored = alice.get_object(Bucket=bucket, Key="up/photo.jpg")
    assert (stored["Body"].read(), stored["ContentType"], stored["Metadata"]) == (
        b"data",
        "text/plain",
        {"a": "b"},
    )
    with urllib.request.urlopen(f"{box.url}/{bucket}/up/photo.jpg") as answer:
        assert answer.read() == b"data"


def test_a_large_file_comes_whole(box: S3Box, bucket: str) -> None:
    data = b"\r\n--not the boundary\r\n" * 100_000
    assert post(box, bucket, form(signed(policy_of(bucket)), data))[0] == 204
    assert box.client().get_object(Bucket=bucket, Key="up/k")["Body"].read() == data


def test_anybody_may_where_the_bucket_lets_anybody(box: S3Box, bucket: str) -> None:
    assert code_of(post(box, bucket, form({"key": "k"}))[2]) == "AccessDenied"
    box.client().put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    assert post(box, bucket, form({"key": "k", "submit": "Upload"}))[0] == 204
    assert keys_of(box, bucket) == ["k"]


def test_the_form_says_how_success_looks(box: S3Box, bucket: str) -> None:
    policy = policy_of(bucket, ["starts-with", "$success_action_status", ""])
    status, headers, body = post(box, bucket, form(signed(policy, success_action_status="201")))
    assert (status, headers["location"]) == (201, f"/{bucket}/up/k")
    assert ElementTree.fromstring(body).findtext("Key") == "up/k"
    assert post(box, bucket, form(signed(policy, success_action_status="200")))[0] == 200
    assert post(box, bucket, form(signed(policy, success_action_status="500")))[0] == 204
    policy = policy_of(bucket, ["starts-with", "$success_action_redirect", "http://"])
    fields = signed(policy, success_action_redirect="http://example.com/done?a=b")
    status, headers, _ = post(box, bucket, form(fields))
    assert status == 303
    etag = hashlib.md5(b"data").hexdigest()
    told = f"&bucket={bucket}&key=up%2Fk&etag=%22{etag}%22"
    assert headers["location"] == f"http://example.com/done?a=b{told}"


@pytest.mark.parametrize(
    ("conditions", "fields", "code"),
    [
        ([], {"key": "down/k"}, "AccessDenied"),
        ([], {"acl": "private"}, "AccessDenied"),
        ([], {"x-amz-meta-a": "b"}, "AccessDenied"),
        ([{"acl": "private"}], {"acl": "public-read"}, "AccessDenied"),
        ([{"acl": "private"}], {}, "AccessDenied"),
        ([["eq", "$x-amz-meta-a", "b"]], {"x-amz-meta-a": "c"}, "AccessDenied"),
        (
            [["starts-with", "$Content-Type", "image/"]],
            {"Content-Type": "image/png,text/html"},
            "AccessDenied",
        ),
        ([{"bucket": "another"}], {}, "AccessDenied"),
        ([["content-length-range", 0, 3]], {}, "EntityTooLarge"),
        ([["content-length-range", 5, 10]], {}, "EntityTooSmall"),
        ([["content-length-range", -1, 10]], {}, "InvalidPolicyDocument"),
        ([["content-length-range", 1]], {}, "InvalidPolicyDocument"),
        ([["matches", "$key", "x"]], {}, "InvalidPolicyDocument"),
        ([["eq", "key", "x"]], {}, "InvalidPolicyDocument"),
        ([{}], {}, "InvalidPolicyDocument"),
        ([{"acl": 1}], {}, "InvalidPolicyDocument"),
        ([7], {}, "InvalidPolicyDocument"),
        ([], {"signature": ""}, "InvalidArgument"),
        ([], {"signature": "AAAA"}, "SignatureDoesNotMatch"),
        ([], {"AWSAccessKeyId": "AKIANOBODY"}, "InvalidAccessKeyId"),
        ([], {"AWSAccessKeyId": ""}, "InvalidArgument"),
        ([], {"key": ""}, "InvalidArgument"),
        ([], {"KEY": "up/other"}, "InvalidArgument"),
        ([], {"x-amz-algorithm": "AWS4-HMAC-SHA1"}, "InvalidArgument"),
        ([["starts-with", "$x-amz-meta-a", ""]], {"x-amz-meta-a": "b\x01"}, "InvalidArgument"),
        (
            [["starts-with", "$x-amz-meta-a", ""]],
            {"x-amz-meta-a": "b" * 30000},
            "MaxPostPreDataLengthExceededError",
        ),
        ([], {"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
    ],
)
def test_what_the_policy_does_not_allow_is_not_stored(
    box: S3Box, bucket: str, conditions: Any, fields: Any, code: str
) -> None:
    body = form(signed(policy_of(bucket, *conditions), **fields))
    assert code_of(post(box, bucket, body)[2]) == code
    assert keys_of(box, bucket) == []


def test_an_expired_policy_allows_nothing(box: S3Box, bucket: str) -> None:
    status, _, answer = post(box, bucket, form(signed(policy_of(bucket, minutes=-1))))
    assert (status, code_of(answer)) == (403, "AccessDenied")


@pytest.mark.parametrize(
    "document",
    [
        "",
        "AAAA",
        "e30=",
        "W10=",
        base64.b64encode(b'{"expiration": "2099-01-01", "conditions": []}').decode(),
    ],
)
def test_a_policy_that_is_none_allows_nothing(box: S3Box, bucket: str, document: str) -> None:
    answer = post(box, bucket, form(signed(document)))[2]
    assert code_of(answer) in ("InvalidPolicyDocument", "InvalidArgument")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedPOSTRequest"),
        (b"garbage", "MalformedPOSTRequest"),
        (form({"key": "k"}, None), "IncorrectNumberOfFilesInPostRequest"),
        (form({"key": "k"})[:-8], "MalformedPOSTRequest"),
        (form({"key": "k"})[:-20], "MalformedPOSTRequest"),
        (form({"key": "k"}).replace(b'name="key"', b""), "InvalidArgument"),
        (form({"key": "k"}).replace(b"Content-Disposition", b"Something"), "MalformedPOSTRequest"),
        (form({"key": "k"})[: -len(BOUNDARY) - 6] + form({}), "IncorrectNumberOfFilesInPostRequest"),
        (form({"key": "k"}).replace(b"form-data", b"f" * 2_000_000, 1), "MalformedPOSTRequest"),
        (form({f"f{n}": "" for n in range(300)}), "MalformedPOSTRequest"),
    ],
)
def test_a_form_that_is_broken_stores_nothing(box: S3Box, bucket: str, body: bytes, code: str) -> None:
    box.client().put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    assert code_of(post(box, bucket, body)[2]) == code
    assert keys_of(box, bucket) == []


@pytest.mark.parametrize(
    ("content_type", "code"),
    [
        ("application/octet-stream", "PreconditionFailed"),
        ("multipart/form-data", "MalformedPOSTRequest"),
        (f"multipart/form-data; boundary={'x' * 71}", "MalformedPOSTRequest"),
    ],
)
def test_a_post_that_is_no_form_is_refused(box: S3Box, bucket: str, content_type: str, code: str) -> None:
    assert code_of(post(box, bucket, form({"key": "k"}), content_type)[2]) == code


def test_a_form_into_a_bucket_where_requesters_pay(box: S3Box, bucket: str) -> None:
    alice = box.client()
    alice.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    alice.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert code_of(post(box, bucket, form({"key": "k"}))[2]) == "AccessDenied"
    assert post(box, bucket, form(signed(policy_of(bucket))))[0] == 204
    assert keys_of(box, bucket) == ["up/k"]
