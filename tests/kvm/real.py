"""Real guests for tests: libvirt in this process, QEMU under TCG, the demo image. Needs root, takes seconds.

libvirt embeds itself once in a process, so all tests share one root under /run (short socket paths).
"""

import atexit
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import trio

from euca_box.images.demo import COMMAND_LINE, DemoImage, build_demo
from euca_box.images.inspect import open_image
from euca_box.kvm import disks
from euca_box.kvm.accelerator import Accelerator, hide_kvm, probe
from euca_box.kvm.console import ConsoleReader, ConsoleRing
from euca_box.kvm.hypervisor import Disk, Hypervisor, Machine, Nic
from euca_box.kvm.libvirt_driver import EMBED, open_libvirt

QEMU_USER = 65501
DEMO = Path("/tmp/euca-box-test-demo")
BOOT_SECONDS = 120.0


@cache
def accelerator() -> Accelerator:
    """Probe once, and cover a useless /dev/kvm when no other thread is left from earlier tests."""
    found = probe()
    if found.name == "tcg" and os.geteuid() == 0:
        # trio's and anyio's idle threads leave after 10 s; hide_kvm() says so if they do not.
        ends = time.monotonic() + 15
        while threading.active_count() > 1 and time.monotonic() < ends:
            time.sleep(0.1)
        hide_kvm()
    return found


@cache
def root() -> Path:
    folder = Path(f"/run/euca-box-test-{os.getpid()}")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def demo() -> DemoImage:
    return build_demo(DEMO, lambda line: None)


@dataclass
class Console:
    """A guest's console, read from its first byte."""

    reader: ConsoleReader
    ring: ConsoleRing
    seen: bytes = b""
    heard: trio.Event = field(default_factory=trio.Event)

    async def wait_for(self, words: bytes, seconds: float = BOOT_SECONDS) -> None:
        with trio.move_on_after(seconds):
            while words not in self.seen:
                await self.heard.wait()
            return
        raise AssertionError(f"the console never said {words!r}: ...{self.seen[-1500:]!r}")

    def forget(self) -> None:
        self.seen = b""

    async def listen(self) -> None:
        async with self.reader.attach() as viewer:
            async for piece in viewer.output:
                self.seen += piece
                self.heard.set()
                self.heard = trio.Event()


class World:
    """Real machines in a folder of their own; all are destroyed at the end."""

    def __init__(self, hypervisor: Hypervisor, folder: Path, nursery: trio.Nursery) -> None:
        self.hypervisor = hypervisor
        self.folder = folder
        self.consoles: dict[str, Console] = {}
        self._nursery = nursery

    async def given_machine(
        self, name: str, *, whole_disk: bool = False, nics: tuple[Nic, ...] = (), size_mib: int = 64
    ) -> Machine:
        image = await trio.to_thread.run_sync(demo)
        for file in (image.kernel, image.ramdisk, image.root, image.disk):
            if not (self.folder / file.name).exists():
                await trio.to_thread.run_sync(shutil.copyfile, file, self.folder / file.name)
                (self.folder / file.name).chmod(0o644)
        base = self.folder / (image.disk.name if whole_disk else image.root.name)
        disk = self.folder / f"{name}.qcow2"
        await disks.create_overlay(disk, base, "raw", size_mib << 20)
        os.chown(disk, QEMU_USER, QEMU_USER)
        return Machine(
            name=name,
            uuid="ec2" + str(uuid.uuid4())[3:],
            vcpus=1,
            memory_mib=128,
            disks=(Disk(disk, "qcow2", "vda", f"root-{name}", ((base, "raw"),)),),
            nics=nics,
            serial_socket=self.folder / f"{name}.serial",
            vnc_socket=self.folder / f"{name}.vnc",
            kernel=None if whole_disk else self.folder / image.kernel.name,
            ramdisk=None if whole_disk else self.folder / image.ramdisk.name,
            cmdline="" if whole_disk else COMMAND_LINE,
            labels={"account": "a<1>&\"'é", "generation": "7"},
        )

    async def create(self, machine: Machine) -> Console:
        async def connect_console() -> None:
            ring = ConsoleRing(self.folder / f"{machine.name}.log")
            reader = ConsoleReader(machine.serial_socket, ring)
            self.consoles[machine.name] = Console(reader, ring)
            self._nursery.start_soon(self.consoles[machine.name].listen)
            await self._nursery.start(reader.run)

        await self.hypervisor.create(machine, before_start=connect_console)
        return self.consoles[machine.name]

    def crash(self, name: str) -> None:
        os.kill(self._qemu(name), signal.SIGKILL)

    def hang(self, name: str) -> None:
        os.kill(self._qemu(name), signal.SIGSTOP)

    def wake(self, name: str) -> None:
        os.kill(self._qemu(name), signal.SIGCONT)

    def fail_disk(self, name: str) -> None:
        """The folder of the disks is full, and the guest writes more than is free."""
        free = shutil.disk_usage(self.folder).free
        with (self.folder / "ballast").open("wb") as ballast:
            ballast.write(bytes(max(free - (1 << 20), 0)))
        self._nursery.start_soon(self._type, name, b"dd if=/dev/zero of=/big bs=1M count=16; sync\n")

    def heal_disk(self, name: str) -> None:
        (self.folder / "ballast").unlink()

    async def _type(self, name: str, keys: bytes) -> None:
        async with self.consoles[name].reader.attach() as viewer:
            await viewer.send(keys)

    def _qemu(self, name: str) -> int:
        return int((root() / "run" / "qemu" / f"{name}.pid").read_text())

    async def given_target(self, machine: Machine, name: str = "copy") -> Path:
        target = self.folder / f"{machine.name}-{name}.qcow2"
        overlay = machine.disks[0].path
        # It is locked by its QEMU, which is why its size is not asked of qemu-img.
        size = int.from_bytes(overlay.read_bytes()[24:32], "big")
        await disks.create_qcow2(target, size)
        os.chown(target, QEMU_USER, QEMU_USER)
        return target

    async def given_disk(self, serial: str) -> Disk:
        path = self.folder / f"{serial}.raw"
        await disks.create_raw(path, 8 << 20)
        os.chown(path, QEMU_USER, QEMU_USER)
        return Disk(path, "raw", "vdb", serial)

    async def is_whole(self, machine: Machine, target: Path) -> bool:
        """A self-contained disk with the file system of the image, found clean enough to read."""
        facts = open_image(target)
        checked = await trio.run_process(
            ["qemu-img", "check", "-f", "qcow2", str(target)], check=False, capture_stdout=True
        )
        return (facts.format, facts.content, checked.returncode) == ("qcow2", "filesystem", 0)

    async def wait_booted(self, name: str) -> None:
        # The shell starts after acpid, which is what shutdown and reboot need.
        await self.consoles[name].wait_for(b"built-in shell")


@asynccontextmanager
async def real_world() -> AsyncIterator[World]:
    found = accelerator()
    async with (
        open_libvirt(EMBED, root(), QEMU_USER, QEMU_USER, found) as hypervisor,
        trio.open_nursery() as nursery,
    ):
        folder = root() / uuid.uuid4().hex[:8]
        folder.mkdir()
        # A file system of its own, so that a test can fill it.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=192m", "euca-box-test", folder], check=True)
        folder.chmod(0o711)
        os.chown(folder, QEMU_USER, QEMU_USER)
        try:
            yield World(hypervisor, folder, nursery)
        finally:
            with trio.CancelScope(shield=True):
                for domain in await hypervisor.domains():
                    await hypervisor.destroy(domain.name)
            nursery.cancel_scope.cancel()
            subprocess.run(["umount", "--lazy", folder], check=True)
            folder.rmdir()
