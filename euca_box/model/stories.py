"""The story of a thing: what happened to it, how each role sees it now, what it waits for, what is next."""

import re
from dataclasses import dataclass


def naming(thing: str) -> re.Pattern[str]:
    """Where a text names the thing: `i-4e9f08a1` is no part of `emi-4e9f08a1`."""
    return re.compile(rf"(?<![A-Za-z0-9.-]){re.escape(thing)}(?![A-Za-z0-9-])(?!\.[0-9])")


@dataclass(frozen=True)
class Happening:
    """`at` is a Unix time."""

    at: float
    where: str
    what: str


@dataclass(frozen=True)
class Standing:
    """How one role sees the thing now. `deadline`: when it is given up, a Unix time; 0: never.

    `advice`: what the operator does next; `see`: other things whose story explains this one.
    """

    where: str
    state: str
    waits_for: str = ""
    deadline: float = 0.0
    advice: str = ""
    see: tuple[str, ...] = ()


@dataclass(frozen=True)
class Story:
    happenings: tuple[Happening, ...] = ()
    standings: tuple[Standing, ...] = ()
