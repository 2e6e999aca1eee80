"""Chunks of encrypted snapshots: AES-256-XTS, each a unit by its number. The same bytes at the same place of
volumes with the same key are the same chunk; a chunk is as long as its bytes.

That a chunk is the right one its SHA-256 in the manifest says.
"""

import hashlib
import hmac

from euca_box.blockstore.luks_header import xts

PURPOSE = b"euca-box chunks of snapshots"


class ChunkCipher:
    def __init__(self, key: bytes) -> None:
        """`key` also opens the volume's container; what enciphers chunks is derived from it."""
        self._key = hmac.new(key, PURPOSE, hashlib.sha512).digest()

    def encipher(self, number: int, data: bytes) -> bytes:
        return xts(self._key, number.to_bytes(16, "little"), data)

    def decipher(self, number: int, data: bytes) -> bytes:
        return xts(self._key, number.to_bytes(16, "little"), data, decipher=True)
