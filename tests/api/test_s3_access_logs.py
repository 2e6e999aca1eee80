"""Access logs of buckets: who asked for what, delivered where the owner wants it and lets it in."""

import itertools
import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from euca_box.model.quotas import Quota, Quotas
from tests.api.s3_box import ALICE, BOB, S3Box, running_s3

_names = itertools.count()
_FIELD = re.compile(r'\[[^\]]*\]|"[^"]*"|\S+')
DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Box]:
    with running_s3(tmp_path_factory.mktemp("s3")) as box:
        yield box


@pytest.fixture(scope="module")
def alice(box: S3Box) -> Any:
    return box.client(ALICE)


@pytest.fixture
def bucket(alice: Any) -> str:
    """A bucket whose log goes to NAME-logs, below its own name."""
    name = f"logged-{next(_names)}"
    alice.create_bucket(Bucket=name)
    alice.create_bucket(Bucket=f"{name}-logs", ACL="log-delivery-write")
    enable(alice, name)
    return name


def enable(client: Any, bucket: str, target: str = "") -> None:
    enabled = {"TargetBucket": target or f"{bucket}-logs", "TargetPrefix": f"{bucket}/"}
    client.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": enabled})


def code_of(attempt: Any, *args: Any, **kwargs: Any) -> str:
    try:
        attempt(*args, **kwargs)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def lines_of(box: S3Box, bucket: str, operation: str, count: int = 1) -> list[list[str]]:
    """The lines of that operation, field by field, when so many of them were delivered.

    A request is written down when its answer was sent, which may be a moment after its client read it.
    """
    deadline = time.monotonic() + 10
    while True:
        lines = [line for line in delivered(box, bucket) if line[6].endswith(operation)]
        if len(lines) >= count:
            return lines
        assert time.monotonic() < deadline, lines


def delivered(box: S3Box, bucket: str) -> list[list[str]]:
    box.run(box.access_log.deliver())
    alice, lines = box.client(), []
    for item in alice.list_objects_v2(Bucket=f"{bucket}-logs").get("Contents", []):
        assert re.fullmatch(rf"{bucket}/\d{{4}}(-\d\d){{5}}-[0-9A-F]{{16}}", item["Key"])
        text = alice.get_object(Bucket=f"{bucket}-logs", Key=item["Key"])["Body"].read().decode()
        lines += [_FIELD.findall(line) for line in text.splitlines()]
    return lines


def test_each_request_is_a_line(box: S3Box, alice: Any, bucket: str) -> None:
    alice.put_object(Bucket=bucket, Key="a b", Body=b"data", ACL="public-read")
    urllib.request.urlopen(f"{box.url}/{bucket}/a%20b?x=1").close()
    code_of(box.client(BOB).get_object, Bucket=bucket, Key="absent")
    put, got, refused = lines_of(box, bucket, ".OBJECT", 3)
    assert put[:2] == [ALICE.principal.canonical_id, bucket]
    assert (put[3], put[4]) == ("127.0.0.1", ALICE.principal.canonical_id)
    assert put[6:8] == ["REST.PUT.OBJECT", "a%2520b"]
    assert put[9] == "200"
    assert (got[4], got[6]) == ("-", "REST.GET.OBJECT")
    assert got[8] == f'"GET /{bucket}/a%20b?x=1 HTTP/1.1"'
    assert got[11] == "4"
    assert (refused[4], refused[9], refused[10]) == (BOB.principal.canonical_id, "403", "AccessDenied")


def test_a_client_cannot_write_lines_of_its_own(box: S3Box, alice: Any, bucket: str) -> None:
    agent = 'x" 200 - "forged'
    request = urllib.request.Request(f"{box.url}/{bucket}/k%0Aforged", headers={"user-agent": agent})
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request)
    [line] = lines_of(box, bucket, "REST.GET.OBJECT")
    assert line[7] == "k%250Aforged"
    assert line[16] == '"x%22 200 - %22forged"'
    assert len(line) == 26


def test_a_signature_in_a_url_is_not_written_down(box: S3Box, alice: Any, bucket: str) -> None:
    alice.put_object(Bucket=bucket, Key="k", Body=b"x")
    url = box.client(signature_version="s3v4").generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": "k"}
    )
    urllib.request.urlopen(url).close()
    [line] = lines_of(box, bucket, "REST.GET.OBJECT")
    assert "X-Amz-Signature=redacted" in line[8]
    assert (line[19], line[21]) == ("SigV4", "QueryString")


def test_nothing_is_written_down_when_it_is_switched_off(box: S3Box, alice: Any, bucket: str) -> None:
    assert alice.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]["TargetPrefix"] == f"{bucket}/"
    alice.list_objects_v2(Bucket=bucket)
    lines_of(box, bucket, "REST.GET.BUCKET")
    alice.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    assert "LoggingEnabled" not in alice.get_bucket_logging(Bucket=bucket)
    alice.list_objects_v2(Bucket=bucket)
    alice.list_objects_v2(Bucket=bucket)
    assert len(lines_of(box, bucket, "REST.GET.BUCKET")) == 1


def test_a_policy_lets_the_log_in_as_well(box: S3Box, alice: Any, bucket: str) -> None:
    logs = f"{bucket}-logs"
    alice.put_bucket_acl(Bucket=logs, ACL="private")
    assert code_of(enable, alice, bucket) == "InvalidTargetBucketForLogging"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{logs}/{bucket}/*",
        "Condition": {
            "ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"},
            "StringEquals": {"aws:SourceAccount": ALICE.principal.account},
        },
    }
    alice.put_bucket_policy(Bucket=logs, Policy=json.dumps({"Statement": [statement]}))
    enable(alice, bucket)
    alice.list_objects_v2(Bucket=bucket)
    assert lines_of(box, bucket, "REST.GET.BUCKET")
    assert code_of(box.client(BOB).put_object, Bucket=logs, Key=f"{bucket}/x") == "AccessDenied"


@pytest.mark.parametrize("target", ["absent", "of-bob"])
def test_a_log_goes_to_a_bucket_of_the_same_owner_only(
    box: S3Box, alice: Any, bucket: str, target: str
) -> None:
    box.client(BOB).create_bucket(Bucket="of-bob", ACL="log-delivery-write")
    assert code_of(enable, alice, bucket, target) == "InvalidTargetBucketForLogging"


def test_a_target_that_is_gone_stops_the_log_and_nothing_else(box: S3Box, alice: Any, bucket: str) -> None:
    alice.list_objects_v2(Bucket=bucket)
    alice.delete_bucket(Bucket=f"{bucket}-logs")
    box.run(box.access_log.deliver())
    alice.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert alice.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    grants = [{"Grantee": {"Type": "Group", "URI": DELIVERY}, "Permission": "WRITE"}]
    alice.create_bucket(Bucket=f"{bucket}-logs")
    policy = {"Owner": {"ID": ALICE.principal.canonical_id}, "Grants": grants}
    alice.put_bucket_acl(Bucket=f"{bucket}-logs", AccessControlPolicy=policy)
    alice.put_bucket_acl(Bucket=f"{bucket}-logs", ACL="log-delivery-write")
    assert lines_of(box, bucket, "REST.GET.OBJECT")


@pytest.mark.parametrize("source", ["EventTime", "DeliveryTime"])
def test_logs_may_be_parted_by_account_region_bucket_and_day(
    box: S3Box, alice: Any, bucket: str, source: str
) -> None:
    form = {"PartitionedPrefix": {"PartitionDateSource": source}}
    enabled = {"TargetBucket": f"{bucket}-logs", "TargetPrefix": "in/", "TargetObjectKeyFormat": form}
    alice.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": enabled})
    assert alice.get_bucket_logging(Bucket=bucket)["LoggingEnabled"] == enabled
    box.run(box.access_log.deliver())
    [item] = alice.list_objects_v2(Bucket=f"{bucket}-logs", Prefix="in/")["Contents"]
    at = "00-00-00" if source == "EventTime" else r"\d\d-\d\d-\d\d"
    day = r"\d{4}/\d\d/\d\d/\d{4}-\d\d-\d\d"
    account = ALICE.principal.account
    assert re.fullmatch(rf"in/{account}/us-east-1/{bucket}/{day}-{at}-[0-9A-F]{{16}}", item["Key"])


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"TargetObjectKeyFormat": {}}, "MalformedXML"),
        ({"TargetObjectKeyFormat": {"SimplePrefix": {}, "PartitionedPrefix": {}}}, "MalformedXML"),
        ({"TargetGrants": []}, "NotImplemented"),
    ],
)
def test_a_log_that_could_not_be_delivered_so_is_refused(
    alice: Any, bucket: str, more: Any, code: str
) -> None:
    enabled = {"TargetBucket": f"{bucket}-logs", "TargetPrefix": "", **more}
    status = {"LoggingEnabled": enabled}
    assert code_of(alice.put_bucket_logging, Bucket=bucket, BucketLoggingStatus=status) == code


def test_lines_survive_a_kill_and_are_delivered_once_by_the_next_process(tmp_path: Path) -> None:
    def written() -> bytes:
        return b"".join(path.read_bytes() for path in spool_files(tmp_path))

    with running_s3(tmp_path) as box:
        client = box.client()
        client.create_bucket(Bucket="logged")
        client.create_bucket(Bucket="logged-logs", ACL="log-delivery-write")
        enable(client, "logged")
        for _ in range(50):
            client.list_objects_v2(Bucket="logged")
        spool = box.access_log._spool
        wait_until(lambda: written().count(b"REST.GET.BUCKET ") >= 50)
    # What ends here never delivers: running_s3 does not, as a killed process does not.
    with running_s3(tmp_path) as box:
        assert len([line for line in delivered(box, "logged") if line[6] == "REST.GET.BUCKET"]) == 50
        assert spool_files(tmp_path) == []
        again = [path for path in spool.finished() if path.exists()]
        assert again == []


def test_a_file_that_was_not_removed_is_delivered_under_the_same_key(tmp_path: Path) -> None:
    with running_s3(tmp_path) as box:
        client = box.client()
        client.create_bucket(Bucket="logged")
        client.create_bucket(Bucket="logged-logs", ACL="log-delivery-write")
        enable(client, "logged")
        client.list_objects_v2(Bucket="logged")
        wait_until(lambda: spool_files(tmp_path))
        box.run(box.access_log._spool.finish())
        [path] = spool_files(tmp_path)
        lines = path.read_bytes()
        box.run(box.access_log.deliver())
        path.write_bytes(lines)  # as if it was killed between delivering and removing
        box.run(box.access_log.deliver())
        keys = [item["Key"] for item in client.list_objects_v2(Bucket="logged-logs")["Contents"]]
        assert len(keys) == 1


def test_a_log_that_finds_no_room_comes_later(tmp_path: Path) -> None:
    limit = Quotas(Quota(), {ALICE.principal.account: Quota(0, 100_000)})
    with running_s3(tmp_path, quotas=limit) as box:
        client = box.client()
        for name in ("logged", "logged-logs", "full"):
            client.create_bucket(Bucket=name, ACL="log-delivery-write")
        enable(client, "logged")
        client.put_object(Bucket="full", Key="k", Body=b"x" * 100_000)
        client.list_objects_v2(Bucket="logged")
        wait_until(lambda: spool_files(tmp_path))
        box.run(box.access_log.deliver())
        assert spool_files(tmp_path) != []
        client.delete_object(Bucket="full", Key="k")
        assert len([line for line in delivered(box, "logged") if line[6] == "REST.GET.BUCKET"]) == 1
        assert spool_files(tmp_path) == []


def test_a_target_that_somebody_else_made_anew_gets_no_lines(box: S3Box, alice: Any, bucket: str) -> None:
    alice.list_objects_v2(Bucket=bucket)
    alice.delete_bucket(Bucket=f"{bucket}-logs")
    bob = box.client(BOB)
    bob.create_bucket(Bucket=f"{bucket}-logs", ACL="log-delivery-write")
    box.run(box.access_log.deliver())
    assert "Contents" not in bob.list_objects_v2(Bucket=f"{bucket}-logs")


def spool_files(folder: Path) -> list[Path]:
    return sorted((folder / "access-logs").iterdir())


def wait_until(is_true: Any) -> None:
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
