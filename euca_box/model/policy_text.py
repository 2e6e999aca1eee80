"""Texts of a policy that stand for many: `*`, `?` and variables such as `${aws:username}`.

Source: IAM user guide, "IAM policy elements: Variables and tags". Matching takes time in proportion
to the text, whatever the pattern: pieces between stars are looked for one after the other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

_TOKEN = re.compile(r"\$\{([^{}]*)\}|\*|\?")
_VARIABLE = re.compile(r"\s*([^,'\s]+)\s*(?:,\s*'([^']*)'\s*)?")
Context = Mapping[str, tuple[str, ...]]  # condition keys in lower case


@dataclass(frozen=True, slots=True)
class Variable:
    key: str
    default: str | None


Token = str | Variable | None  # literal text, a variable, any one character
Piece = tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """Pieces with a star between each two of them."""

    pieces: tuple[Piece, ...]
    ignore_case: bool = False

    def matches(self, text: str, context: Context) -> bool:
        if self.ignore_case:
            text = text.casefold()
        texts = [_resolved(piece, context, ignore_case=self.ignore_case) for piece in self.pieces]
        if None in texts:
            return False  # a variable without a value matches nothing
        return _matches([piece for piece in texts if piece is not None], text)

    @property
    def literal(self) -> str | None:
        """The one text that it matches, if it is one."""
        if len(self.pieces) == 1 and all(isinstance(token, str) for token in self.pieces[0]):
            return "".join(token for token in self.pieces[0] if isinstance(token, str))
        return None


@lru_cache(maxsize=4096)
def parse_pattern(
    text: str, *, variables: bool = True, wildcards: bool = True, ignore_case: bool = False
) -> Pattern:
    """Raises ValueError for a variable that is not well formed."""
    pieces: list[list[Token]] = [[]]
    end = 0
    for match in _TOKEN.finditer(text):
        pieces[-1].append(_cased(text[end : match.start()], ignore_case=ignore_case))
        end = match.end()
        if match[0] == "*" and wildcards:
            pieces.append([])
        elif match[0] == "?" and wildcards:
            pieces[-1].append(None)
        elif match[1] is not None and variables:
            pieces[-1].append(_variable(match[1]))
        else:
            pieces[-1].append(_cased(match[0], ignore_case=ignore_case))
    pieces[-1].append(_cased(text[end:], ignore_case=ignore_case))
    return Pattern(tuple(tuple(t for t in piece if t != "") for piece in pieces), ignore_case)


def _cased(text: str, *, ignore_case: bool) -> str:
    return text.casefold() if ignore_case else text


def _variable(text: str) -> Token:
    if text in ("*", "?", "$"):
        return text
    match = _VARIABLE.fullmatch(text)
    if match is None:
        raise ValueError(f"${{{text}}} is no policy variable")
    return Variable(match[1].lower(), match[2])


def _resolved(piece: Piece, context: Context, *, ignore_case: bool) -> "tuple[str | None, ...] | None":
    """Literals and None for any one character; None as a whole when a variable has no value."""
    resolved: list[str | None] = []
    for token in piece:
        if isinstance(token, Variable):
            values = context.get(token.key, ())
            value = values[0] if len(values) == 1 else token.default
            if value is None:
                return None
            resolved.append(_cased(value, ignore_case=ignore_case))
        else:
            resolved.append(token)
    return tuple(resolved)


def _matches(pieces: list[tuple[str | None, ...]], text: str) -> bool:
    searches = [_compiled(piece) for piece in pieces]
    first = searches[0].match(text)
    if len(searches) == 1:
        return searches[0].fullmatch(text) is not None
    if first is None:
        return False
    start = first.end()
    for search in searches[1:-1]:
        found = search.search(text, start)
        if found is None:
            return False
        start = found.end()
    last_length = sum(1 if token is None else len(token) for token in pieces[-1])
    end = len(text) - last_length
    return end >= start and searches[-1].match(text, end) is not None


@lru_cache(maxsize=4096)
def _compiled(piece: tuple[str | None, ...]) -> re.Pattern[str]:
    return re.compile("".join("." if token is None else re.escape(token) for token in piece), re.DOTALL)
