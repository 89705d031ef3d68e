"""What systems say is left of the calls that they allow."""

from datetime import UTC, datetime, timedelta

import pytest

from service.http.rate_limit_headers import Allowance, allowance

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
IN_A_MINUTE = str(int((NOW + timedelta(minutes=1)).timestamp()))
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, None),
        ({"x-ratelimit-remaining": "7"}, Allowance(7)),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": IN_A_MINUTE}, Allowance(0, MINUTE)),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "60"}, Allowance(0, MINUTE)),
        ({"ratelimit-remaining": "3", "ratelimit-reset": "60"}, Allowance(3, MINUTE)),
        ({"ratelimit": "limit=100, remaining=50, reset=60"}, Allowance(50, MINUTE)),
        ({"ratelimit": '"default";r=50;t=60'}, Allowance(50, MINUTE)),
        ({"ratelimit": '"default";r=0'}, Allowance(0)),
        ({"ratelimit": '"burst";r=0;t=60, "daily";r=900;t=7200'}, Allowance(0, MINUTE)),
        ({"ratelimit": '"daily";r=900;t=7200, "burst";r=2;t=60'}, Allowance(2, MINUTE)),
        ({"x-ratelimit-remaining": "many"}, None),
        ({"x-ratelimit-remaining": "-1"}, None),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": "soon"}, Allowance(1)),
    ],
)
def test_every_way_of_saying_it(headers: dict[str, str], found: Allowance | None) -> None:
    """A count and how long it lasts, in seconds or as a time of day; nonsense is nothing."""
    assert allowance(headers, NOW) == found


def test_a_reset_that_nobody_can_mean_is_no_error() -> None:
    """A thousand digits are read as some far day."""
    found = allowance({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9" * 1000}, NOW)
    assert found is not None
    assert found.lasts is not None
    assert found.lasts > timedelta(days=365)


def test_a_reset_in_the_past_is_now() -> None:
    """A clock that differs by a little does not make a negative pause."""
    past = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) - 5)}
    assert allowance(past, NOW) == Allowance(0, timedelta(0))


def test_a_reset_is_meant_by_the_clock_over_there() -> None:
    """Where both clocks are an hour apart, a minute is still a minute."""
    then = NOW + timedelta(hours=1, minutes=1)
    headers = {
        "date": "Sun, 22 Nov 2026 10:00:00 GMT",
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": str(int(then.timestamp())),
    }
    assert allowance(headers, NOW) == Allowance(0, MINUTE)
