"""Twenty guests on one small node: all run, all answer, and a cold image is fetched once for many."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.kvm import test_first_guest
from tests.kvm.test_first_guest import Cloud, group_id, images, key, running_cloud, ssh

pytestmark = test_first_guest.pytestmark
__all__ = ["group_id", "images", "key"]  # fixtures of this module, too

GUESTS = 20
# As many boot at once as there are processors; under TCG, twenty take minutes of both.
SSH_SECONDS = 400


class OwnCloud(Cloud):
    """Beside that of the other tests, with addresses and disk for all."""

    bridge = "ebr14"
    private, public = "10.94.0", "10.95.0"

    def __init__(self, folder) -> None:
        super().__init__(folder)
        self.environment |= {
            "EUCA_BOX__NETWORK__PUBLIC_ADDRESSES": f"{self.public}.10-{self.public}.60",
            "EUCA_BOX__CC__DISK_OVERCOMMIT": "50",
        }


@pytest.fixture(scope="module")
def cloud():
    with running_cloud(OwnCloud) as c:
        yield c


def fetched(cloud) -> int:
    """How often the node has asked Walrus for the bytes of the root image."""
    return cloud.output().count("fetching images/root")


def test_twenty_guests_run_and_answer_and_their_image_is_fetched_once(cloud, images, key, group_id):
    made = cloud.ec2.run_instances(
        ImageId=images["emi"], MinCount=GUESTS, MaxCount=GUESTS, InstanceType="m1.small", KeyName="k",
        SecurityGroupIds=[group_id],
    )["Instances"]  # fmt: skip
    guests = cloud.wait_state([i["InstanceId"] for i in made], "running", 300)
    addresses = [guest["PublicIpAddress"] for guest in guests]
    assert len(set(addresses)) == GUESTS
    with ThreadPoolExecutor(GUESTS) as all_of_them:
        ids = list(all_of_them.map(
            lambda a: ssh(key, a, "cat /proc/sys/kernel/random/boot_id", SSH_SECONDS), addresses
        ))  # fmt: skip
    assert len(set(ids)) == GUESTS
    assert fetched(cloud) == 1
