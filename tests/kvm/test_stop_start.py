"""Stop and start of a real guest: its disk and private address stay, what it wrote is there again."""

import time
from pathlib import Path

import pytest

from tests.kvm import test_first_guest
from tests.kvm.test_first_guest import Cloud, group_id, images, key, launch, running_cloud, ssh

pytestmark = test_first_guest.pytestmark
__all__ = ["group_id", "images", "key"]  # fixtures of this module, too

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


class OwnCloud(Cloud):
    """Beside that of the other tests."""

    bridge = "ebr6"
    private, public = "10.85.0", "10.86.0"


@pytest.fixture(scope="module")
def cloud():
    with running_cloud(OwnCloud) as c:
        yield c


@pytest.mark.parametrize("kind", ["emi", "disk"])
def test_what_a_guest_wrote_before_a_stop_is_there_after_the_start(cloud, images, key, group_id, kind):
    [guest] = launch(cloud, images[kind], group_id)
    instance_id, address = guest["InstanceId"], guest["PublicIpAddress"]
    first = ssh(key, address, f"echo kept > /root/before-stop && sync && {BOOT_ID}")

    at = time.monotonic()
    cloud.ec2.stop_instances(InstanceIds=[instance_id])
    [stopped] = cloud.wait_state([instance_id], "stopped")
    assert time.monotonic() - at < 50, "the guest did not react to the power button"
    assert stopped["PrivateIpAddress"] == guest["PrivateIpAddress"]
    assert "PublicIpAddress" not in stopped
    assert len([i for i in cloud.leftovers() if instance_id in i]) == 1  # the disk alone

    cloud.ec2.start_instances(InstanceIds=[instance_id])
    [again] = cloud.wait_state([instance_id], "running")
    assert again["PrivateIpAddress"] == guest["PrivateIpAddress"]
    assert ssh(key, again["PublicIpAddress"], "cat /root/before-stop") == "kept\n"
    assert ssh(key, again["PublicIpAddress"], BOOT_ID) != first
    assert guest["PrivateDnsName"].partition(".")[0] in ssh(key, again["PublicIpAddress"], "hostname")

    cloud.terminate([instance_id])
    assert cloud.leftovers() == []


def test_a_guest_that_switches_itself_off_is_stopped_when_it_asked_for_that(cloud, images, key, group_id):
    [guest] = launch(cloud, images["emi"], group_id, InstanceInitiatedShutdownBehavior="stop")
    ssh(
        key,
        guest["PublicIpAddress"],
        "echo kept > /root/before-stop && sync && (sleep 1; poweroff) >/dev/null 2>&1 &",
    )
    [stopped] = cloud.wait_state([guest["InstanceId"]], "stopped")
    assert stopped["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"

    cloud.kill()  # what is stopped stays stopped, and is started by the next process
    cloud.start()
    cloud.ec2.start_instances(InstanceIds=[guest["InstanceId"]])
    [again] = cloud.wait_state([guest["InstanceId"]], "running")
    assert ssh(key, again["PublicIpAddress"], "cat /root/before-stop") == "kept\n"
    cloud.terminate([guest["InstanceId"]])
    assert cloud.leftovers() == []


def test_after_the_host_lost_its_network_a_stopped_guest_starts_with_its_addresses_and_data(
    cloud, images, key, group_id
):
    [guest] = launch(cloud, images["emi"], group_id)
    instance_id = guest["InstanceId"]
    elastic = cloud.ec2.allocate_address()
    cloud.ec2.associate_address(InstanceId=instance_id, AllocationId=elastic["AllocationId"])
    ssh(key, elastic["PublicIp"], "echo kept > /root/before-stop && sync")
    cloud.ec2.stop_instances(InstanceIds=[instance_id])
    cloud.wait_state([instance_id], "stopped")

    # What a reboot of the host takes away: bridge, firewall tables, dnsmasq.
    assert cloud.stop() == 0
    cloud.remove_network()
    assert not Path(f"/sys/class/net/{cloud.bridge}").exists()
    cloud.start()

    cloud.ec2.start_instances(InstanceIds=[instance_id])
    [again] = cloud.wait_state([instance_id], "running")
    assert again["PrivateIpAddress"] == guest["PrivateIpAddress"]
    assert again["PublicIpAddress"] == elastic["PublicIp"]
    assert ssh(key, elastic["PublicIp"], "cat /root/before-stop") == "kept\n"
    cloud.terminate([instance_id])
    cloud.ec2.release_address(AllocationId=elastic["AllocationId"])
    assert cloud.leftovers() == []
