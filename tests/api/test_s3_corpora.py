"""The corpora of tests/vectors against S3, with both HTTP engines: the right answer for each, and nothing
on the disk is touched but the store."""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from lxml import etree

from euca_box.auth.sigv4_sign import sign_headers
from tests.api.s3_box import ALICE, S3Box, running_s3

VECTORS = Path(__file__).parents[1] / "vectors"
KEYS = json.loads((VECTORS / "keys/keys.json").read_text())
HTTP = json.loads((VECTORS / "http/manifest.json").read_text())
XML = json.loads((VECTORS / "xml/manifest.json").read_text())
ENGINES = ("httptools", "h11")
BEYOND = ["k" * 1025, "\U0001f600" * 257, "a/" * 513]
# S3 user guide, "Bucket naming rules"; `services` and `soap` are paths of 1.6.2.
GOOD_BUCKETS = {"a" * 63}
STATUS_OF = {"cl-huge": {"400", "413"}, "many-params": {"400", "414"}, "upgrade-h2c": {"403"}}


@pytest.fixture(scope="module", params=ENGINES)
def box(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Box]:
    """With canaries around the store; they are looked at when all is over."""
    folder = tmp_path_factory.mktemp("around") / "a" / "store"
    folder.mkdir(parents=True)
    canaries = [folder.parent.parent / "canary", folder.parent / "x", folder.parent / "passwd", folder / "x"]
    for canary in canaries:
        canary.write_text("untouched")
    with running_s3(folder, engine=request.param) as box:
        box.client().create_bucket(Bucket="bucket")
        box.engine = request.param  # type: ignore[attr-defined]
        yield box
    around = {p for p in folder.parent.parent.rglob("*") if p.is_file()}
    store = {p for p in around if p.name.startswith("walrus.db") or (folder / "objects") in p.parents}
    assert around - store - {folder / "objects.key", folder / "ballast"} == set(canaries)
    assert {canary.read_text() for canary in canaries} == {"untouched"}
    named = [p for p in (folder / "objects").rglob("*") if p.is_file()]
    assert all(re.fullmatch("[0-9a-f]{30,}", p.name) for p in named)


def ask(box: S3Box, method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
    """Status and body; the target is sent as it is."""
    sent = {"content-length": str(len(body)), "connection": "close", **headers}
    sha256 = hashlib.sha256(body).hexdigest()
    now = datetime.now(UTC)
    signed = sign_headers(method, f"{box.url}{target}", sent, ALICE, now, payload_sha256=sha256)
    head = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    answer = box.raw(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body)
    return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]


def code_of(answer: bytes) -> str | None:
    return etree.fromstring(answer).findtext("Code")


def listed(box: S3Box) -> list[str]:
    return [item["Key"] for item in box.client().list_objects_v2(Bucket="bucket").get("Contents", [])]


@pytest.mark.parametrize("size", [10, 20_000], ids=["small", "large"])
@pytest.mark.parametrize("key", KEYS["object_keys"], ids=lambda key: ascii(key)[1:20])
def test_a_key_names_its_object_and_nothing_else(box: S3Box, key: str, size: int) -> None:
    target, body = f"/bucket/{quote(key, safe='~')}", hashlib.sha256(key.encode()).digest() * (size // 10)
    assert ask(box, "PUT", target, body)[0] == 200
    assert ask(box, "GET", target) == (200, body)
    assert listed(box) == [key]
    source = {"x-amz-copy-source": f"/bucket/{quote(key)}"}
    assert ask(box, "PUT", "/bucket/copy-of-it", **source)[0] == 200
    assert ask(box, "GET", "/bucket/copy-of-it") == (200, body)
    assert ask(box, "DELETE", "/bucket/copy-of-it")[0] == 204
    assert ask(box, "DELETE", target)[0] == 204
    assert listed(box) == []


@pytest.mark.parametrize("key", BEYOND, ids=["letters", "emoji", "slashes"])
def test_a_key_of_more_than_1024_bytes_is_refused(box: S3Box, key: str) -> None:
    status, answer = ask(box, "PUT", f"/bucket/{quote(key)}", b"x")
    assert (status, code_of(answer)) == (400, "KeyTooLongError")
    assert listed(box) == []


@pytest.mark.parametrize("target", ["/bucket/%FF", "/bucket/%C0%AF", "/bucket/a%ED%A0%80", "/bu%FFcket/k"])
def test_a_path_that_is_not_utf_8_is_refused(box: S3Box, target: str) -> None:
    status, answer = ask(box, "PUT", target, b"x")
    assert (status, code_of(answer)) == (400, "InvalidURI")
    assert listed(box) == []


@pytest.mark.parametrize("name", KEYS["bucket_names"], ids=lambda name: ascii(name)[1:20])
def test_a_bucket_has_a_name_of_s3_or_is_refused(box: S3Box, name: str) -> None:
    status, answer = ask(box, "PUT", f"/{quote(name, safe='')}")
    if name in GOOD_BUCKETS:
        assert status == 200
        assert ask(box, "DELETE", f"/{name}")[0] == 204
    else:
        assert (status, code_of(answer)) == (400, "InvalidBucketName")
    assert [b["Name"] for b in box.client().list_buckets()["Buckets"]] == ["bucket"]


@pytest.mark.parametrize("name", sorted(HTTP))
def test_raw_http_gets_the_status_of_its_manifest(box: S3Box, name: str) -> None:
    answer = box.raw((VECTORS / f"http/{name}.raw").read_bytes())
    found = re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)
    statuses = {status.decode() for status in found}
    assert all(int(status) in (101, 501) or 400 <= int(status) < 500 for status in statuses), answer[:200]
    assert len(found) == (2 if name == "pipelined" else 1)
    expected = STATUS_OF.get(name, set(re.findall(r"\b4\d\d\b", HTTP[name]["expect"])))
    if expected and box.engine == "httptools":  # type: ignore[attr-defined]
        assert statuses <= expected, answer[:200]
        assert ("closed" in HTTP[name]["expect"]) <= (b"connection: close" in answer.lower())
    assert listed(box) == []


@pytest.mark.parametrize("name", sorted(XML))
def test_a_document_gets_the_answer_of_its_manifest(box: S3Box, name: str) -> None:
    body = (VECTORS / "xml" / name).read_bytes()
    client = box.client()
    if name == "complete-mpu-disorder.xml":
        upload = client.create_multipart_upload(Bucket="bucket", Key="k")["UploadId"]
        status, answer = ask(box, "POST", f"/bucket/k?uploadId={upload}", body)
        client.abort_multipart_upload(Bucket="bucket", Key="k", UploadId=upload)
    else:
        client.put_object(Bucket="bucket", Key="ab", Body=b"x")
        status, answer = ask(box, "POST", "/bucket?delete", body)
        left = listed(box)
        client.delete_object(Bucket="bucket", Key="ab")
        if XML[name]["expect"].startswith("accept"):
            assert (status, left) == (200, [])
            return
        assert left == ["ab"]
    wanted: dict[str, Any] = {
        "complete-mpu-disorder.xml": "InvalidPartOrder",
        "huge-text.xml": "EntityTooLarge",
    }
    assert (status, code_of(answer)) == (400, wanted.get(name, "MalformedXML"))
