"""Reads a qcow2 header with distrust: only a self-contained image of sane dimensions passes.

Format: QEMU docs/interop/qcow2.txt; limits: QEMU 7.2 block/qcow2.h. QEMU itself would open whatever other
file of the host a header names, hence no QEMU here.
"""

import struct
import zlib
from dataclasses import dataclass

from euca_box.images.facts import ImageRefused, ReadAt

MAGIC = b"QFI\xfb"
HEADER_BYTES = {2: 72, 3: 104}
CLUSTER_BITS = range(9, 22)
L1_LIMIT_BYTES = 32 << 20
REFCOUNT_TABLE_LIMIT_BYTES = 8 << 20
EXTENSIONS_LIMIT = 64
# Header extensions and incompatible features that lead out of the file or into ciphertext.
EXTENSION_END = 0
EXTENSION_DATA_FILE = 0x44415441
EXTENSION_ENCRYPTION = 0x0537BE77
FEATURE_COMPRESSION = 1 << 3
FEATURE_NAMES = {0: "was not closed cleanly", 1: "is marked as corrupt", 2: "keeps its data in another file"}
OFFSET_MASK = 0x00FFFFFFFFFFFE00
COMPRESSED = 1 << 62
ZERO = 1


@dataclass(frozen=True, slots=True)
class Qcow2:
    version: int
    size_bytes: int
    cluster_bits: int
    l1_offset: int
    deflate: bool  # else zstd, which the standard library cannot read

    @property
    def cluster_bytes(self) -> int:
        return 1 << self.cluster_bits


def parse_header(read_at: ReadAt, file_size: int) -> Qcow2:
    """Raises ImageRefused for anything but a plain, self-contained image."""
    head = read_at(0, 112)
    version = _uint(head, 4, 4)
    if version not in HEADER_BYTES:
        raise ImageRefused(f"qcow version {version} is not supported; convert it to qcow2")
    if len(head) < HEADER_BYTES[version]:
        raise ImageRefused("the qcow2 header is cut short")
    _refuse_references(head)
    cluster_bits = _uint(head, 20, 4)
    if cluster_bits not in CLUSTER_BITS:
        raise ImageRefused(f"the qcow2 cluster size 2^{cluster_bits} is out of range")
    features = _uint(head, 72, 8) if version == 3 else 0
    _refuse_features(features)
    header_bytes = _header_bytes(head, version, cluster_bits)
    _check_extensions(read_at, header_bytes, 1 << cluster_bits)
    _check_tables(head, cluster_bits, file_size)
    compression = head[104] if features & FEATURE_COMPRESSION and header_bytes > 104 else 0
    if compression > 1:
        raise ImageRefused(f"the qcow2 compression type {compression} is not known")
    return Qcow2(version, _uint(head, 24, 8), cluster_bits, _uint(head, 40, 8), compression == 0)


def _refuse_references(head: bytes) -> None:
    if _uint(head, 8, 8) or _uint(head, 16, 4):
        raise ImageRefused("the qcow2 image has a backing file; flatten it with qemu-img convert")
    if _uint(head, 32, 4):
        raise ImageRefused("the qcow2 image is encrypted")
    if _uint(head, 60, 4):
        raise ImageRefused("the qcow2 image holds internal snapshots; flatten it with qemu-img convert")


def _refuse_features(features: int) -> None:
    for bit in range(64):
        if features >> bit & 1 and 1 << bit != FEATURE_COMPRESSION:
            what = FEATURE_NAMES.get(bit, f"needs feature {bit}, which is not supported")
            raise ImageRefused(f"the qcow2 image {what}")


def _header_bytes(head: bytes, version: int, cluster_bits: int) -> int:
    if version == 2:
        return HEADER_BYTES[2]
    if _uint(head, 96, 4) > 6:
        raise ImageRefused("the qcow2 reference counts are wider than 64 bits")
    length = _uint(head, 100, 4)
    if length < HEADER_BYTES[3] or length % 8 or length > 1 << cluster_bits:
        raise ImageRefused(f"the qcow2 header claims a length of {length} bytes")
    return length


def _check_extensions(read_at: ReadAt, start: int, cluster_bytes: int) -> None:
    offset = start
    for _ in range(EXTENSIONS_LIMIT):
        if offset + 8 > cluster_bytes:
            return
        head = read_at(offset, 8)
        kind, length = _uint(head, 0, 4), _uint(head, 4, 4)
        if kind == EXTENSION_END:
            return
        if kind == EXTENSION_DATA_FILE:
            raise ImageRefused("the qcow2 image keeps its data in another file")
        if kind == EXTENSION_ENCRYPTION:
            raise ImageRefused("the qcow2 image is encrypted")
        if length > cluster_bytes - offset - 8:
            raise ImageRefused("a qcow2 header extension is longer than the header")
        offset += 8 + length + -length % 8
    raise ImageRefused("the qcow2 image has too many header extensions")


def _check_tables(head: bytes, cluster_bits: int, file_size: int) -> None:
    cluster_bytes = 1 << cluster_bits
    size_bytes = _uint(head, 24, 8)
    if size_bytes == 0 or size_bytes % 512:
        raise ImageRefused(f"a disk cannot have {size_bytes} bytes: it is made of sectors of 512")
    l1_entries = _uint(head, 36, 4)
    # One L1 entry stands for one L2 table, which is a cluster of 8-byte entries.
    needed = -(-size_bytes // (cluster_bytes * (cluster_bytes // 8)))
    if l1_entries < needed or l1_entries * 8 > L1_LIMIT_BYTES:
        raise ImageRefused(f"the qcow2 table L1 has {l1_entries} entries, which does not fit its size")
    refcount_bytes = _uint(head, 56, 4) * cluster_bytes
    if not 0 < refcount_bytes <= REFCOUNT_TABLE_LIMIT_BYTES:
        raise ImageRefused("the size of the qcow2 reference count table is out of range")
    for name, offset, length in (
        ("L1", _uint(head, 40, 8), l1_entries * 8),
        ("of reference counts", _uint(head, 48, 8), refcount_bytes),
    ):
        if offset == 0 or offset % cluster_bytes or offset + length > file_size:
            raise ImageRefused(f"the qcow2 table {name} is not inside the file")


def guest_reader(image: Qcow2, read_at: ReadAt) -> ReadAt:
    """Reads what the guest would see; what cannot be looked into (zstd, damage) comes back short."""

    def read(offset: int, count: int) -> bytes:
        end = min(offset + count, image.size_bytes)
        pieces = []
        while offset < end:
            inside = offset % image.cluster_bytes
            wanted = min(end - offset, image.cluster_bytes - inside)
            pieces.append(_read_cluster(image, read_at, offset // image.cluster_bytes, inside, wanted))
            if len(pieces[-1]) < wanted:
                break
            offset += wanted
        return b"".join(pieces)

    return read


def _read_cluster(image: Qcow2, read_at: ReadAt, cluster: int, inside: int, count: int) -> bytes:
    entry = _cluster_entry(image, read_at, cluster)
    if entry & COMPRESSED:
        return _inflate(image, read_at, entry)[inside : inside + count]
    start = entry & OFFSET_MASK
    if start == 0 or entry & ZERO:
        return bytes(count)
    return read_at(start + inside, count)


def _cluster_entry(image: Qcow2, read_at: ReadAt, cluster: int) -> int:
    l2_entries = image.cluster_bytes // 8
    l2_offset = _uint(read_at(image.l1_offset + cluster // l2_entries * 8, 8), 0, 8) & OFFSET_MASK
    if l2_offset == 0:
        return 0
    return _uint(read_at(l2_offset + cluster % l2_entries * 8, 8), 0, 8)


def _inflate(image: Qcow2, read_at: ReadAt, entry: int) -> bytes:
    if not image.deflate:
        return b""
    shift = 62 - (image.cluster_bits - 8)
    offset = entry & ((1 << shift) - 1)
    sectors = (entry >> shift & ((1 << (image.cluster_bits - 8)) - 1)) + 1
    packed = read_at(offset, sectors * 512 - offset % 512)
    try:
        return zlib.decompressobj(-12).decompress(packed, image.cluster_bytes)
    except zlib.error:
        return b""


def _uint(data: bytes, offset: int, width: int) -> int:
    """Big-endian; bytes that are not there count as zero."""
    field = data[offset : offset + width].ljust(width, b"\0")
    [value] = struct.unpack(">I" if width == 4 else ">Q", field)
    return int(value)
