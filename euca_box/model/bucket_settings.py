"""What the owner of a bucket may set about access to it. Pure values.

Source: S3 API reference 2006-03-01, PublicAccessBlockConfiguration, OwnershipControls.
"""

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PublicAccessBlock:
    """S3 user guide, "Blocking public access to your Amazon S3 storage"."""

    block_public_acls: bool = False
    ignore_public_acls: bool = False
    block_public_policy: bool = False
    restrict_public_buckets: bool = False


class ObjectOwnership(enum.StrEnum):
    """S3 user guide, "Controlling ownership of objects and disabling ACLs"."""

    BUCKET_OWNER_ENFORCED = "BucketOwnerEnforced"
    BUCKET_OWNER_PREFERRED = "BucketOwnerPreferred"
    OBJECT_WRITER = "ObjectWriter"
