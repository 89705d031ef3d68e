"""Web addresses in texts, which stay as they are when the text around them is escaped."""

import re
from collections.abc import Callable, Iterator

# Without brackets, at which programs end an address, and without what ends the sentence around it.
ADDRESS = re.compile(r"https?://[^\s<>()\[\]\\\"]*[^\s<>()\[\]\\\"'*_.,:;!?…]")


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
