"""How hosts are woken and switched off: frames on a wire, and a BMC that speaks IPMI."""

import socket
import subprocess
import sys
import time
import uuid
from functools import partial

import pytest
import trio

from euca_box.net.network import NetError
from euca_box.net.power import HostPower, filled, magic_packet, run_command

from .lab import Place, run

MAC = "52:54:00:12:34:56"
SEND = "import sys; from euca_box.net.power import send_magic_packets; send_magic_packets(sys.argv[1])"


@pytest.fixture
def wires():
    """A host with two subnets, and a sleeping one on each."""
    name = uuid.uuid4().hex[:6]
    host, *sleepers = places = [Place(f"eb-{name}-{n}") for n in range(3)]
    try:
        for number, sleeper in enumerate(sleepers, start=1):
            run(["ip", "link", "add", f"w{number}", "netns", host.name, "type", "veth",
                 "peer", "name", "eth0", "netns", sleeper.name])  # fmt: skip
            host.ip(
                "addr", "add", f"10.9.{number}.1/24", "broadcast", f"10.9.{number}.255", "dev", f"w{number}"
            )
            host.ip("link", "set", f"w{number}", "up")
            sleeper.ip("link", "set", "eth0", "up")
        yield host, sleepers
    finally:
        for place in places:
            place.end()


def test_a_magic_packet_goes_into_every_subnet(wires):
    host, sleepers = wires
    counts = [sleeper.count(magic_packet(MAC)) for sleeper in sleepers]
    host.run(sys.executable, "-c", SEND, MAC)
    assert [count() for count in counts] == [1, 1]


def test_a_packet_for_another_host_is_not_counted(wires):
    """The measurement above sees what it claims to see."""
    host, sleepers = wires
    count = sleepers[0].count(magic_packet("52:54:00:00:00:99"))
    host.run(sys.executable, "-c", SEND, MAC)
    assert count() == 0


def test_a_host_without_a_mac_cannot_be_woken():
    with pytest.raises(NetError, match="no MAC address"):
        trio.run(HostPower().wake, "n2", "")


@pytest.mark.parametrize("name", ["-o", "a b", "$(reboot)", "", "a;b", "../x"])
def test_what_is_no_name_of_a_host_reaches_no_command(name):
    with pytest.raises(NetError, match="not the name of a host"):
        filled(["wake", "{host}"], name, MAC)


def test_a_command_that_fails_says_why():
    with pytest.raises(NetError, match=r"ended with 2: .*No such file"):
        trio.run(run_command, ["ls", "/nonexistent"])
    with pytest.raises(NetError, match="cannot be run"):
        trio.run(run_command, ["/nonexistent/wake"])


@pytest.fixture
def bmc(tmp_path):
    """OpenIPMI's simulator of a BMC; the lines of what it was told to do with its chassis."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told, chassis = tmp_path / "told", tmp_path / "chassis"
    told.touch()
    chassis.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    chassis.chmod(0o700)
    auths = "\n".join(f"allowed_auths_{who} md5" for who in ("callback", "user", "operator", "admin"))
    (tmp_path / "lan.conf").write_text(
        f'name "sim"\nset_working_mc 0x20\nstartlan 1\naddr 127.0.0.1 {port}\npriv_limit admin\n{auths}\n'
        f'guid a123456789abcdefa123456789abcdef\nendlan\nchassis_control "{chassis} 0x20"\n'
        'user 2 true "euca" "secret" admin 10 md5\n'
    )
    (tmp_path / "sim.emu").write_text(
        "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n"
        "mc_enable 0x20\n"
    )
    (tmp_path / "password").write_text("secret")
    simulator = subprocess.Popen(
        ["ipmi_sim", "-c", tmp_path / "lan.conf", "-f", tmp_path / "sim.emu", "-s", tmp_path, "-n", "-d"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while f"127.0.0.1:{port} " not in run(["ss", "-lun"]):
        assert simulator.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    yield partial(ipmi, port, tmp_path / "password"), told
    simulator.kill()
    simulator.wait()


def ipmi(port, password, *command):
    """As docs/operator-guide.md has it; the simulator does not answer which ciphers it knows (-C)."""
    return ["ipmitool", "-I", "lanplus", "-C", "3", "-H", "127.0.0.1", "-p", str(port), "-U", "euca",
            "-f", str(password), "chassis", "power", *command]  # fmt: skip


def test_a_host_is_switched_on_and_off_by_ipmi(bmc):
    tool, told = bmc
    power = HostPower(wake_command=tool("on"), sleep_command=tool("off"))
    assert power.can_switch_off
    trio.run(power.wake, "n2", "")
    trio.run(power.switch_off, "n2")
    assert told.read_text().splitlines() == ["0x20 set power 1", "0x20 set power 0"]


def test_a_wrong_password_of_ipmi_is_told_and_does_nothing(bmc, tmp_path):
    tool, told = bmc
    (tmp_path / "password").write_text("wrong")
    with pytest.raises(NetError, match="ipmitool ended with 1"):
        trio.run(HostPower(tool("on")).wake, "n2", "")
    assert told.read_text() == ""
