"""Holds: customer messages wait, and go out when a person says so or the time is over."""

from datetime import timedelta
from typing import Any

from service.domain.model import Kind, State
from service.domain.operators.holds import Hold
from tests.conformance.requests import request
from tests.conformance.storages import Storage
from tests.harness.tasks import SMITH, START, task

HOUR = timedelta(hours=1)
HOLD = Hold(3, START - HOUR, START + 2 * HOUR, "a funeral", "Ann")
SAID = "customer messages are on hold until 2026-03-06 14:00 UTC (Ann): a funeral"


async def place(storage: Storage, kind: Kind = Kind.COMPLETED, **plan: Any) -> None:
    """A rule has a message sent to a customer."""
    wanted = {"channel": "customer", "target": "details"} | plan
    message = request(await storage.happen(kind), **wanted)
    await storage.tx.outbox.place([message], START)


async def states(storage: Storage) -> list[tuple[State, str | None]]:
    return [(one.state, one.reason) for one in await storage.deliveries()]


async def test_messages_to_customers_wait_until_a_hold_is_over(storage: Storage) -> None:
    """Those that are due; at its end they go out by themselves."""
    await storage.know(task())
    await storage.hold(HOLD)
    await place(storage)
    await storage.send(START)
    assert await states(storage) == [(State.HELD, SAID)]
    await storage.send(START + 2 * HOUR - timedelta(seconds=1))
    assert await states(storage) == [(State.HELD, SAID)]
    await storage.send(START + 2 * HOUR)
    assert [state for state, _ in await states(storage)] == [State.SENT]


async def test_a_hold_holds_nothing_for_colleagues(storage: Storage) -> None:
    """A message to a customer's own address is held on every channel."""
    await storage.hold(HOLD)
    event = await storage.happen(Kind.COMPLETED, after=task(customer=SMITH))
    for target in ("#office", "bo@x.test", "smith@x.test"):
        await storage.tx.outbox.place([request(event, channel="mail", target=target)], START)
    await storage.send(START)
    assert [state for state, _ in await states(storage)] == [State.SENT, State.SENT, State.HELD]


async def test_what_is_too_late_by_then_expires_at_its_time(storage: Storage) -> None:
    """A hold sends nothing too late, and the reason still names the hold."""
    await storage.hold(HOLD)
    await place(storage, expires_at=START + HOUR)
    await storage.send(START)
    await storage.send(START + HOUR)
    assert await states(storage) == [
        (State.EXPIRED, f"too late: it had to be sent by 2026-03-06 13:00 UTC; {SAID}")
    ]


async def test_what_a_hold_holds_is_withdrawn_when_it_is_no_longer_true(storage: Storage) -> None:
    """It ends with its task, although nothing would have withdrawn it at once."""
    await storage.hold(HOLD)
    await place(storage, Kind.CREATED)
    await storage.send(START)
    await storage.tx.outbox.withdraw([await storage.happen(Kind.DELETED)], START + HOUR)
    assert await states(storage) == [(State.CANCELLED, "cancelled: the task was deleted")]


async def test_of_several_holds_the_last_one_counts(storage: Storage) -> None:
    """And a hold that is over, or has not begun, counts for nothing."""
    later = Hold(4, START - HOUR, START + 3 * HOUR, "snow", "Bo")
    over = Hold(5, START - 2 * HOUR, START, "over", "Bo")
    coming = Hold(6, START + HOUR, START + 9 * HOUR, "coming", "Bo")
    await storage.hold(HOLD, later, over, coming)
    await place(storage)
    await storage.send(START)
    [(state, reason)] = await states(storage)
    assert (state, reason) == (
        State.HELD,
        "customer messages are on hold until 2026-03-06 15:00 UTC (Bo): snow",
    )
