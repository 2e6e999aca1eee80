"""Where the requests on a bucket are written down, and how a line of such a log looks.

Source: S3 API reference, PutBucketLogging; S3 user guide, "Amazon S3 server access log format".
"""

import enum
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar, NamedTuple
from urllib.parse import quote

from euca_box.model.s3_errors import MalformedXML

_PLAIN = re.compile("[A-Za-z0-9._~/-]*", re.ASCII)  # what quoting leaves as it is


class PartitionDateSource(enum.StrEnum):
    EVENT_TIME = "EventTime"
    DELIVERY_TIME = "DeliveryTime"


@dataclass(frozen=True, slots=True)
class SimplePrefix:
    """PREFIXyyyy-mm-dd-hh-mm-ss-UNIQUE, by the time of delivery."""


@dataclass(frozen=True, slots=True)
class PartitionedPrefix:
    """PREFIXaccount/region/bucket/yyyy/mm/dd/yyyy-mm-dd-hh-mm-ss-UNIQUE."""

    partition_date_source: PartitionDateSource = PartitionDateSource.DELIVERY_TIME


@dataclass(frozen=True, slots=True)
class TargetObjectKeyFormat:
    """One of the two."""

    simple_prefix: SimplePrefix | None = None
    partitioned_prefix: PartitionedPrefix | None = None


@dataclass(frozen=True, slots=True)
class LoggingEnabled:
    NOT_THERE: ClassVar = frozenset({"TargetGrants"})

    target_bucket: str
    target_prefix: str
    target_object_key_format: TargetObjectKeyFormat | None = None

    @property
    def partition(self) -> PartitionedPrefix | None:
        return self.target_object_key_format.partitioned_prefix if self.target_object_key_format else None

    def is_by_event_day(self) -> bool:
        """Has each day of events logs of its own?"""
        by = self.partition.partition_date_source if self.partition is not None else None
        return by is PartitionDateSource.EVENT_TIME

    def key(self, account: str, region: str, bucket: str, at: datetime, unique: str) -> str:
        """The key of a log; `at` is its delivery, or midnight of the day of its events."""
        at = at.astimezone(UTC)
        name = f"{at:%Y-%m-%d-%H-%M-%S}-{unique}"
        if self.partition is None:
            return self.target_prefix + name
        return f"{self.target_prefix}{account}/{region}/{bucket}/{at:%Y/%m/%d}/{name}"


@dataclass(frozen=True, slots=True)
class BucketLogging:
    """S3 API, BucketLoggingStatus. Without `logging_enabled` nothing is written down."""

    logging_enabled: LoggingEnabled | None = None


def check_logging_format(wanted: BucketLogging) -> None:
    """Raises MalformedXML."""
    form = wanted.logging_enabled.target_object_key_format if wanted.logging_enabled else None
    if form is not None and (form.simple_prefix is None) == (form.partitioned_prefix is None):
        raise MalformedXML()


class LogRecord(NamedTuple):
    """One request. Empty texts and None are written as a dash. (There is one a request: it must be cheap.)"""

    owner: str
    bucket: str
    at: datetime
    remote_ip: str
    requester: str
    request_id: str
    operation: str
    key: str
    request_line: str
    status: int
    error_code: str
    bytes_sent: int
    object_bytes: int | None
    milliseconds: int
    referer: str
    user_agent: str
    version_id: str
    host_id: str
    signature_version: str
    authentication: str
    host: str

    def line(self) -> str:
        """The fields in their order, parted by blanks."""
        fields = (
            self.owner,
            self.bucket,
            _moment(int(self.at.timestamp())),
            self.remote_ip,
            self.requester,
            self.request_id,
            self.operation,
            self.key if _PLAIN.fullmatch(self.key) else quote(quote(self.key)),
            _quoted(self.request_line),
            str(self.status),
            self.error_code,
            str(self.bytes_sent or ""),
            str(self.object_bytes or ""),
            str(self.milliseconds),
            "",  # turn-around: the same, as far as we measure
            _quoted(self.referer),
            _quoted(self.user_agent),
            self.version_id,
            self.host_id,
            self.signature_version,
            "",  # cipher suite
            self.authentication,
            quote(self.host, safe=":[]"),
            "",  # TLS version
            "",  # ARN of an access point
            "",  # whether an ACL was needed
        )
        return " ".join(field or "-" for field in fields) + "\n"


def _quoted(text: str) -> str:
    """Text of the client in quotes, which it cannot leave."""
    if text.isprintable() and '"' not in text:
        return f'"{text}"' if text else '"-"'
    return "".join(
        ('"', *(c if c.isprintable() and c != '"' else quote(c, errors="surrogatepass") for c in text), '"')
    )


@lru_cache(maxsize=64)
def _moment(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("[%d/%b/%Y:%H:%M:%S +0000]")
