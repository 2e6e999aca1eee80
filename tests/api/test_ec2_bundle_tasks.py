"""BundleInstance by the front door: parts go up by the user's signed form, the cloud signs the manifest."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.bundles import run
from tests.api.cloud_box import WHOLE_DISK, filters, refused, running_cloud


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    with running_cloud(tmp_path_factory.mktemp("cloud"), images_public=False) as box:
        box.disk = box.register("disk.img", WHOLE_DISK)
        box.client("s3").create_bucket(Bucket="bundles")
        yield box


@pytest.fixture
def ec2(box):
    return box.ec2()


@pytest.fixture
def running(box):
    [instance_id] = box.run_instances(box.disk)
    box.until_state(instance_id, "running")
    yield instance_id
    box.terminate([instance_id])


def storage(box, prefix="img", bucket="bundles", user="alice", **changes):
    """As ec2-bundle-instance makes it: the policy, signed with the secret key."""
    key, secret = box.credentials(user)
    conditions = [{"acl": "ec2-bundle-read"}, {"bucket": bucket}, ["starts-with", "$key", prefix]]
    ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    policy = json.dumps({"expiration": ends, "conditions": conditions}).encode()
    signature = hmac.digest(secret.encode(), base64.b64encode(policy), hashlib.sha1)
    whole = {
        "AWSAccessKeyId": key,
        "Bucket": bucket,
        "Prefix": prefix,
        "UploadPolicy": policy,
        "UploadPolicySignature": base64.b64encode(signature).decode(),
        **changes,
    }
    return {"S3": {name: value for name, value in whole.items() if value is not None}}


def task(ec2, bundle_id):
    [found] = ec2.describe_bundle_tasks(BundleIds=[bundle_id])["BundleTasks"]
    return found


def ended(box, bundle_id):
    box.until(lambda: task(box.ec2(), bundle_id)["State"] in ("complete", "failed"))
    return task(box.ec2(), bundle_id)


def test_a_running_instance_becomes_a_bundle_that_registers(box, ec2, running, tmp_path):
    made = box.admin("AddCertificate", name="alice")
    reply = ec2.bundle_instance(InstanceId=running, Storage=storage(box, "deep/er/img"))["BundleTask"]
    assert (reply["InstanceId"], reply["State"], reply["Progress"]) == (running, "pending", "0%")
    assert reply["Storage"]["S3"]["Bucket"] == "bundles"
    assert "UploadPolicySignature" not in reply["Storage"]["S3"]
    done = ended(box, reply["BundleId"])
    assert (done["State"], done["Progress"]) == ("complete", "100%")
    assert done["UpdateTime"] >= done["StartTime"]
    s3 = box.client("s3")
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket="bundles", Prefix="deep/")["Contents"]]
    assert keys == ["deep/er/img.manifest.xml", "deep/er/img.part.0"]
    image_id = ec2.register_image(ImageLocation="bundles/deep/er/img.manifest.xml")["ImageId"]
    [found] = ec2.describe_images(ImageIds=[image_id])["Images"]
    assert found["State"] == "available"
    # The user can open it, too, with openssl and tar.
    manifest = s3.get_object(Bucket="bundles", Key=keys[0])["Body"].read().decode()
    (tmp_path / "pk.pem").write_text(made["private_key"])

    def opened(field):
        wrapped = bytes.fromhex(manifest.partition(f"<{field}")[2].partition(">")[2].partition("<")[0])
        argv = ("openssl", "pkeyutl", "-decrypt", "-inkey", "pk.pem")
        return run(*argv, data=wrapped, cwd=tmp_path).decode()

    cipher = ("openssl", "enc", "-d", "-aes-128-cbc", "-K", opened("user_encrypted_key"), "-iv")
    part = s3.get_object(Bucket="bundles", Key=keys[1])["Body"].read()
    run("tar", "xz", cwd=tmp_path, data=run(*cipher, opened("user_encrypted_iv"), data=part))
    assert (tmp_path / "img").read_bytes() == WHOLE_DISK + b"running"


def test_a_stopped_instance_is_bundled_from_its_disk(box, ec2, running):
    ec2.stop_instances(InstanceIds=[running], Force=True)
    box.until_state(running, "stopped")
    bundle_id = ec2.bundle_instance(InstanceId=running, Storage=storage(box, "halted"))["BundleTask"][
        "BundleId"
    ]
    assert ended(box, bundle_id)["State"] == "complete"


def test_a_form_that_walrus_refuses_fails_the_task_with_its_words(box, ec2, running):
    bucket = "bundles-that-are-not-there"
    asked = storage(box, bucket=bucket)
    bundle_id = ec2.bundle_instance(InstanceId=running, Storage=asked)["BundleTask"]["BundleId"]
    done = ended(box, bundle_id)
    assert (done["State"], done["BundleTaskError"]["Code"]) == ("failed", "Client.S3Error")
    assert "NoSuchBucket" in done["BundleTaskError"]["Message"]


def test_a_policy_for_another_prefix_is_refused_by_walrus(box, ec2, running):
    asked = storage(box, "allowed")
    asked["S3"]["Prefix"] = "elsewhere"
    bundle_id = ec2.bundle_instance(InstanceId=running, Storage=asked)["BundleTask"]["BundleId"]
    done = ended(box, bundle_id)
    assert (done["State"], done["BundleTaskError"]["Code"]) == ("failed", "Client.S3Error")
    assert "Contents" not in box.client("s3").list_objects_v2(Bucket="bundles", Prefix="elsewhere")


def test_a_cancelled_task_has_failed_and_leaves_nothing_on_the_node(box, ec2, running):
    with box.imaging_held():
        asked = storage(box, "cancelled")
        bundle_id = ec2.bundle_instance(InstanceId=running, Storage=asked)["BundleTask"]["BundleId"]
        assert refused(ec2.bundle_instance, InstanceId=running, Storage=asked)[0] == "BundlingInProgress"
        box.until(lambda: bundle_id in box.in_trio(lambda: dict(box.app.nc.imaging)))
        assert ec2.cancel_bundle_task(BundleId=bundle_id)["BundleTask"]["State"] == "cancelling"
        done = ended(box, bundle_id)
    assert (done["State"], done["BundleTaskError"]["Code"]) == ("failed", "Client.Cancelled")
    assert refused(ec2.cancel_bundle_task, BundleId=bundle_id)[0] == "InvalidState"
    box.until(lambda: not box.in_trio(lambda: dict(box.app.nc.imaging)))
    assert "Contents" not in box.client("s3").list_objects_v2(Bucket="bundles", Prefix="cancelled")


def test_an_instance_that_ends_meanwhile_fails_the_task(box, ec2):
    [instance_id] = box.run_instances(box.disk)
    box.until_state(instance_id, "running")
    with box.imaging_held():
        asked = storage(box, "late")
        bundle_id = ec2.bundle_instance(InstanceId=instance_id, Storage=asked)["BundleTask"]["BundleId"]
        box.terminate([instance_id])
    assert ended(box, bundle_id)["State"] == "failed"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Bucket": None}, "MissingParameter"),
        ({"Prefix": None}, "MissingParameter"),
        ({"AWSAccessKeyId": None}, "MissingParameter"),
        ({"UploadPolicy": None}, "MissingParameter"),
        ({"UploadPolicySignature": None}, "MissingParameter"),
        ({"UploadPolicySignature": "AAAA"}, "AuthFailure"),
        ({"AWSAccessKeyId": "AKIA0000000000000000"}, "AuthFailure"),
        ({"UploadPolicy": b"no json"}, "InvalidParameterValue"),
        ({"Prefix": "a\r\nb"}, "InvalidParameterValue"),
        ({"Bucket": "a/b"}, "InvalidParameterValue"),
    ],
)
def test_bundle_instance_refuses(box, ec2, running, changes, code):
    assert refused(ec2.bundle_instance, InstanceId=running, Storage=storage(box, **changes))[0] == code


def test_the_signature_of_a_policy_is_sealed_at_rest(box, ec2, running):
    asked = storage(box, "sealed")
    bundle_id = ec2.bundle_instance(InstanceId=running, Storage=asked)["BundleTask"]["BundleId"]
    ended(box, bundle_id)
    secret = asked["S3"]["UploadPolicySignature"].encode()
    for path in box.data_dir.rglob("*.db*"):
        assert secret not in path.read_bytes(), path


def test_tasks_are_found_by_filters_and_another_account_sees_none(box, ec2, running):
    bundle_id = ec2.bundle_instance(InstanceId=running, Storage=storage(box, "found"))["BundleTask"][
        "BundleId"
    ]
    ended(box, bundle_id)
    for name, value in {
        "bundle-id": bundle_id, "instance-id": running, "s3-prefix": "found", "progress": "100%",
    }.items():  # fmt: skip
        wanted = [{"Name": name, "Values": [value]}, {"Name": "s3-bucket", "Values": ["bundles"]}]
        assert bundle_id in [t["BundleId"] for t in ec2.describe_bundle_tasks(Filters=wanted)["BundleTasks"]]
    assert ec2.describe_bundle_tasks(Filters=filters(state="pending"))["BundleTasks"] == []
    mallory = box.ec2("mallory")
    assert mallory.describe_bundle_tasks()["BundleTasks"] == []
    absent = "InvalidBundleID.NotFound"
    assert refused(mallory.cancel_bundle_task, BundleId=bundle_id)[0] == absent
    assert refused(mallory.describe_bundle_tasks, BundleIds=[bundle_id])[0] == absent
    assert refused(mallory.bundle_instance, InstanceId=running, Storage=storage(box, user="mallory"))[0] == (
        "InvalidInstanceID.NotFound"
    )
