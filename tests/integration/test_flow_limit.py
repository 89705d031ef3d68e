"""`limit: 3/h`: what goes beyond it is skipped and says so, however many plan at once."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from service.clock import VirtualClock
from service.domain.model import Cause, Event, Kind, State
from service.engine.limits import within_limits
from service.engine.postgres import PostgresTransaction
from service.outbox import DeliveryRequest
from service.rules.verdict import Plan
from service.store import Pool
from tests.harness.corridor import Corridor, corridor
from tests.harness.rule_files import configured
from tests.harness.tasks import START, task

BUSY = """
- id: new
  when: task.created
  limit: 3/h
  then: [{ notify: "slack:#office", text: "{{ task.title }}" }]
"""
REACHED = "limit reached: the rule may send 3 messages an hour (3/h)"


async def arrive(taskbell: Corridor, *titles: str) -> None:
    """New visits in one webhook."""
    await taskbell.webhook([taskbell.visit(name=title) for title in titles])
    await taskbell.deliver()


async def test_what_goes_beyond_is_skipped(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """Five visits in one webhook: the first three are told, in their order; the others say why."""
    async with corridor(folder, pool, clock, BUSY) as taskbell:
        await taskbell.begin()
        await arrive(taskbell, "a", "b", "c", "d", "e")
        assert sorted(taskbell.posts) == ["a", "b", "c"]
        ends = [(one["text"], one["reason"]) for one in await taskbell.deliveries()]
        assert ends[3:] == [("d", REACHED), ("e", REACHED)]


async def test_nobody_is_asked_to_approve_what_is_skipped(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Three visits and room for one: one question, and nothing of the others is left to be done."""
    rules = BUSY.replace("limit: 3/h", "limit: 1/h").replace(
        " }]", ', approve: "slack:#dispatch" }]'
    )
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        await arrive(taskbell, "a", "b", "c")
        assert [text.splitlines()[1] for text in taskbell.posts] == ["a"]
        skipped = [one for one in await taskbell.deliveries() if one["state"] == State.SKIPPED]
        ends = [(one["text"], one["approver"], one["next_attempt_at"]) for one in skipped]
        assert ends == [("b", None, None), ("c", None, None)]


async def test_the_hour_slides(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """Two at 7:01, one at 7:31: from 8:01 there is room for two again, and for no third."""
    async with corridor(folder, pool, clock, BUSY) as taskbell:
        await taskbell.begin()
        await arrive(taskbell, "a", "b")
        clock.advance(timedelta(minutes=30))
        await arrive(taskbell, "c", "too many")
        clock.advance(timedelta(minutes=29, seconds=59))
        await arrive(taskbell, "a second too early")
        clock.advance(timedelta(seconds=1))
        await arrive(taskbell, "d", "e", "too many again")
        assert taskbell.posts == ["a", "b", "c", "d", "e"]


async def test_what_was_withdrawn_or_had_before_takes_no_room(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """One is withdrawn in its wait, one was announced before: there is still room for two."""
    rules = """
    - { id: new, when: task.changed, limit: 2/h, once_per: task.title,
        then: [{ wait: 1m }, { notify: "slack:#office", text: "{{ task.title }}" }] }
    """
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        numbers = [str(taskbell.visit(name=f"visit {n}")["id"]) for n in range(4)]
        await taskbell.poll()

        async def rename(number: str, name: str) -> None:
            clock.advance(timedelta(seconds=1))
            await taskbell.webhook(taskbell.sandbox.kickserv.change(number, name=name))

        await rename(numbers[0], "withdrawn")
        clock.advance(timedelta(seconds=1))
        await taskbell.webhook(taskbell.sandbox.kickserv.finish(numbers[0]))
        await rename(numbers[1], "told")
        await rename(numbers[2], "told")
        await rename(numbers[2], "told too")
        await rename(numbers[3], "one too many")
        clock.advance(timedelta(minutes=1))
        await taskbell.deliver()
        assert taskbell.posts == ["told", "told too"]
        assert await taskbell.states() == ["cancelled", "sent", "sent", "skipped"]


async def test_what_was_skipped_is_no_announcement(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Refused once, the same comes again: within the hour it is refused again, later it is told."""
    rules = BUSY.replace("limit: 3/h", "limit: 1/h\n  once_per: task.title")
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        await arrive(taskbell, "a", "b", "b")
        clock.advance(timedelta(minutes=59))
        await arrive(taskbell, "b")
        assert taskbell.posts == ["a"]
        clock.advance(timedelta(minutes=1))
        await arrive(taskbell, "b")
        assert taskbell.posts == ["a", "b"]


async def test_what_was_held_counts_when_it_goes_out(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Over a night five visits came, one an hour: in the morning no more than three are told."""
    rules = BUSY.replace("limit", "hours: office\n  limit")
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        clock.advance(timedelta(hours=12))
        for hour in range(5):
            await arrive(taskbell, str(hour))
            clock.advance(timedelta(hours=1))
        clock.advance(timedelta(days=2, hours=12))
        await taskbell.deliver()
        assert sorted(taskbell.posts) == ["0", "1", "2"]


def order(number: int) -> DeliveryRequest:
    """The only message about task `number`, now."""
    about = task(str(number), "field")
    event = Event(number, "field", about.id, Kind.CREATED, START, Cause.POLL, None, about)
    plan = Plan(1, "slack", "#office", f"event:{number}", START, State.PLANNED)
    return DeliveryRequest(event, "new", plan, "slack", at_most_once=False)


async def test_two_workers_let_no_more_through_than_one(pool: Pool, folder: Path) -> None:
    """Both plan three at the same moment: the second waits, and then has no room left."""
    limits = configured(folder, BUSY).rules.limits

    async def plan(
        numbers: Sequence[int], seen: asyncio.Event, go_on: asyncio.Event
    ) -> list[State]:
        async with pool.acquire() as connection, connection.transaction():
            tx = PostgresTransaction(connection)
            found = await within_limits(tx, [order(one) for one in numbers], limits)
            await tx.outbox.place(found, START)
            seen.set()
            await go_on.wait()
            return [one.plan.state for one in found]

    first_has_planned, second_has_planned, first_may_end, second_may_end = (
        asyncio.Event() for _ in range(4)
    )
    second_may_end.set()
    first = asyncio.create_task(plan([1, 2, 3], first_has_planned, first_may_end))
    await first_has_planned.wait()
    second = asyncio.create_task(plan([4, 5, 6], second_has_planned, second_may_end))
    await asyncio.sleep(0.2)
    assert not second_has_planned.is_set()
    first_may_end.set()
    assert await first == [State.PLANNED] * 3
    assert await second == [State.SKIPPED] * 3
