"""May this principal do that? The one place where rights on buckets and objects are decided.

Owner means account: all users of an account share its buckets. Nobody stands above it, the cloud's
administrator included. Source: S3 developer guide, "Canned ACL" and "Mapping of ACL permissions".
"""

import enum

from euca_box.model.accounts import LENDER, Principal
from euca_box.model.s3_errors import AccessDenied
from euca_box.objects.rows import Bucket, CannedAcl, StoredObject


class Action(enum.Enum):
    LIST = "list a bucket"
    WRITE = "write or delete objects of a bucket"
    READ = "read an object"
    OWN_BUCKET = "read the ACL of a bucket, delete or configure it"
    OWN_OBJECT = "read or write the ACL of an object"


_EVERYBODY_READS = {CannedAcl.PUBLIC_READ, CannedAcl.PUBLIC_READ_WRITE}
_BUCKET_OWNER_READS = {CannedAcl.BUCKET_OWNER_READ, CannedAcl.BUCKET_OWNER_FULL_CONTROL}


def is_allowed(
    principal: Principal | None, action: Action, bucket: Bucket, stored: StoredObject | None = None
) -> bool:
    if principal == LENDER:
        # A node reads an image by a URL that Walrus signed, after the owner's rights were checked.
        # LIST lets it tell a deleted object from a forbidden one; the URLs it signs name one object.
        return action is Action.LIST or (action is Action.READ and stored is not None)
    account = principal.account if principal else None
    owns_bucket = account == bucket.owner.account
    owns_object = stored is not None and account == stored.owner.account
    match action:
        case Action.LIST:
            return owns_bucket or _may_read(bucket.acl, account)
        case Action.WRITE:
            return owns_bucket or bucket.acl is CannedAcl.PUBLIC_READ_WRITE
        case Action.OWN_BUCKET:
            return owns_bucket
        case Action.OWN_OBJECT:
            full = stored is not None and stored.acl is CannedAcl.BUCKET_OWNER_FULL_CONTROL
            return owns_object or (owns_bucket and full)
        case Action.READ:
            if stored is None:
                return False
            granted = owns_bucket and stored.acl in _BUCKET_OWNER_READS
            return owns_object or granted or _may_read(stored.acl, account)


def _may_read(acl: CannedAcl, account: str | None) -> bool:
    return acl in _EVERYBODY_READS or (acl is CannedAcl.AUTHENTICATED_READ and account is not None)


def authorize(
    principal: Principal | None, action: Action, bucket: Bucket, stored: StoredObject | None = None
) -> None:
    """Raises AccessDenied."""
    if not is_allowed(principal, action, bucket, stored):
        raise AccessDenied()
