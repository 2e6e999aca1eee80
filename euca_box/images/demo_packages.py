"""Debian packages as raw material for the demo image: fetched by apt, unpacked by dpkg-deb, never installed.

apt keeps the trust: it checks the archive's signature and every package's hash. The host needs the sources of
Debian 12; nothing here needs root.
"""

import platform
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

KERNEL = "linux-image-cloud-amd64"
GUEST_PACKAGES = (
    "busybox-static",
    "dropbear-bin",
    "libc6",
    "libcom-err2",
    "libcrypt1",
    "libext2fs2",
    "libgmp10",
    "libtomcrypt1",
    "libtommath1",
    "zlib1g",
    "e2fsprogs",
)
# grub-mkimage with what it links to; it runs on the build host only.
LOADER_PACKAGES = (
    "grub-common",
    "grub-pc-bin",
    "libdevmapper1.02.1",
    "liblzma5",
    "libpcre2-8-0",
    "libselinux1",
    "libudev1",
)
APT_SECONDS = 300


class DemoError(Exception):
    """The demo image cannot be built; the text says why, and what would help."""


def run_tool(argv: Sequence[str | Path], folder: Path | None = None, seconds: float = APT_SECONDS) -> str:
    """Standard output of a program that must succeed; its last line of complaint is in the DemoError."""
    try:
        done = subprocess.run(argv, cwd=folder, capture_output=True, timeout=seconds, check=False)
    except FileNotFoundError:
        raise DemoError(f"{argv[0]} is not installed on this host") from None
    except subprocess.TimeoutExpired:
        raise DemoError(f"{argv[0]} did not end within {seconds:g} seconds") from None
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise DemoError(f"{argv[0]} failed: {words[-1] if words else f'exit status {done.returncode}'}")
    return done.stdout.decode(errors="replace")


def fetch_packages(folder: Path, progress: Callable[[str], None]) -> dict[str, Path]:
    """Download and unpack every package into a folder of its own; returns package name -> that folder.

    The kernel is under the name "kernel". Raises DemoError.
    """
    if platform.machine() != "x86_64":
        raise DemoError(f"the demo image is for x86_64 hosts; this one is {platform.machine()}")
    archives = folder / "debs"
    archives.mkdir(parents=True)
    try:
        wanted = _download(archives, progress)
    except DemoError:
        # The lists may be absent (containers) or older than the archive.
        progress("refreshing the package lists")
        run_tool(["apt-get", "update"])
        wanted = _download(archives, progress)
    progress("unpacking")
    unpacked = {}
    for name, package in wanted.items():
        [archive] = archives.glob(f"{package}_*.deb")
        unpacked[name] = folder / "packages" / name
        unpacked[name].mkdir(parents=True)
        run_tool(["dpkg-deb", "-x", archive, unpacked[name]])
    return unpacked


def _download(archives: Path, progress: Callable[[str], None]) -> dict[str, str]:
    wanted = {name: name for name in (*GUEST_PACKAGES, *LOADER_PACKAGES)}
    wanted["kernel"] = kernel_package(run_tool(["apt-cache", "depends", KERNEL]))
    progress(f"fetching {wanted['kernel']} and {len(wanted) - 1} small packages")
    # The _apt user cannot write below a private folder; apt then warns and goes on as itself.
    run_tool(["apt-get", "-q", "download", *wanted.values()], folder=archives)
    return wanted


def kernel_package(depends: str) -> str:
    """The concrete package behind the kernel's meta package, from the text of `apt-cache depends`."""
    for line in depends.splitlines():
        relation, _, package = line.strip().partition(": ")
        if relation == "Depends" and package.startswith("linux-image-"):
            return package
    raise DemoError(f"apt does not know {KERNEL}: are the Debian sources configured?")
