"""What a node controller asks of a hypervisor: values, errors and the Hypervisor protocol.

Domains are transient: the hypervisor forgets a domain when it stops, and the node controller's records are
the only list of what should run. A domain outlives the process that created it.
"""

import enum
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import trio

from euca_box.kvm.accelerator import Accelerator
from euca_box.kvm.firmware import Firmware
from euca_box.model.usage import Counters

# Events that may wait for the reader; more are dropped, and comparing domains() with the records heals that.
EVENTS_WAITING = 1000
ANSWER_SECONDS = 4.0  # how long a QEMU may take to answer a simple question


class KvmError(Exception):
    """The hypervisor refused, or is not there."""


class NoSuchDomain(KvmError):
    pass


class DomainExists(KvmError):
    pass


class Unresponsive(KvmError):
    """It did not answer in time. What was asked may happen yet."""


class DomainState(enum.Enum):
    RUNNING = "running"
    PAUSED = "paused"
    SHUTOFF = "shutoff"
    CRASHED = "crashed"


DiskFormat = Literal["raw", "qcow2"]
EventKind = Literal["started", "stopped", "crashed", "paused", "resumed", "rebooted"]


@dataclass(frozen=True, slots=True)
class Disk:
    path: Path  # of a file; with `export`, of the unix socket of an NBD server
    format: DiskFormat
    target: str  # "vda"; the guest numbers its disks by slot, so identify one by its serial
    serial: str
    # The whole chain below path, nearest first; written down, so that QEMU never guesses a format.
    backing: tuple[tuple[Path, DiskFormat], ...] = ()
    export: str = ""  # the name of an NBD export


@dataclass(frozen=True, slots=True)
class Nic:
    device: str  # a tap that exists already and belongs to us
    mac: str


@dataclass(frozen=True, slots=True)
class Machine:
    name: str
    uuid: str  # begins with ec2, by which guests know that they are in EC2
    vcpus: int
    memory_mib: int
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]
    serial_socket: Path  # QEMU listens on both; 107 bytes at most
    vnc_socket: Path  # QEMU makes it: its user must be able to write to the folder
    kernel: Path | None = None  # without one, the firmware boots the first disk
    ramdisk: Path | None = None
    cmdline: str = ""
    uefi: Firmware | None = None  # with the guest's own copy of the variables; None: BIOS
    uid: int | None = None  # who QEMU runs as; None: the user that the hypervisor has for all
    labels: Mapping[str, str] = field(default_factory=dict)  # kept with the domain: account, generation...


@dataclass(frozen=True, slots=True)
class Domain:
    name: str
    uuid: str
    state: DomainState
    labels: Mapping[str, str]
    io_error: bool = False  # paused because its disk could not be read or written


@dataclass(frozen=True, slots=True)
class DomainEvent:
    name: str
    kind: EventKind


@dataclass(frozen=True, slots=True)
class HostCapacity:
    cores: int
    memory_mib: int
    accelerator: Accelerator
    qemu_version: str
    libvirt_version: str
    limits: str = ""  # by what a guest is kept to its size, or why it is not


class Hypervisor(Protocol):
    """Every call has a deadline and raises Unresponsive when that has passed."""

    async def create(
        self, machine: Machine, *, before_start: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Make the domain paused, run before_start, then let it run.

        before_start is where a console reader connects, so that no byte of the boot is lost. When it fails or
        is cancelled, the domain is destroyed again. Raises DomainExists, KvmError.
        """

    async def destroy(self, name: str) -> None:
        """Stop the domain at once, as by pulling the plug. A domain that is not there is fine."""

    async def resume(self, name: str) -> None:
        """Let a paused domain run on. One that runs is fine. Raises NoSuchDomain."""

    async def suspend(self, name: str) -> None:
        """Let it stand still until `resume`. One that does is fine. Raises NoSuchDomain."""

    async def shutdown(self, name: str) -> None:
        """Press the power button; returns before the guest has reacted. Raises NoSuchDomain."""

    async def reboot(self, name: str, grace_seconds: float) -> None:
        """Ask the guest to reboot; reset it when it has not done so in time. The domain stays the same.

        Raises NoSuchDomain, also when the guest goes away meanwhile.
        """

    async def copy_disk(self, name: str, target: Path) -> None:
        """Copy the first disk of a running domain, as it is at this moment, into target: an empty qcow2 of
        its size, of QEMU's user. The guest runs on. When cancelled the copy is given up; target stays.

        Raises NoSuchDomain, KvmError.
        """

    async def attach_disk(self, name: str, disk: Disk) -> None:
        """Plug it in while the domain runs. One with this serial that is there already is fine.

        Raises NoSuchDomain, KvmError.
        """

    async def detach_disk(self, name: str, serial: str) -> None:
        """Ask the guest to let go of the disk; returns before it has. One that is not there is fine.

        Raises NoSuchDomain, KvmError.
        """

    async def resize_disk(self, name: str, serial: str, size_bytes: int) -> None:
        """Tell the guest that an exported disk has grown. Raises NoSuchDomain; KvmError until QEMU has
        connected to it again, which it does at the guest's next request.
        """

    async def disks(self, name: str) -> dict[str, str]:
        """Serial -> target of the disks that the domain has now. Raises NoSuchDomain."""

    async def domains(self) -> list[Domain]: ...

    async def unresponsive(self) -> set[str]:
        """Names of domains whose QEMU does not answer; found out within ANSWER_SECONDS."""

    def events(self) -> "trio.MemoryReceiveChannel[DomainEvent]":
        """What happens to domains from now on. Each call has its own channel, of EVENTS_WAITING events."""

    async def capacity(self) -> HostCapacity: ...

    async def usage(self) -> dict[str, Counters]:
        """What each running domain has used, by name."""

    async def close(self) -> None:
        """Let go of the hypervisor; the domains run on."""
