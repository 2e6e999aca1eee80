"""The hashes of a body while it arrives, and what the client says they must be.

MD5 is always needed, it is the ETag. SHA-256 costs half as much again and is taken only when the
client signed the body. One additional checksum is taken: the client's choice, else CRC64NVME, as S3 does.
"""

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from euca_box.model.s3_errors import BadDigest, InvalidDigest, XAmzContentSHA256Mismatch
from euca_box.objects.crcs import CRCS, WIDTH_BYTES, Crc
from euca_box.objects.rows import Checksum

DIGEST_BYTES = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}
DEFAULT_ALGORITHM = "CRC64NVME"  # what S3 computes when the client names none


class Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...


class _Crc:
    """A CRC with the face of a hash."""

    def __init__(self, crc: Crc, width_bytes: int) -> None:
        self._crc, self._width, self._value = crc, width_bytes, 0

    def update(self, data: bytes, /) -> None:
        self._value = self._crc(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._width, "big")


def checksum_hash(algorithm: str) -> Hash:
    if algorithm in CRCS:
        return _Crc(CRCS[algorithm], WIDTH_BYTES[algorithm])
    return hashlib.sha1(usedforsecurity=False) if algorithm == "SHA1" else hashlib.sha256()


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the client says of the body. `value` is asked when the body has ended: a trailer comes then.

    `md5` and `sha256` are hex; `algorithm` is CRC32, CRC32C, CRC64NVME, SHA1, SHA256 or empty for none.
    """

    md5: str | None = None
    sha256: str | None = None
    algorithm: str = DEFAULT_ALGORITHM
    value: Callable[[], str | None] | None = None


class Digests:
    """Feed with `update`, in order, from any thread, one at a time."""

    def __init__(self, expect: Expectation) -> None:
        self._expect = expect
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256() if expect.sha256 else None
        self._checksum = checksum_hash(expect.algorithm) if expect.algorithm else None

    def update(self, data: bytes) -> None:
        self._md5.update(data)
        if self._sha256 is not None:
            self._sha256.update(data)
        if self._checksum is not None:
            self._checksum.update(data)

    @property
    def etag(self) -> str:
        return self._md5.hexdigest()

    @property
    def sha256(self) -> str | None:
        return self._sha256.hexdigest() if self._sha256 else None

    @property
    def checksum(self) -> Checksum | None:
        if self._checksum is None:
            return None
        return Checksum(self._expect.algorithm, b64encode(self._checksum.digest()).decode())

    def check(self) -> None:
        """Raises BadDigest or XAmzContentSHA256Mismatch when the body is not the one announced."""
        if self._expect.md5 is not None and self._expect.md5 != self.etag:
            raise BadDigest("The Content-MD5 you specified did not match what we received.")
        if self._expect.sha256 is not None and self._expect.sha256 != self.sha256:
            raise XAmzContentSHA256Mismatch(
                ClientComputedContentSHA256=self._expect.sha256, S3ComputedContentSHA256=self.sha256 or ""
            )
        value, checksum = self._expect.value() if self._expect.value else None, self.checksum
        if value is not None and checksum is not None and value != checksum.value:
            raise BadDigest(f"The {checksum.algorithm} you specified did not match the calculated checksum.")


def decoded_digest(value: str, length_bytes: int) -> bytes:
    """A base64 digest of that length. Raises InvalidDigest."""
    try:
        digest = b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidDigest() from None
    if len(digest) != length_bytes:
        raise InvalidDigest()
    return digest
