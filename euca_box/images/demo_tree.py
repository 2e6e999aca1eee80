"""Lays out the demo guest, ramdisk and root file system, from unpacked packages and demo_guest/.

Debian's cloud kernel has ext4 built in and virtio as modules, so the ramdisk only loads modules and mounts
the root.
"""

import gzip
import shutil
import stat
from pathlib import Path

from euca_box.images import cpio
from euca_box.images.demo_packages import DemoError

GUEST = Path(__file__).parent / "demo_guest"
# In the order of their dependencies: insmod does not look them up. Names as in /lib/modules, without .ko.
MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
    "virtio-rng",
    "virtio_balloon",
    "button",
    "evdev",
)
FOLDERS = (
    "bin",
    "dev",
    "etc",
    "home/ec2-user",
    "lib64",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "var/log",
)
PROGRAMS = (
    ("dropbear-bin", "usr/sbin/dropbear"),
    ("dropbear-bin", "usr/bin/dropbearkey"),
    ("e2fsprogs", "sbin/resize2fs"),
)
LIBRARIES = (
    ("libc6", "libc.so.6"),
    ("libcrypt1", "libcrypt.so.1"),
    ("libtomcrypt1", "libtomcrypt.so.1"),
    ("libtommath1", "libtommath.so.1"),
    ("libgmp10", "libgmp.so.10"),
    ("zlib1g", "libz.so.1"),
    ("libext2fs2", "libext2fs.so.2"),
    ("libext2fs2", "libe2p.so.2"),
    ("libcom-err2", "libcom_err.so.2"),
)
# What the scripts and a person at the console use; busybox tells its other names by --help.
APPLETS = """
    acpid ash awk blockdev cat chmod chown clear cp cut date dd df dmesg du echo env false find free
    getty grep halt head hexdump hostname id init ip kill less ln login ls md5sum mkdir mkfifo mknod
    more mount mv nc netstat nslookup ping poweroff ps pwd reboot rm rmdir sed seq setsid sh sha256sum
    sleep sort stat stty sync sysctl tail tar tee test timeout top touch tr traceroute true udhcpc
    umount uname uptime usleep vi wc wget which who xargs yes
""".split()  # noqa: SIM905 (a hundred quoted words cannot be read)


def kernel_file(kernel: Path) -> Path:
    [found] = (kernel / "boot").glob("vmlinuz-*")
    return found


def ramdisk(kernel: Path, busybox: Path) -> bytes:
    """The initial ramdisk (gzip of cpio newc): busybox, the drivers, and a script that mounts root=."""
    folders = [cpio.directory(name) for name in ("bin", "dev", "modules", "proc", "root", "sys")]
    entries = [*folders, cpio.character_device("dev/console", 5, 1)]
    entries.append(cpio.file("bin/busybox", busybox.read_bytes(), 0o755))
    entries.append(cpio.file("init", (GUEST / "initrd_init").read_bytes(), 0o755))
    for name in MODULES:
        found = sorted((kernel / "lib/modules").glob(f"*/kernel/**/{name}.ko"))
        if not found:
            raise DemoError(f"the kernel has no module {name}")
        entries.append(cpio.file(f"modules/{name}.ko", found[0].read_bytes()))
    order = "".join(f"{name}.ko\n" for name in MODULES)
    entries.append(cpio.file("modules/order", order.encode()))
    return gzip.compress(cpio.newc(entries), compresslevel=6, mtime=0)


def lay_out_root(tree: Path, packages: dict[str, Path]) -> None:
    """Fill the folder tree, which must not exist, with the guest's root file system."""
    for name in FOLDERS:
        (tree / name).mkdir(parents=True)
    shutil.copytree(GUEST / "root", tree, dirs_exist_ok=True)
    for script in (tree / "etc").rglob("*"):
        if script.is_file() and script.read_bytes().startswith(b"#!"):
            script.chmod(0o755)
    _install(packages["busybox-static"] / "bin/busybox", tree / "bin/busybox")
    for applet in APPLETS:
        (tree / "bin" / applet).symlink_to("busybox")
    for name in ("init", "reboot", "poweroff", "halt"):
        (tree / "sbin" / name).symlink_to("../bin/busybox")
    for package, program in PROGRAMS:
        _install(packages[package] / program, tree / "bin" / Path(program).name)
    for package, library in LIBRARIES:
        _install(_library(packages[package], library), tree / "lib/x86_64-linux-gnu" / library)
    _install(_library(packages["libc6"], "ld-linux-x86-64.so.2"), tree / "lib64/ld-linux-x86-64.so.2")


def _library(package: Path, name: str) -> Path:
    # Debian 12 still has some libraries in /lib, others in /usr/lib, and each may be a link to the real file.
    for folder in ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"):
        if (package / folder / name).exists():
            return (package / folder / name).resolve()
    raise DemoError(f"{package.name} has no {name}")


def _install(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(stat.S_IMODE(0o755))
