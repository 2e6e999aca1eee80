"""`euca-box image import`: files, URLs and objects, compressed or not; resumed, checked, refused."""

import gzip
import hashlib
import json
import lzma
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from backports import zstd
from click.testing import CliRunner

from euca_box import uploads
from euca_box.cli import main, sources
from euca_box.client import Client, ClientError
from tests.api.cloud_box import FILE_SYSTEM, KERNEL, RAMDISK, WHOLE_DISK, running_cloud

MIB = 1 << 20
VECTORS = Path(__file__).parent.parent / "vectors" / "images"


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        yield box


@pytest.fixture
def run(box):
    """The import command as alice; the id of the image, or the words of the failure."""

    def command(*args, code=0):
        argv = ["image", "import", *map(str, args), "--user", "alice", "--data-dir", str(box.data_dir)]
        done = CliRunner().invoke(main, [*argv, "-o", "json"], catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done.stdout.partition('"image_id": "')[2].partition('"')[0] if code == 0 else done.stderr

    return command


@pytest.fixture
def bucket(box):
    return f"euca-box-images-{box.account()}"


def image(box, image_id):
    [found] = box.ec2().describe_images(ImageIds=[image_id])["Images"]
    return found


def stored(box, image_id):
    bucket, _, key = image(box, image_id)["ImageLocation"].partition("/")
    return box.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()


@pytest.mark.parametrize(
    ("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".zst", zstd.compress)]
)
def test_a_file_is_unpacked_and_registered(box, run, tmp_path, suffix, pack):
    data = WHOLE_DISK + suffix.encode() * 100
    path = tmp_path / f"disk{suffix[1:]}.img{suffix}"
    path.write_bytes(pack(data))
    image_id = run(path)
    assert stored(box, image_id) == data
    assert image(box, image_id)["Name"] == f"disk{suffix[1:]}.img"


def test_kernel_and_ramdisk_go_with_a_root(box, run, tmp_path):
    for name, data in (("k", KERNEL), ("r", gzip.compress(RAMDISK)), ("root.ext4", FILE_SYSTEM)):
        (tmp_path / name).write_bytes(data)
    image_id = run(
        tmp_path / "root.ext4", "--kernel", tmp_path / "k", "--ramdisk", tmp_path / "r", "--public"
    )
    found = image(box, image_id)
    assert found["Public"]
    assert stored(box, found["KernelId"]) == KERNEL
    assert stored(box, found["RamdiskId"]) == gzip.compress(RAMDISK)
    assert image(box, found["KernelId"])["Public"]


def test_an_object_is_registered_where_it_is_and_a_compressed_one_is_unpacked(box, run):
    s3 = box.client("s3")
    s3.create_bucket(Bucket="given")
    s3.put_object(Bucket="given", Key="plain.img", Body=WHOLE_DISK + b"p")
    s3.put_object(Bucket="given", Key="packed.img.gz", Body=gzip.compress(WHOLE_DISK + b"q"))
    assert image(box, run("s3://given/plain.img"))["ImageLocation"] == "given/plain.img"
    packed = run("s3://given/packed.img.gz")
    assert image(box, packed)["Name"] == "packed.img"
    assert stored(box, packed) == WHOLE_DISK + b"q"
    assert "NoSuchKey" in run("s3://given/nothing", code=1)
    assert "BUCKET/KEY" in run("s3://given", code=1)


def test_what_is_refused_is_refused_before_it_is_uploaded(box, run, bucket):
    for path in [*sorted(VECTORS.glob("qcow2-*")), VECTORS / "vmdk-flat-etc-passwd.vmdk"]:
        if "huge-virtual" not in path.name:
            assert "InvalidManifest" not in run(path, code=1), path.name
    s3 = box.client("s3")
    kept = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
    assert not [key for key in kept if key.startswith(("qcow2-", "vmdk"))]


def test_a_hostile_disk_inside_a_compressed_file_is_refused(run, tmp_path):
    path = tmp_path / "evil.gz"
    path.write_bytes(gzip.compress((VECTORS / "qcow2-backing-etc-passwd.qcow2").read_bytes()))
    assert "InvalidManifest" in run(path, code=1)


def test_a_bomb_is_given_up_at_the_ceiling_and_leaves_nothing(box, run, bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "PART_BYTES", 5 * MIB)
    monkeypatch.setattr("euca_box.cli.images.GIB", MIB)
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(100 * MIB)))
    assert "allowed" in run(path, "--max-gib", "20", code=1)
    assert "Uploads" not in box.client("s3").list_multipart_uploads(Bucket=bucket)


def test_a_wrong_digest_is_found_out(run, tmp_path):
    path = tmp_path / "digest.img"
    path.write_bytes(WHOLE_DISK)
    assert "SHA-256" in run(path, "--sha256", "0" * 64, code=1)
    assert run(path, "--sha256", hashlib.sha256(WHOLE_DISK).hexdigest().upper()).startswith("emi-")


def test_a_broken_upload_goes_on_where_it_stopped(box, bucket, monkeypatch):
    monkeypatch.setattr(uploads, "PART_BYTES", 5 * MIB)
    monkeypatch.setattr(uploads, "AT_ONCE", 1)
    key, secret = box.credentials()
    client, sent = Client(box.url, key, secret), []
    whole = Client.s3

    def breaks(self, method, target, *args, **more):
        if "partNumber=" in target and method == "PUT":
            sent.append(target)
            if len(sent) == 3:
                raise ClientError("", "the line was cut")
        return whole(self, method, target, *args, **more)

    monkeypatch.setattr(Client, "s3", breaks)
    data = os.urandom(22 * MIB)
    client.make_bucket(bucket)
    with pytest.raises(ClientError, match="cut"):
        uploads.upload(client, bucket, "resumed", [data])
    before = {part["PartNumber"] for part in parts_of(box, bucket, "resumed")}
    assert before >= {1, 2}
    sent[:] = ["first try"] * 3
    uploads.upload(client, bucket, "resumed", [data])
    assert len(sent) - 3 == 5 - len(before)
    assert box.client("s3").get_object(Bucket=bucket, Key="resumed")["Body"].read() == data


def test_parts_of_other_bytes_are_sent_again(box, bucket, monkeypatch):
    monkeypatch.setattr(uploads, "PART_BYTES", 5 * MIB)
    key, secret = box.credentials()
    client, data = Client(box.url, key, secret), os.urandom(11 * MIB)

    def broken():
        yield os.urandom(10 * MIB)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        uploads.upload(client, bucket, "other", broken())
    assert parts_of(box, bucket, "other")
    uploads.upload(client, bucket, "other", [data])
    assert box.client("s3").get_object(Bucket=bucket, Key="other")["Body"].read() == data


def parts_of(box, bucket, key):
    s3 = box.client("s3")
    [upload] = [u for u in s3.list_multipart_uploads(Bucket=bucket)["Uploads"] if u["Key"] == key]
    return s3.list_parts(Bucket=bucket, Key=key, UploadId=upload["UploadId"]).get("Parts", [])


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("qemu-img") is None, reason="needs root and qemu-img")
def test_a_qcow2_file_becomes_a_raw_image_when_that_is_wanted(box, run, tmp_path):
    raw, qcow2 = tmp_path / "d.raw", tmp_path / "d.qcow2"
    raw.write_bytes(WHOLE_DISK + bytes(MIB - len(WHOLE_DISK)))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2], check=True)
    assert stored(box, run(qcow2, "--raw", "--name", "made raw")) == raw.read_bytes()
    assert stored(box, run(qcow2, "--name", "as it is")) == qcow2.read_bytes()
    assert "are allowed" in run(VECTORS / "qcow2-huge-virtual.qcow2", "--raw", code=1)


class Web(BaseHTTPRequestHandler):
    """A site whose downloads break off; it goes on by Range as long as `mark` is the same."""

    data = WHOLE_DISK + bytes(range(256)) * 20_000
    asked: ClassVar[list] = []
    mark = '"one"'
    changes = False

    def do_GET(self):
        start = int((self.headers.get("Range") or "bytes=0-").split("=")[1].rstrip("-"))
        self.asked.append(self.headers.get("If-Range"))
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            return
        same = start and not self.changes
        self.send_response(206 if same else 200)
        self.send_header("Content-Length", str(len(self.data) - (start if same else 0)))
        self.send_header("ETag", self.mark)
        self.end_headers()
        # The first answer breaks off in the middle.
        end = len(self.data) // 2 if not start else len(self.data)
        self.wfile.write(self.data[start if same else 0 : end])
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def web():
    Web.asked, Web.changes = [], False
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_that_breaks_off_goes_on(box, run, web):
    digest = hashlib.sha256(Web.data).hexdigest()
    image_id = run(f"{web}/disk.img?token=secret", "--sha256", digest, "--name", "downloaded")
    assert stored(box, image_id) == Web.data
    assert Web.asked == [None, '"one"']


def test_a_download_that_changed_meanwhile_is_given_up(run, web):
    Web.changes = True
    digest = hashlib.sha256(Web.data).hexdigest()
    assert "cannot go on" in run(f"{web}/disk.img", "--sha256", digest, code=1)


def test_an_image_of_the_catalogue_is_fetched_once(box, web):
    def command(*argv):
        more = ("--user", "alice", "--data-dir", str(box.data_dir), "-o", "json")
        return CliRunner().invoke(main, ["image", "catalog", *argv, *more], catch_exceptions=False)

    digest = hashlib.sha256(Web.data).hexdigest()
    entry = f'[site]\nurl = "{web}/disk.img"\nsha256 = "{digest}"\ndescription = "ours"\n'
    (box.data_dir / "catalog.toml").write_text(entry)
    first = command("build", "site")
    assert first.exit_code == 0, first.output
    assert command("build", "site").stdout == first.stdout
    listed = {row["name"]: row for row in json.loads(command().stdout)}
    assert listed["site"]["image_id"] == json.loads(first.stdout)["image_id"]
    assert (listed["demo"]["image_id"], listed["site"]["description"]) == ("", "ours")
    missing = command("build", "nothing")
    assert missing.exit_code == 1
    assert "demo, debian-12, site" in missing.stderr
    (box.data_dir / "catalog.toml").write_text("[site")
    assert "catalog.toml" in command().stderr


def test_plain_http_without_a_digest_and_ways_into_this_host_are_refused(run, web):
    assert "give its --sha256" in run(f"{web}/disk.img", code=1)
    assert run(f"{web}/away", "--sha256", "0" * 64, code=1)
    assert "does not exist" in run("file:///etc/passwd", code=2)


def test_a_redirect_from_https_leads_to_https_only():
    request = sources.urllib.request.Request("https://example.com/x")
    for target in ("http://example.com/x", "file:///etc/passwd", "ftp://example.com/"):
        with pytest.raises(sources.SourceError):
            sources._HttpsOnly().redirect_request(request, None, 302, "Found", {}, target)
