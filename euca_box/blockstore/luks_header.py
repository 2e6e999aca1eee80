"""The header of a LUKS1 container (LUKS On-Disk Format 1.2.3), made here because QEMU measures for seconds
how often it should hash a passphrase. Ours is a random key, which no hashing makes stronger.

    592 bytes: cipher, digest of the master key, 8 slots; then the slots' key material; data from 2 MiB on
"""

import hashlib
import os
import struct
import uuid

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

KEY_BYTES = 32  # of the key that opens it
HEADER_BYTES = 2 << 20
SECTOR = 512
STRIPES = 4000
ITERATIONS = 1000  # the least that the format allows
MASTER_BYTES = 64  # AES-256 in XTS mode takes two keys
SLOTS, FIRST_SLOT_SECTOR, SLOT_SECTORS = 8, 8, 504
ACTIVE, UNUSED = 0x00AC71F3, 0x0000DEAD


def new_header(key: bytes) -> bytes:
    """With a new master key, that only this key opens."""
    master = os.urandom(MASTER_BYTES)
    digest_salt, slot_salt = os.urandom(32), os.urandom(32)
    digest = hashlib.pbkdf2_hmac("sha256", master, digest_salt, ITERATIONS, 20)
    head = struct.pack(
        ">6sH32s32s32sII20s32sI40s",
        b"LUKS\xba\xbe", 1, b"aes", b"xts-plain64", b"sha256", HEADER_BYTES // SECTOR, MASTER_BYTES,
        digest, digest_salt, ITERATIONS, str(uuid.uuid4()).encode(),
    )  # fmt: skip
    for number in range(SLOTS):
        state, times, salt = (ACTIVE, ITERATIONS, slot_salt) if number == 0 else (UNUSED, 0, b"")
        place = FIRST_SLOT_SECTOR + number * SLOT_SECTORS
        head += struct.pack(">II32sII", state, times, salt, place, STRIPES)
    slot_key = hashlib.pbkdf2_hmac("sha256", passphrase_of(key), slot_salt, ITERATIONS, MASTER_BYTES)
    material = _enciphered(slot_key, _split(master))
    return (head.ljust(FIRST_SLOT_SECTOR * SECTOR, b"\0") + material).ljust(HEADER_BYTES, b"\0")


def passphrase_of(key: bytes) -> bytes:
    """As text: QEMU takes no other."""
    return key.hex().encode()


def _split(master: bytes) -> bytes:
    """The anti-forensic splitter: lose a part of it, and the key is lost."""
    mixed, parts = bytes(len(master)), []
    for _ in range(STRIPES - 1):
        parts.append(os.urandom(len(master)))
        mixed = _diffused(_xor(mixed, parts[-1]))
    return b"".join((*parts, _xor(mixed, master)))


def _diffused(block: bytes) -> bytes:
    pieces = [block[at : at + 32] for at in range(0, len(block), 32)]
    return b"".join(hashlib.sha256(struct.pack(">I", n) + piece).digest() for n, piece in enumerate(pieces))


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")


def _enciphered(key: bytes, data: bytes) -> bytes:
    found = b""
    for number in range(len(data) // SECTOR):
        tweak = number.to_bytes(16, "little")  # plain64: the sector's number
        found += xts(key, tweak, data[number * SECTOR :][:SECTOR])
    return found


def xts(key: bytes, tweak: bytes, data: bytes, *, decipher: bool = False) -> bytes:
    """AES-256-XTS of one unit (IEEE 1619); the key has 64 bytes."""
    cipher = Cipher(algorithms.AES(key), modes.XTS(tweak))
    worker = cipher.decryptor() if decipher else cipher.encryptor()
    return worker.update(data) + worker.finalize()
