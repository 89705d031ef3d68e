"""Marks that change the direction in which a text is written, such as in Hebrew or Arabic."""

import re

# Marks that change the direction of what follows, and the marks that end them (Unicode UAX #9).
_CLOSED_BY = {
    **dict.fromkeys("\u202a\u202b\u202d\u202e", "\u202c"),
    **dict.fromkeys("\u2066\u2067\u2068", "\u2069"),
}
_DIRECTIONS = re.compile("[\u202a-\u202e\u2066-\u2069]")


def contained(text: str) -> str:
    """The text without effect on what follows: the directions that it begins are ended."""
    missing: list[str] = []
    for mark in _DIRECTIONS.findall(text):
        if mark in _CLOSED_BY:
            missing.append(_CLOSED_BY[mark])
        elif missing and missing[-1] == mark:
            missing.pop()
    return text + "".join(reversed(missing))
