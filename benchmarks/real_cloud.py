"""A real cloud for a benchmark: `euca-box run` in a process and a network namespace of its own. Needs root.

Everything that the cloud makes in the network (bridge, taps, firewall tables) goes with the namespace.
"""

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load import cpu_seconds
from euca_box.datadir import DataDir

INSIDE = "EUCA_BOX_BENCHMARK_INSIDE"
PORTS = {"PORT": 18773, "CONSOLE_PORT": 18443, "METADATA_PORT": 18775}
PROGRAM = Path(sys.executable).parent / "euca-box"
START_SECONDS = 60.0
STOP_SECONDS = 30.0


def enter_own_network(module: str) -> bool:
    """True within the namespace. Outside: run the module again inside one, remove it, and answer False."""
    if os.environ.get(INSIDE):
        return True
    if os.geteuid() != 0:
        print("skipped: needs root")
        return False
    name = f"euca-bench-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        argv = ["ip", "netns", "exec", name, sys.executable, "-m", module]
        subprocess.run(argv, env=os.environ | {INSIDE: "1"}, check=True)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
    return False


@contextlib.contextmanager
def data_folder() -> Iterator[Path]:
    """A short path that QEMU's user can pass through, as sockets and disks need."""
    with tempfile.TemporaryDirectory(prefix="ebb", dir="/var/tmp") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "d"


@dataclass
class RealCloud:
    process: subprocess.Popen[bytes]
    data_dir: Path
    ready_seconds: float  # from exec to a good answer of /readyz

    def rss_mib(self) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("no VmRSS")

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.process.pid)

    def wait_for_node(self) -> None:
        """Until the node offers something: on a first start libvirt asks QEMU what it can, for seconds."""
        argv = [str(PROGRAM), "status", "--wait", "60", "--data-dir", str(self.data_dir)]
        subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

    def command(self, *args: str) -> Any:
        """The JSON that a command of ours prints."""
        argv = [str(PROGRAM), *args, "-o", "json", "--data-dir", str(self.data_dir)]
        done = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)


@contextlib.contextmanager
def real_cloud(data_dir: Path, more: dict[str, str] | None = None) -> Iterator[RealCloud]:
    """Started, with `more` settings, answering, and at the end stopped.

    Terminate instances before: guests outlive the process.
    """
    settings = {f"EUCA_BOX__API__{name}": str(port) for name, port in PORTS.items()}
    settings |= {"EUCA_BOX__API__LISTEN": '["127.0.0.1"]', "EUCA_BOX__NETWORK__BRIDGE": "ebench"} | (
        more or {}
    )
    argv = [str(PROGRAM), "run", "--roles", "all", "--no-demo", "--data-dir", str(data_dir)]
    log = data_dir.with_name("output.log")
    with log.open("ab") as output:
        begin = time.perf_counter()
        process = subprocess.Popen(argv, env=os.environ | settings, stdout=output, stderr=output)
    try:
        while not _is_ready():
            if process.poll() is not None or time.perf_counter() - begin > START_SECONDS:
                raise RuntimeError(f"it did not start: {log.read_text()[-2000:]}")
            time.sleep(0.005)
        yield RealCloud(process, data_dir, time.perf_counter() - begin)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _stop_dhcp(data_dir)


def _stop_dhcp(data_dir: Path) -> None:
    """It goes on for the guests when the cloud stops; here no guest is left."""
    run_dir = DataDir(data_dir).run_dir
    for file in run_dir.glob("net/*/dnsmasq.pid"):
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(int(file.read_text()), signal.SIGTERM)
    shutil.rmtree(run_dir, ignore_errors=True)


def _is_ready() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", PORTS["PORT"], timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
