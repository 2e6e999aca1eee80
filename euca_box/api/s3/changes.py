"""What a request did to objects, as those are told who asked to be (notifications)."""

from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import iso_time
from euca_box.model.accounts import LENDER
from euca_box.model.notifications import Cause, Change, Event, NotificationConfiguration
from euca_box.model.s3_errors import S3Error
from euca_box.objects.rows import Bucket, StoredObject
from euca_box.objects.versions import Deleted, Facts


def created(event: Event, stored: StoredObject) -> tuple[Change, ...]:
    version = "" if stored.version_id == "null" else stored.version_id
    return (Change(event, stored.key, stored.etag, stored.size_bytes, version),)


async def completed(front: Front, request: S3Request, facts: Facts, version_id: str) -> tuple[Change, ...]:
    """Of a multipart upload; its size is looked up only where somebody wants to know."""
    if not is_told(front.objects.buckets.known(request.bucket)):
        return ()
    try:
        size = (await front.objects.stat(LENDER, request.bucket, request.key)).size_bytes
    except S3Error:
        size = None  # replaced or deleted in the meantime
    version = "" if version_id == "null" else version_id
    return (Change(Event.COMPLETED, request.key, facts.etag, size, version),)


def removed(deleted: Deleted, named_version: str | None = None) -> Change:
    event = Event.MARKED if deleted.is_marker and named_version is None else Event.DELETED
    return Change(event, deleted.key, version_id=named_version or deleted.version_id)


def is_told(bucket: Bucket | None) -> bool:
    return bucket is not None and bucket.setting(NotificationConfiguration) is not None


def tell(
    front: Front, request: S3Request, changes: tuple[Change, ...], request_id: str, host_id: str
) -> None:
    """Give the changes to the notifier, if the bucket has anybody told."""
    bucket = front.objects.buckets.known(request.bucket)
    if bucket is None or not is_told(bucket):
        return
    cause = Cause(
        region=front.settings.region,
        bucket=bucket.name,
        owner=bucket.owner.account,
        at=iso_time(int(front.settings.now().timestamp() * 1000)),
        principal=request.principal.account if request.principal is not None else "Anonymous",
        source_ip=request.source_ip,
        request_id=request_id,
        host_id=host_id,
    )
    front.notifier.publish(bucket, cause, changes)
