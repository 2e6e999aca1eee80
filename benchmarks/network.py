"""The network of a host with 1000 ports and 10,000 rules: changes of rules, new ports, and what packets lose.

All in a network namespace of its own. Traffic goes between two namespaces on veth ports, through our bridge
and through a bare one, in turns; small frames are sent by sendmmsg, and counted where they arrive.
"""

import ctypes
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import trio

from benchmarks.real_cloud import data_folder, enter_own_network
from euca_box.model.ids import mac_of
from euca_box.net.host_network import HostNetwork
from euca_box.net.network import NetworkSettings, Port, Rule, SecurityGroup, device_of

SUBNET, BARE = IPv4Network("172.31.0.0/20"), IPv4Network("10.254.0.0/24")
PORTS, GROUPS, RULES = 1000, 100, 100
CHANGES, SECONDS, ROUNDS = 50, 1.0, 9
AIM_CHANGE_MS, AIM_PORT_MS, AIM_TCP, AIM_SMALL = 100, 50, 0.9, 0.7
ALL = Rule("-1", -1, -1, cidr="0.0.0.0/0")


def port_of(number: int, groups: int) -> Port:
    instance_id = f"i-{0xBE000000 + number:08x}"
    address = str(SUBNET[256 + number])
    group_id = group_of(number % groups)
    name = f"ip-{address.replace('.', '-')}"
    return Port(instance_id, device_of(instance_id), mac_of(instance_id), address, (group_id,), name)


def group_of(number: int) -> str:
    return f"sg-{number + 1:08x}"


def groups_of(count: int, rules: int, changed: int = 0) -> list[SecurityGroup]:
    """`changed`: how often the first group's last rule was replaced."""
    found = []
    for number in range(count):
        listed = [Rule("tcp", 1000 + n, 1000 + n, cidr=f"10.{number}.{n}.0/24") for n in range(rules - 2)]
        last = 20_000 + changed if number == 0 else 20_000
        members = Rule("-1", -1, -1, group_id=group_of(number))
        listed += [Rule("tcp", last, last, cidr="0.0.0.0/0"), members]
        found.append(SecurityGroup(group_of(number), tuple(listed), (ALL,)))
    return found


async def timed(work: Callable[..., Awaitable[None]], *arguments: Any) -> float:
    """Milliseconds."""
    begin = time.perf_counter()
    await work(*arguments)
    return 1000 * (time.perf_counter() - begin)


def show(what: str, found: float, unit: str, aim: str = "") -> None:
    print(f"{what:58}{found:10.1f} {unit:6}{aim}", flush=True)


def p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


async def changes(network: HostNetwork, ports: int, groups: int, rules: int) -> None:
    name = f"{ports} ports, {groups * rules} rules: "
    await network.set_groups(groups_of(groups, rules))
    have = len(await network.ports())
    added = [await timed(lambda n=n: network.plug(port_of(n, groups))) for n in range(have, ports)]  # type: ignore[misc]
    took = [
        await timed(lambda n=n: network.set_groups(groups_of(groups, rules, n))) for n in range(1, CHANGES)
    ]  # type: ignore[misc]
    aim = f"(aim: {AIM_CHANGE_MS})" if ports == PORTS else ""
    show(name + "change of a rule, median", statistics.median(took), "ms")
    show(name + "change of a rule, p95", p95(took), "ms", aim)
    if ports == PORTS:
        last = added[-50:]
        show(
            name + "adding a port, median of the last 50",
            statistics.median(last),
            "ms",
            f"(aim: {AIM_PORT_MS})",
        )
        show(name + "adding a port, p95 of the last 50", p95(last), "ms")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def wire(place: str, device: str, mac: str, address: str, gateway: str | None) -> None:
    """A namespace whose eth0 is at the other end of this port."""
    ip("netns", "add", place)
    ip("link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", place)
    ip("-n", place, "link", "set", "eth0", "address", mac, "up")
    ip("-n", place, "link", "set", "lo", "up")
    ip("-n", place, "addr", "add", address, "dev", "eth0")
    if gateway:
        ip("-n", place, "route", "add", "default", "via", gateway)


def in_place(place: str, mode: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.network", mode, *arguments]
    return subprocess.Popen(["ip", "netns", "exec", place, *command], stdout=subprocess.PIPE, text=True)


def wait_for(program: "subprocess.Popen[str]") -> None:
    assert program.stdout is not None
    program.stdout.readline()


def tcp_mbits(sender: str, receiver: str, address: str) -> float:
    server = in_place(receiver, "receive")
    wait_for(server)
    in_place(sender, "send", address).wait()
    return float(server.communicate()[0])


def small_frames(sender: str, receiver: str, address: str) -> float:
    """Frames a second that arrive."""

    def arrived() -> int:
        command = ["ip", "netns", "exec", receiver, "cat", "/proc/net/dev"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return int(next(line for line in listed.splitlines() if "eth0:" in line).split()[2])

    sink = in_place(receiver, "sink")
    wait_for(sink)
    before, begin = arrived(), time.perf_counter()
    in_place(sender, "blast", address).wait()
    rate = (arrived() - before) / (time.perf_counter() - begin)
    sink.kill()
    sink.communicate()
    return rate


def traffic(
    name: str, aim: float, unit: str, measure: Callable[[str, str, str], float], guests: list[str]
) -> None:
    ours, bare = [], []
    for _ in range(ROUNDS):
        ours.append(measure("bn-a", "bn-b", guests[1]))
        bare.append(measure("bn-c", "bn-d", str(BARE[2])))
    part = statistics.median(a / b for a, b in zip(ours, bare, strict=True))
    show(f"{name}, bare bridge", statistics.median(bare), unit)
    show(f"{name}, ours with {GROUPS * RULES} rules", statistics.median(ours), unit)
    show(f"{name}, median of what ours is of the bare one", 100 * part, "%", f"(aim: {100 * aim:.0f})")


async def measure(folder: Path) -> None:
    settings = NetworkSettings(
        SUBNET, IPv4Address("172.31.0.1"), folder / "state", 8775, 8773, 64055, run_dir=folder / "run",
        dns=("127.0.0.1",),
    )  # fmt: skip
    guests = [port_of(n, GROUPS) for n in (3000, 3000 + GROUPS)]  # of one group
    for place, port in zip(("bn-a", "bn-b"), guests, strict=True):
        wire(place, port.device, port.mac, f"{port.private_ip}/20", "172.31.0.1")
    ip("link", "add", "bare0", "type", "bridge")
    ip("link", "set", "bare0", "up")
    for number, place in enumerate(("bn-c", "bn-d"), start=1):
        wire(place, f"bare{number}", f"02:00:00:00:00:0{number}", f"{BARE[number]}/24", None)
        ip("link", "set", f"bare{number}", "master", "bare0", "up")
    network = HostNetwork(settings)
    await network.prepare()
    await changes(network, 20, 2, 50)
    await changes(network, PORTS, GROUPS, RULES)
    for port in guests:
        await network.plug(port)
    addresses = [port.private_ip for port in guests]
    for nf in "01":
        setting = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
        if setting.exists():
            setting.write_text(nf)
            print(f"bridge-nf-call-iptables = {nf}")
        traffic("TCP", AIM_TCP, "Mbit/s", tcp_mbits, addresses)
        traffic("frames of 64 bytes", AIM_SMALL, "/s", small_frames, addresses)
    await network.remove()


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] in MODES:
        MODES[sys.argv[1]](*sys.argv[2:])
        return
    if not enter_own_network("benchmarks.network"):
        return
    try:
        with data_folder() as folder:
            folder.mkdir()
            trio.run(measure, folder)
    finally:
        for place in ("bn-a", "bn-b", "bn-c", "bn-d"):
            subprocess.run(["ip", "netns", "del", place], stderr=subprocess.DEVNULL)


def receive() -> None:
    with socket.create_server(("0.0.0.0", 20_000)) as server:
        print("ready", flush=True)
        connection, _ = server.accept()
    buffer, total, begin = bytearray(1 << 20), 0, time.perf_counter()
    while size := connection.recv_into(buffer):
        total += size
    print(8e-6 * total / (time.perf_counter() - begin))


def send(address: str) -> None:
    data, deadline = bytes(1 << 18), time.monotonic() + SECONDS
    with socket.create_connection((address, 20_000)) as connection:
        while time.monotonic() < deadline:
            connection.sendall(data)


def sink() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", 20_001))
        print("ready", flush=True)
        _, peer = sock.recvfrom(100)
        sock.sendto(b"go on", peer)  # a connection, as of a call or a game
        time.sleep(60)


class _Part(ctypes.Structure):
    _fields_ = (("base", ctypes.c_char_p), ("size", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """struct mmsghdr of sendmmsg(2)."""

    _fields_ = (
        ("name", ctypes.c_void_p), ("name_size", ctypes.c_uint32), ("parts", ctypes.POINTER(_Part)),
        ("count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_size", ctypes.c_size_t),
        ("flags", ctypes.c_int), ("sent", ctypes.c_uint32),
    )  # fmt: skip


def blast(address: str) -> None:
    """Datagrams in frames of 64 bytes (22 of payload), 64 to a call, as fast as the path takes them."""
    libc, part = ctypes.CDLL(None), _Part(bytes(22), 22)
    messages = (_Message * 64)(*(_Message(parts=ctypes.pointer(part), count=1) for _ in range(64)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((address, 20_001))
        sock.send(b"shall I?")
        sock.recv(100)
        descriptor, deadline = sock.fileno(), time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            libc.sendmmsg(descriptor, messages, 64, 0)


MODES: dict[str, Callable[..., None]] = {"receive": receive, "send": send, "sink": sink, "blast": blast}


if __name__ == "__main__":
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parent.parent))
    main()
