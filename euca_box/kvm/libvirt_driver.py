"""The Hypervisor on libvirt; the only module that imports libvirt.

libvirt wants one event loop for the whole process, in a thread of its own. Every blocking call runs in a
thread with a deadline (calls.py). A daemon that went away is connected to again by the next call.
"""

import logging
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import trio

from euca_box.kvm import calls
from euca_box.kvm.accelerator import Accelerator
from euca_box.kvm.calls import Calls
from euca_box.kvm.cgroups import Cgroups
from euca_box.kvm.domain_xml import backup_xml, disk_elements, disk_xml, domain_xml, labels_of
from euca_box.kvm.embed import prepare_root, qemu_group
from euca_box.kvm.hypervisor import (
    ANSWER_SECONDS,
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

# libvirt reads this when it is imported; its errors are exceptions here, standard error is not its place.
os.environ.setdefault("LIBVIRT_LOG_OUTPUTS", "3:syslog:euca-box-libvirt")
import libvirt

T = TypeVar("T")
EMBED = "qemu:///embed"
CREATE_SECONDS = 120.0  # the first one on a new root waits while libvirt asks QEMU what it can
CONNECT_SECONDS = 5.0
ASKED_AT_A_TIME = 8
NO_LIMITS = Cgroups("guests have no limits")
COPY_LOOK_SECONDS = 0.3
# A QEMU that does not answer must not keep the node controller from starting.
ADOPTION_SECONDS = 20.0
KEEPALIVE_SECONDS, KEEPALIVE_COUNT = 5, 2  # by which a daemon that hangs is found out
log = logging.getLogger(__name__)

# virDomainState, libvirt 9.0 include/libvirt/libvirt-domain.h
_STATES = {
    libvirt.VIR_DOMAIN_NOSTATE: DomainState.RUNNING,
    libvirt.VIR_DOMAIN_RUNNING: DomainState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: DomainState.RUNNING,
    libvirt.VIR_DOMAIN_SHUTDOWN: DomainState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: DomainState.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: DomainState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTOFF: DomainState.SHUTOFF,
    libvirt.VIR_DOMAIN_CRASHED: DomainState.CRASHED,
}
_KINDS: dict[int, EventKind] = {
    libvirt.VIR_DOMAIN_EVENT_STARTED: "started",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: "paused",
    libvirt.VIR_DOMAIN_EVENT_RESUMED: "resumed",
    libvirt.VIR_DOMAIN_EVENT_STOPPED: "stopped",
    libvirt.VIR_DOMAIN_EVENT_CRASHED: "crashed",
}
_STATISTICS = (
    libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_BLOCK
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
)
_CRASHES = (libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED, libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED)


class LibvirtHypervisor:
    """Made by open_libvirt()."""

    def __init__(
        self,
        connection: Any,
        accelerator: Accelerator,
        *,
        uri: str,
        root: Path,
        cgroups: Cgroups,
        group: int | None = None,
    ) -> None:
        self._connection = connection
        self._uri = uri
        self._shared = uri.startswith(EMBED)
        self._connecting = threading.Lock()
        self._accelerator = accelerator
        self._group = group
        self._root = root
        self._cgroups = cgroups
        self._calls = Calls()
        self._readers: list[trio.MemorySendChannel[DomainEvent]] = []
        self._trio = trio.lowlevel.current_trio_token()
        self._callbacks: list[int] = []

    async def create(
        self, machine: Machine, *, before_start: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        xml = domain_xml(machine, self._accelerator, self._group)
        await self._run(lambda: self._create_paused(machine.name, xml), seconds=CREATE_SECONDS)
        try:
            if (pid := self._pid(machine.name)) is not None:
                self._cgroups.limit(machine.name, pid, machine.vcpus, machine.memory_mib)
            if before_start is not None:
                await before_start()
            await self.resume(machine.name)
        except BaseException:
            with trio.CancelScope(shield=True):
                await self.destroy(machine.name)
            raise

    async def destroy(self, name: str) -> None:
        try:
            await self._run(lambda: self._find(name).destroy())
        except NoSuchDomain:
            pass
        except KvmError:
            # A domain that stops by itself meanwhile is reported as "not running", in several wordings.
            if any(domain.name == name for domain in await self.domains()):
                raise
        self._calls.forget(name)
        self._cgroups.remove(name)

    async def resume(self, name: str) -> None:
        await self._run(lambda: self._resume(name), domain=name)

    async def suspend(self, name: str) -> None:
        await self._run(lambda: self._suspend(name), domain=name)

    async def shutdown(self, name: str) -> None:
        flags = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
        await self._run(lambda: self._find(name).shutdownFlags(flags), domain=name)

    async def reboot(self, name: str, grace_seconds: float) -> None:
        with self.events() as events:
            if grace_seconds > 0:
                # libvirt presses the power button and turns the guest's power-off into a reset.
                flags = libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN
                await self._run(lambda: self._find(name).reboot(flags), domain=name)
                with trio.move_on_after(grace_seconds):
                    await _wait_rebooted(events, name)
                    return
            await self._run(lambda: self._find(name).reset(0), domain=name)

    async def copy_disk(self, name: str, target: Path) -> None:
        await self._run(lambda: self._begin_copy(name, target), domain=name)
        try:
            # An event that tells the end of a job may be lost with its reader.
            while not await self._run(lambda: self._is_copied(name), domain=name):  # noqa: ASYNC110
                await trio.sleep(COPY_LOOK_SECONDS)
        except trio.Cancelled:
            with trio.CancelScope(shield=True), suppress(KvmError):
                await self._run(lambda: self._find(name).abortJob(), domain=name)
            raise

    async def attach_disk(self, name: str, disk: Disk) -> None:
        await self._run(lambda: self._attach(name, disk), domain=name)

    async def detach_disk(self, name: str, serial: str) -> None:
        await self._run(lambda: self._detach(name, serial), domain=name)

    async def resize_disk(self, name: str, serial: str, size_bytes: int) -> None:
        await self._run(lambda: self._resize(name, serial, size_bytes), domain=name)

    async def disks(self, name: str) -> dict[str, str]:
        found = await self._run(lambda: disk_elements(self._find(name).XMLDesc(0)), domain=name)
        return {serial: target for serial, (target, _) in found.items()}

    async def domains(self) -> list[Domain]:
        return await self._run(self._list)

    async def unresponsive(self) -> set[str]:
        names = [domain.name for domain in await self.domains()]
        found: set[str] = set()
        asked = trio.CapacityLimiter(ASKED_AT_A_TIME)

        async def ask(name: str) -> None:
            if self._calls.is_late(name):
                found.add(name)  # who was asked before has not answered yet
                return
            async with asked:
                try:
                    await self._run(
                        lambda: self._find(name).memoryStats(), domain=name, seconds=ANSWER_SECONDS
                    )
                except Unresponsive:
                    found.add(name)
                except KvmError:
                    pass  # it ends just now

        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(ask, name)
        return found

    def events(self) -> "trio.MemoryReceiveChannel[DomainEvent]":
        sender, receiver = trio.open_memory_channel[DomainEvent](EVENTS_WAITING)
        self._readers.append(sender)
        return receiver

    async def capacity(self) -> HostCapacity:
        return await self._run(self._measure)

    async def usage(self) -> dict[str, Counters]:
        self._cgroups.remove_empty()
        found: dict[str, Counters] = {}
        for domain in await self.domains():
            name = domain.name
            if not self._calls.is_late(name):
                # Each by itself: a QEMU that stands still costs its own figures, and nobody else's.
                with suppress(KvmError):
                    ask = partial(self._counters, name)
                    found[name] = await self._run(ask, domain=name, seconds=ANSWER_SECONDS)
        return found

    async def close(self) -> None:
        for sender in self._readers:
            sender.close()
        self._readers.clear()
        await self._run(self._disconnect)

    async def _run(
        self, call: Callable[[], T], *, domain: str | None = None, seconds: float = calls.SECONDS
    ) -> T:
        try:
            return await self._calls.run(call, domain=domain, seconds=seconds)
        except libvirt.libvirtError as error:
            if not self._shared:
                with suppress(Unresponsive):
                    await self._calls.run(self._connect_again, seconds=CONNECT_SECONDS)
            raise translated(error) from error

    # Below: blocking, in threads.

    def subscribe(self) -> None:
        register = self._connection.domainEventRegisterAny
        self._callbacks = [
            register(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle, None),
            register(None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, self._on_reboot, None),
        ]

    def _connect_again(self) -> None:
        """A daemon that was restarted has forgotten us. The embedded libvirt lives as long as we do."""
        if self._connection.isAlive() or not self._connecting.acquire(blocking=False):
            return
        try:
            self._connection = _opened(self._uri)
            self.subscribe()
            log.warning("connected to %s again", self._uri)
        except libvirt.libvirtError as error:
            log.warning("%s does not answer: %s", self._uri, error)
        finally:
            self._connecting.release()

    def wait_adopted(self) -> None:
        """Return when libvirt has connected again to every domain of an earlier process.

        libvirt does that behind open(); a domain destroyed meanwhile dies without an event.
        """
        for domain in self._connection.listAllDomains(0):
            with suppress(libvirt.libvirtError):
                domain.memoryStats()  # waits for its turn, after the reconnection

    def _disconnect(self) -> None:
        for number in self._callbacks:
            self._connection.domainEventDeregisterAny(number)
        self._callbacks = []
        if not self._shared:
            self._connection.close()

    def _pid(self, name: str) -> int | None:
        """Of a QEMU that our embedded libvirt started; a daemon sets limits itself."""
        try:
            return int((self._root / "run" / "qemu" / f"{name}.pid").read_text()) if self._shared else None
        except (OSError, ValueError) as error:
            log.warning("%s runs without limits: its process is not known: %s", name, error)
            return None

    def _find(self, name: str) -> Any:
        return self._connection.lookupByName(name)

    def _create_paused(self, name: str, xml: str) -> None:
        try:
            self._connection.createXML(xml, libvirt.VIR_DOMAIN_START_PAUSED)
        except libvirt.libvirtError as error:
            try:
                self._find(name)
            except libvirt.libvirtError:
                raise error from None
            raise DomainExists(f"there is a domain {name} already") from error

    def _resume(self, name: str) -> None:
        domain = self._find(name)
        if _STATES[domain.state()[0]] is DomainState.PAUSED:
            domain.resume()

    def _suspend(self, name: str) -> None:
        domain = self._find(name)
        if _STATES[domain.state()[0]] is DomainState.RUNNING:
            domain.suspend()

    def _attach(self, name: str, disk: Disk) -> None:
        domain = self._find(name)
        if disk.serial not in disk_elements(domain.XMLDesc(0)):
            domain.attachDeviceFlags(disk_xml(disk), libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def _resize(self, name: str, serial: str, size_bytes: int) -> None:
        domain = self._find(name)
        found = disk_elements(domain.XMLDesc(0)).get(serial)
        if found is None:
            raise KvmError(f"{name} has no disk {serial}")
        domain.blockResize(found[0], size_bytes, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)

    def _detach(self, name: str, serial: str) -> None:
        domain = self._find(name)
        found = disk_elements(domain.XMLDesc(0)).get(serial)
        if found is not None:
            domain.detachDeviceFlags(found[1], libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def _begin_copy(self, name: str, target: Path) -> None:
        domain = self._find(name)
        if domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE:
            domain.abortJob()  # an earlier process began it, and nobody waits for it
        domain.backupBegin(backup_xml(target), None, libvirt.VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL)

    def _is_copied(self, name: str) -> bool:
        """Raises KvmError when the copy failed."""
        domain = self._find(name)
        if domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE:
            return False
        ended = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
        if ended.get("type") != libvirt.VIR_DOMAIN_JOB_COMPLETED:
            raise KvmError(f"the copy of the disk of {name} failed: {ended.get('errmsg', 'no reason given')}")
        return True

    def _list(self) -> list[Domain]:
        found = []
        for domain in self._connection.listAllDomains(0):
            try:
                state, reason = domain.state()
                xml = domain.XMLDesc(0)
            except libvirt.libvirtError:
                continue  # it stopped since the list was made
            labels = labels_of(xml)
            if labels is not None:
                failed = (state, reason) == (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR)
                found.append(
                    Domain(domain.name(), domain.UUIDString(), _STATES[state], labels, io_error=failed)
                )
        return found

    def _counters(self, name: str) -> Counters:
        flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        [(_, values)] = self._connection.domainListGetStats([self._find(name)], _STATISTICS, flags)
        return _counters_of(values)

    def _measure(self) -> HostCapacity:
        cores = self._connection.getInfo()[2]
        # Not getInfo()[1]: on a host with hot-plugged memory it was a fifth of what /proc/meminfo says.
        memory_mib = self._connection.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)["total"] // 1024
        qemu, own = self._connection.getVersion(), self._connection.getLibVersion()
        limits = self._cgroups.reason
        return HostCapacity(cores, memory_mib, self._accelerator, _version(qemu), _version(own), limits)

    # Below: called by libvirt in its event thread.

    def _on_lifecycle(self, _: Any, domain: Any, event: int, detail: int, __: Any) -> None:
        kind = _KINDS.get(event)
        if event == libvirt.VIR_DOMAIN_EVENT_STOPPED and detail in _CRASHES:
            kind = "crashed"
        if kind is not None:
            self._tell(DomainEvent(domain.name(), kind))

    def _on_reboot(self, _: Any, domain: Any, __: Any) -> None:
        self._tell(DomainEvent(domain.name(), "rebooted"))

    def _tell(self, event: DomainEvent) -> None:
        try:
            self._trio.run_sync_soon(self._deliver, event)
        except trio.RunFinishedError:
            log.debug("event after the end: %s", event)

    def _deliver(self, event: DomainEvent) -> None:
        for sender in list(self._readers):
            try:
                sender.send_nowait(event)
            except trio.WouldBlock:
                log.warning("an event of %s was dropped: its reader is slow", event.name)
            except trio.BrokenResourceError:
                self._readers.remove(sender)


async def _wait_rebooted(events: "trio.MemoryReceiveChannel[DomainEvent]", name: str) -> None:
    async for event in events:
        if event.name != name:
            continue
        if event.kind == "rebooted":
            return
        if event.kind in ("stopped", "crashed"):
            raise NoSuchDomain(f"{name} stopped instead of rebooting")


@asynccontextmanager
async def open_libvirt(
    uri: str, root: Path, uid: int, gid: int, accelerator: Accelerator, cgroups: Cgroups = NO_LIMITS
) -> AsyncIterator[LibvirtHypervisor]:
    """A hypervisor at uri; with EMBED, libvirt runs in this process and keeps its files below root.

    uid and gid are who QEMU runs as (EMBED only; the first call of a process decides, and keeps root in use
    until the process ends). Under TCG call hide_kvm() first. The first start of a guest on a new root takes
    seconds more, while libvirt asks QEMU what it can do. Raises KvmError.
    """
    if uri == EMBED:
        prepare_root(root, uid, gid, accelerator)
        uri = f"{EMBED}?root={root}"
    _start_event_loop()
    connection = await trio.to_thread.run_sync(_connect, uri, root)
    group = qemu_group(gid, accelerator)
    opened = LibvirtHypervisor(
        connection,
        accelerator,
        uri=uri,
        root=root,
        cgroups=cgroups,
        group=None if group == gid else group,
    )
    await trio.to_thread.run_sync(opened.subscribe)
    with trio.move_on_after(ADOPTION_SECONDS):
        await trio.to_thread.run_sync(opened.wait_adopted, abandon_on_cancel=True)
    try:
        yield opened
    finally:
        with trio.CancelScope(shield=True):
            await opened.close()


def _connect(uri: str, root: Path) -> Any:
    try:
        if uri.startswith(EMBED):
            return _open_embedded(uri)
        return _opened(uri)
    except libvirt.libvirtError as error:
        if "pid file" in str(error):
            raise KvmError(f"another process of euca-box uses {root}: stop it first") from error
        raise KvmError(f"cannot open {uri}: {error}") from error


def _opened(uri: str) -> Any:
    """A connection to a daemon."""
    connection = libvirt.open(uri)
    with suppress(libvirt.libvirtError):  # a driver without a daemon has none
        connection.setKeepAlive(KEEPALIVE_SECONDS, KEEPALIVE_COUNT)
    return connection


@cache
def _open_embedded(uri: str) -> Any:
    """The one connection of this process to its embedded libvirt, shared and never closed.

    libvirt 9.0 registers its drivers at every embedded open until its table of about 20 is full ("Too many
    drivers"): a role that is started again and again would meet that.
    """
    return libvirt.open(uri)


@cache
def _start_event_loop() -> None:
    """libvirt knows one event loop for the life of a process, and needs it before the first connection."""
    libvirt.virEventRegisterDefaultImpl()
    # Every error is an exception here; libvirt would also print it on standard error.
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    threading.Thread(target=_serve_events, name="libvirt-events", daemon=True).start()


def _serve_events() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            log.exception("libvirt's event loop stumbled")


def translated(error: Any) -> KvmError:
    """Our error for one of libvirt's."""
    if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
        return NoSuchDomain(str(error))
    return KvmError(str(error))


def _counters_of(values: dict[str, Any]) -> Counters:
    """Names as in libvirt 9.0, virConnectGetAllDomainStats."""

    def total(group: str, name: str) -> int:
        return sum(values.get(f"{group}.{n}.{name}", 0) for n in range(values.get(f"{group}.count", 0)))

    return Counters(
        cpu_seconds=values.get("cpu.time", 0) / 1e9,
        memory_mib=values.get("balloon.rss", 0) // 1024,
        disk_read_bytes=total("block", "rd.bytes"),
        disk_written_bytes=total("block", "wr.bytes"),
        net_in_bytes=total("net", "rx.bytes"),
        net_out_bytes=total("net", "tx.bytes"),
    )


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
