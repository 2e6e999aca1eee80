"""Versions, tags, locks, encryption and attributes of objects, by boto3."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError
from urllib3.exceptions import ProtocolError

from tests.api.s3_box import S3Box, running_s3
from tests.clients.test_s3_boto3 import code_of

MIB = 1 << 20
SSE_C = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Box]:
    with running_s3(tmp_path_factory.mktemp("s3")) as box:
        yield box


@pytest.fixture(scope="module")
def s3(box: S3Box) -> Any:
    client = box.client()
    client.create_bucket(Bucket="plain")
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    client.create_bucket(Bucket="versions")
    client.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    return client


def refusal(action: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as error:
        action(**arguments)
    return code_of(error)


def test_every_version_is_there_by_its_id(s3: Any) -> None:
    where = {"Bucket": "versions", "Key": "k"}
    ids = [s3.put_object(**where, Body=str(n).encode())["VersionId"] for n in range(3)]
    for number, version_id in enumerate(ids):
        got = s3.get_object(**where, VersionId=version_id)
        assert (got["Body"].read(), got["VersionId"]) == (str(number).encode(), version_id)
    marker = s3.delete_object(**where)
    assert marker["DeleteMarker"]
    with pytest.raises(ClientError) as error:
        s3.get_object(**where)
    headers = error.value.response["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-delete-marker"] == "true"
    assert refusal(s3.get_object, **where, VersionId=marker["VersionId"]) == "MethodNotAllowed"
    listed = s3.list_object_versions(Bucket="versions")
    assert [v["VersionId"] for v in listed["Versions"]] == ids[::-1]
    assert [(m["VersionId"], m["IsLatest"]) for m in listed["DeleteMarkers"]] == [(marker["VersionId"], True)]
    copied = s3.copy_object(**where, CopySource={**where, "VersionId": ids[0]})
    assert (s3.get_object(**where)["Body"].read(), copied["CopySourceVersionId"]) == (b"0", ids[0])


def test_versions_are_deleted_together_and_each_tells_what_became_of_it(s3: Any) -> None:
    keys = [s3.put_object(Bucket="versions", Key=f"many/{n}", Body=b"x")["VersionId"] for n in range(3)]
    named = [{"Key": f"many/{n}", "VersionId": v} for n, v in enumerate(keys)] + [{"Key": "many/0"}]
    named.append({"Key": "many/1", "VersionId": "no id"})
    answer = s3.delete_objects(Bucket="versions", Delete={"Objects": named})
    assert [d.get("VersionId") for d in answer["Deleted"]] == [*keys, None]
    assert answer["Deleted"][3]["DeleteMarker"]
    assert [e["Code"] for e in answer["Errors"]] == ["InvalidArgument"]


def test_tags_come_by_header_and_by_document_and_go_with_a_copy(s3: Any) -> None:
    where = {"Bucket": "plain", "Key": "tagged"}
    s3.put_object(**where, Body=b"x", Tagging="a=1&b=%C3%A9")
    assert s3.head_object(**where)["ResponseMetadata"]["HTTPHeaders"]["x-amz-tagging-count"] == "2"
    s3.copy_object(Bucket="plain", Key="copy", CopySource=where)
    tags = s3.get_object_tagging(Bucket="plain", Key="copy")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "é"}]
    s3.put_object_tagging(**where, Tagging={"TagSet": [{"Key": "c", "Value": "3"}]})
    assert s3.get_object_tagging(**where)["TagSet"] == [{"Key": "c", "Value": "3"}]
    s3.delete_object_tagging(**where)
    assert s3.get_object_tagging(**where)["TagSet"] == []


def test_a_locked_version_stays(s3: Any) -> None:
    where = {"Bucket": "locked", "Key": "k"}
    until = datetime.now(UTC) + timedelta(days=1)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    version = s3.put_object(**where, Body=b"x", **lock)["VersionId"]
    assert s3.head_object(**where)["ObjectLockMode"] == "GOVERNANCE"
    assert refusal(s3.delete_object, **where, VersionId=version) == "AccessDenied"
    s3.put_object_legal_hold(**where, LegalHold={"Status": "ON"})
    assert (
        refusal(s3.delete_object, **where, VersionId=version, BypassGovernanceRetention=True)
        == "AccessDenied"
    )
    s3.put_object_legal_hold(**where, LegalHold={"Status": "OFF"})
    s3.delete_object(**where, VersionId=version, BypassGovernanceRetention=True)
    assert refusal(s3.get_object_retention, Bucket="plain", Key="k") == "InvalidRequest"


@pytest.mark.parametrize("size", [0, 100, 700_000])
def test_encrypted_objects_say_how_and_give_any_range(s3: Any, size: int) -> None:
    data = os.urandom(size)
    put = s3.put_object(Bucket="plain", Key="managed", Body=data, ServerSideEncryption="AES256")
    assert put["ServerSideEncryption"] == "AES256"
    assert s3.get_object(Bucket="plain", Key="managed")["Body"].read() == data
    s3.put_object(Bucket="plain", Key="own", Body=data, **SSE_C)
    assert s3.get_object(Bucket="plain", Key="own", **SSE_C)["Body"].read() == data
    if size:
        part = s3.get_object(Bucket="plain", Key="own", Range="bytes=33-77", **SSE_C)
        assert part["Body"].read() == data[33:78]
    assert refusal(s3.get_object, Bucket="plain", Key="own") == "InvalidRequest"
    wrong = {**SSE_C, "SSECustomerKey": "w" * 32}
    assert refusal(s3.get_object, Bucket="plain", Key="own", **wrong) == "InvalidRequest"


def test_the_default_encryption_of_a_bucket_counts_for_new_objects(s3: Any) -> None:
    s3.create_bucket(Bucket="ciphered")
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket="ciphered", ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert s3.put_object(Bucket="ciphered", Key="k", Body=b"x")["ServerSideEncryption"] == "AES256"
    assert s3.get_object(Bucket="ciphered", Key="k")["Body"].read() == b"x"


def test_attributes_tell_checksum_size_and_parts(s3: Any) -> None:
    where = {"Bucket": "plain", "Key": "parts"}
    upload = s3.create_multipart_upload(**where, ChecksumAlgorithm="SHA256", StorageClass="STANDARD_IA")
    which = {**where, "UploadId": upload["UploadId"]}
    parts = []
    for number, body in enumerate([b"a" * (5 * MIB), b"b"], 1):
        part = s3.upload_part(**which, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256")
        named = {"PartNumber": number, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}
        parts.append(named)
    s3.complete_multipart_upload(**which, MultipartUpload={"Parts": parts})
    asked = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    found = s3.get_object_attributes(**where, ObjectAttributes=asked, MaxParts=1)
    assert (found["ObjectSize"], found["StorageClass"]) == (5 * MIB + 1, "STANDARD_IA")
    assert found["Checksum"]["ChecksumType"] == "COMPOSITE"
    assert (found["ObjectParts"]["TotalPartsCount"], found["ObjectParts"]["IsTruncated"]) == (2, True)
    assert found["ObjectParts"]["Parts"][0]["ChecksumSHA256"] == parts[0]["ChecksumSHA256"]
    second = s3.get_object(**where, PartNumber=2)
    assert (second["Body"].read(), second["ChecksumSHA256"]) == (b"b", parts[1]["ChecksumSHA256"])


def test_what_is_sent_without_a_checksum_gets_one(box: S3Box, s3: Any) -> None:
    plain = box.client(request_checksum_calculation="when_required")
    put = plain.put_object(Bucket="plain", Key="unchecked", Body=b"123456789")
    assert (put["ChecksumCRC64NVME"], put["ChecksumType"]) == ("rosUhgp5mIg=", "FULL_OBJECT")
    upload = plain.create_multipart_upload(Bucket="plain", Key="unchecked parts")
    which = {"Bucket": "plain", "Key": "unchecked parts", "UploadId": upload["UploadId"]}
    etag = plain.upload_part(**which, PartNumber=7, Body=b"123456789")["ETag"]
    done = plain.complete_multipart_upload(
        **which, MultipartUpload={"Parts": [{"PartNumber": 7, "ETag": etag}]}
    )
    assert done["ChecksumCRC64NVME"] == "rosUhgp5mIg="


def test_conditions_of_a_delete_hold_or_nothing_happens(s3: Any) -> None:
    where = {"Bucket": "plain", "Key": "conditional"}
    etag = s3.put_object(**where, Body=b"12345")["ETag"]
    assert refusal(s3.delete_object, **where, IfMatch='"no"') == "PreconditionFailed"
    assert refusal(s3.delete_object, **where, IfMatchSize=4) == "PreconditionFailed"
    s3.delete_object(**where, IfMatch=etag, IfMatchSize=5)
    assert refusal(s3.head_object, **where) == "404"


@pytest.mark.parametrize(("at", "how"), [(0, "before the head"), (600_000, "by an answer that breaks off")])
def test_damaged_bytes_are_an_error_and_never_an_answer(box: S3Box, s3: Any, at: int, how: str) -> None:
    where = {"Bucket": "plain", "Key": f"damaged {how}"}
    before = set(box.data_files())
    s3.put_object(**where, Body=os.urandom(900_000))
    [file] = set(box.data_files()) - before
    raw = bytearray(file.read_bytes())
    raw[at] ^= 1
    file.write_bytes(raw)
    if at:
        with pytest.raises((ClientError, HTTPClientError, ProtocolError)):
            s3.get_object(**where)["Body"].read()
    assert refusal(s3.get_object, **where) == "InternalError"
    assert refusal(s3.copy_object, Bucket="plain", Key="copy of it", CopySource=where) == "InternalError"
    s3.put_object(**where, Body=b"new")
    assert s3.get_object(**where)["Body"].read() == b"new"
