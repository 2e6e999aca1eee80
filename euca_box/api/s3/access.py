"""The policy of a bucket, and object ownership, which is set only where no ACL contradicts it."""

from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import Response
from euca_box.api.s3.uploading import read_document
from euca_box.api.s3.xml_shapes import document_response, read_document_as
from euca_box.model.acls import Permission
from euca_box.model.bucket_settings import (
    ObjectOwnership,
    OwnershipControls,
    OwnershipRule,
    PolicyStatus,
    PublicAccessBlock,
)
from euca_box.model.policies import Policy, PolicyError, parse_policy
from euca_box.model.s3_actions import is_action
from euca_box.model.s3_errors import (
    AccessDenied,
    InvalidBucketAclWithObjectOwnership,
    MalformedPolicy,
    MalformedXML,
    NoSuchBucketPolicy,
    OwnershipControlsNotFoundError,
)
from euca_box.objects.acl import Action, authorize
from euca_box.objects.rows import MIB, Bucket

LARGEST_POLICY_BYTES = 20 * 1024
_ARN = "arn:aws:s3:::"


def _bucket(front: Front, request: S3Request, action: Action) -> Bucket:
    bucket = front.objects.buckets.find(request.bucket)
    authorize(request.principal, action, bucket)
    return bucket


async def get_bucket_policy(front: Front, request: S3Request) -> Response:
    policy = _bucket(front, request, Action.GET_BUCKET_POLICY).policy
    if policy is None:
        raise NoSuchBucketPolicy(BucketName=request.bucket)
    return Response(200, {"content-type": "application/json"}, policy.text.encode())


async def put_bucket_policy(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, PUT Bucket policy: checked whole, then stored as it came."""
    bucket = _bucket(front, request, Action.PUT_BUCKET_POLICY)
    document = await read_document(request, LARGEST_POLICY_BYTES)
    try:
        policy = parse_policy(document.decode(), of_resource=True)
        _check_scope(policy, bucket.name)
    except PolicyError as error:
        raise MalformedPolicy(str(error)) from None
    except UnicodeDecodeError:
        raise MalformedPolicy() from None
    block = bucket.setting(PublicAccessBlock)
    if block is not None and block.block_public_policy and policy.is_public:
        raise AccessDenied()
    await front.objects.buckets.put_setting(request.bucket, policy)
    return Response(204)


def _check_scope(policy: Policy, bucket: str) -> None:
    """A bucket's policy speaks of S3 and of this bucket only. Raises PolicyError."""
    for statement in policy.statements:
        if not all(map(is_action, statement.action_names)):
            raise PolicyError("Policy has invalid action")
        for name, pattern in zip(statement.resource_names, statement.resources, strict=True):
            head, slash, _ = name.removeprefix(_ARN).partition("/")
            in_bucket = pattern.matches(f"{_ARN}{bucket}", {}) or head == bucket or (slash and "*" in head)
            if name != "*" and not (name.startswith(_ARN) and in_bucket):
                raise PolicyError("Policy has invalid resource")


async def delete_bucket_policy(front: Front, request: S3Request) -> Response:
    _bucket(front, request, Action.DELETE_BUCKET_POLICY)
    await front.objects.buckets.delete_setting(request.bucket, Policy)
    return Response(204)


async def get_bucket_policy_status(front: Front, request: S3Request) -> Response:
    """Public by its policy or by its ACL."""
    bucket = _bucket(front, request, Action.GET_BUCKET_POLICY_STATUS)
    is_public = bucket.acl.is_public() or (bucket.policy is not None and bucket.policy.is_public)
    return document_response("PolicyStatus", PolicyStatus(is_public))


async def get_bucket_ownership_controls(front: Front, request: S3Request) -> Response:
    ownership = _bucket(front, request, Action.GET_BUCKET_OWNERSHIP_CONTROLS).setting(ObjectOwnership)
    if ownership is None:
        raise OwnershipControlsNotFoundError(BucketName=request.bucket)
    return document_response("OwnershipControls", OwnershipControls((OwnershipRule(ownership),)))


async def put_bucket_ownership_controls(front: Front, request: S3Request) -> Response:
    bucket = _bucket(front, request, Action.PUT_BUCKET_OWNERSHIP_CONTROLS)
    document = await read_document(request, MIB)
    controls = read_document_as(document, "OwnershipControls", OwnershipControls)
    if len(controls.rule) != 1:
        raise MalformedXML()
    ownership = controls.rule[0].object_ownership
    if ownership is ObjectOwnership.BUCKET_OWNER_ENFORCED and _gives_to_others(bucket):
        raise InvalidBucketAclWithObjectOwnership()
    await front.objects.buckets.put_setting(request.bucket, ownership)
    return Response()


def _gives_to_others(bucket: Bucket) -> bool:
    """Would taking ACLs away take anything from anybody but the owner?"""
    owner = bucket.owner.canonical_id
    grants = list(bucket.acl.grants(owner, owner))
    return any(grant.grantee != owner for grant in grants) or not any(
        grant.permission is Permission.FULL_CONTROL for grant in grants
    )


async def delete_bucket_ownership_controls(front: Front, request: S3Request) -> Response:
    _bucket(front, request, Action.PUT_BUCKET_OWNERSHIP_CONTROLS)
    await front.objects.buckets.delete_setting(request.bucket, ObjectOwnership)
    return Response(204)
