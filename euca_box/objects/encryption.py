"""Encryption of objects at rest: a key for each object, sealed by the master key or by the customer's.

Bytes are enciphered by AES-256 in counter mode, so that ranges seek; each file begins with a random
counter of its own, so that no two share a key stream. Source: S3 user guide, "Using server-side encryption
with Amazon S3 managed keys" and "... with customer-provided keys"; NIST SP 800-38A 6.5.
"""

import hmac
import os
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import md5

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from euca_box.auth.secrets import Sealer, SealError
from euca_box.model.s3_errors import InvalidRequest

KEY_BYTES = 32
_BLOCK = 16  # of AES
_NAME = "object data key"
_MANAGED, _CUSTOMER = "AES256", "SSE-C"


@dataclass(frozen=True, slots=True)
class CustomerKey:
    """A key that the client sends with each request; it is never kept. `md5` is base64."""

    key: bytes
    md5: str

    @classmethod
    def of(cls, key: bytes) -> "CustomerKey":
        return cls(key, b64encode(md5(key, usedforsecurity=False).digest()).decode())


@dataclass(frozen=True, slots=True)
class Encrypt:
    """The wish to encrypt a new object: with the customer's key, else with one of ours."""

    customer: CustomerKey | None = None


class DataKeys:
    """Makes and opens the keys of objects. `encryption` is the text that the object's row keeps."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def make(self, wish: Encrypt | None) -> tuple[bytes | None, str]:
        """A new data key and its text; nothing when nothing is to be encrypted."""
        if wish is None:
            return None, ""
        key = os.urandom(KEY_BYTES)
        return key, self.seal(key, wish)

    def seal(self, key: bytes, wish: Encrypt) -> str:
        clear = b64encode(key).decode()
        if wish.customer is None:
            return f"{_MANAGED} {self._sealer.seal(clear, _NAME)}"
        return f"{_CUSTOMER} {Sealer(wish.customer.key).seal(clear, _NAME)} {wish.customer.md5}"

    def open(self, encryption: str, customer: CustomerKey | None) -> bytes | None:
        """The data key; None when the object is not encrypted. Raises InvalidRequest."""
        kind, _, rest = encryption.partition(" ")
        if kind == _CUSTOMER:
            return self._open_customers(rest, customer)
        if customer is not None:
            raise InvalidRequest("The encryption parameters are not applicable to this object.")
        return b64decode(self._sealer.open(rest, _NAME)) if kind else None

    def _open_customers(self, sealed: str, customer: CustomerKey | None) -> bytes:
        if customer is None:
            raise InvalidRequest(
                "The object was stored using a form of Server Side Encryption. The correct parameters must "
                "be provided to retrieve the object."
            )
        sealed, _, key_md5 = sealed.partition(" ")
        wrong = InvalidRequest("The key that you sent is not the one that the object was encrypted with.")
        if not hmac.compare_digest(key_md5, customer.md5):
            raise wrong
        try:
            return b64decode(Sealer(customer.key).open(sealed, _NAME))
        except SealError:
            raise wrong from None


def customer_key_md5(encryption: str) -> str | None:
    """Of the key that the customer encrypted the object with; None when it was not his."""
    return encryption.split(" ")[2] if encryption.startswith(_CUSTOMER) else None


class Encryptor:
    """Encipher the bytes of one file, in order."""

    def __init__(self, key: bytes) -> None:
        # The last four bytes count AES blocks: 64 GiB, more than a file may have.
        self.nonce = os.urandom(_BLOCK - 4) + bytes(4)
        self._cipher = Cipher(algorithms.AES256(key), modes.CTR(self.nonce)).encryptor()

    def update(self, data: bytes) -> bytes:
        return self._cipher.update(data)


def decipher(key: bytes, nonce: bytes, offset: int, data: bytes | bytearray) -> bytes:
    """The clear bytes of a file at offset, which is a multiple of 16."""
    counter = int.from_bytes(nonce, "big") + offset // _BLOCK
    cipher = Cipher(algorithms.AES256(key), modes.CTR(counter.to_bytes(_BLOCK, "big")))
    return cipher.decryptor().update(data)
