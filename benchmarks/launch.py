"""From "RunInstances answered" to the guest's first line of userland, beside QEMU started by hand.

By hand: the same kernel, ramdisk, root image (as an overlay), memory and machine; no network behind the
card. The image is in the node's cache. Both run in turns; medians.

Then twenty, one after the other, each when the earlier ones have become idle: how long until the domain runs,
and how much processor time euca-box itself takes for it, QEMU aside.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.real_cloud import (
    INSIDE,
    PORTS,
    PROGRAM,
    RealCloud,
    data_folder,
    enter_own_network,
    real_cloud,
)
from euca_box.client import Client
from euca_box.images.demo import DemoImage, build_demo
from euca_box.kvm.accelerator import probe
from euca_box.kvm.domain_xml import MACHINE_TYPE, TCG_CACHE_MIB
from euca_box.roles.nc.staging import COMMAND_LINE

DEMO = Path("/var/tmp/euca-box-benchmark-demo")
LINE, READY = b"euca-box demo: userland started", b"euca-box demo: ready"
TURNS = 3
MEMORY_MIB = 128
AIM_RATIO, AIM_MORE_SECONDS = 1.3, 1.0
MANY, IDLE_SECONDS = 20, 2.0
AIM_RUNNING_SECONDS, AIM_CPU_RATIO = 1.5, 1.5
LONGEST_SECONDS = 180.0


@dataclass(frozen=True)
class Launch:
    answered_seconds: float
    running_seconds: float
    userland_seconds: float


def launch_by_cloud(cloud: RealCloud, client: Client, image_id: str) -> Launch:
    begin = time.perf_counter()
    instance_id = begun(client, image_id)
    answered = time.perf_counter()
    try:
        log = cloud.data_dir / "nc" / "instances" / instance_id / "console.log"
        wait_until(lambda: state_of(client, instance_id) == "running")
        running = time.perf_counter()
        wait_until(lambda: has_line(log))
        return Launch(answered - begin, running - answered, time.perf_counter() - answered)
    finally:
        client.ec2("TerminateInstances", **{"InstanceId.1": instance_id})
        wait_until(lambda: state_of(client, instance_id) == "terminated")


@dataclass(frozen=True)
class One:
    """Of twenty. `cpu_seconds`: what our own process took until the guest was in its userland."""

    running_seconds: float
    cpu_seconds: float


def launch_many(cloud: RealCloud, client: Client, image_id: str) -> list[One]:
    instance_ids, found = [], []
    for _ in range(MANY):
        cpu = cloud.cpu_seconds()
        instance_ids.append(begun(client, image_id))
        answered = time.perf_counter()
        wait_until(lambda: state_of(client, instance_ids[-1]) == "running")
        running = time.perf_counter() - answered
        log = cloud.data_dir / "nc" / "instances" / instance_ids[-1] / "console.log"
        wait_until(partial(has_line, log, READY))
        found.append(One(running, cloud.cpu_seconds() - cpu))
        time.sleep(IDLE_SECONDS)
    client.ec2("TerminateInstances", **{f"InstanceId.{n + 1}": name for n, name in enumerate(instance_ids)})
    wait_until(lambda: all(state_of(client, name) == "terminated" for name in instance_ids))
    return found


def begun(client: Client, image_id: str) -> str:
    reply = client.ec2("RunInstances", ImageId=image_id, MinCount="1", MaxCount="1", InstanceType="m1.small")
    return reply.findtext("instancesSet/item/instanceId") or ""


def launch_by_hand(image: DemoImage) -> float:
    """Seconds from starting qemu-img's overlay to the line, as the node makes an overlay as well."""
    with tempfile.TemporaryDirectory(prefix="ebh", dir="/var/tmp") as folder:
        disk, log = Path(folder) / "disk.qcow2", Path(folder) / "console.log"
        begin = time.perf_counter()
        overlay = [
            "qemu-img",
            "create",
            "-q",
            "-f",
            "qcow2",
            "-b",
            str(image.root),
            "-F",
            "raw",
            str(disk),
            "10G",
        ]
        subprocess.run(overlay, check=True)
        process = subprocess.Popen(qemu_argv(image, disk, log), stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: has_line(log))
            return time.perf_counter() - begin
        finally:
            process.terminate()
            process.wait()


def qemu_argv(image: DemoImage, disk: Path, log: Path) -> list[str]:
    """The machine of euca_box/kvm/domain_xml.py, as words for QEMU."""
    accelerator = probe().name
    speed = ["-accel", "kvm", "-cpu", "host"]
    if accelerator == "tcg":
        speed = ["-accel", f"tcg,tb-size={TCG_CACHE_MIB}", "-cpu", "max"]
    return [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", f"{MACHINE_TYPE},usb=off", *speed, "-m", str(MEMORY_MIB), "-smp", "1",
        "-kernel", str(image.kernel), "-initrd", str(image.ramdisk), "-append", COMMAND_LINE,
        "-drive", f"file={disk},format=qcow2,if=virtio,cache=writeback,discard=unmap",
        "-netdev", "hubport,id=n0,hubid=0", "-device", "virtio-net-pci,netdev=n0,romfile=",
        "-serial", f"file:{log}", "-vga", "std", "-device", "virtio-balloon-pci", "-device", "virtio-rng-pci",
    ]  # fmt: skip


def state_of(client: Client, instance_id: str) -> str:
    reply = client.ec2("DescribeInstances", **{"InstanceId.1": instance_id})
    return reply.findtext("reservationSet/item/instancesSet/item/instanceState/name") or ""


def has_line(log: Path, line: bytes = LINE) -> bool:
    try:
        return line in log.read_bytes()
    except FileNotFoundError:
        return False


def wait_until(is_true: Callable[[], bool]) -> None:
    end = time.perf_counter() + LONGEST_SECONDS
    while not is_true():
        if time.perf_counter() > end:
            raise RuntimeError("it took too long")
        time.sleep(0.02)


def main() -> None:
    if not os.environ.get(INSIDE) and os.geteuid() == 0:
        build_demo(DEMO, print)  # needs the network, which there is not inside
    if not enter_own_network("benchmarks.launch"):
        return
    image = build_demo(DEMO, lambda _: None)
    roomy = {"EUCA_BOX__CC__DISK_OVERCOMMIT": "50", "EUCA_BOX__NETWORK__PRIVATE_SUBNET": "10.96.0.0/24"}
    with data_folder() as data_dir, real_cloud(data_dir, roomy) as cloud:
        cloud.wait_for_node()
        keys = cloud_keys(data_dir)
        client = Client(f"http://127.0.0.1:{PORTS['PORT']}", *keys)
        files = ["--kernel", str(image.kernel), "--ramdisk", str(image.ramdisk), "--name", "demo"]
        image_id = cloud.command("image", "import", str(image.root), *files)["image_id"]
        first = launch_by_cloud(cloud, client, image_id)
        hands, clouds = [], []
        for _ in range(TURNS):
            hands.append(launch_by_hand(image))
            clouds.append(launch_by_cloud(cloud, client, image_id))
        show(first, hands, clouds)
        show_many(launch_many(cloud, client, image_id))


def cloud_keys(data_dir: Path) -> tuple[str, str]:
    argv = [str(PROGRAM), "credentials", "--format", "json", "--data-dir", str(data_dir)]
    keys = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)
    return keys["access_key_id"], keys["secret_access_key"]


def show(first: Launch, hands: list[float], clouds: list[Launch]) -> None:
    hand = statistics.median(hands)
    ours = statistics.median(c.userland_seconds for c in clouds)
    aim = AIM_RATIO * hand + AIM_MORE_SECONDS
    print(f"accelerator {probe().name}, medians of {TURNS}")
    print(f"{'RunInstances answers after':44}{statistics.median(c.answered_seconds for c in clouds):8.3f} s")
    print(f"{'answered -> running':44}{statistics.median(c.running_seconds for c in clouds):8.2f} s")
    print(f"{'answered -> userland':44}{ours:8.2f} s  (aim: {aim:.2f}, {AIM_RATIO} x by hand + 1 s)")
    print(f"{'answered -> userland, image not yet cached':44}{first.userland_seconds:8.2f} s")
    print(f"{'qemu-system-x86_64 by hand -> userland':44}{hand:8.2f} s")
    print(f"{'ratio':44}{ours / hand:8.2f}")


def show_many(found: list[One]) -> None:
    p50 = statistics.median(one.running_seconds for one in found)
    # A clock tick is 10 ms, so the first and the last three are taken together.
    first, last = (sum(one.cpu_seconds for one in some) / 3 for some in (found[:3], found[-3:]))
    print(f"{f'{MANY} one by one: answered -> running, p50':44}{p50:8.2f} s  (aim: {AIM_RUNNING_SECONDS})")
    print(f"{'own CPU of a launch, the first three':44}{first:8.2f} s")
    print(f"{'own CPU of a launch, the last three':44}{last:8.2f} s  (aim: {AIM_CPU_RATIO} x the first)")


if __name__ == "__main__":
    main()
