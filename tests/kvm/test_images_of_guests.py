"""Images and bundles of real guests: what they wrote is on the disk of the next one."""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.kvm import test_first_guest
from tests.kvm.test_first_guest import Cloud, group_id, images, key, launch, running_cloud, ssh

pytestmark = test_first_guest.pytestmark
__all__ = ["group_id", "images", "key"]  # fixtures of this module, too

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


class OwnCloud(Cloud):
    """Beside that of the other tests."""

    bridge = "ebr10"
    private, public = "10.93.0", "10.94.0"


@pytest.fixture(scope="module")
def cloud():
    with running_cloud(OwnCloud) as c:
        yield c


def wait_image(cloud, image_id, seconds=180):
    deadline = time.monotonic() + seconds
    while True:
        [found] = cloud.ec2.describe_images(ImageIds=[image_id])["Images"]
        if found["State"] != "pending":
            assert found["State"] == "available", found
            return found
        assert time.monotonic() < deadline, cloud.output()[-3000:]
        time.sleep(0.3)


@pytest.mark.parametrize("kind", ["emi", "disk"])
def test_an_image_of_a_running_guest_has_what_it_wrote_and_is_run(cloud, images, key, group_id, kind):
    [guest] = launch(cloud, images[kind], group_id)
    address = guest["PublicIpAddress"]
    first = ssh(key, address, f"echo kept > /root/before && sync && {BOOT_ID}")

    image_id = cloud.ec2.create_image(InstanceId=guest["InstanceId"], Name=f"of {kind}", NoReboot=True)[
        "ImageId"
    ]
    wait_image(cloud, image_id)
    assert ssh(key, address, BOOT_ID) == first

    # The file is not written out yet: a reboot does that.
    ssh(key, address, "echo kept > /root/unsynced")
    second_id = cloud.ec2.create_image(InstanceId=guest["InstanceId"], Name=f"of {kind} again")["ImageId"]
    wait_image(cloud, second_id)
    assert ssh(key, address, BOOT_ID) != first

    [copy] = launch(cloud, image_id, group_id)
    assert ssh(key, copy["PublicIpAddress"], "cat /root/before") == "kept\n"
    [again] = launch(cloud, second_id, group_id)
    assert ssh(key, again["PublicIpAddress"], "cat /root/before /root/unsynced") == "kept\nkept\n"
    cloud.terminate([i["InstanceId"] for i in (guest, copy, again)])
    assert cloud.leftovers() == []
    assert list((cloud.data.path / "nc" / "imaging").iterdir()) == []


def test_a_stopped_guest_becomes_an_image_and_starts_again(cloud, images, key, group_id):
    [guest] = launch(cloud, images["emi"], group_id)
    instance_id = guest["InstanceId"]
    ssh(key, guest["PublicIpAddress"], "echo kept > /root/before && sync")
    cloud.ec2.stop_instances(InstanceIds=[instance_id])
    cloud.wait_state([instance_id], "stopped")
    image_id = cloud.ec2.create_image(InstanceId=instance_id, Name="of stopped")["ImageId"]
    wait_image(cloud, image_id)
    cloud.ec2.start_instances(InstanceIds=[instance_id])
    [copy] = launch(cloud, image_id, group_id)
    assert ssh(key, copy["PublicIpAddress"], "cat /root/before") == "kept\n"
    [started] = cloud.wait_state([instance_id], "running")
    assert ssh(key, started["PublicIpAddress"], "cat /root/before") == "kept\n"
    cloud.terminate([instance_id, copy["InstanceId"]])
    assert cloud.leftovers() == []


def test_a_bundle_of_a_running_guest_is_registered_and_run(cloud, images, key, group_id):
    [guest] = launch(cloud, images["disk"], group_id)
    ssh(key, guest["PublicIpAddress"], "echo kept > /root/before && sync")
    cloud.client("s3").create_bucket(Bucket="bundles")
    ends = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [{"acl": "ec2-bundle-read"}, {"bucket": "bundles"}, ["starts-with", "$key", "golden"]]
    policy = json.dumps({"expiration": ends, "conditions": conditions}).encode()
    secret = cloud.keys["secret_access_key"].encode()
    signature = base64.b64encode(hmac.digest(secret, base64.b64encode(policy), hashlib.sha1)).decode()
    storage = {
        "AWSAccessKeyId": cloud.keys["access_key_id"],
        "Bucket": "bundles",
        "Prefix": "golden",
        "UploadPolicy": policy,
        "UploadPolicySignature": signature,
    }
    ec2 = cloud.ec2
    task = ec2.bundle_instance(InstanceId=guest["InstanceId"], Storage={"S3": storage})["BundleTask"]
    ec2.get_waiter("bundle_task_complete").wait(
        BundleIds=[task["BundleId"]], WaiterConfig={"Delay": 1, "MaxAttempts": 240}
    )
    image_id = ec2.register_image(ImageLocation="bundles/golden.manifest.xml", Name="golden")["ImageId"]
    wait_image(cloud, image_id)
    [copy] = launch(cloud, image_id, group_id)
    assert ssh(key, copy["PublicIpAddress"], "cat /root/before") == "kept\n"
    cloud.terminate([guest["InstanceId"], copy["InstanceId"]])
    assert cloud.leftovers() == []
