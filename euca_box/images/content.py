"""Recognizes what an image holds by its first bytes: a kernel, a ramdisk, a file system, a disk."""

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable

from euca_box.images.facts import Content, ReadAt

HEAD_BYTES = 4096
UNPACK_BYTES = 16
PACKED_BYTES = 65536
XZ_MEMORY_BYTES = 64 << 20
# The first bytes of the initial ramdisks that Linux unpacks (Documentation/.../early-userspace,
# lib/decompress.c).
CPIO = (b"070701", b"070702", b"070707")
# e_machine of ELF
ELF_MACHINES = {3: "i386", 62: "x86_64", 183: "arm64"}


def recognize(read_at: ReadAt) -> tuple[Content, str | None]:
    """The content, and for a kernel its architecture."""
    head = read_at(0, HEAD_BYTES)
    architecture = kernel_architecture(head)
    if architecture is not None:
        return "kernel", architecture
    if is_ramdisk(read_at):
        return "ramdisk", None
    if is_disk(read_at, head):
        return "disk", None
    if is_filesystem(read_at, head):
        return "filesystem", None
    return "unknown", None


def kernel_architecture(head: bytes) -> str | None:
    # Linux Documentation/x86/boot.rst: "HdrS" at 0x202, xloadflags at 0x236 since protocol 2.12.
    if head[0x202:0x206] == b"HdrS" and len(head) > 0x236:
        [protocol] = struct.unpack_from("<H", head, 0x206)
        return "x86_64" if protocol >= 0x020C and head[0x236] & 1 else "i386"
    # Linux Documentation/arm64/booting.rst
    if head[0x38:0x3C] == b"ARM\x64":
        return "arm64"
    if head[:4] == b"\x7fELF" and len(head) >= 20 and head[5] == 1:
        kind, machine = struct.unpack_from("<HH", head, 16)
        return ELF_MACHINES.get(machine) if kind in (2, 3) else None
    return None


def is_ramdisk(read_at: ReadAt) -> bool:
    magic = read_at(0, 8)
    if magic.startswith(CPIO):
        return True
    # zstd and lz4 (legacy frame) are not in the standard library; nothing else begins like them.
    if magic.startswith((b"\x28\xb5\x2f\xfd", b"\x02\x21\x4c\x18")):
        return True
    for start, unpack in _UNPACKERS.items():
        if magic.startswith(start):
            return _unpacked(unpack, read_at(0, PACKED_BYTES)).startswith(CPIO)
    return False


def is_disk(read_at: ReadAt, head: bytes) -> bool:
    if head[512:520] == b"EFI PART" or read_at(4096, 8) == b"EFI PART":
        return True
    if read_at(0x8001, 5) == b"CD001":
        return True
    return head[510:512] == b"\x55\xaa" and any(_is_partition(head[446 + 16 * n :][:16]) for n in range(4))


def is_filesystem(read_at: ReadAt, head: bytes) -> bool:
    known = (
        head[0x438:0x43A] == b"\x53\xef",  # ext2, ext3, ext4
        head[:4] in (b"XFSB", b"hsqs"),
        head[0x36:0x39] == b"FAT" or head[0x52:0x57] == b"FAT32",
    )
    return any(known) or read_at(0x10040, 8) == b"_BHRfS_M"  # btrfs


def _is_partition(entry: bytes) -> bool:
    status, kind, start, sectors = struct.unpack("<B3xB3xII", entry)
    return status in (0, 0x80) and kind != 0 and start > 0 and sectors > 0


def _unpacked(unpack: Callable[[bytes], bytes], packed: bytes) -> bytes:
    """The first bytes only: a bomb costs no more than an honest file."""
    try:
        return unpack(packed)
    except (zlib.error, lzma.LZMAError, OSError, EOFError):
        return b""


def _gunzip(packed: bytes) -> bytes:
    return zlib.decompressobj(31).decompress(packed, UNPACK_BYTES)


def _unxz(packed: bytes) -> bytes:
    return lzma.LZMADecompressor(memlimit=XZ_MEMORY_BYTES).decompress(packed, UNPACK_BYTES)


def _bunzip2(packed: bytes) -> bytes:
    # bzip2 unpacks by blocks of up to 900 kB, so the beginning needs a whole block.
    return bz2.BZ2Decompressor().decompress(packed, UNPACK_BYTES)


_UNPACKERS: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": _gunzip,
    b"\xfd7zXZ\0": _unxz,
    b"\x5d\x00\x00": _unxz,
    b"BZh": _bunzip2,
}
