"""What is wrong with a file, told so that the person who wrote it can put it right."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Self, TypeAlias

from pydantic_core import PydanticCustomError

Path: TypeAlias = tuple[str | int, ...]

_FEW = 12
_SHOWN = 240  # characters of a line, and of a word in a message
_LONG_WORD = re.compile(rf"(\S{{{_SHOWN}}})\S+")


class Severity(StrEnum):
    """An error keeps the file from being used; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Issue:
    """Something wrong with a value, whose place is still the way to it through the document.

    `offset` counts characters into a text: that of the value, or of `file`, which it names. With
    `at_key` the name is meant, not the value.
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
    """Something wrong with a line of a file. `line` and `column` count from 1."""

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
    """What is shown of a line around a place in it, and where that is in what is shown."""
    if len(line) <= _SHOWN:
        return line, place
    start = max(0, min(place - _SHOWN // 2, len(line) - _SHOWN))
    before, after = "…" * (start > 0), "…" * (start + _SHOWN < len(line))
    return f"{before}{line[start : start + _SHOWN]}{after}", place - start + len(before)


def refused(
    message: str, hint: str | None = None, offset: int | None = None, inside: Path = ()
) -> ValueError:
    """What a validator raises to refuse a value, in words that are shown as they are.

    `inside` is the way from the value to the part of it that is wrong.
    """
    said = {"message": message, "hint": hint, "offset": offset, "inside": inside}
    return PydanticCustomError("refused", "{message}", said)


class Suggestion(str):
    """A hint that asks for one `word` in place of another."""

    __slots__ = ("word",)

    word: str

    def __new__(cls, word: str) -> Self:
        hint = super().__new__(cls, f"did you mean {word}?")
        hint.word = word
        return hint

    def __getnewargs__(self) -> tuple[str]:
        """What a copy of it is made of."""
        return (self.word,)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A Suggestion for a word that is not known; failing a likely one, the few there are."""
    words = sorted(known)
    alike = [one for one in words if one.casefold() == word.casefold()]
    close = alike or get_close_matches(word, words, n=1)
    if close:
        return Suggestion(close[0])
    if 0 < len(words) <= _FEW:
        return f"known here: {', '.join(words)}"
    return None
