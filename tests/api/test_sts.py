"""STS and temporary credentials, by boto3 and boto 2's signature, on every service."""

import urllib.request
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.config
import pytest
from botocore.exceptions import ClientError

from tests.api.cloud_box import CloudBox, refused, running_cloud
from tests.api.ec2_raw import Raw


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudBox]:
    with running_cloud(tmp_path_factory.mktemp("sts")) as cloud:
        yield cloud


def credentials(box: CloudBox, user: str = "alice", **asked: Any) -> dict[str, str]:
    found: dict[str, str] = box.client("sts", user).get_session_token(**asked)["Credentials"]
    return found


def client(box: CloudBox, service: str, key: dict[str, str], **more: Any) -> Any:
    return boto3.client(
        service,
        endpoint_url=box.url,
        region_name="us-east-1",
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        aws_session_token=key.get("SessionToken"),
        config=botocore.config.Config(
            retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, **more
        ),
    )


def test_temporary_credentials_do_what_their_user_may_on_every_service(box: CloudBox) -> None:
    key = credentials(box)
    assert client(box, "sts", key).get_caller_identity()["Account"] == box.account()
    client(box, "ec2", key).create_key_pair(KeyName="by-session")
    names = [k["KeyName"] for k in box.ec2().describe_key_pairs()["KeyPairs"]]
    assert "by-session" in names
    s3 = client(box, "s3", key)
    s3.create_bucket(Bucket="by-session")
    s3.put_object(Bucket="by-session", Key="k", Body=b"hello")
    url = s3.generate_presigned_url("get_object", {"Bucket": "by-session", "Key": "k"})
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"hello"


def test_the_signature_of_2006_carries_a_token_too(box: CloudBox) -> None:
    key = credentials(box)
    old = client(box, "s3", key, signature_version="s3")
    assert old.list_buckets()["Owner"]["DisplayName"] == "alice"
    url = old.generate_presigned_url("list_buckets")
    with urllib.request.urlopen(url) as answer:
        assert b"alice" in answer.read()


def test_no_session_without_its_token_and_none_from_a_session(box: CloudBox) -> None:
    key = credentials(box)
    without = {**key, "SessionToken": ""}
    wrong = {**key, "SessionToken": credentials(box)["SessionToken"]}
    for bad in (without, wrong):
        ec2 = client(box, "ec2", bad)
        assert refused(ec2.describe_regions) == ("AuthFailure", 401)
    assert refused(client(box, "s3", wrong).list_buckets) == ("InvalidToken", 400)
    assert refused(client(box, "sts", wrong).get_caller_identity) == ("InvalidClientTokenId", 403)
    assert refused(client(box, "sts", key).get_session_token) == ("AccessDenied", 403)


@pytest.mark.parametrize("seconds", [899, 129_601])
def test_a_duration_out_of_bounds_is_refused(box: CloudBox, seconds: int) -> None:
    sts = box.client("sts")
    assert refused(sts.get_session_token, DurationSeconds=seconds) == ("ValidationError", 400)


def test_an_mfa_code_is_refused_because_nobody_has_a_device(box: CloudBox) -> None:
    with pytest.raises(ClientError, match="MultiFactorAuthentication"):
        box.client("sts").get_session_token(SerialNumber="arn:aws:iam::1:mfa/a", TokenCode="123456")


def test_a_suspended_user_has_no_session_either(box: CloudBox) -> None:
    box.add_user("eve")
    key = credentials(box, "eve")
    box.admin("SetUserState", name="eve", state="disabled")
    assert refused(client(box, "ec2", key).describe_regions) == ("AuthFailure", 401)
    box.until(lambda: refused(client(box, "s3", key).list_buckets) == ("InvalidToken", 400))


def test_what_is_no_number_of_seconds_is_refused(box: CloudBox) -> None:
    for text in ("", "x", "-1", "²", "9" * 400):
        pairs = [("Action", "GetSessionToken"), ("Version", "2011-06-15"), ("DurationSeconds", text)]
        answer = Raw(box).v4(pairs, service="sts")
        assert (answer.status, b"ValidationError" in answer.body) == (400, True)
