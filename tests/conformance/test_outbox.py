"""The outbox: what is placed, how often, and how many messages of a rule with a limit."""

from datetime import timedelta

import pytest

from service.domain.model import Kind, State
from service.domain.operators.silences import Silence
from tests.conformance.requests import asking, request
from tests.conformance.storages import PARIS, Storage
from tests.harness.tasks import START

HOUR = timedelta(hours=1)
ONCE = "task:T1"


async def test_an_order_is_placed(storage: Storage) -> None:
    """It is new, and planned."""
    event = await storage.happen(Kind.COMPLETED)
    message = request(event)
    assert await storage.tx.outbox.placed_before([message]) == set()
    assert (await storage.tx.outbox.place([message], START)).new == {message.identity}
    [kept] = await storage.deliveries()
    assert (kept.event, kept.rule, kept.state, kept.text) == (
        event.id,
        "r",
        State.PLANNED,
        "Smith gutters",
    )


async def test_the_same_is_placed_once(storage: Storage) -> None:
    """By its `once_per`, whatever happened; also within one call."""
    first, second = await storage.happen(Kind.COMPLETED), await storage.happen(Kind.COMPLETED)
    message, again = request(first, once_key=ONCE), request(second, once_key=ONCE)
    assert (await storage.tx.outbox.place([message, message], START)).new == {message.identity}
    assert await storage.tx.outbox.placed_before([again]) == {message.identity}
    assert (await storage.tx.outbox.place([again], START)).new == set()
    assert [one.event for one in await storage.deliveries()] == [first.id]


@pytest.mark.parametrize(
    "other",
    [{"rule": "other"}, {"step": 2}, {"target": "#field"}, {"once_key": "task:T2"}],
    ids=lambda other: next(iter(other)),
)
async def test_another_one_is_placed_beside_it(
    storage: Storage, other: dict[str, str | int]
) -> None:
    """Of another rule, step or target, or for another reason."""
    event = await storage.happen(Kind.COMPLETED)
    wanted: dict[str, str | int] = {"once_key": ONCE}
    message = request(event, once_key=ONCE)
    beside = request(event, **wanted | other)  # type: ignore[arg-type]
    await storage.tx.outbox.place([message], START)
    assert await storage.tx.outbox.placed_before([message, beside]) == {message.identity}
    assert (await storage.tx.outbox.place([beside], START)).new == {beside.identity}


@pytest.mark.parametrize("state", [State.SKIPPED, State.EXPIRED])
async def test_what_ends_as_it_begins_does_not_count(storage: Storage, state: State) -> None:
    """It is put on record, each time, and keeps nothing from being sent."""
    event = await storage.happen(Kind.COMPLETED)
    over = request(event, once_key=ONCE, state=state, reason="because")
    for _ in "12":
        assert (await storage.tx.outbox.place([over], START)).new == {over.identity}
    assert await storage.tx.outbox.placed_before([over]) == set()
    assert [(one.state, one.reason) for one in await storage.deliveries()] == [
        (state, "because")
    ] * 2
    message = request(event, once_key=ONCE)
    assert (await storage.tx.outbox.place([message], START)).new == {message.identity}
    assert (await storage.tx.outbox.place([over], START)).new == {over.identity}


async def test_what_was_cancelled_does_not_count(storage: Storage) -> None:
    """When it happens again it is sent."""
    message = request(await storage.happen(Kind.COMPLETED), once_key=ONCE)
    await storage.tx.outbox.place([message], START)
    [kept] = await storage.deliveries()
    await storage.tx.outbox.cancel([kept.id], "withdrawn", START)
    assert await storage.tx.outbox.placed_before([message]) == set()
    assert (await storage.tx.outbox.place([message], START)).new == {message.identity}


async def test_what_was_sent_counts(storage: Storage) -> None:
    """However long ago."""
    message = request(await storage.happen(Kind.COMPLETED), once_key=ONCE)
    await storage.tx.outbox.place([message], START)
    await storage.send(START)
    assert await storage.tx.outbox.placed_before([message]) == {message.identity}
    assert (await storage.tx.outbox.place([message], START + 1000 * HOUR)).new == set()


async def test_a_rule_on_trial_keeps_count_for_itself(storage: Storage) -> None:
    """What it would have sent keeps nothing from being sent, and the other way about."""
    event = await storage.happen(Kind.COMPLETED)
    shadow, real = request(event, once_key=ONCE, shadow=True), request(event, once_key=ONCE)
    await storage.tx.outbox.place([shadow], START)
    assert await storage.tx.outbox.placed_before([shadow]) == {shadow.identity}
    assert await storage.tx.outbox.placed_before([real]) == set()
    assert (await storage.tx.outbox.place([real], START)).new == {real.identity}
    assert (await storage.tx.outbox.place([shadow], START)).new == set()


async def test_what_is_silenced_is_skipped(storage: Storage) -> None:
    """It counts as new, so it is sent if it comes again after the silence."""
    await storage.silence(Silence(7, START, START + HOUR, "stocktaking", account=PARIS))
    here, there = (
        await storage.happen(Kind.CREATED),
        await storage.happen(Kind.CREATED, "T1", PARIS),
    )
    heard, silenced = request(here), request(there)
    placed = await storage.tx.outbox.place([heard, silenced], START)
    assert placed.new == {heard.identity, silenced.identity}
    states = {one.event: (one.state, one.reason) for one in await storage.deliveries()}
    assert states == {
        here.id: (State.PLANNED, None),
        there.id: (State.SKIPPED, "silenced until 2026-03-06 13:00 UTC (silence 7): stocktaking"),
    }
    assert await storage.tx.outbox.placed_before([silenced]) == set()
    assert (await storage.tx.outbox.place([silenced], START + HOUR)).new == {silenced.identity}


async def test_who_has_to_approve_it_is_asked(storage: Storage) -> None:
    """By a message of its own, which is about the same and no part of what is new."""
    event = await storage.happen(Kind.COMPLETED)
    question = request(event, target="#boss", once_key="", text="May it go out?")
    question_plan, message = question.plan, request(event)
    held = asking(message, question_plan)
    assert (await storage.tx.outbox.place([held], START)).new == {message.identity}
    [waiting, asked] = await storage.deliveries()
    assert (waiting.state, waiting.asks) == (State.HELD, None)
    assert (asked.state, asked.asks, asked.event) == (State.PLANNED, waiting.id, event.id)
    assert asked.text == "May it go out?"


async def limited(storage: Storage, begin: int, end: int, *, shadow: bool = False) -> list[int]:
    """After how many hours messages of the rule go out within these hours."""
    found = await storage.tx.outbox.limited(
        "r", START + begin * HOUR, START + end * HOUR, shadow=shadow
    )
    return sorted((one - START) // HOUR for one in found)


async def plan(storage: Storage, *hours: int, limited: bool = True, shadow: bool = False) -> None:
    """Messages of the rule that go out after so many hours."""
    for after in hours:
        event = await storage.happen(Kind.CREATED)
        message = request(event, send_at=START + after * HOUR, limited=limited, shadow=shadow)
        await storage.tx.outbox.place([message], START)


async def test_messages_count_when_they_go_out(storage: Storage) -> None:
    """From the begin of a period to its end, both included."""
    await plan(storage, 3, 1, 0, 2, 4)
    assert await limited(storage, 1, 3) == [1, 2, 3]
    assert await limited(storage, 5, 9) == []
    await storage.send(START + 2 * HOUR)
    assert await limited(storage, 0, 9) == [0, 1, 2, 3, 4]


async def test_messages_count_for_their_own_rule(storage: Storage) -> None:
    """If that has a limit; one on trial counts by itself."""
    await plan(storage, 1)
    await plan(storage, 2, limited=False)
    await plan(storage, 3, shadow=True)
    event = await storage.happen(Kind.CREATED)
    await storage.tx.outbox.place([request(event, rule="other", limited=True)], START)
    assert await limited(storage, 0, 9) == [1]
    assert await limited(storage, 0, 9, shadow=True) == [3]


async def test_what_was_never_sent_does_not_count(storage: Storage) -> None:
    """Neither what was cancelled, nor what was skipped."""
    await storage.silence(Silence(7, START, START + HOUR, "stocktaking"))
    await plan(storage, 1)
    assert await limited(storage, 0, 9) == []
    late = await storage.happen(Kind.CREATED, at=START + HOUR)
    await storage.tx.outbox.place([request(late, limited=True)], late.at)
    assert await limited(storage, 0, 9) == [1]
    number = (await storage.deliveries())[-1].id
    await storage.tx.outbox.cancel([number], "withdrawn", late.at)
    assert await limited(storage, 0, 9) == []
