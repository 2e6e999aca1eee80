"""Images that come compressed: gzip, xz or zstd, known by their first bytes, unpacked as a stream.

Nothing is unpacked beyond a ceiling, and no decoder gets more memory than a header may ask for.
"""

import lzma
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Protocol

from isal import igzip_lib, isal_zlib

from euca_box.images.content import CPIO

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES = 1 << 20
MEMORY_BYTES = 256 << 20
GZIP = 31  # zlib's "window bits": a gzip header and trailer
HEAD_BYTES = 512


class PackedError(Exception):
    """It does not unpack, or to more than is allowed; the text says why."""


class _Decoder(Protocol):
    """Of one stream. `decompress` gives out PIECE_BYTES at most and keeps what it has not read; `rest` is
    what follows the end."""

    @property
    def eof(self) -> bool: ...

    @property
    def rest(self) -> bytes: ...

    def decompress(self, data: bytes) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._unpacker = isal_zlib.decompressobj(GZIP)

    @property
    def eof(self) -> bool:
        return bool(self._unpacker.eof)

    @property
    def rest(self) -> bytes:
        return bytes(self._unpacker.unused_data)

    def decompress(self, data: bytes) -> bytes:
        return bytes(self._unpacker.decompress(self._unpacker.unconsumed_tail + data, PIECE_BYTES))


class _Modern:
    """xz and zstd have one interface."""

    def __init__(self, unpacker: "lzma.LZMADecompressor | zstd.ZstdDecompressor") -> None:
        self._unpacker = unpacker

    @property
    def eof(self) -> bool:
        return self._unpacker.eof

    @property
    def rest(self) -> bytes:
        return self._unpacker.unused_data

    def decompress(self, data: bytes) -> bytes:
        return self._unpacker.decompress(data, PIECE_BYTES)


def _xz() -> _Decoder:
    return _Modern(lzma.LZMADecompressor(memlimit=MEMORY_BYTES))


def _zstd() -> _Decoder:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: MEMORY_BYTES.bit_length() - 1}
    return _Modern(zstd.ZstdDecompressor(options=options))


_DECODERS: dict[bytes, Callable[[], _Decoder]] = {
    b"\x1f\x8b": _Gzip,
    b"\xfd7zXZ\0": _xz,
    b"\x28\xb5\x2f\xfd": _zstd,
}


def unpacked(pieces: Iterable[bytes], most_bytes: int) -> Iterator[bytes]:
    """The image itself. What is not compressed is given out as it is, and so is a compressed ramdisk, which
    boots as it is. Raises PackedError."""
    stream = iter(pieces)
    head, taken = b"", []
    while len(head) < HEAD_BYTES and (piece := next(stream, None)) is not None:
        taken.append(piece)
        head += piece
    whole = chain(taken, stream)
    found = _decoder_of(head)
    return _bounded(_decoded(whole, found) if found is not None else whole, most_bytes)


def is_packed(head: bytes) -> bool:
    """Would `unpacked` unpack what begins like this?"""
    return _decoder_of(head) is not None


def _decoder_of(head: bytes) -> Callable[[], _Decoder] | None:
    found = next((make for magic, make in _DECODERS.items() if head.startswith(magic)), None)
    return None if found is None or _is_ramdisk(found, head) else found


def _is_ramdisk(make: Callable[[], _Decoder], head: bytes) -> bool:
    try:
        return make().decompress(head).startswith(CPIO)
    except _BROKEN:
        return False


def _decoded(pieces: Iterable[bytes], make: Callable[[], _Decoder]) -> Iterator[bytes]:
    """Several streams in a row are one, as gzip, xz and zstd themselves have it."""
    decoder = None
    try:
        for piece in pieces:
            rest, made = piece, b""
            while rest or made:
                if decoder is None or decoder.eof:
                    if decoder is not None and not any(rest):
                        break  # padding behind the last stream
                    decoder = make()
                made = decoder.decompress(rest)
                yield made
                rest = decoder.rest
    except _BROKEN as error:
        raise PackedError(f"it does not unpack: {error}") from None
    if decoder is None or not decoder.eof:
        raise PackedError("it breaks off")


def _bounded(pieces: Iterable[bytes], most_bytes: int) -> Iterator[bytes]:
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > most_bytes:
            raise PackedError(f"it has more than the {most_bytes} bytes that are allowed")
        if piece:
            yield piece


_BROKEN: tuple[type[Exception], ...] = (
    igzip_lib.IsalError,  # type: ignore[assignment] # its stub says instance, not class
    lzma.LZMAError,
    zstd.ZstdError,
    EOFError,
)
