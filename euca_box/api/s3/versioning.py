"""Versions as requests and answers name them, and the bucket's setting."""

from urllib.parse import quote

from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import NAMESPACE, Response, element, http_time, xml_response
from euca_box.api.s3.uploading import read_document
from euca_box.api.s3.xml_in import parse_xml, text_of
from euca_box.model.s3_errors import IllegalVersioningConfiguration, InvalidArgument, S3NotImplemented
from euca_box.objects.acl import Action, authorize
from euca_box.objects.rows import MIB, StoredObject


def version_asked(request: S3Request) -> str | None:
    """The versionId of the request. Raises InvalidArgument."""
    version_id = request.query.get("versionId")
    if version_id == "":
        raise InvalidArgument(
            "Version id cannot be the empty string", ArgumentName="versionId", ArgumentValue=""
        )
    return version_id


def version_headers(front: Front, stored: StoredObject) -> dict[str, str]:
    """The id, where the bucket has or had versions."""
    return {"x-amz-version-id": stored.version_id} if _has_versions(front, stored.bucket) else {}


def expiration_headers(front: Front, stored: StoredObject) -> dict[str, str]:
    """When a lifecycle rule will end the object, and which."""
    expiration = front.objects.expiry.expiration(stored)
    if expiration is None:
        return {}
    moment_ms, rule = expiration
    return {"x-amz-expiration": f'expiry-date="{http_time(moment_ms // 1000)}", rule-id="{quote(rule)}"'}


def _has_versions(front: Front, bucket: str) -> bool:
    return bool(front.objects.buckets.find(bucket).versioning)


async def get_bucket_versioning(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, GET Bucket versioning; an empty document when it was never switched on."""
    bucket = front.objects.buckets.find(request.bucket)
    authorize(request.principal, Action.GET_BUCKET_VERSIONING, bucket)
    status = element("Status", bucket.versioning or None)
    return xml_response(f'<VersioningConfiguration xmlns="{NAMESPACE}">{status}</VersioningConfiguration>')


async def put_bucket_versioning(front: Front, request: S3Request) -> Response:
    """S3 API 2006-03-01, PUT Bucket versioning; without MFA delete."""
    authorize(request.principal, Action.PUT_BUCKET_VERSIONING, front.objects.buckets.find(request.bucket))
    root = parse_xml(await read_document(request, MIB), "VersioningConfiguration")
    status = text_of(root, "Status")
    if text_of(root, "MfaDelete") not in (None, "Disabled"):
        raise S3NotImplemented("Deleting with a second factor (MfaDelete) is not offered.")
    if status not in ("Enabled", "Suspended"):
        raise IllegalVersioningConfiguration()
    await front.objects.buckets.set_versioning(request.principal, request.bucket, status)
    return Response()
