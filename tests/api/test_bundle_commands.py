"""`euca-box image bundle` and what follows, by the commands; openssl and tar are the judge."""

import json
import os
import subprocess

import pytest
from click.testing import CliRunner

from euca_box.cli import main
from tests.api.bundles import Bundler
from tests.api.cloud_box import WHOLE_DISK, refused, running_cloud

IMAGE = WHOLE_DISK + os.urandom(11_000_000) + bytes(4_000_000)


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        yield box


@pytest.fixture(scope="module")
def keys(box, tmp_path_factory):
    """What the command for certificates writes, as the environment that the tools read."""
    folder = tmp_path_factory.mktemp("keys") / "alice"
    done = CliRunner().invoke(
        main,
        ["user", "certificate", "create", "alice", "--out", str(folder), "--data-dir", str(box.data_dir)],
    )
    assert done.exit_code == 0
    words = done.output.replace("export", "").split()
    return folder, dict(word.split("=", 1) for word in words)


@pytest.fixture
def run(keys):
    def command(*args, code=0):
        done = CliRunner().invoke(main, [str(a) for a in args], env=keys[1], catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done.stdout.strip() if code == 0 else done.stderr

    return command


@pytest.fixture
def here(run, box):
    return lambda *args, **more: run(*args, "--user", "alice", "--data-dir", box.data_dir, **more)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(IMAGE)
    return path


def test_bundle_upload_register_delete(box, run, here, image, tmp_path):
    manifest = run("image", "bundle", image, "-d", tmp_path)
    assert manifest == str(tmp_path / "disk.img.manifest.xml")
    assert (tmp_path / "disk.img.part.1").exists()
    location = here("image", "upload", manifest, "-b", "alices/deep")
    assert location == "alices/deep/disk.img.manifest.xml"
    row = json.loads(here("image", "register", location, "--name", "by hand", "-o", "json"))
    [found] = box.ec2().describe_images(ImageIds=[row["image_id"]])["Images"]
    assert (found["State"], found["Name"], found["ImageLocation"]) == ("available", "by hand", location)
    assert here("image", "delete-bundle", location).endswith("2 parts are deleted")
    assert "Contents" not in box.client("s3").list_objects_v2(Bucket="alices")
    assert "NoSuchKey" in here("image", "delete-bundle", location, code=1)


def test_openssl_and_tar_open_what_bundle_made(run, keys, image, tmp_path):
    run("image", "bundle", image, "-d", tmp_path, "-p", "other", "--kernel", "eki-00000001")
    text = (tmp_path / "other.manifest.xml").read_text()

    def opened(field, key):
        wrapped = bytes.fromhex(text.partition(f"<{field}")[2].partition(">")[2].partition("<")[0])
        argv = ["openssl", "pkeyutl", "-decrypt", "-inkey", str(key)]
        return subprocess.run(argv, input=wrapped, check=True, capture_output=True).stdout.decode()

    private = keys[0] / "pk.pem"
    key, iv = opened("user_encrypted_key", private), opened("user_encrypted_iv", private)
    parts = b"".join((tmp_path / f"other.part.{n}").read_bytes() for n in range(2))
    cipher = ["openssl", "enc", "-d", "-aes-128-cbc", "-K", key, "-iv", iv]
    packed = subprocess.run(cipher, input=parts, check=True, capture_output=True).stdout
    subprocess.run(["tar", "xz", "-C", str(tmp_path)], input=packed, check=True)
    assert (tmp_path / "other").read_bytes() == IMAGE
    signed = text[text.index("<machine_configuration>") : text.index("</image>") + len("</image>")]
    (tmp_path / "signature").write_bytes(bytes.fromhex(text.partition("<signature>")[2].partition("<")[0]))
    public = subprocess.run(
        ["openssl", "x509", "-in", str(keys[0] / "cert.pem"), "-pubkey", "-noout"],
        check=True,
        capture_output=True,
    ).stdout
    (tmp_path / "public.pem").write_bytes(public)
    argv = ["openssl", "dgst", "-sha1", "-verify", str(tmp_path / "public.pem"), "-signature"]
    subprocess.run([*argv, str(tmp_path / "signature")], input=signed.encode(), check=True)


def test_unbundle_opens_what_openssl_and_tar_made_with_its_holes(run, keys, tmp_path):
    for name, data in Bundler(keys[0]).bundle("theirs.img", IMAGE).items():
        (tmp_path / name).write_bytes(data)
    made = run("image", "unbundle", tmp_path / "theirs.img.manifest.xml", "-d", tmp_path)
    assert (tmp_path / "theirs.img").read_bytes() == IMAGE
    assert made == str(tmp_path / "theirs.img")
    assert os.stat(made).st_blocks * 512 < len(IMAGE) - 2_000_000


def test_what_was_damaged_or_is_not_ours_leaves_no_file(run, keys, image, tmp_path):
    manifest = run("image", "bundle", image, "-d", tmp_path, "-p", "broken")
    part = tmp_path / "broken.part.0"
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    assert "broken.part.0" in run("image", "unbundle", manifest, "-d", tmp_path, code=1)
    subprocess.run(["openssl", "genrsa", "-out", tmp_path / "other.pem"], check=True, capture_output=True)
    words = run("image", "unbundle", manifest, "-d", tmp_path, "-k", tmp_path / "other.pem", code=1)
    assert "does not open" in words
    part.unlink()
    assert "No such file" in run("image", "unbundle", manifest, "-d", tmp_path, code=1)
    assert not (tmp_path / "broken").exists()


def test_a_file_that_is_there_is_not_overwritten(run, image, tmp_path):
    manifest = run("image", "bundle", image, "-d", tmp_path)
    assert "exists" in run("image", "unbundle", manifest, "-d", tmp_path, code=1)
    assert image.read_bytes() == IMAGE


def test_another_users_bundle_is_not_deleted(box, run, here, image, tmp_path):
    manifest = run("image", "bundle", image, "-d", tmp_path, "-p", "kept")
    location = here("image", "upload", manifest, "-b", "alices")
    argv = ("image", "delete-bundle", location, "--user", "mallory", "--data-dir", box.data_dir)
    assert "AccessDenied" in run(*argv, code=1)
    assert refused(box.client("s3", "mallory").head_object, Bucket="alices", Key="kept.part.0")[1] == 403
    assert box.client("s3").head_object(Bucket="alices", Key="kept.part.0")
