"""Escapes control and bidirectional characters in output.

Texts from systems, senders and configurations may contain terminal commands (ESC, BEL, CR, the
control characters beyond ASCII) and marks that change the order of the text around them.
"""

import re

_ACTING = re.compile(
    "[\0-\b\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""The text with each such character as `\u001b`; line breaks and tabs are kept.

    JSON uses the same notation: a JSON text keeps its meaning.
    """
    return _ACTING.sub(_written, text)


def _written(character: re.Match[str]) -> str:
    return f"\\u{ord(character[0]):04x}"
