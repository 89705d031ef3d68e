"""What was to go out in its rule's hours, and comes to be sent when these are over."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.channels import ways
from service.clock import VirtualClock
from service.domain.actors import Actor
from service.outbox import approvals, operator_actions, storms
from service.simulator import Simulator
from service.simulator.upcoming import upcoming
from service.store import Pool
from tests.harness.corridor import Corridor, begun
from tests.harness.receivers import Answer

NEW_YORK = ZoneInfo("America/New_York")
HOUR = timedelta(hours=1)
SMITH = {"id": 3, "name": "Smith"}
TUESDAY = datetime(2026, 3, 10, 15, tzinfo=UTC)
UNTIL_MONDAY = "outside office hours: waiting until Mon 9 Mar 2026, 08:00"
BROKEN = Answer(status=503)


def new(words: str = "hours: office", then: str = "[{ notify: accounting }]") -> str:
    """A rule that tells of new tasks in office hours."""
    return f"- {{ id: new, when: task.created, {words}, then: {then} }}"


def local(hour: int, minute: int = 0, day: int = 6) -> datetime:
    """That time of a March day in New York; the sixth is a Friday."""
    return datetime(2026, 3, day, hour, minute, tzinfo=NEW_YORK).astimezone(UTC)


@asynccontextmanager
async def friday(
    pool: Pool, clock: VirtualClock, folder: Path, rules: str, fails: Iterable[Answer] = ()
) -> AsyncIterator[Corridor]:
    """A visit comes in on Friday just before the office closes."""
    async with begun(folder, pool, clock, rules) as taskbell:
        clock.set(local(16, 58))
        for one in fails:
            taskbell.accounting.reply(one)
        await taskbell.webhook(
            taskbell.visit(scheduled_at=TUESDAY, ends_at=TUESDAY + HOUR, customer=SMITH)
        )
        yield taskbell


async def foretold(taskbell: Corridor) -> list[tuple[str, datetime]]:
    """What is said to go out within three days, and when."""
    config, now = taskbell.config, taskbell.clock.now()
    trial = Simulator(config.rules, config.zones, ways(config.kinds), now)
    async with taskbell.pool.acquire() as connection, connection.transaction():
        found = await upcoming(trial, connection, now + 72 * HOUR)
    return [(one.request.plan.channel, one.settled_at or now) for one in found]


async def only(taskbell: Corridor) -> tuple[str, str | None]:
    [one] = await taskbell.deliveries()
    return one["state"], one["reason"]


async def test_a_second_attempt_waits_until_they_open(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The receiver was down at two to five: nobody is called at half past five, or at night."""
    async with friday(pool, clock, folder, new(), [BROKEN]) as taskbell:
        await taskbell.deliver()
        clock.set(local(17, 1))
        await taskbell.deliver()
        assert await only(taskbell) == ("held", UNTIL_MONDAY)
        assert len(taskbell.accounting.requests) == 1
        clock.set(local(8, day=9))
        await taskbell.deliver()
        [sent] = await taskbell.deliveries()
        assert (sent["state"], sent["attempts"]) == ("sent", 2)


async def test_what_an_outage_kept_back_waits_as_well(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """No worker was there until three at night; `next` says when it will go."""
    async with friday(pool, clock, folder, new()) as taskbell:
        clock.set(local(3, day=7))
        assert await foretold(taskbell) == [("accounting", local(8, day=9))]
        await taskbell.deliver()
        assert await only(taskbell) == ("held", UNTIL_MONDAY)
        assert await foretold(taskbell) == [("accounting", local(8, day=9))]


@pytest.mark.parametrize(
    ("words", "end"),
    [
        ("hours: { use: office, outside: skip }", ("skipped", "outside office hours")),
        ("hours: { use: office, outside: ignore }", ("sent", None)),
        (
            "hours: office, expires: 1 day",
            (
                "skipped",
                "outside office hours until Mon 9 Mar 2026, 08:00, and it expires before that",
            ),
        ),
    ],
)
async def test_it_ends_as_the_rule_has_it(
    pool: Pool,
    clock: VirtualClock,
    folder: Path,
    words: str,
    end: tuple[str, str | None],
) -> None:
    """Dropped, sent all the same, or not worth waiting for."""
    async with friday(pool, clock, folder, new(words)) as taskbell:
        clock.set(local(3, day=7))
        await taskbell.deliver()
        assert await only(taskbell) == end


async def test_what_is_approved_at_night_waits(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Ann presses the button at ten in the evening, and the customer hears of it on Monday."""
    rules = new(then='[{ notify: customer:details, approve: "slack:#dispatch" }]')
    async with friday(pool, clock, folder, rules) as taskbell:
        await taskbell.deliver()
        clock.set(local(22))
        await approvals.approve(pool, clock, 1, by=Actor("Ann"))
        assert await foretold(taskbell) == [("customer", local(8, day=9))]
        await taskbell.deliver()
        assert taskbell.told == []
        clock.set(local(8, day=9))
        await taskbell.deliver()
        assert taskbell.told == ["details"]


async def test_what_a_storm_lets_go_at_night_waits(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """And no other storm rises in the morning of what has been let go."""
    rules = f"{new(then='[{ notify: customer:details }]')}\nstorm: {{ messages: 1, within: 1h }}"
    async with friday(pool, clock, folder, rules) as taskbell:
        later = {"scheduled_at": TUESDAY, "ends_at": TUESDAY + HOUR}
        await taskbell.webhook([taskbell.visit(**later), taskbell.visit(**later)])
        await taskbell.deliver()
        clock.set(local(22))
        [storm] = await storms.open_in(pool, "field")
        await storms.release(pool, clock, storm, by=Actor("Ann"))
        assert await foretold(taskbell) == [("customer", local(8, day=9))] * 3
        await taskbell.deliver()
        assert taskbell.told == []
        clock.set(local(8, day=9))
        await taskbell.deliver()
        assert taskbell.told == ["details"] * 3


async def test_a_person_who_asks_for_it_gets_it_at_once(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """What is held until Monday is cancelled, and then wanted all the same; `next` says so."""
    async with friday(pool, clock, folder, new()) as taskbell:
        clock.set(local(22))
        await taskbell.deliver()
        await operator_actions.cancel(pool, clock, 1, by=Actor("Ann"))
        await operator_actions.retry(pool, clock, 1, by=Actor("Ann"))
        assert await foretold(taskbell) == [("accounting", local(22))]
        await taskbell.deliver()
        assert await taskbell.states() == ["sent"]


async def test_what_goes_out_instead_does_so_at_night(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The office is told in the evening that its message was refused."""
    then = '[{ notify: accounting, on_fail: [{ notify: "slack:#office", text: "{{ failure }}" }] }]'
    async with friday(pool, clock, folder, new(then=then), [Answer(status=410)]) as taskbell:
        await taskbell.deliver("accounting")
        clock.set(local(22))
        assert [channel for channel, _ in await foretold(taskbell)] == ["slack"]
        await taskbell.deliver()
        assert len(taskbell.posts) == 1


async def test_what_may_have_arrived_and_waits_is_taken_back(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Its answer was lost; the new task is deleted before the office opens: the message goes."""
    then = '[{ notify: "slack:#office", text: "{{ task.title }}", on_undo: retract }]'
    async with friday(pool, clock, folder, new(then=then)) as taskbell:
        taskbell.slack.lose_answers(1)
        await taskbell.deliver()
        assert len(taskbell.posts) == 1
        clock.set(local(22))
        await taskbell.deliver()
        assert (await only(taskbell))[0] == "held"
        [task] = await pool.fetchval("SELECT array_agg(id) FROM tasks")
        taskbell.sandbox.kickserv.delete(task)
        await taskbell.poll(full=True)
        await taskbell.look_up()
        assert (await taskbell.events(task))[-1].startswith("deleted")
        clock.set(local(8, day=9))
        for _ in range(3):
            await taskbell.deliver()
            clock.advance(HOUR)
        assert taskbell.posts == []


async def test_the_hours_of_a_task_count_when_it_goes_out(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Retried after hours: what is urgent has no hours and is sent, the rest waits for Monday."""
    rules = new("hours: [{ if: task.title == 'Flood', use: office, outside: ignore }, office]")
    async with begun(folder, pool, clock, rules) as taskbell:
        clock.set(local(16, 58))
        for name in ("Flood", "Gutters"):
            taskbell.accounting.reply(BROKEN)
            await taskbell.webhook(taskbell.visit(name=name, customer=SMITH))
        await taskbell.deliver()
        clock.set(local(18))
        await taskbell.deliver()
        assert await taskbell.states() == ["sent", "held"]
        assert (await taskbell.deliveries())[1]["reason"] == UNTIL_MONDAY
