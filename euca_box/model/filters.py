"""Filters of the Describe actions: ANDed, the values of one ORed, with * and ? (EC2 API, Using filters)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol, TypeVar

from euca_box.model.errors import InvalidParameterValue

MOST_VALUES = 200

T = TypeVar("T")
Getter = Callable[[Any], Any]  # record -> a value, a list of values, or None


class FilterLike(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def values(self) -> tuple[str, ...]: ...


def filtered(records: Iterable[T], filters: Iterable[FilterLike], getters: Mapping[str, Getter]) -> list[T]:
    """The records that pass. `tag:KEY`, `tag-key` and `tag-value` work on `record.tags`.

    Raises InvalidParameterValue for a filter that the action does not have.
    """
    return list(passing(records, filters, getters))


def passing(
    records: Iterable[T], filters: Iterable[FilterLike], getters: Mapping[str, Getter]
) -> Iterator[T]:
    """As `filtered`, one after the other: a page looks at no more records than it needs."""
    tests = [_test(f, getters) for f in filters]
    return (record for record in records if all(test(record) for test in tests))


def _test(wanted: FilterLike, getters: Mapping[str, Getter]) -> Callable[[Any], bool]:
    getter = _getter(wanted.name, getters)
    if len(wanted.values) > MOST_VALUES:
        raise InvalidParameterValue(f"The filter '{wanted.name}' has more than {MOST_VALUES} values")
    patterns = [_pattern(value) for value in wanted.values]
    plain = {"".join(map(str, pattern)) for pattern in patterns if all(pattern)}
    globs = [pattern for pattern in patterns if not all(pattern)]

    def test(record: Any) -> bool:
        return any(
            text in plain or any(_matches(pattern, text) for pattern in globs)
            for text in _texts(getter(record))
        )

    return test


def _getter(name: str, getters: Mapping[str, Getter]) -> Getter:
    if name.startswith("tag:"):
        key = name[4:]
        return lambda record: [v for k, v in _tags(record) if k == key]
    if name in ("tag-key", "tag-value"):
        place = 0 if name == "tag-key" else 1
        return lambda record: [tag[place] for tag in _tags(record)]
    getter = getters.get(name)
    if getter is None:
        raise InvalidParameterValue(f"The filter '{name}' is invalid")
    return getter


def _tags(record: Any) -> list[tuple[str, str]]:
    """Records keep pairs, views keep Tag values; zones, regions and types have none."""
    return [(t.key, t.value) if hasattr(t, "key") else t for t in getattr(record, "tags", ())]


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list | tuple | set | frozenset):
        return [text for item in value for text in _texts(item)]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [str(value)]


@lru_cache(maxsize=4096)
def _pattern(value: str) -> tuple[str | None, ...]:
    """One entry a character: the character, "" for `?`, None for `*`; `\\` takes the next as it is."""
    tokens: list[str | None] = []
    characters = iter(value)
    for character in characters:
        if character == "\\":
            tokens.append(next(characters, "\\"))
        elif character == "*":
            tokens.append(None)
        else:
            tokens.append("" if character == "?" else character)
    return tuple(tokens)


def _matches(pattern: tuple[str | None, ...], text: str) -> bool:
    """Glob match without backtracking further than the last `*`: no pattern of a client is slow."""
    at, star, star_at, i = 0, -1, 0, 0
    while i < len(text):
        if at < len(pattern) and pattern[at] is not None and pattern[at] in ("", text[i]):
            at, i = at + 1, i + 1
        elif at < len(pattern) and pattern[at] is None:
            star, star_at, at = at, i, at + 1
        elif star >= 0:
            star_at += 1
            at, i = star + 1, star_at
        else:
            return False
    return all(token is None for token in pattern[at:])
