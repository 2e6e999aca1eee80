"""A stock Debian cloud image finds its metadata by itself: name, key and user data are applied."""

import os
import shutil
import time

import boto3
import pytest

from tests.kvm.debian import debian_image
from tests.kvm.test_first_guest import Cloud, running_cloud

pytestmark = [
    pytest.mark.kvm,
    pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root"),
    pytest.mark.skipif(not shutil.which("mmdebstrap"), reason="needs mmdebstrap"),
]
USER_DATA = """#cloud-config
locale: C.UTF-8
write_files:
  - path: /etc/motd
    content: "made by user data\\n"
runcmd:
  - [sh, -c, "echo user-data: $(cat /etc/motd) on $(hostname) > /dev/ttyS0"]
  - [sh, -c, "echo cloud-id: $(cloud-id) $(cloud-init query v1.region) > /dev/ttyS0"]
  - [sh, -c, "echo keys: $(cut -d' ' -f1,2 ~debian/.ssh/authorized_keys) > /dev/ttyS0"]
  - [sh, -c, "echo crawl: $(cloud-init query ds.meta_data.placement.availability-zone) > /dev/ttyS0"]
  - [sh, -c, "echo warnings: $(grep -c WARNING /var/log/cloud-init.log) > /dev/ttyS0"]
"""


class DebianCloud(Cloud):
    bridge = "ebr4"
    private, public = "10.83.0", "10.84.0"


@pytest.fixture(scope="module")
def cloud():
    with running_cloud(DebianCloud) as c:
        yield c


def test_a_debian_cloud_image_applies_its_user_data(cloud):
    made, s3, ec2 = debian_image(), cloud.client("s3"), cloud.ec2
    s3.create_bucket(Bucket="debian")
    parts = boto3.s3.transfer.TransferConfig(multipart_chunksize=64 << 20)
    for path in (made.kernel, made.ramdisk, made.root):
        s3.upload_file(str(path), "debian", path.name, Config=parts)
    eki = ec2.register_image(Name="kernel", ImageLocation="debian/vmlinuz")["ImageId"]
    eri = ec2.register_image(Name="ramdisk", ImageLocation="debian/initrd")["ImageId"]
    emi = ec2.register_image(
        Name="debian", ImageLocation="debian/root.ext4", KernelId=eki, RamdiskId=eri
    )["ImageId"]  # fmt: skip
    key = ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    [instance] = ec2.run_instances(
        ImageId=emi, MinCount=1, MaxCount=1, InstanceType="m1.large", KeyName="k", UserData=USER_DATA
    )["Instances"]
    [guest] = cloud.wait_state([instance["InstanceId"]], "running")

    output, deadline = "", time.monotonic() + 400
    while "warnings:" not in output:
        assert time.monotonic() < deadline, output[-3000:]
        time.sleep(2)
        output = ec2.get_console_output(InstanceId=guest["InstanceId"]).get("Output", "")
    name = guest["PrivateDnsName"].partition(".")[0]
    assert f"user-data: made by user data on {name}" in output
    assert "cloud-id: aws us-east-1" in output
    assert "keys: ssh-ed25519 AAAA" in output
    assert "crawl: us-east-1a" in output
    assert "warnings: 0" in output, output[-3000:]
    assert "BEGIN OPENSSH PRIVATE KEY" in key["KeyMaterial"]
    cloud.terminate([guest["InstanceId"]])
    assert cloud.leftovers() == []
