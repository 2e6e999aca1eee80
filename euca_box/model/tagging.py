"""Tags of buckets: names and values that S3 keeps for their owner.

Source: S3 API reference, PutBucketTagging; "Tagging restrictions" of the billing user guide.
"""

from dataclasses import dataclass

from euca_box.model.documents import element
from euca_box.model.s3_errors import BadRequest, InvalidTag

MOST_BUCKET_TAGS = 50
LONGEST_KEY, LONGEST_VALUE = 128, 256
_OTHERS = set(" +-=._:/@")


@dataclass(frozen=True, slots=True)
class Tag:
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Tagging:
    tag_set: tuple[Tag, ...] = element("TagSet", inside="Tag")


def check_tags(tagging: Tagging, most: int) -> None:
    """Raises InvalidTag, BadRequest."""
    if len(tagging.tag_set) > most:
        raise BadRequest(f"Object tags cannot be greater than {most}")
    for tag in tagging.tag_set:
        if (
            not 1 <= len(tag.key) <= LONGEST_KEY
            or tag.key.lower().startswith("aws:")
            or not _is_clean(tag.key)
        ):
            raise InvalidTag("The TagKey you have provided is invalid", TagKey=tag.key[:LONGEST_KEY])
        if len(tag.value) > LONGEST_VALUE or not _is_clean(tag.value):
            raise InvalidTag("The TagValue you have provided is invalid", TagValue=tag.value[:LONGEST_VALUE])
    if len({tag.key for tag in tagging.tag_set}) != len(tagging.tag_set):
        raise InvalidTag("Cannot provide multiple Tags with the same key")


def _is_clean(text: str) -> bool:
    return all(character.isalnum() or character in _OTHERS for character in text)
