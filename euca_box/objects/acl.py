"""May this principal do that? The one place where rights on buckets and objects are decided.

In order: the policies of the user or role who asks, a Deny of the bucket's policy, what the public access
block takes away, an Allow of the policy, ownership, the ACL. Owner means account: all users of an account
share its buckets, as far as their own policies let them. Nobody stands above it, the cloud's administrator
included. Source: S3 user guide, "How Amazon S3 authorizes a
request", "Mapping of ACL permissions and access policy permissions".
"""

import enum

from euca_box.model.accounts import LENDER, LOGGER, LOGGER_SERVICE, Principal
from euca_box.model.acls import Acl, CannedAcl, Grant, Group, Permission
from euca_box.model.bucket_settings import ObjectOwnership, PublicAccessBlock
from euca_box.model.policies import Asker, Decision, Policy, Question
from euca_box.model.policy_text import Context
from euca_box.model.rights import asker, rights
from euca_box.model.s3_errors import AccessControlListNotSupported, AccessDenied, NoSuchBucket
from euca_box.objects.circumstances import CIRCUMSTANCES, GRANTS
from euca_box.objects.rows import ANONYMOUS, Bucket, Owner, StoredObject, owner_of


class Action(enum.StrEnum):
    """Service authorization reference, "Actions defined by Amazon S3"."""

    LIST_BUCKET = "s3:ListBucket"
    LIST_BUCKET_VERSIONS = "s3:ListBucketVersions"
    LIST_BUCKET_MULTIPART_UPLOADS = "s3:ListBucketMultipartUploads"
    GET_BUCKET_LOCATION = "s3:GetBucketLocation"
    DELETE_BUCKET = "s3:DeleteBucket"
    GET_BUCKET_ACL = "s3:GetBucketAcl"
    PUT_BUCKET_ACL = "s3:PutBucketAcl"
    GET_BUCKET_POLICY = "s3:GetBucketPolicy"
    PUT_BUCKET_POLICY = "s3:PutBucketPolicy"
    DELETE_BUCKET_POLICY = "s3:DeleteBucketPolicy"
    GET_BUCKET_POLICY_STATUS = "s3:GetBucketPolicyStatus"
    GET_BUCKET_PUBLIC_ACCESS_BLOCK = "s3:GetBucketPublicAccessBlock"
    PUT_BUCKET_PUBLIC_ACCESS_BLOCK = "s3:PutBucketPublicAccessBlock"
    GET_BUCKET_OWNERSHIP_CONTROLS = "s3:GetBucketOwnershipControls"
    PUT_BUCKET_OWNERSHIP_CONTROLS = "s3:PutBucketOwnershipControls"
    GET_BUCKET_VERSIONING = "s3:GetBucketVersioning"
    PUT_BUCKET_VERSIONING = "s3:PutBucketVersioning"
    GET_BUCKET_OBJECT_LOCK = "s3:GetBucketObjectLockConfiguration"
    PUT_BUCKET_OBJECT_LOCK = "s3:PutBucketObjectLockConfiguration"
    GET_BUCKET_TAGGING = "s3:GetBucketTagging"
    PUT_BUCKET_TAGGING = "s3:PutBucketTagging"
    GET_BUCKET_CORS = "s3:GetBucketCORS"
    PUT_BUCKET_CORS = "s3:PutBucketCORS"
    GET_BUCKET_WEBSITE = "s3:GetBucketWebsite"
    PUT_BUCKET_WEBSITE = "s3:PutBucketWebsite"
    DELETE_BUCKET_WEBSITE = "s3:DeleteBucketWebsite"
    GET_LIFECYCLE = "s3:GetLifecycleConfiguration"
    PUT_LIFECYCLE = "s3:PutLifecycleConfiguration"
    GET_ENCRYPTION = "s3:GetEncryptionConfiguration"
    PUT_ENCRYPTION = "s3:PutEncryptionConfiguration"
    GET_BUCKET_REQUEST_PAYMENT = "s3:GetBucketRequestPayment"
    PUT_BUCKET_REQUEST_PAYMENT = "s3:PutBucketRequestPayment"
    GET_BUCKET_LOGGING = "s3:GetBucketLogging"
    PUT_BUCKET_LOGGING = "s3:PutBucketLogging"
    GET_BUCKET_NOTIFICATION = "s3:GetBucketNotification"
    PUT_BUCKET_NOTIFICATION = "s3:PutBucketNotification"
    # From here on: of an object.
    GET_OBJECT = "s3:GetObject"
    GET_OBJECT_VERSION = "s3:GetObjectVersion"
    GET_OBJECT_ATTRIBUTES = "s3:GetObjectAttributes"
    PUT_OBJECT = "s3:PutObject"
    DELETE_OBJECT = "s3:DeleteObject"
    DELETE_OBJECT_VERSION = "s3:DeleteObjectVersion"
    GET_OBJECT_ACL = "s3:GetObjectAcl"
    GET_OBJECT_VERSION_ACL = "s3:GetObjectVersionAcl"
    PUT_OBJECT_ACL = "s3:PutObjectAcl"
    PUT_OBJECT_VERSION_ACL = "s3:PutObjectVersionAcl"
    GET_OBJECT_TAGGING = "s3:GetObjectTagging"
    GET_OBJECT_VERSION_TAGGING = "s3:GetObjectVersionTagging"
    PUT_OBJECT_TAGGING = "s3:PutObjectTagging"
    PUT_OBJECT_VERSION_TAGGING = "s3:PutObjectVersionTagging"
    DELETE_OBJECT_TAGGING = "s3:DeleteObjectTagging"
    DELETE_OBJECT_VERSION_TAGGING = "s3:DeleteObjectVersionTagging"
    GET_OBJECT_RETENTION = "s3:GetObjectRetention"
    PUT_OBJECT_RETENTION = "s3:PutObjectRetention"
    BYPASS_GOVERNANCE_RETENTION = "s3:BypassGovernanceRetention"
    GET_OBJECT_LEGAL_HOLD = "s3:GetObjectLegalHold"
    PUT_OBJECT_LEGAL_HOLD = "s3:PutObjectLegalHold"
    ABORT_MULTIPART_UPLOAD = "s3:AbortMultipartUpload"
    LIST_MULTIPART_UPLOAD_PARTS = "s3:ListMultipartUploadParts"


# The permission of the bucket's ACL, or of the object's, that allows an action to others than the owner.
_BY_BUCKET_ACL = {
    Action.LIST_BUCKET: Permission.READ,
    Action.LIST_BUCKET_VERSIONS: Permission.READ,
    Action.LIST_BUCKET_MULTIPART_UPLOADS: Permission.READ,
    Action.PUT_OBJECT: Permission.WRITE,
    Action.DELETE_OBJECT: Permission.WRITE,
    Action.ABORT_MULTIPART_UPLOAD: Permission.WRITE,
    Action.LIST_MULTIPART_UPLOAD_PARTS: Permission.WRITE,
    Action.GET_BUCKET_ACL: Permission.READ_ACP,
    Action.PUT_BUCKET_ACL: Permission.WRITE_ACP,
}
_BY_OBJECT_ACL = {
    Action.GET_OBJECT: Permission.READ,
    Action.GET_OBJECT_VERSION: Permission.READ,
    Action.GET_OBJECT_ATTRIBUTES: Permission.READ,
    Action.GET_OBJECT_ACL: Permission.READ_ACP,
    Action.GET_OBJECT_VERSION_ACL: Permission.READ_ACP,
    Action.PUT_OBJECT_ACL: Permission.WRITE_ACP,
    Action.PUT_OBJECT_VERSION_ACL: Permission.WRITE_ACP,
}
_BY_OBJECT_OWNER = frozenset(action for action in Action if action.endswith("Tagging"))
_OF_OBJECT = frozenset(list(Action)[list(Action).index(Action.GET_OBJECT) :])
_ACL_OF_ACLS = (Permission.READ_ACP, Permission.WRITE_ACP)
# The owner's alone, whatever the policy says: it cannot shut itself out (S3 API, PutBucketPolicy).
_OF_THE_POLICY = (Action.GET_BUCKET_POLICY, Action.PUT_BUCKET_POLICY, Action.DELETE_BUCKET_POLICY)


def is_allowed(
    principal: Principal | None,
    action: Action,
    bucket: Bucket,
    stored: StoredObject | None = None,
    *,
    key: str = "",
) -> bool:
    """`key` is the object that a policy may name, where there is no `stored` (yet)."""
    if principal is not None and principal.account == LENDER.account:
        if principal != LOGGER:
            # A node reads an image by a URL that Walrus signed, after the owner's rights were checked.
            # LIST lets it tell a deleted object from a forbidden one; the URLs it signs name one object.
            is_read = action is Action.LIST_BUCKET or (action is Action.GET_OBJECT and stored is not None)
            return is_read or bucket.is_hidden
        if bucket.is_hidden:
            return False
    owns_bucket = principal is not None and principal.account == bucket.owner.account
    policy = bucket.policy
    own = Decision.ALLOW
    if principal is not None and not principal.is_unlimited:
        question = _question(principal, action, bucket, stored, key)
        own = rights(principal, GRANTS.get()(), question)
        named = owns_bucket and policy is not None and policy.names_user(question)
        if own is Decision.DENY or (own is Decision.NOTHING and not named):
            return False
        if own is Decision.NOTHING and action in _OF_THE_POLICY:
            return False
    if policy is not None and action not in _OF_THE_POLICY:
        decision = policy.decide(_question(principal, action, bucket, stored, key))
        if decision is Decision.DENY or (
            not owns_bucket and principal != LOGGER and _is_restricted(bucket, policy)
        ):
            return False
        if decision is Decision.ALLOW and (stored is None or _is_of_bucket_owner(bucket, stored)):
            return True
    return own is Decision.ALLOW and _by_ownership(principal, action, bucket, stored)


def is_allowed_for(principal: Principal | None, action: str, resource: str) -> bool:
    """Do the policies of the user allow what is about no bucket that is there (ListBuckets, CreateBucket)?"""
    if principal is None or principal.is_unlimited:
        return True
    question = Question(asker(principal), action, resource, CIRCUMSTANCES.get()())
    return rights(principal, GRANTS.get()(), question) is Decision.ALLOW


def authorize(
    principal: Principal | None,
    action: Action,
    bucket: Bucket,
    stored: StoredObject | None = None,
    *,
    key: str = "",
) -> None:
    """Raises AccessDenied; NoSuchBucket for a hidden one."""
    if not is_allowed(principal, action, bucket, stored, key=key):
        raise NoSuchBucket(BucketName=bucket.name) if bucket.is_hidden else AccessDenied()


def is_denied(principal: Principal | None, action: Action, bucket: Bucket, *, key: str) -> bool:
    """Does the policy forbid it, whatever else allows it?"""
    question = _question(principal, action, bucket, None, key)
    if bucket.policy is not None and bucket.policy.decide(question) is Decision.DENY:
        return True
    if principal is None or principal.is_unlimited:
        return False
    return rights(principal, GRANTS.get()(), question) is Decision.DENY


def _by_ownership(
    principal: Principal | None, action: Action, bucket: Bucket, stored: StoredObject | None
) -> bool:
    account = principal.account if principal is not None else None
    owns_bucket = account == bucket.owner.account
    owner = owner_in(bucket, stored.owner) if stored is not None else bucket.owner
    if (wanted := _BY_OBJECT_ACL.get(action)) is not None:
        if stored is None:
            return False
        acl, owns = stored.acl, account == owner.account
    elif (wanted := _BY_BUCKET_ACL.get(action)) is not None:
        acl, owner, owns = bucket.acl, bucket.owner, owns_bucket
    else:
        writes_tags = action in _BY_OBJECT_OWNER and stored is not None
        return owns_bucket or (writes_tags and account == owner.account)
    if owns and (acl.canned is not None or wanted in _ACL_OF_ACLS):
        return True
    if bucket.ownership is ObjectOwnership.BUCKET_OWNER_ENFORCED:
        return owns
    ignores_public = _block_of(bucket).ignore_public_acls
    return any(
        grant.allows(wanted) and _is_meant(grant, principal, ignores_public=ignores_public)
        for grant in acl.grants(owner.canonical_id, bucket.owner.canonical_id)
    )


def _is_meant(grant: Grant, principal: Principal | None, *, ignores_public: bool) -> bool:
    match grant.grantee:
        case Group.ALL_USERS:
            return not ignores_public
        case Group.AUTHENTICATED_USERS:
            return principal is not None and principal != LOGGER and not ignores_public
        case Group.LOG_DELIVERY:
            return principal == LOGGER
        case canonical_id:
            return principal is not None and principal.canonical_id == canonical_id


def owner_in(bucket: Bucket, owner: Owner) -> Owner:
    """Whose an object of that owner is now: the bucket owner may have taken all of them."""
    return bucket.owner if bucket.ownership is ObjectOwnership.BUCKET_OWNER_ENFORCED else owner


def new_owner(principal: Principal | None, bucket: Bucket, acl: Acl | None) -> Owner:
    """Whose an object will be that the principal writes with this ACL."""
    if principal == LOGGER:
        return bucket.owner
    owner = owner_of(principal) if principal else ANONYMOUS
    preferred = bucket.ownership is ObjectOwnership.BUCKET_OWNER_PREFERRED
    if preferred and acl is not None and acl.canned is CannedAcl.BUCKET_OWNER_FULL_CONTROL:
        return bucket.owner
    return owner_in(bucket, owner)


def check_acl(bucket: Bucket, acl: Acl | None) -> None:
    """May this ACL be set in the bucket? None: no ACL was given.

    Raises AccessControlListNotSupported, AccessDenied.
    """
    if acl is None:
        return
    enforced = bucket.ownership is ObjectOwnership.BUCKET_OWNER_ENFORCED
    if enforced and acl.canned is not CannedAcl.BUCKET_OWNER_FULL_CONTROL:
        raise AccessControlListNotSupported()
    if _block_of(bucket).block_public_acls and acl.is_public():
        raise AccessDenied()


def _block_of(bucket: Bucket) -> PublicAccessBlock:
    return bucket.setting(PublicAccessBlock) or _NOTHING_BLOCKED


_NOTHING_BLOCKED = PublicAccessBlock()


def _is_restricted(bucket: Bucket, policy: Policy) -> bool:
    return _block_of(bucket).restrict_public_buckets and policy.is_public


def _is_of_bucket_owner(bucket: Bucket, stored: StoredObject) -> bool:
    """A policy gives away what is the bucket owner's, and nothing of others."""
    return owner_in(bucket, stored.owner).account == bucket.owner.account


def _question(
    principal: Principal | None, action: Action, bucket: Bucket, stored: StoredObject | None, key: str
) -> Question:
    resource, name = f"arn:aws:s3:::{bucket.name}", stored.key if stored is not None else key
    of_object = action in _OF_OBJECT
    context: Context = CIRCUMSTANCES.get()()
    if not of_object and name:
        context = {**context, "s3:prefix": (name,)}  # an absent key: may its name be known?
    if stored is not None and stored.tags:
        tags = {f"s3:existingobjecttag/{tag}".lower(): (value,) for tag, value in stored.tags.items()}
        context = {**context, **tags}
    who = Asker()
    if principal == LOGGER:
        who = Asker(service=LOGGER_SERVICE)
    elif principal is not None:
        who = asker(principal)
    return Question(who, action.value, f"{resource}/{name}" if of_object else resource, context)
