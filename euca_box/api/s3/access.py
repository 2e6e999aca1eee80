"""What a bucket's owner sets about access: policy, public access block, object ownership."""

from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import NAMESPACE, Response, element, xml_response
from euca_box.api.s3.uploading import read_document
from euca_box.api.s3.xml_in import children, parse_xml, text_of
from euca_box.model.acls import PRIVATE, CannedAcl, Permission
from euca_box.model.bucket_settings import ObjectOwnership, PublicAccessBlock
from euca_box.model.policies import Policy, PolicyError, parse_policy
from euca_box.model.s3_errors import (
    AccessDenied,
    InvalidBucketAclWithObjectOwnership,
    MalformedPolicy,
    MalformedXML,
    NoSuchBucketPolicy,
    NoSuchPublicAccessBlockConfiguration,
    OwnershipControlsNotFoundError,
)
from euca_box.objects.acl import Action, authorize
from euca_box.objects.rows import MIB, Bucket

LARGEST_POLICY_BYTES = 20 * 1024
_ARN = "arn:aws:s3:::"
_BLOCKS = {
    "BlockPublicAcls": "block_public_acls",
    "IgnorePublicAcls": "ignore_public_acls",
    "BlockPublicPolicy": "block_public_policy",
    "RestrictPublicBuckets": "restrict_public_buckets",
}


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
        if not all(name == "*" or name.lower().startswith("s3:") for name in statement.action_names):
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
    return xml_response(f'<PolicyStatus xmlns="{NAMESPACE}">{_flag("IsPublic", is_public)}</PolicyStatus>')


def _flag(name: str, value: bool) -> str:
    return element(name, "true" if value else "false")


async def get_public_access_block(front: Front, request: S3Request) -> Response:
    block = _bucket(front, request, Action.GET_BUCKET_PUBLIC_ACCESS_BLOCK).setting(PublicAccessBlock)
    if block is None:
        raise NoSuchPublicAccessBlockConfiguration(BucketName=request.bucket)
    flags = "".join(_flag(name, getattr(block, field)) for name, field in _BLOCKS.items())
    root = "PublicAccessBlockConfiguration"
    return xml_response(f'<{root} xmlns="{NAMESPACE}">{flags}</{root}>')


async def put_public_access_block(front: Front, request: S3Request) -> Response:
    _bucket(front, request, Action.PUT_BUCKET_PUBLIC_ACCESS_BLOCK)
    root = parse_xml(await read_document(request, MIB), "PublicAccessBlockConfiguration")
    flags = {field: text_of(root, name) for name, field in _BLOCKS.items()}
    if not all(text in (None, "true", "false", "TRUE", "FALSE") for text in flags.values()):
        raise MalformedXML()
    block = PublicAccessBlock(**{field: (text or "").lower() == "true" for field, text in flags.items()})
    await front.objects.buckets.put_setting(request.bucket, block)
    return Response()


async def delete_public_access_block(front: Front, request: S3Request) -> Response:
    _bucket(front, request, Action.PUT_BUCKET_PUBLIC_ACCESS_BLOCK)
    await front.objects.buckets.delete_setting(request.bucket, PublicAccessBlock)
    return Response(204)


async def get_bucket_ownership_controls(front: Front, request: S3Request) -> Response:
    ownership = _bucket(front, request, Action.GET_BUCKET_OWNERSHIP_CONTROLS).setting(ObjectOwnership)
    if ownership is None:
        raise OwnershipControlsNotFoundError(BucketName=request.bucket)
    rule = f"<Rule>{element('ObjectOwnership', ownership.value)}</Rule>"
    return xml_response(f'<OwnershipControls xmlns="{NAMESPACE}">{rule}</OwnershipControls>')


async def put_bucket_ownership_controls(front: Front, request: S3Request) -> Response:
    bucket = _bucket(front, request, Action.PUT_BUCKET_OWNERSHIP_CONTROLS)
    rules = children(parse_xml(await read_document(request, MIB), "OwnershipControls"), "Rule")
    named = text_of(rules[0], "ObjectOwnership") if len(rules) == 1 else None
    if named not in list(ObjectOwnership):
        raise MalformedXML()
    ownership = ObjectOwnership(named)
    if ownership is ObjectOwnership.BUCKET_OWNER_ENFORCED and _gives_to_others(bucket):
        raise InvalidBucketAclWithObjectOwnership()
    await front.objects.buckets.put_setting(request.bucket, ownership)
    return Response()


def _gives_to_others(bucket: Bucket) -> bool:
    if bucket.acl == PRIVATE or bucket.acl.canned is CannedAcl.BUCKET_OWNER_FULL_CONTROL:
        return False
    owner = bucket.owner.canonical_id
    own = [g for g in bucket.acl.grants(owner, owner) if g.grantee == owner]
    others = [g for g in bucket.acl.grants(owner, owner) if g.grantee != owner]
    return bool(others) or not any(grant.permission is Permission.FULL_CONTROL for grant in own)


async def delete_bucket_ownership_controls(front: Front, request: S3Request) -> Response:
    _bucket(front, request, Action.PUT_BUCKET_OWNERSHIP_CONTROLS)
    await front.objects.buckets.delete_setting(request.bucket, ObjectOwnership)
    return Response(204)
