"""Cross-origin requests: what a browser asks before one, and what it reads off the answer to one.

Source: Fetch standard, "CORS protocol"; S3 API reference, OPTIONS object.
"""

from euca_box.api.s3.operations import Front
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import Response, header_value
from euca_box.model.cors import CorsConfiguration, CorsRule
from euca_box.model.s3_errors import AccessForbidden, BadRequest

_REQUEST_METHOD, _REQUEST_HEADERS = "access-control-request-method", "access-control-request-headers"
_VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


def preflight(front: Front, request: S3Request) -> Response:
    """OPTIONS: nobody signs it. Raises BadRequest, NoSuchBucket, AccessForbidden."""
    origin, method = request.headers.get("origin"), request.headers.get(_REQUEST_METHOD)
    if not origin:
        raise BadRequest("Insufficient information. Origin request header needed.")
    if not method:
        raise BadRequest("Invalid Access-Control-Request-Method: null")
    cors = front.objects.buckets.find(request.bucket).setting(CorsConfiguration)
    if cors is None:
        raise AccessForbidden(Method=method[:100], ResourceType="BUCKET")
    wanted = request.headers.get(_REQUEST_HEADERS, "")
    rule = cors.rule_for(origin, method, [name.strip() for name in wanted.split(",") if name.strip()])
    if rule is None:
        raise AccessForbidden(
            "CORSResponse: This CORS request is not allowed. This is usually because the evaluation of "
            "Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are "
            "not whitelisted by the resource's CORS spec.",
            Method=method[:100],
            ResourceType="OBJECT" if request.key else "BUCKET",
        )
    headers = _headers(rule, origin)
    if wanted:
        headers["access-control-allow-headers"] = header_value(wanted.lower(), _REQUEST_HEADERS)
    return Response(200, headers)


def cors_headers(front: Front, request: S3Request) -> dict[str, str]:
    """The headers for the answer to an actual request, also when that is an error."""
    origin = request.headers.get("origin")
    if not origin or not origin.isprintable() or request.method == "OPTIONS":
        return {}
    bucket = front.objects.buckets.known(request.bucket)
    cors = bucket.setting(CorsConfiguration) if bucket is not None else None
    method = request.headers.get(_REQUEST_METHOD, request.method)
    rule = cors.rule_for(origin, method) if cors is not None else None
    return _headers(rule, origin) if rule is not None else {}


def _headers(rule: CorsRule, origin: str) -> dict[str, str]:
    anyone = "*" in rule.allowed_origin
    headers = {
        "access-control-allow-origin": "*" if anyone else header_value(origin, "Origin"),
        "access-control-allow-methods": ", ".join(rule.allowed_method),
        "vary": _VARY,
    }
    if not anyone:
        headers["access-control-allow-credentials"] = "true"
    if rule.expose_header:
        headers["access-control-expose-headers"] = ", ".join(rule.expose_header)
    if rule.max_age_seconds is not None:
        headers["access-control-max-age"] = str(rule.max_age_seconds)
    return headers
