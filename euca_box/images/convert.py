"""Reads qcow2 by qemu-img in a jail: own user, no network, bounded memory, time and output.

An image from outside becomes raw; only one that inspect() has passed. The disk of an instance, which stands
on its image, becomes one that stands for itself. The jail is the second line: a hole in qemu-img, or in our
inspection, must find nothing to read and nobody to talk to. Needs root, for the user and the network
namespace.
"""

import os
from pathlib import Path
from typing import Literal

import trio

from euca_box.images import qcow2

MEMORY_BYTES = 1 << 30
CPU_SECONDS = 600
OPEN_FILES = 64
LARGEST_BYTES = 1 << 40  # where the disk is our own
QCOW2_TABLES_BYTES = 64 << 20  # beside the data
DEADLINE_SECONDS = 900.0
COMPLAINT_BYTES = 500


class ConvertError(Exception):
    """qemu-img did not make the file; the text is for the log."""


async def convert_to_raw(
    source: Path,
    source_format: Literal["qcow2"],
    target: Path,
    limit_bytes: int,
    *,
    uid: int,
    gid: int,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> None:
    """Write target, a new sparse raw file of at most limit_bytes, owned by the caller, mode 0600; fsynced.

    uid and gid are the jail's unprivileged numbers; that user must be able to read source, not its folder.
    Leaves no target behind when it fails. Raises ImageRefused, ConvertError, FileExistsError, OSError.
    """
    image = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        size_bytes = _size_bytes(image)
        if size_bytes > limit_bytes:
            raise ConvertError(f"the disk has {size_bytes} bytes; {limit_bytes} are allowed")
        output = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(output, size_bytes)
            os.fchown(output, uid, gid)
            argv = [*jail(uid, gid, size_bytes), *convert_argv(image, source_format, output)]
            await _run(argv, (image, output), deadline_seconds)
            os.fchown(output, os.geteuid(), os.getegid())
            await trio.to_thread.run_sync(os.fsync, output)
        except BaseException:
            os.unlink(target)
            raise
        finally:
            os.close(output)
    finally:
        os.close(image)


async def flatten(
    overlay: Path,
    target: Path,
    size_bytes: int,
    *,
    uid: int,
    gid: int,
    deadline_seconds: float = DEADLINE_SECONDS,
) -> None:
    """Fill target, an empty qcow2 of size_bytes, with what a guest has seen on the overlay; fsynced.

    For disks that this host made and whose guest does not run: what the overlay stands on is opened, too.
    Both files and what they stand on must be the jail's user's to read, target to write. Raises ConvertError.
    """
    handles = [os.open(overlay, os.O_RDONLY | os.O_CLOEXEC), os.open(target, os.O_RDWR | os.O_CLOEXEC)]
    try:
        largest = size_bytes + size_bytes // 1000 + QCOW2_TABLES_BYTES
        argv = [*jail(uid, gid, largest), *convert_argv(handles[0], "qcow2", handles[1], "qcow2")]
        await _run(argv, (handles[0], handles[1]), deadline_seconds)
        await trio.to_thread.run_sync(os.fsync, handles[1])
    finally:
        for handle in handles:
            os.close(handle)


def _size_bytes(image: int) -> int:
    """From our own parser once more: the file may not be the one that was inspected."""
    length = os.fstat(image).st_size
    return qcow2.parse_header(lambda offset, count: os.pread(image, count, offset), length).size_bytes


def jail(uid: int, gid: int, file_bytes: int) -> list[str]:
    """The start of an argv: the rest runs without network, rights, or more than these resources."""
    limits = [f"--as={MEMORY_BYTES}", f"--fsize={file_bytes}", f"--cpu={CPU_SECONDS}"]
    limits += [f"--nofile={OPEN_FILES}", "--core=0"]
    rights = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--clear-groups"]
    user = [f"--reuid={uid}", f"--regid={gid}"]
    return [
        *("unshare", "--net", "--ipc", "--uts", "--"),
        *("setpriv", *rights, *user, "--"),
        *("prlimit", *limits, "--"),
    ]


def convert_argv(
    image: int, source_format: Literal["qcow2"], output: int, output_format: Literal["raw", "qcow2"] = "raw"
) -> list[str]:
    """qemu-img on two inherited files. -n and --target-is-zero: it fills our file, and makes none."""
    formats = ["-f", source_format, "-O", output_format]
    ways = ["-n", "--target-is-zero", "-m", "1"]
    return ["qemu-img", "convert", *formats, *ways, f"/proc/self/fd/{image}", f"/proc/self/fd/{output}"]


async def _run(argv: list[str], keep: tuple[int, ...], seconds: float) -> None:
    # Nothing of our environment but PATH.
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    with trio.move_on_after(seconds):
        done = await trio.run_process(
            argv, pass_fds=keep, env=environment, cwd="/", capture_stderr=True, check=False
        )
        if done.returncode != 0:
            complaint = done.stderr[-COMPLAINT_BYTES:].decode(errors="replace").strip()
            raise ConvertError(f"qemu-img failed with status {done.returncode}: {complaint}")
        return
    raise ConvertError(f"qemu-img did not end within {seconds:g} seconds")
