"""What a user of the cloud sees, from the client's namespace: boto3 in a thread that lives there."""

import ctypes
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config

from tests.cluster.cluster import Cluster
from tests.kvm.real import demo

CLONE_NEWNET = 0x40000000  # linux/sched.h


class User:
    """The administrator at the client's namespace. Calls go `user.ec2("run_instances", ...)`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, first = cluster, cluster.first
        keys = _keys(cluster)
        self.threads = ThreadPoolExecutor(1, initializer=_enter, initargs=(cluster.client,))
        known = {
            "endpoint_url": f"https://{first.address}:8773",
            "verify": str(first.data.path / "ca.pem"),
            "region_name": "us-east-1",
            "aws_access_key_id": keys["access_key_id"],
            "aws_secret_access_key": keys["secret_access_key"],
            "config": Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        }
        self._clients = {name: boto3.client(name, **known) for name in ("ec2", "s3")}

    def ec2(self, operation: str, **asked: Any) -> Any:
        return self.threads.submit(getattr(self._clients["ec2"], operation), **asked).result(120)

    def import_demo(self) -> str:
        """The demo image; it is built once on this machine."""
        made = demo()
        folder = self.cluster.first.data.path / "demo"
        folder.mkdir(exist_ok=True)
        for path in made.root.parent.iterdir():
            shutil.copyfile(path, folder / path.name)
        return str(self.cluster.first.json("image", "build", "demo")["image_id"])

    def run(self, image_id: str, count: int = 1, **more: Any) -> list[str]:
        asked = {"ImageId": image_id, "MinCount": count, "MaxCount": count, **more}
        return [i["InstanceId"] for i in self.ec2("run_instances", **asked)["Instances"]]

    def instances(self, ids: list[str]) -> list[dict[str, Any]]:
        reply = self.ec2("describe_instances", InstanceIds=ids)
        return [i for r in reply["Reservations"] for i in r["Instances"]]

    def until(self, ids: list[str], state: str, seconds: float = 180) -> list[dict[str, Any]]:
        def are_there() -> bool:
            return {i["State"]["Name"] for i in self.instances(ids)} == {state}

        self.cluster.until(
            are_there,
            seconds,
            lambda: [(i["InstanceId"], i["State"], i.get("StateReason")) for i in self.instances(ids)],
        )
        return self.instances(ids)

    def until_volume(self, volume_id: str, state: str) -> None:
        """`in-use` is when it is attached."""

        def is_there() -> bool:
            found = self.ec2("describe_volumes", VolumeIds=[volume_id])["Volumes"][0]
            attached = [a["State"] for a in found["Attachments"]] in ([], ["attached"])
            return bool(found["State"] == state and attached)

        self.cluster.until(is_there, 60)

    def until_said(self, instance_id: str, words: str, seconds: float = 120) -> None:
        def is_there() -> bool:
            return words in self.ec2("get_console_output", InstanceId=instance_id).get("Output", "")

        self.cluster.until(is_there, seconds)

    def end(self) -> None:
        self.threads.shutdown()


def _keys(cluster: Cluster) -> dict[str, str]:
    import json

    return dict(json.loads(cluster.first.run("credentials", "--format", "json")))


def _enter(namespace: str) -> None:
    """Only this thread: network namespaces are of threads (setns(2))."""
    descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        assert ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET) == 0
    finally:
        os.close(descriptor)
