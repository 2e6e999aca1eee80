"""A Hypervisor in memory, for simulations and for development without QEMU; it keeps the same contract.

Outlives the role that uses it, as domains do: give the same object to the next one. Deterministic under
MockClock.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from euca_box.kvm.accelerator import Accelerator
from euca_box.kvm.domain_xml import domain_xml, labels_of
from euca_box.kvm.hypervisor import (
    EVENTS_WAITING,
    Disk,
    Domain,
    DomainEvent,
    DomainExists,
    DomainState,
    EventKind,
    HostCapacity,
    KvmError,
    Machine,
    NoSuchDomain,
    Unresponsive,
)
from euca_box.model.usage import Counters

ACCELERATOR = Accelerator("tcg", "nothing runs here")


@dataclass(frozen=True, slots=True)
class _Guest:
    machine: Machine
    labels: Mapping[str, str]
    state: DomainState
    booted_at: float  # trio's clock; before that the guest reacts to no button


class FakeHypervisor:
    def __init__(self, *, cores: int = 8, memory_mib: int = 16384, boot_seconds: float = 0.0) -> None:
        self.broken: str | None = None  # set to make the next call fail with this text
        self.create_fails: str | None = None  # the same for the next create
        self.boot_seconds = boot_seconds
        self.hung: set[str] = set()  # domains whose QEMU stands still
        self.failing: set[str] = set()  # domains whose disk fails: a resumed one pauses again
        self.paused_by_disk: set[str] = set()
        self.copy_seconds = 0.0
        self.copy_fails: str | None = None  # the same for the next copy of a disk
        self.disk_content = b"what a guest has on its disk"
        self.clinging: set[tuple[str, str]] = set()  # guests that do not let go of a disk, by its serial
        self.sizes: dict[tuple[str, str], int] = {}  # what guests were told of disks that grew
        self.machines: dict[str, Machine] = {}  # what exists now, by name
        self._cores = cores
        self._memory_mib = memory_mib
        self._guests: dict[str, _Guest] = {}
        self._readers: list[trio.MemorySendChannel[DomainEvent]] = []

    async def create(
        self, machine: Machine, *, before_start: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        await self._enter()
        if self.create_fails is not None:
            reason, self.create_fails = self.create_fails, None
            raise KvmError(reason)
        labels = labels_of(domain_xml(machine, ACCELERATOR))
        if machine.name in self._guests:
            raise DomainExists(f"there is a domain {machine.name} already")
        if any(machine.uuid == guest.machine.uuid for guest in self._guests.values()):
            raise KvmError(f"there is a domain with the uuid {machine.uuid} already")
        self._guests[machine.name] = _Guest(machine, labels or {}, DomainState.PAUSED, 0.0)
        self.machines[machine.name] = machine
        self._tell(machine.name, "started")
        try:
            if before_start is not None:
                await before_start()
            self._boot(machine.name, "resumed")
        except BaseException:
            self._remove(machine.name, "stopped")
            raise

    async def destroy(self, name: str) -> None:
        await self._enter()
        self._remove(name, "stopped")

    async def resume(self, name: str) -> None:
        await self._enter()
        self._ask(name)
        if self._guest(name).state is DomainState.PAUSED:
            self._boot(name, "resumed")
            self.paused_by_disk.discard(name)
            if name in self.failing:
                self.fail_disk(name)

    async def suspend(self, name: str) -> None:
        await self._enter()
        self._ask(name)
        if self._guest(name).state is DomainState.RUNNING:
            self.pause(name)

    async def shutdown(self, name: str) -> None:
        await self._enter()
        self._ask(name)
        if self._guest(name).booted_at <= trio.current_time():
            self._remove(name, "stopped")

    async def reboot(self, name: str, grace_seconds: float) -> None:
        await self._enter()
        self._ask(name)
        if self._guest(name).booted_at > trio.current_time():
            await trio.sleep(grace_seconds)
        self._guest(name)  # it may have gone meanwhile
        self._boot(name, "rebooted")

    async def copy_disk(self, name: str, target: Path) -> None:
        await self._enter()
        self._guest(name)
        if self.copy_fails is not None:
            reason, self.copy_fails = self.copy_fails, None
            raise KvmError(reason)
        await trio.sleep(self.copy_seconds)
        self._guest(name)  # it may have gone meanwhile
        self._write(target)

    async def attach_disk(self, name: str, disk: Disk) -> None:
        await self._enter()
        self._ask(name)
        here = self._guest(name).machine.disks
        if any(d.serial == disk.serial for d in here):
            return
        if any(d.target == disk.target for d in here):
            raise KvmError(f"the target {disk.target} is taken")
        self._plug(name, (*here, disk))

    async def detach_disk(self, name: str, serial: str) -> None:
        await self._enter()
        self._ask(name)
        here = self._guest(name).machine.disks
        if (name, serial) not in self.clinging:
            self._plug(name, tuple(d for d in here if d.serial != serial))

    async def resize_disk(self, name: str, serial: str, size_bytes: int) -> None:
        await self._enter()
        self._ask(name)
        if all(disk.serial != serial for disk in self._guest(name).machine.disks):
            raise KvmError(f"{name} has no disk {serial}")
        self.sizes[name, serial] = size_bytes

    async def disks(self, name: str) -> dict[str, str]:
        await self._enter()
        return {disk.serial: disk.target for disk in self._guest(name).machine.disks}

    async def domains(self) -> list[Domain]:
        await self._enter()
        return [
            Domain(
                name,
                guest.machine.uuid,
                guest.state,
                guest.labels,
                io_error=name in self.paused_by_disk,
            )
            for name, guest in self._guests.items()
        ]

    async def unresponsive(self) -> set[str]:
        await self._enter()
        return self.hung & self._guests.keys()

    def events(self) -> "trio.MemoryReceiveChannel[DomainEvent]":
        sender, receiver = trio.open_memory_channel[DomainEvent](EVENTS_WAITING)
        self._readers.append(sender)
        return receiver

    async def capacity(self) -> HostCapacity:
        await self._enter()
        return HostCapacity(self._cores, self._memory_mib, ACCELERATOR, "0.0.0", "0.0.0")

    async def usage(self) -> dict[str, Counters]:
        """Each guest has been busy on one core since it was started."""
        await self._enter()
        now = trio.current_time()
        return {
            name: Counters(cpu_seconds=max(now - guest.booted_at, 0.0), memory_mib=guest.machine.memory_mib)
            for name, guest in self._guests.items()
            if guest.state is DomainState.RUNNING
        }

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()
        for sender in self._readers:
            sender.close()
        self._readers.clear()

    # What a test, or fate, does to guests.

    def crash(self, name: str) -> None:
        """QEMU dies. Raises NoSuchDomain."""
        self._guest(name)
        self._remove(name, "crashed")

    def power_off(self, name: str) -> None:
        """The guest shuts itself down. Raises NoSuchDomain."""
        self._guest(name)
        self._remove(name, "stopped")

    def fail_disk(self, name: str) -> None:
        """An I/O error stops the guest, and again after each resume, until the disk is healed."""
        self.failing.add(name)
        self.paused_by_disk.add(name)
        self.pause(name)

    def heal_disk(self, name: str) -> None:
        self.failing.discard(name)

    def pause(self, name: str) -> None:
        """Raises NoSuchDomain."""
        self._guests[name] = replace(self._guest(name), state=DomainState.PAUSED)
        self._tell(name, "paused")

    async def _enter(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.broken is not None:
            reason, self.broken = self.broken, None
            raise KvmError(reason)

    def _plug(self, name: str, disks: tuple[Disk, ...]) -> None:
        machine = replace(self._guest(name).machine, disks=disks)
        self._guests[name] = replace(self._guest(name), machine=machine)
        self.machines[name] = machine

    def _ask(self, name: str) -> None:
        if name in self.hung:
            raise Unresponsive(f"{name} does not answer")

    def _write(self, target: Path) -> None:
        if not target.exists():
            raise KvmError(f"there is no file {target}")
        target.write_bytes(self.disk_content)

    def _guest(self, name: str) -> _Guest:
        try:
            return self._guests[name]
        except KeyError:
            raise NoSuchDomain(f"there is no domain {name}") from None

    def _boot(self, name: str, kind: EventKind) -> None:
        booted_at = trio.current_time() + self.boot_seconds
        self._guests[name] = replace(self._guest(name), state=DomainState.RUNNING, booted_at=booted_at)
        self._tell(name, kind)

    def _remove(self, name: str, kind: EventKind) -> None:
        if self._guests.pop(name, None) is not None:
            del self.machines[name]
            self.paused_by_disk.discard(name)
            self._tell(name, kind)

    def _tell(self, name: str, kind: EventKind) -> None:
        for sender in list(self._readers):
            try:
                sender.send_nowait(DomainEvent(name, kind))
            except trio.WouldBlock:
                pass  # as the real one: comparing domains() with the records heals it
            except trio.BrokenResourceError:
                self._readers.remove(sender)
