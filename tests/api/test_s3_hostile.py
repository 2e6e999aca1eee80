"""S3 against clients that are broken, slow or hostile; on raw sockets: client libraries are too polite."""

import hashlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from lxml import etree

from euca_box.api.s3 import body as body_module
from euca_box.api.s3.xml_in import parse_xml
from euca_box.auth.chunked import ChunkSigner
from euca_box.auth.sigv4 import derive_key
from euca_box.auth.sigv4_sign import presign_url, sign_headers
from euca_box.model.s3_errors import MalformedXML
from tests.api.s3_box import ALICE, S3Box, read_all, running_s3

VECTORS = Path(__file__).parents[1] / "vectors"
HTTP = json.loads((VECTORS / "http/manifest.json").read_text())
XML = json.loads((VECTORS / "xml/manifest.json").read_text())


_COMPLETION = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>0</ETag></Part>%s" % (
    b"</CompleteMultipartUpload>"
)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Box]:
    with running_s3(tmp_path_factory.mktemp("s3")) as box:
        box.client().create_bucket(Bucket="bucket")
        yield box


def request_bytes(box: S3Box, method: str, target: str, body: bytes = b"", **options: Any) -> bytes:
    """A signed request as it goes over the wire."""
    headers = {"content-length": str(len(body)), "connection": "close", **options.pop("headers", {})}
    sha256 = options.pop("sha256", hashlib.sha256(body).hexdigest())
    url = f"{box.url}{target}"
    signed = sign_headers(method, url, headers, ALICE, datetime.now(UTC), payload_sha256=sha256)
    head = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def code_of(answer: bytes) -> str | None:
    return etree.fromstring(answer.partition(b"\r\n\r\n")[2]).findtext("Code")


@pytest.mark.parametrize("name", sorted(HTTP))
def test_hostile_http_is_refused_or_harmless(box: S3Box, name: str) -> None:
    begin = time.monotonic()
    answer = box.raw((VECTORS / f"http/{name}.raw").read_bytes())
    statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert time.monotonic() - begin < 5
    assert all(status in (101, 501) or 400 <= status < 500 for status in statuses), answer[:300]
    assert statuses or HTTP[name]["expect"].endswith("closed") or name in ("long-header", "upgrade-h2c")
    assert box.client().list_buckets()["Buckets"]


def test_every_error_is_written_as_s3_does(box: S3Box) -> None:
    answer = box.raw(request_bytes(box, "GET", "/bucket/a%3Cb"))
    head, _, body = answer.partition(b"\r\n\r\n")
    root = etree.fromstring(body)
    assert status_of(answer) == 404
    assert [root.findtext(n) for n in ("Code", "Key", "Resource")] == ["NoSuchKey", "a<b", "/bucket/a<b"]
    assert f"x-amz-request-id: {root.findtext('RequestId')}".encode() in head
    assert b"x-amz-id-2: " in head
    head_answer = box.raw(request_bytes(box, "HEAD", "/bucket/absent"))
    assert head_answer.endswith(b"\r\n\r\n")
    assert status_of(head_answer) == 404


@pytest.mark.parametrize(
    ("method", "target", "code"),
    [
        ("GET", "/bucket?frobnicate", "NotImplemented"),
        ("PUT", "/bucket/k?tagging", "MalformedXML"),
        ("PUT", "/bucket/k?append&position=0", "NotImplemented"),
        ("PUT", "/bucket/k?uploadId=x", "NotImplemented"),
        ("PUT", "/bucket?inventory", "NotImplemented"),
        ("DELETE", "/bucket?replication", "NotImplemented"),
        ("DELETE", "/bucket/k?tagging", "NoSuchKey"),
        ("DELETE", "/bucket/k?versionId=1", "InvalidArgument"),
        ("GET", "/bucket/k?versionId=1", "InvalidArgument"),
        ("GET", "/bucket/k?versionId=", "InvalidArgument"),
        ("GET", "/bucket/k?versionId=" + "f" * 32, "InvalidArgument"),
        ("GET", "/bucket/k?versionId=" + "0" * 32, "NoSuchVersion"),
        ("GET", "/bucket/k?versionId=null", "NoSuchVersion"),
        ("GET", "/bucket?versions&version-id-marker=null", "InvalidArgument"),
        ("GET", "/bucket?versions&key-marker=k&version-id-marker=7", "InvalidArgument"),
        ("POST", "/bucket", "PreconditionFailed"),
        ("GET", "/bucket?max-keys=-1", "InvalidArgument"),
        ("GET", "/bucket?max-keys=%C2%B2", "InvalidArgument"),
        ("GET", "/bucket?list-type=3", "InvalidArgument"),
        ("GET", "/bucket?list-type=2&continuation-token=%FF", "InvalidURI"),
        ("GET", "/bucket?list-type=2&continuation-token=!", "InvalidArgument"),
        ("GET", "/bucket?encoding-type=xml", "InvalidArgument"),
        ("GET", "/bucket?prefix=a&prefix=b", "InvalidArgument"),
        ("GET", "/bucket/%FF", "InvalidURI"),
        ("PUT", "/bucket/" + "k" * 1025, "KeyTooLongError"),
        ("PUT", "/BAD_name", "InvalidBucketName"),
        ("PUT", "/services", "InvalidBucketName"),
        ("PUT", "/192.168.1.1", "InvalidBucketName"),
        ("DELETE", "/nobody-has-it", "NoSuchBucket"),
        ("POST", "/bucket/k?uploadId=none", "NoSuchUpload"),
        ("DELETE", "/", "MethodNotAllowed"),
        ("PATCH", "/bucket/k", "MethodNotAllowed"),
    ],
)
def test_what_is_not_understood_is_never_taken_for_something_else(
    box: S3Box, method: str, target: str, code: str
) -> None:
    answer = box.raw(request_bytes(box, method, target, _COMPLETION if "uploadId=none" in target else b""))
    assert code_of(answer) == code
    assert "Contents" not in box.client().list_objects_v2(Bucket="bucket")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"content-md5": "AAAA"}, "InvalidDigest"),
        ({"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "BadDigest"),
        ({"x-amz-checksum-crc32": "AAAA"}, "BadDigest"),
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-sha1": "AAAA"}, "InvalidRequest"),
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-trailer": "x-amz-checksum-crc32"}, "InvalidRequest"),
        ({"x-amz-acl": "everybody"}, "InvalidArgument"),
        ({"x-amz-storage-class": "COLD"}, "InvalidStorageClass"),
        ({"x-amz-server-side-encryption-customer-algorithm": "AES256"}, "InvalidArgument"),
        ({"x-amz-server-side-encryption": "aws:kms"}, "NotImplemented"),
        ({"x-amz-server-side-encryption": "rot13"}, "InvalidEncryptionAlgorithmError"),
        ({"x-amz-tagging": "a=1&a=2"}, "InvalidTag"),
        ({"x-amz-tagging": "a=%FF"}, "InvalidTag"),
        ({"x-amz-tagging": "&".join(f"k{n}=v" for n in range(11))}, "InvalidTag"),
        ({"x-amz-object-lock-mode": "GOVERNANCE"}, "InvalidArgument"),
        ({"x-amz-object-lock-legal-hold": "ON"}, "InvalidRequest"),
        ({"x-amz-website-redirect-location": "javascript:x"}, "InvalidRedirectLocation"),
        ({"x-amz-meta-big": "x" * 2050}, "MetadataTooLarge"),
        ({"x-amz-meta-" + "x" * 900 + str(n): "y" * 900 for n in range(10)}, "RequestHeaderSectionTooLarge"),
        ({"x-amz-copy-source": "bucket"}, "InvalidArgument"),
        ({"x-amz-copy-source": "/bucket/%FF"}, "InvalidArgument"),
        ({"x-amz-copy-source": "/bucket/k?versionId=7"}, "InvalidArgument"),
        ({"x-amz-security-token": "t"}, "InvalidToken"),
    ],
)
def test_a_put_that_says_something_wrong_is_refused(box: S3Box, headers: dict[str, str], code: str) -> None:
    raw = request_bytes(box, "PUT", "/bucket/k", b"hello", headers=headers)
    assert code_of(box.raw(raw)) == code
    assert "Contents" not in box.client().list_objects_v2(Bucket="bucket")


@pytest.mark.parametrize(("chunked", "code"), [(True, 200), (False, 411)])
def test_a_body_without_a_length_is_taken_in_chunks_only(box: S3Box, chunked: bool, code: int) -> None:
    signed = sign_headers("PUT", f"{box.url}/bucket/k", {}, ALICE, datetime.now(UTC))
    fields = {**signed, "connection": "close"} | ({"transfer-encoding": "chunked"} if chunked else {})
    head = "".join(f"{n}: {v}\r\n" for n, v in fields.items())
    body = "0\r\n\r\n" if chunked else ""
    assert status_of(box.raw(f"PUT /bucket/k HTTP/1.1\r\n{head}\r\n{body}".encode())) == code
    box.client().delete_object(Bucket="bucket", Key="k")


def test_a_signed_body_that_was_changed_is_refused(box: S3Box) -> None:
    raw = request_bytes(box, "PUT", "/bucket/k", b"hello")[:-5] + b"jello"
    assert code_of(box.raw(raw)) == "XAmzContentSHA256Mismatch"
    deletion = b"<Delete><Object><Key>k</Key></Object></Delete>"
    raw = request_bytes(box, "POST", "/bucket?delete", deletion).replace(b"<Key>k", b"<Key>x")
    assert code_of(box.raw(raw)) == "XAmzContentSHA256Mismatch"


def streamed(
    box: S3Box, chunks: list[bytes], *, length: int | None = None, trailer: str = ""
) -> tuple[bytes, list[bytes]]:
    """Head and encoded chunks of a PUT in signed chunks."""
    now = datetime.now(UTC)
    kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailer else "")
    whole = sum(map(len, chunks)) if length is None else length
    headers = {"content-encoding": "aws-chunked,gzip", "x-amz-decoded-content-length": str(whole)}
    if trailer:
        headers["x-amz-trailer"] = trailer.partition(":")[0]
    signed = sign_headers("PUT", f"{box.url}/bucket/streamed", headers, ALICE, now, payload_sha256=kind)
    stamp = signed["x-amz-date"]
    key = derive_key(ALICE.secret_access_key, stamp[:8], "us-east-1", "s3")
    seed = signed["authorization"].rpartition("=")[2]
    signer = ChunkSigner(key, stamp, f"{stamp[:8]}/us-east-1/s3/aws4_request", seed)
    pieces = []
    for data in [*chunks, b""]:
        signature = signer.next_chunk(hashlib.sha256(data).hexdigest())
        pieces.append(
            f"{len(data):x};chunk-signature={signature}\r\n".encode() + data + (b"\r\n" if data else b"")
        )
    tail = b"\r\n"
    if trailer:
        signature = signer.trailer(hashlib.sha256(f"{trailer}\n".encode()).hexdigest())
        tail = f"{trailer}\r\nx-amz-trailer-signature:{signature}\r\n\r\n".encode()
    pieces[-1] += tail
    total = sum(map(len, pieces))
    head = "".join(f"{n}: {v}\r\n" for n, v in {**signed, "content-length": str(total)}.items())
    return f"PUT /bucket/streamed HTTP/1.1\r\n{head}connection: close\r\n\r\n".encode(), pieces


def test_a_put_in_signed_chunks_is_stored_decoded(box: S3Box) -> None:
    chunks = [b"a" * 65536, b"b" * 100_000, b"c"]
    for trailer in ("", "x-amz-checksum-sha256:PLACE"):
        if trailer:
            import base64

            digest = hashlib.sha256(b"".join(chunks)).digest()
            trailer = trailer.replace("PLACE", base64.b64encode(digest).decode())
        head, pieces = streamed(box, chunks, trailer=trailer)
        assert status_of(box.raw(head + b"".join(pieces))) == 200
        got = box.client().get_object(Bucket="bucket", Key="streamed")
        assert got["Body"].read() == b"".join(chunks)
        assert got["ContentEncoding"] == "gzip"
        box.client().delete_object(Bucket="bucket", Key="streamed")


@pytest.mark.parametrize("what", ["order", "length", "trailer", "bit"])
def test_broken_chunks_are_refused_and_leave_nothing(box: S3Box, what: str) -> None:
    before = len(box.data_files())
    chunks = [b"a" * 65536, b"b" * 65536]
    trailer = "x-amz-checksum-crc32:AAAAAA==" if what == "trailer" else ""
    head, pieces = streamed(box, chunks, length=131071 if what == "length" else None, trailer=trailer)
    if what == "order":
        pieces[0], pieces[1] = pieces[1], pieces[0]
    if what == "bit":
        pieces[1] = pieces[1].replace(b"bbbb", b"bbxb", 1)
    answer = box.raw(head + b"".join(pieces))
    expected = {"length": "IncompleteBody", "trailer": "BadDigest"}.get(what, "SignatureDoesNotMatch")
    assert code_of(answer) == expected
    box.settle()
    assert len(box.data_files()) == before
    with pytest.raises(ClientError):
        box.client().head_object(Bucket="bucket", Key="streamed")


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_client_that_goes_away_leaves_nothing(box: S3Box) -> None:
    box.settle()
    before = len(box.data_files())
    size = {"content-length": "50000000"}
    raw = request_bytes(box, "PUT", "/bucket/k", sha256="UNSIGNED-PAYLOAD", headers=size)
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", box.port)) as connection:
            connection.sendall(raw + b"x" * 3_000_000)
            wait_until(lambda: len(box.data_files()) > before)
        wait_until(lambda: len(box.data_files()) == before)
    assert "Contents" not in box.client().list_objects_v2(Bucket="bucket")


def test_a_refused_small_put_keeps_the_connection_and_a_large_one_closes_it(box: S3Box) -> None:
    small = request_bytes(box, "PUT", "/absent/k", b"x" * 100_000, headers={"connection": "keep-alive"})
    with socket.create_connection(("127.0.0.1", box.port), timeout=10) as connection:
        connection.sendall(small + request_bytes(box, "GET", "/", headers={"connection": "close"}))
        answer = read_all(connection)
    assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"404", b"200"]
    large = request_bytes(
        box, "PUT", "/absent/k", sha256="UNSIGNED-PAYLOAD", headers={"content-length": "50000000"}
    )
    with socket.create_connection(("127.0.0.1", box.port), timeout=10) as connection:
        connection.sendall(large + b"x" * 1000)
        answer = read_all(connection)
    assert status_of(answer) == 404
    assert b"connection: close" in answer.lower()


def test_a_body_that_does_not_move_is_given_up(box: S3Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "START_SECONDS", 0.3)
    raw = request_bytes(
        box, "PUT", "/bucket/k", sha256="UNSIGNED-PAYLOAD", headers={"content-length": "300000"}
    )
    with socket.create_connection(("127.0.0.1", box.port), timeout=10) as connection:
        connection.sendall(raw + b"x" * 100)
        answer = read_all(connection)
    assert code_of(answer) == "RequestTimeout"


def test_a_signature_for_another_service_is_refused(box: S3Box) -> None:
    sha256 = hashlib.sha256(b"").hexdigest()
    headers = {"x-amz-content-sha256": sha256}
    for service, status in (("ec2", 400), ("127", 200)):
        url = f"{box.url}/"
        signed = sign_headers("GET", url, headers, ALICE, datetime.now(UTC), service=service)
        head = "".join(f"{n}: {v}\r\n" for n, v in signed.items())
        answer = box.raw(f"GET / HTTP/1.1\r\n{head}connection: close\r\n\r\n".encode())
        assert status_of(answer) == status


def test_overrides_cannot_write_headers_of_their_own(box: S3Box) -> None:
    client = box.client()
    client.put_object(Bucket="bucket", Key="h", Body=b"x")
    url = presign_url(
        "GET", f"{box.url}/bucket/h?response-content-type=a%0D%0Ax-evil:1", ALICE, datetime.now(UTC), 60
    )
    parts = urlsplit(url)
    answer = box.raw(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    assert code_of(answer) == "InvalidArgument"
    assert b"x-evil" not in answer.lower().partition(b"\r\n\r\n")[0]
    client.delete_object(Bucket="bucket", Key="h")


def test_keys_with_control_characters_are_listed(box: S3Box) -> None:
    client = box.client()
    keys = ["\x01", "a\r\nb", "\x00z", "\ufffe", "a b+%41", "..", "../../x"]
    for key in keys:
        target = "/bucket/" + "".join(f"%{b:02X}" for b in key.encode())
        assert status_of(box.raw(request_bytes(box, "PUT", target, b"x"))) == 200
    assert [c["Key"] for c in client.list_objects_v2(Bucket="bucket")["Contents"]] == sorted(
        keys, key=str.encode
    )
    plain = box.raw(request_bytes(box, "GET", "/bucket", headers={"connection": "close"}))
    assert b"<Key>&#x1;</Key>" in plain
    named = {"Objects": [{"Key": k} for k in keys if k.isprintable() and k != "\ufffe"]}
    client.delete_objects(Bucket="bucket", Delete=named)
    for key in keys:
        target = "/bucket/" + "".join(f"%{b:02X}" for b in key.encode())
        assert status_of(box.raw(request_bytes(box, "DELETE", target))) == 204


# Well-formed all of them: the operation refuses them, or the limit of its document.
_FOR_OPERATIONS = {"delete-1001.xml", "complete-mpu-disorder.xml", "xinclude.xml", "huge-text.xml"}
_REFUSED = sorted(n for n in XML if XML[n]["expect"].startswith("reject") and n not in _FOR_OPERATIONS)


@pytest.mark.parametrize("root_name", ["Delete", "CompleteMultipartUpload", "CreateBucketConfiguration"])
@pytest.mark.parametrize("name", _REFUSED)
def test_hostile_xml_is_refused_quickly(name: str, root_name: str) -> None:
    body = (VECTORS / "xml" / name).read_bytes()
    begin = time.perf_counter()
    with pytest.raises(MalformedXML):
        parse_xml(body, root_name)
    assert time.perf_counter() - begin < 0.1


def test_comments_and_instructions_do_not_cut_a_text() -> None:
    body = (VECTORS / "xml/pi-and-comment.xml").read_bytes()
    root = parse_xml(body, etree.QName(etree.fromstring(body)).localname)
    assert "".join(root.itertext()).strip() == "ab"


def test_a_completion_of_ten_thousand_parts_is_read() -> None:
    part = b"<Part><PartNumber>1</PartNumber><ETag>x</ETag><ChecksumSHA256>y</ChecksumSHA256></Part>"
    body = b"<CompleteMultipartUpload>" + part * 10_000 + b"</CompleteMultipartUpload>"
    assert len(parse_xml(body, "CompleteMultipartUpload")) == 10_000


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("delete-1001.xml", "MalformedXML"),
        ("huge-text.xml", "EntityTooLarge"),
        ("xinclude.xml", "MalformedXML"),
        ("billion-laughs.xml", "MalformedXML"),
        ("utf16-doctype.xml", "MalformedXML"),
    ],
)
def test_hostile_xml_sent_to_an_operation(box: S3Box, name: str, code: str) -> None:
    body = (VECTORS / "xml" / name).read_bytes()
    assert code_of(box.raw(request_bytes(box, "POST", "/bucket?delete", body))) == code


def test_parts_out_of_order_in_the_document(box: S3Box) -> None:
    upload = box.client().create_multipart_upload(Bucket="bucket", Key="k")["UploadId"]
    body = (VECTORS / "xml/complete-mpu-disorder.xml").read_bytes()
    answer = box.raw(request_bytes(box, "POST", f"/bucket/k?uploadId={upload}", body))
    assert code_of(answer) == "InvalidPartOrder"
    box.client().abort_multipart_upload(Bucket="bucket", Key="k", UploadId=upload)


def test_no_secret_is_in_any_answer_or_log(box: S3Box, caplog: pytest.LogCaptureFixture) -> None:
    raw = request_bytes(box, "GET", "/bucket").replace(b"Signature=", b"Signature=0")
    answers = box.raw(raw) + box.raw(request_bytes(box, "GET", "/bucket").replace(b"GET", b"PUT"))
    assert ALICE.secret_access_key.encode() not in answers
    assert ALICE.secret_access_key not in caplog.text


def test_a_put_that_is_refused_before_its_body_is_not_asked_for_it(box: S3Box) -> None:
    head = request_bytes(box, "PUT", "/nobody-has-it/k", b"hello", headers={"expect": "100-continue"})[:-5]
    with socket.create_connection(("127.0.0.1", box.port), timeout=10) as connection:
        connection.sendall(head)
        answer = read_all(connection)
    assert (status_of(answer), code_of(answer)) == (404, "NoSuchBucket")
    assert b"connection: close" in answer
    head = request_bytes(box, "PUT", "/bucket/asked", b"hello", headers={"expect": "100-continue"})[:-5]
    with socket.create_connection(("127.0.0.1", box.port), timeout=10) as connection:
        connection.sendall(head)
        assert status_of(connection.recv(1000)) == 100
        connection.sendall(b"hello")
        assert status_of(read_all(connection)) == 200
    box.client().delete_object(Bucket="bucket", Key="asked")
