"""Filters of Describe actions (EC2 API reference, Filtering)."""

import re
import time
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from euca_box.model.errors import InvalidParameterValue
from euca_box.model.filters import filtered


@dataclass(frozen=True)
class Wanted:
    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    name: str = ""
    size: int = 0
    public: bool = True
    absent: str | None = None
    groups: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


GETTERS = {
    name: (lambda r, name=name: getattr(r, name)) for name in ("name", "size", "public", "absent", "groups")
}
WEB = Record("web", 10, True, None, ("a", "b"), (("env", "prod"), ("team", "x")))
DB = Record("db", 20, False, None, (), (("env", "dev"),))


def found(*wanted):
    return [r.name for r in filtered([WEB, DB], wanted, GETTERS)]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ((), ["web", "db"]),
        ((Wanted("name", ("web",)),), ["web"]),
        ((Wanted("name", ("web", "db")),), ["web", "db"]),
        ((Wanted("name", ("WEB",)),), []),
        ((Wanted("name"),), []),
        ((Wanted("name", ("*",)), Wanted("size", ("20",))), ["db"]),
        ((Wanted("name", ("w?b",)),), ["web"]),
        ((Wanted("public", ("true",)),), ["web"]),
        ((Wanted("public", ("false",)),), ["db"]),
        ((Wanted("absent", ("*",)),), []),
        ((Wanted("groups", ("b",)),), ["web"]),
        ((Wanted("tag:env", ("prod", "dev")),), ["web", "db"]),
        ((Wanted("tag:absent", ("*",)),), []),
        ((Wanted("tag-key", ("team",)),), ["web"]),
        ((Wanted("tag-value", ("d*",)),), ["db"]),
    ],
)
def test_values_are_ored_filters_are_anded(wanted, names):
    assert found(*wanted) == names


@pytest.mark.parametrize("name", ["colour", "", "Name", "tag", "tags", "__class__"])
def test_a_filter_that_the_action_does_not_have_is_refused_even_for_no_records(name):
    with pytest.raises(InvalidParameterValue):
        filtered([], [Wanted(name, ("x",))], GETTERS)


def test_a_filter_has_at_most_200_values():
    assert found(Wanted("name", (*(str(n) for n in range(199)), "web"))) == ["web"]
    with pytest.raises(InvalidParameterValue):
        found(Wanted("name", tuple(str(n) for n in range(201))))


def as_regex(pattern):
    """What the manual says: `*` any, `?` one, a backslash takes the next as it is."""
    out, characters = "", iter(pattern)
    for c in characters:
        if c == "\\":
            out += re.escape(next(characters, "\\"))
        else:
            out += {"*": ".*", "?": "."}.get(c) or re.escape(c)
    return re.compile(out, re.DOTALL)


@given(st.text("ab*?\\", max_size=12), st.text("ab*?\\\n", max_size=12))
def test_patterns_match_as_the_manual_says(pattern, text):
    matched = bool(filtered([Record(text)], [Wanted("name", (pattern,))], GETTERS))
    assert matched == bool(as_regex(pattern).fullmatch(text))


def test_no_pattern_of_a_client_is_slow():
    """A regular expression would take for ever here."""
    started = time.perf_counter()
    assert filtered([Record("a" * 2000)], [Wanted("name", ("*a" * 100 + "b",))], GETTERS) == []
    assert time.perf_counter() - started < 2
