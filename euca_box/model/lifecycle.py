"""The lifecycle of objects as a bucket's owner sets it: which objects, and what happens to them when.

Source: S3 API reference 2006-03-01, PutBucketLifecycleConfiguration; S3 user guide, "Lifecycle
configuration elements". Transitions are refused: nothing moves here.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from euca_box.model.documents import element
from euca_box.model.s3_errors import InvalidArgument, InvalidRequest, MalformedXML, S3NotImplemented
from euca_box.model.tagging import Tag

MOST_RULES = 1000
LONGEST_ID = 255


class Status(enum.StrEnum):
    ENABLED = "Enabled"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class And:
    """All of several conditions."""

    prefix: str | None = None
    tag: tuple[Tag, ...] = ()
    object_size_greater_than: int | None = None
    object_size_less_than: int | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    prefix: str | None = None
    tag: Tag | None = None
    object_size_greater_than: int | None = None
    object_size_less_than: int | None = None
    and_: And | None = element("And", default=None)

    def conditions(self) -> Iterator[And]:
        """What an object must fulfil, all of it."""
        tags = (self.tag,) if self.tag is not None else ()
        yield And(self.prefix, tags, self.object_size_greater_than, self.object_size_less_than)
        if self.and_ is not None:
            yield self.and_


@dataclass(frozen=True, slots=True)
class Expiration:
    """One of the three. `date` is midnight UTC, in ISO 8601."""

    date: str | None = None
    days: int | None = None
    expired_object_delete_marker: bool | None = None


@dataclass(frozen=True, slots=True)
class NoncurrentVersionExpiration:
    noncurrent_days: int
    newer_noncurrent_versions: int | None = None


@dataclass(frozen=True, slots=True)
class AbortIncompleteMultipartUpload:
    days_after_initiation: int


@dataclass(frozen=True, slots=True)
class Transition:
    """Read to say what is wrong with it, and else that it is not there."""

    storage_class: str
    date: str | None = None
    days: int | None = None


@dataclass(frozen=True, slots=True)
class NoncurrentVersionTransition:
    storage_class: str
    noncurrent_days: int
    newer_noncurrent_versions: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Exactly one of `filter` and the `prefix` of the first version of lifecycles is set."""

    status: Status
    id: str | None = element("ID", default=None)
    prefix: str | None = None
    filter: Filter | None = None
    expiration: Expiration | None = None
    noncurrent_version_expiration: NoncurrentVersionExpiration | None = None
    abort_incomplete_multipart_upload: AbortIncompleteMultipartUpload | None = None
    transition: tuple[Transition, ...] = ()
    noncurrent_version_transition: tuple[NoncurrentVersionTransition, ...] = ()

    @property
    def is_enabled(self) -> bool:
        return self.status is Status.ENABLED

    def covers(self, key: str, size_bytes: int, tags: Mapping[str, str]) -> bool:
        """Is an object, or a version of it, one that the rule is about?"""
        conditions = self.filter.conditions() if self.filter is not None else (And(self.prefix),)
        return all(_fulfils(condition, key, size_bytes, tags) for condition in conditions)

    def covers_upload(self, key: str) -> bool:
        """Is an open upload of the key? An upload has neither size nor tags yet."""
        conditions = self.filter.conditions() if self.filter is not None else (And(self.prefix),)
        return all(key.startswith(condition.prefix or "") for condition in conditions)


def _fulfils(condition: And, key: str, size_bytes: int, tags: Mapping[str, str]) -> bool:
    more, less = condition.object_size_greater_than, condition.object_size_less_than
    return (
        key.startswith(condition.prefix or "")
        and all(tags.get(tag.key) == tag.value for tag in condition.tag)
        and (more is None or size_bytes > more)
        and (less is None or size_bytes < less)
    )


@dataclass(frozen=True, slots=True)
class LifecycleConfiguration:
    rule: tuple[Rule, ...]


def check_lifecycle(lifecycle: LifecycleConfiguration) -> None:
    """Raises InvalidArgument, InvalidRequest, MalformedXML."""
    if len(lifecycle.rule) > MOST_RULES:
        raise InvalidRequest(
            f"The number of lifecycle rules must not exceed the allowed limit of {MOST_RULES} rules"
        )
    ids = [rule.id for rule in lifecycle.rule if rule.id is not None]
    if any(len(name) > LONGEST_ID for name in ids):
        raise InvalidArgument(f"ID length should not exceed allowed limit of {LONGEST_ID}")
    if len(ids) != len(set(ids)):
        raise InvalidArgument("Rule ID must be unique. Found same ID for more than one rule")
    for rule in lifecycle.rule:
        _check_rule(rule)


def _check_rule(rule: Rule) -> None:
    if (rule.prefix is None) == (rule.filter is None):
        raise MalformedXML()
    actions = (rule.expiration, rule.noncurrent_version_expiration, rule.abort_incomplete_multipart_upload)
    if not any((*actions, rule.transition, rule.noncurrent_version_transition)):
        raise InvalidRequest("At least one action needs to be specified in a rule")
    if rule.expiration is not None:
        _check_expiration(rule.expiration)
    if (noncurrent := rule.noncurrent_version_expiration) is not None:
        _check_days("NoncurrentDays", noncurrent.noncurrent_days)
        if (newer := noncurrent.newer_noncurrent_versions) is not None and not 1 <= newer <= 100:
            raise InvalidArgument("NewerNoncurrentVersions must be between 1 and 100")
    if (abort := rule.abort_incomplete_multipart_upload) is not None:
        _check_days("DaysAfterInitiation", abort.days_after_initiation)
        if rule.filter is not None and any(c.tag for c in rule.filter.conditions()):
            raise InvalidRequest("AbortIncompleteMultipartUpload cannot be specified with Tags.")
    for condition in rule.filter.conditions() if rule.filter is not None else ():
        more, less = condition.object_size_greater_than, condition.object_size_less_than
        if (more is not None and more < 0) or (less is not None and less < 1):
            raise InvalidArgument("The sizes of a filter must not be negative")
        if more is not None and less is not None and more >= less:
            raise InvalidRequest("ObjectSizeLessThan must be greater than ObjectSizeGreaterThan")
    _check_transitions(rule)


def _check_transitions(rule: Rule) -> None:
    for transition in rule.transition:
        if (transition.date is None) == (transition.days is None):
            raise MalformedXML()
        if transition.days is not None and transition.days < 0:
            raise InvalidArgument("'Days' in the Transition action for StorageClass must be nonnegative")
        if transition.date is not None:
            _check_midnight(transition.date)
    for noncurrent in rule.noncurrent_version_transition:
        _check_days("NoncurrentDays", noncurrent.noncurrent_days)
    if rule.transition or rule.noncurrent_version_transition:
        raise S3NotImplemented("Objects do not move between storage classes: all are kept on one disk.")


def _check_expiration(expiration: Expiration) -> None:
    given = [expiration.date, expiration.days, expiration.expired_object_delete_marker]
    if sum(value is not None for value in given) != 1:
        raise MalformedXML()
    if expiration.days is not None:
        _check_days("Days", expiration.days)
    if expiration.date is not None:
        _check_midnight(expiration.date)


def _check_midnight(date: str) -> None:
    moment = expiration_moment(date).astimezone(UTC)
    if (moment.hour, moment.minute, moment.second, moment.microsecond) != (0, 0, 0, 0):
        raise InvalidArgument("'Date' must be at midnight GMT")


def expiration_moment(text: str) -> datetime:
    """The moment of a Date. Raises MalformedXML."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise MalformedXML() from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _check_days(name: str, days: int) -> None:
    if not 1 <= days <= 2**31 - 1:
        raise InvalidArgument(f"'{name}' for the action must be a positive integer")
