"""From nothing to SSH into real guests, as a user does it: `euca-box run` in a process of its own, boto3.

One cloud for the module, on a bridge and ports of its own. Guests run under TCG, so a step takes seconds.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from euca_box.datadir import DataDir
from tests.kvm.real import demo

pytestmark = [pytest.mark.kvm, pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root")]

BRIDGE = "ebr7"
# Another program to try than this checkout: dist/euca-box, or one in a root of its own by chroot.
PROGRAM = shlex.split(os.environ.get("EUCA_BOX_PROGRAM", "")) or [sys.executable, "-m", "euca_box"]
USER_DATA = b"#!/bin/sh\necho said-by-user-data > /run/user-data-ran\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cloud:
    """A running euca-box and its clients."""

    bridge = BRIDGE
    private, public = "10.87.0", "10.88.0"  # the first bytes of its networks

    def __init__(self, folder: Path) -> None:
        self.data = DataDir(folder)
        self.port, self.console = free_port(), free_port()
        self.environment = os.environ | {
            "EUCA_BOX__API__PORT": str(self.port),
            "EUCA_BOX__API__CONSOLE_PORT": str(self.console),
            "EUCA_BOX__API__METADATA_PORT": str(free_port()),
            "EUCA_BOX__API__LISTEN": '["127.0.0.1"]',
            "EUCA_BOX__NETWORK__BRIDGE": self.bridge,
            "EUCA_BOX__NETWORK__PRIVATE_SUBNET": f"{self.private}.0/24",
            "EUCA_BOX__NETWORK__PUBLIC_ADDRESSES": f"{self.public}.10-{self.public}.19",
            "EUCA_BOX__CC__COOLING_SECONDS": "1",
        }
        self.process: subprocess.Popen | None = None

    def remove_network(self) -> None:
        """Its own subnet: with another one it would give the bridge the address of a cloud that runs."""
        words = [self.bridge, str(self.data.path), f"{self.private}.0/24"]
        subprocess.run([sys.executable, "-m", "tests.kvm.remove_network", *words], check=True)

    def command(self, *words: str) -> list[str]:
        return [*PROGRAM, *words, "--data-dir", str(self.data.path)]

    def start(self, **more: str) -> None:
        output = (self.data.path.parent / "output.log").open("ab")
        self.process = subprocess.Popen(
            self.command("run", "--roles", "all", "--no-demo"),
            env=self.environment | more, stdout=output, stderr=output, cwd="/",
        )  # fmt: skip
        done = self.run("status", "--wait", "60")
        assert done.returncode == 0, done.stdout + done.stderr + self.output()
        self.keys = json.loads(self.run("credentials", "--format", "json").stdout)

    def run(self, *words: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*words),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def output(self) -> str:
        return (self.data.path.parent / "output.log").read_text()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def client(self, service: str, **more):
        known = {
            "aws_access_key_id": self.keys["access_key_id"],
            "aws_secret_access_key": self.keys["secret_access_key"],
        }
        known["endpoint_url"] = f"http://127.0.0.1:{self.port}"
        return boto3.client(
            service, region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
            **(known | more),
        )  # fmt: skip

    @property
    def ec2(self):
        return self.client("ec2")

    def wait_state(self, ids: list[str], state: str, seconds: float = 120) -> list[dict]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [
                i
                for r in self.ec2.describe_instances(InstanceIds=ids)["Reservations"]
                for i in r["Instances"]
            ]
            if all(i["State"]["Name"] == state for i in found):
                return found
            if state == "running" and any(i["State"]["Name"] == "terminated" for i in found):
                break
            time.sleep(0.2)
        raise AssertionError(f"{ids} are not {state}: {found}\n{self.output()[-3000:]}")

    def terminate(self, ids: list[str]) -> list[dict]:
        self.ec2.terminate_instances(InstanceIds=ids)
        return self.wait_state(ids, "terminated")

    def leftovers(self) -> list[str]:
        """QEMU processes, taps, lease files and disks of this cloud's instances."""
        taps = [n for _, n in socket.if_nameindex() if n.startswith("t") and len(n) == 9]
        masters = [
            t for t in taps if os.path.basename(os.path.realpath(f"/sys/class/net/{t}/master")) == self.bridge
        ]
        qemu = subprocess.run(
            ["pgrep", "-f", f"qemu.*{self.data.path}"], capture_output=True, text=True
        ).stdout
        disks = [str(p) for p in (self.data.path / "nc" / "instances").glob("*")]
        hosts = [str(p) for p in self.data.run_dir.glob("net/**/hosts*/*") if p.is_file()]
        rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
        ours = [line.strip() for line in rules.splitlines() if f"{self.private}." in line]
        guests = [line for line in ours if "d0:0d" in line]
        return [*masters, *qemu.split(), *disks, *hosts, *guests]


@pytest.fixture(scope="module")
def cloud():
    with running_cloud(Cloud) as c:
        yield c


@contextlib.contextmanager
def running_cloud(kind: type[Cloud]) -> Iterator[Cloud]:
    """A cloud in a folder of its own; ended, and nothing left of it, afterwards."""
    # Not below pytest's folder: that is 0700, and QEMU's user must be able to enter.
    folder = Path(tempfile.mkdtemp(prefix="euca-box-test-", dir="/var/tmp"))
    folder.chmod(0o711)
    c = kind(folder / "data")
    c.start()
    yield c
    ids = [i["InstanceId"] for r in c.ec2.describe_instances()["Reservations"] for i in r["Instances"]]
    if ids:
        c.terminate(ids)
    assert c.stop() == 0, c.output()
    c.remove_network()
    shutil.rmtree(folder)
    shutil.rmtree(c.data.run_dir)


@pytest.fixture(scope="module")
def images(cloud):
    """Kernel, ramdisk and root uploaded by boto3, the root in parts, and a whole disk; all registered."""
    s3, ec2, made = cloud.client("s3"), cloud.ec2, demo()
    s3.create_bucket(Bucket="images")
    s3.upload_file(str(made.kernel), "images", "vmlinuz-demo")
    s3.upload_file(str(made.ramdisk), "images", "initrd-demo")
    transfer = boto3.s3.transfer.TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    s3.upload_file(str(made.root), "images", "root", Config=transfer)
    s3.upload_file(str(made.disk), "images", "disk", Config=transfer)
    assert "-" in s3.head_object(Bucket="images", Key="root")["ETag"]  # it went in parts
    eki = ec2.register_image(Name="kernel", ImageLocation="images/vmlinuz-demo")["ImageId"]
    eri = ec2.register_image(Name="ramdisk", ImageLocation="images/initrd-demo")["ImageId"]
    emi = ec2.register_image(Name="root", ImageLocation="images/root", KernelId=eki, RamdiskId=eri)["ImageId"]
    whole = ec2.register_image(Name="disk", ImageLocation="images/disk")["ImageId"]
    assert [i[:4] for i in (eki, eri, emi, whole)] == ["eki-", "eri-", "emi-", "emi-"]
    return {"emi": emi, "disk": whole}


@pytest.fixture(scope="module")
def key(cloud, tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "k.pem"
    path.write_text(cloud.ec2.create_key_pair(KeyName="k")["KeyMaterial"])
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def group_id(cloud):
    made = cloud.ec2.create_security_group(GroupName="ssh", Description="SSH from anywhere")["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    cloud.ec2.authorize_security_group_ingress(GroupId=made, IpPermissions=[rule])
    return made


def ssh(key, address: str, command: str, seconds: float = 90) -> str:
    """The output of a command in the guest; waits for SSH to answer."""
    options = [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "ConnectTimeout=3",
    ]
    argv = ["ssh", "-i", str(key), *(f"-o{o}" for o in options), f"root@{address}", command]
    deadline = time.monotonic() + seconds
    while True:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 0:
            return done.stdout
        assert time.monotonic() < deadline, f"{address}: {done.stderr}"
        time.sleep(0.5)


def launch(cloud, image_id, group_id, count=1, **more) -> list[dict]:
    made = cloud.ec2.run_instances(
        ImageId=image_id, MinCount=count, MaxCount=count, InstanceType="m1.small", KeyName="k",
        SecurityGroupIds=[group_id], UserData=USER_DATA.decode(), **more,
    )  # fmt: skip
    return cloud.wait_state([i["InstanceId"] for i in made["Instances"]], "running")


@pytest.mark.parametrize("kind", ["emi", "disk"])
def test_two_guests_run_are_reached_by_ssh_and_leave_nothing(cloud, images, key, group_id, kind):
    guests = launch(cloud, images[kind], group_id, count=2)
    addresses = [g["PublicIpAddress"] for g in guests]
    assert len(set(addresses)) == 2

    with ThreadPoolExecutor(2) as both:
        boots = list(both.map(lambda a: ssh(key, a, "cat /proc/sys/kernel/random/boot_id"), addresses))
    assert boots[0] != boots[1]
    read = "wget -q -O - http://169.254.169.254/latest/user-data; echo; cat /run/user-data-ran; hostname"
    said = ssh(key, addresses[0], read)
    assert USER_DATA.decode() in said
    assert "said-by-user-data" in said
    assert guests[0]["PrivateDnsName"].partition(".")[0] in said

    instance_id = guests[0]["InstanceId"]
    output = cloud.ec2.get_console_output(InstanceId=instance_id)["Output"]
    assert "userland started" in output
    assert "Linux version" in output or kind == "disk"  # the boot loader of the disk asks for a quiet kernel
    assert f"ready {instance_id}" in output

    cloud.ec2.reboot_instances(InstanceIds=[instance_id])
    deadline = time.monotonic() + 90
    while ssh(key, addresses[0], "cat /proc/sys/kernel/random/boot_id") == boots[0]:
        assert time.monotonic() < deadline, "it was not rebooted"
        time.sleep(0.5)
    assert ssh(key, addresses[1], "cat /proc/sys/kernel/random/boot_id") == boots[1]

    cloud.terminate([g["InstanceId"] for g in guests])
    assert cloud.leftovers() == []


def test_qemu_runs_without_any_right(cloud, images, group_id):
    [guest] = launch(cloud, images["emi"], group_id)
    pids = subprocess.run(
        ["pgrep", "-f", f"qemu-system.*{guest['InstanceId']}"], capture_output=True, text=True, check=True
    ).stdout.split()
    status = Path(f"/proc/{pids[0]}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert "0" not in fields["Uid"].split()
    assert int(fields["CapEff"], 16) == 0
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    cloud.terminate([guest["InstanceId"]])


def test_a_port_that_was_not_authorised_is_closed_until_it_is(cloud, images, key, group_id):
    closed = cloud.ec2.create_security_group(GroupName=f"c-{uuid.uuid4()}", Description="closed")["GroupId"]
    [guest] = launch(cloud, images["emi"], closed)
    address, target = guest["PublicIpAddress"], {"GroupId": closed}
    deadline = time.monotonic() + 90
    while b"ready" not in console_of(cloud, guest["InstanceId"]):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    with pytest.raises(TimeoutError):
        socket.create_connection((address, 22), timeout=2)

    flat = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
    cloud.ec2.authorize_security_group_ingress(**target, **flat)
    socket.create_connection((address, 22), timeout=5).close()

    cloud.ec2.revoke_security_group_ingress(**target, **flat)
    with pytest.raises(TimeoutError):
        socket.create_connection((address, 22), timeout=2)
    cloud.terminate([guest["InstanceId"]])
    cloud.ec2.delete_security_group(GroupId=closed)


def console_of(cloud, instance_id) -> bytes:
    return cloud.ec2.get_console_output(InstanceId=instance_id).get("Output", "").encode()


def test_guests_outlive_a_killed_euca_box(cloud, images, key, group_id):
    [guest] = launch(cloud, images["emi"], group_id)
    instance_id, address = guest["InstanceId"], guest["PublicIpAddress"]
    boot = ssh(key, address, "cat /proc/sys/kernel/random/boot_id")
    # SSH may answer before this line; what a guest prints while nobody reads is lost.
    deadline = time.monotonic() + 60
    while f"ready {instance_id}".encode() not in console_of(cloud, instance_id):
        assert time.monotonic() < deadline
        time.sleep(0.2)

    cloud.kill()
    assert ssh(key, address, "cat /proc/sys/kernel/random/boot_id", seconds=10) == boot
    cloud.start()

    [again] = cloud.wait_state([instance_id], "running", seconds=20)
    assert again["PublicIpAddress"] == address
    assert ssh(key, address, "cat /proc/sys/kernel/random/boot_id", seconds=10) == boot
    assert f"ready {instance_id}".encode() in console_of(cloud, instance_id)
    cloud.terminate([instance_id])
    assert cloud.leftovers() == []


def test_a_second_euca_box_on_the_same_data_is_refused(cloud):
    done = cloud.run("run", "--roles", "all", "--no-demo")
    assert done.returncode == 1
    assert f"is in use by process {cloud.process.pid}" in done.stderr


def test_a_taken_port_is_told_before_anything_changes(cloud, tmp_path):
    other = tmp_path / "other"
    done = subprocess.run(
        [sys.executable, "-m", "euca_box", "run", "--data-dir", str(other)],
        env=cloud.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"port {cloud.port}" in done.stderr
    assert "api.port" in done.stderr
    assert list(other.rglob("*.db")) == []
    # The key that the host has among others is there before; nothing of a cloud is.
    assert {path.name for path in other.rglob("*.pem")} <= {"host.pem"}


def test_a_guest_that_powers_off_is_terminated(cloud, images, key, group_id):
    [guest] = launch(cloud, images["emi"], group_id)
    ssh(key, guest["PublicIpAddress"], "poweroff; true")
    [ended] = cloud.wait_state([guest["InstanceId"]], "terminated")
    assert ended["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert cloud.leftovers() == []


def test_a_lost_qemu_is_noticed_and_its_disk_is_kept(cloud, images, group_id):
    [guest] = launch(cloud, images["emi"], group_id)
    [pid] = subprocess.run(
        ["pgrep", "-f", f"qemu-system.*guest={guest['InstanceId']}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    os.kill(int(pid), signal.SIGKILL)
    [ended] = cloud.wait_state([guest["InstanceId"]], "stopped", seconds=10)
    assert ended["StateReason"]["Message"].endswith("The virtual machine ended unexpectedly")
    assert cloud.leftovers() == [str(cloud.data.path / "nc" / "instances" / guest["InstanceId"])]
    cloud.terminate([guest["InstanceId"]])
    assert cloud.leftovers() == []


def refused(code: str, call, **more) -> str:
    with pytest.raises(ClientError) as caught:
        call(**more)
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response["Error"]["Message"]


def test_wrong_keys_and_made_up_images_are_refused(cloud, images):
    wrong = cloud.client("ec2", aws_secret_access_key="x" * 40)
    refused("AuthFailure", wrong.describe_instances)
    run = {"MinCount": 1, "MaxCount": 1}
    refused("InvalidAMIID.NotFound", cloud.ec2.run_instances, ImageId="emi-ffffffff", **run)
    refused("InvalidAMIID.Malformed", cloud.ec2.run_instances, ImageId="emi-?", **run)


HOSTILE = Path(__file__).parents[1] / "vectors" / "images"


@pytest.mark.parametrize(
    "name", sorted(p.name for p in HOSTILE.iterdir() if p.suffix in (".qcow2", ".vmdk", ".img"))
)
def test_a_hostile_image_is_refused_and_no_host_file_is_opened(cloud, images, name):
    cloud.client("s3").upload_file(str(HOSTILE / name), "images", name)
    before = len(cloud.ec2.describe_images(Owners=["self"])["Images"])
    message = refused("InvalidManifest", cloud.ec2.register_image, Name=name, ImageLocation=f"images/{name}")
    assert "root:" not in message
    assert len(cloud.ec2.describe_images(Owners=["self"])["Images"]) == before


def test_text_is_no_image(cloud, images):
    cloud.client("s3").put_object(Bucket="images", Key="text", Body=b"hello\n" * 1000)
    refused("InvalidManifest", cloud.ec2.register_image, Name="text", ImageLocation="images/text")


def test_an_image_whose_object_was_deleted_fails_with_the_reason(cloud, images, group_id):
    s3, made = cloud.client("s3"), demo()
    with made.disk.open("rb") as file:
        s3.put_object(Bucket="images", Key="gone", Body=file.read() + b"\0" * 512)
    image_id = cloud.ec2.register_image(Name="gone", ImageLocation="images/gone")["ImageId"]
    s3.delete_object(Bucket="images", Key="gone")
    made = cloud.ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1)["Instances"]
    [ended] = cloud.wait_state([made[0]["InstanceId"]], "terminated")
    assert "deleted after the image was registered" in ended["StateReason"]["Message"]
    assert cloud.leftovers() == []


def test_no_secret_is_in_a_log_or_an_argument(cloud):
    secret = cloud.keys["secret_access_key"]
    logs = "".join(p.read_text() for p in (cloud.data.path / "logs").glob("*")) + cloud.output()
    arguments = b"".join(p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists())
    assert secret not in logs
    assert secret.encode() not in arguments
    assert secret.encode() not in (cloud.data.path / "clc" / "clc.db").read_bytes()
