"""Which changes of a bucket are told to whom, and how a change is told.

Source: S3 API reference, PutBucketNotificationConfiguration; S3 user guide, "Event message structure".
"""

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple
from urllib.parse import quote_plus

from euca_box.model.documents import element
from euca_box.model.s3_errors import InvalidArgument, S3NotImplemented

MOST_RULES = 100


class Event(enum.StrEnum):
    """What happens here; the names of groups are for configurations only."""

    CREATED = "s3:ObjectCreated:*"
    PUT = "s3:ObjectCreated:Put"
    POST = "s3:ObjectCreated:Post"
    COPY = "s3:ObjectCreated:Copy"
    COMPLETED = "s3:ObjectCreated:CompleteMultipartUpload"
    REMOVED = "s3:ObjectRemoved:*"
    DELETED = "s3:ObjectRemoved:Delete"
    MARKED = "s3:ObjectRemoved:DeleteMarkerCreated"
    EXPIRED_ANY = "s3:LifecycleExpiration:*"
    EXPIRED = "s3:LifecycleExpiration:Delete"
    EXPIRED_MARKED = "s3:LifecycleExpiration:DeleteMarkerCreated"
    TEST = "s3:TestEvent"  # to each target when it was chosen; no configuration names it


@dataclass(frozen=True, slots=True)
class FilterRule:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class S3Key:
    filter_rule: tuple[FilterRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    s3_key: S3Key = element("S3Key", default=S3Key())


@dataclass(frozen=True, slots=True)
class _Rule:
    event: tuple[str, ...]
    id: str | None = element("Id", default=None)
    filter: Filter | None = None

    def wants(self, event: Event, key: str) -> bool:
        group = f"{event.rpartition(':')[0]}:*"
        return (
            (event in self.event or group in self.event)
            and all(map(key.startswith, self._prefixes()))
            and all(map(key.endswith, self._suffixes()))
        )

    def _prefixes(self) -> Iterator[str]:
        rules = self.filter.s3_key.filter_rule if self.filter is not None else ()
        return (rule.value for rule in rules if rule.name.lower() == "prefix")

    def _suffixes(self) -> Iterator[str]:
        rules = self.filter.s3_key.filter_rule if self.filter is not None else ()
        return (rule.value for rule in rules if rule.name.lower() == "suffix")


@dataclass(frozen=True, slots=True)
class QueueConfiguration(_Rule):
    queue: str = element("Queue", default="")

    @property
    def target(self) -> str:
        return self.queue


@dataclass(frozen=True, slots=True)
class TopicConfiguration(_Rule):
    topic: str = element("Topic", default="")

    @property
    def target(self) -> str:
        return self.topic


@dataclass(frozen=True, slots=True)
class NotificationConfiguration:
    NOT_THERE: ClassVar = frozenset({"CloudFunctionConfiguration", "EventBridgeConfiguration"})

    topic_configuration: tuple[TopicConfiguration, ...] = ()
    queue_configuration: tuple[QueueConfiguration, ...] = ()

    def rules(self) -> Sequence[TopicConfiguration | QueueConfiguration]:
        return (*self.topic_configuration, *self.queue_configuration)


def check_notifications(configuration: NotificationConfiguration) -> None:
    """Raises InvalidArgument, S3NotImplemented."""
    rules = configuration.rules()
    if len(rules) > MOST_RULES:
        raise InvalidArgument(f"A bucket has at most {MOST_RULES} notifications.")
    for rule in rules:
        for name in rule.event:
            if name not in list(Event) or name == Event.TEST:
                raise S3NotImplemented(Event=name[:100])
        filters = rule.filter.s3_key.filter_rule if rule.filter is not None else ()
        names = [item.name.lower() for item in filters]
        if set(names) - {"prefix", "suffix"}:
            raise InvalidArgument(
                "filter rule name must be either prefix or suffix", ArgumentName="FilterRule.Name"
            )
        if len(names) != len(set(names)):
            raise InvalidArgument("Cannot specify more than one prefix rule or suffix rule in a filter.")
    ids = [rule.id for rule in rules if rule.id]
    if len(ids) != len(set(ids)):
        raise InvalidArgument("The ids of notifications must be unique.")


class Cause(NamedTuple):
    """Who changed something, and by which request."""

    principal: str
    source_ip: str
    request_id: str = ""


# S3 user guide, "Event message structure": what lifecycle rules do.
BY_ITSELF = Cause("s3.amazonaws.com", "s3.amazonaws.com")


class Notice(NamedTuple):
    """A change of one object, for one target. `etag` without quotes; a removal has neither that nor a size.

    `sequence` is where it stands among those that wait for the target. (There may be one for each request: it
    must be cheap.)
    """

    target: str
    sequence: int
    event: str
    rule_id: str
    bucket: str
    owner: str
    at_ms: int
    key: str = ""
    etag: str = ""
    size_bytes: int | None = None
    version_id: str = ""
    sequencer: int = 0
    cause: Cause = BY_ITSELF


def event_record(notice: Notice, region: str, at: str, host_id: str) -> dict[str, Any]:
    """One of the Records of a message; `at` is its time in ISO 8601."""
    facts = {"key": quote_plus(notice.key), "size": notice.size_bytes, "eTag": notice.etag}
    facts |= {"versionId": notice.version_id, "sequencer": f"{notice.sequencer:016X}"}
    return {
        "eventVersion": "2.2",
        "eventSource": "aws:s3",
        "awsRegion": region,
        "eventTime": at,
        "eventName": notice.event.removeprefix("s3:"),
        "userIdentity": {"principalId": notice.cause.principal},
        "requestParameters": {"sourceIPAddress": notice.cause.source_ip},
        "responseElements": {"x-amz-request-id": notice.cause.request_id, "x-amz-id-2": host_id},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": notice.rule_id,
            "bucket": {
                "name": notice.bucket,
                "ownerIdentity": {"principalId": notice.owner},
                "arn": f"arn:aws:s3:::{notice.bucket}",
            },
            "object": {name: value for name, value in facts.items() if value not in ("", None)},
        },
    }


def target_name(arn: str) -> str:
    """The name in an ARN of SNS or SQS; empty for anything else."""
    parts = arn.split(":")
    return parts[5] if len(parts) == 6 and parts[0] == "arn" and parts[2] in ("sns", "sqs") else ""
