"""Mail addresses and phone numbers in a text, each in one notation. Pure functions."""

import re
from collections.abc import Iterator
from unicodedata import category, decimal, normalize

_MAIL = re.compile(r"""[^\s,;:<>()|/"@]+@[^\s,;:<>()|/"'@]+""")
# With slashes, which are behind an area or between two numbers.
_NUMBERS = re.compile(r"(?<!\w)\+?\d(?:[\s().\u2010-\u2015/-]*\d)*")
# As in +44 (0)20: the zero that is left out if the country's code is dialled.
_TRUNK_ZERO = re.compile(r"(?<=\d)\s*\(0\)")
_NO_DIGIT = re.compile(r"\D+")
_PUNYCODE = "xn--"
_LONGEST_READ = 2000
_SHORTEST_NUMBER = 6  # digits; what is shorter may be the name of anything
# By how a number begins, the fewest digits that are more than a country's code and an area.
_MORE_THAN_AREA = (("00", 10), ("0", 7), ("+", 8), ("", _SHORTEST_NUMBER))
_LONGEST_CODE = 3  # digits of a country


def plain(text: str) -> str:
    """A text in lower case, with normal-width letters and without invisible characters."""
    text = text[:_LONGEST_READ]
    if not text.isascii():
        kept = (c for c in normalize("NFKC", text) if category(c) != "Cf")
        text = "".join(str(decimal(c)) if c.isdecimal() else c for c in kept)
    return text.strip().casefold()


def mails(text: str) -> Iterator[str]:
    """The mail addresses in a plain text, with their domains in ASCII.

    A domain is the same in letters and in Punycode. Letters that older programs take for others, as
    `ß` for `ss`, count as these: whichever is meant, it may be the same person.
    """
    for found in _MAIL.findall(text):
        local, _, domain = found.lstrip("'").rstrip(".").rpartition("@")
        yield f"{local}@{_in_ascii(domain)}"


def numbers(text: str) -> Iterator[str]:
    """The digits of the phone numbers in a plain text, without leading zeros.

    Leading zeros stand for a country or a region.
    """
    for found in _NUMBERS.findall(_TRUNK_ZERO.sub("", text)):
        for written in between_slashes(found):
            digits = _NO_DIGIT.sub("", written).lstrip("0")
            if len(digits) >= _SHORTEST_NUMBER:
                yield digits


def is_same_number(one: str, other: str) -> bool:
    """Whether the digits mean one number; the country's code may be left out of one of them.

    So may be the zero that some write behind it, as in +44 020.
    """
    return (
        one.endswith(other)
        or other.endswith(one)
        or other in _without_zero(one)
        or one in _without_zero(other)
    )


def between_slashes(written: str) -> list[str]:
    """The numbers between slashes; what is too short to be one is the area of the next part."""
    found = [""]
    for part in written.split("/"):
        if _is_area(found[-1]):
            found[-1] += part
        else:
            found.append(part)
    return found


def _is_area(written: str) -> bool:
    most = next(digits for start, digits in _MORE_THAN_AREA if written.startswith(start))
    return len(_NO_DIGIT.sub("", written)) < most


def _without_zero(digits: str) -> Iterator[str]:
    """The digits without a zero behind a country's code, for each length that this may have."""
    codes = range(1, _LONGEST_CODE + 1)
    return (digits[:n] + digits[n + 1 :] for n in codes if digits[n : n + 1] == "0")


def _in_ascii(domain: str) -> str:
    if domain.isascii() and _PUNYCODE not in domain:
        return domain
    try:
        return ".".join(map(_in_letters, domain.split("."))).encode("idna").decode()
    except UnicodeError:
        return domain


def _in_letters(label: str) -> str:
    if not label.startswith(_PUNYCODE):
        return label
    return label.removeprefix(_PUNYCODE).encode("ascii").decode("punycode")
