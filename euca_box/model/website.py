"""A bucket as a web site: index and error pages, redirects. Pure values.

Source: S3 API reference, PutBucketWebsite; S3 user guide, "Hosting a static website using Amazon S3".
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from euca_box.model.documents import element
from euca_box.model.s3_errors import InvalidArgument, InvalidRequest

MOST_RULES = 50


class Protocol(enum.StrEnum):
    HTTP = "http"
    HTTPS = "https"


@dataclass(frozen=True, slots=True)
class IndexDocument:
    suffix: str


@dataclass(frozen=True, slots=True)
class ErrorDocument:
    key: str


@dataclass(frozen=True, slots=True)
class RedirectAllRequestsTo:
    host_name: str
    protocol: Protocol | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    http_error_code_returned_equals: int | None = None
    key_prefix_equals: str | None = None


@dataclass(frozen=True, slots=True)
class Redirect:
    protocol: Protocol | None = None
    host_name: str | None = None
    replace_key_prefix_with: str | None = None
    replace_key_with: str | None = None
    http_redirect_code: int | None = None


@dataclass(frozen=True, slots=True)
class RoutingRule:
    redirect: Redirect
    condition: Condition | None = None

    def fits(self, key: str, error_code: int | None) -> bool:
        """Does it hold for a key, before it is looked for (None) or after that ended with an error?"""
        wanted = self.condition.http_error_code_returned_equals if self.condition else None
        return wanted == error_code and key.startswith(self._prefix)

    @property
    def _prefix(self) -> str:
        return (self.condition.key_prefix_equals if self.condition else None) or ""

    def target(self, key: str) -> str:
        """The key that the client is sent to."""
        if self.redirect.replace_key_with is not None:
            return self.redirect.replace_key_with
        if self.redirect.replace_key_prefix_with is not None:
            return self.redirect.replace_key_prefix_with + key[len(self._prefix) :]
        return key


@dataclass(frozen=True, slots=True)
class WebsiteConfiguration:
    index_document: IndexDocument | None = None
    error_document: ErrorDocument | None = None
    redirect_all_requests_to: RedirectAllRequestsTo | None = None
    routing_rules: tuple[RoutingRule, ...] = element("RoutingRules", inside="RoutingRule", default=())

    def rule_for(self, key: str, error_code: int | None = None) -> RoutingRule | None:
        return next((rule for rule in self.routing_rules if rule.fits(key, error_code)), None)


def check_website(website: WebsiteConfiguration) -> None:
    """Raises InvalidArgument, InvalidRequest."""
    if website.redirect_all_requests_to is not None:
        if website.index_document or website.error_document or website.routing_rules:
            raise InvalidRequest("RedirectAllRequestsTo cannot be given together with other elements.")
        _check_host(website.redirect_all_requests_to.host_name)
        return
    index = website.index_document
    if index is None or not index.suffix or "/" in index.suffix:
        raise InvalidArgument("The IndexDocument Suffix is not well formed", ArgumentName="IndexDocument")
    if website.error_document is not None and not website.error_document.key:
        raise InvalidArgument("The ErrorDocument Key is not well formed", ArgumentName="ErrorDocument")
    _check_rules(website.routing_rules)


def _check_rules(rules: Iterable[RoutingRule]) -> None:
    rules = tuple(rules)
    if len(rules) > MOST_RULES:
        raise InvalidRequest(f"The number of routing rules must not exceed {MOST_RULES}.")
    for rule in rules:
        redirect = rule.redirect
        if redirect == Redirect():
            raise InvalidRequest("A Redirect must say where to.")
        if redirect.replace_key_with is not None and redirect.replace_key_prefix_with is not None:
            raise InvalidRequest("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
        if redirect.http_redirect_code not in (None, 301, 302, 303, 304, 305, 307, 308):
            raise InvalidRequest(
                "The provided HTTP redirect code is not valid. Valid codes are 3XX except 300."
            )
        if redirect.host_name is not None:
            _check_host(redirect.host_name)
        code = rule.condition.http_error_code_returned_equals if rule.condition else None
        if code is not None and not 400 <= code <= 599:
            raise InvalidRequest("The provided HTTP error code is not valid. Valid codes are 4XX or 5XX.")


def _check_host(name: str) -> None:
    if not name or not name.isascii() or any(c.isspace() or c in "/\\@?#" for c in name):
        raise InvalidRequest("HostName is no host name.")
