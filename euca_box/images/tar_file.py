"""Reads the one file of a tar that comes as a stream, with the holes that GNU tar leaves out.

Our own reader, because the archive is hostile: the standard library's takes the length of a header from the
header and reads that much into memory. Formats: POSIX 1003.1 ustar; GNU tar's long names and sparse files
("Basic Tar Format" and "Old GNU Format" in its manual); of pax headers only the size.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

BLOCK = 512
PIECE_BYTES = 1 << 20
LARGEST_HEADER_BYTES = 64 * 1024  # of a long name, or of pax records
MOST_HEADERS = 16
MOST_SPARSE_BLOCKS = 1 << 15  # of 21 extents each
_ZEROS = bytes(PIECE_BYTES)
_OCTAL = re.compile(rb"[ 0]*([0-7]*)[ \0]*\0*")

# Answers exactly that many bytes, or raises.
ReadExactly = Callable[[int], bytes]


class TarError(Exception):
    """It is no archive of one file; the text says why."""


@dataclass(frozen=True)
class Member:
    """`size_bytes` with its holes; `extents` are what the archive holds of it, as (offset, length)."""

    size_bytes: int
    extents: tuple[tuple[int, int], ...]


def read_file(read: ReadExactly, most_bytes: int) -> Iterator[bytes]:
    """The bytes of the file in the archive. Raises TarError when it is larger than `most_bytes`."""
    member = _member(read, most_bytes)
    at = 0
    for offset, length in member.extents:
        yield from _hole(offset - at)
        yield from _data(read, length)
        at = offset + length
    yield from _hole(member.size_bytes - at)
    packed = sum(length for _, length in member.extents)
    read(-packed % BLOCK)
    if any(read(BLOCK)):
        raise TarError("its archive holds more than one file")


def _hole(length: int) -> Iterator[bytes]:
    for start in range(0, length, PIECE_BYTES):
        yield _ZEROS[: min(PIECE_BYTES, length - start)]


def _data(read: ReadExactly, length: int) -> Iterator[bytes]:
    for start in range(0, length, PIECE_BYTES):
        yield read(min(PIECE_BYTES, length - start))


def _member(read: ReadExactly, most_bytes: int) -> Member:
    """The first regular file; headers that only describe it are read on the way."""
    size: int | None = None
    for _ in range(MOST_HEADERS):
        head = read(BLOCK)
        kind = head[156:157]
        _check(head)
        if kind in (b"L", b"K", b"x", b"g"):
            found = _pax_size(_described(read, _number(head[124:136])), kind)
            size = found if found is not None else size
        elif kind in (b"0", b"\0", b"7"):
            size = size if size is not None else _number(head[124:136])
            _check_size(size, most_bytes)
            return Member(size, ((0, size),))
        elif kind == b"S":
            return _sparse(read, head, most_bytes)
        else:
            raise TarError("its archive holds something else than a file")
    raise TarError("its archive has too many headers")


def _check(head: bytes) -> None:
    """The sum of all bytes, its own field taken as blanks."""
    if head[148:156].strip(b" \0") != b"%06o" % (sum(head) - sum(head[148:156]) + 8 * 0x20):
        raise TarError("what it holds is no tar archive")


def _described(read: ReadExactly, length: int) -> bytes:
    if length > LARGEST_HEADER_BYTES:
        raise TarError("a header of its archive is too long")
    return read(length + -length % BLOCK)[:length]


def _pax_size(records: bytes, kind: bytes) -> int | None:
    """The size that a pax header gives the next file."""
    if kind != b"x":
        return None
    if b"GNU.sparse." in records:
        raise TarError("its archive has the sparse format of pax: make it with tar --format=gnu")
    found = re.search(rb"(?:^|\n)\d+ size=(\d{1,15})\n", records)
    return int(found[1]) if found else None


def _sparse(read: ReadExactly, head: bytes, most_bytes: int) -> Member:
    """Old GNU: four extents in the header, 21 in each block that follows while it says so."""
    size = _number(head[483:495])
    _check_size(size, most_bytes)
    extents: list[tuple[int, int]] = []
    table, slots, more = head[386:482], 4, head[482]
    at = 0
    for _ in range(MOST_SPARSE_BLOCKS):
        for slot in range(slots):
            entry = table[24 * slot : 24 * slot + 24]
            if not entry[0]:
                break
            offset, length = _number(entry[:12]), _number(entry[12:])
            if offset < at or offset + length > size:
                raise TarError("the holes of its file are not in order")
            extents.append((offset, length))
            at = offset + length
        if not more:
            break
        block = read(BLOCK)
        table, slots, more = block[:504], 21, block[504]
    else:
        raise TarError("its file has too many holes")
    if sum(length for _, length in extents) != _number(head[124:136]):
        raise TarError("the holes of its file do not add up")
    return Member(size, tuple(extents))


def _check_size(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise TarError(f"its file has {size} bytes, not the {most_bytes} that it says")


def _number(field: bytes) -> int:
    """Octal digits; base 256 for large ones, as GNU tar writes them."""
    if field[0] & 0x80:
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        if field[0] & 0x40:
            raise TarError("a number of its archive is negative")
        return value
    found = _OCTAL.fullmatch(field)
    if found is None:
        raise TarError("a number of its archive is not octal")
    return int(found[1] or b"0", 8)
