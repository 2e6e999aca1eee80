"""Says whether this host runs guests by hardware (KVM) or emulates (TCG), and hides a useless /dev/kvm.

A /dev/kvm that exists and cannot be used is common in containers. libvirt 9.0 then throws away what it knows
about QEMU at every start of a guest and asks QEMU again, twelve times: 36 s instead of 0.3 s.
"""

import ctypes
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DEVICE = Path("/dev/kvm")
CPUINFO = Path("/proc/cpuinfo")
CLONE_NEWNS = 0x00020000  # linux/sched.h
MS_BIND = 4096  # linux/mount.h
MS_REC = 16384
MS_SLAVE = 1 << 19


@dataclass(frozen=True, slots=True)
class Accelerator:
    name: Literal["kvm", "tcg"]
    reason: str


def probe(device: Path = DEVICE, cpuinfo: Path = CPUINFO) -> Accelerator:
    """KVM only where the device opens for reading and writing and the CPU says vmx or svm; else TCG."""
    try:
        handle = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return Accelerator("tcg", f"{device} does not open: {error.strerror}")
    try:
        if not stat.S_ISCHR(os.fstat(handle).st_mode):
            return Accelerator("tcg", f"{device} is not a device")
    finally:
        os.close(handle)
    if not _has_virtualization(cpuinfo):
        return Accelerator("tcg", f"{device} opens, but the CPU shows neither vmx nor svm")
    return Accelerator("kvm", f"{device} opens and the CPU can run guests")


def _has_virtualization(cpuinfo: Path) -> bool:
    for line in cpuinfo.read_text(errors="replace").splitlines():
        if line.startswith("flags"):
            return not {"vmx", "svm"}.isdisjoint(line.split())
    return False


def hide_kvm() -> bool:
    """Cover /dev/kvm for this process and its children; False when there is nothing to cover. Needs root.

    Call it before any thread starts: a mount namespace belongs to a thread, and only later threads inherit
    it. Twice is harmless. Raises RuntimeError when threads run already, OSError when the kernel refuses.
    """
    try:
        mode = os.lstat(DEVICE).st_mode
    except FileNotFoundError:
        return False
    if not stat.S_ISCHR(mode):
        return False
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError(
            "hide_kvm() comes too late: other threads run already and would still see /dev/kvm"
        )
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.unshare(CLONE_NEWNS), "unshare the mount namespace")
    # Slave, not private: what the host mounts later must still be seen here; ours must not be seen there.
    _check(libc.mount(b"none", b"/", None, MS_REC | MS_SLAVE, None), "make the mounts slaves")
    _cover(libc)
    return True


def _cover(libc: ctypes.CDLL) -> None:
    handle, cover = tempfile.mkstemp(prefix="euca-box-no-kvm-")
    try:
        os.fchmod(handle, 0)
        target = os.fsencode(DEVICE)
        _check(libc.mount(os.fsencode(cover), target, None, MS_BIND, None), f"cover {DEVICE}")
    finally:
        os.close(handle)
        os.unlink(cover)  # the mount keeps the inode


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {what}: {os.strerror(number)}")
