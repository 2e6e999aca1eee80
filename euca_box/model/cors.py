"""Which pages of other origins a browser may let read a bucket.

Source: S3 API reference, PutBucketCors; S3 user guide, "How Amazon S3 evaluates the CORS configuration".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from euca_box.model.documents import element
from euca_box.model.s3_errors import InvalidRequest

MOST_RULES = 100
_METHODS = ("GET", "PUT", "POST", "DELETE", "HEAD")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, slots=True)
class CorsRule:
    allowed_method: tuple[str, ...]
    allowed_origin: tuple[str, ...]
    id: str | None = element("ID", default=None)
    allowed_header: tuple[str, ...] = ()
    expose_header: tuple[str, ...] = ()
    max_age_seconds: int | None = None

    def fits(self, origin: str, method: str, headers: Iterable[str]) -> bool:
        """Does the rule allow that method to a page of that origin, with those headers?"""
        return (
            method in self.allowed_method
            and any(_matches(allowed, origin) for allowed in self.allowed_origin)
            and all(
                any(_matches(allowed.lower(), name.lower()) for allowed in self.allowed_header)
                for name in headers
            )
        )


def _matches(allowed: str, text: str) -> bool:
    head, star, tail = allowed.partition("*")
    if not star:
        return allowed == text
    return len(text) >= len(head) + len(tail) and text.startswith(head) and text.endswith(tail)


@dataclass(frozen=True, slots=True)
class CorsConfiguration:
    rule: tuple[CorsRule, ...] = element("CORSRule")

    def rule_for(self, origin: str, method: str, headers: Iterable[str] = ()) -> CorsRule | None:
        """The first rule that fits."""
        wanted = list(headers)
        return next((rule for rule in self.rule if rule.fits(origin, method, wanted)), None)


def check_cors(cors: CorsConfiguration) -> None:
    """Raises InvalidRequest."""
    if len(cors.rule) > MOST_RULES:
        raise InvalidRequest(
            f"The number of CORS rules should not exceed allowed limit of {MOST_RULES} rules."
        )
    for rule in cors.rule:
        for method in rule.allowed_method:
            if method not in _METHODS:
                text = f"Found unsupported HTTP method in CORS config. Unsupported method is {method[:50]}"
                raise InvalidRequest(text)
        for name, texts in (("AllowedOrigin", rule.allowed_origin), ("AllowedHeader", rule.allowed_header)):
            if any(text.count("*") > 1 for text in texts):
                raise InvalidRequest(f"{name} can not have more than one wildcard.")
        if not all(_TOKEN.fullmatch(name) and "*" not in name for name in rule.expose_header):
            raise InvalidRequest("ExposeHeader contains no header name, or a wildcard.")
        if rule.max_age_seconds is not None and not 0 <= rule.max_age_seconds <= 2**31 - 1:
            raise InvalidRequest("MaxAgeSeconds is out of range.")
        if rule.id is not None and len(rule.id) > 255:
            raise InvalidRequest("The ID of a rule has at most 255 characters.")
