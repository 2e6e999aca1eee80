"""The disk of the data directory: room, and what its file system can do."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from euca_box.model.findings import Finding, fail, ok, warn

if TYPE_CHECKING:
    from euca_box.doctor.examination import Host

GIB, MIB = 1 << 30, 1 << 20
LEAST_BYTES, LEAST_SHARE, LEAST_INODES = 256 * MIB, 0.05, 0.05
FICLONE = 0x40049409  # linux/fs.h


def room(host: "Host", fix: bool) -> Iterator[Finding]:
    folder = _existing(host.data.path)
    usage = shutil.disk_usage(folder)
    text = f"{usage.free / GIB:.1f} of {usage.total / GIB:.1f} GiB are free at {folder}"
    advice = "Delete what is not needed (images, objects, logs), or give it a larger disk."
    if usage.free < LEAST_BYTES:
        yield fail("disk", text, advice)
    elif usage.free < usage.total * LEAST_SHARE:
        yield warn("disk", text, advice)
    else:
        yield ok("disk", text)
    found = os.statvfs(folder)
    if found.f_files and found.f_favail < found.f_files * LEAST_INODES:
        yield warn(
            "disk", f"{found.f_favail} of {found.f_files} inodes are free", "Many small objects take them."
        )


def abilities(host: "Host", fix: bool) -> Iterator[Finding]:
    folder = _existing(host.data.path)
    if not os.access(folder, os.W_OK):
        yield fail("file system", f"{folder} cannot be written", "Run as its owner, or mount it for writing.")
        return
    clones = "yes" if _clones(folder) else "no"
    direct = "yes" if _is_direct(folder) else "no"
    yield ok("file system", f"copies by reference (reflink): {clones}; direct I/O: {direct}")


def _existing(path: Path) -> Path:
    return path if path.exists() or path == path.parent else _existing(path.parent)


def _clones(folder: Path) -> bool:
    with tempfile.TemporaryFile(dir=folder) as source, tempfile.TemporaryFile(dir=folder) as target:
        source.write(b"x" * 4096)
        source.flush()
        try:
            fcntl.ioctl(target.fileno(), FICLONE, source.fileno())
        except OSError:
            return False
    return True


def _is_direct(folder: Path) -> bool:
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        try:
            os.close(os.open(file.name, os.O_RDONLY | os.O_DIRECT))
        except OSError as error:
            if error.errno == errno.EINVAL:
                return False
            raise
    return True
