"""Pages of a Describe action: a token that says after which record to go on.

Records are sorted by id within a time, so that a page never repeats or loses an old record when others
are made meanwhile. The token is bound to nothing secret: it carries only the caller's own last id.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from euca_box.model.errors import InvalidNextToken, InvalidParameterCombination, InvalidParameterValue

T = TypeVar("T")

LOWEST, HIGHEST = 5, 1000


@dataclass(frozen=True, slots=True)
class Page:
    """At most `size` records whose keys come after `after`."""

    after: str
    size: int

    def cut(self, records: Iterable[T], key_of: Callable[[T], str]) -> tuple[list[T], str | None]:
        """The page and the token of the next; takes no more of the sorted records than it needs."""
        shown = list(islice(records, self.size + 1))
        if len(shown) <= self.size:
            return shown, None
        return shown[:-1], _encoded(key_of(shown[-2]))


def page(
    records: Sequence[T],
    key_of: Callable[[T], str],
    *,
    max_results: int | None,
    next_token: str | None,
    ids_given: bool = False,
) -> tuple[Sequence[T], str | None]:
    """The records of this page and the token of the next. `records` are sorted by key_of.

    Raises as `wanted_page`.
    """
    wanted = wanted_page(max_results=max_results, next_token=next_token, ids_given=ids_given)
    if wanted is None:
        return records, None
    return wanted.cut((record for record in records if key_of(record) > wanted.after), key_of)


def wanted_page(*, max_results: int | None, next_token: str | None, ids_given: bool = False) -> Page | None:
    """What part of a listing is asked for; None: all of it.

    Raises InvalidParameterCombination (ids and max_results), InvalidParameterValue, InvalidNextToken.
    """
    if max_results is None and next_token is None:
        return None
    if max_results is not None and ids_given:
        raise InvalidParameterCombination(
            "The parameter maxResults cannot be used with a list of ids in the same call"
        )
    if max_results is not None and not LOWEST <= max_results <= HIGHEST:
        raise InvalidParameterValue(
            f"Value ( {max_results} ) for parameter maxResults is invalid. Expecting {LOWEST} to {HIGHEST}."
        )
    after = "" if next_token is None else _decoded(next_token)
    return Page(after, max_results or HIGHEST)


def _encoded(key: str) -> str:
    return base64.urlsafe_b64encode(f"after:{key}".encode()).decode()


def _decoded(token: str) -> str:
    try:
        word, colon, key = base64.b64decode(token, altchars=b"-_", validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise InvalidNextToken from None
    if (word, colon) != ("after", ":"):
        raise InvalidNextToken
    return key
