"""Mail addresses and phone numbers in a text, each in one notation. Pure functions."""

import re
from collections.abc import Iterator
from unicodedata import category, normalize

_MAIL = re.compile(r"""[^\s,;:<>()|/"@]+@[^\s,;:<>()|/"'@]+""")
_NUMBER = re.compile(r"(?<!\w)\d(?:[\s().\u2010-\u2015-]*\d)*")
# As in +44 (0)20: the zero that is left out if the country's code is dialled.
_TRUNK_ZERO = re.compile(r"(?<=\d)\s*\(0\)")
_NO_DIGIT = re.compile(r"\D+")
_LONGEST_READ = 2000
_SHORTEST_NUMBER = 6  # digits; what is shorter may be the name of anything


def plain(text: str) -> str:
    """A text in lower case, with normal-width letters and without invisible characters."""
    text = text[:_LONGEST_READ]
    if not text.isascii():
        text = "".join(c for c in normalize("NFKC", text) if category(c) != "Cf")
    return text.strip().casefold()


def mails(text: str) -> Iterator[str]:
    """The mail addresses in a plain text, with their domains in ASCII."""
    for found in _MAIL.findall(text):
        local, _, domain = found.lstrip("'").rstrip(".").rpartition("@")
        yield f"{local}@{_in_ascii(domain)}"


def numbers(text: str) -> Iterator[str]:
    """The digits of the phone numbers in a plain text, without leading zeros.

    Leading zeros stand for a country or a region.
    """
    for found in _NUMBER.findall(_TRUNK_ZERO.sub("", text)):
        digits = _NO_DIGIT.sub("", found).lstrip("0")
        if len(digits) >= _SHORTEST_NUMBER:
            yield digits


def is_same_number(one: str, other: str) -> bool:
    """Whether the digits mean one number; the country's code may be left out of one of them."""
    return one.endswith(other) or other.endswith(one)


def _in_ascii(domain: str) -> str:
    try:
        return domain if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        return domain
