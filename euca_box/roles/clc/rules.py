"""What every EC2 action checks in the same way: dry runs, tags that are given at creation."""

from collections.abc import Iterable

from euca_box.messages.base import Call
from euca_box.messages.ec2_common import Filter, Tag, TagSpecification
from euca_box.model.errors import DryRunOperation, InvalidParameterValue

VERBOSE = "verbose"
MOST_TAGS = 50
KEY_LENGTH, VALUE_LENGTH = 128, 256

Tags = tuple[tuple[str, str], ...]


def stop_if_dry_run(dry_run: bool) -> None:
    """Called where all is checked and nothing has happened yet."""
    if dry_run:
        raise DryRunOperation


def names_owner(filters: Iterable[Filter]) -> bool:
    """Whether a request says whose resources it is about: administrators see others' only then."""
    return any(given.name == "owner-id" for given in filters)


def without_verbose(call: Call, names: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """The names asked for, and whether an administrator asked for all: `verbose`, as in Eucalyptus."""
    return ((), True) if call.admin and names == (VERBOSE,) else (names, False)


def tags_for(resource_type: str, specifications: Iterable[TagSpecification]) -> Tags:
    """The tags given for this kind of resource. Raises InvalidParameterValue (EC2 tag restrictions)."""
    tags: list[Tag] = []
    for specification in specifications:
        if specification.resource_type != resource_type:
            raise InvalidParameterValue(
                f"'{specification.resource_type[:64]}' is not a valid taggable resource type for this "
                "operation."
            )
        tags += specification.tags
    return checked_tags(tags)


def checked_tags(given: Iterable[Tag]) -> Tags:
    """Raises InvalidParameterValue for what no resource may have (EC2 tag restrictions)."""
    tags: dict[str, str] = {}
    for tag in given:
        if not tag.key or tag.key.startswith("aws:"):
            raise InvalidParameterValue("Tag keys must not be empty nor start with the reserved prefix aws:")
        if len(tag.key) > KEY_LENGTH or len(tag.value) > VALUE_LENGTH:
            raise InvalidParameterValue(
                f"Tag keys have at most {KEY_LENGTH} characters, values at most {VALUE_LENGTH}."
            )
        if tag.key in tags:
            raise InvalidParameterValue(f"Duplicate tag key '{tag.key}' specified.")
        tags[tag.key] = tag.value
    if len(tags) > MOST_TAGS:
        raise InvalidParameterValue(f"A resource has at most {MOST_TAGS} tags.")
    return tuple(tags.items())
