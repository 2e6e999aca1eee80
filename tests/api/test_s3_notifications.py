"""Changes in buckets are told to the operator's targets: what, in order, again until it is taken."""

import http.server
import itertools
import json
import queue
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.s3_box import ALICE, S3Box, running_s3

_names = itertools.count()
HOOK, DOWN = "arn:aws:sns:us-east-1:000000000002:hook", "arn:aws:sqs:us-east-1:000000000002:down"


class Target:
    """A web hook that keeps what it took; `refuse` makes it fail that many times first."""

    def __init__(self) -> None:
        self.taken: queue.Queue[Any] = queue.Queue()
        self.messages = 0
        self.refuse = 0
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if target.refuse:
                    target.refuse -= 1
                    self.send_response(503 if target.refuse % 2 else 302)
                    self.send_header("location", "http://127.0.0.1:1/")
                else:
                    self.send_response(200)
                    message = json.loads(body)
                    target.messages += 1
                    for told in message.get("Records", [message]):
                        target.taken.put(told)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/events"

    def next(self) -> Any:
        """The next record of an event, or a test."""
        return self.taken.get(timeout=10)


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    target = Target()
    yield target
    target.server.shutdown()
    target.server.server_close()


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, target: Target) -> Iterator[S3Box]:
    targets = {"hook": target.url, "down": "http://127.0.0.1:1/"}
    with running_s3(tmp_path_factory.mktemp("s3"), targets=targets) as box:
        yield box


@pytest.fixture(scope="module")
def alice(box: S3Box) -> Any:
    return box.client(ALICE)


@pytest.fixture
def bucket(alice: Any) -> str:
    name = f"told-{next(_names)}"
    alice.create_bucket(Bucket=name)
    return name


def tell(client: Any, bucket: str, *events: str, arn: str = HOOK, rules: Any = ()) -> None:
    kind, member = ("Queue", "QueueArn") if ":sqs:" in arn else ("Topic", "TopicArn")
    rule: dict[str, Any] = {member: arn, "Events": list(events), "Id": "rule"}
    if rules:
        rule["Filter"] = {"Key": {"FilterRules": [{"Name": n, "Value": v} for n, v in rules]}}
    client.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={f"{kind}Configurations": [rule]}
    )


def code_of(attempt: Any, *args: Any, **kwargs: Any) -> str:
    try:
        attempt(*args, **kwargs)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_each_change_is_told_in_order(alice: Any, bucket: str, target: Target) -> None:
    tell(alice, bucket, "s3:ObjectCreated:*", "s3:ObjectRemoved:*")
    test = target.next()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", test.pop("Time"))
    assert test == {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket}
    alice.put_object(Bucket=bucket, Key="a b", Body=b"data")
    alice.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/a b")
    upload = {"Bucket": bucket, "Key": "big"}
    upload["UploadId"] = alice.create_multipart_upload(**upload)["UploadId"]
    etag = alice.upload_part(**upload, PartNumber=1, Body=b"12345")["ETag"]
    alice.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    alice.delete_object(Bucket=bucket, Key="copy")
    alice.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a b"}, {"Key": "big"}], "Quiet": True})
    records = [target.next() for _ in range(6)]
    assert [(r["eventName"], r["s3"]["object"]["key"]) for r in records] == [
        ("ObjectCreated:Put", "a+b"),
        ("ObjectCreated:Copy", "copy"),
        ("ObjectCreated:CompleteMultipartUpload", "big"),
        ("ObjectRemoved:Delete", "copy"),
        ("ObjectRemoved:Delete", "a+b"),
        ("ObjectRemoved:Delete", "big"),
    ]
    assert [r["s3"]["object"].get("size") for r in records] == [4, 4, 5, None, None, None]
    put = records[0]
    assert put["s3"]["bucket"]["name"] == bucket
    assert put["s3"]["configurationId"] == "rule"
    assert put["userIdentity"] == {"principalId": ALICE.principal.account}
    assert put["requestParameters"] == {"sourceIPAddress": "127.0.0.1"}
    sequence = [r["s3"]["object"]["sequencer"] for r in records]
    assert sequence == sorted(sequence)


def test_versions_and_markers_are_told(alice: Any, bucket: str, target: Target) -> None:
    alice.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    tell(alice, bucket, "s3:ObjectCreated:Put", "s3:ObjectRemoved:*")
    target.next()
    version = alice.put_object(Bucket=bucket, Key="k", Body=b"x")["VersionId"]
    marker = alice.delete_object(Bucket=bucket, Key="k")["VersionId"]
    alice.delete_object(Bucket=bucket, Key="k", VersionId=version)
    told = [(r["eventName"], r["s3"]["object"]["versionId"]) for r in (target.next() for _ in range(3))]
    assert told == [
        ("ObjectCreated:Put", version),
        ("ObjectRemoved:DeleteMarkerCreated", marker),
        ("ObjectRemoved:Delete", version),
    ]


def test_only_what_was_asked_for_is_told(alice: Any, bucket: str, target: Target) -> None:
    tell(alice, bucket, "s3:ObjectCreated:Put", rules=[("prefix", "in/"), ("suffix", ".jpg")])
    target.next()
    for key in ("in/a.txt", "out/a.jpg", "in/a.jpg"):
        alice.put_object(Bucket=bucket, Key=key, Body=b"x")
    alice.delete_object(Bucket=bucket, Key="in/a.jpg")
    code_of(alice.put_object, Bucket=bucket, Key="in/b.jpg", Body=b"x", ContentMD5="AAAAAAAAAAAAAAAAAAAAAA==")
    alice.put_object(Bucket=bucket, Key="in/last.jpg", Body=b"x")
    assert [target.next()["s3"]["object"]["key"] for _ in range(2)] == ["in%2Fa.jpg", "in%2Flast.jpg"]


def test_a_target_that_fails_is_told_again(alice: Any, bucket: str, target: Target) -> None:
    target.refuse = 4
    tell(alice, bucket, "s3:ObjectCreated:*")
    alice.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert target.next()["Event"] == "s3:TestEvent"
    assert target.next()["s3"]["object"]["key"] == "k"
    assert target.refuse == 0


def test_a_target_that_is_down_holds_nobody_up(alice: Any, bucket: str) -> None:
    tell(alice, bucket, "s3:ObjectCreated:*", arn=DOWN)
    alice.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert alice.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_what_waits_when_the_process_ends_is_told_by_the_next_one(tmp_path: Path, target: Target) -> None:
    with running_s3(tmp_path, targets={"hook": "http://127.0.0.1:1/", "left": "http://127.0.0.1:1/"}) as box:
        client = box.client()
        client.create_bucket(Bucket="told")
        tell(client, "told", "s3:ObjectRemoved:*", arn=HOOK.replace("hook", "left"))
        client.delete_object(Bucket="told", Key="for a target that goes")
        tell(client, "told", "s3:ObjectCreated:*")
        for n in range(250):
            client.put_object(Bucket="told", Key=f"k{n:03}", Body=b"x")
        client.delete_object(Bucket="told", Key="k000")
    before = target.messages
    with running_s3(tmp_path, targets={"hook": target.url}) as box:
        assert target.next()["Event"] == "s3:TestEvent"
        assert [target.next()["s3"]["object"]["key"] for _ in range(250)] == [f"k{n:03}" for n in range(250)]
        box.client().put_object(Bucket="told", Key="later", Body=b"x")
        assert target.next()["s3"]["object"]["key"] == "later"
        assert target.messages - before == 5  # the test, three of a hundred at most, the last one
        assert box.run(box.objects.notices.targets()) <= {"hook"}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"arn": "arn:aws:sns:us-east-1:000000000002:nobody"}, "InvalidArgument"),
        ({"arn": "http://127.0.0.1:1/"}, "InvalidArgument"),
        ({"arn": "hook"}, "InvalidArgument"),
        ({"rules": [("infix", "x")]}, "InvalidArgument"),
        ({"rules": [("prefix", "x"), ("Prefix", "y")]}, "InvalidArgument"),
    ],
)
def test_a_notification_that_could_not_be_kept_is_refused(
    alice: Any, bucket: str, change: Any, code: str
) -> None:
    assert code_of(tell, alice, bucket, "s3:ObjectCreated:*", **change) == code
    shown = alice.get_bucket_notification_configuration(Bucket=bucket)
    assert "TopicConfigurations" not in shown


def test_events_that_are_not_told_are_refused(alice: Any, bucket: str) -> None:
    assert code_of(tell, alice, bucket, "s3:Replication:*") == "NotImplemented"
    nothing = {"EventBridgeConfiguration": {}}
    put = alice.put_bucket_notification_configuration
    assert code_of(put, Bucket=bucket, NotificationConfiguration=nothing) == "NotImplemented"
