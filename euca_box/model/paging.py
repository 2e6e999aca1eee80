"""Pages of a Describe action: a token that says after which record to go on.

Records are sorted by id within a time, so that a page never repeats or loses an old record when others
are made meanwhile. The token is bound to nothing secret: it carries only the caller's own last id.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar

from euca_box.model.errors import InvalidNextToken, InvalidParameterCombination, InvalidParameterValue

T = TypeVar("T")

LOWEST, HIGHEST = 5, 1000


def page(
    records: Sequence[T],
    key_of: Callable[[T], str],
    *,
    max_results: int | None,
    next_token: str | None,
    ids_given: bool = False,
) -> tuple[Sequence[T], str | None]:
    """The records of this page and the token of the next. `records` are sorted by key_of.

    Raises InvalidParameterCombination (ids and max_results), InvalidParameterValue, InvalidNextToken.
    """
    if max_results is None and next_token is None:
        return records, None
    if max_results is not None and ids_given:
        raise InvalidParameterCombination(
            "The parameter maxResults cannot be used with a list of ids in the same call"
        )
    if max_results is not None and not LOWEST <= max_results <= HIGHEST:
        raise InvalidParameterValue(
            f"Value ( {max_results} ) for parameter maxResults is invalid. Expecting {LOWEST} to {HIGHEST}."
        )
    if next_token is not None:
        after = _decoded(next_token)
        records = [record for record in records if key_of(record) > after]
    size = max_results or HIGHEST
    if len(records) <= size:
        return records, None
    return records[:size], _encoded(key_of(records[size - 1]))


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
