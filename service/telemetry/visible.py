"""Characters that act on whoever shows them: they are shown, and not obeyed.

What comes from systems, senders and configurations may hold commands to a terminal (ESC, BEL, CR,
the control characters beyond ASCII) and marks that turn the order of what stands around them.
"""

import re

_ACTING = re.compile(
    "[\0-\b\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(text: str) -> str:
    r"""The text with each such character as `\u001b`; line breaks and tabs are left.

    That is how JSON writes them, too: JSON in which this was done says the same.
    """
    return _ACTING.sub(_written, text)


def _written(character: re.Match[str]) -> str:
    return f"\\u{ord(character[0]):04x}"
