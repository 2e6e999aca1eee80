"""Pages of keys, with common prefixes: what they are, and how to page by seeking past each prefix.

Keys are compared as UTF-8 bytes, as S3 wants it. `entries` needs rows in that order and no more: it never
reads what lies below a common prefix.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# Rows that begin with their key, in its order: from a key, inclusive or not, to a key that is not.
Scan = Callable[[str, bool, str | None], Iterator[Any]]


class Listed(NamedTuple):
    """What a listing shows of an object: as the row is, for there are a thousand on a page."""

    key: str
    size_bytes: int
    etag: str
    modified_ms: int
    owner_id: str
    owner_name: str
    checksum: str
    storage_class: str


@dataclass(slots=True)
class Page:
    """`last` is the key or prefix that the next page begins after; set when there is a next page."""

    objects: list[Listed] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    last: str | None = None

    @property
    def truncated(self) -> bool:
        return self.last is not None

    def __len__(self) -> int:
        return len(self.objects) + len(self.prefixes)


def entries(scan: Scan, prefix: str, delimiter: str, after: str) -> Iterator[Any]:
    """Rows, and common prefixes as text, beyond `after`."""
    start, inclusive = (prefix, True) if after < prefix else (after, False)
    if delimiter and after.startswith(prefix) and after.endswith(delimiter) and len(after) > len(prefix):
        # The last page ended with this common prefix: nothing below it again.
        start, inclusive = successor(after) or "", True
        if not start:
            return
    end = successor(prefix)
    while True:
        seek = None
        for row in scan(start, inclusive, end):
            at = row[0].find(delimiter, len(prefix)) if delimiter else -1
            if at < 0:
                yield row
                continue
            common = row[0][: at + len(delimiter)]
            yield common
            seek = successor(common)
            break
        if seek is None:
            return
        start, inclusive = seek, True


def successor(prefix: str) -> str | None:
    """The first string, in UTF-8 order, beyond all that begin with prefix; None when there is none."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            following = 0xE000 if last == 0xD7FF else last + 1  # surrogates are no characters
            return prefix[:-1] + chr(following)
        prefix = prefix[:-1]
    return None
