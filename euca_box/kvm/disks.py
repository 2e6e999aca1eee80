"""Makes and measures disk files with qemu-img; the format of every file is named, so that it never guesses.

The files are private (0600) and belong to whoever runs this; hand them to QEMU's user with os.chown.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import trio

from euca_box.kvm.hypervisor import DiskFormat, KvmError

SECTOR = 512
PROGRAM_SECONDS = 60.0
# Lazily: the tables of an empty file system are written by the guest's kernel, and the file stays sparse.
FORMATTERS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"],
    "swap": ["mkswap"],
}


@dataclass(frozen=True)
class Owner:
    """The user that QEMU runs as, by number."""

    uid: int
    set_owner: Callable[[Path, int, int], None] = os.chown

    def take(self, path: Path) -> None:
        self.set_owner(path, self.uid, self.uid)

    def rights(self) -> dict[str, Any]:
        """For a program that runs as this user; without root it runs as we do."""
        if os.geteuid() != 0:
            return {}
        return {"user": self.uid, "group": self.uid, "extra_groups": ()}


async def create_overlay(path: Path, base: Path, base_format: DiskFormat, size_bytes: int) -> None:
    """A new qcow2 that reads from base what was not written to it. Raises KvmError, FileExistsError.

    base is written into the overlay as it is: give an absolute path. size_bytes must not be below the base's
    size, because the guest would lose its end.
    """
    _check_size(size_bytes)
    if size_bytes < await virtual_size_bytes(base, base_format):
        raise KvmError(f"a disk of {size_bytes} bytes is smaller than its image {base.name}")
    _reserve(path)
    try:
        backing = ["-b", str(base), "-F", base_format]
        await _qemu_img("create", "-q", "-f", "qcow2", *backing, "--", str(path), str(size_bytes))
    except BaseException:
        os.unlink(path)
        raise


async def create_raw(path: Path, size_bytes: int) -> None:
    """A new sparse raw file of zeros. Raises KvmError, FileExistsError."""
    _check_size(size_bytes)
    _reserve(path)
    await trio.to_thread.run_sync(os.truncate, path, size_bytes)


async def create_qcow2(path: Path, size_bytes: int) -> None:
    """A new qcow2 of zeros, which stands for itself. Raises KvmError, FileExistsError."""
    _check_size(size_bytes)
    _reserve(path)
    try:
        await _qemu_img("create", "-q", "-f", "qcow2", "--", str(path), str(size_bytes))
    except BaseException:
        os.unlink(path)
        raise


async def create_formatted(
    path: Path, size_bytes: int, kind: Literal["ext4", "swap"], label: str, owner: Owner
) -> None:
    """A new sparse raw disk of `owner` with an empty file system or swap space on the whole of it.

    The program that formats it runs as the owner. Raises KvmError, FileExistsError.
    """
    await create_raw(path, size_bytes)
    try:
        owner.take(path)
        await _run([*FORMATTERS[kind], "-L", label, str(path)], **owner.rights())
    except BaseException:
        os.unlink(path)
        raise


async def copy_sparse(source: Path, target: Path) -> None:
    """A private copy, without the holes; where the file system shares blocks, at no cost. Raises KvmError."""
    _reserve(target)
    await _run(
        ["cp", "--sparse=always", "--reflink=auto", "--no-preserve=all", "--", str(source), str(target)]
    )


async def virtual_size_bytes(path: Path, image_format: DiskFormat) -> int:
    """What the guest sees as the size of the disk. Only for files that images.inspect has passed."""
    if image_format == "raw":
        return os.stat(path).st_size
    described = json.loads(await _qemu_img("info", "-f", image_format, "--output=json", "--", str(path)))
    return int(described["virtual-size"])


def _check_size(size_bytes: int) -> None:
    if size_bytes <= 0 or size_bytes % SECTOR:
        raise KvmError(f"a disk cannot have {size_bytes} bytes: it is made of sectors of {SECTOR}")


def _reserve(path: Path) -> None:
    # O_EXCL refuses what is there, also a link; qemu-img keeps the mode of the file that it fills.
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


async def _qemu_img(command: str, *arguments: str) -> bytes:
    return await _run(["qemu-img", command, *arguments])


async def _run(argv: list[str], **rights: Any) -> bytes:
    name = f"{argv[0]} {argv[1]}"
    with trio.move_on_after(PROGRAM_SECONDS):
        done = await trio.run_process(
            argv, capture_stdout=True, capture_stderr=True, check=False, cwd="/", **rights
        )
        if done.returncode != 0:
            raise KvmError(f"{name}: {done.stderr[-1000:].decode(errors='replace').strip()}")
        return bytes(done.stdout)
    raise KvmError(f"{name} did not end within {PROGRAM_SECONDS:g} seconds")
