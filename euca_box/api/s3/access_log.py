"""Access logs of buckets: requests are noted as they end, and delivered as objects every few minutes.

Lines wait in files (`log_spool.py`): a kill loses those of the last moment. A line may be delivered twice, as
on S3: a file that was not removed in time is delivered again, under the same key. What cannot be delivered
is kept for the next time, up to a day. Delivery is authorized each time, as the log delivery group or
logging.s3.amazonaws.com.
"""

import asyncio
import contextlib
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from euca_box.api.s3.log_spool import Spool
from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import Response
from euca_box.messages.base import decode, encode
from euca_box.model.accounts import LOGGER
from euca_box.model.bucket_logging import BucketLogging, LoggingEnabled, LogRecord
from euca_box.model.policy_text import Context
from euca_box.model.s3_errors import AccessDenied, InvalidTargetBucketForLogging, NoSuchBucket, S3Error
from euca_box.objects.acl import Action, is_allowed
from euca_box.objects.circumstances import circumstances
from euca_box.objects.engine import Objects
from euca_box.objects.rows import Bucket
from euca_box.objects.versions import Wish
from euca_box.store.store import StoreError

log = logging.getLogger(__name__)

DELIVERY_SECONDS = 300.0
KEPT = timedelta(days=1)
_SECRETS = re.compile(r"((?:X-Amz-Signature|Signature|X-Amz-Security-Token|x-amz-security-token)=)[^&]*")


@dataclass(frozen=True, slots=True)
class LogWish:
    """Whose requests are written down where. `day` (ISO 8601): where each day of events has its own logs."""

    bucket: str
    account: str
    target: LoggingEnabled
    day: str = ""

    def circumstances(self) -> Context:
        """What a policy may ask before it lets the log in."""
        return {"aws:sourcearn": (f"arn:aws:s3:::{self.bucket}",), "aws:sourceaccount": (self.account,)}


@lru_cache(maxsize=1024)
def _label(bucket: str, account: str, target: LoggingEnabled, day: str) -> bytes:
    return encode(LogWish(bucket, account, target, day)).encode()


class AccessLog:
    """`note` on each request; `run` delivers."""

    def __init__(self, objects: Objects, folder: Path, region: str, now: Callable[[], datetime]) -> None:
        self._objects, self._spool, self._region, self._now = objects, Spool(folder), region, now

    def note(
        self, request: S3Request, response: Response, request_id: str, host_id: str, seconds: float
    ) -> None:
        """Write the request down if its bucket wants that."""
        bucket = self._objects.buckets.known(request.bucket)
        wanted = bucket.setting(BucketLogging) if bucket is not None else None
        if bucket is None or wanted is None or wanted.logging_enabled is None:
            return
        record = _record(request, response, bucket, request_id, host_id, self._now(), seconds)
        day = _midnight(record.at) if wanted.logging_enabled.is_by_event_day() else ""
        label = _label(bucket.name, bucket.owner.account, wanted.logging_enabled, day)
        self._spool.add(label, record.line().encode("utf-8", "replace"))

    async def run(self, stopped: Callable[[], Awaitable[object]]) -> None:
        """Deliver every DELIVERY_SECONDS and, at the end, what is left."""
        waiting = asyncio.ensure_future(stopped())
        while not waiting.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(waiting), DELIVERY_SECONDS)
            await self.deliver()

    async def deliver(self) -> None:
        """One object for each log and file that has lines of it."""
        await self._spool.finish()
        for path in self._spool.finished():
            try:
                await self._deliver_file(path)
            except Exception:
                log.exception("the access logs in %s were not delivered", path)

    async def _deliver_file(self, path: Path) -> None:
        logs = await self._spool.read(path)
        written_at = datetime.fromtimestamp(int(path.name) / 1e9, UTC)
        kept = {
            label: text
            for label, text in logs.items()
            if not await self._is_done(label, text, path.name, written_at)
        }
        if kept != logs or not logs:
            await self._spool.keep(path, kept)

    async def _is_done(self, label: bytes, text: bytes, name: str, written_at: datetime) -> bool:
        """Is it delivered, or is there no use in trying again?"""
        wish = decode(label.decode(), LogWish)
        unique = hashlib.sha256(name.encode() + label).hexdigest()[:16].upper()
        day = datetime.fromisoformat(wish.day) if wish.day else written_at
        key = wish.target.key(wish.account, self._region, wish.bucket, day, unique)
        try:
            await self._put(wish, key, text)
        except (S3Error, StoreError) as error:
            code = getattr(error, "code", "InternalError")
            log.warning("the access log of bucket %s cannot be written: %s", wish.bucket, code)
            # A full disk, say: the next time.
            return isinstance(error, (AccessDenied, NoSuchBucket)) or self._now() - written_at > KEPT
        return True

    async def _put(self, wish: LogWish, key: str, text: bytes) -> None:
        """Raises NoSuchBucket when the target is gone, or is somebody else's by now."""
        target = self._objects.buckets.find(wish.target.target_bucket)
        if target.owner.account != wish.account:
            raise NoSuchBucket(BucketName=target.name)
        headers = Wish(headers={"content-type": "text/plain"})
        with circumstances(wish.circumstances()):
            await self._objects.put(LOGGER, target.name, key, _whole(text), headers)


def _midnight(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT00:00:00+00:00")


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data


def check_logging(front: Front, bucket: Bucket, wanted: BucketLogging) -> None:
    """May the log be delivered there? Raises InvalidTargetBucketForLogging."""
    if (enabled := wanted.logging_enabled) is None:
        return
    target = front.objects.buckets.known(enabled.target_bucket)
    if target is None or target.owner.account != bucket.owner.account:
        raise InvalidTargetBucketForLogging(
            "The target bucket for logging does not exist, or is of another owner.",
            TargetBucket=enabled.target_bucket,
        )
    wish = LogWish(bucket.name, bucket.owner.account, enabled)
    with circumstances(wish.circumstances()):
        may_put = is_allowed(LOGGER, Action.PUT_OBJECT, target, key=f"{enabled.target_prefix}log")
    if not may_put:
        raise InvalidTargetBucketForLogging(TargetBucket=enabled.target_bucket)


def _record(
    request: S3Request,
    response: Response,
    bucket: Bucket,
    request_id: str,
    host_id: str,
    now: datetime,
    seconds: float,
) -> LogRecord:
    principal, headers = request.principal, request.headers
    sent = response.length if response.stream is not None else len(response.body)
    query = _SECRETS.sub(r"\1redacted", f"?{request.query_string}") if request.query_string else ""
    signed = principal is not None
    in_query = "X-Amz-Signature" in request.query or "Signature" in request.query
    return LogRecord(
        owner=bucket.owner.canonical_id,
        bucket=bucket.name,
        at=now,
        remote_ip=request.source_ip,
        requester=principal.canonical_id if principal is not None else "",
        request_id=request_id,
        operation=_operation(request),
        key=request.key,
        request_line=f"{request.method} {request.path}{query} HTTP/1.1",
        status=response.status,
        error_code=response.error_code,
        bytes_sent=sent,
        object_bytes=sent if request.key and request.method == "GET" else request.body.content_length,
        milliseconds=round(seconds * 1000),
        referer=headers.get("referer", ""),
        user_agent=headers.get("user-agent", ""),
        version_id=request.query.get("versionId", ""),
        host_id=host_id,
        signature_version=("SigV4" if request.verified is not None else "SigV2") if signed else "",
        authentication=("QueryString" if in_query else "AuthHeader") if signed else "",
        host=headers.get("host", ""),
    )


def _operation(request: S3Request) -> str:
    """REST.GET.OBJECT, REST.PUT.BUCKET, REST.GET.ACL, WEBSITE.GET.OBJECT."""
    if request.is_website:
        return f"WEBSITE.{request.method}.OBJECT"
    named = [name for name in request.query if name in _SUBRESOURCES]
    resource = _SUBRESOURCES[named[0]] if named else ("OBJECT" if request.key else "BUCKET")
    return f"REST.{request.method}.{resource}"


_SUBRESOURCES = {
    "acl": "ACL",
    "policy": "BUCKETPOLICY",
    "location": "LOCATION",
    "logging": "LOGGING_STATUS",
    "tagging": "TAGGING",
    "cors": "CORS",
    "website": "WEBSITE",
    "lifecycle": "LIFECYCLE",
    "versioning": "VERSIONING",
    "versions": "BUCKETVERSIONS",
    "uploads": "UPLOADS",
    "partNumber": "PART",
    "uploadId": "UPLOAD",
    "delete": "MULTI_OBJECT_DELETE",
    "encryption": "ENCRYPTION",
    "publicAccessBlock": "PUBLIC_ACCESS_BLOCK",
    "requestPayment": "REQUEST_PAYMENT",
    "notification": "NOTIFICATION",
}
