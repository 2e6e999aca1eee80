"""Real guests: they boot from an EMI and from a whole disk, outlive us, and cannot fill the host."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from euca_box.kvm.firmware import Firmware, find_uefi
from euca_box.kvm.hypervisor import KvmError
from euca_box.kvm.libvirt_driver import EMBED, open_libvirt
from tests.kvm import real

pytestmark = [pytest.mark.kvm, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
NAME = "i-0000feed"


@pytest.fixture
async def world():
    async with real.real_world() as made:
        yield made


async def _type(console, text):
    async with console.reader.attach() as viewer:
        await viewer.send(text.encode() + b"\n")


@pytest.mark.trio
@pytest.mark.parametrize("whole_disk", [False, True], ids=["kernel, ramdisk and image", "whole disk"])
async def test_the_demo_image_boots_without_a_network_and_has_a_shell_on_its_console(world, whole_disk):
    console = await world.create(await world.given_machine(NAME, whole_disk=whole_disk))

    await console.wait_for(b"euca-box demo: userland started")
    await console.wait_for(b"euca-box demo: ready, without a network card")
    await _type(console, "echo $((6 * 7))-is-it; cat /sys/class/dmi/id/product_uuid")

    await console.wait_for(b"42-is-it")
    await console.wait_for(b"ec2")
    assert b"userland started" in console.ring.tail()


@pytest.mark.trio
@pytest.mark.skipif(find_uefi() is None, reason="needs Debian's package ovmf")
async def test_a_guest_of_uefi_starts_its_firmware_and_looks_at_its_disk(world):
    machine = await world.given_machine(NAME, whole_disk=True)
    found = find_uefi()
    variables = world.folder / "variables.fd"
    shutil.copyfile(found.variables, variables)
    os.chown(variables, real.QEMU_USER, real.QEMU_USER)

    console = await world.create(replace(machine, uefi=Firmware(found.code, variables)))

    await console.wait_for(b"BdsDxe")  # the demo disk has nothing for UEFI: it says so


@pytest.mark.trio
async def test_qemu_runs_without_rights_and_is_never_told_to_guess_a_format(world):
    machine = await world.given_machine(NAME)
    await world.hypervisor.create(machine)

    [process] = [p for p in Path("/proc").iterdir() if p.name.isdigit() and _is_qemu_of(p, machine.name)]
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
    arguments = (process / "cmdline").read_bytes()

    assert status["Uid"].split() == [str(real.QEMU_USER)] * 4
    assert int(status["CapEff"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert b'"driver":"qcow2"' in arguments and b'"driver":"raw"' in arguments


def _is_qemu_of(process, name):
    try:
        return f"guest={name}".encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.trio
async def test_reboot_and_poweroff_typed_in_the_guest_do_what_they_say(world):
    events = world.hypervisor.events()
    console = await world.create(await world.given_machine(NAME))
    await world.wait_booted(NAME)
    console.forget()

    await _type(console, "reboot")
    await console.wait_for(b"userland started")
    await world.wait_booted(NAME)
    await _type(console, "poweroff")

    with trio.fail_after(real.BOOT_SECONDS):
        async for event in events:
            if event.kind == "stopped":
                break
    assert await world.hypervisor.domains() == []


@pytest.mark.trio
async def test_a_guest_that_floods_its_console_fills_neither_disk_nor_memory(world):
    console = await world.create(await world.given_machine(NAME))
    await world.wait_booted(NAME)

    # The mark is made by arithmetic, so that the echo of the typed line does not hold it.
    await _type(console, "dd if=/dev/zero bs=64k count=16 | tr '\\0' x; echo end-$((40 + 2))")
    largest = 0
    with trio.fail_after(real.BOOT_SECONDS):
        while b"end-42" not in console.seen[-200:]:
            await console.heard.wait()
            largest = max(largest, (world.folder / f"{NAME}.log").stat().st_size)

    assert largest <= 2 * 65536
    assert console.ring.tail().count(b"x") > 60000


OWNER = """
import sys, trio
from tests.kvm import real
from pathlib import Path
real.root = lambda: Path(sys.argv[1])
async def main():
    async with real.real_world() as world:
        console = await world.create(await world.given_machine(sys.argv[2]))
        print("running", world.folder, flush=True)
        await trio.sleep_forever()
trio.run(main)
"""
ADOPTER = """
import sys, trio
from tests.kvm import real
from pathlib import Path
real.root = lambda: Path(sys.argv[1])
async def main():
    async with real.real_world() as world:
        events = world.hypervisor.events()
        [domain] = await world.hypervisor.domains()
        print("adopted", domain.name, domain.state.value, domain.labels["generation"], flush=True)
        await world.hypervisor.destroy(domain.name)
        async for event in events:
            print(event.kind, flush=True)
            break
trio.run(main)
"""


# With a tap of ours, made before; carrier says that QEMU has it open.
WIRED = """
import subprocess, sys, trio
from pathlib import Path
from euca_box.kvm.hypervisor import Nic
from tests.kvm import real
real.root = lambda: Path(sys.argv[1])
subprocess.run(["ip", "tuntap", "add", "ttest", "mode", "tap"], check=True)
subprocess.run(["ip", "link", "set", "ttest", "up"], check=True)
async def main():
    async with real.real_world() as world:
        nic = Nic("ttest", "d0:0d:00:00:fe:ed")
        console = await world.create(await world.given_machine(sys.argv[2], nics=(nic,)))
        shown = subprocess.run(["ip", "link", "show", "ttest"], capture_output=True, text=True, check=True)
        print("carrier", "LOWER_UP" in shown.stdout, flush=True)
        await world.wait_booted(sys.argv[2])
        await console.wait_for(b"END SSH HOST KEY")
        console.forget()
        async with console.reader.attach() as viewer:
            await viewer.send(b"cat /sys/class/net/eth0/address\\n")
            await console.wait_for(b"d0:0d:00:00:fe:ed")
    left = subprocess.run(["ip", "link", "show", "ttest"], capture_output=True, text=True)
    print("still", "ttest" in left.stdout, "LOWER_UP" in left.stdout, flush=True)
trio.run(main)
"""


@pytest.mark.skipif(not shutil.which("ip"), reason="needs iproute2")
def test_a_guest_gets_our_tap_boots_although_no_dhcp_answers_and_leaves_the_tap(other_root):
    argv = ["unshare", "--net", sys.executable, "-c", WIRED, str(other_root), NAME]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=200)

    assert done.stdout.split() == ["carrier", "True", "still", "True", "False"], done.stderr


@pytest.fixture
def other_root():
    folder = Path(f"/run/euca-box-test-{os.getpid()}-other")
    yield folder
    for left in filter(Path.is_mount, folder.glob("*")):  # of a process that was killed
        subprocess.run(["umount", "--lazy", str(left)], check=True)
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def _start(script, *arguments):
    argv = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_guest_outlives_the_process_and_is_adopted_by_the_next_one(other_root):
    owner = _start(OWNER, other_root, NAME)
    try:
        first = owner.stdout.readline()
        assert first.startswith("running"), first + owner.stdout.read()

        late = subprocess.run(
            [sys.executable, "-c", ADOPTER, str(other_root), NAME],
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"another process of euca-box uses {other_root}" in late.stderr
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        owner.stdout.close()
    adopter = subprocess.run(
        [sys.executable, "-c", ADOPTER, str(other_root)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert adopter.stdout.splitlines() == [f"adopted {NAME} running 7", "stopped"], adopter.stderr


@pytest.mark.trio
async def test_a_folder_that_cannot_be_used_is_a_clear_error():
    with pytest.raises((KvmError, OSError), match="not-a-folder"):
        async with open_libvirt(EMBED, Path("/dev/null/not-a-folder"), 1, 1, real.accelerator()):
            pass


@pytest.mark.trio
async def test_the_hypervisor_can_be_opened_as_often_as_a_role_is_started_again():
    for _ in range(30):
        async with open_libvirt(
            EMBED, real.root(), real.QEMU_USER, real.QEMU_USER, real.accelerator()
        ) as hypervisor:
            assert await hypervisor.domains() == []
