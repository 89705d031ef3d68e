"""Waits: a rule with `settle` or `for` waits about a task, until its time is over."""

from dataclasses import replace
from datetime import datetime, timedelta

from service.domain.model import Event, Kind
from service.store.tasks import Key
from service.store.waits import Wait
from tests.conformance.storages import LONDON, PARIS, Storage
from tests.harness.tasks import START, task

MINUTE = timedelta(minutes=1)
T1: Key = (LONDON, "T1")
T2: Key = (LONDON, "T2")
ELSEWHERE: Key = (PARIS, "T1")
ALL = [T1, T2, ELSEWHERE]


def after(minutes: int) -> datetime:
    return START + minutes * MINUTE


async def start(
    storage: Storage, event: Event, at: int = 0, *, quiet: int = 10, most: int = 60, rule: str = "r"
) -> None:
    """The rule waits about the event's task, from so many minutes on."""
    await storage.tx.waits.start(rule, event, after(at), quiet * MINUTE, most * MINUTE)


async def over(storage: Storage, minutes: int, *accounts: str) -> list[Key]:
    """The tasks whose wait is over then."""
    return list(await storage.tx.waits.over(accounts or [LONDON, PARIS], after(minutes), 100))


def begun(rule: str, event: Event) -> Wait:
    """A wait as it is given back: the task may have changed since."""
    return Wait(rule, replace(event, after=None))


async def test_a_wait_is_over_at_its_end(storage: Storage) -> None:
    """And not before."""
    await start(storage, await storage.happen(Kind.CHANGED))
    assert await over(storage, 9) == []
    assert await over(storage, 10) == [T1]


async def test_a_wait_gives_back_the_event_with_which_it_began(storage: Storage) -> None:
    """With the task as it was before; as it was after that is of no use any more."""
    event = await storage.happen(
        Kind.RESCHEDULED, before=task(due=START), after=task(), changed=("due",), alarm="a"
    )
    await start(storage, event)
    assert await storage.tx.waits.take([T1], after(10)) == [begun("r", event)]


async def test_a_wait_that_is_taken_is_gone(storage: Storage) -> None:
    """Its rule decides once."""
    await start(storage, await storage.happen(Kind.CHANGED))
    await storage.tx.waits.take([T1], after(10))
    assert await over(storage, 10) == []
    assert await storage.tx.waits.take([T1], after(10)) == []


async def test_a_wait_is_over_until_it_is_taken(storage: Storage) -> None:
    """To ask does not take it."""
    await start(storage, await storage.happen(Kind.CHANGED))
    assert await over(storage, 10) == [T1]
    assert await over(storage, 10) == [T1]


async def test_a_wait_that_starts_again_is_put_off(storage: Storage) -> None:
    """The task was not quiet; what the rule decides on began with the first event."""
    first = await storage.happen(Kind.CHANGED)
    await start(storage, first)
    await start(storage, await storage.happen(Kind.CHANGED), 5)
    assert await over(storage, 14) == []
    assert await over(storage, 15) == [T1]
    assert await storage.tx.waits.take([T1], after(15)) == [begun("r", first)]


async def test_a_wait_is_put_off_no_longer_than_that(storage: Storage) -> None:
    """A task that never stops changing is still decided."""
    event = await storage.happen(Kind.CHANGED)
    for at in (0, 8, 16, 24):
        await start(storage, event, at, quiet=10, most=20)
    assert await over(storage, 19) == []
    assert await over(storage, 20) == [T1]


async def test_the_first_time_is_not_cut_short(storage: Storage) -> None:
    """How long a wait may be put off says nothing of one that was not."""
    await start(storage, await storage.happen(Kind.CHANGED), quiet=30, most=20)
    assert await over(storage, 29) == []
    assert await over(storage, 30) == [T1]


async def test_each_rule_waits_by_itself(storage: Storage) -> None:
    """About each task; of waits that are over, each task is told once."""
    one, other = await storage.happen(Kind.CHANGED), await storage.happen(Kind.CHANGED, "T2")
    await start(storage, one, rule="b")
    await start(storage, one, rule="a")
    await start(storage, other, quiet=5, rule="a")
    await start(storage, one, quiet=30, rule="c")
    assert await over(storage, 10) == [T2, T1]
    taken = await storage.tx.waits.take([T1, T2], after(10))
    assert taken == [begun("a", one), begun("b", one), begun("a", other)]
    assert await over(storage, 30) == [T1]


async def test_waits_are_over_in_the_accounts_that_are_asked_for(storage: Storage) -> None:
    """Of another one the clock may have nothing to say."""
    await start(storage, await storage.happen(Kind.CHANGED))
    await start(storage, await storage.happen(Kind.CHANGED, account=PARIS))
    assert await over(storage, 10, PARIS) == [ELSEWHERE]
    assert await over(storage, 10, LONDON) == [T1]


async def test_only_what_is_over_is_taken(storage: Storage) -> None:
    """And only of these tasks."""
    soon, late = await storage.happen(Kind.CHANGED), await storage.happen(Kind.CHANGED)
    elsewhere = await storage.happen(Kind.CHANGED, "T2")
    await start(storage, soon, rule="soon")
    await start(storage, late, quiet=20, rule="late")
    await start(storage, elsewhere)
    assert await storage.tx.waits.take([T1], after(10)) == [begun("soon", soon)]
    assert await storage.tx.waits.take(ALL, after(20)) == [
        begun("late", late),
        begun("r", elsewhere),
    ]


async def test_the_waits_about_tasks_are_told_in_their_order(storage: Storage) -> None:
    """Whether over or not, of the rules that are asked for; they go on."""
    one, other = await storage.happen(Kind.CHANGED), await storage.happen(Kind.CHANGED, "T2")
    await start(storage, other, rule="a")
    await start(storage, one, rule="b")
    await start(storage, one, rule="a")
    await start(storage, one, rule="c")
    expected = [begun("a", one), begun("b", one), begun("a", other)]
    assert await storage.tx.waits.about([T2, T1], {"a", "b"}) == expected
    assert await storage.tx.waits.about([T2], {"a", "b"}) == expected[2:]
    assert sorted(await over(storage, 10)) == [T1, T2]


async def test_a_wait_that_is_stopped_never_ends(storage: Storage) -> None:
    """The waits of other rules and tasks do."""
    one, other = await storage.happen(Kind.CHANGED), await storage.happen(Kind.CHANGED, "T2")
    await start(storage, one, rule="a")
    await start(storage, one, rule="b")
    await start(storage, other, rule="a")
    await storage.tx.waits.stop([begun("a", one)])
    assert await storage.tx.waits.take(ALL, after(10)) == [begun("b", one), begun("a", other)]


async def test_a_rule_that_has_waited_may_wait_again(storage: Storage) -> None:
    """From the next event, for its own time."""
    await start(storage, await storage.happen(Kind.CHANGED))
    await storage.tx.waits.take([T1], after(10))
    again = await storage.happen(Kind.CHANGED)
    await start(storage, again, 10)
    assert await over(storage, 19) == []
    assert await storage.tx.waits.take([T1], after(20)) == [begun("r", again)]
