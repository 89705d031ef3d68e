"""What came too late to be told is on record, with the reason: expired, and nobody is told."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.store import Pool
from tests.corridor import Corridor, begun

DAILY = """
- { id: daily, when: { schedule: "30 7 * * *" }, then: [{ notify: "slack:#office", text: Hello }] }
- { id: list, when: { schedule: "30 7 * * *" }, for_each: "tasks.filter(t, !t.done)",
    then: [{ notify: accounting }] }
- { id: report, when: { schedule: "30 7 * * *" }, for_each: "tasks.filter(t, !t.done)",
    group: { by: "'all'" }, then: [{ notify: accounting, text: "{{ group.size }}" }] }
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


@pytest.mark.parametrize("rule", ["daily", "list", "report"])
async def test_a_schedule_that_was_missed(
    rule: str, pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Two hours late nobody gets the list of half past seven; it is on record what they had got."""
    async with begun(folder, pool, clock, DAILY) as taskbell:
        visit(taskbell, clock.now() + timedelta(days=3))
        await taskbell.poll(full=True)
        await away(taskbell, hours=2)
        late = "it was too late: it had been due for more than 1 hour"
        assert set(await ends(taskbell, rule)) == {("expired", late)}
        assert "missed" in {one for one, _ in await outcomes(taskbell, rule)}
        assert (taskbell.posts, taskbell.accounting.requests) == ([], [])
