"""Real guests beside each other: each its own user and limits, its disks, and what goes wrong with one."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from euca_box.kvm.cgroups import find_cgroups
from tests.kvm import test_first_guest
from tests.kvm.test_first_guest import Cloud, group_id, images, key, launch, running_cloud, ssh

pytestmark = test_first_guest.pytestmark
__all__ = ["group_id", "images", "key"]  # fixtures of this module, too


class OwnCloud(Cloud):
    """Beside that of the other tests."""

    bridge = "ebr11"
    private, public = "10.91.0", "10.92.0"


@pytest.fixture(scope="module")
def cloud():
    with running_cloud(OwnCloud) as c:
        done = c.run("vm-type", "set", "m1.small", "--disk", "1", "--ephemeral", "1", "--swap", "64")
        assert done.returncode == 0, done.stderr
        yield c


@pytest.fixture(scope="module")
def guests(cloud, images, key, group_id):
    return launch(cloud, images["emi"], group_id, count=2)


def qemu_of(guest) -> int:
    argv = ["pgrep", "-f", f"qemu-system.*guest={guest['InstanceId']}"]
    return int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


def status_of(cloud, guest) -> str:
    found = cloud.ec2.describe_instance_status(InstanceIds=[guest["InstanceId"]])["InstanceStatuses"]
    return found[0]["InstanceStatus"]["Status"]


def until_status(cloud, guest, wanted) -> None:
    deadline = time.monotonic() + 15
    while status_of(cloud, guest) != wanted:
        assert time.monotonic() < deadline, f"not {wanted} in time"
        time.sleep(0.2)


def test_each_guest_has_a_user_of_its_own_who_may_open_no_other_disk(cloud, guests):
    uids = []
    for guest in guests:
        status = Path(f"/proc/{qemu_of(guest)}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        uids.append(int(fields["Uid"].split()[0]))
        assert fields["NoNewPrivs"].strip() == "1"
        assert int(fields["CapEff"], 16) == 0
    assert len(set(uids)) == 2
    for guest, uid, other in zip(guests, uids, reversed(uids), strict=True):
        disk = cloud.data.path / "nc" / "instances" / guest["InstanceId"] / "disk.qcow2"
        assert disk.stat().st_uid == uid
        looked = subprocess.run(
            ["cat", str(disk)], user=other, group=other, extra_groups=(), capture_output=True
        )
        assert b"Permission denied" in looked.stderr


@pytest.mark.skipif(not find_cgroups().folders, reason=find_cgroups().reason)
def test_each_guest_is_in_a_control_group_of_its_own(guests):
    for guest in guests:
        assert f"/euca-box/{guest['InstanceId']}" in Path(f"/proc/{qemu_of(guest)}/cgroup").read_text()


def test_a_guest_finds_its_ephemeral_disk_and_swap_by_their_serials(guests, key):
    address = guests[0]["PublicIpAddress"]
    found = ssh(key, address, "cat /sys/block/vdb/serial; echo; cat /sys/block/vdc/serial; echo").split()
    assert found == ["ephemeral0", "swap"]
    assert "/mnt" in ssh(key, address, "mkdir -p /mnt; mount -t ext4 /dev/vdb /mnt; mount; umount /mnt")


def test_a_guest_that_floods_its_console_fills_nothing(cloud, guests, key):
    guest = guests[0]
    ssh(key, guest["PublicIpAddress"], "(yes > /dev/ttyS0) >/dev/null 2>&1 & sleep 4; kill $!")
    folder = cloud.data.path / "nc" / "instances" / guest["InstanceId"]
    assert sum(path.stat().st_size for path in folder.glob("console.log*")) <= 3 * 65536
    assert "Linux version" in cloud.run("console", guest["InstanceId"], "--log").stdout  # its first words


def test_a_machine_that_stands_still_is_impaired_until_it_goes_on(cloud, guests, key):
    guest, other = guests
    os.kill(qemu_of(guest), signal.SIGSTOP)
    until_status(cloud, guest, "impaired")
    assert status_of(cloud, other) == "ok"
    os.kill(qemu_of(guest), signal.SIGCONT)
    until_status(cloud, guest, "ok")
    assert ssh(key, guest["PublicIpAddress"], "echo alive") == "alive\n"


@pytest.mark.parametrize("step", ["nc.start.before-resume", "nc.start.after-create"])
def test_a_kill_in_the_middle_of_a_launch_ends_with_one_guest(cloud, images, key, group_id, step):
    cloud.kill()
    cloud.start(EUCA_BOX_FAILPOINTS=f"{step}=kill")
    asked = {"ImageId": images["emi"], "KeyName": "k", "SecurityGroupIds": [group_id]}
    [guest] = cloud.ec2.run_instances(**asked, MinCount=1, MaxCount=1)["Instances"]
    assert cloud.process.wait(60) == -signal.SIGKILL
    cloud.start()
    [guest] = cloud.wait_state([guest["InstanceId"]], "running")
    assert qemu_of(guest)
    ssh(key, guest["PublicIpAddress"], "true")
    cloud.terminate([guest["InstanceId"]])


def test_nothing_is_left(cloud, guests):
    cloud.terminate([guest["InstanceId"] for guest in guests])
    assert cloud.leftovers() == []
