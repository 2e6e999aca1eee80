"""What the headers say of encryption at rest: AES256 with a key of ours, or with one the client sends.

Source: S3 user guide, "Using server-side encryption with customer-provided keys", "... with Amazon S3
managed keys". Keys of a KMS are not there, and that is what is answered.
"""

import hmac
from base64 import b64decode
from binascii import Error as Base64Error

from euca_box.api.s3.request import S3Request
from euca_box.model.s3_errors import (
    InvalidArgument,
    InvalidEncryptionAlgorithmError,
    InvalidRequest,
    S3NotImplemented,
)
from euca_box.objects.encryption import KEY_BYTES, CustomerKey, Encrypt, customer_key_md5
from euca_box.objects.rows import StoredObject

_MANAGED = "x-amz-server-side-encryption"
_CUSTOMER = "x-amz-server-side-encryption-customer-"
_SOURCE = "x-amz-copy-source-server-side-encryption-customer-"
_PARTS = ("algorithm", "key", "key-md5")
_KMS = frozenset(f"{_MANAGED}-{of}" for of in ("aws-kms-key-id", "context", "bucket-key-enabled"))
_CUSTOMERS = frozenset(_CUSTOMER + name for name in _PARTS)
_OF_WRITE, _OF_READ = _KMS | _CUSTOMERS | {_MANAGED}, _CUSTOMERS | {_MANAGED}


def encryption_of(request: S3Request, *, by_default: bool) -> Encrypt | None:
    """How a new object shall be encrypted. Raises InvalidEncryptionAlgorithmError, S3NotImplemented, ..."""
    if request.headers.keys().isdisjoint(_OF_WRITE):
        return Encrypt() if by_default else None
    customer, kind = customer_key_of(request), request.headers.get(_MANAGED)
    for name in request.headers.keys() & _KMS:
        raise S3NotImplemented(Header=name)
    if kind is not None:
        if customer is not None:
            raise InvalidArgument(
                "Server Side Encryption with Customer provided key is incompatible with it."
            )
        if kind.startswith("aws:kms"):
            raise S3NotImplemented("There is no key management service here.", Header=_MANAGED)
        if kind != "AES256":
            raise InvalidEncryptionAlgorithmError(ArgumentName=_MANAGED, ArgumentValue=kind)
    if customer is not None:
        return Encrypt(customer)
    return Encrypt() if kind is not None or by_default else None


def customer_key_of(request: S3Request, *, of_source: bool = False) -> CustomerKey | None:
    """The key in the headers, checked against its digest. Raises InvalidArgument, InvalidRequest."""
    prefix = _SOURCE if of_source else _CUSTOMER
    given = {name: request.headers[prefix + name] for name in _PARTS if prefix + name in request.headers}
    if not given:
        return None
    for name in _PARTS:
        if name not in given:
            raise InvalidArgument(
                "Requests specifying Server Side Encryption with Customer provided keys must provide the "
                "algorithm, the secret key and its MD5.",
                ArgumentName=prefix + name,
            )
    if given["algorithm"] != "AES256":
        raise InvalidEncryptionAlgorithmError(ArgumentName=f"{prefix}algorithm")
    try:
        key = b64decode(given["key"], validate=True)
    except (Base64Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidArgument("The secret key was invalid for the specified algorithm.")
    customer = CustomerKey.of(key)
    if not hmac.compare_digest(customer.md5.encode(), given["key-md5"].encode("latin-1", "replace")):
        raise InvalidArgument("The calculated MD5 hash of the key did not match the hash that was provided.")
    return customer


def refuse_on_read(request: S3Request) -> None:
    """A read names no managed encryption (S3 API reference, GetObject). Raises InvalidRequest."""
    if _MANAGED in request.headers:
        raise InvalidRequest("x-amz-server-side-encryption header is not supported for this operation.")


def encryption_headers(encryption: str) -> dict[str, str]:
    """What an answer says of how an object is encrypted."""
    if not encryption:
        return {}
    if (key_md5 := customer_key_md5(encryption)) is None:
        return {_MANAGED: "AES256"}
    return {f"{_CUSTOMER}algorithm": "AES256", f"{_CUSTOMER}key-md5": key_md5}


def is_encrypted_read(request: S3Request, stored: StoredObject) -> bool:
    """Does reading need a key, or does the client send one?"""
    return bool(stored.encryption) or not request.headers.keys().isdisjoint(_OF_READ)
