"""CRC-64/NVME at a usable speed without a C library, and joining the CRCs of parts.

A CRC is the remainder of the message, read as a polynomial over GF(2). Python's integers shift and
xor whole blocks in C, so a block is folded: its first half, times a constant, is added to its second
half, until little is left for the table. About 15 times the speed of the table alone. Source of the
parameters: NVM Express NVM command set 1.0, 5.2.1.3.4; all values are bit-reversed, as stored.
"""

from functools import cache, lru_cache

POLYNOMIALS = {
    "CRC32": (0xEDB88320, 32),
    "CRC32C": (0x82F63B78, 32),
    "CRC64NVME": (0x9A6C9329AC4BC9B5, 64),
}
_NVME, _ONES = POLYNOMIALS["CRC64NVME"][0], (1 << 64) - 1
_BLOCK = 1 << 16  # bytes folded at once; stays in the processor's cache
_SMALL = 256  # bytes below which the table is quicker


def crc64nvme(data: bytes, crc: int = 0) -> int:
    """The CRC of what `crc` covered, followed by data."""
    view, crc = memoryview(data), crc ^ _ONES
    for start in range(0, len(view), _BLOCK):
        crc = _table_crc(*_folded(bytes(view[start : start + _BLOCK]), crc))
    return crc ^ _ONES


def _folded(block: bytes, crc: int) -> tuple[bytes, int]:
    """A shorter block of the same remainder; the running CRC is mixed in first."""
    if len(block) <= _SMALL:
        return block, crc
    bits = 8 * len(block)
    number = int.from_bytes(block, "little") ^ crc
    while bits > 8 * _SMALL:
        keep = (bits // 2 + 7) // 8 * 8 + 64
        first = number & ((1 << (bits - keep)) - 1)
        product = 0
        for shift in _shifts(keep):
            product ^= first << shift
        # The product is 63 bits longer than `first`; its last bit belongs under the last bit kept.
        number = (number >> (bits - keep)) ^ (product << (keep - (bits - keep) - 63))
        bits = keep
    return number.to_bytes(bits // 8, "little"), 0


@cache
def _shifts(power: int) -> tuple[int, ...]:
    """The bits of x^power modulo the polynomial. One for each halving of a block: few and bounded."""
    value = _power(power, *POLYNOMIALS["CRC64NVME"])
    return tuple(bit for bit in range(64) if value >> bit & 1)


@cache
def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_NVME if byte & 1 else 0)
        table.append(byte)
    return table


def _table_crc(data: bytes, crc: int) -> int:
    table = _table()
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc


def join_crc(algorithm: str, first: int, second: int, second_bytes: int) -> int:
    """The CRC of two messages in a row, from the CRC of each and the length of the second."""
    polynomial, width = POLYNOMIALS[algorithm]
    return _times(first, _power_of_bytes(second_bytes, polynomial, width), polynomial, width) ^ second


@lru_cache(maxsize=1024)
def _power_of_bytes(count: int, polynomial: int, width: int) -> int:
    return _power(8 * count, polynomial, width)


def _power(exponent: int, polynomial: int, width: int) -> int:
    """x^exponent modulo the polynomial, by squaring."""
    result, base = 1 << (width - 1), 1 << (width - 2)  # 1 and x, bit-reversed
    while exponent:
        if exponent & 1:
            result = _times(result, base, polynomial, width)
        base = _times(base, base, polynomial, width)
        exponent >>= 1
    return result


def _times(a: int, b: int, polynomial: int, width: int) -> int:
    product = 0
    for bit in range(width - 1, -1, -1):
        if b >> bit & 1:
            product ^= a
        a = a >> 1 ^ (polynomial if a & 1 else 0)
    return product
