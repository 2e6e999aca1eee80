"""Operations on buckets, except their listings."""

import re
from base64 import b64decode, b64encode

from euca_box.api.s3.grants import acl_of_headers
from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import NAMESPACE, Response, element, iso_time, xml_response
from euca_box.api.s3.uploading import read_document, refuse_unknown
from euca_box.api.s3.xml_in import parse_xml, text_of
from euca_box.model.acls import PRIVATE, CannedAcl
from euca_box.model.bucket_settings import ObjectOwnership
from euca_box.model.s3_errors import (
    AccessDenied,
    InvalidArgument,
    InvalidBucketAclWithObjectOwnership,
    InvalidLocationConstraint,
)
from euca_box.objects.acl import Action, authorize, is_allowed_for
from euca_box.objects.rows import MIB, Bucket

MOST_LISTED = 10_000
_OWN = (CannedAcl.PRIVATE, CannedAcl.BUCKET_OWNER_FULL_CONTROL)
# Names of the first region: an empty constraint and, in old clients, these.
_CLASSIC = {"", "US", "us-east-1"}


async def list_buckets(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, GET Service."""
    principal = request.principal
    if principal is None or not is_allowed_for(principal, "s3:ListAllMyBuckets", "*"):
        raise AccessDenied()
    prefix, limit, after = request.query.get("prefix"), _most_buckets(request), _after(request)
    region = request.query.get("bucket-region")
    found = [
        bucket
        for bucket in front.objects.buckets.owned_by(principal.account)
        if bucket.name.startswith(prefix or "")
        and bucket.name > after
        and region in (None, bucket.location or "us-east-1")
    ]
    buckets = "".join(map(_listed, found[:limit]))
    token = b64encode(found[limit - 1].name.encode()).decode() if len(found) > limit else None
    owner = element("ID", principal.canonical_id) + element("DisplayName", principal.display_name)
    return xml_response(
        f'<ListAllMyBucketsResult xmlns="{NAMESPACE}"><Owner>{owner}</Owner>'
        f"<Buckets>{buckets}</Buckets>{element('ContinuationToken', token)}{element('Prefix', prefix)}"
        "</ListAllMyBucketsResult>"
    )


def _listed(bucket: Bucket) -> str:
    created = f"<CreationDate>{iso_time(bucket.created_ms)}</CreationDate>"
    region = element("BucketRegion", bucket.location or "us-east-1")
    return f"<Bucket>{element('Name', bucket.name)}{created}{region}</Bucket>"


def _most_buckets(request: S3Request) -> int:
    text = request.query.get("max-buckets", str(MOST_LISTED))
    if not re.fullmatch("[0-9]{1,5}", text, re.ASCII) or not 1 <= int(text) <= MOST_LISTED:
        raise InvalidArgument(ArgumentName="max-buckets", ArgumentValue=text)
    return int(text)


def _after(request: S3Request) -> str:
    """The last name of the page before."""
    token = request.query.get("continuation-token", "")
    try:
        return b64decode(token, validate=True).decode()
    except ValueError:
        message = "The continuation token provided is incorrect"
        raise InvalidArgument(message, ArgumentName="continuation-token") from None


async def create_bucket(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, PUT Bucket."""
    refuse_unknown(request)
    resource = f"arn:aws:s3:::{request.bucket}"
    if request.principal is None or not is_allowed_for(request.principal, "s3:CreateBucket", resource):
        raise AccessDenied()
    document = await read_document(request, MIB)
    location = ""
    if document.strip():
        root = parse_xml(document, "CreateBucketConfiguration")
        location = text_of(root, "LocationConstraint") or ""
    region = front.settings.region
    if location != region and not (region == "us-east-1" and location in _CLASSIC):
        if location:
            raise InvalidLocationConstraint(LocationConstraint=location)
        location = region
    stored = "" if location in _CLASSIC else location
    acl, settings = acl_of_headers(request, front.keyring), _ownership(request)
    if acl is not None and acl.canned not in _OWN and ObjectOwnership.BUCKET_OWNER_ENFORCED in settings:
        raise InvalidBucketAclWithObjectOwnership()
    await front.objects.buckets.create(
        request.principal,
        request.bucket,
        stored,
        acl or PRIVATE,
        settings,
        object_lock=_wants_lock(request),
    )
    return Response(200, {"location": f"/{request.bucket}"})


def _ownership(request: S3Request) -> list[ObjectOwnership]:
    text = request.headers.get("x-amz-object-ownership")
    if text is None:
        return []
    try:
        return [ObjectOwnership(text)]
    except ValueError:
        raise InvalidArgument(ArgumentName="x-amz-object-ownership", ArgumentValue=text) from None


def _wants_lock(request: S3Request) -> bool:
    return request.headers.get("x-amz-bucket-object-lock-enabled", "").lower() == "true"


async def head_bucket(front: Front, request: S3Request) -> Response:
    bucket = front.objects.buckets.find(request.bucket)
    authorize(request.principal, Action.LIST_BUCKET, bucket)
    return Response(200, {"x-amz-bucket-region": bucket.location or "us-east-1"})


async def delete_bucket(front: Front, request: S3Request) -> Response:
    await front.objects.buckets.delete(request.principal, request.bucket)
    return Response(204)


async def get_bucket_location(front: Front, request: S3Request) -> Response:
    bucket = front.objects.buckets.find(request.bucket)
    authorize(request.principal, Action.GET_BUCKET_LOCATION, bucket)
    text = f'<LocationConstraint xmlns="{NAMESPACE}">{bucket.location}</LocationConstraint>'
    return xml_response(text)
