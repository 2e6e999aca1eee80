"""A cloud of several hosts on one machine: each a network namespace with a process and a data directory of
its own, on one LAN; and a client's namespace. Real everything. Needs root.

    with Cluster(folder) as cluster:
        cluster.start_first(roles="clc,walrus,cc,sc")
        cluster.add("b", "nc")

`python -m tests.cluster.demo` (`make demo-cluster`) starts one for a person.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from euca_box.datadir import DataDir

LAN = "198.51.100"
CLIENT = 200
READY_SECONDS = 90.0


def ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


@dataclass
class Box:
    """One host. `number` is the last part of its address."""

    cluster: "Cluster"
    name: str
    number: int
    data: DataDir
    process: "subprocess.Popen[bytes] | None" = None
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()  # with which it was started

    @property
    def namespace(self) -> str:
        return f"{self.cluster.mark}{self.name}"

    @property
    def address(self) -> str:
        return f"{LAN}.{self.number}"

    @property
    def log(self) -> Path:
        return self.data.path.with_suffix(".out")

    def command(self, *arguments: str) -> list[str]:
        config = ["--config", str(self.cluster.folder / "config.toml")]
        more = config if arguments[0] in ("run", "join", "init") else []
        place = ["--data-dir", str(self.data.path)]
        inside = ["ip", "netns", "exec", self.namespace]
        return [*inside, sys.executable, "-m", "euca_box", *arguments, *more, *place]

    def run(self, *arguments: str, fails: bool | None = False) -> str:
        """A command of euca-box on this host; what it printed."""
        done = subprocess.run(
            self.command(*arguments),
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert fails in (None, bool(done.returncode)), (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout + (done.stderr if fails else "")

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments, "-o", "json"))

    def start(self, *arguments: str) -> "Box":
        self.arguments = arguments or self.arguments
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self.command("run", "--no-demo", *self.arguments),
                env=self._environment(), stdout=output, stderr=output, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        return self

    def until_ready(self, seconds: float = READY_SECONDS) -> "Box":
        self.cluster.until(lambda: self._is_ready(), seconds, lambda: self.log.read_text()[-3000:])
        return self

    def _is_ready(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log.read_text()[-3000:]
        asked = [*self.command("status", "-o", "json")]
        done = subprocess.run(
            asked, env=self._environment(), capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode in (0, 4) and not json.loads(done.stdout)["waiting"]

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9; guests run on."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def restart(self) -> "Box":
        self.kill()
        return self.start()

    def nft(self, rules: str) -> None:
        """Rules of the table inet cut, which stand for broken cables; "" mends them."""
        text = "table inet cut {}\ndelete table inet cut\n" + (
            f"table inet cut {{ {rules}\n}}\n" if rules else ""
        )
        inside = ["ip", "netns", "exec", self.namespace, "nft", "-f", "-"]
        subprocess.run(inside, input=text, text=True, check=True, capture_output=True)

    def guests(self) -> list[int]:
        """Processes of QEMU that run in this host's namespace: pid by pid."""
        pids = ip("netns", "pids", self.namespace).split()
        return [int(pid) for pid in pids if _program_of(int(pid)).startswith("qemu-system")]

    def end(self) -> None:
        """The process, then everything that runs in the namespace, by pid; and the namespace."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        self.kill()
        for pid in ip("netns", "pids", self.namespace).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        ip("netns", "del", self.namespace)
        shutil.rmtree(self.data.run_dir, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONUNBUFFERED": "1"} | self.environment


class Cluster:
    def __init__(self, folder: Path, settings: str = "") -> None:
        self.folder, self.mark = folder, f"ec{uuid.uuid4().hex[:5]}"
        self.boxes: dict[str, Box] = {}
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        (folder / "config.toml").write_text(CONFIG + settings)
        self.lan = f"{self.mark}lan"
        ip("netns", "add", self.lan)
        ip("-n", self.lan, "link", "add", "lan", "type", "bridge")
        ip("-n", self.lan, "link", "set", "lan", "up")
        self.client = f"{self.mark}client"
        self._plug(self.client, CLIENT)

    def _plug(self, namespace: str, number: int) -> None:
        ip("netns", "add", namespace)
        ip("-n", namespace, "link", "set", "lo", "up")
        near, far = "eth0", f"p{number}"
        ip("-n", self.lan, "link", "add", far, "type", "veth", "peer", "name", near, "netns", namespace)
        ip("-n", self.lan, "link", "set", far, "master", "lan", "up")
        ip("-n", namespace, "addr", "add", f"{LAN}.{number}/24", "dev", near)
        ip("-n", namespace, "link", "set", near, "up")

    def box(self, name: str, **environment: str) -> Box:
        """A host that runs nothing yet."""
        number = len(self.boxes) + 1
        made = Box(self, name, number, DataDir(self.folder / name), environment=environment)
        self._plug(made.namespace, number)
        self.boxes[name] = made
        return made

    @property
    def first(self) -> Box:
        return next(iter(self.boxes.values()))

    def start_first(self, roles: str) -> Box:
        return self.box("a").start("--roles", roles).until_ready()

    def token(self, roles: str, zone: str = "") -> tuple[str, str]:
        """URL and token."""
        asked = [word for role in roles.split(",") for word in ("--role", role)]
        made = self.first.json("token", "create", *asked, *(["--zone", zone] if zone else []))
        return made["url"], made["text"]

    def add(self, name: str, roles: str, zone: str = "", **environment: str) -> Box:
        """A host that joins with these roles, and runs."""
        box = self.box(name, **environment)
        box.run("join", *self.token(roles, zone), "--roles", roles, "--name", name)
        return box.start().until_ready()

    def components(self) -> dict[str, dict[str, Any]]:
        return {row["address"]: row for row in self.first.json("component", "list")}

    def until(self, is_true: Any, seconds: float = 30.0, why: Any = lambda: "") -> None:
        deadline = time.monotonic() + seconds
        while not is_true():
            assert time.monotonic() < deadline, f"it did not become true in {seconds} s: {why()}"
            time.sleep(0.3)

    def until_up(self, *addresses: str, seconds: float = 60.0) -> None:
        def are_up() -> bool:
            found = self.components()
            return all(found.get(a, {}).get("state") == "ENABLED" for a in addresses)

        self.until(are_up, seconds, self.components)

    def pings(self, address: str) -> bool:
        """Whether the client gets an answer."""
        inside = ["ip", "netns", "exec", self.client]
        ping = [*inside, "ping", "-c1", "-W2", address]
        return subprocess.run(ping, capture_output=True, check=False).returncode == 0

    def end(self) -> None:
        for box in self.boxes.values():
            box.end()
        for namespace in (self.client, self.lan):
            ip("netns", "del", namespace)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *error: object) -> None:
        self.end()


CONFIG = """
[network]
private_subnet = "10.88.0.0/24"
public_addresses = "198.51.100.50-198.51.100.90"
private_interface = "eth0"
uplink = "eth0"
dns = ["198.51.100.200"]

[nc]
reserved_memory_mib = 256
stop_grace_seconds = 5.0

[cc]
poll_seconds = 2.0
"""


def _program_of(pid: int) -> str:
    try:
        first = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return ""
    return Path(first.decode(errors="replace")).name


@contextlib.contextmanager
def cluster_in(folder: Path) -> Iterator[Cluster]:
    with Cluster(folder) as made:
        yield made
