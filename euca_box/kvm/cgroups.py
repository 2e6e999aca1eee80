"""Limits of guests by control groups: CPU, memory and tasks of one QEMU, by the size of its machine.

Version 2 (Debian 12's own) where the controllers are there, else version 1. The groups are
`/sys/fs/cgroup/.../euca-box/NAME`; libvirt, embedded in our process, makes none. References: the kernel's
admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst, scheduler/sched-bwc.rst.
"""

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

ROOT = Path("/sys/fs/cgroup")
PARENT = "euca-box"
PERIOD_US = 100_000
MORE_CPU = 0.5  # cores beside the virtual CPUs: disks, network, screen
MORE_MEMORY_MIB = 512  # QEMU itself, its translated code, its screen; a guest must never feel this limit
TASKS = 1024
V2_CONTROLLERS = ("cpu", "memory", "pids")


@dataclass(frozen=True)
class Cgroups:
    """Where groups of guests are made; without folders, none are. `reason` says so, in words."""

    reason: str
    folders: Mapping[str, Path] = field(default_factory=dict)  # controller -> the parent of the groups

    def limit(self, name: str, pid: int, vcpus: int, memory_mib: int) -> None:
        """Put a process into a group of its own. One that cannot be limited is logged, and runs on."""
        try:
            for controller, folder in self.folders.items():
                group = folder / name
                group.mkdir(exist_ok=True)
                for file, value in _values(controller, vcpus, memory_mib).items():
                    if (group / file).exists():  # swap accounting and others may be left out of a kernel
                        (group / file).write_text(value)
                (group / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            log.warning("%s runs without limits: %s", name, error)

    def remove(self, name: str) -> None:
        """The empty groups of a guest that has gone. Harmless when they are not there, or not empty yet."""
        for folder in set(self.folders.values()):
            with suppress(OSError):
                (folder / name).rmdir()

    def remove_empty(self) -> None:
        """Groups that a crash left."""
        for folder in set(self.folders.values()):
            for group in [path for path in folder.iterdir() if path.is_dir()]:
                with suppress(OSError):
                    group.rmdir()


def find_cgroups(root: Path = ROOT) -> Cgroups:
    """What this host lets us make."""
    try:
        found = _version_2(root) or _version_1(root)
    except OSError as error:
        return Cgroups(f"guests have no limits: {error.strerror} ({error.filename})")
    if found is None:
        return Cgroups(f"guests have no limits: no control groups of cpu and memory in {root}")
    return found


def _version_2(root: Path) -> Cgroups | None:
    controllers = root / "cgroup.controllers"
    if not controllers.exists() or not {"cpu", "memory"} <= set(controllers.read_text().split()):
        return None
    here = [name for name in V2_CONTROLLERS if name in controllers.read_text().split()]
    wish = " ".join(f"+{name}" for name in here)
    parent = root / PARENT
    (root / "cgroup.subtree_control").write_text(wish)
    parent.mkdir(exist_ok=True)
    (parent / "cgroup.subtree_control").write_text(wish)
    return Cgroups(f"limits by cgroup version 2: {', '.join(here)}", {"v2": parent})


def _version_1(root: Path) -> Cgroups | None:
    here = [name for name in V2_CONTROLLERS if (root / name / "cgroup.procs").exists()]
    if not {"cpu", "memory"} <= set(here):
        return None
    for name in here:
        (root / name / PARENT).mkdir(exist_ok=True)
    return Cgroups(
        f"limits by cgroup version 1: {', '.join(here)}", {name: root / name / PARENT for name in here}
    )


def _values(controller: str, vcpus: int, memory_mib: int) -> dict[str, str]:
    quota_us = round((vcpus + MORE_CPU) * PERIOD_US)
    memory = str((memory_mib + MORE_MEMORY_MIB) * 1024 * 1024)
    version_1 = {
        "cpu": {
            "cpu.shares": str(1024 * vcpus),
            "cpu.cfs_period_us": str(PERIOD_US),
            "cpu.cfs_quota_us": str(quota_us),
        },
        "memory": {"memory.limit_in_bytes": memory},
        "pids": {"pids.max": str(TASKS)},
    }
    version_2 = {
        "cpu.weight": str(min(100 * vcpus, 10_000)),
        "cpu.max": f"{quota_us} {PERIOD_US}",
        "memory.max": memory,
        "pids.max": str(TASKS),
    }
    return version_2 if controller == "v2" else version_1[controller]
