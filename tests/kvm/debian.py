"""A Debian cloud image as people make them: mmdebstrap and cloud-init, nothing of ours in it.

Made once for a machine, in two minutes, from the packages that the machine itself is installed from.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("/var/tmp/euca-box-test-debian")
PACKAGES = (
    "systemd-sysv,udev,cloud-init,openssh-server,ifupdown,isc-dhcp-client,iproute2,linux-image-cloud-amd64,"
    "netbase,kmod"
)
SIZE_MIB = 900


@dataclass(frozen=True)
class DebianImage:
    kernel: Path
    ramdisk: Path
    root: Path


def debian_image() -> DebianImage:
    made = DebianImage(FOLDER / "vmlinuz", FOLDER / "initrd", FOLDER / "root.ext4")
    if made.root.exists():
        return made
    work = FOLDER.with_suffix(".new")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o755)
    tree = work / "tree"
    sources = [str(p) for p in (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").iterdir())
               if p.suffix in (".list", ".sources") and p.is_file() and p.stat().st_size]  # fmt: skip
    _run(
        "mmdebstrap", "--variant=minbase", "--mode=root", f"--include={PACKAGES}",
        *("--customize-hook=echo /dev/vda / ext4 errors=remount-ro 0 1 > $1/etc/fstab",),
        *("bookworm", str(tree), *sources),
    )  # fmt: skip
    for name, pattern in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
        [found] = (tree / "boot").glob(pattern)
        shutil.copy(found, work / name)
    _run("mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(work / "root.ext4"), f"{SIZE_MIB}M")
    shutil.rmtree(tree)
    shutil.rmtree(FOLDER, ignore_errors=True)
    work.rename(FOLDER)
    return made


def _run(*argv: str) -> None:
    done = subprocess.run(
        argv, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    assert done.returncode == 0, f"{argv[0]}: {done.stdout[-1000:]} {done.stderr[-3000:]}"
