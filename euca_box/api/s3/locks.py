"""Object lock: the bucket's default, and retention and legal hold of a version.

Source: S3 API reference, PutObjectLockConfiguration, PutObjectRetention, PutObjectLegalHold.
"""

import re
from datetime import UTC, datetime

from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import NAMESPACE, Response, element, iso_time, xml_response
from euca_box.api.s3.uploading import read_document
from euca_box.api.s3.versioning import version_asked, version_headers
from euca_box.api.s3.xml_in import children, parse_xml, text_of
from euca_box.model.object_lock import MODES, NO_LOCK, DefaultRetention, Lock
from euca_box.model.s3_errors import (
    InvalidArgument,
    InvalidRequest,
    InvalidRetentionPeriod,
    MalformedXML,
    NoSuchObjectLockConfiguration,
    ObjectLockConfigurationNotFoundError,
)
from euca_box.objects.acl import Action, authorize
from euca_box.objects.rows import MIB

_PREFIX = "x-amz-object-lock-"
_HEADERS = frozenset(_PREFIX + name for name in ("mode", "retain-until-date", "legal-hold"))
_LONGEST_DAYS, _LONGEST_YEARS = 36500, 100


def lock_in_headers(request: S3Request, now_ms: int) -> Lock:
    """The lock that a new object asks for. Raises InvalidArgument, InvalidRequest."""
    if request.headers.keys().isdisjoint(_HEADERS):
        return NO_LOCK
    mode, until = request.headers.get(f"{_PREFIX}mode"), request.headers.get(f"{_PREFIX}retain-until-date")
    hold = request.headers.get(f"{_PREFIX}legal-hold")
    if hold not in (None, "ON", "OFF"):
        raise InvalidArgument(ArgumentName=f"{_PREFIX}legal-hold", ArgumentValue=hold or "")
    if (mode is None) != (until is None):
        raise InvalidArgument(
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied"
        )
    if mode is None or until is None:
        return Lock(legal_hold=hold or "") if hold else NO_LOCK
    if mode not in MODES:
        raise InvalidArgument(
            "Unknown wormMode directive.", ArgumentName=f"{_PREFIX}mode", ArgumentValue=mode
        )
    until_ms = _moment_ms(until)
    if until_ms is None:
        raise InvalidArgument(ArgumentName=f"{_PREFIX}retain-until-date", ArgumentValue=until)
    _refuse_past(until_ms, now_ms)
    return Lock(mode, until_ms, hold or "")


def _moment_ms(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text.strip())
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _refuse_past(until_ms: int, now_ms: int) -> None:
    if until_ms <= now_ms:
        raise InvalidArgument("The retain until date must be in the future!")


def lock_headers(lock: Lock) -> dict[str, str]:
    headers = {f"{_PREFIX}legal-hold": lock.legal_hold} if lock.legal_hold else {}
    if lock.mode:
        headers |= {
            f"{_PREFIX}mode": lock.mode,
            f"{_PREFIX}retain-until-date": iso_time(lock.until_ms),
        }
    return headers


def wants_bypass(request: S3Request) -> bool:
    return request.headers.get("x-amz-bypass-governance-retention", "").lower() == "true"


async def get_object_lock_configuration(front: Front, request: S3Request) -> Response:
    bucket = front.objects.buckets.find(request.bucket)
    authorize(request.principal, Action.GET_BUCKET_OBJECT_LOCK, bucket)
    default = bucket.object_lock
    if default is None:
        raise ObjectLockConfigurationNotFoundError(BucketName=bucket.name)
    rule = ""
    if default.mode:
        period = element("Days", default.days) if default.days else element("Years", default.years)
        rule = f"<Rule><DefaultRetention>{element('Mode', default.mode)}{period}</DefaultRetention></Rule>"
    return xml_response(
        f'<ObjectLockConfiguration xmlns="{NAMESPACE}"><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}'
        "</ObjectLockConfiguration>"
    )


async def put_object_lock_configuration(front: Front, request: S3Request) -> Response:
    authorize(request.principal, Action.PUT_BUCKET_OBJECT_LOCK, front.objects.buckets.find(request.bucket))
    root = parse_xml(await read_document(request, MIB), "ObjectLockConfiguration")
    if text_of(root, "ObjectLockEnabled") != "Enabled":
        raise MalformedXML()
    rules = children(root, "Rule")
    defaults = [default for rule in rules for default in children(rule, "DefaultRetention")]
    if len(rules) > 1 or len(defaults) != len(rules):
        raise MalformedXML()
    default = _default_retention(defaults[0]) if defaults else DefaultRetention()
    await front.objects.buckets.set_object_lock(request.principal, request.bucket, default)
    return Response()


def _default_retention(element_: object) -> DefaultRetention:
    mode, days, years = (text_of(element_, name) for name in ("Mode", "Days", "Years"))  # type: ignore[arg-type]
    if mode not in MODES or (days is None) == (years is None):
        raise MalformedXML()
    text = (days if days is not None else years or "").strip()
    if not re.fullmatch(r"-?[0-9]{1,9}", text, re.ASCII):
        raise MalformedXML()
    period = int(text)
    if period <= 0:
        raise InvalidRetentionPeriod("Default retention period must be a positive integer value.")
    if period > (_LONGEST_DAYS if days is not None else _LONGEST_YEARS):
        raise InvalidRetentionPeriod("Default retention period too large")
    return DefaultRetention(mode or "", period if days is not None else 0, period if years is not None else 0)


async def get_object_retention(front: Front, request: S3Request) -> Response:
    stored = await front.objects.locked(
        request.principal, Action.GET_OBJECT_RETENTION, request.bucket, request.key, version_asked(request)
    )
    if not stored.lock.mode:
        raise NoSuchObjectLockConfiguration()
    return xml_response(
        f'<Retention xmlns="{NAMESPACE}">{element("Mode", stored.lock.mode)}'
        f"{element('RetainUntilDate', iso_time(stored.lock.until_ms))}</Retention>"
    )


async def put_object_retention(front: Front, request: S3Request) -> Response:
    """An empty document takes the retention away, where that is allowed."""
    version_id = version_asked(request)
    await front.objects.locked(
        request.principal, Action.PUT_OBJECT_RETENTION, request.bucket, request.key, version_id
    )
    root = parse_xml(await read_document(request, MIB), "Retention")
    mode, until = text_of(root, "Mode"), text_of(root, "RetainUntilDate")
    if mode is None and until is None:
        mode, until_ms = "", 0
    else:
        moment = _moment_ms(until) if until is not None else None
        if mode not in MODES or moment is None:
            raise MalformedXML()
        until_ms = moment
        _refuse_past(until_ms, front.objects.now_ms())
    stored = await front.objects.set_lock(
        request.principal,
        Action.PUT_OBJECT_RETENTION,
        request.bucket,
        request.key,
        lambda lock: Lock(mode or "", until_ms, lock.legal_hold),
        version_id,
        bypass=wants_bypass(request),
    )
    return Response(200, version_headers(front, stored))


async def get_object_legal_hold(front: Front, request: S3Request) -> Response:
    stored = await front.objects.locked(
        request.principal, Action.GET_OBJECT_LEGAL_HOLD, request.bucket, request.key, version_asked(request)
    )
    if not stored.lock.legal_hold:
        raise NoSuchObjectLockConfiguration()
    return xml_response(
        f'<LegalHold xmlns="{NAMESPACE}">{element("Status", stored.lock.legal_hold)}</LegalHold>'
    )


async def put_object_legal_hold(front: Front, request: S3Request) -> Response:
    version_id = version_asked(request)
    await front.objects.locked(
        request.principal, Action.PUT_OBJECT_LEGAL_HOLD, request.bucket, request.key, version_id
    )
    status = text_of(parse_xml(await read_document(request, MIB), "LegalHold"), "Status")
    if status not in ("ON", "OFF"):
        raise MalformedXML()
    stored = await front.objects.set_lock(
        request.principal,
        Action.PUT_OBJECT_LEGAL_HOLD,
        request.bucket,
        request.key,
        lambda lock: Lock(lock.mode, lock.until_ms, status or ""),
        version_id,
    )
    return Response(200, version_headers(front, stored))


def require_complete(lock: Lock, has_lock: bool) -> None:
    """Raises InvalidRequest: a lock asked for in a bucket without."""
    if lock != NO_LOCK and not has_lock:
        raise InvalidRequest("Bucket is missing ObjectLockConfiguration")
