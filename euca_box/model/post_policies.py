"""The policy of a form by which a browser uploads: what its fields may be, how large the file.

Source: S3 API reference, "Creating a POST policy". A form with a policy may have no field that the
policy does not speak of. Pure.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from euca_box.model.s3_errors import (
    AccessDenied,
    EntityTooLarge,
    EntityTooSmall,
    InvalidPolicyDocument,
)

_FREE = ("x-amz-signature", "signature", "awsaccesskeyid", "policy", "file")
_IGNORED = ("x-ignore-", "x-amz-checksum-")  # a checksum allows nothing; it can only refuse
LARGEST = 5 << 30


@dataclass(frozen=True, slots=True)
class Condition:
    """A field, in lower case, that must be the value or begin with it."""

    field: str
    value: str
    starts_with: bool

    def holds(self, given: str) -> bool:
        if not self.starts_with:
            return given == self.value
        if self.field == "content-type":  # a list: each of it must
            return all(part.strip().startswith(self.value) for part in given.split(","))
        return given.startswith(self.value)

    def __str__(self) -> str:
        return f'["{"starts-with" if self.starts_with else "eq"}", "${self.field}", "{self.value}"]'


@dataclass(frozen=True, slots=True)
class PostPolicy:
    """`smallest` and `largest`: bytes of the file."""

    expires: datetime
    conditions: tuple[Condition, ...]
    smallest: int = 0
    largest: int = LARGEST

    def check(self, fields: Mapping[str, str], now: datetime) -> None:
        """Fields by name in lower case, `bucket` among them. Raises AccessDenied."""
        if now >= self.expires:
            raise AccessDenied("Invalid according to Policy: Policy expired.")
        for condition in self.conditions:
            if not condition.holds(fields.get(condition.field, "")):
                raise AccessDenied(f"Invalid according to Policy: Policy Condition failed: {condition}")
        spoken_of = {condition.field for condition in self.conditions}
        extra = [n for n in fields if n not in spoken_of and n not in _FREE and not n.startswith(_IGNORED)]
        if extra:
            names = ", ".join(sorted(extra))
            raise AccessDenied(f"Invalid according to Policy: Extra input fields: {names}")

    def check_size(self, received: int, *, ended: bool) -> None:
        """Raises EntityTooLarge as soon as it is, EntityTooSmall at the end."""
        if received > self.largest:
            raise EntityTooLarge(ProposedSize=str(received), MaxSizeAllowed=str(self.largest))
        if ended and received < self.smallest:
            raise EntityTooSmall(ProposedSize=str(received), MinSizeAllowed=str(self.smallest))


def parse_post_policy(text: str) -> PostPolicy:
    """The policy of the field `policy`, base64 of JSON. Raises InvalidPolicyDocument."""
    try:
        document = json.loads(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid("Invalid JSON.") from None
    if not isinstance(document, dict) or "expiration" not in document:
        raise _invalid("Policy missing expiration.")
    if not isinstance(document.get("conditions"), list):
        raise _invalid("Policy missing conditions.")
    conditions, smallest, largest = [], 0, LARGEST
    for item in document["conditions"]:
        if isinstance(item, list) and item and item[0] == "content-length-range":
            smallest, largest = _range(item)
        elif isinstance(item, dict) and len(item) == 1:
            [(name, value)] = item.items()
            conditions.append(Condition(name.lower(), _text(value), starts_with=False))
        else:
            conditions.append(_condition(item))
    return PostPolicy(_moment(document["expiration"]), tuple(conditions), smallest, largest)


def _invalid(reason: str) -> InvalidPolicyDocument:
    return InvalidPolicyDocument(f"Invalid Policy: {reason}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _invalid("Invalid Simple-Condition: value must be a string.")
    return value


def _condition(item: Any) -> Condition:
    if not isinstance(item, list) or len(item) != 3 or not all(isinstance(text, str) for text in item):
        raise _invalid("Invalid condition.")
    operator, field, value = item
    if operator.lower() not in ("eq", "starts-with") or not field.startswith("$"):
        raise _invalid(f"Unknown operation '{operator[:40]}'.")
    return Condition(field[1:].lower(), value, starts_with=operator.lower() == "starts-with")


def _range(item: list[Any]) -> tuple[int, int]:
    bounds = [int(n) for n in item[1:] if _is_whole(n)]
    if len(item) != 3 or len(bounds) != 2:
        raise _invalid("Invalid content-length-range.")
    return bounds[0], bounds[1]


def _is_whole(value: Any) -> bool:
    text = str(value)
    return not isinstance(value, bool) and text.isascii() and text.isdigit() and len(text) <= 15


def _moment(text: Any) -> datetime:
    """ISO 8601 with a zone, as in 2007-12-01T12:00:00.000Z."""
    if isinstance(text, str) and "T" in text:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return moment
    raise _invalid("Invalid 'expiration' value.")
