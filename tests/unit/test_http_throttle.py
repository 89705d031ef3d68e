"""How fast, and whether, an account's system is called."""

from datetime import timedelta

import pytest

from service.http.throttle import LONGEST_PAUSE, Breaker, RateLimit


class Watch:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_a_burst_goes_out_at_once_and_the_rest_in_step(watch: Watch) -> None:
    """Sixty a minute with a burst of three: three at once, then one a second."""
    limit = RateLimit(60, burst=3, now=watch)
    assert [limit.reserve() for _ in range(5)] == pytest.approx([0, 0, 0, 1, 2])


def test_a_limit_recovers_up_to_its_burst_and_no_further(watch: Watch) -> None:
    """An idle hour does not save up an hour's worth of calls."""
    limit = RateLimit(60, burst=2, now=watch)
    watch.seconds += 3600
    assert [limit.reserve() for _ in range(3)] == pytest.approx([0, 0, 1])


def test_a_breaker_opens_after_failures_in_a_row(watch: Watch) -> None:
    """Two failures and a success do not count; three in a row do."""
    breaker = Breaker(threshold=3, pause=timedelta(seconds=5), now=watch)
    for outcome in (breaker.failed, breaker.failed, breaker.succeeded):
        outcome()
    for _ in range(2):
        breaker.failed()
    assert breaker.refuses_for() is None
    breaker.failed()
    assert breaker.refuses_for() == timedelta(seconds=5)


def test_after_the_pause_one_call_probes_for_all(watch: Watch) -> None:
    """Half open: the first gets through, the others wait for what it finds."""
    breaker = Breaker(threshold=1, pause=timedelta(seconds=5), now=watch)
    breaker.failed()
    watch.seconds += 5
    assert breaker.refuses_for() is None
    assert breaker.refuses_for() == timedelta(seconds=5)
    breaker.succeeded()
    assert breaker.refuses_for() is None


def test_a_probe_that_never_comes_back_does_not_lock_the_breaker(watch: Watch) -> None:
    """If the probe is cancelled, another may try after one more pause."""
    breaker = Breaker(threshold=1, pause=timedelta(seconds=5), now=watch)
    breaker.failed()
    watch.seconds += 5
    breaker.refuses_for()
    watch.seconds += 5
    assert breaker.refuses_for() is None


def test_further_failures_lengthen_the_pause_up_to_a_limit(watch: Watch) -> None:
    """The pause doubles with each probe that fails, up to five minutes."""
    breaker = Breaker(threshold=1, pause=timedelta(seconds=5), now=watch)
    breaker.failed()
    breaker.failed()
    assert breaker.refuses_for() == timedelta(seconds=10)
    for _ in range(30):
        breaker.failed()
    assert breaker.refuses_for() == LONGEST_PAUSE


def test_a_pause_that_was_asked_for_is_kept_at_once(watch: Watch) -> None:
    """One answer with Retry-After is enough, and its length is honoured."""
    breaker = Breaker(threshold=5, now=watch)
    breaker.failed(timedelta(seconds=90))
    assert breaker.refuses_for() == timedelta(seconds=90)
    watch.seconds += 90
    assert breaker.refuses_for() is None
