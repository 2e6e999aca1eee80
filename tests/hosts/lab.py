"""A host, its guests and an outside, as network namespaces. Everything is real but the machines."""

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, TypeVar

from euca_box.model.ids import mac_of
from euca_box.net.network import NetError, NetworkSettings, Port, Rule, SecurityGroup, device_of

from .agent import read_frame, write_frame

HERE = Path(__file__).parent
TAP_UID = 64055  # any uid that is not root
SUBNET = IPv4Network("172.31.0.0/20")
GATEWAY = IPv4Address("172.31.0.1")
METADATA_PORT, API_PORT = 8775, 8773
ALLOW_ALL_OUT = (Rule("-1", -1, -1, cidr="0.0.0.0/0"),)
SG, OTHER_SG = "sg-000000aa", "sg-000000bb"


def group(group_id: str = SG, *ingress: Rule, egress: tuple[Rule, ...] = ALLOW_ALL_OUT) -> SecurityGroup:
    return SecurityGroup(group_id, ingress, egress)


def tcp(port: int, cidr: str | None = "0.0.0.0/0", group_id: str | None = None) -> Rule:
    return Rule("tcp", port, port, cidr=None if group_id else cidr, group_id=group_id)


def port_of(number: int, *group_ids: str) -> Port:
    instance_id = f"i-{0xAB000000 + number:08x}"
    address = str(SUBNET[256 + number])
    return Port(
        instance_id,
        device_of(instance_id),
        mac_of(instance_id),
        address,
        group_ids or (SG,),
        f"ip-{address.replace('.', '-')}",
    )


class Place:
    """A network namespace, and programs in it; all end with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._programs: list[subprocess.Popen[str]] = []
        run(["ip", "netns", "add", name])
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments: str) -> str:
        return run(["ip", "-n", self.name, *arguments])

    def run(self, *command: str, fails: bool = False) -> str:
        return run(["ip", "netns", "exec", self.name, *command], fails=fails)

    def start(self, *command: str) -> "subprocess.Popen[str]":
        """Started, and ready: it has printed its first line."""
        program = subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._programs.append(program)
        assert program.stdout is not None and program.stdout.readline().strip() == "ready"
        return program

    def serve(self, port: int, kind: str = "tcp") -> None:
        self.start(sys.executable, str(HERE / "probe.py"), "serve", kind, str(port))

    def dial(self, address: object, port: int, kind: str = "tcp", source: str = "0.0.0.0") -> str:
        """What the other side sees as our address, or "none"."""
        return self.run(
            sys.executable, str(HERE / "probe.py"), "dial", kind, str(address), str(port), source
        ).strip()

    def hold(self, address: object, port: int) -> "Held":
        return Held(self, str(address), port)

    def count(self, mark: bytes, device: str = "eth0", seconds: float = 0.8) -> Callable[[], int]:
        """Begin to count frames with these bytes in them; the answer tells how many came."""
        command = ("count", mark.hex(), str(seconds), device)
        counter = self.start(sys.executable, str(HERE / "probe.py"), *command)

        def read() -> int:
            assert counter.stdout is not None
            return int(counter.stdout.readline())

        return read

    def tally(
        self, marks: list[bytes], device: str = "eth0", seconds: float = 0.5
    ) -> Callable[[], list[int]]:
        """Begin to count frames with each of these; the answer waits until none has come for a while."""
        command = ("tally", str(seconds), device, *(mark.hex() for mark in marks))
        counter = self.start(sys.executable, str(HERE / "probe.py"), *command)

        def read() -> list[int]:
            assert counter.stdout is not None
            return [int(word) for word in counter.stdout.readline().split()]

        return read

    def send_datagrams(self, address: object, port: int, data: bytes, count: int = 20) -> None:
        self.run(
            sys.executable,
            str(HERE / "probe.py"),
            "datagrams",
            str(count),
            str(address),
            str(port),
            data.hex(),
        )

    def pings(self, address: object) -> bool:
        answer = self.run("ping", "-c1", "-W1", "-n", str(address), fails=True)
        return "1 received" in answer

    def end(self) -> None:
        for program in self._programs:
            program.kill()
            program.communicate()
        run(["ip", "netns", "del", self.name])


class Held:
    """A TCP connection that stays open between questions."""

    def __init__(self, place: Place, address: str, port: int) -> None:
        command = [sys.executable, str(HERE / "probe.py"), "hold", address, str(port)]
        self._program = subprocess.Popen(
            ["ip", "netns", "exec", place.name, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        place._programs.append(self._program)

    def ask(self) -> str:
        assert self._program.stdin is not None and self._program.stdout is not None
        self._program.stdin.write("?\n")
        self._program.stdin.flush()
        return self._program.stdout.readline().strip()


class Guest(Place):
    def __init__(self, host: str, port: Port) -> None:
        super().__init__(f"{host}-{port.device}")
        self.port = port
        self.address = port.private_ip
        command = [
            sys.executable,
            str(HERE / "guest_wire.py"),
            host,
            port.device,
            str(TAP_UID),
            self.name,
            port.mac,
        ]
        self.wire = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._programs.append(self.wire)
        assert self.wire.stdout is not None and self.wire.stdout.readline().strip() == "ready"

    def configure(self) -> "Guest":
        """As DHCP would: address in the subnet, default route by the gateway."""
        network = IPv4Network(self.port.network) if self.port.network else SUBNET
        self.ip("addr", "add", f"{self.address}/{network.prefixlen}", "dev", "eth0")
        self.ip("route", "add", "default", "via", str(network[1]))
        return self

    def send_in_turns(self, count: int, *frames: bytes) -> None:
        self.run(sys.executable, str(HERE / "probe.py"), "turns", str(count), *(f.hex() for f in frames))

    def send_frames(self, frame: bytes, count: int = 20) -> None:
        self.run(sys.executable, str(HERE / "probe.py"), "frames", str(count), frame.hex())


Kept = TypeVar("Kept", bound=Place)


class Lab:
    """`host` runs the network; `outside` is a machine on the uplink's LAN 198.51.100.0/24."""

    def __init__(
        self,
        *,
        uplink: bool = False,
        prepare: bool = True,
        lan: Place | None = None,
        number: int = 1,
        **changes: Any,
    ) -> None:
        """`lan`: a machine whose bridge `lan` is the network of several hosts; this one is 198.51.100.number.
        `changes`: of the settings."""
        self._ends = ExitStack()
        name = f"eb{uuid.uuid4().hex[:6]}"
        self.host = self._keep(Place(name))
        self.address = f"198.51.100.{number}"
        if lan is None:
            self.outside = self._keep(Place(f"{name}-out"))
            self._wire_outside()
        else:
            self.outside = lan
            self._wire_lan(name)
        self.directory = Path(tempfile.mkdtemp(prefix="euca-net-"))
        self._ends.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self.settings = NetworkSettings(
            subnet=SUBNET,
            gateway=GATEWAY,
            state_dir=self.directory / "state",
            run_dir=self.directory / "run",
            metadata_port=METADATA_PORT,
            api_port=API_PORT,
            tap_uid=TAP_UID,
            uplink="up0" if uplink else None,
            dns=("127.0.0.1",),
        )
        self.settings = replace(self.settings, **changes)
        self.directory.chmod(0o755)
        self.agent: subprocess.Popen[bytes] | None = None
        self.last_seconds = 0.0
        self.start_agent()
        try:
            if prepare:
                self.call("prepare")
        except BaseException:
            self.kill_agent()
            self._ends.close()
            raise

    def given_guest(self, number: int, *group_ids: str) -> Guest:
        return self.given_unconfigured_guest(number, *group_ids).configure()

    def given_unconfigured_guest(self, number: int, *group_ids: str) -> Guest:
        port = port_of(number, *group_ids)
        self.call("plug", port)
        return self.given_wire(port)

    def given_wire(self, port: Port) -> Guest:
        """A guest at the tap of a port that is plugged."""
        return self._keep(Guest(self.host.name, port))

    def call(self, method: str, *arguments: object) -> Any:
        """A method of the host's HostNetwork. Raises NetError as it does."""
        assert self.agent is not None and self.agent.stdin is not None
        write_frame(self.agent.stdin, (method, arguments))
        failed, answer, self.last_seconds = read_frame(self.agent.stdout)
        if failed:
            raise NetError(answer)
        return answer

    def start_agent(self, **changes: Any) -> None:
        self.settings = replace(self.settings, **changes)
        self.agent = subprocess.Popen(
            ["ip", "netns", "exec", self.host.name, sys.executable, "-m", "tests.hosts.agent"],
            cwd=HERE.parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        write_frame(self.agent.stdin, self.settings)

    def kill_agent(self) -> None:
        assert self.agent is not None
        self.agent.kill()
        self.agent.communicate()
        self.agent = None

    def end(self) -> None:
        try:
            if self.agent is None:
                self.start_agent()
            self.call("remove")
            self.kill_agent()
        finally:
            self._ends.close()

    def _keep(self, place: Kept) -> Kept:
        self._ends.callback(place.end)
        return place

    def _wire_lan(self, name: str) -> None:
        port = f"l{name}"
        self.host.ip("link", "add", "up0", "type", "veth", "peer", "name", port, "netns", self.outside.name)
        self.host.ip("addr", "add", f"{self.address}/24", "dev", "up0")
        self.host.ip("link", "set", "up0", "up")
        self.outside.ip("link", "set", port, "master", "lan", "up")

    def _wire_outside(self) -> None:
        self.host.ip("link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns", self.outside.name)
        for place, address in ((self.host, "198.51.100.1/24"), (self.outside, "198.51.100.2/24")):
            place.ip("addr", "add", address, "dev", "up0")
            place.ip("link", "set", "up0", "up")


def run(command: list[str], *, fails: bool = False) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, "LC_ALL": "C"}
    )
    assert fails or done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
