"""Typographic characters (curly quotes, no-break spaces) that replace plain ASCII ones."""

import unicodedata
from dataclasses import dataclass

_QUOTES = "“”„‟‘’‚‛«»″′"  # noqa: RUF001  (these are what is looked for)
_BLANK = "Zs"  # the category of characters that look like a blank
_UNSEEN = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_COLONS = "：﹕︰"  # noqa: RUF001
_DASHES = "–—−‐‑"  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class StrayCharacter:
    """Such a character, its offset in a text, its name and a suggestion."""

    offset: int
    message: str
    hint: str


def stray(text: str) -> StrayCharacter | None:
    """The first such character in a text; None if there is none."""
    found = (
        (offset, _problem_of(letter)) for offset, letter in enumerate(text) if not letter.isascii()
    )
    return next((StrayCharacter(offset, *told) for offset, told in found if told is not None), None)


def _problem_of(letter: str) -> tuple[str, str] | None:
    if letter in _QUOTES:
        plain = "'" if letter in "‘’‚‛′" else '"'  # noqa: RUF001
        return f"{letter} is a curly quotation mark", f"write {plain} instead"
    if unicodedata.category(letter) == _BLANK:
        name = unicodedata.name(letter).lower()
        return f"there is a {name} here", "delete it and type a space"
    if letter in _UNSEEN:
        return f"there is an invisible character here (U+{ord(letter):04X})", "delete it"
    if letter in _COLONS:
        return f"{letter} is a wide colon", "write : instead"
    if letter in _DASHES:
        return f"{letter} is a long dash", "write - instead"
    return None
