"""The body of a webhook as it is shown: the values of fields that sound secret are hidden.

What is stored stays as it came, except for what no program needs (`service.sources.payload`): a
person may have it read again.
"""

import re
from json import JSONEncoder
from typing import Any

from service.http.json_body import decoded

HIDDEN = "(hidden)"
_ENCODER = JSONEncoder(ensure_ascii=False)
_SECRET = re.compile(
    r"passw|passphrase|secret|token|api.?key|private.?key|authori[sz]ation|credential|signature",
    re.IGNORECASE,
)


def masked(value: Any) -> Any:
    """The same JSON with its secrets hidden; it is changed in place, however deep it is."""
    left = [value]
    while left:
        match left.pop():
            case dict() as found:
                for name in filter(_SECRET.search, found):
                    found[name] = HIDDEN if found[name] else found[name]
                left += found.values()
            case list() as found:
                left += found
    return value


def masked_text(body: bytes) -> str:
    """The text of a body; it is written anew only if there is something to hide in it."""
    text = body.decode("utf-8", "replace")
    if not _SECRET.search(text) and "\\u" not in text:
        return text
    return "".join(_ENCODER.iterencode(masked(decoded(body))))
