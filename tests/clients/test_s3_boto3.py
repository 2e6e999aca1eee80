"""boto3, as users run it, against the whole S3."""

import hashlib
import io
import os
import shutil
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.config
import pytest
from botocore.exceptions import ClientError

from tests.api.s3_box import ALICE, BOB, GONE, S3Box, running_s3

MIB = 1 << 20


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Box]:
    with running_s3(tmp_path_factory.mktemp("s3")) as box:
        yield box


@pytest.fixture
def s3(box: S3Box) -> Any:
    return box.client()


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    name = "b-" + hashlib.sha1(request.node.name.encode()).hexdigest()[:16]
    s3.create_bucket(Bucket=name)
    return name


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


@pytest.mark.parametrize("size", [0, 1, 16384, 16385, 100_000, 3 * MIB + 7])
def test_put_object_is_read_back_byte_for_byte(s3: Any, bucket: str, size: int) -> None:
    data = os.urandom(size)
    put = s3.put_object(Bucket=bucket, Key=f"k{size}", Body=data, ContentType="text/x", Metadata={"a": "1"})
    got = s3.get_object(Bucket=bucket, Key=f"k{size}")
    assert got["Body"].read() == data
    assert put["ETag"] == got["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    assert (got["ContentType"], got["Metadata"], got["ContentLength"]) == ("text/x", {"a": "1"}, size)
    head = s3.head_object(Bucket=bucket, Key=f"k{size}")
    assert (head["ContentLength"], head["ETag"]) == (size, put["ETag"])


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_put_object_keeps_the_checksum_that_was_sent(s3: Any, bucket: str, algorithm: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"hello" * 9000, ChecksumAlgorithm=algorithm)
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read() == b"hello" * 9000


def test_put_object_refuses_a_wrong_checksum_and_keeps_nothing(box: S3Box, s3: Any, bucket: str) -> None:
    before = len(box.data_files())
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 50_000, ChecksumCRC32="AAAAAA==")
    assert code_of(error) == "BadDigest"
    with pytest.raises(ClientError) as error:
        s3.head_object(Bucket=bucket, Key="k")
    assert code_of(error) == "404"
    box.settle()
    assert len(box.data_files()) == before


def test_a_stream_of_unknown_length_is_uploaded_in_parts(s3: Any, bucket: str) -> None:
    data = os.urandom(12 * MIB)
    s3.upload_fileobj(io.BytesIO(data), bucket, "big")
    out = io.BytesIO()
    s3.download_fileobj(bucket, "big", out)
    assert out.getvalue() == data
    assert s3.head_object(Bucket=bucket, Key="big")["ETag"].endswith('-2"')
    part = s3.get_object(Bucket=bucket, Key="big", PartNumber=2)
    assert (part["Body"].read(), part["PartsCount"]) == (data[8 * MIB :], 2)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("bytes=0-0", (0, 1)), ("bytes=5-", (5, None)), ("bytes=-3", (-3, None)), ("bytes=2-999999", (2, None))],
)
@pytest.mark.parametrize("size", [100, 300_000])
def test_get_object_answers_a_range(
    s3: Any, bucket: str, asked: str, expected: tuple[int, int | None], size: int
) -> None:
    data = os.urandom(size)
    s3.put_object(Bucket=bucket, Key="k", Body=data)
    got = s3.get_object(Bucket=bucket, Key="k", Range=asked)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["Body"].read() == data[slice(*expected)]


def test_get_object_refuses_a_range_beyond_the_end(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"abc")
    with pytest.raises(ClientError) as error:
        s3.get_object(Bucket=bucket, Key="k", Range="bytes=3-")
    assert code_of(error) == "InvalidRange"


def test_conditional_reads_and_writes(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"one")["ETag"]
    for wrong, code in [({"IfMatch": '"no"'}, "PreconditionFailed"), ({"IfNoneMatch": etag}, "304")]:
        with pytest.raises(ClientError) as error:
            s3.get_object(Bucket=bucket, Key="k", **wrong)
        assert code_of(error) == code
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"two", IfNoneMatch="*")
    assert code_of(error) == "PreconditionFailed"
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=bucket, Key="k", Body=b"two", IfMatch='"no"')
    assert code_of(error) == "PreconditionFailed"
    s3.put_object(Bucket=bucket, Key="k", Body=b"two", IfMatch=etag)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"two"


def test_list_objects_pages_and_groups_by_prefix(s3: Any, bucket: str) -> None:
    keys = ["a", "b/1", "b/2", "c/1/2", "c/2", "d", "é", "\U0001f600", "\uffff"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    paginator = s3.get_paginator("list_objects_v2")
    pages = list(paginator.paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2}))
    found = [c["Key"] for p in pages for c in p.get("Contents", [])]
    prefixes = [c["Prefix"] for p in pages for c in p.get("CommonPrefixes", [])]
    assert found == sorted([k for k in keys if "/" not in k], key=str.encode)
    assert prefixes == ["b/", "c/"]
    old = s3.get_paginator("list_objects").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    assert [c["Key"] for p in old for c in p["Contents"]] == sorted(keys, key=str.encode)
    assert s3.list_objects_v2(Bucket=bucket, Prefix="c/", Delimiter="/")["CommonPrefixes"] == [
        {"Prefix": "c/1/"}
    ]
    assert s3.list_objects_v2(Bucket=bucket, StartAfter="d", MaxKeys=1)["Contents"][0]["Key"] == "é"
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["KeyCount"] == 0


def test_delete_objects_and_buckets(s3: Any, bucket: str) -> None:
    for key in ("a", "b", "c&<d"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    with pytest.raises(ClientError) as error:
        s3.delete_bucket(Bucket=bucket)
    assert code_of(error) == "BucketNotEmpty"
    named = {"Objects": [{"Key": k} for k in ("a", "c&<d", "absent")]}
    deleted = s3.delete_objects(Bucket=bucket, Delete=named)["Deleted"]
    assert [d["Key"] for d in deleted] == ["a", "c&<d", "absent"]
    s3.delete_object(Bucket=bucket, Key="b")
    s3.delete_bucket(Bucket=bucket)
    with pytest.raises(ClientError) as error:
        s3.list_objects_v2(Bucket=bucket)
    assert code_of(error) == "NoSuchBucket"


@pytest.mark.parametrize("size", [10, 100_000])
def test_copy_object_survives_its_source(s3: Any, bucket: str, size: int) -> None:
    data = os.urandom(size)
    s3.put_object(Bucket=bucket, Key="from/é ü+", Body=data, Metadata={"m": "1"})
    s3.copy_object(Bucket=bucket, Key="to", CopySource={"Bucket": bucket, "Key": "from/é ü+"})
    s3.delete_object(Bucket=bucket, Key="from/é ü+")
    got = s3.get_object(Bucket=bucket, Key="to")
    assert (got["Body"].read(), got["Metadata"]) == (data, {"m": "1"})


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256", None])
def test_a_copy_of_what_came_in_parts_has_none(s3: Any, bucket: str, algorithm: str | None) -> None:
    more = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    parts = [b"a" * 5 * 1024 * 1024, b"b" * 1000]
    which = {"Bucket": bucket, "Key": "parts"}
    which["UploadId"] = s3.create_multipart_upload(**which, **more)["UploadId"]
    named = []
    for number, part in enumerate(parts, 1):
        sent = s3.upload_part(**which, PartNumber=number, Body=part, **more)
        checksum = {name: value for name, value in sent.items() if name == f"Checksum{algorithm}"}
        named.append({"PartNumber": number, "ETag": sent["ETag"], **checksum})
    made = s3.complete_multipart_upload(**which, MultipartUpload={"Parts": named})
    assert made["ETag"].endswith('-2"')
    copy = s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/parts")["CopyObjectResult"]
    assert copy["ETag"] == f'"{hashlib.md5(b"".join(parts)).hexdigest()}"'
    found = s3.get_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    assert found["Body"].read() == b"".join(parts)
    if algorithm:
        assert (found["ChecksumType"], f"Checksum{algorithm}" in found) == ("FULL_OBJECT", True)
    with pytest.raises(ClientError):
        s3.get_object(Bucket=bucket, Key="copy", PartNumber=2)


def test_multipart_with_copied_parts_and_checksums(s3: Any, bucket: str) -> None:
    data = os.urandom(6 * MIB)
    s3.put_object(Bucket=bucket, Key="src", Body=data)
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
    )
    which = {"Bucket": bucket, "Key": "k", "UploadId": upload["UploadId"]}
    one = s3.upload_part_copy(**which, PartNumber=1, CopySource=f"{bucket}/src")["CopyPartResult"]
    two = s3.upload_part(**which, PartNumber=2, Body=b"tail")
    assert [p["PartNumber"] for p in s3.list_parts(**which)["Parts"]] == [1, 2]
    assert [u["Key"] for u in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["k"]
    parts = [{"PartNumber": n, "ETag": p["ETag"]} for n, p in ((1, one), (2, two))]
    done = s3.complete_multipart_upload(**which, MultipartUpload={"Parts": parts})
    again = s3.complete_multipart_upload(**which, MultipartUpload={"Parts": parts})
    assert done["ETag"] == again["ETag"]
    whole = s3.put_object(Bucket=bucket, Key="whole", Body=data + b"tail", ChecksumAlgorithm="CRC32")
    assert done["ChecksumCRC32"] == whole["ChecksumCRC32"]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == data + b"tail"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize(
    ("parts", "code"),
    [([2, 1], "InvalidPartOrder"), ([1, 3], "InvalidPart"), ([1, 2], "EntityTooSmall")],
)
def test_complete_multipart_refuses(s3: Any, bucket: str, parts: list[int], code: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    which = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    tags = {n: s3.upload_part(**which, PartNumber=n, Body=b"small")["ETag"] for n in (1, 2)}
    named = [{"PartNumber": n, "ETag": tags.get(n, '"0"')} for n in parts]
    with pytest.raises(ClientError) as error:
        s3.complete_multipart_upload(**which, MultipartUpload={"Parts": named})
    assert code_of(error) == code
    s3.abort_multipart_upload(**which)
    with pytest.raises(ClientError) as error:
        s3.list_parts(**which)
    assert code_of(error) == "NoSuchUpload"


def test_the_other_account_sees_nothing(box: S3Box, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    bob = box.client(BOB)
    refused = [
        lambda: bob.get_object(Bucket=bucket, Key="k"),
        lambda: bob.get_object(Bucket=bucket, Key="absent"),
        lambda: bob.put_object(Bucket=bucket, Key="k", Body=b"y"),
        lambda: bob.delete_object(Bucket=bucket, Key="k"),
        lambda: bob.list_objects_v2(Bucket=bucket),
        lambda: bob.get_bucket_acl(Bucket=bucket),
        lambda: bob.get_object_acl(Bucket=bucket, Key="k"),
        lambda: bob.delete_bucket(Bucket=bucket),
        lambda: bob.get_bucket_location(Bucket=bucket),
        lambda: bob.create_multipart_upload(Bucket=bucket, Key="k"),
        lambda: bob.list_multipart_uploads(Bucket=bucket),
        lambda: bob.put_object_acl(Bucket=bucket, Key="k", ACL="public-read"),
    ]
    for attempt in refused:
        with pytest.raises(ClientError) as error:
            attempt()
        assert code_of(error) == "AccessDenied"
    bob.create_bucket(Bucket=bucket + "-bob")
    with pytest.raises(ClientError) as error:
        bob.copy_object(Bucket=bucket + "-bob", Key="stolen", CopySource=f"{bucket}/k")
    assert code_of(error) == "AccessDenied"
    with pytest.raises(ClientError) as error:
        bob.create_bucket(Bucket=bucket)
    assert code_of(error) == "BucketAlreadyExists"
    assert bucket not in [b["Name"] for b in bob.list_buckets()["Buckets"]]
    assert bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]]


def test_public_read_lets_anybody_read(box: S3Box, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="open", Body=b"hello", ACL="public-read")
    s3.put_object(Bucket=bucket, Key="shut", Body=b"hello")
    with urllib.request.urlopen(f"{box.url}/{bucket}/open") as answer:
        assert answer.read() == b"hello"
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{box.url}/{bucket}/shut")
    assert error.value.code == 403
    s3.put_object_acl(Bucket=bucket, Key="open", ACL="private")
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{box.url}/{bucket}/open")
    grants = s3.get_object_acl(Bucket=bucket, Key="shut")
    assert grants["Owner"]["ID"] == ALICE.principal.canonical_id
    assert [g["Permission"] for g in grants["Grants"]] == ["FULL_CONTROL"]


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_urls(box: S3Box, s3: Any, bucket: str, version: str) -> None:
    signing = box.client(signature_version=version)
    where = {"Bucket": bucket, "Key": "a b+é"}
    put = signing.generate_presigned_url("put_object", Params=where, ExpiresIn=60)
    urllib.request.urlopen(
        urllib.request.Request(put, data=b"data", method="PUT", headers={"content-type": ""})
    ).close()
    query = {"ResponseContentType": "text/plain", "ResponseContentDisposition": 'attachment; filename="x"'}
    got = urllib.request.urlopen(signing.generate_presigned_url("get_object", Params={**where, **query}))
    assert (got.read(), got.headers["content-type"]) == (b"data", "text/plain")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(put.replace("a%20b", "other"))
    assert (error.value.code, b"SignatureDoesNotMatch" in error.value.read()) == (403, True)


@pytest.mark.parametrize("config", [{"signature_version": "s3"}, {"s3": {"payload_signing_enabled": True}}])
@pytest.mark.parametrize("path", ["", "/services/Walrus", "/services/walrus"])
def test_other_signatures_and_the_path_of_1_6(
    box: S3Box, bucket: str, config: dict[str, Any], path: str
) -> None:
    config.setdefault("s3", {})["addressing_style"] = "path"
    client = box.client(path=path, **config)
    client.put_object(Bucket=bucket, Key="d/ä&b", Body=b"x" * 70_000)
    assert client.get_object(Bucket=bucket, Key="d/ä&b")["Body"].read() == b"x" * 70_000
    assert client.list_objects(Bucket=bucket, Prefix="d/")["Contents"][0]["Key"] == "d/ä&b"
    assert client.get_bucket_acl(Bucket=bucket)["Grants"]


def test_virtual_host_style(box: S3Box, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ACL="public-read")
    host = f"{bucket}.s3.localhost:{box.port}"
    answer = box.raw(f"GET /k HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"x")


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize("path", ["", "/services/Walrus"])
def test_a_bucket_named_by_the_host(
    box: S3Box, s3: Any, bucket: str, version: str, path: str, names_of_localhost: None
) -> None:
    """Signed in both ways. Below /services/Walrus too, whose path is then no part of the key."""
    client = boto3.client(
        "s3",
        endpoint_url=f"http://s3.localhost:{box.port}{path}",
        aws_access_key_id=ALICE.access_key_id,
        aws_secret_access_key=ALICE.secret_access_key,
        region_name="us-east-1",
        config=botocore.config.Config(signature_version=version, s3={"addressing_style": "virtual"}),
    )
    hosts: list[str] = []
    client.meta.events.register("before-send.s3", lambda request, **_: hosts.append(request.url))
    client.put_object(Bucket=bucket, Key="d/ä&b", Body=b"x" * 70_000)
    assert client.get_object(Bucket=bucket, Key="d/ä&b")["Body"].read() == b"x" * 70_000
    assert s3.get_object(Bucket=bucket, Key="d/ä&b")["ContentLength"] == 70_000
    assert client.list_objects_v2(Bucket=bucket, Prefix="d/")["KeyCount"] == 1
    assert bucket in [b["Name"] for b in client.list_buckets()["Buckets"]]
    url = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "d/ä&b"})
    with urllib.request.urlopen(url) as answer:
        assert len(answer.read()) == 70_000
    client.delete_object(Bucket=bucket, Key="d/ä&b")
    assert hosts[0].startswith(f"http://{bucket}.s3.localhost:{box.port}/")


@pytest.fixture
def names_of_localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 6761 6.3: names below localhost are this host; not every resolver knows."""
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **more: Any) -> Any:
        here = isinstance(host, str) and host.endswith(".localhost")
        return real("127.0.0.1" if here else host, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def test_wrong_and_disabled_keys_are_refused(box: S3Box) -> None:
    with pytest.raises(ClientError) as error:
        box.client(GONE).list_buckets()
    assert code_of(error) == "InvalidAccessKeyId"
    wrong = type(ALICE)(ALICE.access_key_id, "wrong", ALICE.principal)
    with pytest.raises(ClientError) as error:
        box.client(wrong).list_buckets()
    assert code_of(error) == "SignatureDoesNotMatch"


def test_what_is_not_there_says_so(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    mfa = {"Status": "Enabled", "MFADelete": "Enabled"}
    refused = [
        lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"y", ServerSideEncryption="aws:kms"),
        lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=mfa),
        lambda: s3.get_object_torrent(Bucket=bucket, Key="k"),
        lambda: s3.restore_object(Bucket=bucket, Key="k", RestoreRequest={"Days": 1}),
    ]
    for attempt in refused:
        with pytest.raises(ClientError) as error:
            attempt()
        assert code_of(error) == "NotImplemented"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    assert [v["Key"] for v in s3.list_object_versions(Bucket=bucket)["Versions"]] == ["k"]


def test_a_large_upload_onto_a_full_disk_learns_why(tmp_path: Path) -> None:
    reserve_bytes = shutil.disk_usage(tmp_path).free - (64 << 20)
    with running_s3(tmp_path, reserve_bytes=reserve_bytes, ballast_bytes=0) as full:
        s3 = full.client()
        s3.create_bucket(Bucket="bucket")
        with pytest.raises(ClientError) as error:
            s3.put_object(Bucket="bucket", Key="k", Body=bytes(256 << 20))
    assert code_of(error) == "InsufficientStorage"
