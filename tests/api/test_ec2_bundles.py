"""Bundled images by the front door: made with openssl and tar, registered, unpacked once, run, flushed."""

import gzip
import os
from pathlib import Path

import pytest

from tests.api.bundles import Bundler, run
from tests.api.cloud_box import FILE_SYSTEM, KERNEL, RAMDISK, WHOLE_DISK, refused, running_cloud

VECTORS = Path(__file__).parent.parent / "vectors"
BIG = FILE_SYSTEM + os.urandom(200_000) + bytes(300_000)


def given_certificate(box, folder, user):
    made = box.admin("AddCertificate", name=user)
    folder.mkdir(exist_ok=True)
    (folder / "cert.pem").write_text(made["certificate"]["pem"])
    (folder / "pk.pem").write_text(made["private_key"])
    (folder / "cloud-cert.pem").write_text(made["cloud_certificate"])
    return made["certificate"]["certificate_id"]


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        box.bundlers = {}
        for user in ("alice", "mallory"):
            folder = tmp_path_factory.mktemp(user)
            given_certificate(box, folder, user)
            box.bundlers[user] = Bundler(folder)
            box.client("s3", user).create_bucket(Bucket=f"bundles-{user}")
        yield box


@pytest.fixture
def ec2(box):
    return box.ec2()


def upload(box, files, user="alice", folder=""):
    """The location of the manifest."""
    for name, data in files.items():
        box.client("s3", user).put_object(Bucket=f"bundles-{user}", Key=folder + name, Body=data)
    [manifest] = [name for name in files if name.endswith(".manifest.xml")]
    return f"bundles-{user}/{folder}{manifest}"


def image(ec2, image_id):
    [found] = ec2.describe_images(ImageIds=[image_id])["Images"]
    return found


def cached(box, image_id):
    """The bytes that Walrus unpacked; None when they are not there."""
    bucket = box.app.walrus.stored.bucket
    [row] = box.rows(
        "walrus", "SELECT COUNT(*) AS n FROM object WHERE bucket = ? AND key = ?", bucket, image_id
    )
    return row["n"]


@pytest.mark.parametrize(
    ("name", "data", "kind", "machine", "prefix"),
    [
        ("disk.img", WHOLE_DISK, "machine", "", "emi-"),
        ("root.img", BIG, "machine", "", "emi-"),
        ("vmlinuz-2.6", KERNEL, "kernel", "<kernel_id>true</kernel_id>", "eki-"),
        ("initrd-2.6", gzip.compress(RAMDISK), "ramdisk", "<ramdisk_id>true</ramdisk_id>", "eri-"),
    ],
)
def test_a_bundle_becomes_an_image(box, ec2, name, data, kind, machine, prefix):
    location = upload(box, box.bundlers["alice"].bundle(name, data, kind=kind, machine=machine))
    image_id = ec2.register_image(ImageLocation=location)["ImageId"]
    assert image_id.startswith(prefix)
    ec2.get_waiter("image_available").wait(ImageIds=[image_id])
    found = image(ec2, image_id)
    assert (found["ImageLocation"], found["ImageType"], found["Architecture"]) == (location, kind, "x86_64")


def test_a_bundle_with_kernel_and_ramdisk_runs_from_what_was_unpacked(box, ec2):
    kernel, ramdisk, _ = box.register_images()
    machine = (
        "<block_device_mapping><mapping><virtual>root</virtual><device>sda2</device></mapping>"
        f"</block_device_mapping><kernel_id>{kernel}</kernel_id><ramdisk_id>{ramdisk}</ramdisk_id>"
    )
    files = box.bundlers["alice"].bundle("root2.img", BIG, machine=machine, part_bytes=50_000)
    assert len(files) > 4
    image_id = ec2.register_image(ImageLocation=upload(box, files, folder="deep/er/"), Name="root two")[
        "ImageId"
    ]
    found = image(ec2, image_id)
    assert (found["KernelId"], found["RamdiskId"], found["RootDeviceName"]) == (kernel, ramdisk, "/dev/sda2")
    [instance_id] = box.run_instances(image_id)
    box.until_state(instance_id, "running")
    assert BIG in [p.read_bytes() for p in (box.data_dir / "nc" / "cache").iterdir()]
    box.terminate([instance_id])


def test_what_was_flushed_is_unpacked_again_for_a_node(box, ec2):
    files = box.bundlers["alice"].bundle("again.img", WHOLE_DISK + b"again" * 100)
    image_id = ec2.register_image(ImageLocation=upload(box, files))["ImageId"]
    assert cached(box, image_id)
    box.flush_unpacked()
    assert not cached(box, image_id)
    [instance_id] = box.run_instances(image_id)
    box.until_state(instance_id, "running")
    assert cached(box, image_id)
    box.terminate([instance_id])


def test_deregister_gives_the_space_back_when_no_instance_needs_it(box, ec2):
    files = box.bundlers["alice"].bundle("gone.img", WHOLE_DISK + b"gone" * 100)
    image_id = ec2.register_image(ImageLocation=upload(box, files))["ImageId"]
    [instance_id] = box.run_instances(image_id)
    box.until_state(instance_id, "running")
    ec2.deregister_image(ImageId=image_id)
    assert cached(box, image_id)
    box.terminate([instance_id])
    box.flush_unused()
    assert not cached(box, image_id)
    other = ec2.register_image(ImageLocation=upload(box, files))["ImageId"]
    ec2.deregister_image(ImageId=other)
    assert not cached(box, other)


def test_a_bundle_whose_parts_went_after_it_was_flushed_does_not_start(box, ec2):
    files = box.bundlers["alice"].bundle("lost.img", WHOLE_DISK + b"lost" * 100)
    image_id = ec2.register_image(ImageLocation=upload(box, files))["ImageId"]
    box.flush_unpacked()
    box.client("s3").delete_object(Bucket="bundles-alice", Key="lost.img.part.0")
    [instance_id] = box.run_instances(image_id)
    reason = box.until_state(instance_id, "terminated")["StateReason"]["Message"]
    assert "no longer there" in reason


@pytest.mark.parametrize(
    ("lies", "words"),
    [
        ({"<size>1024</size>": "<size>1023</size>"}, "1023"),
        ({"<size>1024</size>": "<size>9999999</size>"}, "1024"),
        ({"<size>1024</size>": "<size>99999999999999</size>"}, "allowed"),
        ({"<bundled_size>": "<bundled_size>1"}, "bytes"),
        ({"<type>machine": "<type>kernel"}, "machine"),
        ({"lie.img.part.0": "lie.img.part.7"}, "no object"),
        ({"<architecture>x86_64": "<architecture>vax"}, "architecture"),
    ],
    ids=["smaller", "larger", "huge", "bundled size", "kind", "part", "architecture"],
)
def test_a_signed_manifest_that_lies_is_refused(box, ec2, lies, words):
    assert len(WHOLE_DISK) == 1024
    location = upload(box, box.bundlers["alice"].bundle("lie.img", WHOLE_DISK, lies=lies))
    with pytest.raises(ec2.exceptions.ClientError, match=words) as caught:
        ec2.register_image(ImageLocation=location)
    assert caught.value.response["Error"]["Code"] == "InvalidManifest"
    assert location not in [i["ImageLocation"] for i in ec2.describe_images(Owners=["self"])["Images"]]


def test_a_damaged_part_is_refused_and_nothing_is_kept(box, ec2):
    files = box.bundlers["alice"].bundle("damaged.img", BIG)
    part = bytearray(files["damaged.img.part.0"])
    part[1000] ^= 1
    location = upload(box, files | {"damaged.img.part.0": bytes(part)})
    assert refused(ec2.register_image, ImageLocation=location) == ("InvalidManifest", 400)
    assert not box.app.walrus.jobs


@pytest.mark.parametrize("content", ["<!-- nothing bootable -->" * 50, "# Disk DescriptorFile\n" * 50])
def test_a_bundle_of_what_is_no_image_is_refused(box, ec2, content):
    location = upload(box, box.bundlers["alice"].bundle("text.img", content.encode()))
    assert refused(ec2.register_image, ImageLocation=location) == ("InvalidManifest", 400)


def test_a_hostile_disk_in_a_bundle_is_refused(box, ec2):
    for path in sorted((VECTORS / "images").glob("*.qcow2")) + sorted((VECTORS / "images").glob("*.vmdk")):
        location = upload(box, box.bundlers["alice"].bundle(path.name, path.read_bytes()))
        assert refused(ec2.register_image, ImageLocation=location) == ("InvalidManifest", 400), path.name


@pytest.mark.parametrize("path", sorted((VECTORS / "images").glob("manifest-*.xml")), ids=lambda p: p.stem)
def test_hostile_manifests_are_refused(box, ec2, path):
    box.client("s3").put_object(Bucket="bundles-alice", Key="h.manifest.xml", Body=path.read_bytes())
    code = refused(ec2.register_image, ImageLocation="bundles-alice/h.manifest.xml")
    assert code == ("InvalidManifest", 400)


def test_the_signature_must_be_of_the_account_that_registers(box, ec2):
    files = box.bundlers["mallory"].bundle("theirs.img", WHOLE_DISK)
    location = upload(box, files)
    with pytest.raises(ec2.exceptions.ClientError, match="signature"):
        ec2.register_image(ImageLocation=location)
    unsigned = files["theirs.img.manifest.xml"].replace(b"<type>machine", b"<type>kernel")
    upload(box, files | {"theirs.img.manifest.xml": unsigned}, "mallory")
    code = refused(box.ec2("mallory").register_image, ImageLocation="bundles-mallory/theirs.img.manifest.xml")
    assert code == ("InvalidManifest", 400)


def test_a_revoked_certificate_signs_nothing_any_more(box, tmp_path):
    box.add_user("dave")
    box.client("s3", "dave").create_bucket(Bucket="bundles-dave")
    certificate_id = given_certificate(box, tmp_path / "dave", "dave")
    location = upload(box, Bundler(tmp_path / "dave").bundle("d.img", WHOLE_DISK), "dave")
    assert box.ec2("dave").register_image(ImageLocation=location, Name="one")["ImageId"]
    box.admin("RevokeCertificate", name="dave", certificate_id=certificate_id)
    assert refused(box.ec2("dave").register_image, ImageLocation=location, Name="two")[0] == "InvalidManifest"


def test_another_accounts_bundle_does_not_exist(box, ec2):
    location = upload(box, box.bundlers["alice"].bundle("mine.img", WHOLE_DISK))
    mallory = box.ec2("mallory")
    with pytest.raises(mallory.exceptions.ClientError, match="no object"):
        mallory.register_image(ImageLocation=location)
    # Parts of others are not read by a manifest of one's own either.
    files = box.bundlers["mallory"].bundle("trick.img", WHOLE_DISK)
    upload(box, {"trick.img.manifest.xml": files["trick.img.manifest.xml"]}, "mallory")
    with pytest.raises(mallory.exceptions.ClientError, match="no object"):
        mallory.register_image(ImageLocation="bundles-mallory/trick.img.manifest.xml")


def test_a_key_for_another_cloud_is_refused(box, ec2, tmp_path):
    mine = box.bundlers["alice"].folder
    for name in ("cert.pem", "pk.pem"):
        (tmp_path / name).write_bytes((mine / name).read_bytes())
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null", "-out",
        "cloud-cert.pem", "-subj", "/CN=elsewhere", cwd=tmp_path)  # fmt: skip
    location = upload(box, Bundler(tmp_path).bundle("elsewhere.img", WHOLE_DISK))
    with pytest.raises(ec2.exceptions.ClientError, match="not encrypted to this cloud"):
        ec2.register_image(ImageLocation=location)


def test_the_store_of_unpacked_images_is_nobodys(box, ec2):
    bucket = box.app.walrus.stored.bucket
    for user in ("alice", "mallory", "admin"):
        s3 = box.client("s3", user)
        assert bucket not in [b["Name"] for b in s3.list_buckets()["Buckets"]]
        assert refused(s3.list_objects_v2, Bucket=bucket)[0] == "NoSuchBucket"
        assert refused(s3.delete_bucket, Bucket=bucket)[0] == "NoSuchBucket"


def test_the_keys_of_bundles_are_sealed_at_rest(box, ec2):
    bundler = box.bundlers["alice"]
    location = upload(box, bundler.bundle("secret.img", WHOLE_DISK))
    ec2.register_image(ImageLocation=location)
    for path in box.data_dir.rglob("*.db*"):
        data = path.read_bytes()
        assert bundler.key not in data
        assert bundler.key.hex().encode() not in data


def test_a_slow_bundle_is_pending_and_cannot_be_run_yet(box, ec2, monkeypatch):
    monkeypatch.setattr("euca_box.roles.clc.images.ANSWER_SECONDS", 0.0)
    location = upload(box, box.bundlers["alice"].bundle("slow.img", WHOLE_DISK))
    with box.unpacking_held():
        image_id = ec2.register_image(ImageLocation=location)["ImageId"]
        assert image(ec2, image_id)["State"] == "pending"
        assert refused(box.run_instances, image_id=image_id)[0] == "InvalidAMIID.Unavailable"
    ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1})


def test_an_image_that_cannot_be_made_fails_with_the_reason(box, ec2, monkeypatch):
    monkeypatch.setattr("euca_box.roles.clc.images.ANSWER_SECONDS", 0.0)
    location = upload(box, box.bundlers["alice"].bundle("fails.img", b"no image at all" * 100))
    image_id = ec2.register_image(ImageLocation=location)["ImageId"]
    box.until(lambda: image(ec2, image_id)["State"] == "failed")
    assert "not accepted" in image(ec2, image_id)["StateReason"]["Message"]
    ec2.deregister_image(ImageId=image_id)
