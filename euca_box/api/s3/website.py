"""A bucket as a web site, under BUCKET.WEBSITE_DOMAIN: read by anybody who may, answered as HTML.

Nobody signs here: what a visitor may read says the bucket's policy or an ACL. Source: S3 user guide,
"Hosting a static website using Amazon S3", "Configuring a webpage redirect".
"""

from http import HTTPStatus
from urllib.parse import quote

from euca_box.api.s3.objects import get_object, head_object
from euca_box.api.s3.operations import Front
from euca_box.api.s3.preconditions import charges
from euca_box.api.s3.request import S3Request
from euca_box.api.s3.responses import Response, escape, header_value
from euca_box.api.s3.wishes import REDIRECT
from euca_box.model.s3_errors import (
    AccessDenied,
    MethodNotAllowed,
    NoSuchKey,
    NoSuchWebsiteConfiguration,
    S3Error,
)
from euca_box.model.website import RoutingRule, WebsiteConfiguration

_READS = (
    "host",
    "origin",
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
)


async def serve_website(front: Front, request: S3Request) -> Response:
    """The page, a redirect, or the error as a page of the site or of ours."""
    request.query = {}
    request.headers = {name: value for name, value in request.headers.items() if name in _READS}
    try:
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(Method=request.method)
        website = front.objects.buckets.find(request.bucket).setting(WebsiteConfiguration)
        if website is None:
            raise NoSuchWebsiteConfiguration(BucketName=request.bucket)
        charges(front, request)
        return await _page(front, request, website)
    except S3Error as error:
        return _own_error(error)


async def _page(front: Front, request: S3Request, website: WebsiteConfiguration) -> Response:
    path = request.key
    if (everything := website.redirect_all_requests_to) is not None:
        protocol = everything.protocol or ("https" if request.is_secure else "http")
        return _moved(f"{protocol}://{everything.host_name}/{quote(path)}")
    if (rule := website.rule_for(path)) is not None:
        return _routed(request, rule, path)
    suffix = website.index_document.suffix if website.index_document else ""
    try:
        return await _object(front, request, path + suffix if path.endswith("/") or not path else path)
    except (NoSuchKey, AccessDenied) as error:
        if path and not path.endswith("/") and await _is_readable(front, request, f"{path}/{suffix}"):
            return _moved(f"/{quote(path)}/", 302)
        if (rule := website.rule_for(path, error.http_status)) is not None:
            return _routed(request, rule, path)
        return await _site_error(front, request, website, error)


async def _object(front: Front, request: S3Request, key: str) -> Response:
    request.key = key
    found = await front.objects.find(None, request.bucket, key)
    if (target := found.stored.headers.get(REDIRECT)) is not None:
        return _moved(header_value(target, REDIRECT))
    return await (get_object if request.method == "GET" else head_object)(front, request)


async def _is_readable(front: Front, request: S3Request, key: str) -> bool:
    try:
        await front.objects.find(None, request.bucket, key)
    except S3Error:
        return False
    return True


async def _site_error(
    front: Front, request: S3Request, website: WebsiteConfiguration, error: S3Error
) -> Response:
    """The site's own page for it, under the status of the error."""
    if website.error_document is None:
        return _own_error(error)
    request.headers = {
        "host": request.headers.get("host", "")
    }  # a range or a condition is of the page asked for
    try:
        page = await _object(front, request, website.error_document.key)
    except S3Error:
        return _own_error(error)
    if page.status == 200:
        page.status = error.http_status
    return page


def _routed(request: S3Request, rule: RoutingRule, path: str) -> Response:
    redirect = rule.redirect
    protocol = redirect.protocol or ("https" if request.is_secure else "http")
    host = redirect.host_name or request.headers.get("host", "")
    return _moved(f"{protocol}://{host}/{quote(rule.target(path))}", redirect.http_redirect_code or 301)


def _moved(location: str, status: int = 301) -> Response:
    return Response(status, {"location": header_value(location, "location")})


def _own_error(error: S3Error) -> Response:
    title = f"{error.http_status} {HTTPStatus(error.http_status).phrase}"
    facts = {"Code": error.code, "Message": error.message, **error.fields}
    items = "".join(f"<li>{name}: {escape(value)}</li>" for name, value in facts.items())
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1><ul>{items}</ul></body></html>\n"
    headers = {"content-type": "text/html; charset=utf-8"}
    return Response(error.http_status, headers, page.encode(), error_code=error.code)
