"""Reading the JSON of other people's programs, which is not always as strict as a reader's."""

import codecs
import json
import math
import re
from collections.abc import Callable
from typing import Any

import orjson

# The longer ones first: that of UTF-32 begins like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LONGEST_INTEGER = 18  # digits, which surely fit into 64 bits
# An escaped backslash and whole pairs come first, so that only what is left over is a half.
_ESCAPES = re.compile(r"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F]..)")


def decoded(body: bytes) -> Any:
    """The JSON in a webhook; raises orjson.JSONDecodeError.

    A program that cuts texts at so many UTF-16 units leaves half a character at the end, one that
    was saved by the wrong editor sends a byte order mark, and others speak UTF-16 or put line
    breaks into texts as they are. Half an emoji must not keep a task from being read.
    """
    return _decoded(body, "strict", _refused)


def salvaged(body: bytes) -> Any:
    """The JSON in an answer; raises orjson.JSONDecodeError.

    It may hold thousands of tasks: one text that was cut within a character, or one NaN, must not
    keep all the others from being read.
    """
    return _decoded(body, "replace", lambda _: None)


def is_utf8(body: bytes) -> bool:
    """Whether a body that holds JSON is written as JSON is to be."""
    return b"\0" not in body


def _decoded(body: bytes, errors: str, constant: Callable[[str], Any]) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            text = _ESCAPES.sub(_whole, _text(body, errors))
            return _mended(text, constant)
        except (ValueError, RecursionError):
            raise error from None


def _mended(text: str, constant: Callable[[str], Any]) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if "\0" in text:
            raise
    return json.loads(
        text, strict=False, parse_constant=constant, parse_int=_number, parse_float=_number
    )


def _number(digits: str) -> int | float:
    if digits.lstrip("-").isdigit() and len(digits) <= _LONGEST_INTEGER:
        return int(digits)
    if math.isinf(number := float(digits)):
        raise ValueError(f"{digits[:20]} is too large")
    return number


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _text(body: bytes, errors: str) -> str:
    for mark, name in _MARKS:
        if body.startswith(mark):
            return body.removeprefix(codecs.BOM_UTF8).decode(name, errors)
    # JSON begins with ASCII: where its NULs are tells how wide the characters are.
    if body[1:2] == b"\0":
        return body.decode("utf-16-le", errors)
    if body[:1] == b"\0":
        return body.decode("utf-16-be", errors)
    return body.decode(errors=errors)


def _whole(escape: re.Match[str]) -> str:
    return r"\ufffd" if escape[1] else escape[0]
