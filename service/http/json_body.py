"""Reading the JSON of other people's programs, which is not always as strict as a reader's.

What is read is bounded in count as well as in size: a list of nothing but `{}` takes thirty times
the memory of its text. What is large is read in a thread, and what is very large by a reader that
lets the loop go on between two objects: orjson holds it for 12 ms a megabyte, thread or not.
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
    """More values than a webhook or an answer may hold."""


async def aside(
    size: int, read: Callable[Given, Result], *given: Given.args, **named: Given.kwargs
) -> Result:
    """What `read` makes of so many bytes; of many in a thread, so that the loop goes on."""
    if size <= _SMALL:
        return read(*given, **named)
    return await asyncio.to_thread(read, *given, **named)


async def decoded_aside(
    size: int, read: Callable[Given, Result], *given: Given.args, **named: Given.kwargs
) -> Result:
    """The same where `read` does no more than decode JSON.

    What orjson reads quickly holds the loop for as long from a thread.
    """
    if size <= _QUICK:
        return read(*given, **named)
    return await asyncio.to_thread(read, *given, **named)


def decoded(body: bytes) -> Any:
    """The JSON in a webhook; raises orjson.JSONDecodeError, and TooManyValues.

    A program that cuts texts at so many UTF-16 units leaves half a character at the end, one that
    was saved by the wrong editor sends a byte order mark, and others speak UTF-16 or put line
    breaks into texts as they are. Half an emoji must not keep a task from being read.
    """
    _demand_few(body, MOST_PUSHED)
    return _decoded(body, _strictly)


def salvaged(body: bytes) -> Any:
    """The JSON in an answer; raises orjson.JSONDecodeError, and TooManyValues.

    It may hold thousands of tasks: one text that was cut within a character, one NaN or a number
    beyond all measure must not keep all the others from being read.
    """
    _demand_few(body, MOST_ANSWERED)
    if len(body) <= _QUICK:
        return _decoded(body, _leniently)
    try:
        return _leniently(body)
    except (ValueError, RecursionError) as error:
        raise orjson.JSONDecodeError(str(error), "", 0) from None


def is_utf8(body: bytes) -> bool:
    """Whether a body that holds JSON is written as JSON is to be."""
    return b"\0" not in body


def _demand_few(body: bytes, most: int) -> None:
    """Raise TooManyValues before so many are made; what texts hold of these signs counts, too."""
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
    """What stands in a text, without halves of characters.

    Between two objects Python runs, so that the loop gets its turn: `_as_it_is` is for that alone.
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
    """A value without halves of characters; what objects it holds are whole already."""
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
    # JSON begins with ASCII: where its NULs are tells how wide the characters are.
    if body[1:2] == b"\0":
        return body.decode("utf-16-le", errors)
    if body[:1] == b"\0":
        return body.decode("utf-16-be", errors)
    return body.decode(errors=errors)
