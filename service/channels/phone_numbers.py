"""Phone numbers as people write them, for services that want them in the form of E.164."""

import re
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator

from service.domain.addresses import between_slashes
from service.errors import SendError

WRONG_NUMBER = "the target is not a phone number with its country code, such as +14155550100"
# Signs by which people group digits, and invisible ones that are copied with a number.
_SEPARATORS = re.compile(
    r"[\s().\-\xa0\u2010-\u2015\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]+"
)
_DIGITS = re.compile(r"\+?\d{6,}", re.ASCII)
_TRUNK = re.compile(r"\(0\)")
_E164 = re.compile(r"\+(?:1\d{10}|[2-9]\d{6,14})", re.ASCII)
_WITH_ZERO = "+39"  # where numbers keep it


def _as_text(number: Any) -> Any:
    """As a text, what YAML takes for a number: +1 without quotes is 1."""
    is_number = isinstance(number, int) and not isinstance(number, bool)
    return f"+{number}" if is_number else number


def _is_code(code: str) -> str:
    if not re.fullmatch(r"\+[1-9]\d{0,2}", code):
        raise ValueError("must be a country code, such as +1 or +49")
    return code


NumberText: TypeAlias = Annotated[str, BeforeValidator(_as_text)]
CountryCode: TypeAlias = Annotated[str, BeforeValidator(_as_text), AfterValidator(_is_code)]


def may_be_number(written: str) -> bool:
    """Whether it has only the digits and signs of a number, with or without a country code."""
    return _DIGITS.fullmatch(compact(written)) is not None


def is_whole(number: str) -> bool:
    """Whether it is a number with its country code, without signs in between."""
    return _E164.fullmatch(number) is not None


def international(written: str, country_code: str | None) -> str:
    """A number in the form of E.164; raises SendError for what is not one."""
    number = _completed(compact(written), country_code)
    if not is_whole(number):
        hint = "" if country_code else "; `country_code` completes numbers without one"
        raise SendError(f"{WRONG_NUMBER}{hint}", permanent=True)
    return number


def compact(number: str) -> str:
    """A number without the signs by which people group it, and without (0) behind a code.

    A slash behind the area is one of these signs; between two numbers it stays.
    """
    number = "/".join(between_slashes(number.strip()))
    is_international = "+" in number or number.startswith("00")
    return _SEPARATORS.sub("", _TRUNK.sub("", number) if is_international else number)


def _completed(number: str, country_code: str | None) -> str:
    if number.startswith("00"):
        return f"+{number[2:]}"
    if number.startswith("+") or not number.isdigit() or country_code is None:
        return number
    if country_code == "+1":
        return f"+1{number.removeprefix('1')}"
    return f"{country_code}{number if country_code == _WITH_ZERO else number.removeprefix('0')}"
