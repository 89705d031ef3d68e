"""Single values out of a foreign system's JSON."""

import pytest

from service.sources.values import tally


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
