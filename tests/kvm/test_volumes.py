"""Volumes of real guests: attached hot, written, detached, attached elsewhere; what dies comes back.

The writer in the guest numbers its records and waits for each to be on the disk, so that a record that it has
counted and that is not there later was lost.
"""

import contextlib
import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.kvm import test_first_guest
from tests.kvm.test_first_guest import Cloud, group_id, images, key, launch, running_cloud, ssh

pytestmark = test_first_guest.pytestmark
__all__ = ["group_id", "images", "key"]  # fixtures of this module, too

ZONE = "us-east-1a"
# $1 the device; counts in /run/count; each record is a block of 512 bytes that begins with its number.
WRITER = """
n=0; : > /run/count
while [ ! -e /run/stop ]; do
  n=$((n+1)); printf '%-511s\\n' $n | dd of=$1 bs=512 seek=$n conv=notrunc oflag=direct 2>/dev/null || break
  echo $n > /run/count
done
echo ended > /run/ended
"""


class OwnCloud(Cloud):
    """Beside that of the other tests."""

    bridge = "ebr12"
    private, public = "10.93.0", "10.94.0"


@pytest.fixture(scope="module")
def cloud():
    with running_cloud(OwnCloud) as c:
        yield c


@pytest.fixture(scope="module")
def guests(cloud, images, key, group_id):
    found = launch(cloud, images["emi"], group_id, count=2)
    for guest in found:
        ssh(key, guest["PublicIpAddress"], "true")
    return found


@pytest.fixture
def volume(cloud, guests):
    made = cloud.ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    until(cloud, made, "available")
    yield made
    found = cloud.ec2.describe_volumes(VolumeIds=[made])["Volumes"][0]
    if found["Attachments"]:
        detach(cloud, made)
    cloud.ec2.delete_volume(VolumeId=made)


def state_of(cloud, volume) -> str:
    found = cloud.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]
    return found["Attachments"][0]["State"] if found["Attachments"] else found["State"]


def until(cloud, volume, state, seconds=60) -> None:
    deadline = time.monotonic() + seconds
    while (now := state_of(cloud, volume)) != state:
        assert time.monotonic() < deadline, f"{volume} is {now}, not {state}\n{cloud.output()[-3000:]}"
        time.sleep(0.05)


def attach(cloud, volume, guest, device="/dev/sdf") -> None:
    cloud.ec2.attach_volume(VolumeId=volume, InstanceId=guest["InstanceId"], Device=device)
    until(cloud, volume, "attached")


def detach(cloud, volume, **more) -> None:
    cloud.ec2.detach_volume(VolumeId=volume, **more)
    until(cloud, volume, "available")


def run(key, guest, command) -> str:
    return ssh(key, guest["PublicIpAddress"], command)


def disk_of(key, guest, volume) -> str:
    """The device that the guest gave the volume, found by its serial number."""
    look = (
        f"for i in $(seq 100); do d=$(grep -lx {volume} /sys/block/vd*/serial 2>/dev/null); "
        '[ -n "$d" ] && break; sleep 0.1; done; echo $d'
    )
    return "/dev/" + run(key, guest, look).split("/")[3]


def daemon_of(volume) -> int:
    found = subprocess.run(
        ["pgrep", "-f", f"qemu-storage-daemon.*{volume}"], capture_output=True, text=True, check=True
    )
    return int(found.stdout.split()[0])


def begin_writer(key, guest, disk) -> None:
    run(key, guest, f"rm -f /run/stop /run/ended; cat > /run/writer <<'E'\n{WRITER}\nE")
    run(key, guest, f"sh /run/writer {disk} >/dev/null 2>&1 &")


def counted(key, guest) -> int:
    return int(run(key, guest, "cat /run/count").strip() or 0)


def end_writer(key, guest) -> int:
    """How many records it was told are written."""
    run(key, guest, "touch /run/stop; while [ ! -e /run/ended ]; do sleep 0.1; done; rm /run/ended")
    return counted(key, guest)


def records_of(key, guest, disk, count) -> list[int]:
    read = f"dd if={disk} bs=512 skip=1 count={count} iflag=direct 2>/dev/null | tr -d ' \\000'"
    return [int(line) for line in run(key, guest, read).split()]


def test_what_one_guest_wrote_another_reads(cloud, guests, key, volume):
    first, second = guests
    attach(cloud, volume, first)
    disk = disk_of(key, first, volume)
    wrote = run(
        key,
        first,
        f"dd if=/dev/urandom of={disk} bs=1M count=8 conv=fsync 2>/dev/null; "
        f"dd if={disk} bs=1M count=8 2>/dev/null | sha256sum",
    )
    detach(cloud, volume)
    assert volume not in run(key, first, "cat /sys/block/vd*/serial")
    attach(cloud, volume, second)
    disk = disk_of(key, second, volume)
    assert run(key, second, f"dd if={disk} bs=1M count=8 2>/dev/null | sha256sum") == wrote
    daemon = subprocess.run(
        ["ps", "-o", "uid=", "-p", str(daemon_of(volume))], capture_output=True, text=True
    )
    assert int(daemon.stdout) == 1_899_999_999


def test_a_volume_goes_in_and_out_again_and_again(cloud, guests, key, volume):
    """EUCA_BOX_ATTACHES times; how long each took goes into EUCA_BOX_ATTACH_TIMES, a file."""
    guest, times = guests[0], []
    for turn in range(int(os.environ.get("EUCA_BOX_ATTACHES", "5"))):
        began = time.monotonic()
        attach(cloud, volume, guest, f"/dev/sd{'fghij'[turn % 5]}")
        attached = time.monotonic()
        if turn % 10 == 0:
            disk = disk_of(key, guest, volume)
            run(key, guest, f"echo {turn} | dd of={disk} bs=512 seek={turn} conv=fsync,notrunc 2>/dev/null")
        ready = time.monotonic()
        detach(cloud, volume)
        times.append((attached - began, time.monotonic() - ready))
    assert len(cloud.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Attachments"]) == 0
    assert volume not in run(key, guest, "cat /sys/block/vd*/serial")
    if file := os.environ.get("EUCA_BOX_ATTACH_TIMES"):
        Path(file).write_text("".join(f"{a:.3f} {d:.3f}\n" for a, d in times))


def test_a_volume_is_there_again_after_a_stop_and_a_start(cloud, guests, images, key, group_id, volume):
    [guest] = launch(cloud, images["emi"], group_id)
    attach(cloud, volume, guest)
    disk = disk_of(key, guest, volume)
    run(key, guest, f"echo kept | dd of={disk} conv=fsync 2>/dev/null")
    cloud.ec2.stop_instances(InstanceIds=[guest["InstanceId"]])
    cloud.wait_state([guest["InstanceId"]], "stopped")
    assert (
        subprocess.run(["pgrep", "-f", f"qemu-storage-daemon.*{volume}"], capture_output=True).stdout == b""
    )
    cloud.ec2.start_instances(InstanceIds=[guest["InstanceId"]])
    [guest] = cloud.wait_state([guest["InstanceId"]], "running")
    assert run(key, guest, f"head -c 5 {disk_of(key, guest, volume)}") == "kept\n"
    cloud.terminate([guest["InstanceId"]])
    until(cloud, volume, "available")


def test_a_killed_storage_daemon_is_back_in_seconds_and_nothing_that_was_written_is_lost(
    cloud, guests, key, volume
):
    guest = guests[0]
    attach(cloud, volume, guest)
    disk = disk_of(key, guest, volume)
    begin_writer(key, guest, disk)
    for _ in range(3):
        before = counted(key, guest)
        os.kill(daemon_of(volume), signal.SIGKILL)
        deadline = time.monotonic() + 30
        while counted(key, guest) <= before + 50:
            assert time.monotonic() < deadline, cloud.output()[-3000:]
            time.sleep(0.2)
    count = end_writer(key, guest)
    assert records_of(key, guest, disk, count) == list(range(1, count + 1))


def test_a_killed_euca_box_disturbs_no_writer_and_adopts_what_is_attached(cloud, guests, key, volume):
    guest = guests[0]
    attach(cloud, volume, guest)
    disk = disk_of(key, guest, volume)
    begin_writer(key, guest, disk)
    daemon = daemon_of(volume)
    cloud.kill()
    before = counted(key, guest)
    time.sleep(1)
    assert counted(key, guest) > before  # while no euca-box runs
    cloud.start()
    assert state_of(cloud, volume) == "attached"
    assert daemon_of(volume) == daemon
    count = end_writer(key, guest)
    assert records_of(key, guest, disk, count) == list(range(1, count + 1))
    detach(cloud, volume)


def test_a_volume_grows_under_a_guest_that_writes_to_it(cloud, guests, key, volume):
    guest = guests[0]
    attach(cloud, volume, guest)
    disk = disk_of(key, guest, volume)
    begin_writer(key, guest, disk)
    cloud.ec2.modify_volume(VolumeId=volume, Size=2)
    sectors = f"cat /sys/block/{disk.removeprefix('/dev/')}/size"
    deadline = time.monotonic() + 30
    while int(run(key, guest, sectors)) != (2 << 30) // 512:
        assert time.monotonic() < deadline, cloud.output()[-3000:]
        time.sleep(0.3)
    before = counted(key, guest)
    deadline = time.monotonic() + 20
    while counted(key, guest) <= before:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    count = end_writer(key, guest)
    assert records_of(key, guest, disk, count) == list(range(1, count + 1))
    run(key, guest, f"echo end | dd of={disk} bs=1M seek=2040 conv=fsync,notrunc 2>/dev/null")
    assert run(key, guest, f"dd if={disk} bs=1M skip=2040 count=1 2>/dev/null | head -c 4") == "end\n"


def test_a_forced_detach_frees_the_volume_whatever_the_guest_does(cloud, guests, key, volume):
    first, second = guests
    attach(cloud, volume, first)
    disk = disk_of(key, first, volume)
    run(key, first, f"echo first | dd of={disk} conv=fsync 2>/dev/null")
    detach(cloud, volume, Force=True)
    attach(cloud, volume, second)
    assert run(key, second, f"head -c 6 {disk_of(key, second, volume)}") == "first\n"


def test_a_guest_whose_volume_is_taken_while_it_writes_stands_still_says_so_and_boots_without_it(
    cloud, guests, images, key, group_id, volume
):
    [guest] = launch(cloud, images["emi"], group_id)
    ssh(key, guest["PublicIpAddress"], "true")
    attach(cloud, volume, guest)
    disk = disk_of(key, guest, volume)
    begin_writer(key, guest, disk)
    deadline = time.monotonic() + 30
    while (count := counted(key, guest)) < 50:
        assert time.monotonic() < deadline
    detach(cloud, volume, Force=True)
    attach(cloud, volume, guests[1])
    read = records_of(key, guests[1], disk_of(key, guests[1], volume), count)
    assert read == list(range(1, count + 1))
    ids = [guest["InstanceId"]]
    deadline = time.monotonic() + 60
    while (status := instance_status(cloud, ids)) != "impaired":
        assert time.monotonic() < deadline, status
        time.sleep(0.5)
    cloud.ec2.reboot_instances(InstanceIds=ids)
    deadline = time.monotonic() + 180
    while (status := instance_status(cloud, ids)) != "ok":
        assert time.monotonic() < deadline, cloud.output()[-3000:]
        time.sleep(1)
    assert volume not in run(key, guest, "cat /sys/block/vd*/serial")
    detach(cloud, volume)
    cloud.terminate(ids)


def instance_status(cloud, ids) -> str:
    found = cloud.ec2.describe_instance_status(InstanceIds=ids)["InstanceStatuses"]
    return found[0]["InstanceStatus"]["Status"] if found else ""


def test_a_snapshot_of_a_volume_that_is_written_has_the_first_records_and_no_later_one(
    cloud, guests, key, volume
):
    first, second = guests
    attach(cloud, volume, first)
    disk = disk_of(key, first, volume)
    run(key, first, f"dd if=/dev/urandom of={disk} bs=1M seek=64 count=64 conv=fsync 2>/dev/null")
    begin_writer(key, first, disk)
    taken = []
    for _ in range(3):
        before = counted(key, first)
        snapshot = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        after = counted(key, first)
        taken.append((snapshot, before, after))
        until_stored(cloud, snapshot)
    count = end_writer(key, first)
    assert records_of(key, first, disk, count) == list(range(1, count + 1))
    assert len(list((cloud.data.path / "sc" / "copies").iterdir())) == 0
    for number, (snapshot, before, after) in enumerate(taken):
        made = cloud.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot)["VolumeId"]
        until(cloud, made, "available")
        attach(cloud, made, second, f"/dev/sd{'ghi'[number]}")
        found = records_of(key, second, disk_of(key, second, made), after + 200)
        assert found == list(range(1, len(found) + 1))
        assert before <= len(found) <= after + 1, (before, len(found), after)
        detach(cloud, made)
        cloud.ec2.delete_volume(VolumeId=made)
    for snapshot, _, _ in taken:
        cloud.ec2.delete_snapshot(SnapshotId=snapshot)


def test_an_encrypted_volume_is_used_grown_snapshotted_and_is_noise_on_the_disk(cloud, guests, key):
    first, second = guests
    made = cloud.ec2.create_volume(AvailabilityZone=ZONE, Size=1, Encrypted=True)["VolumeId"]
    until(cloud, made, "available")
    attach(cloud, made, first)
    disk = disk_of(key, first, made)
    begin_writer(key, first, disk)
    deadline = time.monotonic() + 30
    while counted(key, first) < 50:
        assert time.monotonic() < deadline
    os.kill(daemon_of(made), signal.SIGKILL)
    before = counted(key, first)
    snapshot = None
    deadline = time.monotonic() + 30
    while counted(key, first) <= before + 20:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    snapshot = cloud.ec2.create_snapshot(VolumeId=made)["SnapshotId"]
    until_stored(cloud, snapshot)
    count = end_writer(key, first)
    assert records_of(key, first, disk, count) == list(range(1, count + 1))
    run(key, first, f"yes 'a word of the guest' | dd of={disk} bs=1M seek=64 count=4 conv=fsync 2>/dev/null")
    detach(cloud, made)
    for path in (cloud.data.path / "sc").rglob("*"):
        assert not path.is_file() or b"a word of the guest" not in path.read_bytes(), path
    copy = cloud.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot)["VolumeId"]
    until(cloud, copy, "available")
    assert cloud.ec2.describe_volumes(VolumeIds=[copy])["Volumes"][0]["Encrypted"]
    attach(cloud, copy, second)
    found = records_of(key, second, disk_of(key, second, copy), count)
    assert found == list(range(1, len(found) + 1))
    assert len(found) > before
    detach(cloud, copy)
    for volume_id in (made, copy):
        cloud.ec2.delete_volume(VolumeId=volume_id)
    cloud.ec2.delete_snapshot(SnapshotId=snapshot)


def test_a_guest_whose_qemu_is_killed_loses_nothing_that_it_was_told_is_written(
    cloud, guests, images, key, group_id, volume
):
    [guest] = launch(cloud, images["emi"], group_id)
    ssh(key, guest["PublicIpAddress"], "true")
    attach(cloud, volume, guest)
    begin_writer(key, guest, disk_of(key, guest, volume))
    deadline = time.monotonic() + 30
    while (count := counted(key, guest)) < 50:
        assert time.monotonic() < deadline
    ids = [guest["InstanceId"]]
    qemu = subprocess.run(["pgrep", "-f", f"qemu-system.*{ids[0]}"], capture_output=True, text=True)
    os.kill(int(qemu.stdout.split()[0]), signal.SIGKILL)
    cloud.wait_state(ids, "stopped")
    assert state_of(cloud, volume) == "attached"  # as of any stopped instance
    detach(cloud, volume)
    attach(cloud, volume, guests[1])
    found = records_of(key, guests[1], disk_of(key, guests[1], volume), count + 200)
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= count
    detach(cloud, volume)
    cloud.terminate(ids)


def test_of_twenty_snapshots_deleted_in_any_order_every_survivor_is_whole(cloud, guests, key, volume):
    """Each is taken while the guest has the volume, most by what changed since the one before."""
    guest, chance, chain = guests[0], random.Random(20), {}
    attach(cloud, volume, guest)
    disk = disk_of(key, guest, volume)
    raw = cloud.data.path / "sc" / "volumes" / f"{volume}.raw"
    for number in range(20):
        places = " ".join(str(chance.randrange(32)) for _ in range(3))
        write = f"dd if=/dev/urandom of={disk} bs=512k count=1 seek=$p conv=notrunc,fsync 2>/dev/null"
        run(key, guest, f"for p in {places}; do {write}; done")
        chain[cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]] = start_of(raw)
        until_stored(cloud, list(chain)[-1])
        if number % 7 == 6:
            os.kill(daemon_of(volume), signal.SIGKILL)  # it forgets what changed
    detach(cloud, volume)
    order = list(chain)
    chance.shuffle(order)
    while order:
        gone = order.pop()
        cloud.ec2.delete_snapshot(SnapshotId=gone)
        if len(order) % 4 == 0:
            for snapshot in order[:2]:
                assert restored(cloud, snapshot) == chain[snapshot]
    deadline = time.monotonic() + 60
    while chunks := list_chunks(cloud):
        assert time.monotonic() < deadline, chunks
        time.sleep(0.5)


def start_of(raw: Path) -> str:
    with raw.open("rb") as file:
        return hashlib.sha256(file.read(17 << 20)).hexdigest()


def restored(cloud, snapshot) -> str:
    made = cloud.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot)["VolumeId"]
    until(cloud, made, "available")
    raw = cloud.data.path / "sc" / "volumes" / f"{made}.raw"
    deadline = time.monotonic() + 60
    while raw.with_suffix(".lazy").exists():
        assert time.monotonic() < deadline, cloud.output()[-3000:]
        time.sleep(0.1)
    found = start_of(raw)
    cloud.ec2.delete_volume(VolumeId=made)
    return found


def list_chunks(cloud) -> list[str]:
    """In Walrus, of all snapshots."""
    [path] = cloud.data.path.rglob("walrus.db")
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as rows:
        return [row[0] for row in rows.execute("SELECT digest FROM chunk")]


def test_a_snapshot_whose_sending_is_killed_again_and_again_is_whole(cloud, guests, key, volume):
    first, second = guests
    attach(cloud, volume, first)
    disk = disk_of(key, first, volume)
    fill = f"dd if=/dev/urandom of={disk} bs=1M count=96 conv=fsync 2>/dev/null; "
    wrote = run(key, first, f"{fill} dd if={disk} bs=1M count=96 2>/dev/null | sha256sum")
    snapshot = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    for step in ("sc.snapshot.after-chunks", "sc.snapshot.after-manifest", "sc.snapshot.after-stored"):
        cloud.kill()
        cloud.start(EUCA_BOX_FAILPOINTS=f"{step}=kill")
        cloud.process.wait(60)
    cloud.start()
    until_stored(cloud, snapshot)
    made = cloud.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot)["VolumeId"]
    until(cloud, made, "available")
    attach(cloud, made, second, "/dev/sdg")
    read = f"dd if={disk_of(key, second, made)} bs=1M count=96 2>/dev/null | sha256sum"
    assert run(key, second, read) == wrote
    detach(cloud, made)
    cloud.ec2.delete_volume(VolumeId=made)
    cloud.ec2.delete_snapshot(SnapshotId=snapshot)


def test_a_volume_of_a_snapshot_is_used_while_it_is_filled_and_killed_and_has_every_byte(
    cloud, guests, key, volume
):
    raw = cloud.data.path / "sc" / "volumes" / f"{volume}.raw"
    seed = os.urandom(1 << 20)
    with raw.open("r+b") as file:
        file.seek(64 << 20)
        for number in range(600):
            file.write(seed[number:] + seed[:number])
    expected = raw.read_bytes()
    snapshot = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    until_stored(cloud, snapshot)
    shutil.rmtree(cloud.data.path / "sc" / "cache")
    began = time.monotonic()
    made = cloud.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot)["VolumeId"]
    until(cloud, made, "available")
    assert time.monotonic() - began < 2
    cloud.kill()
    lazy = raw.with_name(f"{made}.lazy")
    assert lazy.exists()
    cloud.start()
    cloud.ec2.delete_snapshot(SnapshotId=snapshot)
    attach(cloud, made, guests[1], "/dev/sdg")
    disk = disk_of(key, guests[1], made)
    begin_writer(key, guests[1], disk)
    last = f"dd if={disk} bs=1M skip=663 count=1 2>/dev/null | sha256sum"
    found = run(key, guests[1], last).split()[0]
    assert found == hashlib.sha256(seed[599:] + seed[:599]).hexdigest()
    if lazy.exists():
        os.kill(daemon_of(made), signal.SIGKILL)
    deadline = time.monotonic() + 60
    while lazy.exists():
        assert time.monotonic() < deadline, cloud.output()[-3000:]
        time.sleep(0.2)
    before = counted(key, guests[1])
    deadline = time.monotonic() + 30
    while counted(key, guests[1]) <= before + 20:
        assert time.monotonic() < deadline, cloud.output()[-3000:]
        time.sleep(0.2)
    count = end_writer(key, guests[1])
    assert records_of(key, guests[1], disk, count) == list(range(1, count + 1))
    detach(cloud, made)
    with raw.with_name(f"{made}.raw").open("rb") as file:
        file.seek(16 << 20)
        assert file.read() == expected[16 << 20 :]
    cloud.ec2.delete_volume(VolumeId=made)


def until_stored(cloud, snapshot) -> None:
    deadline = time.monotonic() + 90
    while True:
        [found] = cloud.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"]
        if found["State"] == "completed":
            return
        assert found["State"] == "pending", found
        assert time.monotonic() < deadline, cloud.output()[-3000:]
        time.sleep(0.1)


def test_nothing_is_left(cloud, guests):
    cloud.terminate([guest["InstanceId"] for guest in guests])
    assert cloud.leftovers() == []
    deadline = time.monotonic() + 20
    while cloud.ec2.describe_volumes()["Volumes"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert list((cloud.data.path / "sc" / "volumes").iterdir()) == []
    argv = ["pgrep", "-f", f"qemu-storage-daemon.*{cloud.data.path}"]
    assert subprocess.run(argv, capture_output=True).stdout == b""
