"""Single values out of a foreign system's JSON."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.domain.written_dates import is_date, moment
from service.sources.values import (
    LONGEST_LINE,
    LONGEST_PROSE,
    MOST_MEMBERS,
    flattened,
    identifier,
    members,
    prose,
    scalar,
    sequence,
    several,
    tally,
    text,
)

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (0, 0),
        (12_400, 12_400),
        *((odd, None) for odd in (2**31, 2**64 - 1, -1, 1.5, "7", True, None)),
    ],
)
def test_a_tally_is_a_number_that_a_column_holds(value: object, meant: int | None) -> None:
    """Whatever a system says of itself: a progress bar is not worth a failure."""
    assert tally(value) == meant


@pytest.mark.parametrize(
    "value",
    [
        *(None, "", False, 0, "0", [], "  "),
        *("0000-00-00 00:00:00", "0000-00-00", "0000-00-00T00:00:00Z", "00/00/0000 00:00"),
        *("-0001-11-30 00:00:00", "-000001-11-30T00:00:00.000000Z", "0001-01-01T00:00:00Z"),
        *("1970-01-01T00:00:00Z", "1969-12-31T19:00:00-05:00", "1899-12-30", "1900-01-01"),
        *("9999-12-31", "9999-12-31T23:59:59.999999Z", "+010000-01-01T00:00:00Z", "infinity"),
        *("9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "-infinity"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Auckland", "America/New_York"])
def test_a_date_that_stands_for_none_is_none(value: Any, zone: str) -> None:
    """Zero dates, a program's first and last date, and what a zone makes of them."""
    assert moment(value, ZoneInfo(zone)) is None
    assert is_date(value)


@pytest.mark.parametrize("value", [1_795_867_200, 1_795_867_200_000, "1795867200", 1795867200.0])
def test_a_number_is_unix_time(value: Any) -> None:
    """In seconds or milliseconds, whichever lies in this century."""
    assert moment(value, UTC) == NOON


@pytest.mark.parametrize("value", ["28/11/2026", "soon", 20261128, -5, True, {"date": "x"}, [1]])
def test_a_date_of_another_form_is_none_and_is_known_to_be_wrong(value: Any) -> None:
    """So that what was known of it can stay."""
    assert moment(value, UTC) is None
    assert not is_date(value)


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        (5.0, "5"),
        (5.5, None),
        ("ABCDEF01-2345-6789-ABCD-EF0123456789", "abcdef01-2345-6789-abcd-ef0123456789"),
        ("Task-A", "Task-A"),
    ],
)
def test_an_id_is_the_same_however_it_is_written(value: Any, meant: str | None) -> None:
    """A spreadsheet writes 5 as 5.0; a UUID means the same in capitals, other ids may not."""
    assert identifier(value) == meant


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ({"10": "b", "9": "a"}, ["a", "b"]),
        (["a"], ["a"]),
        *((none, None) for none in ({}, {"a": 1}, {"1": 1, "id": 2}, "ab", None)),
    ],
)
def test_a_list_with_gaps_is_a_list(value: Any, meant: list[str] | None) -> None:
    """In the order of its numbers; any other object is none."""
    assert sequence(value) == meant


def test_a_megabyte_of_text_is_cut() -> None:
    """A title to what anybody reads, a description to some pages; its end shows that."""
    long = "x" * 1024 * 1024
    assert text(long) == "x" * (LONGEST_LINE - 1) + "…"
    assert prose(long) == scalar(long) == "x" * (LONGEST_PROSE - 1) + "…"
    for short in ("x" * LONGEST_LINE, "é" * LONGEST_LINE):
        assert text(short) == short
    assert text("\0" * 2_000 + "Call") == "Call"


def test_lists_and_objects_without_end_are_cut() -> None:
    """Of a hundred thousand tags, choices or fields the first thousand are kept."""
    many = list(range(100_000))
    assert members(many) == several(many) == many[:MOST_MEMBERS]
    fields = {f"f{one}": one for one in many}
    assert len(flattened(fields)) == len(flattened({"a": fields})) == MOST_MEMBERS
