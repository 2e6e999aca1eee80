"""From "RunInstances answered" to the guest's first line of userland, beside QEMU started by hand.

By hand: the same kernel, ramdisk, root image (as an overlay), memory and machine; no network behind the
card. The image is in the node's cache. Both run in turns; medians.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
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
LINE = b"euca-box demo: userland started"
TURNS = 3
MEMORY_MIB = 128
AIM_RATIO, AIM_MORE_SECONDS = 1.3, 1.0
LONGEST_SECONDS = 180.0


@dataclass(frozen=True)
class Launch:
    answered_seconds: float
    running_seconds: float
    userland_seconds: float


def launch_by_cloud(cloud: RealCloud, client: Client, image_id: str) -> Launch:
    begin = time.perf_counter()
    reply = client.ec2("RunInstances", ImageId=image_id, MinCount="1", MaxCount="1", InstanceType="m1.small")
    answered = time.perf_counter()
    instance_id = reply.findtext("instancesSet/item/instanceId") or ""
    try:
        log = cloud.data_dir / "nc" / "instances" / instance_id / "console.log"
        wait_until(lambda: state_of(client, instance_id) == "running")
        running = time.perf_counter()
        wait_until(lambda: has_line(log))
        return Launch(answered - begin, running - answered, time.perf_counter() - answered)
    finally:
        client.ec2("TerminateInstances", **{"InstanceId.1": instance_id})
        wait_until(lambda: state_of(client, instance_id) == "terminated")


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


def has_line(log: Path) -> bool:
    try:
        return LINE in log.read_bytes()
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
    with data_folder() as data_dir, real_cloud(data_dir) as cloud:
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


if __name__ == "__main__":
    main()
