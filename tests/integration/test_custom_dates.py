"""Dates in the account's own custom fields: the clock counts from them as from any other date."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.store import Pool
from tests.harness.corridor import Corridor, begun

RENEWAL = """
- { id: renewal, accounts: [london],
    when: { before: task.fields.renewal, by: 2 days, at: "09:00" },
    then: [{ notify: accounting, text: "{{ task.fields.renewal }}" }] }
- { id: lapsed, accounts: [london],
    when: { after: 'task.fields["Policy ends"]', by: 2h }, then: [{ notify: accounting }] }
"""


def renewal(value: Any, name: str = "renewal") -> dict[str, Any]:
    return {"custom_fields": [{"reference": name, "value": value}]}


def policy(taskbell: Corridor, value: Any, name: str = "renewal") -> str:
    return str(taskbell.sandbox.plannr.make(**renewal(value, name))["uuid"])


def day(clock: VirtualClock, days: int) -> str:
    return (clock.now() + timedelta(days=days)).date().isoformat()


async def test_two_days_before_it(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """At nine on the day, once."""
    async with begun(folder, pool, clock, RENEWAL) as taskbell:
        policy(taskbell, day(clock, 5))
        await taskbell.poll("london", full=True)
        await taskbell.tick(days=2, hours=12)
        assert await taskbell.deliveries("renewal") == []
        await taskbell.tick(days=1)
        await taskbell.tick(days=1)
        assert [one["text"] for one in await taskbell.deliveries("renewal")] == [day(clock, 0)]


async def test_it_is_moved(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """It rings by the new date, and again once it has rung; another field changes nothing."""
    async with begun(folder, pool, clock, RENEWAL) as taskbell:
        task_id = policy(taskbell, day(clock, 5))
        await taskbell.poll("london", full=True)
        taskbell.sandbox.plannr.change(task_id, **renewal(day(clock, 9)))
        await taskbell.poll("london", full=True)
        await taskbell.tick(days=6)
        assert await taskbell.deliveries("renewal") == []
        await taskbell.tick(days=2)
        fields = [{"reference": "renewal", "value": day(clock, 1)}]
        other = [{"reference": "region", "value": "north"}]
        taskbell.sandbox.plannr.change(task_id, custom_fields=fields + other)
        await taskbell.poll("london", full=True)
        await taskbell.tick(hours=1)
        assert len(await taskbell.deliveries("renewal")) == 1
        taskbell.sandbox.plannr.change(task_id, **renewal(day(clock, 8)))
        await taskbell.poll("london", full=True)
        await taskbell.tick(days=7)
        assert len(await taskbell.deliveries("renewal")) == 2


async def test_what_waits_for_it_ends_with_it(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A reminder that is held does not go out once the date is another, and does if it is not."""
    rules = RENEWAL.replace("then: [{ notify", "hours: office, then: [{ notify", 1)
    rules = rules.replace("09:00", "05:00")
    async with begun(folder, pool, clock, rules) as taskbell:
        moved, kept = policy(taskbell, day(clock, 3)), policy(taskbell, day(clock, 3))
        await taskbell.poll("london", full=True)
        await taskbell.tick(hours=23)
        assert await taskbell.states("renewal") == ["held", "held"]
        other = {"reference": "region", "value": "north"}
        field = renewal(day(clock, 2))["custom_fields"]
        taskbell.sandbox.plannr.change(kept, custom_fields=[*field, other])
        taskbell.sandbox.plannr.change(moved, **renewal(day(clock, 30)))
        await taskbell.poll("london", full=True)
        states = {one["task"]: one["state"] for one in await taskbell.deliveries("renewal")}
        assert states == {moved: "cancelled", kept: "held"}


@pytest.mark.parametrize("value", ["soon", "", None, "31/12/2026", True, "0000-00-00", [1]])
async def test_what_is_no_date(value: Any, pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """It rings nothing, and disturbs nobody else's."""
    async with begun(folder, pool, clock, RENEWAL) as taskbell:
        policy(taskbell, value)
        policy(taskbell, day(clock, 3))
        await taskbell.poll("london", full=True)
        await taskbell.tick(days=2)
        assert len(await taskbell.deliveries("renewal")) == 1


async def test_a_name_of_two_words(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """And a time, in the account's zone where it names none."""
    async with begun(folder, pool, clock, RENEWAL) as taskbell:
        at = clock.now() + timedelta(hours=30)
        policy(taskbell, at.isoformat(), "Policy ends")
        await taskbell.poll("london", full=True)
        await taskbell.tick(hours=31)
        assert await taskbell.deliveries("lapsed") == []
        await taskbell.tick(hours=1)
        assert len(await taskbell.deliveries("lapsed")) == 1
        await taskbell.tick(days=1)
        assert len(await taskbell.deliveries("lapsed")) == 1


async def test_it_is_past_when_its_account_is_added(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A policy that lapsed last year is nobody's news."""
    rules = RENEWAL.replace("before:", "after:")
    async with begun(folder, pool, clock, rules) as taskbell:
        task_id = policy(taskbell, day(clock, -1))
        await pool.execute("UPDATE accounts SET baseline_at = NULL WHERE name = 'london'")
        await taskbell.poll("london", full=True)
        await taskbell.tick(days=3)
        assert await taskbell.deliveries("renewal") == []
        taskbell.sandbox.plannr.change(task_id, **renewal(day(clock, 1)))
        await taskbell.poll("london", full=True)
        await taskbell.tick(days=4)
        assert len(await taskbell.deliveries("renewal")) == 1


async def test_a_clock_that_was_ahead(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """What rang by a wrong clock does not ring again when the right one gets there."""
    async with begun(folder, pool, clock, RENEWAL) as taskbell:
        for name in ("renewal", "Policy ends"):
            policy(taskbell, day(clock, 3), name)
        policy(taskbell, (clock.now() + timedelta(days=1)).isoformat(), "Policy ends")
        await taskbell.poll("london", full=True)
        await taskbell.tick(days=30)
        told = len(await taskbell.deliveries())
        assert told == 2
        clock.advance(timedelta(days=-30))
        await taskbell.restart(RENEWAL)
        await taskbell.poll("london", full=True)
        await taskbell.tick(days=5)
        assert len(await taskbell.deliveries()) == told
