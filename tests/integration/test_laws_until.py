"""`until` may come true by time alone: it is asked again before anything goes out."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest

from service.clock import VirtualClock
from service.domain.actors import Actor
from service.outbox import gate_facts, gates, operator_actions
from service.outbox.gates import Candidate
from service.store import Connection, Pool
from tests.harness.corridor import Corridor, corridor
from tests.harness.receivers import Answer

NEW_YORK = ZoneInfo("America/New_York")
WITHDRAWN = "cancelled: no longer needed, as the rule says for this task now (`until`)"
SOON = """
- id: brief
  when: task.created
  then: [{ wait: 2h }, { notify: "slack:#office", text: "{{ task.title }}" }]
  until: has(task.start) && task.start < now
- { id: other, when: task.created, then: [{ wait: 2h }, { notify: accounting }] }
"""


async def ends(taskbell: Corridor, rule: str | None = None) -> list[tuple[str, str | None]]:
    return [(one["state"], one["reason"]) for one in await taskbell.deliveries(rule)]


def starting(taskbell: Corridor, **after: float) -> Any:
    return taskbell.visit(scheduled_at=taskbell.clock.now() + timedelta(**after))


async def test_what_was_held_is_asked_when_it_opens(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Held from Friday evening to Monday, and by then the rule has no use for it any more."""
    rules = """
    - { id: nudge, when: task.overdue, hours: office, then: [{ notify: accounting }],
        until: now > task.due + duration("24h") }
    """
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        due = datetime(2026, 3, 6, 18, tzinfo=NEW_YORK)
        await taskbell.webhook(taskbell.visit(scheduled_at=due - timedelta(hours=1), ends_at=due))
        clock.set(due.astimezone(UTC))
        await taskbell.tick(seconds=1)
        assert await taskbell.states() == ["held"]
        clock.set(datetime(2026, 3, 9, 8, tzinfo=NEW_YORK).astimezone(UTC))
        await taskbell.deliver()
        assert await ends(taskbell) == [("cancelled", WITHDRAWN)]
        assert taskbell.accounting.requests == []


async def test_what_waited_is_asked_when_its_time_has_come(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The visit began during the wait, of which nobody sent an event; other rules go on."""
    async with corridor(folder, pool, clock, SOON) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(starting(taskbell, hours=1))
        clock.advance(timedelta(hours=2))
        await taskbell.deliver()
        assert await ends(taskbell, "brief") == [("cancelled", WITHDRAWN)]
        assert await taskbell.states("other") == ["sent"]
        [withdrawn] = await taskbell.deliveries("brief")
        assert (withdrawn["attempts"], withdrawn["lease_until"]) == (0, None)


async def test_what_is_tried_again_is_asked_before(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The first attempt failed, and before the second one the rule has ended."""
    async with corridor(folder, pool, clock, SOON) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(starting(taskbell, hours=2, seconds=2))
        taskbell.slack.reply(Answer(500))
        clock.advance(timedelta(hours=2))
        await taskbell.deliver()
        assert await taskbell.states("brief") == ["planned"]
        clock.advance(timedelta(seconds=10))
        await taskbell.deliver()
        assert await ends(taskbell, "brief") == [("cancelled", WITHDRAWN)]
        assert taskbell.posts == []


async def test_the_task_is_asked_as_it_is_now(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Put off in the meantime: what was true of the visit as it was is not true of it now."""
    async with corridor(folder, pool, clock, SOON) as taskbell:
        await taskbell.begin()
        visit = starting(taskbell, hours=1)
        await taskbell.webhook(visit)
        clock.advance(timedelta(minutes=10))
        later = clock.now() + timedelta(days=1)
        kickserv = taskbell.sandbox.kickserv
        await taskbell.webhook(kickserv.change(str(visit["id"]), scheduled_at=later))
        clock.advance(timedelta(hours=2))
        await taskbell.deliver()
        assert await taskbell.states("brief") == ["sent"]


async def test_many_that_have_ended_keep_nothing_from_going(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """More of them than a claim takes stand before one that is to go: it goes in the same batch."""
    async with corridor(folder, pool, clock, SOON) as taskbell:
        await taskbell.begin()
        for _ in range(40):
            await taskbell.webhook(starting(taskbell, hours=1))
        await taskbell.webhook(starting(taskbell, hours=9))
        clock.advance(timedelta(hours=2))
        assert await taskbell.worker.lanes["slack"].batch()
        await taskbell.worker.lanes["slack"].rest()
        assert await taskbell.states("brief") == ["cancelled"] * 40 + ["sent"]


async def test_what_a_person_asked_for_goes(pool: Pool, clock: VirtualClock, folder: Path) -> None:
    """Who has a withdrawn message sent all the same knows better than the rule."""
    async with corridor(folder, pool, clock, SOON) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(starting(taskbell, hours=1))
        clock.advance(timedelta(hours=2))
        await taskbell.deliver()
        [withdrawn] = await taskbell.deliveries("brief")
        await operator_actions.retry(pool, clock, withdrawn["id"], by=Actor("Ann"))
        await taskbell.deliver()
        assert await taskbell.states("brief") == ["sent"]


async def test_what_takes_a_message_back_goes(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """The rule ends with the reopening; the message that this makes untrue is rewritten."""
    rules = """
    - id: finished
      when: task.completed
      then: [{ notify: "slack:#office", text: done, on_undo: update }]
      until: "!task.done"
    """
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        visit = taskbell.visit()
        await taskbell.webhook(visit)
        for change in ({"completed_on": "2026-03-06"}, {"completed_on": None}, {"name": "new"}):
            clock.advance(timedelta(minutes=1))
            await taskbell.webhook(taskbell.sandbox.kickserv.change(str(visit["id"]), **change))
            if change.get("completed_on"):
                await taskbell.deliver()
        await taskbell.deliver()
        assert taskbell.posts == ["No longer true (task was reopened): done"]
        assert await taskbell.states() == ["sent", "sent"]


async def test_what_no_gate_can_stop_asks_nothing(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Of rules without `until` not even the task is read."""
    async with corridor(folder, pool, clock, SOON) as taskbell:
        await taskbell.begin()
        await taskbell.webhook(starting(taskbell, hours=1))
        nobody, rules = cast("Connection", None), taskbell.config.rules
        [visit] = await taskbell.deliveries("other")
        key = "field", visit["task"]
        other = Candidate(1, key, "other", "slack", "#office", lambda: None)
        facts = await gate_facts.read(nobody, [other], rules, {}, [], {}, clock.now())
        assert gates.stops([other], facts) == {}
        brief = replace(other, rule="brief")
        with pytest.raises(AttributeError):
            await gate_facts.read(nobody, [brief], rules, {}, [], {}, clock.now())
