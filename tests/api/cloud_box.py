"""A whole cloud behind its front doors: the real App in a thread, on free loopback ports.

    with running_cloud(folder) as box:
        [instance_id] = box.run_instances()

Real: HTTP, TLS, signatures, all roles, rows, objects, image downloads, metadata service. Fake: the
hypervisor, the network and QEMU's tools. The guests' subnet lies within 127.0.0.0/8, so that a test can
speak to the metadata service from a guest's address.
"""

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import attrs
import boto3
import botocore.config
import pytest
import trio
from botocore.exceptions import ClientError

from euca_box.app import App, roles_that_can_run
from euca_box.blockstore.fake import FakeEngine
from euca_box.config import Config
from euca_box.datadir import DataDir
from euca_box.drivers import Drivers
from euca_box.initialise import initialise
from euca_box.kvm.accelerator import Accelerator
from euca_box.kvm.fake import FakeHypervisor
from euca_box.kvm.vnc import VncError
from euca_box.net.fake import FakeNetwork
from euca_box.net.network import NetworkSettings
from euca_box.network_plan import NetworkPlan
from euca_box.roles.cc.role import Cc
from euca_box.roles.clc.image_loop import flush_if_unused
from euca_box.roles.clc.role import Clc
from euca_box.roles.nc.role import Nc
from euca_box.roles.nc.workbench import HostWorkbench
from euca_box.roles.walrus.role import Walrus
from tests.api.ec2_walker import walk_response
from tests.api.query_walker import walk as walk_query

SUBNET = IPv4Network("127.77.0.0/20")
PUBLIC = tuple(f"198.51.100.{n}" for n in range(10, 100))
SECONDS = 20.0

# What `images/content.py` knows by its first bytes, and nothing more.
KERNEL = bytes(0x202) + b"HdrS" + b"\x0c\x02" + bytes(0x2E) + b"\x01" + bytes(100)
RAMDISK = b"070701" + b"0" * 104 + b"TRAILER!!!\0" + bytes(20)
FILE_SYSTEM = bytes(0x438) + b"\x53\xef" + bytes(4096)
WHOLE_DISK = (
    bytes(446) + b"\x80\0\0\0\x83\0\0\0" + b"\x01\0\0\0\x08\0\0\0" + bytes(48) + b"\x55\xaa" + bytes(512)
)


class SilentConsole:
    async def run(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await trio.sleep_forever()


@dataclass(frozen=True)
class BoxWorkbench(HostWorkbench):
    """Downloads are real; disks are empty files, consoles say what `printed` has."""

    printed: dict[str, bytes] = field(default_factory=dict)  # instance id -> output
    blank: set[str] = field(default_factory=set)  # instances whose screen does not answer

    async def create_overlay(
        self, path: Path, base: Path, base_format: Any, size_bytes: int, uid: int | None
    ) -> None:
        assert base.exists()
        path.touch()

    async def create_formatted(
        self, path: Path, size_bytes: int, kind: Any, label: str, uid: int | None
    ) -> None:
        path.write_text(f"{kind} {label} {size_bytes}")

    async def create_copy(self, path: Path, size_bytes: int, uid: int | None) -> None:
        path.touch()

    async def flatten(self, overlay: Path, target: Path, size_bytes: int, uid: int | None) -> None:
        assert overlay.exists()
        target.write_bytes(WHOLE_DISK + b"stopped")

    async def make_raw(self, copy: Path, target: Path, uid: int | None) -> None:
        target.write_bytes(copy.read_bytes())

    def free_disk_gib(self, path: Path) -> int:
        return 10_000

    def console(self, socket: Path, log: Path, *, fresh: bool) -> Any:
        return SilentConsole()

    async def screenshot(self, socket: Path, *, wake_up: bool) -> bytes:
        if socket.parent.name in self.blank:
            raise VncError("the screen does not answer")
        return b"\xff\xd8\xffjpeg"

    def console_tail(self, log: Path) -> bytes:
        return self.printed.get(log.parent.name, b"")


class BoxApp(App):
    """`walrus`, `clc`, `cc` and `nc` are the roles themselves, for tests that look behind the doors."""

    fakes: Drivers
    engine: FakeEngine
    walrus: Walrus
    clc: Clc
    cc: Cc
    nc: Nc

    def _cc(self, *args: Any) -> Cc:
        self.cc = super()._cc(*args)
        return self.cc

    def _nc(self, *args: Any) -> Nc:
        self.nc = super()._nc(*args)
        return self.nc

    async def _walrus(self, *args: Any) -> Walrus:
        self.walrus = await super()._walrus(*args)
        return self.walrus

    def _clc(self, *args: Any) -> Clc:
        self.clc = super()._clc(*args)
        return self.clc

    def _engine(self) -> FakeEngine:
        self.engine = FakeEngine()
        return self.engine

    @contextlib.asynccontextmanager
    async def _drivers(self) -> AsyncIterator[Drivers | None]:
        yield self.fakes


@dataclass
class CloudBox:
    app: BoxApp
    loop: asyncio.AbstractEventLoop
    hypervisor: FakeHypervisor
    network: FakeNetwork
    workbench: BoxWorkbench
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)  # user -> what AddUser answered
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    _session: boto3.Session = field(default_factory=boto3.Session)

    @property
    def port(self) -> int:
        return self.app.api_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data_dir(self) -> Path:
        return self.app.data.path

    @property
    def metadata_port(self) -> int:
        assert self.app.metadata is not None
        return self.app.metadata.port

    def account(self, user: str = "alice") -> str:
        return str(self.keys[user]["account_id"])

    def credentials(self, user: str = "alice") -> tuple[str, str]:
        return self.keys[user]["access_key_id"], self.keys[user]["secret_access_key"]

    def client(self, service: str, user: str = "alice") -> Any:
        """A boto3 client, kept: making one takes longer than a test."""
        if (service, user) not in self._clients:
            key, secret = self.credentials(user)
            config = botocore.config.Config(
                s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, parameter_validation=False
            )
            self._clients[service, user] = self._session.client(
                service,
                endpoint_url=self.url,
                region_name="us-east-1",
                aws_access_key_id=key,
                aws_secret_access_key=secret,
                config=config,
            )
            walk_answers(self._clients[service, user], service)
        return self._clients[service, user]

    def client_of(self, service: str, key: dict[str, str]) -> Any:
        """A boto3 client with other credentials than a user's first: {AccessKeyId, SecretAccessKey, ...}."""
        config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
        client = self._session.client(
            service,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
            aws_session_token=key.get("SessionToken"),
            config=config,
        )
        walk_answers(client, service)
        return client

    def iam_user(self, name: str, *statements: dict[str, Any], owner: str = "alice") -> dict[str, str]:
        """A user in the account of `owner`, with an inline policy of these statements; its key."""
        iam = self.client("iam", owner)
        iam.create_user(UserName=name)
        if statements:
            document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            iam.put_user_policy(UserName=name, PolicyName="inline", PolicyDocument=document)
        key: dict[str, str] = iam.create_access_key(UserName=name)["AccessKey"]
        self.until_walrus_knows()
        return key

    def until_walrus_knows(self) -> None:
        """All users and policies as they are now."""
        self.until(lambda: self.app.walrus_keyring.version == self.app.keyring.version)

    def ec2(self, user: str = "alice") -> Any:
        return self.client("ec2", user)

    def admin(self, operation: str, **fields: Any) -> dict[str, Any]:
        """An operation of the admin socket; its reply."""
        status, reply = self.admin_raw("POST", f"/{operation}", json.dumps(fields).encode())
        assert status == 200, reply
        return reply

    def admin_at(self, address: str, operation: str, **fields: Any) -> dict[str, Any]:
        """What every role answers, of the role at this address of the bus."""
        status, reply = self.admin_raw("POST", f"/{operation}?at={address}", json.dumps(fields).encode())
        assert status == 200, reply
        return reply

    def admin_raw(self, method: str, path: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("localhost", timeout=SECONDS)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.connect(str(self.app.data.admin_socket))
        try:
            with contextlib.suppress(BrokenPipeError):  # it may answer before it has read the body
                connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def add_user(self, name: str) -> None:
        """A user in an account of its own; known to S3, too, when this returns."""
        made = self.keys[name] = self.admin("AddUser", name=name)
        self.until(lambda: self.app.walrus_keyring.find(made["access_key_id"]) is not None)

    def until(self, is_true: Any, seconds: float = SECONDS) -> None:
        """Look again and again; what is waited for happens in another thread."""
        deadline = time.monotonic() + seconds
        while not is_true():
            assert time.monotonic() < deadline, "it did not become true in time"
            time.sleep(0.01)

    def in_trio(self, function: Any, *args: Any) -> Any:
        """Call the function where the roles live: fakes belong to their thread."""

        async def called() -> Any:
            return function(*args)

        return self.await_in_trio(called)

    def await_in_trio(self, function: Any, *args: Any) -> Any:
        """The same for an async function."""

        async def called() -> Any:
            return await function(*args)

        job = asyncio.run_coroutine_threadsafe(self.app.bridge.to_trio(called), self.loop)
        return job.result(SECONDS)

    def rows(self, role: str, sql: str, *args: Any) -> list[dict[str, Any]]:
        """What stands in a role's database."""
        with contextlib.closing(sqlite3.connect(self.data_dir / role / f"{role}.db")) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(sql, args)]

    def flush_unpacked(self) -> None:
        """As when the image cache of Walrus is full."""
        self.await_in_trio(self.app.walrus.stored.make_room, 1, 0)

    def flush_unused(self) -> None:
        """What the loop of the CLC does once a minute."""
        for image in self.app.walrus.stored.all():
            self.await_in_trio(flush_if_unused, self.app.clc, image.image_id)

    @contextlib.contextmanager
    def unpacking_held(self) -> Iterator[None]:
        """Nothing is unpacked meanwhile."""
        limiter = self.app.walrus.unpacking
        for borrower in range(2):
            self.await_in_trio(limiter.acquire_on_behalf_of, borrower)
        try:
            yield
        finally:
            for borrower in range(2):
                self.in_trio(limiter.release_on_behalf_of, borrower)

    @contextlib.contextmanager
    def imaging_held(self) -> Iterator[None]:
        """No disk is copied meanwhile."""
        limiter = self.app.nc.imaging_limiter
        for borrower in range(2):
            self.await_in_trio(limiter.acquire_on_behalf_of, borrower)
        try:
            yield
        finally:
            for borrower in range(2):
                self.in_trio(limiter.release_on_behalf_of, borrower)

    def count_events(self, instance_id: str, kind: str) -> Any:
        """A function that tells how often it has happened since."""
        events, seen = self.in_trio(self.hypervisor.events), []

        def take() -> int:
            with contextlib.suppress(trio.WouldBlock):
                while True:
                    seen.append(events.receive_nowait())
            return sum((e.name, e.kind) == (instance_id, kind) for e in seen)

        return lambda: self.in_trio(take)

    # The domain

    def register(self, key: str, data: bytes, user: str = "alice", **more: Any) -> str:
        """Upload the bytes and register them; the image id."""
        s3 = self.client("s3", user)
        bucket = f"images-{user}"
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key=key, Body=data)
        reply = self.ec2(user).register_image(
            ImageLocation=f"{bucket}/{key}", Name=more.pop("Name", key), **more
        )
        return str(reply["ImageId"])

    def register_images(self, user: str = "alice") -> tuple[str, str, str]:
        """A kernel, a ramdisk, and a file system that boots with them."""
        kernel = self.register("vmlinuz-tiny", KERNEL, user)
        ramdisk = self.register("initrd-tiny", RAMDISK, user)
        root = self.register("root-tiny", FILE_SYSTEM, user, KernelId=kernel, RamdiskId=ramdisk)
        return kernel, ramdisk, root

    def run_instances(self, image_id: str, count: int = 1, user: str = "alice", **more: Any) -> list[str]:
        asked = {"ImageId": image_id, "MinCount": count, "MaxCount": count, **more}
        return [i["InstanceId"] for i in self.ec2(user).run_instances(**asked)["Instances"]]

    def instance(self, instance_id: str, user: str = "alice") -> dict[str, Any]:
        reply = self.ec2(user).describe_instances(InstanceIds=[instance_id])
        found: dict[str, Any] = reply["Reservations"][0]["Instances"][0]
        return found

    def until_state(self, instance_id: str, state: str, user: str = "alice") -> dict[str, Any]:
        self.until(lambda: self.instance(instance_id, user)["State"]["Name"] == state)
        return self.instance(instance_id, user)

    def until_volume(self, volume_id: str, state: str, user: str = "alice") -> dict[str, Any]:
        """`in-use` is when it is attached, and no longer on its way."""

        def is_there() -> bool:
            volume = self.volume(volume_id, user)
            attached = [a["State"] for a in volume["Attachments"]] in ([], ["attached"])
            return bool(volume["State"] == state and attached)

        self.until(is_there)
        return self.volume(volume_id, user)

    def volume(self, volume_id: str, user: str = "alice") -> dict[str, Any]:
        found: dict[str, Any] = self.ec2(user).describe_volumes(VolumeIds=[volume_id])["Volumes"][0]
        return found

    def until_snapshot(self, snapshot_id: str, state: str, user: str = "alice") -> dict[str, Any]:
        def look() -> dict[str, Any]:
            reply = self.ec2(user).describe_snapshots(SnapshotIds=[snapshot_id])
            found: dict[str, Any] = reply["Snapshots"][0]
            return found

        self.until(lambda: look()["State"] == state)
        return look()

    def terminate(self, instance_ids: list[str], user: str = "alice") -> None:
        """Ended, and nothing left of them."""
        if instance_ids:
            self.ec2(user).terminate_instances(InstanceIds=instance_ids)
            for instance_id in instance_ids:
                self.until_state(instance_id, "terminated", user)

    def terminate_all(self, user: str = "alice") -> None:
        reply = self.ec2(user).describe_instances()
        here = [i for r in reply["Reservations"] for i in r["Instances"]]
        self.terminate([i["InstanceId"] for i in here if i["State"]["Name"] != "terminated"], user)

    def close_clients(self) -> None:
        for client in self._clients.values():
            client.close()


@contextlib.contextmanager
def running_cloud(
    folder: Path,
    *,
    users: tuple[str, ...] = ("alice", "mallory"),
    api: dict[str, Any] | None = None,
    dns: dict[str, Any] | None = None,
    **cloud: Any,
) -> Iterator[CloudBox]:
    """The box with the user admin and these, each in an account of its own.

    `cloud`: settings of [cloud]; images are public unless it says otherwise. `api`, `dns`: of [api], [dns].
    """
    started: list[CloudBox] = []
    ready = threading.Event()
    broken: list[BaseException] = []

    def run() -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(_main(folder, _config(cloud, api or {}, dns or {}), started, ready))
        except BaseException as error:
            broken.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="cloud box")
    thread.start()
    try:
        assert ready.wait(SECONDS)
        if broken:
            raise broken[0]
        [box] = started
        box.until(lambda: _is_up(box))
        box.keys["admin"] = box.admin("GetUserKeys")
        for user in users:
            box.add_user(user)
        yield box
    finally:
        for box in started:
            box.close_clients()
            with contextlib.suppress(RuntimeError):  # it broke: the loop has ended already
                box.loop.call_soon_threadsafe(box.app.stop.set)
        thread.join(SECONDS)
        assert not thread.is_alive()
    if broken:
        raise broken[0]


def walk_answers(client: Any, service: str = "ec2") -> None:
    """Compare every answer that this client gets with the model."""

    def walk(response_dict: Any, event_name: str, **_: Any) -> None:
        if response_dict and response_dict["status_code"] == 200:
            operation = event_name.rpartition(".")[2]
            model = client.meta.service_model.operation_model(operation)
            walk_response(response_dict, model) if service == "ec2" else walk_query(response_dict, model)

    if service in ("ec2", "iam", "sts"):
        client.meta.events.register(f"response-received.{service}", walk)


def _is_up(box: CloudBox) -> bool:
    try:
        return [n["state"] for n in box.admin("DescribeCloud")["nodes"]] == ["UP"]
    except OSError:
        return False  # the admin socket is made a moment after the first answer of the API


async def _main(folder: Path, config: Config, started: list[CloudBox], ready: threading.Event) -> None:
    data = DataDir(folder / "data")
    roles, left_out = roles_that_can_run(config, root=True)
    # Not as a node: there is no QEMU whose user would have to pass through pytest's private folders.
    await initialise(config, data, tuple(role for role in roles if role != "nc"))
    lock = data.lock()
    try:
        plan = NetworkPlan(SUBNET, PUBLIC)
        app = BoxApp(config, data, roles, plan, Accelerator("tcg", "nothing runs here"), left_out)
        app.bind()
        hypervisor = FakeHypervisor(cores=64, memory_mib=64 * 1024)
        hypervisor.disk_content = WHOLE_DISK + b"running"
        network = FakeNetwork(
            NetworkSettings(SUBNET, plan.gateway, data.path / "nc" / "net", 8775, app.api_port, 64055)
        )
        workbench = BoxWorkbench(64055, 65536, trio.CapacityLimiter(4), set_owner=lambda *_: None)
        app.fakes = Drivers(hypervisor, network, workbench)
        started.append(CloudBox(app, asyncio.get_running_loop(), hypervisor, network, workbench))
        await app.run(ready.set)
    finally:
        os.close(lock)
        shutil.rmtree(data.run_dir, ignore_errors=True)


def _config(cloud: dict[str, Any], more: dict[str, Any], dns: dict[str, Any]) -> Config:
    config = Config()
    api = attrs.evolve(config.api, listen=["127.0.0.1"], port=0, console_port=0, metadata_port=0, **more)
    return attrs.evolve(
        config,
        api=api,
        bus=attrs.evolve(config.bus, listen=["127.0.0.1"], port=0),
        dns=attrs.evolve(config.dns, **dns),
        cloud=attrs.evolve(config.cloud, **{"images_public": True, **cloud}),
        cc=attrs.evolve(config.cc, cooling_seconds=0.0),
        sc=attrs.evolve(config.sc, cache_gib=0.0),
    )


def refused(call: Any, **asked: Any) -> tuple[str, int]:
    """The AWS code and the HTTP status with which a boto3 call is refused."""
    with pytest.raises(ClientError) as caught:
        call(**asked)
    reply = caught.value.response
    return reply["Error"]["Code"], reply["ResponseMetadata"]["HTTPStatusCode"]


def filters(**wanted: Any) -> list[dict[str, Any]]:
    """boto3's Filters; `_` stands for `-`, lists are the values of one."""
    return [
        {"Name": name.replace("_", "-"), "Values": value if isinstance(value, list) else [value]}
        for name, value in wanted.items()
    ]


def tagged(kind: str, **tags: str) -> list[dict[str, Any]]:
    """boto3's TagSpecifications."""
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in tags.items()]}]
