"""Hidden buckets: roles keep things in them by signed URLs; for users they do not exist."""

import asyncio
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from euca_box.messages import walrus
from euca_box.messages.base import Call
from euca_box.model.accounts import LENDER
from euca_box.model.errors import InvalidParameterValue
from tests.api.cloud_box import refused, running_cloud

BUCKET = "_snapshots"


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        yield box


def ask(box, op):
    asking = box.app.ask("walrus", op, Call(LENDER, "a-request"))
    return asyncio.run_coroutine_threadsafe(asking, box.loop).result(20)


def send(method, url, data=None, **headers):
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def urls(box, *keys, for_writing=False):
    return ask(box, walrus.GetHiddenUrls(BUCKET, keys, for_writing)).urls


@pytest.fixture(scope="module")
def chunk(box):
    [url] = urls(box, "snap-1/chunk 1", for_writing=True)
    assert send("PUT", url, b"x" * 100_000)[0] == 200
    return "snap-1/chunk 1"


def test_what_a_role_puts_by_one_url_it_gets_by_another(box, chunk):
    [url] = urls(box, chunk)
    assert send("GET", url) == (200, b"x" * 100_000)
    assert send("GET", url, None, Range="bytes=5-9") == (206, b"xxxxx")
    page = ask(box, walrus.ListHidden(BUCKET, prefix="snap-1/"))
    assert [(o.key, o.size_bytes) for o in page.objects] == [(chunk, 100_000)]
    assert page.after is None


def test_a_url_is_good_for_its_method_and_object_only(box, chunk):
    [reading], [writing] = urls(box, chunk), urls(box, "other", for_writing=True)
    for method, url in (
        ("PUT", reading),
        ("DELETE", reading),
        ("GET", writing),
        ("GET", reading.replace("chunk%201", "chunk%202")),
        ("PUT", writing.replace(BUCKET, "images-alice")),
    ):
        assert send(method, url, b"" if method == "PUT" else None)[0] == 403, (method, url)
    source = {"x-amz-copy-source": "/images-alice/object"}
    assert send("PUT", writing, b"", **source)[0] == 403


def test_deleting_twice_is_harmless(box):
    keys = ("gone-1", "gone-2")
    for url in urls(box, *keys, for_writing=True):
        assert send("PUT", url, b"data")[0] == 200
    for _ in range(2):
        ask(box, walrus.DeleteHidden(BUCKET, (*keys, "never-there")))
    assert ask(box, walrus.ListHidden(BUCKET, prefix="gone")).objects == ()
    assert ask(box, walrus.ListHidden("_absent")).objects == ()
    ask(box, walrus.DeleteHidden("_absent", ("k",)))


@pytest.mark.parametrize("name", ["images-alice", "_", "_UP", "_a/b", "_a" * 30, ""])
def test_no_other_bucket_is_reached_through_the_door_for_roles(box, name):
    for op in (
        walrus.GetHiddenUrls(name, ("k",)),
        walrus.ListHidden(name),
        walrus.DeleteHidden(name, ("k",)),
    ):
        with pytest.raises(InvalidParameterValue):
            ask(box, op)
    with pytest.raises(InvalidParameterValue):
        ask(box, walrus.DeleteHidden(BUCKET, ("k",) * 1001))


def test_users_cannot_tell_a_hidden_bucket_from_none(box, chunk):
    for user in ("alice", "admin"):
        s3 = box.client("s3", user)
        assert BUCKET not in [b["Name"] for b in s3.list_buckets()["Buckets"]]
        s3.create_bucket(Bucket=f"own-{user}")
        for call, fields in (
            (s3.list_objects_v2, {}),
            (s3.get_object, {"Key": chunk}),
            (s3.put_object, {"Key": chunk, "Body": b""}),
            (s3.delete_object, {"Key": chunk}),
            (s3.delete_bucket, {}),
            (s3.get_bucket_acl, {}),
            (s3.get_bucket_location, {}),
            (s3.put_bucket_acl, {"ACL": "public-read"}),
            (s3.create_multipart_upload, {"Key": "k"}),
            (s3.list_multipart_uploads, {}),
        ):
            assert refused(call, Bucket=BUCKET, **fields)[0] == "NoSuchBucket", call.__name__
        copy = {"Bucket": f"own-{user}", "Key": "k", "CopySource": f"{BUCKET}/{chunk}"}
        for more in ({}, {"ExpectedSourceBucketOwner": "000000000000"}, {"ExpectedSourceBucketOwner": "1"}):
            assert refused(s3.copy_object, **copy, **more)[0] == "NoSuchBucket"
        assert refused(s3.create_bucket, Bucket=BUCKET)[0] == "InvalidBucketName"
        with pytest.raises(ClientError) as caught:
            s3.head_bucket(Bucket=BUCKET)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_nor_can_anybody_without_a_signature(box, chunk):
    for path in (f"/{BUCKET}", f"/{BUCKET}/{chunk.replace(' ', '%20')}", "/%5Fsnapshots/k"):
        status, text = send("GET", box.url + path)
        assert (status, b"NoSuchBucket" in text) == (404, True), path
    preflight = {"Origin": "https://example.com", "Access-Control-Request-Method": "GET"}
    assert send("OPTIONS", f"{box.url}/{BUCKET}/k", None, **preflight)[0] == 404
