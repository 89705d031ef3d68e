"""Texts with markup: what of it is a rule's own, and web addresses, which stay as they are."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

# Without brackets, at which programs end an address, and without what ends the sentence around it.
ADDRESS = re.compile(r"https?://[^\s<>()\[\]\\\"]*[^\s<>()\[\]\\\"'*_.,:;!?…]")

LINKED = re.compile(r"(?:https?|mailto|tel):", re.IGNORECASE)
"""How an address begins that a text may lead to."""
# Private letters of Unicode stand for the values.
_FIRST, _LAST = 0xF0000, 0xFFFFD
_STAND_IN = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")
_RULES_OWN = re.compile(f"[^{chr(_FIRST)}-{chr(_LAST)}]", re.DOTALL)


class StandIns:
    """A text of which only the parts are left that its rule has written, as `source`.

    One private letter stands for each value of the task, so that nothing in it can be read as
    markup. `markup` is as in `Message`. `before_added` is put before lines that were added below
    the text, such as a link to answer, which are in no list.
    """

    def __init__(self, text: str, markup: Sequence[int], before_added: str = "\n") -> None:
        self._values: list[str] = []
        self.source = "".join(self._parts(text, markup, before_added))

    def fill(self, part: str, write: Callable[[str], str] = str) -> str:
        """A part of the source with its values in their places, each written like this."""
        return _STAND_IN.sub(lambda found: write(self._values[ord(found[0]) - _FIRST]), part)

    def origin(self, part: str) -> str:
        """By whom each sign of `fill(part)` is: `r` for the rule, `v` for a value."""
        return self.fill(_RULES_OWN.sub("r", part), lambda value: "v" * len(value))

    def _parts(self, text: str, markup: Sequence[int], before_added: str) -> Iterator[str]:
        for number, (start, end) in enumerate(pairwise((0, *markup, len(text)))):
            part = text[start:end]
            if number % 2:
                yield _STAND_IN.sub("", part)
                continue
            if end == len(text) and part.startswith("\n"):
                yield before_added
                part = part.lstrip("\n")
            if part:
                yield chr(_FIRST + len(self._values))
                self._values.append(part)


def escaped(
    text: str, escape: Callable[[str], str], address: Callable[[str], str] | None = None
) -> str:
    """The text with everything but its addresses escaped; `address` may rewrite these."""
    return "".join(_parts(text, escape, address or str))


def _parts(text: str, escape: Callable[[str], str], address: Callable[[str], str]) -> Iterator[str]:
    end = 0
    for found in ADDRESS.finditer(text):
        yield escape(text[end : found.start()])
        yield address(found[0])
        end = found.end()
    yield escape(text[end:])
