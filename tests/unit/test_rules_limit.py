"""Limits as pure arithmetic: in no stretch of their length more than they say."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from service.rules.limit import parse_limit
from tests.harness.tasks import START

minutes = st.lists(st.integers(0, 300), max_size=40)


@given(moments=minutes, count=st.integers(1, 4))
def test_no_hour_has_more_than_the_limit(moments: list[int], count: int) -> None:
    """In whatever order they come: no hour has too many, and what finds room is admitted."""
    limit = parse_limit(f"{count}/h")
    admitted: list[int] = []

    def is_too_many(some: list[int]) -> bool:
        return any(sum(start <= one < start + 60 for one in some) > count for start in some)

    for minute in moments:
        others = [START + timedelta(minutes=one) for one in admitted]
        is_in = limit.admits(START + timedelta(minutes=minute), others)
        assert is_in is not is_too_many([*admitted, minute])
        admitted += [minute] if is_in else []
