"""RSA as bundles use it: the key of a bundle for the cloud and the user, and the signature of its manifest.

Both are of 2007: PKCS#1 v1.5 (RFC 8017, 7.2 and 8.2) with SHA-1, because the tools know nothing else.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

_KEY = re.compile(rb"[0-9a-fA-F]{32}")


class BundleKeyError(Exception):
    """The key of a bundle does not open; nothing is said of why."""


@dataclass(frozen=True)
class BundleKey:
    """An AES-128 key and the vector that a bundle begins with."""

    key: bytes = field(repr=False)
    iv: bytes = field(repr=False)


def new_bundle_key() -> BundleKey:
    return BundleKey(os.urandom(16), os.urandom(16))


def private_key(pem: bytes) -> rsa.RSAPrivateKey:
    """Raises ValueError for what is no RSA key, or an encrypted one."""
    try:
        key = load_pem_private_key(pem, None)
    except TypeError:
        raise ValueError("the private key is protected by a password") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("the private key is no RSA key")
    return key


def public_key(pem: bytes) -> rsa.RSAPublicKey:
    """Of a certificate. Raises ValueError."""
    return read_certificate(pem)[1]


@lru_cache(maxsize=4096)
def read_certificate(pem: bytes) -> tuple[bytes, rsa.RSAPublicKey]:
    """Its DER bytes, by which it is recognised, and its key; kept, for all of them are read again and again.

    Raises ValueError.
    """
    certificate = x509.load_pem_x509_certificate(pem)
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("the certificate is of no RSA key")
    return certificate.public_bytes(Encoding.DER), key


def wrap(secret: bytes, key: rsa.RSAPublicKey) -> str:
    """Hex of the encrypted hex text."""
    return key.encrypt(secret.hex().encode(), padding.PKCS1v15()).hex()


def unwrap(wrapped_key: str, wrapped_iv: str, key: rsa.RSAPrivateKey) -> BundleKey:
    """Raises BundleKeyError, the same for every cause: who tries many learns nothing."""
    try:
        texts = [key.decrypt(bytes.fromhex(text), padding.PKCS1v15()) for text in (wrapped_key, wrapped_iv)]
    except ValueError:
        raise BundleKeyError from None
    if not all(_KEY.fullmatch(text) for text in texts):
        raise BundleKeyError
    return BundleKey(*(bytes.fromhex(text.decode()) for text in texts))


def sign(data: bytes, key: rsa.RSAPrivateKey) -> str:
    return key.sign(data, padding.PKCS1v15(), hashes.SHA1()).hex()  # noqa: S303 - what the manifest demands


def is_signed_by(data: bytes, signature: str, keys: Iterable[rsa.RSAPublicKey]) -> bool:
    """Whether one of the keys made this signature."""
    for key in keys:
        try:
            key.verify(bytes.fromhex(signature), data, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303
        except InvalidSignature:
            continue
        return True
    return False
