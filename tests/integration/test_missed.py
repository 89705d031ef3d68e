"""What came too late to be told is on record, with the reason: expired, and nobody is told."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.sandbox.faults import Fault, FaultKind
from service.store import Pool
from tests.harness.corridor import Corridor, begun

SOON = """
- { id: soon, when: { task.starting_soon: 30m }, if: task.title != "Roof",
    then: [{ notify: accounting }, { wait: 5m }, { notify: customer:on_the_way }] }
- { id: together, when: { task.starting_soon: 20m }, group: { by: "'all'", wait: 5m },
    then: [{ notify: accounting }] }
"""
DAILY = """
- { id: daily, when: { schedule: "30 7 * * *" }, then: [{ notify: "slack:#office", text: Hello }] }
- { id: list, when: { schedule: "30 7 * * *" }, for_each: "tasks.filter(t, !t.done)",
    then: [{ notify: accounting }] }
- { id: report, when: { schedule: "30 7 * * *" }, for_each: "tasks.filter(t, !t.done)",
    group: { by: "'all'" }, then: [{ notify: accounting, text: "{{ group.size }}" }] }
"""
AHEAD = """
- { id: ahead, when: WHEN, then: [{ notify: customer:details }, { wait: 4h },
    { notify: "mail:{{ task.customer.email }}", text: How was it? }] }
"""


def visit(taskbell: Corridor, start: datetime, **fields: object) -> str:
    dates = {"scheduled_at": start, "ends_at": start + timedelta(hours=1)}
    return str(taskbell.sandbox.kickserv.make(**dates, **fields)["id"])


async def away(taskbell: Corridor, **time: float) -> None:
    """No worker runs for so long; then the account is read anew, and the clock speaks."""
    taskbell.clock.advance(timedelta(**time))
    await taskbell.poll(full=True)
    await taskbell.look_up()
    await taskbell.tick(minutes=6)
    await taskbell.deliver()


async def ends(taskbell: Corridor, rule: str) -> list[tuple[str, str | None]]:
    return [(one["state"], one["reason"]) for one in await taskbell.deliveries(rule)]


async def outcomes(taskbell: Corridor, rule: str) -> list[tuple[str, str]]:
    rows = await taskbell.pool.fetch(
        "SELECT outcome, reason FROM decisions WHERE rule = $1 ORDER BY id", rule
    )
    return [(row["outcome"], row["reason"]) for row in rows]


async def test_an_alarm_that_was_missed(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """The visit has begun: what its rules would have sent is expired, and says since when."""
    async with begun(folder, pool, clock, SOON) as taskbell:
        task_id = visit(taskbell, clock.now() + timedelta(hours=1))
        visit(taskbell, clock.now() + timedelta(hours=1), name="Roof")
        await taskbell.poll(full=True)
        await away(taskbell, hours=2)
        late = "too late: task.start was Fri 6 Mar 2026, 08:01"
        assert await ends(taskbell, "soon") == [("expired", late)] * 2
        assert {one["task"] for one in await taskbell.deliveries("soon")} == {task_id}
        [(outcome, reason)] = await outcomes(taskbell, "soon")
        assert outcome == "missed"
        assert reason.endswith(late)
        assert {one for one, _ in await outcomes(taskbell, "together")} == {"missed"}
        assert (taskbell.told, taskbell.accounting.requests) == ([], [])


async def test_a_visit_that_was_made_while_nobody_looked(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """It began before Taskbell ever saw it; its system says that it stood there in time."""
    async with begun(folder, pool, clock, SOON) as taskbell:
        visit(taskbell, clock.now() + timedelta(hours=1))
        clock.advance(timedelta(hours=2))
        await taskbell.poll(full=True)
        await taskbell.tick(minutes=10)
        assert await taskbell.states("soon") == ["expired"] * 2


async def test_what_was_written_down_afterwards_was_not_missed(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A visit that is entered when it has begun never was to be announced."""
    async with begun(folder, pool, clock, SOON) as taskbell:
        visit(taskbell, clock.now() - timedelta(hours=1))
        await taskbell.poll(full=True)
        await taskbell.tick(minutes=10)
        assert await taskbell.deliveries("soon") == []
        assert await outcomes(taskbell, "soon") == []


async def test_an_alarm_that_is_only_late_is_told(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Ten minutes before it begins it still is about to begin."""
    async with begun(folder, pool, clock, SOON) as taskbell:
        visit(taskbell, clock.now() + timedelta(hours=1))
        await taskbell.poll(full=True)
        await away(taskbell, minutes=44)
        assert (await taskbell.states("soon"))[0] == "sent"


@pytest.mark.parametrize("rule", ["daily", "list", "report"])
async def test_a_schedule_that_was_missed(
    rule: str, pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Two hours late nobody gets the list of half past seven; it is on record what they had got."""
    async with begun(folder, pool, clock, DAILY) as taskbell:
        visit(taskbell, clock.now() + timedelta(days=3))
        await taskbell.poll(full=True)
        await away(taskbell, hours=2)
        late = "too late: the scheduled time was more than 1 hour ago"
        assert set(await ends(taskbell, rule)) == {("expired", late)}
        assert "missed" in {one for one, _ in await outcomes(taskbell, rule)}
        assert (taskbell.posts, taskbell.accounting.requests) == ([], [])


@pytest.mark.parametrize(
    "when",
    ["{ before: task.start, by: 1h }", "{ task.due_soon: 2h }", "{ task.starting_soon: 1h }"],
)
async def test_a_customer_is_not_told_ahead_of_what_has_come(
    when: str, pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The visit could not be read until it was over; what comes afterwards anyway is not late."""
    async with begun(folder, pool, clock, AHEAD.replace("WHEN", when)) as taskbell:
        visit(taskbell, clock.now() + timedelta(hours=2))
        await taskbell.poll(full=True)
        taskbell.sandbox.kickserv.faults.set(Fault(FaultKind.FAILED, times=1000, method="GET"))
        await taskbell.tick(minutes=65)
        await taskbell.deliver()
        assert await taskbell.states("ahead") == ["held", "planned"]
        taskbell.sandbox.kickserv.faults.clear()
        await taskbell.tick(hours=3)
        await taskbell.deliver()
        [(state, reason), (after, _)] = await ends(taskbell, "ahead")
        assert (state, after) == ("expired", "planned")
        assert (reason or "").startswith("too late: it had to be sent by 2026-03-06 1")
        assert taskbell.told == []


async def test_what_is_to_come_later_is_told_later(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """A rule that rings before a visit may have something to say an hour after it has begun."""
    rules = """
- { id: later, when: { task.starting_soon: 30m },
    then: [{ wait: 90m }, { notify: customer:details }] }
"""
    async with begun(folder, pool, clock, rules) as taskbell:
        visit(taskbell, clock.now() + timedelta(hours=1))
        await taskbell.poll(full=True)
        await taskbell.tick(minutes=31)
        await taskbell.tick(minutes=91)
        await taskbell.deliver()
        assert taskbell.told == ["details"]
