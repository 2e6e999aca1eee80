"""EC2 actions on tags (EC2 2016-11-15)."""

from dataclasses import dataclass

from euca_box.messages.base import Done, Op
from euca_box.messages.ec2_common import Filter, Tag


@dataclass(frozen=True)
class CreateTags(Op[Done], role="clc"):
    """Add tags, or replace their values. Twice is harmless; one unknown resource refuses all."""

    resources: tuple[str, ...]
    tags: tuple[Tag, ...]
    dry_run: bool = False


@dataclass(frozen=True)
class TagToDelete:
    """Without a value the tag goes whatever its value is; an empty value is a value."""

    key: str | None = None
    value: str | None = None


@dataclass(frozen=True)
class DeleteTags(Op[Done], role="clc"):
    """Absent tags are no error. Without any tag named, all tags of the resources go."""

    resources: tuple[str, ...]
    tags: tuple[TagToDelete, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class TagDescription:
    resource_id: str
    resource_type: str
    key: str
    value: str


@dataclass(frozen=True)
class DescribeTagsResult:
    tags: tuple[TagDescription, ...] = ()
    next_token: str | None = None


@dataclass(frozen=True)
class DescribeTags(Op[DescribeTagsResult], role="clc"):
    """The tags of the account's own resources."""

    filters: tuple[Filter, ...] = ()
    max_results: int | None = None
    next_token: str | None = None
    dry_run: bool = False
