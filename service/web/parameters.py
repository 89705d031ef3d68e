"""The parameters of lists: filters, page size and cursor, validated with error messages."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

import orjson
from starlette.convertors import Convertor, register_url_convertor
from starlette.datastructures import QueryParams

from service.domain.model import utc
from service.store.views.listing import Listing, Mark
from service.web.problems import Problem

DEFAULT_LIMIT = 50
MOST = 500
LARGEST_ID = 2**63 - 1
LONGEST = 2000  # characters of a text
# A text on one line, as JSON Schema has it too: what it leaves out is control characters.
TEXT = r"^[^\u0000-\u001f\u007f-\u009f]*$"
_TEXT = re.compile(TEXT.removesuffix("$"))
_SURROGATES = re.compile("[\ud800-\udfff]")


class _Number(Convertor[int]):
    """A row's number in a path, with no more digits than possible."""

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("number", _Number())


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The requested part of a list."""

    values: Mapping[str, Any]
    limit: int
    after: Mark | None


def read_parameters(query: QueryParams, listing: Listing) -> ListQuery:
    """Raises a 400 Problem that names the parameter, or a 404 Problem if there is no such page."""
    demand_known(query, {*listing.filters, "limit", "cursor"})
    values = {name: _value(listing, name, query[name]) for name in listing.filters if name in query}
    after = _mark(query["cursor"], listing) if "cursor" in query else None
    return ListQuery(values, _limit(query.get("limit", str(DEFAULT_LIMIT))), after)


def filtered(
    query: QueryParams,
    rows: Sequence[Mapping[str, Any]],
    filters: Mapping[str, str],
    *others: str,
) -> list[Mapping[str, Any]]:
    """A short list that is in memory, by `filters` (parameter to field) and `limit`.

    `others` are parameters that the caller has read. Raises a 400 Problem that names the parameter.
    """
    demand_known(query, {*filters, *others, "limit"})
    asked = {filters[name]: query[name] for name in filters if name in query}
    found = [row for row in rows if all(row[field] == value for field, value in asked.items())]
    return found[: _limit(query.get("limit", str(MOST)))]


def cursor(mark: Mark | None) -> str | None:
    """The mark as an opaque text, which a caller sends back unchanged."""
    return None if mark is None else urlsafe_b64encode(orjson.dumps(mark)).decode().rstrip("=")


def wrong(name: str, expected: str) -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST, f"The parameter {name}: expected {expected}", parameter=name
    )


def no_page() -> Problem:
    """The problem for an invalid cursor: the caller must start again."""
    return Problem(
        HTTPStatus.NOT_FOUND,
        "This page of the list does not exist; start with the first page, or send the `next` of an"
        " earlier page as cursor",
        parameter="cursor",
    )


def is_text(text: str, longest: int = LONGEST) -> bool:
    """Whether it is a text on one line, of at most this many characters."""
    return (
        len(text) <= longest
        and _TEXT.fullmatch(text) is not None
        and _SURROGATES.search(text) is None
    )


def demand_choice(name: str, text: str, choices: Collection[str]) -> None:
    """Raise a 400 Problem unless the parameter has one of these values."""
    if text not in choices:
        raise wrong(name, f"one of {', '.join(sorted(choices))}")


def demand_known(query: QueryParams, known: Collection[str]) -> None:
    """Raise a 400 Problem unless all parameters are known, and texts on one line."""
    for name, text in query.multi_items():
        if name not in known:
            raise wrong(name, f"known here: {', '.join(sorted(known))}")
        if not is_text(text):
            raise wrong(name, f"up to {LONGEST} characters on one line")


def _value(listing: Listing, name: str, text: str) -> str | datetime:
    if name == "since":
        return _moment(text)
    if name in listing.choices:
        demand_choice(name, text, listing.choices[name])
    return text


def _moment(text: str) -> datetime:
    """An RFC 3339 time. An unescaped + arrives as a space, and is read as a +."""
    try:
        return utc(datetime.fromisoformat(text.upper().replace(" ", "+")))
    except (ValueError, OverflowError):
        raise wrong("since", "a time with its zone, such as 2026-03-06T12:00:00Z") from None


def read_time(said: Mapping[str, Any], name: str) -> datetime:
    """A time (UTC) in a body; raises a 400 Problem, also if it is missing or has no zone."""
    try:
        return utc(datetime.fromisoformat(said[name]))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise wrong(name, "a time with its zone, such as 2026-03-06T12:00:00Z") from None


def _limit(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST))):
        raise wrong("limit", f"a number from 1 to {MOST}")
    if not 1 <= int(text) <= MOST:
        raise wrong("limit", f"a number from 1 to {MOST}")
    return int(text)


def _mark(text: str, listing: Listing) -> Mark:
    mark = read_cursor(text, list(listing.key.values()))
    if mark is None:
        raise no_page()
    return mark


def read_cursor(text: str, kinds: Sequence[type]) -> Mark | None:
    """The mark that `cursor` encoded, with parts of these types; None if it is invalid."""
    try:
        mark = orjson.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        return None
    if not isinstance(mark, list) or [type(part) for part in mark] != list(kinds):
        return None
    return tuple(mark) if all(_can_be_key(part) for part in mark) else None


def _can_be_key(part: str | int) -> bool:
    """Whether it can be a key; PostgreSQL stores neither larger numbers nor NUL."""
    return part.isprintable() if isinstance(part, str) else 0 <= part <= LARGEST_ID
