"""Decides whether an image may come in, before QEMU or any other program opens it.

Taken: raw, and self-contained qcow2. Every other format that QEMU would recognize is refused by name, since
QEMU follows the references in such files to other files of the host (CVE-2022-47951, CVE-2024-32498).
"""

import os
import stat
from pathlib import Path

from euca_box.images import content, qcow2
from euca_box.images.facts import ImageFacts, ImageRefused, ReadAt

__all__ = ["MAX_VIRTUAL_BYTES", "ImageFacts", "ImageRefused", "ReadAt", "inspect", "open_image"]

MAX_VIRTUAL_BYTES = 1 << 40
TEXT_BYTES = 512
# First bytes -> the format's name; as in QEMU 7.2, block/*.c.
REFUSED_STARTS = {
    b"KDMV": "VMDK",
    b"COWD": "VMDK",
    b"# Disk DescriptorFile": "VMDK",
    b"<<< ": "VDI",
    b"conectix": "VHD",
    b"cxsparse": "VHD",
    b"vhdxfile": "VHDX",
    b"QED\0": "QED",
    b"WithoutFreeSpace": "Parallels",
    b"WithouFreSpacExt": "Parallels",
    b"OOOM": "cow",
    b"LUKS\xba\xbe": "LUKS",
    b"Bochs Virtual HD Image": "Bochs",
    b"#!/bin/sh\n#V2.0 Format\n": "cloop",
}
VDI_SIGNATURE = b"\x7f\x10\xda\xbe"
# Trailers, in the last sector.
REFUSED_ENDS = {b"conectix": "VHD", b"koly": "DMG"}


def inspect(read_at: ReadAt, file_size: int, max_virtual_bytes: int = MAX_VIRTUAL_BYTES) -> ImageFacts:
    """What the image is, from a few reads of at most 64 KiB. Raises ImageRefused.

    Only for what comes from outside. A disk that a guest has written keeps the format it was stored with,
    whatever its first bytes say by now.
    """
    if file_size <= 0:
        raise ImageRefused("the image is empty")
    start = read_at(0, TEXT_BYTES)
    _refuse_by_name(start, read_at(max(0, file_size - 512), 512))
    if start.startswith(qcow2.MAGIC):
        image = qcow2.parse_header(read_at, file_size)
        _check_size(image.size_bytes, max_virtual_bytes)
        kind, architecture = content.recognize(qcow2.guest_reader(image, read_at))
        return ImageFacts("qcow2", image.size_bytes, kind, architecture)
    _check_size(file_size, max_virtual_bytes)
    if _is_text(start):
        raise ImageRefused("this is a text file, not an image")
    kind, architecture = content.recognize(read_at)
    return ImageFacts("raw", file_size, kind, architecture)


def open_image(path: Path, max_virtual_bytes: int = MAX_VIRTUAL_BYTES) -> ImageFacts:
    """inspect() for a file; blocks for a few small reads. Raises ImageRefused, OSError."""
    # O_NONBLOCK: to open a FIFO must not wait for its writer.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ImageRefused("this is not a regular file")
        size = status.st_size
        return inspect(lambda offset, count: os.pread(handle, count, offset), size, max_virtual_bytes)
    finally:
        os.close(handle)


def _refuse_by_name(start: bytes, end: bytes) -> None:
    for magic, name in REFUSED_STARTS.items():
        if start.startswith(magic):
            raise _refusal(name)
    if start[0x40:0x44] == VDI_SIGNATURE:
        raise _refusal("VDI")
    # VMware writes its descriptor with comments or blanks before the magic line.
    if b"# Disk DescriptorFile" in start or b"createType=" in start:
        raise _refusal("VMDK")
    for magic, name in REFUSED_ENDS.items():
        if end.startswith(magic):
            raise _refusal(name)


def _refusal(name: str) -> ImageRefused:
    return ImageRefused(f"{name} images are not supported; convert it to raw or qcow2")


def _check_size(size_bytes: int, max_virtual_bytes: int) -> None:
    if size_bytes > max_virtual_bytes:
        raise ImageRefused(f"the image is a disk of {size_bytes} bytes; {max_virtual_bytes} are allowed")


def _is_text(start: bytes) -> bool:
    # cpio's "newc" begins with digits and has NUL bytes soon after; a short text has none.
    printable = frozenset(b"\t\n\f\r" + bytes(range(32, 127)))
    return all(byte in printable for byte in start)
