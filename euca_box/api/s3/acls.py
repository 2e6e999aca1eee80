"""Access control lists: set by name, by headers or by a document; always shown as grants."""

from euca_box.api.s3.grants import acl_of_document, acl_of_headers
from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import NAMESPACE, Response, element, xml_response
from euca_box.api.s3.uploading import read_document
from euca_box.api.s3.versioning import version_asked
from euca_box.auth.keyring import Keyring
from euca_box.model.acls import PRIVATE, Acl, Grant, Group
from euca_box.model.bucket_settings import ObjectOwnership
from euca_box.model.s3_errors import AccessControlListNotSupported, MissingSecurityHeader, UnexpectedContent
from euca_box.objects.acl import Action, authorize, owner_in
from euca_box.objects.rows import ANONYMOUS, MIB, Bucket, Owner

_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'


async def get_bucket_acl(front: Front, request: S3Request) -> Response:
    bucket = front.objects.buckets.find(request.bucket)
    authorize(request.principal, Action.GET_BUCKET_ACL, bucket)
    return _policy(front.keyring, bucket, bucket.owner, bucket.acl)


async def get_object_acl(front: Front, request: S3Request) -> Response:
    bucket, version_id = front.objects.buckets.find(request.bucket), version_asked(request)
    stored = await front.objects.known(
        request.principal, Action.GET_OBJECT_ACL, request.bucket, request.key, version_id
    )
    return _policy(front.keyring, bucket, owner_in(bucket, stored.owner), stored.acl)


async def put_bucket_acl(front: Front, request: S3Request) -> Response:
    bucket = front.objects.buckets.find(request.bucket)
    authorize(request.principal, Action.PUT_BUCKET_ACL, bucket)
    acl = await _given(front, request, bucket, bucket.owner)
    await front.objects.buckets.set_acl(request.principal, request.bucket, acl)
    return Response()


async def put_object_acl(front: Front, request: S3Request) -> Response:
    bucket, version_id = front.objects.buckets.find(request.bucket), version_asked(request)
    stored = await front.objects.known(
        request.principal, Action.PUT_OBJECT_ACL, request.bucket, request.key, version_id
    )
    acl = await _given(front, request, bucket, stored.owner)
    await front.objects.set_acl(request.principal, request.bucket, request.key, acl, version_id)
    return Response()


async def _given(front: Front, request: S3Request, bucket: Bucket, owner: Owner) -> Acl:
    """The ACL of the request. Raises MissingSecurityHeader, UnexpectedContent, and as `grants`."""
    if bucket.ownership is ObjectOwnership.BUCKET_OWNER_ENFORCED:
        raise AccessControlListNotSupported()
    in_headers = acl_of_headers(request, front.keyring)
    document = await read_document(request, MIB)
    if in_headers is not None:
        if document.strip():
            raise UnexpectedContent()
        return in_headers
    if not document.strip():
        raise MissingSecurityHeader(MissingHeaderName="x-amz-acl")
    return acl_of_document(document, owner.canonical_id, front.keyring)


def _policy(keyring: Keyring, bucket: Bucket, owner: Owner, acl: Acl) -> Response:
    shown = PRIVATE if bucket.ownership is ObjectOwnership.BUCKET_OWNER_ENFORCED else acl
    grants = "".join(
        f"<Grant>{_grantee(grant, keyring, owner)}<Permission>{grant.permission}</Permission></Grant>"
        for grant in shown.grants(owner.canonical_id, bucket.owner.canonical_id)
    )
    return xml_response(
        f'<AccessControlPolicy xmlns="{NAMESPACE}"><Owner>{_person(owner)}</Owner>'
        f"<AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
    )


def _grantee(grant: Grant, keyring: Keyring, owner: Owner) -> str:
    if isinstance(grant.grantee, Group):
        return f'<Grantee {_XSI} xsi:type="Group"><URI>{grant.grantee}</URI></Grantee>'
    who = owner if grant.grantee == owner.canonical_id else _known(grant.grantee, keyring)
    return f'<Grantee {_XSI} xsi:type="CanonicalUser">{_person(who)}</Grantee>'


def _known(canonical_id: str, keyring: Keyring) -> Owner:
    principal = keyring.by_canonical_id(canonical_id)
    name = principal.display_name if principal is not None else ""
    return ANONYMOUS if canonical_id == ANONYMOUS.canonical_id else Owner("", canonical_id, name)


def _person(owner: Owner) -> str:
    return element("ID", owner.canonical_id) + element("DisplayName", owner.display_name or None)
