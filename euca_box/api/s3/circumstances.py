"""What a policy may ask of a request: condition keys, in lower case, and their values.

Source: IAM user guide, "AWS global condition context keys"; service authorization reference,
"Condition keys for Amazon S3".
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from euca_box.api.s3.request import S3Request
from euca_box.model.policy_text import Context
from euca_box.model.rights import identity_context

_QUERY = {
    "prefix": "s3:prefix",
    "delimiter": "s3:delimiter",
    "max-keys": "s3:max-keys",
    "versionId": "s3:VersionId",
}
_OBJECT_LOCK = {
    "x-amz-object-lock-mode": "s3:object-lock-mode",
    "x-amz-object-lock-retain-until-date": "s3:object-lock-retain-until-date",
    "x-amz-object-lock-legal-hold": "s3:object-lock-legal-hold",
}
_HEADERS = {"user-agent": "aws:UserAgent", "referer": "aws:Referer", **_OBJECT_LOCK}


def circumstances_of(request: S3Request, now: datetime) -> Context:
    """The context of one request, made once. Keys that it has no value for are absent, as policies expect."""
    if request.context is None:
        request.context = _context(request, now)
    return request.context


def _context(request: S3Request, now: datetime) -> Context:
    context: dict[str, tuple[str, ...]] = {
        "aws:securetransport": ("true" if request.is_secure else "false",),
        "aws:currenttime": (now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),),
        "aws:epochtime": (str(int(now.timestamp())),),
    }
    if request.source_ip:
        context["aws:sourceip"] = (request.source_ip,)
    context |= {key.lower(): (request.query[n],) for n, key in _QUERY.items() if n in request.query}
    context |= {key.lower(): (request.headers[n],) for n, key in _HEADERS.items() if n in request.headers}
    context |= {f"s3:{n}": (v,) for n, v in request.headers.items() if n.startswith("x-amz-")}
    if "x-amz-copy-source" in request.headers:
        context["s3:x-amz-copy-source"] = (request.headers["x-amz-copy-source"].removeprefix("/"),)
    return context | _signature(request) | _request_tags(request.headers)


def _signature(request: S3Request) -> dict[str, tuple[str, ...]]:
    principal = request.principal
    if principal is None:
        return {"aws:principaltype": ("Anonymous",)}
    query = "X-Amz-Signature" in request.query or "Signature" in request.query
    return {
        **identity_context(principal),
        "s3:signatureversion": ("AWS" if request.verified is None else "AWS4-HMAC-SHA256",),
        "s3:authtype": ("REST-QUERY-STRING" if query else "REST-HEADER",),
    }


def _request_tags(headers: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    if "x-amz-tagging" not in headers:
        return {}
    try:
        tags = parse_qsl(headers["x-amz-tagging"], keep_blank_values=True, max_num_fields=100)
    except ValueError:
        return {}  # too many: the request will be refused
    keys = {f"s3:requestobjecttag/{name}".lower(): (value,) for name, value in tags}
    return {**keys, "s3:requestobjecttagkeys": tuple(name for name, _ in tags)}
