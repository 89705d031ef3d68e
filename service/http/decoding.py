"""Reading the JSON of other people's programs, which is not always as strict as a reader's."""

import re
from typing import Any

import orjson

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# An escaped backslash and whole pairs come first, so that only what is left over is a half.
_ESCAPES = re.compile(rb"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F]..)")


def decoded(body: bytes) -> Any:
    """The JSON in an answer or a webhook; raises orjson.JSONDecodeError.

    A program that cuts texts at so many UTF-16 units leaves half a character at the end, one that
    was saved by the wrong editor sends a byte order mark. RFC 8259 lets both pass, and one task
    with half an emoji must not keep all others from being read.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return orjson.loads(_ESCAPES.sub(_whole, body.removeprefix(_BYTE_ORDER_MARK)))


def _whole(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape[1] else escape[0]
