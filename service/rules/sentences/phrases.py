"""The parts of sentences about rules: words, and pieces of the file that stay as they are."""

import re
from collections.abc import Iterable, Sequence
from typing import TypeAlias

_LONGEST = 100  # characters of a text that a sentence quotes
_GAP = "…"
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_TAG = re.compile(r"\{%.*?%\}", re.DOTALL)
_GAPS = re.compile(r"…(?:\s*…)+")


class Code(str):
    """A piece of the file that is shown as it is written."""

    __slots__ = ()


Phrase: TypeAlias = tuple[str, ...]
"""Words, and `Code` between them; the words bring the spaces around the code."""


def plain(phrase: Iterable[str]) -> str:
    """The phrase as text."""
    return "".join(phrase)


def joined(phrases: Sequence[Phrase], between: str, last: str | None = None) -> Phrase:
    """The phrases one after the other, with `between` them, and `last` before the last one."""
    parts: list[str] = []
    for place, phrase in enumerate(phrases):
        if place:
            is_last = place == len(phrases) - 1
            parts.append(last if is_last and last is not None else between)
        parts.extend(phrase)
    return tuple(parts)


def listed(names: Iterable[str], last: str = "and") -> str:
    """Such as `a, b and c`."""
    return plain(joined([(name,) for name in names], ", ", f" {last} "))


def code(text: str) -> Phrase:
    """A piece of the file, on one line and not too long."""
    return (Code(short(text)),)


def short(text: str) -> str:
    """The text on one line, cut off where it is too long."""
    line = " ".join(text[: 4 * _LONGEST].split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}{_GAP}"


def quoted(text: str) -> str:
    """The text in quotation marks; what is filled in later is shown as a gap."""
    gaps = _PLACEHOLDER.sub(_GAP, _TAG.sub(" ", text[: 40 * _LONGEST]))
    return f"“{short(_GAPS.sub(_GAP, gaps))}”"


def with_article(noun: str) -> str:
    """Such as `an assignee`."""
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"
