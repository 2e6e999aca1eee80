"""Builds a stock Debian with cloud-init: kernel, ramdisk and root file system, by mmdebstrap and mke2fs.

From the package sources that this host itself is installed from. Needs root; takes minutes.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PACKAGES = (
    *("systemd-sysv", "udev", "kmod", "netbase", "ifupdown", "isc-dhcp-client", "iproute2"),
    *("cloud-init", "cloud-guest-utils", "openssh-server", "linux-image-cloud-amd64"),
)
FSTAB = "/dev/vda / ext4 errors=remount-ro 0 1\n"
SIZE_MIB = 900
BUILD_SECONDS = 1800.0
COMPLAINT_CHARACTERS = 1500


class DebianError(Exception):
    """A step failed; the text says which, and what its program said."""


@dataclass(frozen=True)
class DebianImage:
    kernel: Path  # EKI
    ramdisk: Path  # ERI
    root: Path  # EMI, a bare ext4; boots with root=/dev/vda


def build_debian(
    folder: Path, progress: Callable[[str], None], suite: str = "bookworm", size_mib: int = SIZE_MIB
) -> DebianImage:
    """Build into the folder, unless it is there already. Blocks. Raises DebianError, OSError."""
    made = DebianImage(folder / "vmlinuz", folder / "initrd", folder / "root.ext4")
    if made.root.exists():
        progress(f"{folder} is there already")
        return made
    if not re.fullmatch("[a-z]{3,20}", suite):
        raise DebianError(f"{suite!r} is no name of a Debian release")
    for program in ("mmdebstrap", "mke2fs"):
        if shutil.which(program) is None:
            raise DebianError(f"{program} is not installed: apt-get install mmdebstrap e2fsprogs")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".building-", dir=folder) as text:
        work = Path(text)
        work.chmod(0o755)  # apt's own user must pass
        _build(work, suite, size_mib or SIZE_MIB, progress)
        for name in ("vmlinuz", "initrd", "root.ext4"):  # the root last: it vouches for the rest
            (work / name).chmod(0o644)
            os.replace(work / name, folder / name)
    return made


def _build(work: Path, suite: str, size_mib: int, progress: Callable[[str], None]) -> None:
    tree = work / "tree"
    progress(f"installing {suite} (minutes)")
    options = ["--variant=minbase", "--mode=root", f"--include={','.join(PACKAGES)}"]
    _run("mmdebstrap", *options, suite, str(tree), *_sources())
    (tree / "etc/fstab").write_text(FSTAB)
    for name, pattern in (("vmlinuz", "vmlinuz-*"), ("initrd", "initrd.img-*")):
        found = sorted((tree / "boot").glob(pattern))
        if not found:
            raise DebianError(f"the installed system has no {name}")
        shutil.copy(found[-1], work / name)
    progress("making the file system")
    _run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", str(tree), str(work / "root.ext4"), f"{size_mib}M")


def _sources() -> list[str]:
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    return [
        str(path)
        for path in files
        if path.suffix in (".list", ".sources") and path.is_file() and path.stat().st_size
    ]


def _run(*argv: str) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": "/"}
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, env=environment, timeout=BUILD_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise DebianError(f"{argv[0]} did not end within {BUILD_SECONDS:g} seconds") from None
    if done.returncode != 0:
        raise DebianError(f"{argv[0]} failed: {done.stderr[-COMPLAINT_CHARACTERS:].strip()}")
