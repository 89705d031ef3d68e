"""Where a place in an unfinished YAML text stands: below which names, and what was begun there.

The text is read line by line and need not be valid. Lists and groups in brackets are understood
within one line.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

ENTRY = -1
"""Stands in a path for an entry of a list."""

Step: TypeAlias = str | int

_DASHES = re.compile(r"\s*((?:- +)*)")
_KEY = re.compile(r"""(["']?)([\w.#-]+)\1\s*:(?=\s|$)""")
_QUOTED = re.compile(r""""(?:[^"\\]|\\.)*"?|'[^']*'?""")
_SINGLE = re.compile(r"""\s*(["']?)([^"'{}\[\],#]*)\1\s*(?:#.*)?$""")
_OPENS, _CLOSES = "{[", "}]"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a text.

    - `path`: the names above it, and ENTRY for each list
    - `begun`: what is written before it; `is_value`: that is a value, not a name
    - `beside`: the other names in the same group, and their values
    """

    path: tuple[Step, ...]
    begun: str
    is_value: bool
    beside: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Token:
    """A dash, or a name with the rest of its line."""

    column: int
    name: str | None
    rest: str = ""


def place_of(text: str, line: int, column: int) -> Place | None:
    """The place before this column; both count from 0. None: in a comment, or outside the text."""
    lines = text.split("\n")
    if not 0 <= line < len(lines):
        return None
    before = lines[line][:column]
    if re.search(r"(^|\s)#", _QUOTED.sub("", before)):
        return None
    tokens, rest, start = _tokens(before)
    above: tuple[Step, ...] = tuple(ENTRY if one.name is None else one.name for one in tokens)
    first = tokens[0] if tokens else _Token(start, "")
    path = (*_above(lines[:line], first.column, is_entry=first.name is None), *above)
    inner = _in_brackets(rest)
    if inner is not None:
        steps, begun, is_value, beside = inner
        return Place((*path, *steps), begun, is_value, beside)
    is_value = bool(tokens) and tokens[-1].name is not None
    beside = {} if is_value else _beside(lines, line, start)
    return Place(path, rest, is_value, beside)


def names_in(text: str, section: str) -> list[str]:
    """The names directly below a name at the top of the text."""
    found: list[str] = []
    depth: int | None = None
    for line in _below(text.split("\n"), section):
        tokens, rest, _ = _tokens(line)
        if not tokens or tokens[0].name is None:
            found += _KEY_IN_BRACKETS.findall(rest) if depth is None else []
            continue
        if depth in (None, tokens[0].column):
            depth = tokens[0].column
            found.append(tokens[0].name)
    return found


_KEY_IN_BRACKETS = re.compile(r"[{,]\s*([\w.-]+)\s*:")


def _below(lines: Sequence[str], section: str) -> Iterator[str]:
    """The lines below a name at the top, and what is behind it in its own line."""
    is_inside = False
    for line in lines:
        found = _KEY.match(line)
        if found is not None:
            is_inside = found[2] == section
            if is_inside and (rest := line[found.end() :]).strip():
                yield rest
        elif is_inside and line[:1] not in ("#", "-"):
            yield line


def _tokens(line: str) -> tuple[list[_Token], str, int]:
    """The dashes and the name of a line, what follows them, and where that begins."""
    dashes = _DASHES.match(line)
    end = 0 if dashes is None else dashes.end()
    tokens = [_Token(at, None) for at in range(end) if line[at] == "-"]
    key = _KEY.match(line, end)
    if key is None:
        return tokens, line[end:], end
    rest = line[key.end() :].lstrip()
    return [*tokens, _Token(end, key[2], rest)], rest, end


def _above(lines: Sequence[str], column: int, *, is_entry: bool) -> tuple[Step, ...]:
    """The names and lists to which something in that column below these lines belongs."""
    path: list[Step] = []
    for line in reversed(lines):
        tokens, rest, start = _tokens(line)
        if not tokens and (not rest.strip() or rest.startswith("#")):
            continue
        for token in reversed(tokens):
            # A list may begin in the column of the name that it belongs to.
            is_around = token.column < column or (
                is_entry and token.name is not None and token.column == column
            )
            if is_around:
                path.append(ENTRY if token.name is None else token.name)
                column, is_entry = token.column, token.name is None
        if not tokens and start < column:
            column = start
        if column == 0 and not is_entry:
            break
    return tuple(reversed(path))


def _beside(lines: Sequence[str], line: int, column: int) -> dict[str, str]:
    """The names in the same column and group as those of this line, above and below it."""
    found: dict[str, str] = {}
    # A name in a line with a dash is the first of its group.
    is_first = any(one.name is None for one in _tokens(lines[line])[0])
    upwards = [] if is_first else list(reversed(lines[:line]))
    for part, goes_up in ((upwards, True), (lines[line + 1 :], False)):
        for one in part:
            tokens, rest, start = _tokens(one)
            if not tokens and (not rest.strip() or rest.startswith("#")):
                continue
            own = next((token for token in tokens if token.column == column), None)
            if own is not None and own.name is not None and (goes_up or len(tokens) == 1):
                found[own.name] = _scalar(own.rest)
            if len(tokens) > 1 and own is not None:
                break
            if (tokens[0].column if tokens else start) < column:
                break
    return found


def _scalar(rest: str) -> str:
    found = _SINGLE.match(rest)
    return "" if found is None else found[2].strip()


@dataclass(slots=True)
class _Bracket:
    """An open bracket: the names in it so far, and the one whose value is being written."""

    is_group: bool
    beside: dict[str, str] = field(default_factory=dict)
    name: str | None = None


def _in_brackets(rest: str) -> tuple[list[Step], str, bool, dict[str, str]] | None:
    """Path, beginning, whether it is a value, and names beside it; None outside of brackets."""
    stack: list[_Bracket] = []
    word = ""
    for piece in re.findall(_QUOTED.pattern + r"|.", rest):
        if piece in _OPENS:
            stack.append(_Bracket(piece == "{"))
            word = ""
        elif piece in _CLOSES and stack:
            stack.pop()
            word = ""
        elif piece == "," and stack:
            _end_value(stack[-1], word)
            word = ""
        elif piece == ":" and stack and stack[-1].is_group and stack[-1].name is None:
            stack[-1].name, word = word.strip("\"' "), ""
        else:
            word += piece
    if not stack:
        return None
    steps: list[Step] = []
    for bracket in stack:
        if not bracket.is_group:
            steps.append(ENTRY)
        elif bracket.name is not None:
            steps.append(bracket.name)
    last = stack[-1]
    return steps, word.lstrip(), last.name is not None or not last.is_group, last.beside


def _end_value(bracket: _Bracket, word: str) -> None:
    if bracket.is_group and bracket.name is not None:
        bracket.beside[bracket.name] = word.strip("\"' ")
        bracket.name = None
