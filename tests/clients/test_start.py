"""Starting and stopping as a service: twice, a taken port, a damaged or lost database, a signal, a kill."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from euca_box.cli import common
from euca_box.cli.service import unit_text
from euca_box.client import ClientError
from euca_box.datadir import DataDir

SECONDS = 60.0
ENVIRONMENT = {
    "EUCA_BOX__API__LISTEN": '["127.0.0.1"]',
    "EUCA_BOX__API__PORT": "0",
    "EUCA_BOX__API__CONSOLE_PORT": "0",
    "EUCA_BOX__BUS__PORT": "0",
    "EUCA_BOX__BUS__LISTEN": '["127.0.0.1"]',
}


class Program:
    def __init__(self, folder, **more):
        self.folder, self.environment = folder, os.environ | ENVIRONMENT | more

    def command(self, *args):
        return subprocess.run(
            [sys.executable, "-m", "euca_box", *args, "--data-dir", str(self.folder)],
            env=self.environment, capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip

    @property
    def output(self):
        return self.folder.with_suffix(".out").read_text()

    def start(self, **more):
        command = [sys.executable, "-m", "euca_box", "run", "--roles", "clc,walrus"]
        with self.folder.with_suffix(".out").open("w") as output:
            return subprocess.Popen(
                [*command, "--data-dir", str(self.folder)],
                env=self.environment | more, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def refused(self, **more):
        """What it says when it does not start."""
        process = self.start(**more)
        assert process.wait(SECONDS) == 1
        return self.output

    def until_ready(self, process):
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if common.answers(self.data) and not common.ask(self.data, "status")["waiting"]:
                return
            time.sleep(0.02)
        raise AssertionError(f"it is not ready: {self.output}")

    @property
    def data(self):
        return DataDir(self.folder)


@contextlib.contextmanager
def running(program, **more):
    process = program.start(**more)
    try:
        program.until_ready(process)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)


@pytest.fixture
def program(tmp_path):
    return Program(tmp_path / "d")


def admin_client(program):
    return common.client_of(program.data)


def test_a_second_start_on_the_same_data_is_refused_and_harms_nothing(program):
    with running(program) as first:
        out = program.refused()
        assert f"is in use by process {first.pid}" in out
        assert first.poll() is None
        admin_client(program).make_bucket("still-works")


def test_a_taken_port_is_named_before_anything_is_made(program):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        out = program.refused(EUCA_BOX__API__PORT=port)
    assert f"port {port}" in out and "api.port" in out
    assert not (program.folder / "clc" / "clc.db").exists()


@pytest.mark.parametrize("damage", ["flip", "zero", "cut"])
def test_a_damaged_database_keeps_its_role_down_and_the_others_run(program, damage):
    with running(program):
        admin_client(program).make_bucket("kept-bucket")
        assert program.command("backup", "create").returncode == 0
    path = program.folder / "walrus" / "walrus.db"
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[4096:20000] = os.urandom(20000 - 4096)
    elif damage == "zero":
        data = bytearray(len(data))
    else:
        data = data[: len(data) // 2]
    path.write_bytes(data)
    with running(program):
        status = json.loads(program.command("status", "-o", "json").stdout)
        assert status["roles"]["clc"] == "runs"
        assert "is damaged" in status["roles"]["walrus"] or "not a database" in status["roles"]["walrus"]
        assert "The newest backup here is euca-box-" in status["roles"]["walrus"]
        found = json.loads(program.command("doctor", "-o", "json").stdout)
        assert any(row["check"] == "database" and row["state"] == "fail" for row in found)
    assert path.read_bytes() == bytes(data)
    [backup] = json.loads(program.command("backup", "list", "-o", "json").stdout)
    restored = program.command("backup", "restore", backup["name"], "--replace")
    assert restored.returncode == 0, restored.stderr
    with running(program):
        assert common.ask(program.data, "status")["roles"]["walrus"] == "runs"


@pytest.mark.parametrize("role", ["clc", "walrus"])
def test_a_lost_database_is_not_begun_anew_beside_what_is_there(program, role):
    with running(program):
        client = admin_client(program)
        client.make_bucket("kept-bucket")
        client.s3("PUT", "/kept-bucket/large", {}, b"x" * 700_000)
    for name in (f"{role}.db", f"{role}.db-wal", f"{role}.db-shm"):
        (program.folder / role / name).unlink(missing_ok=True)
    out = program.refused()
    assert f"{role}.db is missing, but this cloud was initialised" in out
    assert not (program.folder / role / f"{role}.db").exists()
    assert len(list((program.folder / "walrus" / "objects").glob("[0-9a-f][0-9a-f]/*"))) == 1


def test_the_service_manager_hears_when_it_is_ready_lives_and_stops(program, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.settimeout(SECONDS)
        with running(program, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="600000"):
            words = [heard.recv(4096).decode() for _ in range(4)]
        rest = []
        heard.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            while True:
                rest.append(heard.recv(4096).decode())
    assert words[0].startswith("READY=1\nSTATUS=") or words[1].startswith("READY=1")
    assert sum(word == "WATCHDOG=1" for word in words) >= 2
    assert rest[-1].startswith("STOPPING=1")


def test_a_stop_finishes_what_was_begun(program):
    """A large object is on its way when the signal comes."""
    with running(program) as process:
        client, status = admin_client(program), []
        client.make_bucket("stop-bucket")

        def put():
            try:
                for number in range(200):
                    client.s3("PUT", f"/stop-bucket/k{number}", {}, os.urandom(200_000))
                    status.append(number)
            except ClientError as error:
                status.append(error)

        thread = threading.Thread(target=put)
        thread.start()
        while len(status) < 5:
            time.sleep(0.01)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(SECONDS)
        thread.join()
        assert process.returncode == 0 and time.monotonic() - begun < 30
    done = [n for n in status if isinstance(n, int)]
    assert all(not error.code.startswith("5") for error in status if isinstance(error, ClientError))
    with running(program):
        client = admin_client(program)
        for number in done:
            assert len(client.get("stop-bucket", f"k{number}")) == 200_000


def test_kills_under_load_lose_nothing_acknowledged(program):
    """Five times here; `make soak` does it a hundred times."""
    restarts = int(os.environ.get("EUCA_BOX_SOAK_RESTARTS", "5"))
    kept, slowest = {}, 0.0
    for turn in range(restarts):
        begun = time.monotonic()
        with running(program) as process:
            slowest = max(slowest, time.monotonic() - begun)
            client = admin_client(program)
            client.make_bucket("kill-bucket")
            for key, body in list(kept.items())[-20:]:
                assert client.get("kill-bucket", key) == body
            killer = threading.Timer(0.5, process.kill)
            killer.start()
            with contextlib.suppress(ClientError):
                for number in range(10_000):
                    key, body = f"t{turn}-{number}", os.urandom(50 + number * 100)
                    client.s3("PUT", f"/kill-bucket/{key}", {}, body)
                    kept[key] = body
            process.wait(SECONDS)
    with running(program):
        client = admin_client(program)
        for key, body in kept.items():
            assert client.get("kill-bucket", key) == body
    assert len(kept) > restarts


def test_up_and_down_are_a_service_without_systemd_too(program):
    if os.path.isdir("/run/systemd/system"):
        pytest.skip("systemd runs here: `up` makes a unit instead of a process of its own")
    program.environment["EUCA_BOX__ROLES"] = '["clc", "walrus"]'
    up = program.command("up")
    try:
        assert up.returncode == 0, up.stderr
        assert "shown once" in up.stdout and "Ready. API http" in up.stdout
        again = program.command("up")
        assert again.returncode == 0 and "It runs on" in again.stdout
        down = program.command("down")
        assert down.returncode == 0 and "guests run on" in down.stdout
        assert program.command("status").returncode == 3
        assert program.command("up").returncode == 0
        assert program.command("down", "--purge", "--yes").returncode == 0
        assert not program.folder.exists()
        assert "No euca-box runs" in program.command("down").stdout
    finally:
        program.command("down", "--yes")


def test_the_unit_is_one_that_systemd_understands(tmp_path):
    unit = tmp_path / "euca-box.service"
    unit.write_text(unit_text("/bin/true"))
    try:
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=30
        )
    except FileNotFoundError:
        pytest.skip("systemd-analyze is missing: apt-get install systemd")
    told = [line for line in done.stderr.splitlines() if "euca-box.service" in line]
    assert told == []
