"""What `plan` says of a change is what comes when it is made."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from service import config
from service.change_plan import PendingEffect, RulePlan, Side, pending_counts
from service.change_plan.forecast import Forecast
from service.clock import VirtualClock
from service.config import past_rules
from service.engine import IN_FORCE
from service.store import Pool, decisions
from tests.harness.corridor import Corridor, configured, corridor

REMIND = """
- { id: remind, when: { before: task.start, by: 1 day, at: "09:00" },
    then: [{ notify: accounting }] }
"""
LATE = "- { id: late, when: { task.overdue: 2h }, then: [{ notify: accounting }] }\n"
CALM = """
- { id: calm, when: { task.changed: [title] }, settle: 10m, then: [{ notify: accounting }] }
"""
CHASE = """
- { id: chase, when: task.created, then: [{ wait: 2h }, { notify: accounting }],
    until: task.title == "Other" }
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync, on a Friday at 7 in the morning in New York."""
    async with corridor(folder, pool, clock, REMIND + LATE + CALM + CHASE) as running:
        await running.begin()
        yield running


async def planned(
    taskbell: Corridor, rules: str, zone: str = "America/New_York", without: str = ""
) -> dict[str, RulePlan]:
    """What is said of each rule, if these were loaded."""
    configured(taskbell.folder, rules, taskbell.head | {"zone": zone})
    sketch = config.sketch(taskbell.folder / "taskbell.yaml", {})
    loaded = await decisions.rules_in_force(taskbell.pool)
    assert loaded is not None
    watched = await pending_counts.watched(taskbell.pool, IN_FORCE)
    before = {name: zone or sketch.timezone for name, zone in watched.items()}
    zones = {name: zone for name, zone in sketch.zones.items() if name != without}
    forecast = Forecast(
        Side(past_rules(loaded[1], sketch), before),
        Side(sketch.rules, zones, frozenset(sketch.kinds)),
    )
    forecast.add_waits(await pending_counts.waits(taskbell.pool))
    forecast.add_digests(await pending_counts.digests(taskbell.pool))
    forecast.add_deliveries(await pending_counts.deliveries(taskbell.pool))
    async with taskbell.pool.acquire() as connection, connection.transaction():
        tasks = pending_counts.tasks(connection)
        await forecast.add_tasks(tasks, taskbell.clock.now(), lambda _: None)
    return {one.rule: one for one in forecast.plan.rules}


async def next_alarm(taskbell: Corridor) -> object:
    return await taskbell.pool.fetchval("SELECT min(next_alarm) FROM tasks")


async def test_an_alarm_in_another_zone(taskbell: Corridor) -> None:
    """Nine in the morning comes earlier in London: the alarm moves to where plan has it."""
    start = taskbell.clock.now() + timedelta(days=5)
    await taskbell.webhook(taskbell.visit(scheduled_at=start, ends_at=start))
    rules = REMIND + LATE + CALM + CHASE
    found = await planned(taskbell, rules, zone="Europe/London")
    assert found["remind"].timers == {PendingEffect.MOVED: 1}
    assert found["late"].timers == {PendingEffect.KEPT: 1}
    await taskbell.restart(rules, zone="Europe/London")
    await taskbell.tick(seconds=1)
    assert await next_alarm(taskbell) == found["remind"].next_ring


async def test_alarms_that_come_and_go(taskbell: Corridor) -> None:
    """One rule is taken out, another is new: of that the past does not ring."""
    now = taskbell.clock.now()
    await taskbell.webhook(taskbell.visit(scheduled_at=now, ends_at=now + timedelta(hours=3)))
    await taskbell.webhook(taskbell.visit(scheduled_at=now, ends_at=now))
    sooner = LATE.replace("2h", "1h")
    taskbell.clock.advance(timedelta(minutes=90))
    soon = "- { id: soon, when: { task.due_soon: 1h }, then: [{ notify: accounting }] }\n"
    found = await planned(taskbell, sooner + soon)
    assert found["late"].timers == {PendingEffect.MOVED: 1, PendingEffect.LOST: 1}
    assert found["soon"].timers == {PendingEffect.NEW: 1}
    assert found["late"].matching == 1
    await taskbell.restart(sooner + soon)
    await taskbell.tick(seconds=1)
    assert await taskbell.deliveries("late") == []
    assert await next_alarm(taskbell) == found["soon"].next_ring
    await taskbell.tick(minutes=31)
    assert len(await taskbell.deliveries("soon")) == found["soon"].timers[PendingEffect.NEW]
    await taskbell.tick(hours=9)
    assert len(await taskbell.deliveries("late")) == found["late"].timers[PendingEffect.MOVED]


async def test_a_rule_that_rings_for_the_same_alarm(taskbell: Corridor) -> None:
    """The clock goes on to watch what another rule wants; for the rule that is gone it is lost."""
    await taskbell.webhook(taskbell.visit())
    found = await planned(taskbell, LATE.replace("late", "other"))
    assert found["late"].timers == {PendingEffect.LOST: 1}
    assert found["other"].timers == {PendingEffect.NEW: 1}


async def test_waits_and_messages_of_a_rule_that_is_taken_out(taskbell: Corridor) -> None:
    """The wait ends with nothing; the message goes out, although its `until` has come true."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    taskbell.clock.advance(timedelta(minutes=1))
    found = await planned(taskbell, LATE)
    assert found["chase"].deliveries == {PendingEffect.KEPT: 1}
    await taskbell.restart(REMIND + LATE + CALM)
    await taskbell.webhook(taskbell.sandbox.kickserv.change(str(visit["id"]), name="Other"))
    found = await planned(taskbell, LATE)
    assert found["calm"].waits == {PendingEffect.LOST: 1}
    await taskbell.restart(LATE)
    await taskbell.tick(minutes=11)
    assert await taskbell.reasons() == [
        "task.created",
        "the rule was removed or switched off while it was waiting",
    ]
    await taskbell.tick(hours=2)
    await taskbell.deliver()
    assert await taskbell.states("chase") == ["sent"]


async def test_waits_of_an_account_that_is_gone(taskbell: Corridor) -> None:
    """They are given up, as its messages are, and nothing comes when the account is back."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.webhook(taskbell.sandbox.kickserv.change(str(visit["id"]), name="Call"))
    found = await planned(taskbell, CALM + CHASE, without="field")
    assert found["calm"].waits == {PendingEffect.LOST: 1}
    assert found["chase"].deliveries == {PendingEffect.LOST: 1}
    await taskbell.restart(CALM + CHASE, without="field")
    assert await taskbell.states("chase") == ["cancelled"]
    await taskbell.tick(minutes=30)
    await taskbell.restart(CALM + CHASE)
    await taskbell.tick(minutes=1)
    assert await taskbell.deliveries("calm") == []


async def test_going_back_is_a_change_as_well(taskbell: Corridor) -> None:
    """What was loaded last is in force, also where it had been in force before."""
    await taskbell.restart(LATE)
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.restart(REMIND + LATE)
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.restart(LATE)
    loaded = await decisions.rules_in_force(taskbell.pool)
    assert loaded is not None
    assert loaded[0] == taskbell.config.rules.version


GATHER = """
- { id: list, when: task.created, group: { by: task.title, wait: 1h },
    then: [{ notify: accounting }] }
"""


async def given_up(taskbell: Corridor, rule: str) -> int:
    count: int = await taskbell.pool.fetchval(
        "SELECT count(*) FROM decisions WHERE rule = $1 AND outcome = 'given_up'", rule
    )
    return count


async def test_digests_of_an_account_that_is_taken_out(taskbell: Corridor) -> None:
    """As many as plan says are given up; another change of the rule leaves them."""
    rules = REMIND + GATHER
    await taskbell.restart(rules)
    await taskbell.webhook([taskbell.visit(name=name) for name in ("Roof", "Roof", "Gutters")])
    found = await planned(taskbell, rules.replace("1h", "2h"))
    assert found["list"].digests == {PendingEffect.KEPT: 2}
    found = await planned(taskbell, rules, without="field")
    assert found["list"].digests == {PendingEffect.LOST: 2}
    await taskbell.restart(rules, without="field")
    assert await given_up(taskbell, "list") == 2


async def test_digests_of_a_rule_that_is_taken_out(taskbell: Corridor) -> None:
    """Or that does not gather any more: they end, and nothing is told."""
    await taskbell.restart(REMIND + GATHER)
    await taskbell.webhook(taskbell.visit())
    alone = GATHER.replace("group: { by: task.title, wait: 1h },", "")
    for rules in (REMIND, REMIND + alone):
        found = await planned(taskbell, rules)
        assert found["list"].digests == {PendingEffect.LOST: 1}
        await taskbell.restart(rules)
    await taskbell.tick(hours=2)
    assert await taskbell.deliveries("list") == []
    assert await pending_counts.digests(taskbell.pool) == []
