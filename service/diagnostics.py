"""Error messages for configuration files, with position and suggestion."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Self, TypeAlias

from pydantic_core import PydanticCustomError

Path: TypeAlias = tuple[str | int, ...]

_FEW = 12
_ALIKE = 0.65
_SHARED = "task."
_OPPOSITES = ("un", "in", "dis", "non", "not_", "re")  # disabled is near to enabled
_SHOWN = 240  # characters of a line, and of a word in a message
_LONG_WORD = re.compile(rf"(\S{{{_SHOWN}}})\S+")


class Severity(StrEnum):
    """An error prevents the file from being used; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Issue:
    """A problem with a value, whose place is its path in the document.

    `offset` counts characters into a text: that of the value, or of `file`, which it names. With
    `at_key` the problem is with the name, not the value.
    """

    path: Path
    message: str
    hint: str | None = None
    offset: int | None = None
    at_key: bool = False
    severity: Severity = Severity.ERROR
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A problem with a line of a file. `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    message: str
    source_line: str = ""
    hint: str | None = None
    severity: Severity = Severity.ERROR

    @property
    def in_a_line(self) -> str:
        """`file:line:column: message`."""
        prefix = "warning: " if self.severity is Severity.WARNING else ""
        message = _LONG_WORD.sub(r"\1…", self.message)
        return f"{self.file}:{self.line}:{self.column}: {prefix}{message}"

    def __str__(self) -> str:
        """`file:line:column: message`, the line, a caret under the place, and the suggestion."""
        lines = [self.in_a_line]
        if self.source_line:
            shown, place = _excerpt(self.source_line, self.column - 1)
            blank = "".join("\t" if letter == "\t" else " " for letter in shown[:place])
            lines += [f"  {shown}", f"  {blank}^"]
        if self.hint:
            lines.append(f"  {self.hint}")
        return "\n".join(lines)


def _excerpt(line: str, place: int) -> tuple[str, int]:
    """The shown part of a line around a position in it, and the position in that part."""
    if len(line) <= _SHOWN:
        return line, place
    start = max(0, min(place - _SHOWN // 2, len(line) - _SHOWN))
    before, after = "…" * (start > 0), "…" * (start + _SHOWN < len(line))
    return f"{before}{line[start : start + _SHOWN]}{after}", place - start + len(before)


def refused(
    message: str, hint: str | None = None, offset: int | None = None, inside: Path = ()
) -> ValueError:
    """The exception by which a validator rejects a value; its text is shown as it is.

    `inside` is the path from the value to its invalid part.
    """
    said = {"message": message, "hint": hint, "offset": offset, "inside": inside}
    return PydanticCustomError("refused", "{message}", said)


class Suggestion(str):
    """A suggestion to write one `word` in place of another."""

    __slots__ = ("word",)

    word: str

    def __new__(cls, word: str) -> Self:
        hint = super().__new__(cls, f"did you mean {word}?")
        hint.word = word
        return hint

    def __getnewargs__(self) -> tuple[str]:
        """The arguments for a copy of it."""
        return (self.word,)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A Suggestion for an unknown word; without a similar word, the list of all if it is short.

    Words are compared without a part that all share: `task.done` is not like `task.reopened`.
    """
    words = sorted(known)
    alike = [one for one in words if one.casefold() == word.casefold()]
    close = alike or _similar(word, words)
    if close:
        return Suggestion(close[0])
    if 0 < len(words) <= _FEW:
        return f"known here: {', '.join(words)}"
    return None


def _similar(word: str, words: Iterable[str]) -> list[str]:
    """The known word that a typing error explains; not one that says the opposite."""
    behind = {one.removeprefix(_SHARED): one for one in words}
    written = word.removeprefix(_SHARED)
    close = get_close_matches(written, behind, n=1, cutoff=_ALIKE)
    return [behind[one] for one in close if _negated(one) == _negated(written)]


def _negated(word: str) -> str | None:
    """The syllable at a word's beginning that can make it the opposite of the rest."""
    return next((syllable for syllable in _OPPOSITES if word.startswith(syllable)), None)
