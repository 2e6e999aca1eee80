"""What the S3 front end is told at its start."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class S3Settings:
    """`domains`: hosts under which a bucket may be the first label, as in bucket.s3.example.com;
    `website_domains`: the same for buckets as web sites."""

    region: str = "us-east-1"
    domains: tuple[str, ...] = ("s3.localhost",)
    website_domains: tuple[str, ...] = ("s3-website.localhost",)
    now: Callable[[], datetime] = _now
