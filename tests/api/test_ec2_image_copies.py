"""CreateImage and CopyImage by the front door: pending, then available, or failed with a reason."""

import pytest

from tests.api.cloud_box import WHOLE_DISK, refused, running_cloud, tagged


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud"), images_public=False, max_images=12) as box:
        box.kernel, box.ramdisk, box.image = box.register_images()
        box.disk = box.register("disk.img", WHOLE_DISK)
        yield box


@pytest.fixture
def ec2(box):
    return box.ec2()


@pytest.fixture
def running(box):
    [instance_id] = box.run_instances(box.image)
    box.until_state(instance_id, "running")
    yield instance_id
    box.terminate([instance_id])


def image(ec2, image_id):
    [found] = ec2.describe_images(ImageIds=[image_id])["Images"]
    return found


def made(box, image_id):
    """The image when it is no longer pending, and its bytes."""
    box.until(lambda: image(box.ec2(), image_id)["State"] != "pending")
    data = box.in_trio(lambda: box.app.clc.images.find(image_id)).data
    rows = box.rows(
        "walrus", "SELECT size_bytes FROM object WHERE bucket = ? AND key = ?", data.bucket, data.key
    )
    return image(box.ec2(), image_id), rows


def copies(box):
    folder = box.data_dir / "nc" / "imaging"
    return list(folder.iterdir()) if folder.exists() else []


def test_create_image_of_a_running_instance(box, ec2, running):
    reply = ec2.create_image(
        InstanceId=running, Name="golden", Description="d", TagSpecifications=tagged("image", a="b")
    )
    assert image(ec2, reply["ImageId"])["State"] in ("pending", "available")
    found, rows = made(box, reply["ImageId"])
    assert (found["State"], found["Name"], found["Description"]) == ("available", "golden", "d")
    assert (found["KernelId"], found["RamdiskId"], found["Public"]) == (box.kernel, box.ramdisk, False)
    assert found["ImageLocation"] == f"{box.account()}/golden"
    assert found["Tags"] == [{"Key": "a", "Value": "b"}]
    assert [row["size_bytes"] for row in rows] == [len(WHOLE_DISK + b"running")]
    assert copies(box) == []
    [instance_id] = box.run_instances(reply["ImageId"])
    box.until_state(instance_id, "running")
    box.terminate([instance_id])
    ec2.deregister_image(ImageId=reply["ImageId"])
    box.flush_unused()
    assert not box.rows("walrus", "SELECT 1 FROM object WHERE key = ?", reply["ImageId"])


def test_create_image_of_a_stopped_instance_which_cannot_start_meanwhile(box, ec2, running):
    ec2.stop_instances(InstanceIds=[running], Force=True)
    box.until_state(running, "stopped")
    with box.imaging_held():
        image_id = ec2.create_image(InstanceId=running, Name="of stopped")["ImageId"]
        assert refused(ec2.start_instances, InstanceIds=[running])[0] == "IncorrectInstanceState"
        box.until(lambda: "% is done" in image(ec2, image_id).get("StateReason", {}).get("Message", ""))
    found, rows = made(box, image_id)
    assert found["State"] == "available"
    assert [row["size_bytes"] for row in rows] == [len(WHOLE_DISK + b"stopped")]
    ec2.start_instances(InstanceIds=[running])
    box.until_state(running, "running")
    ec2.deregister_image(ImageId=image_id)


def test_no_reboot_leaves_the_guest_running_and_without_it_it_is_rebooted(box, ec2, running):
    rebooted = box.count_events(running, "rebooted")
    first = ec2.create_image(InstanceId=running, Name="no reboot", NoReboot=True)["ImageId"]
    assert made(box, first)[0]["State"] == "available"
    assert rebooted() == 0
    second = ec2.create_image(InstanceId=running, Name="with reboot")["ImageId"]
    assert made(box, second)[0]["State"] == "available"
    assert rebooted() == 1
    for image_id in (first, second):
        ec2.deregister_image(ImageId=image_id)


def test_an_instance_that_ends_meanwhile_fails_the_image_with_a_reason(box, ec2):
    [instance_id] = box.run_instances(box.image)
    box.until_state(instance_id, "running")
    with box.imaging_held():
        image_id = ec2.create_image(InstanceId=instance_id, Name="too late")["ImageId"]
        box.terminate([instance_id])
    found, _ = made(box, image_id)
    assert found["State"] == "failed"
    assert instance_id in found["StateReason"]["Message"] or "ended" in found["StateReason"]["Message"]
    ec2.deregister_image(ImageId=image_id)


def test_a_disk_that_is_no_image_any_more_fails_the_image(box, ec2, running):
    whole, box.hypervisor.disk_content = box.hypervisor.disk_content, b"overwritten by its guest" * 100
    try:
        image_id = ec2.create_image(InstanceId=running, Name="broken")["ImageId"]
        found, _ = made(box, image_id)
    finally:
        box.hypervisor.disk_content = whole
    assert (found["State"], "not accepted" in found["StateReason"]["Message"]) == ("failed", True)
    ec2.deregister_image(ImageId=image_id)
    assert copies(box) == []


def test_a_hypervisor_that_stumbles_is_asked_again(box, ec2, running):
    box.hypervisor.copy_fails = "the copy was not to be had"
    image_id = ec2.create_image(InstanceId=running, Name="second try", NoReboot=True)["ImageId"]
    assert made(box, image_id)[0]["State"] == "available"
    ec2.deregister_image(ImageId=image_id)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"InstanceId": "i-00000000"}, "InvalidInstanceID.NotFound"),
        ({"InstanceId": "nonsense"}, "InvalidInstanceID.Malformed"),
        ({"Name": "x"}, "InvalidAMIName.Malformed"),
        ({"Name": "root-tiny"}, "InvalidAMIName.Duplicate"),
        (
            {"BlockDeviceMappings": [{"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 1}}]},
            "UnsupportedOperation",
        ),
        ({"DryRun": True}, "DryRunOperation"),
        ({"TagSpecifications": tagged("snapshot", a="b")}, "InvalidParameterValue"),
    ],
)
def test_create_image_refuses(box, ec2, running, asked, code):
    before = len(ec2.describe_images(Owners=["self"])["Images"])
    assert refused(ec2.create_image, **{"InstanceId": running, "Name": "refused", **asked})[0] == code
    assert len(ec2.describe_images(Owners=["self"])["Images"]) == before


def test_another_accounts_instance_does_not_exist(box, running):
    code = refused(box.ec2("mallory").create_image, InstanceId=running, Name="stolen")
    assert code == ("InvalidInstanceID.NotFound", 400)


def test_an_account_has_a_limited_number_of_images_that_the_cloud_keeps(box, ec2):
    def copy(n):
        return {"Name": f"copy {n}", "SourceImageId": box.disk, "SourceRegion": "us-east-1"}

    made_ids = [ec2.copy_image(**copy(n))["ImageId"] for n in range(12)]
    assert refused(ec2.copy_image, **copy(12))[0] == "ResourceLimitExceeded"
    for image_id in made_ids:
        made(box, image_id)
        ec2.deregister_image(ImageId=image_id)


def test_copy_image_is_ones_own_and_outlives_its_source(box, ec2):
    mallory = box.ec2("mallory")
    source = box.register(
        "source.img",
        WHOLE_DISK + b"source",
        Description="from alice",
        TagSpecifications=tagged("image", t="v"),
    )
    asked = {"Name": "mine now", "SourceImageId": source, "SourceRegion": "us-east-1"}
    assert refused(mallory.copy_image, **asked)[0] == "InvalidAMIID.NotFound"
    ec2.modify_image_attribute(ImageId=source, LaunchPermission={"Add": [{"UserId": box.account("mallory")}]})
    image_id = mallory.copy_image(**asked, CopyImageTags=True)["ImageId"]
    box.until(lambda: image(mallory, image_id)["State"] == "available")
    found = image(mallory, image_id)
    assert (found["OwnerId"], found["Description"]) == (box.account("mallory"), "from alice")
    assert found["Tags"] == [{"Key": "t", "Value": "v"}]
    assert refused(ec2.describe_images, ImageIds=[image_id])[0] == "InvalidAMIID.NotFound"
    ec2.deregister_image(ImageId=source)
    box.client("s3").delete_object(Bucket="images-alice", Key="source.img")
    [instance_id] = box.run_instances(image_id, user="mallory")
    box.until_state(instance_id, "running", "mallory")
    box.terminate([instance_id], "mallory")


def test_copy_image_with_one_client_token_makes_one_image(box, ec2):
    asked = {"Name": "by token", "SourceImageId": box.disk, "SourceRegion": "us-east-1", "ClientToken": "t1"}
    first = ec2.copy_image(**asked)["ImageId"]
    assert ec2.copy_image(**asked)["ImageId"] == first
    assert refused(ec2.copy_image, **{**asked, "Name": "another"})[0] == "IdempotentParameterMismatch"
    assert refused(ec2.copy_image, **{**asked, "ClientToken": "t2"})[0] == "InvalidAMIName.Duplicate"
    made(box, first)
    ec2.deregister_image(ImageId=first)


def test_copy_image_of_an_object_that_was_replaced_fails_with_the_reason(box, ec2):
    source = box.register("changes.img", WHOLE_DISK + b"one")
    box.client("s3").put_object(Bucket="images-alice", Key="changes.img", Body=WHOLE_DISK + b"two")
    image_id = ec2.copy_image(Name="of changed", SourceImageId=source, SourceRegion="us-east-1")["ImageId"]
    found, _ = made(box, image_id)
    assert (found["State"], "replaced" in found["StateReason"]["Message"]) == ("failed", True)
    ec2.deregister_image(ImageId=image_id)


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"SourceRegion": "eu-west-1"}, "InvalidParameterValue"),
        ({"SourceImageId": "ami-00000000"}, "InvalidAMIID.NotFound"),
        ({"Encrypted": True}, "UnsupportedOperation"),
        ({"DryRun": True}, "DryRunOperation"),
    ],
)
def test_copy_image_refuses(box, ec2, asked, code):
    whole = {"Name": "refused", "SourceImageId": box.disk, "SourceRegion": "us-east-1", **asked}
    assert refused(ec2.copy_image, **whole)[0] == code
