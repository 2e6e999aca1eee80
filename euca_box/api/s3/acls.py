"""Access control lists: canned ones are set, all are shown as grants."""

from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import NAMESPACE, Response, element, xml_response
from euca_box.api.s3.uploading import acl_of, refuse_unknown
from euca_box.model.s3_errors import S3NotImplemented
from euca_box.objects.acl import Action, authorize
from euca_box.objects.rows import CannedAcl, Owner

_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
_ALL = "http://acs.amazonaws.com/groups/global/AllUsers"
_AUTHENTICATED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
_GROUPS = {
    CannedAcl.PUBLIC_READ: [(_ALL, "READ")],
    CannedAcl.PUBLIC_READ_WRITE: [(_ALL, "READ"), (_ALL, "WRITE")],
    CannedAcl.AUTHENTICATED_READ: [(_AUTHENTICATED, "READ")],
}
_BUCKET_OWNER = {
    CannedAcl.BUCKET_OWNER_READ: "READ",
    CannedAcl.BUCKET_OWNER_FULL_CONTROL: "FULL_CONTROL",
}


async def get_bucket_acl(front: Front, request: S3Request) -> Response:
    bucket = front.objects.buckets.find(request.bucket)
    authorize(request.principal, Action.OWN_BUCKET, bucket)
    return _policy(bucket.owner, bucket.acl, None)


async def get_object_acl(front: Front, request: S3Request) -> Response:
    stored = await front.objects.owned(request.principal, request.bucket, request.key)
    return _policy(stored.owner, stored.acl, front.objects.buckets.find(request.bucket).owner)


async def put_bucket_acl(front: Front, request: S3Request) -> Response:
    acl = _canned_only(request)
    await front.objects.buckets.set_acl(request.principal, request.bucket, acl)
    return Response()


async def put_object_acl(front: Front, request: S3Request) -> Response:
    acl = _canned_only(request)
    await front.objects.set_acl(request.principal, request.bucket, request.key, acl)
    return Response()


def _canned_only(request: S3Request) -> CannedAcl:
    refuse_unknown(request)
    if "x-amz-acl" not in request.headers:
        raise S3NotImplemented("Only canned ACLs (x-amz-acl) can be set.")
    return acl_of(request)


def _policy(owner: Owner, acl: CannedAcl, bucket_owner: Owner | None) -> Response:
    grants = _user_grant(owner, "FULL_CONTROL")
    grants += "".join(
        f'<Grant><Grantee {_XSI} xsi:type="Group"><URI>{uri}</URI></Grantee>'
        f"<Permission>{permission}</Permission></Grant>"
        for uri, permission in _GROUPS.get(acl, [])
    )
    if bucket_owner is not None and acl in _BUCKET_OWNER and bucket_owner.account != owner.account:
        grants += _user_grant(bucket_owner, _BUCKET_OWNER[acl])
    return xml_response(
        f'<AccessControlPolicy xmlns="{NAMESPACE}"><Owner>{_person(owner)}</Owner>'
        f"<AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
    )


def _user_grant(owner: Owner, permission: str) -> str:
    return (
        f'<Grant><Grantee {_XSI} xsi:type="CanonicalUser">{_person(owner)}</Grantee>'
        f"<Permission>{permission}</Permission></Grant>"
    )


def _person(owner: Owner) -> str:
    return element("ID", owner.canonical_id) + element("DisplayName", owner.display_name)
