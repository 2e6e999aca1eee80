"""Elastic addresses of real guests: they lead there at once, move, and outlive a killed control plane."""

import socket

import pytest

from tests.kvm import test_first_guest
from tests.kvm.test_first_guest import Cloud, group_id, images, key, launch, running_cloud, ssh

pytestmark = test_first_guest.pytestmark
__all__ = ["group_id", "images", "key"]  # fixtures of this module, too

TOLD = "wget -qO- http://169.254.169.254/latest/meta-data/public-ipv4"


class OwnCloud(Cloud):
    """Beside that of the other tests."""

    bridge = "ebr5"
    private, public = "10.83.0", "10.84.0"


@pytest.fixture(scope="module")
def cloud():
    with running_cloud(OwnCloud) as c:
        yield c


def test_an_elastic_address_moves_between_guests_and_outlives_a_kill(cloud, images, key, group_id):
    ec2 = cloud.ec2
    first, second = [g["InstanceId"] for g in launch(cloud, images["emi"], group_id, count=2)]
    got = ec2.allocate_address()
    address, asked = got["PublicIp"], {"AllocationId": got["AllocationId"]}
    automatic = address_of(cloud, first)
    ssh(key, automatic, "true")

    ec2.associate_address(**asked, InstanceId=first)
    assert first_digits(key, address) in first
    assert ssh(key, address, TOLD) == address
    assert is_ssh_at(address)
    assert not is_ssh_at(automatic)

    ec2.associate_address(**asked, InstanceId=second)
    assert first_digits(key, address) in second
    assert first_digits(key, address_of(cloud, first)) in first

    cloud.kill()
    assert first_digits(key, address) in second  # without a control plane
    cloud.start()
    assert first_digits(key, address) in second
    assert address_of(cloud, second) == address

    cloud.terminate([first, second])
    [kept] = cloud.ec2.describe_addresses()["Addresses"]
    assert (kept["PublicIp"], "InstanceId" in kept) == (address, False)
    assert cloud.leftovers() == []
    cloud.ec2.release_address(**asked)


def address_of(cloud, instance_id: str) -> str:
    [reservation] = cloud.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    return reservation["Instances"][0]["PublicIpAddress"]


def is_ssh_at(address: str) -> bool:
    """Whether a server greets there; something else on the way may take any connection."""
    try:
        with socket.create_connection((address, 22), timeout=3) as connection:
            connection.settimeout(3)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def first_digits(key, address: str) -> str:
    """The id of the instance that answers at the address, from its MAC."""
    mac = ssh(key, address, "cat /sys/class/net/e*/address").split()[0]
    return mac.replace(":", "")[4:]
