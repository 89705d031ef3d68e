"""Law 11, when rules and zones change: each task's alarms are set anew, once, whoever does it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.engine.postgres import PostgresTransaction
from service.metrics import MetricsExporter
from service.store import Pool
from tests.harness.corridor import Corridor, Worker, copy, corridor, go_round

LATE = "- { id: late, when: task.overdue, then: [{ notify: accounting }] }"
LATER = f"""{LATE}
- {{ id: later, when: {{ task.overdue: 1h }}, then: [{{ notify: accounting }}] }}"""
EVE = """
- { id: eve, when: { before: task.start, by: 1 day, at: "16:00" },
    then: [{ notify: accounting }] }"""
START = datetime(2026, 3, 8, 18, 0, tzinfo=UTC)  # 14 h in New York; four in the day before's
NEW_YORK, LONDON, ALASKA = "America/New_York", "Europe/London", "America/Anchorage"


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell with one bell for what is overdue, after its first sync."""
    async with corridor(folder, pool, clock, LATE) as running:
        await running.begin("field")
        yield running


async def due(taskbell: Corridor, at: datetime) -> str:
    """A new visit of one hour that ends then and that Taskbell has heard of; its id."""
    visit = taskbell.visit(scheduled_at=at - timedelta(hours=1), ends_at=at)
    await taskbell.webhook(visit)
    return str(visit["id"])


async def rung(taskbell: Corridor, rule: str) -> list[str]:
    """The tasks that a rule announced."""
    return [one["task"] for one in await taskbell.deliveries(rule)]


async def eve_in(taskbell: Corridor, zone: str) -> str:
    """A visit that begins at START, announced on its eve by the days of this zone; its id."""
    await taskbell.restart(EVE, zone=zone)
    visit = taskbell.visit(scheduled_at=START, ends_at=START + timedelta(hours=1))
    await taskbell.webhook(visit)
    return str(visit["id"])


async def test_a_new_zone_moves_what_rings_at_a_time_of_day(taskbell: Corridor) -> None:
    """Four in the afternoon is London's from now on, for visits that were there before as well."""
    visit = await eve_in(taskbell, NEW_YORK)
    await taskbell.restart(EVE, zone=LONDON)
    taskbell.clock.set(datetime(2026, 3, 7, 15, 59, tzinfo=UTC))
    await taskbell.tick()
    assert await rung(taskbell, "eve") == []
    await taskbell.tick(minutes=1)
    assert await rung(taskbell, "eve") == [visit]
    await taskbell.tick(days=1)
    assert await rung(taskbell, "eve") == [visit]


async def test_what_a_new_zone_puts_off_is_not_announced_again(taskbell: Corridor) -> None:
    """It rang at four in London; that it is four in Alaska later is no news."""
    visit = await eve_in(taskbell, LONDON)
    taskbell.clock.set(datetime(2026, 3, 7, 17, 0, tzinfo=UTC))
    await taskbell.tick()
    assert await rung(taskbell, "eve") == [visit]
    await taskbell.restart(EVE, zone=ALASKA)
    await taskbell.tick(hours=12)
    assert await rung(taskbell, "eve") == [visit]


async def test_a_restart_does_not_forget_what_a_new_zone_has_put_off(taskbell: Corridor) -> None:
    """Told in London, it waits for no hour in Alaska, also with a worker that starts meanwhile."""
    visit = await eve_in(taskbell, LONDON)
    taskbell.clock.set(datetime(2026, 3, 7, 17, 0, tzinfo=UTC))
    await taskbell.tick()
    for _ in range(2):
        await taskbell.restart(EVE, zone=ALASKA)
        await taskbell.tick(minutes=10)
    await taskbell.tick(hours=12)
    assert await rung(taskbell, "eve") == [visit]


async def test_what_a_new_zone_brings_forward_is_announced_late(taskbell: Corridor) -> None:
    """It would have rung at four in Alaska; in London that was hours ago, and nobody was told."""
    visit = await eve_in(taskbell, ALASKA)
    taskbell.clock.set(datetime(2026, 3, 7, 17, 0, tzinfo=UTC))
    await taskbell.tick()
    assert await rung(taskbell, "eve") == []
    await taskbell.restart(EVE, zone=LONDON)
    await taskbell.tick()
    assert await rung(taskbell, "eve") == [visit]


async def test_what_was_put_off_by_a_zone_rings_when_the_visit_moves(taskbell: Corridor) -> None:
    """A visit that is put off for a week is announced on its new eve."""
    visit = await eve_in(taskbell, LONDON)
    taskbell.clock.set(datetime(2026, 3, 7, 17, 0, tzinfo=UTC))
    await taskbell.tick()
    await taskbell.restart(EVE, zone=ALASKA)
    await taskbell.tick(hours=1)
    later = START + timedelta(days=7)
    await taskbell.webhook(taskbell.sandbox.kickserv.change(visit, scheduled_at=later))
    await taskbell.tick(days=7, hours=12)
    assert await rung(taskbell, "eve") == [visit, visit]


async def test_a_pass_that_is_killed_goes_on_where_it_was(taskbell: Corridor) -> None:
    """Four workers die after a few tasks each; what was owed rings once, the past never."""
    clock = taskbell.clock
    owed = {await due(taskbell, clock.now() + timedelta(hours=2)) for _ in range(20)}
    future = {await due(taskbell, clock.now() + timedelta(hours=9)) for _ in range(20)}
    clock.advance(timedelta(hours=4))
    for _ in range(4):
        await taskbell.restart(LATER)
        async with taskbell.pool.acquire() as connection:
            async with connection.transaction():
                await taskbell.worker.clock_round._engine.recompute_alarms(
                    PostgresTransaction(connection), 7
                )
            dying = connection.transaction()
            await dying.start()
            await taskbell.worker.clock_round._engine.recompute_alarms(
                PostgresTransaction(connection), 7
            )
            await dying.rollback()
        clock.advance(timedelta(minutes=10))
    await taskbell.restart(LATER)
    await taskbell.tick()
    assert sorted(await rung(taskbell, "late")) == sorted(owed)
    await taskbell.tick(hours=9)
    assert sorted(await rung(taskbell, "late")) == sorted(owed | future)
    assert sorted(await rung(taskbell, "later")) == sorted(future)


async def test_what_comes_due_during_the_pass_rings(taskbell: Corridor) -> None:
    """The new rule is in force from the start of the worker, not from when a task's turn comes."""
    visit = await due(taskbell, taskbell.clock.now() + timedelta(hours=1))
    await taskbell.restart(LATER)
    await taskbell.tick(hours=3)
    assert await rung(taskbell, "later") == [visit]


async def test_two_workers_that_start_together_share_the_pass(taskbell: Corridor) -> None:
    """Each task is set anew by one of them, and what was owed rings once."""
    owed = [await due(taskbell, taskbell.clock.now() + timedelta(hours=2)) for _ in range(40)]
    taskbell.clock.advance(timedelta(hours=4))
    workers: list[Worker] = []
    for _ in range(2):
        await taskbell.restart(LATER)
        workers.append(taskbell.worker)
    await asyncio.gather(*(go_round(worker) for worker in workers for _ in range(2)))
    await taskbell.tick(hours=1)
    assert sorted(await rung(taskbell, "late")) == sorted(owed)
    assert await rung(taskbell, "later") == []


async def test_a_task_that_somebody_has_in_hand_is_not_forgotten(taskbell: Corridor) -> None:
    """It is locked while all others are set anew: what it owes rings when it is let go."""
    visit = await due(taskbell, taskbell.clock.now() + timedelta(hours=2))
    taskbell.clock.advance(timedelta(hours=4))
    await taskbell.restart(LATER)
    async with taskbell.pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE", visit)
        await taskbell.tick()
        assert await rung(taskbell, "late") == []
    await taskbell.tick(hours=3)
    assert await rung(taskbell, "late") == [visit]
    assert await rung(taskbell, "later") == []


async def test_a_worker_with_the_old_rules_may_go_on_for_a_while(taskbell: Corridor) -> None:
    """It moves old visits and takes up new ones: the new rule rings for all of them."""
    clock, old = taskbell.clock, taskbell.worker
    moved = await due(taskbell, clock.now() + timedelta(hours=2))
    await taskbell.restart(LATER)
    await taskbell.tick()
    clock.advance(timedelta(minutes=1))
    at = clock.now() + timedelta(hours=4)
    change = copy(taskbell.sandbox.kickserv.change(moved, scheduled_at=at, ends_at=at))
    await taskbell.receive(change)
    new = taskbell.visit(scheduled_at=at, ends_at=at)
    await taskbell.receive(new)
    await old.ingests["field"].batch()
    await go_round(old)
    await taskbell.tick(hours=4)
    await go_round(old)
    clock.advance(timedelta(hours=1))
    await go_round(old)
    await taskbell.tick()
    assert sorted(await rung(taskbell, "late")) == sorted([moved, str(new["id"])])
    assert sorted(await rung(taskbell, "later")) == sorted([moved, str(new["id"])])


async def test_an_old_worker_leaves_the_new_ones_bells_alone(taskbell: Corridor) -> None:
    """It wakes up when a bell is due that it does not know, and does not take it for rung."""
    clock, old = taskbell.clock, taskbell.worker
    visit = await due(taskbell, clock.now() + timedelta(hours=2))
    await taskbell.restart(LATER)
    await taskbell.tick(hours=2)
    clock.advance(timedelta(hours=1))
    await go_round(old)
    await taskbell.tick()
    assert await rung(taskbell, "later") == [visit]


async def test_a_configuration_that_was_withdrawn_is_succeeded(taskbell: Corridor) -> None:
    """The worker with the new rules is gone for good: a minute later the others ring again."""
    old = taskbell.worker
    visit = await due(taskbell, taskbell.clock.now() + timedelta(hours=2))
    await taskbell.restart(LATER)
    await taskbell.tick()
    taskbell.clock.advance(timedelta(minutes=2))
    await old.clock_round.renew()
    taskbell.clock.advance(timedelta(hours=2))
    await go_round(old)
    assert await rung(taskbell, "late") == [visit]


async def test_while_it_is_wanted_nothing_succeeds_it(taskbell: Corridor) -> None:
    """Both run for an hour and say so: the one that was started last stays in force."""
    old = taskbell.worker
    await taskbell.restart(LATER)
    for _ in range(4):
        await taskbell.worker.clock_round.renew()
        taskbell.clock.advance(timedelta(seconds=30))
        await old.clock_round.renew()
    visit = await due(taskbell, taskbell.clock.now() + timedelta(hours=2))
    await taskbell.tick(hours=3)
    assert await rung(taskbell, "later") == [visit]


async def test_a_removed_account_rings_nothing_and_counts_as_no_delay(
    taskbell: Corridor,
) -> None:
    """Its visits wait unheard until it is in the configuration again; then what is true rings."""
    visit = await due(taskbell, taskbell.clock.now() + timedelta(hours=2))
    await taskbell.restart(LATE, without="field")
    await taskbell.tick(days=1)
    await taskbell.worker.clock_round.renew()
    assert await rung(taskbell, "late") == []
    assert await clock_lag(taskbell) == 0
    await taskbell.restart(LATER)
    assert await clock_lag(taskbell) == timedelta(hours=22).total_seconds()
    await taskbell.tick()
    assert await rung(taskbell, "late") == [visit]
    assert await rung(taskbell, "later") == []
    assert await clock_lag(taskbell) == 0


async def test_without_any_worker_the_delay_counts(taskbell: Corridor) -> None:
    """Nobody has been there for a day: that is no reason to say that nothing is late."""
    await due(taskbell, taskbell.clock.now() + timedelta(hours=2))
    taskbell.clock.advance(timedelta(days=1))
    assert await clock_lag(taskbell) == timedelta(hours=22).total_seconds()


async def clock_lag(taskbell: Corridor) -> float:
    """What /metrics says of the clock."""
    text = (await MetricsExporter(taskbell.pool).text(taskbell.clock.now())).decode()
    line = next(line for line in text.splitlines() if line.startswith("taskbell_clock_lag_seconds"))
    return float(line.split()[1])
