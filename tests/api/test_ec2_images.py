"""Images by the front door: registered from objects, listed, run, taken away."""

import gzip
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from tests.api.cloud_box import (
    FILE_SYSTEM,
    KERNEL,
    RAMDISK,
    WHOLE_DISK,
    filters,
    refused,
    running_cloud,
    tagged,
)


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud")) as box:
        box.kernel, box.ramdisk, box.image = box.register_images()
        box.client("s3").put_object(Bucket="images-alice", Key="object", Body=FILE_SYSTEM)
        yield box


@pytest.fixture
def ec2(box):
    return box.ec2()


def image(ec2, image_id):
    [found] = ec2.describe_images(ImageIds=[image_id])["Images"]
    return found


def ids_of(reply):
    return [i["ImageId"] for i in reply["Images"]]


@pytest.mark.parametrize(
    ("data", "prefix", "kind"),
    [
        (KERNEL, "eki-", "kernel"),
        (RAMDISK, "eri-", "ramdisk"),
        (gzip.compress(RAMDISK), "eri-", "ramdisk"),
        (FILE_SYSTEM, "emi-", "machine"),
        (WHOLE_DISK, "emi-", "machine"),
    ],
    ids=["kernel", "ramdisk", "packed ramdisk", "file system", "disk"],
)
def test_register_image_knows_what_the_bytes_are(box, ec2, data, prefix, kind, request):
    key = f"a-{request.node.callspec.id}".replace(" ", "-")
    image_id = box.register(key, data)
    assert image_id.startswith(prefix)
    found = image(ec2, image_id)
    assert (found["ImageType"], found["State"], found["Public"]) == (kind, "available", True)
    assert (found["ImageLocation"], found["OwnerId"]) == (f"images-alice/{key}", box.account())
    assert (found["Architecture"], found["RootDeviceType"]) == ("x86_64", "instance-store")


def test_register_image_keeps_what_was_said_of_it(box, ec2):
    image_id = box.register(
        "described",
        FILE_SYSTEM,
        Name="web (1.0) [x]",
        Description="<b>bold</b> & 'quoted' ü",
        Architecture="x86_64",
        VirtualizationType="hvm",
        KernelId=box.kernel.upper(),
        RamdiskId=box.ramdisk,
        RootDeviceName="/dev/vda",
        TagSpecifications=tagged("image", env="prod"),
    )
    found = image(ec2, image_id)
    assert (found["Name"], found["Description"]) == ("web (1.0) [x]", "<b>bold</b> & 'quoted' ü")
    assert (found["KernelId"], found["RamdiskId"]) == (box.kernel, box.ramdisk)
    assert (found["RootDeviceName"], found["Tags"]) == ("/dev/vda", [{"Key": "env", "Value": "prod"}])
    assert found["CreationDate"].endswith("Z")


def test_the_boot_mode_of_an_image_is_kept_shown_and_filtered(box, ec2):
    asked = {"ImageLocation": "images-alice/object", "KernelId": box.kernel}
    image_id = ec2.register_image(Name="by-uefi", BootMode="uefi-preferred", **asked)["ImageId"]
    assert image(ec2, image_id)["BootMode"] == "uefi-preferred"
    assert "BootMode" not in image(ec2, box.image)
    assert ids_of(ec2.describe_images(Filters=filters(boot_mode="uefi-preferred"))) == [image_id]
    assert refused(ec2.register_image, Name="odd", BootMode="bios", **asked)[0] == "InvalidParameterValue"


def test_a_whole_disk_boots_without_a_kernel(box):
    disk = box.register("bootable", WHOLE_DISK)
    [instance_id] = box.run_instances(disk)
    instance = box.until_state(instance_id, "running")
    assert not {"KernelId", "RamdiskId"} & set(instance)
    assert box.hypervisor.machines[instance_id].cmdline == ""
    box.terminate([instance_id])


REFUSED = {
    "no location": ({"ImageLocation": None}, "MissingParameter"),
    "no key": ({"ImageLocation": "images-alice"}, "InvalidParameterValue"),
    "no such object": ({"ImageLocation": "images-alice/absent"}, "InvalidManifest"),
    "no such bucket": ({"ImageLocation": "absent/object"}, "InvalidManifest"),
    "a manifest": ({"ImageLocation": "images-alice/a.manifest.xml"}, "InvalidManifest"),
    "a short name": ({"Name": "ab"}, "InvalidAMIName.Malformed"),
    "a long name": ({"Name": "a" * 129}, "InvalidAMIName.Malformed"),
    "a name with a line": ({"Name": "abc\ndef"}, "InvalidAMIName.Malformed"),
    "a name that is taken": ({"Name": "root-tiny"}, "InvalidAMIName.Duplicate"),
    "another architecture": ({"Architecture": "arm64"}, "InvalidParameterValue"),
    "paravirtual": ({"VirtualizationType": "paravirtual"}, "InvalidParameterValue"),
    "no such kernel": ({"KernelId": "eki-00000000"}, "InvalidAMIID.NotFound"),
    "a kernel id that is none": ({"KernelId": "vmlinuz"}, "InvalidAMIID.Malformed"),
    "a machine as kernel": ({"KernelId": "IMAGE"}, "InvalidParameterValue"),
    "tags of an instance": ({"TagSpecifications": tagged("instance", a="b")}, "InvalidParameterValue"),
    "a volume": (
        {"BlockDeviceMappings": [{"DeviceName": "/dev/sda", "Ebs": {"SnapshotId": "snap-00000001"}}]},
        "UnsupportedOperation",
    ),
}


@pytest.mark.parametrize(("more", "code"), REFUSED.values(), ids=REFUSED)
def test_register_image_refuses_and_registers_nothing(box, ec2, more, code):
    asked = {"ImageLocation": "images-alice/object", "Name": "a new one", **more}
    asked = {k: box.image if v == "IMAGE" else v for k, v in asked.items() if v is not None}
    before = ids_of(ec2.describe_images())
    assert refused(ec2.register_image, **asked) == (code, 400)
    assert ids_of(ec2.describe_images()) == before


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("text", b"hello, world\n" * 100),
        ("noise", b"\xf0" + os.urandom(5000)),
        ("empty", b""),
        ("vmdk", b"KDMV" + bytes(2000)),
        (
            "qcow2-with-a-backing-file",
            b"QFI\xfb\0\0\0\3" + b"\0\0\0\0\0\0\0\x70\0\0\0\x0b" + bytes(84) + b"/etc/passwd",
        ),
        ("vmlinuz-that-is-a-disk", WHOLE_DISK),
        ("initrd-that-is-a-kernel", KERNEL),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_register_image_refuses_bytes_that_are_no_image_or_not_what_they_are_called(box, ec2, key, data):
    box.client("s3").put_object(Bucket="images-alice", Key=key, Body=data)
    assert refused(ec2.register_image, ImageLocation=f"images-alice/{key}", Name=key) == (
        "InvalidManifest",
        400,
    )


def test_a_kernel_has_no_kernel(box, ec2):
    box.client("s3").put_object(Bucket="images-alice", Key="other-kernel", Body=KERNEL)
    asked = {"ImageLocation": "images-alice/other-kernel", "KernelId": box.kernel}
    assert refused(ec2.register_image, **asked, Name="kk1")[0] == "InvalidParameterCombination"


def test_register_image_does_not_read_another_accounts_object(box):
    other = box.ec2("mallory")
    code = refused(other.register_image, ImageLocation="images-alice/object", Name="stolen")
    assert code == ("InvalidManifest", 400)
    assert ids_of(other.describe_images(Owners=["self"])) == []


def test_a_dry_run_registers_and_deregisters_nothing(box, ec2):
    asked = {"ImageLocation": "images-alice/object", "Name": "dry", "DryRun": True}
    assert refused(ec2.register_image, **asked) == ("DryRunOperation", 412)
    assert refused(ec2.deregister_image, ImageId=box.image, DryRun=True) == ("DryRunOperation", 412)
    assert refused(ec2.describe_images, DryRun=True) == ("DryRunOperation", 412)
    assert ec2.describe_images(Filters=filters(name="dry"))["Images"] == []
    assert image(ec2, box.image)["State"] == "available"


def test_deregister_image_takes_it_away_and_instances_go_on(box, ec2):
    image_id = box.register("to-go", FILE_SYSTEM, KernelId=box.kernel)
    [instance_id] = box.run_instances(image_id)
    box.until_state(instance_id, "running")
    ec2.deregister_image(ImageId=image_id)
    assert refused(ec2.describe_images, ImageIds=[image_id]) == ("InvalidAMIID.NotFound", 400)
    assert refused(ec2.deregister_image, ImageId=image_id) == ("InvalidAMIID.NotFound", 400)
    code = refused(ec2.run_instances, ImageId=image_id, MinCount=1, MaxCount=1)
    assert code == ("InvalidAMIID.NotFound", 400)
    assert box.instance(instance_id)["State"]["Name"] == "running"
    box.terminate([instance_id])
    assert box.register("to-go", FILE_SYSTEM, Name="to-go") != image_id


def test_deregister_image_is_for_the_owner_and_the_administrator(box, ec2):
    image_id = box.register("mine", FILE_SYSTEM)
    code = refused(box.ec2("mallory").deregister_image, ImageId=image_id)
    assert code == ("AuthFailure", 401)
    assert image(ec2, image_id)["State"] == "available"
    box.ec2("admin").deregister_image(ImageId=image_id)
    assert refused(ec2.deregister_image, ImageId="what") == ("InvalidAMIID.Malformed", 400)


def test_everybody_sees_and_runs_a_public_image(box):
    other = box.ec2("mallory")
    assert box.image in ids_of(other.describe_images())
    assert box.image not in ids_of(other.describe_images(Owners=["self"]))
    assert ids_of(other.describe_images(Owners=[box.account()], Filters=filters(name="root-tiny"))) == [
        box.image
    ]
    [instance_id] = box.run_instances(box.image, user="mallory")
    box.until_state(instance_id, "running", "mallory")
    box.terminate([instance_id], "mallory")


@pytest.mark.parametrize(
    ("user", "seen"), [("all", True), ("self", False), ("999999999999", False)], ids=["all", "self", "other"]
)
def test_describe_images_by_who_may_run_them(box, ec2, user, seen):
    assert (box.image in ids_of(ec2.describe_images(ExecutableUsers=[user]))) is seen


FILTERED = {
    "architecture": lambda i: i["Architecture"],
    "description": lambda i: i["Description"],
    "hypervisor": lambda i: i["Hypervisor"],
    "image-id": lambda i: i["ImageId"],
    "image-type": lambda i: i["ImageType"],
    "is-public": lambda i: "true",
    "kernel-id": lambda i: i["KernelId"],
    "manifest-location": lambda i: i["ImageLocation"],
    "name": lambda i: i["Name"],
    "owner-id": lambda i: i["OwnerId"],
    "ramdisk-id": lambda i: i["RamdiskId"],
    "root-device-name": lambda i: i["RootDeviceName"],
    "root-device-type": lambda i: i["RootDeviceType"],
    "state": lambda i: i["State"],
    "virtualization-type": lambda i: i["VirtualizationType"],
    "tag:env": lambda i: "fil*",
    "tag-key": lambda i: "env",
}


def test_every_filter_finds_the_image_by_its_value_and_not_by_another(box, ec2):
    more = {"Description": "d", "KernelId": box.kernel, "RamdiskId": box.ramdisk}
    image_id = box.register(
        "filtered", FILE_SYSTEM, TagSpecifications=tagged("image", env="filtered"), **more
    )
    found = image(ec2, image_id)
    for name, value_of in FILTERED.items():
        wanted = [{"Name": name, "Values": [value_of(found)]}]
        assert image_id in ids_of(ec2.describe_images(Filters=wanted)), name
        wanted = [{"Name": name, "Values": ["no such value"]}]
        assert ids_of(ec2.describe_images(Filters=wanted)) == [], name
    assert refused(ec2.describe_images, Filters=filters(colour="red"))[0] == "InvalidParameterValue"


def test_describe_images_in_pages_gives_each_once(box, ec2):
    for n in range(7):
        box.register(f"page-{n}", FILE_SYSTEM)
    seen, token = [], None
    while token is not None or not seen:
        reply = ec2.describe_images(MaxResults=5, **({"NextToken": token} if token else {}))
        assert 0 < len(reply["Images"]) <= 5
        seen += ids_of(reply)
        token = reply.get("NextToken")
    assert sorted(seen) == sorted(ids_of(ec2.describe_images()))
    assert refused(ec2.describe_images, MaxResults=4)[0] == "InvalidParameterValue"
    assert refused(ec2.describe_images, NextToken="x")[0] == "InvalidNextToken"
    code, _ = refused(ec2.describe_images, ImageIds=[box.image], MaxResults=5)
    assert code == "InvalidParameterCombination"
    assert refused(ec2.describe_images, ImageIds=[box.image, "emi-00000000"])[0] == "InvalidAMIID.NotFound"


def test_of_many_who_register_one_name_at_once_one_gets_it(box, ec2):
    box.register("raced", KERNEL)
    location = ec2.describe_images(Filters=filters(name="raced"))["Images"][0]["ImageLocation"]

    def register(_):
        try:
            return ec2.register_image(Name="the one", ImageLocation=location)["ImageId"]
        except ClientError as error:
            return error.response["Error"]["Code"]

    with ThreadPoolExecutor(8) as many:
        found = list(many.map(register, range(8)))
    assert found.count("InvalidAMIName.Duplicate") == 7, found


def test_of_many_copies_with_one_client_token_one_is_made(box, ec2):
    image_id = box.register("copied", KERNEL)
    wanted = {"Name": "a copy", "SourceImageId": image_id, "SourceRegion": "us-east-1", "ClientToken": "t"}
    with ThreadPoolExecutor(8) as many:
        found = set(many.map(lambda _: ec2.copy_image(**wanted)["ImageId"], range(8)))
    assert len(found) == 1
