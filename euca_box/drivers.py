"""The node's real drivers: hypervisor, network, files; opened together, closed in order."""

import contextlib
import fcntl
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import trio

from euca_box.config import Config
from euca_box.datadir import DataDir
from euca_box.kvm import accelerator
from euca_box.kvm.accelerator import Accelerator
from euca_box.kvm.cgroups import Cgroups, find_cgroups
from euca_box.kvm.hypervisor import Hypervisor
from euca_box.kvm.libvirt_driver import open_libvirt
from euca_box.model.instance_names import InstanceNames
from euca_box.net.host_network import HostNetwork
from euca_box.net.network import NetError, Network, NetworkSettings
from euca_box.net.power import wake_mac
from euca_box.network_plan import NetworkPlan
from euca_box.roles.nc.guest_users import SPAN
from euca_box.roles.nc.workbench import HostWorkbench, Workbench

log = logging.getLogger(__name__)

THREADS = 4  # downloads at once


@dataclass(frozen=True)
class Drivers:
    hypervisor: Hypervisor
    network: Network
    workbench: Workbench
    wake_mac: str = ""  # of the interface that a magic packet wakes; empty when there is none


def choose_accelerator(config: Config) -> Accelerator:
    """KVM where it works, by setting; under TCG the device is hidden from libvirt.

    Call before any thread starts: hiding makes a mount namespace of this process's own.
    """
    found = accelerator.probe()
    if config.nc.accelerator == "tcg":
        found = Accelerator("tcg", "nc.accelerator says so")
    if found.name == "tcg" and os.geteuid() == 0:
        try:
            accelerator.hide_kvm()
        except OSError as error:  # in a chroot, whose root is no mount
            log.warning(
                "a /dev/kvm that cannot be used stays visible, so that guests start slowly: %s", error
            )
    return found


UID_MAP = Path("/proc/self/uid_map")


def usable_uid(uid: int, mapped: Path = UID_MAP) -> int | None:
    """The user for storage daemons; None (as we do) where the namespace lacks it, or we are not root."""
    return uid if uid and os.geteuid() == 0 and _is_mapped(uid, 1, mapped) else None


def guest_uids(first: int, mapped: Path = UID_MAP) -> int:
    """The first of the guests' users; 0 where a user namespace has too few numbers, or we are not root."""
    if not first or os.geteuid() != 0:
        return 0
    if _is_mapped(first, SPAN, mapped):
        return first
    log.warning("no users of their own for guests: this user namespace has no uid %d. All run as one.", first)
    return 0


def _is_mapped(first: int, count: int, mapped: Path) -> bool:
    ranges = [line.split() for line in mapped.read_text().splitlines()]
    return any(int(low) <= first and first + count <= int(low) + int(size) for low, _, size in ranges)


def _lock_bridge(bridge: str) -> None:
    """One process for each bridge of a network namespace; held until this process ends. Raises NetError."""
    namespace = os.stat("/proc/self/ns/net").st_ino
    path = Path("/run/euca-box") / f"{bridge}-{namespace}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise NetError(
            f"another euca-box on this host has the bridge {bridge}. Stop it, or set network.bridge."
        ) from None


def network_of(config: Config, data: DataDir, plan: NetworkPlan, api_port: int) -> HostNetwork:
    """The network of this host's guests; nothing is touched yet."""
    names = InstanceNames(config.dns.domain)
    ranges = tuple((IPv4Address(ip), IPv4Address(ip)) for ip in plan.public_addresses)
    return HostNetwork(
        NetworkSettings(
            mode=plan.mode,
            tunnel=plan.tunnel,
            cut_revoked=config.network.cut_revoked,
            name_server=f"127.0.0.1#{config.dns.port}" if config.dns.domain else "",
            own_domains=(names.internal, names.domain) if names.domain else (),
            domain=names.internal,
            subnet=plan.subnet,
            gateway=plan.gateway,
            state_dir=data.path / "nc" / "net",
            metadata_port=config.api.metadata_port,
            api_port=api_port,
            tap_uid=config.nc.qemu_uid,
            bridge=config.network.bridge,
            public_addresses=ranges,
            uplink=config.network.uplink or None,
            dns=tuple(config.network.dns),
            run_dir=data.run_dir / "net",
        )
    )


@contextlib.asynccontextmanager
async def open_drivers(
    config: Config, data: DataDir, plan: NetworkPlan, found: Accelerator, api_port: int
) -> AsyncIterator[Drivers]:
    """Raises KvmError, NetError."""
    uid, bridge = config.nc.qemu_uid, config.network.bridge
    _lock_bridge(bridge)
    network = network_of(config, data, plan, api_port)
    workbench = HostWorkbench(
        uid,
        config.nc.console_kib * 1024,
        trio.CapacityLimiter(THREADS),
        ca_file=str(data.path / "ca.pem"),
    )
    mac = await trio.to_thread.run_sync(wake_mac, config.nc.wake_interface)
    limits = find_cgroups() if config.nc.guest_limits else Cgroups("nc.guest_limits is off")
    limits.remove_empty()
    if not limits.folders:
        log.warning("%s", limits.reason)
    async with open_libvirt(config.nc.hypervisor, data.libvirt_root, uid, uid, found, limits) as hypervisor:
        try:
            yield Drivers(hypervisor, network, workbench, mac)
        finally:
            with trio.CancelScope(shield=True):
                await network.close()
