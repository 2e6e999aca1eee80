"""A bundle's stream in both directions: tar, gzip, AES-128-CBC with PKCS padding, cut into parts.

As ec2-ami-tools and euca2ools do it. Nothing here is larger in memory than a part, and nothing gives out more
bytes than was declared. Blocks; for threads.
"""

import hashlib
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from isal import igzip_lib, isal_zlib

from euca_box.auth.bundle_keys import BundleKey
from euca_box.images import tar_file
from euca_box.images.manifest import Part
from euca_box.images.tar_file import TarError

PART_BYTES = 10 * 1024 * 1024
PIECE_BYTES = 1 << 20
# Behind the file a tar has zeros up to a record of 10 KiB; some tools use larger records.
TAIL_BYTES = 4 << 20
GZIP = 31  # zlib's "window bits": a gzip header and trailer
LEVEL = 1


class BundleError(Exception):
    """The parts are no bundle of this manifest and key; the text says why."""


@dataclass
class Bundled:
    """What a manifest must tell of the parts that were made."""

    parts: list[Part]
    bundled_bytes: int = 0
    digest: str = ""


def unbundle(encrypted: Iterable[bytes], key: BundleKey, size_bytes: int) -> Iterator[bytes]:
    """The image of exactly size_bytes, in pieces, from the joined parts. Raises BundleError at the latest
    when it has ended: what was given out is good only then."""
    stream = _Stream(_unpacked(_decrypted(encrypted, key)))
    given = 0
    try:
        for piece in tar_file.read_file(stream.read, size_bytes):
            given += len(piece)
            yield piece
    except TarError as error:
        raise BundleError(str(error)) from None
    if given != size_bytes:
        raise BundleError(f"its file has {given} bytes, not the {size_bytes} that it says")
    stream.finish()


def bundle(image: BinaryIO, name: str, size_bytes: int, key: BundleKey, told: Bundled) -> Iterator[bytes]:
    """The parts of a file, each to be kept under the name that `told.parts` has for it.

    `told` is complete when the last part was given out.
    """
    parts = _cut(_encrypted(_packed(_tarred(image, name, size_bytes, told)), key))
    for number, part in enumerate(parts):
        digest = hashlib.sha1(part, usedforsecurity=False).hexdigest()
        told.parts.append(Part(f"{name}.part.{number}", digest))
        told.bundled_bytes += len(part)
        yield part


def checked(pieces: Iterable[bytes], part: Part) -> Iterator[bytes]:
    """The pieces of one part. Raises BundleError at the end when they are not those of the manifest."""
    digest = hashlib.sha1(usedforsecurity=False)
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != part.sha1:
        raise BundleError(f"the part {part.name} is not the one of the manifest")


def _decrypted(pieces: Iterable[bytes], key: BundleKey) -> Iterator[bytes]:
    decryptor = Cipher(algorithms.AES(key.key), modes.CBC(key.iv)).decryptor()
    unpadder = PKCS7(128).unpadder()
    try:
        for piece in pieces:
            yield unpadder.update(decryptor.update(piece))
        yield unpadder.update(decryptor.finalize()) + unpadder.finalize()
    except ValueError:
        raise BundleError("its parts do not decrypt with its key") from None


def _unpacked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Gunzip; each step gives out a MiB at most, so that a bomb has no time to grow."""
    unpacker = isal_zlib.decompressobj(GZIP)
    try:
        for piece in pieces:
            rest = piece
            while rest:
                if unpacker.eof:
                    raise BundleError("something follows its gzip stream")
                yield unpacker.decompress(rest, PIECE_BYTES)
                rest = unpacker.unconsumed_tail or unpacker.unused_data
        while not unpacker.eof and (more := unpacker.decompress(b"", PIECE_BYTES)):
            yield more
    except (igzip_lib.IsalError, EOFError):  # type: ignore[misc] # its stub says instance, not class
        raise BundleError("what its parts hold is no gzip stream") from None
    if not unpacker.eof:
        raise BundleError("its gzip stream breaks off")


class _Stream:
    """Pieces, read by exact lengths."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._waiting = memoryview(b"")

    def read(self, length: int) -> bytes:
        """Raises BundleError when it ends before."""
        if length <= len(self._waiting):
            found, self._waiting = bytes(self._waiting[:length]), self._waiting[length:]
            return found
        taken = [self._waiting]
        missing = length - len(self._waiting)
        for piece in self._pieces:
            view = memoryview(piece)
            taken.append(view[:missing])
            self._waiting = view[missing:]
            missing -= len(taken[-1])
            if not missing:
                return b"".join(taken)
        raise BundleError("its archive breaks off")

    def finish(self) -> None:
        """Read to the end: padding and the checksum of gzip are there."""
        left = TAIL_BYTES
        for piece in (self._waiting, *self._pieces) if len(self._waiting) else self._pieces:
            left -= len(piece)
            if left < 0 or any(piece):
                raise BundleError("its archive holds more than one file")


def _tarred(image: BinaryIO, name: str, size_bytes: int, told: Bundled) -> Iterator[bytes]:
    """With the digest that ec2-unbundle compares: of the archive, before gzip."""
    digest = hashlib.sha1(usedforsecurity=False)
    for piece in _archive(image, name, size_bytes):
        digest.update(piece)
        yield piece
    told.digest = digest.hexdigest()


def _archive(image: BinaryIO, name: str, size_bytes: int) -> Iterator[bytes]:
    head = tarfile.TarInfo(name)
    head.size = size_bytes
    yield head.tobuf(tarfile.GNU_FORMAT)
    left = size_bytes
    while left:
        piece = image.read(min(PIECE_BYTES, left))
        if not piece:
            raise BundleError("the image became shorter while it was read")
        left -= len(piece)
        yield piece
    yield bytes(-size_bytes % tar_file.BLOCK + 2 * tar_file.BLOCK)


def _packed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, GZIP)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()


def _encrypted(pieces: Iterable[bytes], key: BundleKey) -> Iterator[bytes]:
    encryptor = Cipher(algorithms.AES(key.key), modes.CBC(key.iv)).encryptor()
    padder = PKCS7(128).padder()
    for piece in pieces:
        yield encryptor.update(padder.update(piece))
    yield encryptor.update(padder.finalize()) + encryptor.finalize()


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= PART_BYTES:
            yield bytes(waiting[:PART_BYTES])
            del waiting[:PART_BYTES]
    if waiting:
        yield bytes(waiting)
