"""Tolerant, bounded JSON parsing for requests and responses.

The number of values is limited as well as the size: a list of nothing but `{}` takes thirty times
the memory of its text. Large bodies are parsed in a thread, and very large ones by a parser that
lets the event loop continue between two objects: orjson blocks it for 12 ms per megabyte, in a
thread or not.
"""

import asyncio
import codecs
import json
import re
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import orjson

Given = ParamSpec("Given")
Result = TypeVar("Result")

# The longer ones first: that of UTF-32 begins like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# How many values a webhook, and how many an answer may hold. No system's have a fifth of that.
MOST_PUSHED, MOST_ANSWERED = 200_000, 3_000_000
_LONGEST_INTEGER = 18  # digits, which surely fit into 64 bits
_SMALL = 64 * 1024  # bytes that are read in less time than it takes to hand them to a thread
_QUICK = 1024 * 1024  # bytes that orjson reads in less time than the loop may be held
_HALF = re.compile("[\ud800-\udfff]")


class TooManyValues(ValueError):
    """More values than a webhook or a response may have."""


async def aside(
    size: int, read: Callable[Given, Result], *given: Given.args, **named: Given.kwargs
) -> Result:
    """The result of `read` for these bytes; large bodies in a thread, so as not to block."""
    if size <= _SMALL:
        return read(*given, **named)
    return await asyncio.to_thread(read, *given, **named)


async def decoded_aside(
    size: int, read: Callable[Given, Result], *given: Given.args, **named: Given.kwargs
) -> Result:
    """The same if `read` does no more than decode JSON.

    For a body that orjson parses quickly, a thread would block the loop for as long.
    """
    if size <= _QUICK:
        return read(*given, **named)
    return await asyncio.to_thread(read, *given, **named)


def decoded(body: bytes) -> Any:
    """The JSON in a webhook; raises orjson.JSONDecodeError, and TooManyValues.

    Some programs truncate texts in UTF-16 units and leave half a character at the end, some editors
    add a byte order mark, and others write UTF-16 or unescaped line breaks. Half an emoji must not
    keep a task from being read.
    """
    _demand_few(body, MOST_PUSHED)
    return _decoded(body, _strictly)


def salvaged(body: bytes) -> Any:
    """The JSON in a response; raises orjson.JSONDecodeError, and TooManyValues.

    It may have thousands of tasks: one text that was truncated within a character, one NaN or a
    number out of range must not keep all the others from being read.
    """
    _demand_few(body, MOST_ANSWERED)
    if len(body) <= _QUICK:
        return _decoded(body, _leniently)
    try:
        return _leniently(body)
    except (ValueError, RecursionError) as error:
        raise orjson.JSONDecodeError(str(error), "", 0) from None


def is_utf8(body: bytes) -> bool:
    """Whether a JSON body is encoded as JSON should be."""
    return b"\0" not in body


def _demand_few(body: bytes, most: int) -> None:
    """Raise TooManyValues before so many are created; such characters in texts count, too."""
    if len(body) > most and sum(map(body.count, (b"{", b"[", b","))) > most:
        raise TooManyValues(f"it holds more than {most} values")


def _decoded(body: bytes, read: Callable[[bytes], Any]) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            return read(body)
        except (ValueError, RecursionError):
            raise error from None


def _strictly(body: bytes) -> Any:
    return _mended(_text(body, "strict"), _refused, _number)


def _leniently(body: bytes) -> Any:
    return _mended(_text(body, "replace"), _nothing, _measured)


def _mended(text: str, constant: Callable[[str], Any], number: Callable[[str], Any]) -> Any:
    """The value of a text, without halves of characters.

    Between two objects Python code runs, so that the loop gets its turn: that is the only purpose
    of `_as_it_is`.
    """
    if "\0" in text:
        raise ValueError("JSON must not contain a NUL character")
    may_hold_halves = "\\ud" in text or "\\uD" in text
    found = json.loads(
        text,
        strict=False,
        parse_constant=constant,
        parse_int=number,
        parse_float=number,
        object_hook=_whole_object if may_hold_halves else _as_it_is,
    )
    return _whole(found) if may_hold_halves else found


def _as_it_is(found: dict[str, Any]) -> dict[str, Any]:
    return found


def _whole_object(found: dict[str, Any]) -> dict[str, Any]:
    return {_whole(name): _whole(value) for name, value in found.items()}


def _whole(value: Any) -> Any:
    """A value without halves of characters; the objects in it have none already."""
    if isinstance(value, str):
        return value if value.isascii() else _HALF.sub("\ufffd", value)
    return [_whole(one) for one in value] if isinstance(value, list) else value


def _number(digits: str) -> int | float:
    if len(digits) <= _LONGEST_INTEGER and digits.lstrip("-").isdigit():
        return int(digits)
    found: int | float = orjson.loads(digits)
    return found


def _measured(digits: str) -> int | float | None:
    try:
        return _number(digits)
    except ValueError:
        return None


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not valid JSON")


def _nothing(constant: str) -> None:
    del constant


def _text(body: bytes, errors: str) -> str:
    for mark, name in _MARKS:
        if body.startswith(mark):
            return body.removeprefix(codecs.BOM_UTF8).decode(name, errors)
    # JSON begins with ASCII: the positions of NULs show how wide the characters are.
    if body[1:2] == b"\0":
        return body.decode("utf-16-le", errors)
    if body[:1] == b"\0":
        return body.decode("utf-16-be", errors)
    return body.decode(errors=errors)
