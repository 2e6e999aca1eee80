"""Which operation a request is: by method, by what it names, and by the subresources of its query.

A subresource that is not in the table is answered NotImplemented. It is never dropped: `?tagging`
must not become a plain PUT of the object.
"""

from euca_box.api.s3 import (
    access,
    acls,
    attributes,
    buckets,
    configurations,
    deleting,
    forms,
    listings,
    locks,
    multipart,
    objects,
    tags,
    versioning,
)
from euca_box.api.s3.operations import Operation
from euca_box.api.s3.request import S3Request
from euca_box.model.s3_errors import MethodNotAllowed, S3NotImplemented

# Parameters that say how, not what: they do not choose the operation.
_SERVICE = frozenset({"max-buckets", "continuation-token", "prefix", "bucket-region"})
_LIST = frozenset(
    {
        "prefix",
        "delimiter",
        "marker",
        "max-keys",
        "encoding-type",
        "start-after",
        "continuation-token",
        "fetch-owner",
        "key-marker",
        "version-id-marker",
        "upload-id-marker",
        "max-uploads",
        "max-parts",
        "part-number-marker",
        "allow-unordered",
    }
)
_EVERYWHERE = frozenset({"x-id", "AWSAccessKeyId", "Signature", "Expires", "versionId"})

_BUCKET: dict[tuple[str, frozenset[str]], Operation] = {
    ("GET", frozenset()): listings.list_objects,
    ("GET", frozenset({"list-type"})): listings.list_objects_v2,
    ("GET", frozenset({"versions"})): listings.list_object_versions,
    ("GET", frozenset({"uploads"})): listings.list_uploads,
    ("GET", frozenset({"location"})): buckets.get_bucket_location,
    ("GET", frozenset({"versioning"})): versioning.get_bucket_versioning,
    ("PUT", frozenset({"versioning"})): versioning.put_bucket_versioning,
    ("GET", frozenset({"object-lock"})): locks.get_object_lock_configuration,
    ("PUT", frozenset({"object-lock"})): locks.put_object_lock_configuration,
    ("GET", frozenset({"acl"})): acls.get_bucket_acl,
    ("PUT", frozenset({"acl"})): acls.put_bucket_acl,
    ("GET", frozenset({"policy"})): access.get_bucket_policy,
    ("PUT", frozenset({"policy"})): access.put_bucket_policy,
    ("DELETE", frozenset({"policy"})): access.delete_bucket_policy,
    ("GET", frozenset({"policyStatus"})): access.get_bucket_policy_status,
    ("GET", frozenset({"ownershipControls"})): access.get_bucket_ownership_controls,
    ("PUT", frozenset({"ownershipControls"})): access.put_bucket_ownership_controls,
    ("DELETE", frozenset({"ownershipControls"})): access.delete_bucket_ownership_controls,
    ("PUT", frozenset()): buckets.create_bucket,
    ("HEAD", frozenset()): buckets.head_bucket,
    ("DELETE", frozenset()): buckets.delete_bucket,
    ("POST", frozenset({"delete"})): deleting.delete_objects,
    ("POST", frozenset()): forms.post_object,
    **configurations.operations(),
}

_OBJECT: dict[tuple[str, frozenset[str]], Operation] = {
    ("GET", frozenset()): objects.get_object,
    ("GET", frozenset({"partNumber"})): objects.get_object,
    ("GET", frozenset({"uploadId"})): multipart.list_parts,
    ("GET", frozenset({"acl"})): acls.get_object_acl,
    ("GET", frozenset({"attributes"})): attributes.get_object_attributes,
    ("GET", frozenset({"tagging"})): tags.get_object_tagging,
    ("PUT", frozenset({"tagging"})): tags.put_object_tagging,
    ("DELETE", frozenset({"tagging"})): tags.delete_object_tagging,
    ("GET", frozenset({"retention"})): locks.get_object_retention,
    ("PUT", frozenset({"retention"})): locks.put_object_retention,
    ("GET", frozenset({"legal-hold"})): locks.get_object_legal_hold,
    ("PUT", frozenset({"legal-hold"})): locks.put_object_legal_hold,
    ("HEAD", frozenset()): objects.head_object,
    ("HEAD", frozenset({"partNumber"})): objects.head_object,
    ("PUT", frozenset()): objects.put_object,
    ("PUT", frozenset({"partNumber", "uploadId"})): multipart.upload_part,
    ("PUT", frozenset({"acl"})): acls.put_object_acl,
    ("DELETE", frozenset()): deleting.delete_object,
    ("DELETE", frozenset({"uploadId"})): multipart.abort_upload,
    ("POST", frozenset({"uploads"})): multipart.create_upload,
    ("POST", frozenset({"uploadId"})): multipart.complete_upload,
}

_COPIES: dict[Operation, Operation] = {
    objects.put_object: objects.copy_object,
    multipart.upload_part: multipart.upload_part_copy,
}

# What S3 has and this front end has not: refused with or without a value.
_KNOWN = frozenset(
    """accelerate analytics cors defaultObjectAcl encryption intelligent-tiering inventory legal-hold
    lifecycle logging metadataTable metrics notification object-lock ownershipControls policy policyStatus
    publicAccessBlock replication requestPayment restore retention select select-type session tagging torrent
    website attributes acl delete location partNumber uploadId uploads versioning versions list-type append
    """.split()  # noqa: SIM905
)


_NONE: frozenset[str] = frozenset()


def operation_of(request: S3Request) -> Operation:
    """Raises MethodNotAllowed, S3NotImplemented."""
    if request.method not in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        raise MethodNotAllowed(Method=request.method)
    chosen = _subresources(request)
    if not request.bucket:
        if request.method != "GET" or request.key:
            raise MethodNotAllowed(Method=request.method)
        if chosen:
            raise S3NotImplemented(Resource_Type=",".join(sorted(chosen)))
        return buckets.list_buckets
    table = _OBJECT if request.key else _BUCKET
    operation = table.get((request.method, chosen))
    if operation is None:
        raise S3NotImplemented(Subresource=",".join(sorted(chosen)), Method=request.method)
    return _COPIES.get(operation, operation) if "x-amz-copy-source" in request.headers else operation


def _subresources(request: S3Request) -> frozenset[str]:
    """The parameters that choose the operation: all known ones, and unknown ones without a value."""
    if not request.query:
        return _NONE
    plain: frozenset[str] = _EVERYWHERE
    if not request.bucket:
        plain |= _SERVICE
    if not request.key or "uploadId" in request.query:
        plain |= _LIST
    return frozenset(
        name
        for name, value in request.query.items()
        if name in _KNOWN
        or not (value or name in plain or name.startswith(("X-Amz-", "x-amz-", "response-")))
    )
