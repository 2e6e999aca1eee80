"""Real guests in mode MANAGED: a network for each group; metadata, S3 from inside, and the doctor."""

import json
import subprocess
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.kvm import test_first_guest
from tests.kvm.test_first_guest import Cloud, group_id, images, key, launch, running_cloud, ssh

pytestmark = test_first_guest.pytestmark
__all__ = ["group_id", "images", "key"]  # fixtures of this module, too


class ManagedCloud(Cloud):
    bridge = "ebr8"
    private, public = "10.91.0", "10.92.0"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.environment |= {
            "EUCA_BOX__NETWORK__MODE": "MANAGED",
            "EUCA_BOX__NETWORK__ADDRESSES_PER_NETWORK": "32",
        }


@pytest.fixture(scope="module")
def cloud():
    with running_cloud(ManagedCloud) as c:
        yield c


def test_guests_of_a_group_share_a_network_and_outlive_a_kill(cloud, images, key, group_id):
    guests = launch(cloud, images["emi"], group_id, count=2)
    first, second = sorted(guests, key=lambda g: g["PrivateIpAddress"])
    assert [g["PrivateIpAddress"] for g in (first, second)] == ["10.91.0.34", "10.91.0.35"]
    address = first["PublicIpAddress"]

    metadata = "wget -qO- http://169.254.169.254/latest/meta-data"
    told = ssh(key, address, f"ip addr show eth0; ip route; {metadata}/mac")
    assert "10.91.0.34/27" in told and "via 10.91.0.33" in told
    assert first["NetworkInterfaces"][0]["MacAddress"] in told
    ssh(key, second["PublicIpAddress"], "true")
    assert "1 packets received" in ssh(key, address, f"ping -c1 -W3 {second['PrivateIpAddress']}")

    cloud.kill()
    assert "10.91.0.34" in ssh(key, address, "ip addr show eth0")
    cloud.start()
    assert "1 packets received" in ssh(key, address, f"ping -c1 -W3 {second['PrivateIpAddress']}")
    found = subprocess.run(
        cloud.command("doctor", "network", first["InstanceId"], "-o", "json"),
        env=cloud.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not [step for step in json.loads(found.stdout) if step["state"] == "bad"]
    assert found.returncode == 0, found.stderr
    assert {step["state"] for step in json.loads(found.stdout)} <= {"good", "note"}

    cloud.terminate([g["InstanceId"] for g in (first, second)])
    assert cloud.leftovers() == []


def test_buckets_are_used_from_inside_a_guest_and_the_rest_of_the_host_is_not(cloud, images, key, group_id):
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="inside")
    s3.put_object(Bucket="inside", Key="word", Body=b"from the bucket")
    here = cloud.client("s3", endpoint_url=f"http://{cloud.private}.1:{cloud.port}")
    url = here.generate_presigned_url("get_object", Params={"Bucket": "inside", "Key": "word"})
    [guest] = launch(cloud, images["emi"], group_id)

    assert ssh(key, guest["PublicIpAddress"], f"wget -qO- '{url}'") == "from the bucket"
    closed = f"wget -T3 -qO- https://{cloud.private}.1:{cloud.console}/ || echo closed"
    assert "closed" in ssh(key, guest["PublicIpAddress"], closed)

    cloud.terminate([guest["InstanceId"]])


def test_two_groups_for_an_instance_are_refused(cloud, images, group_id):
    other = cloud.ec2.create_security_group(GroupName="other", Description="other")["GroupId"]
    with pytest.raises(ClientError, match="exactly one security group"):
        cloud.ec2.run_instances(
            ImageId=images["emi"], MinCount=1, MaxCount=1, SecurityGroupIds=[group_id, other]
        )
