"""Builds the demo image: a small Debian-made Linux as EKI + ERI + EMI and as a bootable disk, in seconds.

The guest does what an EC2 image does: DHCP, metadata (IMDSv2, else v1), SSH key, user data, clean shutdown.
It has secure shell for root and ec2-user, and a root shell on the serial console. 128 MiB of memory suffice.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from euca_box.images import demo_disk, demo_packages, demo_tree
from euca_box.images.demo_packages import DemoError

__all__ = ["COMMAND_LINE", "DemoError", "DemoImage", "build_demo"]

ROOT_SIZE_BYTES = 16 << 20
DISK_SIZE_BYTES = 40 << 20
# For the EMI, which is a bare file system on the first virtio disk.
COMMAND_LINE = "root=/dev/vda console=ttyS0 no_timer_check quiet"
STAMP = "demo.json"


@dataclass(frozen=True, slots=True)
class DemoImage:
    kernel: Path  # EKI, a bzImage
    ramdisk: Path  # ERI, gzip of cpio
    root: Path  # EMI, bare ext4 of 16 MiB; boot with COMMAND_LINE
    disk: Path  # a whole disk of 40 MiB with MBR and boot loader


def build_demo(folder: Path, progress: Callable[[str], None]) -> DemoImage:
    """Build into the folder, unless the same is there already. Blocks for seconds; twice is harmless.

    progress gets a line of plain words for each step. Raises DemoError, and leaves no half image behind.
    """
    image = DemoImage(folder / "vmlinuz", folder / "initrd", folder / "root.ext4", folder / "disk.raw")
    if _is_built(folder, image):
        progress("the demo image is there already")
        return image
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as workspace:
        _build(Path(workspace), image, progress)
    progress("done")
    return image


def _build(workspace: Path, image: DemoImage, progress: Callable[[str], None]) -> None:
    packages = demo_packages.fetch_packages(workspace, progress)
    tree = workspace / "tree"
    progress("making the ramdisk and the root file system")
    kernel = demo_tree.kernel_file(packages["kernel"])
    ramdisk = demo_tree.ramdisk(packages["kernel"], packages["busybox-static"] / "bin/busybox")
    demo_tree.lay_out_root(tree, packages)
    demo_disk.make_filesystem(tree, workspace / "root.ext4", ROOT_SIZE_BYTES)
    (workspace / "initrd").write_bytes(ramdisk)
    shutil.copyfile(kernel, workspace / "vmlinuz")
    progress("making the bootable disk")
    (tree / "boot").mkdir()
    shutil.copyfile(kernel, tree / "boot/vmlinuz")
    (tree / "boot/initrd").write_bytes(ramdisk)
    libraries = [packages[name] for name in demo_packages.LOADER_PACKAGES if name.startswith("lib")]
    folders = [package / part for package in libraries for part in _LIBRARY_FOLDERS]
    loader = demo_disk.boot_loader(packages["grub-common"], packages["grub-pc-bin"], folders, workspace)
    demo_disk.make_disk(tree, workspace / "disk.raw", DISK_SIZE_BYTES, loader)
    _publish(workspace, image, sorted(path.name for path in (workspace / "debs").iterdir()))


_LIBRARY_FOLDERS = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")


def _publish(workspace: Path, image: DemoImage, packages: list[str]) -> None:
    """Move the files into place; the stamp comes last, so that it never vouches for a half image."""
    stamp = image.kernel.parent / STAMP
    stamp.unlink(missing_ok=True)
    for target in _files(image):
        os.replace(workspace / target.name, target)
        target.chmod(0o644)
    sizes = {target.name: target.stat().st_size for target in _files(image)}
    written = {"inputs": _inputs(), "packages": packages, "sizes": sizes}
    (workspace / STAMP).write_text(json.dumps(written, indent=1))
    os.replace(workspace / STAMP, stamp)


def _is_built(folder: Path, image: DemoImage) -> bool:
    try:
        stamp = json.loads((folder / STAMP).read_text())
        sizes = {target.name: target.stat().st_size for target in _files(image)}
    except (OSError, ValueError):
        return False
    return isinstance(stamp, dict) and stamp.get("inputs") == _inputs() and stamp.get("sizes") == sizes


def _files(image: DemoImage) -> tuple[Path, ...]:
    return (image.kernel, image.ramdisk, image.root, image.disk)


def _inputs() -> str:
    """Hash of all that decides the content, the package versions aside: the code and the guest's files."""
    here = Path(__file__).parent
    sources = [
        *here.glob("demo*.py"),
        here / "cpio.py",
        *(p for p in demo_tree.GUEST.rglob("*") if p.is_file()),
    ]
    digest = hashlib.sha256()
    for source in sorted(sources):
        digest.update(str(source.relative_to(here)).encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()
