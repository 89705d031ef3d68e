"""The outbox: what happens to a task ends its messages, or has them rewritten."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from service.domain.model import Event, Kind, State
from service.domain.operators.buttons import ESCALATION
from service.rules.cancellation import EscalationEnd
from service.store.tasks import Key
from tests.conformance.requests import LANE, request
from tests.conformance.storages import LONDON, PARIS, Kept, Storage
from tests.harness.tasks import START

HOUR = timedelta(hours=1)
T1: Key = (LONDON, "T1")
T2: Key = (LONDON, "T2")


async def place(storage: Storage, event: Event, **plan: Any) -> None:
    """A rule has a message sent about the event."""
    message = request(event, **{"withdraw_on": frozenset({"completed"})} | plan)
    await storage.tx.outbox.place([message], START)


async def states(storage: Storage) -> list[tuple[State, str | None]]:
    return [(one.state, one.reason) for one in await storage.deliveries()]


async def rewriting(storage: Storage) -> Sequence[Kept]:
    """What rewrites other messages."""
    return [one for one in await storage.deliveries() if one.rewrites is not None]


@pytest.mark.parametrize("state", [State.PLANNED, State.HELD])
async def test_an_event_withdraws_what_it_makes_pointless(storage: Storage, state: State) -> None:
    """Of the same task, and nothing that waits for something else."""
    created = await storage.happen(Kind.CREATED)
    await place(storage, created, state=state, target="a")
    await place(storage, created, withdraw_on=frozenset({"deleted"}), target="b")
    await place(storage, await storage.happen(Kind.CREATED, "T2"), target="c")
    await place(storage, await storage.happen(Kind.CREATED, account=PARIS), target="d")
    news = await storage.happen(Kind.COMPLETED)
    await storage.tx.outbox.withdraw([news], START + HOUR)
    withdrawn = (State.CANCELLED, "cancelled: the task was completed")
    assert await states(storage) == [withdrawn, *[(State.PLANNED, None)] * 3]


async def test_an_event_withdraws_nothing_that_came_after_it(storage: Storage) -> None:
    """Nor what it has brought about itself."""
    news = await storage.happen(Kind.COMPLETED)
    await place(storage, news)
    await place(storage, await storage.happen(Kind.CREATED))
    await storage.tx.outbox.withdraw([news], START)
    assert await states(storage) == [(State.PLANNED, None)] * 2


async def test_a_change_of_one_field_withdraws_what_waits_for_that(storage: Storage) -> None:
    """By the name of the event and the field."""
    created = await storage.happen(Kind.CREATED)
    await place(storage, created, target="a", withdraw_on=frozenset({"rescheduled:due"}))
    await place(storage, created, target="b", withdraw_on=frozenset({"rescheduled:start"}))
    news = await storage.happen(Kind.RESCHEDULED, changed=("due",))
    await storage.tx.outbox.withdraw([news], START)
    assert [one.state for one in await storage.deliveries()] == [State.CANCELLED, State.PLANNED]


async def test_the_first_of_several_events_is_the_reason(storage: Storage) -> None:
    """One of them is enough."""
    await place(
        storage,
        await storage.happen(Kind.CREATED),
        withdraw_on=frozenset({"completed", "deleted"}),
    )
    news = [await storage.happen(kind) for kind in (Kind.COMPLETED, Kind.DELETED)]
    await storage.tx.outbox.withdraw(news, START)
    assert await states(storage) == [(State.CANCELLED, "cancelled: the task was completed")]


async def test_what_was_sent_is_not_withdrawn(storage: Storage) -> None:
    """It is out."""
    await place(storage, await storage.happen(Kind.CREATED))
    await storage.send(START)
    await storage.tx.outbox.withdraw([await storage.happen(Kind.COMPLETED)], START)
    assert await states(storage) == [(State.SENT, None)]


async def test_a_reopening_withdraws_what_was_told_of_that_completion(storage: Storage) -> None:
    """And of none before, if a recurring task was done once more since then."""
    reopened = frozenset({"reopened"})
    await place(storage, await storage.happen(Kind.COMPLETED), withdraw_on=reopened)
    await place(storage, await storage.happen(Kind.COMPLETED), withdraw_on=reopened)
    await storage.tx.outbox.withdraw([await storage.happen(Kind.REOPENED)], START)
    assert [one.state for one in await storage.deliveries()] == [State.PLANNED, State.CANCELLED]


async def test_pending_is_what_is_not_sent_yet(storage: Storage) -> None:
    """Of these rules about these tasks, in the order in which it was placed."""
    one, other = await storage.happen(Kind.CREATED), await storage.happen(Kind.CREATED, "T2")
    await place(storage, other)
    await place(storage, one, state=State.HELD)
    await place(storage, one, rule="not asked for")
    await place(storage, one, target="skipped", state=State.SKIPPED)
    first, second, *_ = await storage.deliveries()
    expected = [(first.id, "r", *T2), (second.id, "r", *T1)]
    assert await storage.tx.outbox.pending([T1, T2], {"r", "another"}) == expected
    assert await storage.tx.outbox.pending([T1], {"r"}) == expected[1:]
    assert await storage.tx.outbox.pending([T1], {"another"}) == []
    await storage.send(START)
    assert await storage.tx.outbox.pending([T1, T2], {"r"}) == []


async def test_what_is_cancelled_has_a_reason(storage: Storage) -> None:
    """What is out already is not touched."""
    one = await storage.happen(Kind.CREATED)
    await place(storage, one, target="a")
    await storage.send(START)
    await place(storage, one, target="b")
    await place(storage, one, target="c")
    out, second, _ = [kept.id for kept in await storage.deliveries()]
    await storage.tx.outbox.cancel([out, second], "until is true", START)
    assert await states(storage) == [
        (State.SENT, None),
        (State.CANCELLED, "until is true"),
        (State.PLANNED, None),
    ]


@pytest.mark.parametrize(
    ("cause", "news"),
    [
        (Kind.COMPLETED, Kind.REOPENED),
        (Kind.CREATED, Kind.DELETED),
        (Kind.RESTORED, Kind.DELETED),
        (Kind.DELETED, Kind.RESTORED),
    ],
)
async def test_what_is_undone_is_taken_back(storage: Storage, cause: Kind, news: Kind) -> None:
    """By a delivery that rewrites the message, on the same lane."""
    await place(storage, await storage.happen(cause), on_undo="update")
    await storage.send(START)
    undoing = await storage.happen(news)
    assert await storage.tx.outbox.take_back([undoing], START + HOUR) == {LANE}
    [sent, back] = await storage.deliveries()
    assert (back.rewrites, back.event, back.state) == (sent.id, undoing.id, State.PLANNED)
    assert back.text == f"No longer true (task was {news}): Smith gutters"


async def test_what_is_not_undone_is_not_taken_back(storage: Storage) -> None:
    """By another event, of another task, without `on_undo`, or before it was sent."""
    await place(storage, await storage.happen(Kind.COMPLETED), on_undo="update")
    await place(storage, await storage.happen(Kind.COMPLETED, "T2"))
    await storage.send(START)
    await place(storage, await storage.happen(Kind.COMPLETED, "T3"), on_undo="update")
    news = [
        await storage.happen(Kind.DELETED),
        await storage.happen(Kind.REOPENED, account=PARIS),
        await storage.happen(Kind.REOPENED, "T2"),
        await storage.happen(Kind.REOPENED, "T3"),
    ]
    assert await storage.tx.outbox.take_back(news, START) == frozenset()
    assert await rewriting(storage) == []


async def test_a_message_is_taken_back_once(storage: Storage) -> None:
    """However often its cause is undone."""
    await place(storage, await storage.happen(Kind.COMPLETED), on_undo="update")
    await storage.send(START)
    await storage.tx.outbox.take_back([await storage.happen(Kind.REOPENED)], START)
    assert await storage.tx.outbox.take_back([await storage.happen(Kind.REOPENED)], START) == set()
    assert len(await rewriting(storage)) == 1


async def test_a_reopening_takes_back_what_was_told_of_that_completion(storage: Storage) -> None:
    """And of none before, if a recurring task was done once more since then."""
    for _ in "12":
        await place(storage, await storage.happen(Kind.COMPLETED), on_undo="update")
    await storage.send(START)
    await storage.tx.outbox.take_back([await storage.happen(Kind.REOPENED)], START)
    [_, second, *_] = await storage.deliveries()
    assert [one.rewrites for one in await rewriting(storage)] == [second.id]


async def test_what_was_taken_back_is_told_again(storage: Storage) -> None:
    """When it happens once more."""
    message = request(await storage.happen(Kind.COMPLETED), once_key="task:T1", on_undo="update")
    await storage.tx.outbox.place([message], START)
    await storage.send(START)
    await storage.tx.outbox.take_back([await storage.happen(Kind.REOPENED)], START)
    assert await storage.tx.outbox.placed_before([message]) == set()
    assert (await storage.tx.outbox.place([message], START)).new == {message.identity}


async def test_what_rewrites_a_message_stays(storage: Storage) -> None:
    """The message is out; nothing that happens next withdraws it, and no rule's `until`."""
    everything = frozenset({"reopened", "deleted"})
    await place(
        storage, await storage.happen(Kind.COMPLETED), on_undo="update", withdraw_on=everything
    )
    await storage.send(START)
    await storage.tx.outbox.take_back([await storage.happen(Kind.REOPENED)], START)
    await storage.tx.outbox.withdraw([await storage.happen(Kind.DELETED)], START)
    assert await storage.tx.outbox.pending([T1], {"r"}) == []
    [back] = await rewriting(storage)
    assert back.state is State.PLANNED


async def test_an_escalation_ends_with_the_reason(storage: Storage) -> None:
    """Of this task, before this event, and nothing that does not escalate."""
    created = await storage.happen(Kind.CREATED)
    escalates = frozenset({ESCALATION, "completed"})
    await place(storage, created, withdraw_on=escalates, target="a")
    await place(storage, created, withdraw_on=escalates, state=State.HELD, target="b")
    await place(storage, created, target="c")
    await place(storage, await storage.happen(Kind.CREATED, "T2"), withdraw_on=escalates)
    news = await storage.happen(Kind.ACKNOWLEDGED)
    await place(storage, news, withdraw_on=escalates, target="d")
    over = [EscalationEnd(news, "cancelled: Ann acknowledged the task", "(Ann)")]
    assert await storage.tx.outbox.end_escalations(over, ["slack"], START + HOUR) == frozenset()
    ended = (State.CANCELLED, "cancelled: Ann acknowledged the task")
    assert await states(storage) == [ended, ended, *[(State.PLANNED, None)] * 3]
