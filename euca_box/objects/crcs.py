"""The cyclic checksums of S3 and of the files: computed, continued, joined. The only importer of awscrt.

All of them by the instructions of the processor, at tens of GB a second, from any buffer. Parameters:
RFC 3720 B.4 (CRC32C), NVM Express NVM command set 1.0, 5.2.1.3.4 (CRC64NVME).
"""

from collections.abc import Callable

from awscrt import checksums

Crc = Callable[[bytes | bytearray | memoryview, int], int]

WIDTH_BYTES = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8}
CRCS: dict[str, Crc] = {
    "CRC32": checksums.crc32,
    "CRC32C": checksums.crc32c,
    "CRC64NVME": checksums.crc64nvme,
}
_JOINS: dict[str, Callable[[int, int, int], int]] = {
    "CRC32": checksums.combine_crc32,
    "CRC32C": checksums.combine_crc32c,
    "CRC64NVME": checksums.combine_crc64nvme,
}


def crc32c(data: bytes | bytearray | memoryview, crc: int = 0) -> int:
    """The CRC of what `crc` covered, followed by data."""
    return CRCS["CRC32C"](data, crc)


def join_crc(algorithm: str, first: int, second: int, second_bytes: int) -> int:
    """The CRC of two messages in a row, from the CRC of each and the length of the second."""
    return _JOINS[algorithm](first, second, second_bytes)
