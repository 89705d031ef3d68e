"""Mail addresses and phone numbers, in the ways in which people write them."""

import pytest

from service.domain.addresses import is_same_number, mails, numbers, plain

LONDON, BERLIN = "+44 20 7946 0958", "+49 171 1234567"


def means(one: str, other: str) -> bool:
    mine, theirs = list(numbers(plain(one))), list(numbers(plain(other)))
    return any(is_same_number(a, b) for a in mine for b in theirs)


@pytest.mark.parametrize(
    "written",
    [
        "020/79460958",
        "+44 020 7946 0958",
        "\u0660\u0662\u0660\u0667\u0669\u0664\u0666\u0660\u0669\u0665\u0668",
    ],
)
def test_one_number_in_other_ways_of_writing(written: str) -> None:
    """With slashes, with the zero that is left out behind a country's code, in other digits."""
    assert means(LONDON, written)
    assert means(written, LONDON)


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("0171/1234567", ["1711234567"]),
        ("+49 8031/123 45", ["49803112345"]),
        ("033203/12345", ["3320312345"]),
        ("0049 33203/12345", ["493320312345"]),
        ("0301234/0301235", ["301234", "301235"]),
        ("415/555-0100", ["4155550100"]),
        ("0171/1234567/0172/7654321", ["1711234567", "1727654321"]),
        ("020 7946 0958 / 07700 900123", ["2079460958", "7700900123"]),
        ("+44 20 7946 0958/+44 7700 900123", ["442079460958", "447700900123"]),
        ("123456/654321", ["123456", "654321"]),
        ("12/24", []),
    ],
)
def test_a_slash_is_behind_an_area_or_between_two_numbers(written: str, digits: list[str]) -> None:
    """What is too short to be a number is the area of the digits that follow."""
    assert list(numbers(written)) == digits


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0171/1234567", "030/1234567"),
        (BERLIN, "+49 172 1234567"),
        ("+44 20 7946 0958", "+44 20 7946 9058"),
        ("+39 06 1234567", "+39 6 12345670"),
    ],
)
def test_other_numbers_are_others(one: str, other: str) -> None:
    """Who has the same digits in another area is somebody else."""
    assert not means(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("info@straße.de", "info@xn--strae-oqa.de"),
        ("info@straße.de", "INFO@STRAẞE.DE"),
        ("info@straße.de", "Info@XN--STRAE-OQA.de"),
        ("info@straße.de", "info@strasse.de"),
        ("bo@bücher.de", "bo@xn--bcher-kva.de"),
        ("bo@BÜCHER.de", "BO@bu\u0308cher.de."),
        ("bo@σας.gr", "bo@ΣΑΣ.gr"),
        ("bo@σας.gr", "bo@xn--mxa8ab.gr"),
        ("bo@mail.bücher.xn--p1ai", "bo@mail.xn--bcher-kva.рф"),
        ("bo@💩.la", "bo@xn--ls8h.la"),
    ],
)
def test_one_address_in_other_letters(one: str, other: str) -> None:
    """In capitals, in Punycode, with letters that older programs take for others."""
    [mine], [theirs] = mails(plain(one)), mails(plain(other))
    assert mine == theirs
    assert mine.isascii()


@pytest.mark.parametrize("domain", ["xn--.de", "xn--a.de", "xn--99999999.de", "xn--\u00e4.de"])
def test_what_is_no_punycode_stays_as_it_is(domain: str) -> None:
    """Nobody can be written to there, but it is text of a system like any other."""
    assert [*mails(plain(f"bo@{domain}"))] == [f"bo@{domain}"]
