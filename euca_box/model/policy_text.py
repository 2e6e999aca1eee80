"""Texts of a policy that stand for many: `*`, `?` and variables such as `${aws:username}`.

Source: IAM user guide, "IAM policy elements: Variables and tags". Matching takes time in proportion
to the text, whatever the pattern: pieces between stars are looked for one after the other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

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
    """Pieces with a star between each two of them; `texts` instead where they are nothing but text."""

    pieces: tuple[Piece, ...]
    ignore_case: bool = False
    texts: tuple[str, ...] | None = None

    def matches(self, text: str, context: Context) -> bool:
        if self.ignore_case:
            text = text.casefold()
        if self.texts is not None:
            return _matches_texts(self.texts, text)
        pieces = []
        for piece in self.pieces:
            resolved = _resolved(piece, context, ignore_case=self.ignore_case)
            if resolved is None:
                return False  # a variable without a value matches nothing
            pieces.append(resolved)
        return _matches(pieces, text)


def parse_pattern(
    text: str, *, variables: bool = True, wildcards: bool = True, ignore_case: bool = False
) -> Pattern:
    """Raises ValueError for a variable that is not well formed."""
    pieces: list[list[Token]] = [[]]
    end = 0
    for match in _TOKEN.finditer(text):
        _add(pieces[-1], _cased(text[end : match.start()], ignore_case=ignore_case))
        end = match.end()
        if match[0] == "*" and wildcards:
            pieces.append([])
        elif match[0] == "?" and wildcards:
            pieces[-1].append(None)
        elif match[1] is not None and variables:
            _add(pieces[-1], _variable(match[1]))
        else:
            _add(pieces[-1], _cased(match[0], ignore_case=ignore_case))
    _add(pieces[-1], _cased(text[end:], ignore_case=ignore_case))
    return Pattern(tuple(map(tuple, pieces)), ignore_case, _texts(pieces))


def _texts(pieces: list[list[Token]]) -> tuple[str, ...] | None:
    texts = []
    for piece in pieces:
        text = piece[0] if piece else ""
        if len(piece) > 1 or not isinstance(text, str):
            return None
        texts.append(text)
    return tuple(texts)


def _matches_texts(texts: tuple[str, ...], text: str) -> bool:
    first, last = texts[0], texts[-1]
    if len(texts) == 1:
        return text == first
    if not text.startswith(first) or not text.endswith(last):
        return False
    start, end = len(first), len(text) - len(last)
    for piece in texts[1:-1]:
        at = text.find(piece, start, end)
        if at < 0:
            return False
        start = at + len(piece)
    return end >= start


def _add(piece: "list[Token] | list[str | None]", token: Token) -> None:
    """Append a token; texts side by side become one."""
    if isinstance(token, str) and piece and isinstance(last := piece[-1], str):
        piece[-1] = last + token
    elif token != "":
        piece.append(token)  # type: ignore[arg-type]


def _cased(text: str, *, ignore_case: bool) -> str:
    return text.casefold() if ignore_case else text


def _variable(text: str) -> Token:
    if text in ("*", "?", "$"):
        return text
    match = _VARIABLE.fullmatch(text)
    if match is None:
        raise ValueError(f"${{{text}}} is no policy variable")
    return Variable(match[1].lower(), match[2])


def _resolved(piece: Piece, context: Context, *, ignore_case: bool) -> "list[str | None] | None":
    """Texts and None for any one character; None as a whole when a variable has no value."""
    resolved: list[str | None] = []
    for token in piece:
        if isinstance(token, Variable):
            values = context.get(token.key, ())
            value = values[0] if len(values) == 1 else token.default
            if value is None:
                return None
            token = _cased(value, ignore_case=ignore_case)
        _add(resolved, token)
    return resolved


def _matches(pieces: list[list[str | None]], text: str) -> bool:
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1:
        return len(text) == _length(first) and _found_at(first, text, 0)
    if not _found_at(first, text, 0):
        return False
    start = _length(first)
    for piece in pieces[1:-1]:
        at = _find(piece, text, start)
        if at < 0:
            return False
        start = at + _length(piece)
    end = len(text) - _length(last)
    return end >= start and _found_at(last, text, end)


def _length(piece: list[str | None]) -> int:
    return sum(1 if token is None else len(token) for token in piece)


def _found_at(piece: list[str | None], text: str, at: int) -> bool:
    for token in piece:
        if token is None:
            if at >= len(text):
                return False
            at += 1
        elif text.startswith(token, at):
            at += len(token)
        else:
            return False
    return True


def _find(piece: list[str | None], text: str, start: int) -> int:
    """Where the piece stands first, from start on; -1 if nowhere."""
    if not piece:
        return start
    if len(piece) == 1 and piece[0] is not None:
        return text.find(piece[0], start)
    ends = range(start, len(text) - _length(piece) + 1)
    return next((at for at in ends if _found_at(piece, text, at)), -1)
