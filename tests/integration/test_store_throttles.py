"""How fast, and whether, an account's system is called, by all processes together."""

from datetime import timedelta
from typing import Any

from service.clock import VirtualClock
from service.http.throttle import Admission, Budget
from service.store import Pool, connect
from service.store.rate_limits import LONGEST_PAUSE, AccountThrottle, PriorityThrottle, lift

SECOND = timedelta(seconds=1)
NONE = timedelta(0)


def throttle(pool: Pool, clock: VirtualClock, **options: Any) -> AccountThrottle:
    return AccountThrottle(pool, "field", clock, options.pop("per_minute", 60), **options)


async def waits(*callers: AccountThrottle) -> list[timedelta]:
    return [(await caller.admit()).wait for caller in callers]


async def test_a_burst_goes_out_at_once_and_the_rest_in_step(
    pool: Pool, clock: VirtualClock
) -> None:
    """Sixty a minute with a burst of three: three at once, then one a second."""
    limit = throttle(pool, clock, burst=3)
    assert await waits(*[limit] * 5) == [NONE, NONE, NONE, SECOND, 2 * SECOND]


async def test_two_processes_share_one_limit(pool: Pool, clock: VirtualClock) -> None:
    """What one process has called, the other does not call again in the same minute."""
    one, other = throttle(pool, clock, burst=3), throttle(pool, clock, burst=3)
    assert await waits(one, other, one, other, one) == [NONE, NONE, NONE, SECOND, 2 * SECOND]


async def test_a_limit_recovers_up_to_its_burst_and_no_further(
    pool: Pool, clock: VirtualClock
) -> None:
    """An idle hour does not save up an hour's worth of calls."""
    limit = throttle(pool, clock, burst=2)
    await limit.admit()
    clock.advance(timedelta(hours=1))
    assert await waits(*[limit] * 3) == [NONE, NONE, SECOND]


async def test_a_clock_that_was_wrong_does_not_stop_calls(pool: Pool, clock: VirtualClock) -> None:
    """After an hour forward and back, a call waits for a minute at most."""
    limit = throttle(pool, clock)
    clock.advance(timedelta(hours=1))
    await limit.admit()
    clock.advance(-timedelta(hours=1))
    assert (await limit.admit()).wait <= timedelta(minutes=1) + SECOND


async def test_accounts_do_not_slow_each_other(pool: Pool, clock: VirtualClock) -> None:
    """One account's calls, failures and pauses are its own."""
    mine = throttle(pool, clock, burst=1, threshold=1)
    theirs = AccountThrottle(pool, "london", clock, 60, burst=1)
    await mine.admit()
    await mine.failed(None)
    assert await theirs.admit() == Admission()


async def test_the_breaker_opens_after_failures_in_a_row(pool: Pool, clock: VirtualClock) -> None:
    """Two failures and a success do not count; three in a row do, in whichever process."""
    one, other = throttle(pool, clock, threshold=3), throttle(pool, clock, threshold=3)
    await one.admit()
    await one.failed(None)
    await one.failed(None)
    await other.succeeded(await other.admit())
    await one.failed(None)
    await other.failed(None)
    assert (await one.admit()).refused_for is None
    await one.failed(None)
    assert (await other.admit()).refused_for == 5 * SECOND


async def test_after_the_pause_one_call_probes_for_all(pool: Pool, clock: VirtualClock) -> None:
    """Half open: the first gets through, the others wait for what it finds."""
    one, other = throttle(pool, clock, threshold=1), throttle(pool, clock, threshold=1)
    await one.admit()
    await one.failed(None)
    clock.advance(5 * SECOND)
    probe = await one.admit()
    assert probe.refused_for is None
    assert (await other.admit()).refused_for == 5 * SECOND
    await one.succeeded(probe)
    assert (await other.admit()).refused_for is None


async def test_a_probe_that_never_comes_back_does_not_lock_the_breaker(
    pool: Pool, clock: VirtualClock
) -> None:
    """If the process dies over the probe, another may try after one more pause."""
    breaker = throttle(pool, clock, threshold=1)
    await breaker.admit()
    await breaker.failed(None)
    for _ in range(2):
        clock.advance(5 * SECOND)
        assert (await breaker.admit()).refused_for is None


async def test_further_failures_lengthen_the_pause_up_to_a_limit(
    pool: Pool, clock: VirtualClock
) -> None:
    """The pause doubles with each probe that fails, up to five minutes."""
    breaker = throttle(pool, clock, threshold=1)
    await breaker.admit()
    await breaker.failed(None)
    await breaker.failed(None)
    assert (await breaker.admit()).refused_for == 10 * SECOND
    for _ in range(30):
        await breaker.failed(None)
    assert (await breaker.admit()).refused_for == LONGEST_PAUSE


async def test_a_pause_that_was_asked_for_outlives_a_restart(
    pool: Pool, clock: VirtualClock
) -> None:
    """One answer with Retry-After is enough; a new process keeps to it as well."""
    before = throttle(pool, clock)
    await before.admit()
    await before.failed(timedelta(seconds=90))
    after = throttle(pool, clock)
    assert (await after.admit()).refused_for == timedelta(seconds=90)
    clock.advance(timedelta(seconds=90))
    assert (await after.admit()).refused_for is None


async def test_a_pause_out_of_a_clock_that_was_wrong_is_over(
    pool: Pool, clock: VirtualClock
) -> None:
    """No system is left alone for years because the machine thought that it was later."""
    asked = throttle(pool, clock)
    for caller in (asked, PriorityThrottle(pool, "field", clock, Budget.of(60))):
        clock.advance(timedelta(days=900))
        await asked.admit()
        await asked.failed(timedelta(hours=1))
        clock.advance(-timedelta(days=900))
        assert (await caller.admit()).refused_for is None
        assert (await caller.admit()).refused_for is not None  # until that one has its answer


async def test_a_person_ends_a_pause(pool: Pool, clock: VirtualClock) -> None:
    """One call goes through; what it finds decides about the others."""
    asked = throttle(pool, clock)
    await asked.admit()
    await asked.failed(timedelta(days=1))
    assert (await asked.admit()).refused_for
    await lift(pool, "field", clock.now())
    assert (await asked.admit()).refused_for is None
    assert (await asked.admit()).refused_for


async def test_without_the_database_calls_go_through(
    database_url: str, pool: Pool, clock: VirtualClock
) -> None:
    """An answer that is on its way is not lost over a count that cannot be kept."""
    del pool
    gone = await connect(database_url)
    await gone.close()
    limit = throttle(gone, clock)
    admission = await limit.admit()
    await limit.failed(None)
    assert admission == Admission()


async def test_customers_wait_behind_nobody(pool: Pool, clock: VirtualClock) -> None:
    """A minute's worth of other calls is queued, and a message and its question go at once."""
    budget = Budget.of(60)
    others = throttle(pool, clock, per_minute=budget.others)
    first = PriorityThrottle(pool, "field", clock, budget)
    assert max(await waits(*[others] * 90)) > timedelta(minutes=1)
    assert await waits(*[first] * 5) == [NONE] * 4 + [10 * SECOND]
    clock.advance(timedelta(seconds=20))
    assert await waits(first) == [NONE]


async def test_customers_take_what_others_leave(pool: Pool, clock: VirtualClock) -> None:
    """With nobody else calling, they have all of the account's calls, and no more than that."""
    first = PriorityThrottle(pool, "field", clock, Budget.of(60), burst=16)
    assert await waits(*[first] * 20) == [NONE] * 20
    clock.advance(timedelta(minutes=5))
    found = await waits(*[first] * 80)
    assert found[:20] == [NONE] * 20
    assert timedelta(seconds=58) < max(found) < timedelta(seconds=62)


def test_others_leave_alone_what_is_kept() -> None:
    """All together they keep to the account's limit; a small one is shared in halves."""
    assert Budget.of(450) == Budget(45, 405)
    assert Budget.of(60) == Budget(6, 54)
    assert Budget.of(12) == Budget(3, 9)
    assert Budget.of(1) == Budget(0.5, 0.5)


async def test_a_pause_holds_for_customers_as_well(pool: Pool, clock: VirtualClock) -> None:
    """A system that asked for a pause, or has no call left, is called by nobody."""
    others, first = throttle(pool, clock), PriorityThrottle(pool, "field", clock, Budget.of(60))
    await others.admit()
    await first.admit()
    await others.spent(timedelta(seconds=30))
    assert (await first.admit()).wait >= timedelta(seconds=30)
    await others.failed(timedelta(seconds=90))
    assert (await first.admit()).refused_for == timedelta(seconds=90)
    clock.advance(timedelta(seconds=90))
    probe = await first.admit()
    assert probe.after_failures
    assert (await others.admit()).refused_for == 5 * SECOND
    await first.succeeded(probe)
    assert (await others.admit()).refused_for is None
