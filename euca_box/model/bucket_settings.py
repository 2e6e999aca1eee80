"""What the owner of a bucket may set for it, as far as it is short. Pure values.

Source: S3 API reference 2006-03-01, under the names of the documents.
"""

import enum
from dataclasses import dataclass
from typing import ClassVar

from euca_box.model.documents import element
from euca_box.model.s3_errors import InvalidArgument, MalformedXML, S3NotImplemented


@dataclass(frozen=True, slots=True)
class PublicAccessBlock:
    """S3 user guide, "Blocking public access to your Amazon S3 storage"."""

    block_public_acls: bool = False
    ignore_public_acls: bool = False
    block_public_policy: bool = False
    restrict_public_buckets: bool = False


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    is_public: bool


class ObjectOwnership(enum.StrEnum):
    """S3 user guide, "Controlling ownership of objects and disabling ACLs"."""

    BUCKET_OWNER_ENFORCED = "BucketOwnerEnforced"
    BUCKET_OWNER_PREFERRED = "BucketOwnerPreferred"
    OBJECT_WRITER = "ObjectWriter"


@dataclass(frozen=True, slots=True)
class OwnershipRule:
    object_ownership: ObjectOwnership


@dataclass(frozen=True, slots=True)
class OwnershipControls:
    rule: tuple[OwnershipRule, ...]


class SseAlgorithm(enum.StrEnum):
    AES256 = "AES256"
    KMS = "aws:kms"
    KMS_DSSE = "aws:kms:dsse"


@dataclass(frozen=True, slots=True)
class EncryptionByDefault:
    sse_algorithm: SseAlgorithm = element("SSEAlgorithm")
    kms_master_key_id: str | None = element("KMSMasterKeyID", default=None)


@dataclass(frozen=True, slots=True)
class EncryptionRule:
    NOT_THERE: ClassVar = frozenset({"BlockedEncryptionTypes"})

    apply_server_side_encryption_by_default: EncryptionByDefault
    bucket_key_enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class BucketEncryption:
    """S3 API, ServerSideEncryptionConfiguration: how objects are encrypted that do not say how."""

    rule: tuple[EncryptionRule, ...]


def check_encryption(encryption: BucketEncryption) -> None:
    """Raises MalformedXML, S3NotImplemented for keys of KMS."""
    if len(encryption.rule) != 1:
        raise MalformedXML()
    if encryption.rule[0].apply_server_side_encryption_by_default.sse_algorithm is not SseAlgorithm.AES256:
        raise S3NotImplemented("There is no key management service; SSEAlgorithm AES256 encrypts.")
    if encryption.rule[0].apply_server_side_encryption_by_default.kms_master_key_id is not None:
        raise InvalidArgument(
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms"
        )


class Payer(enum.StrEnum):
    REQUESTER = "Requester"
    BUCKET_OWNER = "BucketOwner"


@dataclass(frozen=True, slots=True)
class RequestPayment:
    """S3 API, RequestPaymentConfiguration: nothing costs here, but others must say that they would pay."""

    payer: Payer = Payer.BUCKET_OWNER
