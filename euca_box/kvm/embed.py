"""Prepares the folder of an embedded libvirt (qemu:///embed?root=DIR): its qemu.conf and who may look inside.

QEMU runs as an unprivileged user with a seccomp filter, and libvirt changes the owner of no file: the disks
must belong to that user already. Reference: qemu.conf of libvirt 9.0.
"""

import grp
import pwd
from pathlib import Path

from euca_box.kvm import accelerator as kvm
from euca_box.kvm.accelerator import Accelerator
from euca_box.kvm.hypervisor import KvmError

# Debian builds libvirt with this default for QEMU's user and group. It must exist although we set another:
# libvirt looks it up before it reads qemu.conf. The package libvirt-daemon-system creates both.
BUILT_IN_USER = "libvirt-qemu"

SETTINGS = """\
# Written by euca-box at every start; changes here are lost.
user = "+{uid}"
group = "+{gid}"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
seccomp_sandbox = 1
clear_emulator_capabilities = 1
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
max_core = 0
"""


def prepare_root(root: Path, uid: int, gid: int, accelerator: Accelerator) -> None:
    """Write root/etc/qemu.conf. QEMU must pass through root to its own sockets, and list nothing there.

    Raises KvmError where libvirt could not start for want of its own user.
    """
    _check_built_in_user()
    root.mkdir(parents=True, exist_ok=True, mode=0o711)
    root.chmod(0o711)
    etc = root / "etc"
    etc.mkdir(exist_ok=True, mode=0o700)
    written = etc / "qemu.conf.new"
    written.write_text(SETTINGS.format(uid=uid, gid=qemu_group(gid, accelerator)))
    written.replace(etc / "qemu.conf")


def _check_built_in_user() -> None:
    try:
        pwd.getpwnam(BUILT_IN_USER)
        grp.getgrnam(BUILT_IN_USER)
    except KeyError:
        raise KvmError(
            f"libvirt needs the user and group {BUILT_IN_USER}: install libvirt-daemon-system, or run "
            f"useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {BUILT_IN_USER}"
        ) from None


def qemu_group(gid: int, accelerator: Accelerator, device: Path = kvm.DEVICE) -> int:
    """The group that opens /dev/kvm, where there is KVM and that group is not root's; else gid."""
    if accelerator.name == "tcg":
        return gid
    owner = device.stat().st_gid
    return owner or gid
