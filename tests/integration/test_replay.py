"""Replay decides once more on what digests told and schedules chose."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service import config
from service.channels import ways
from service.clock import VirtualClock
from service.config import past_rules
from service.simulator.batches import batches
from service.simulator.replay import Replay, Replayed
from service.store import Pool, history
from tests.harness import history as happened
from tests.harness.corridor import Corridor, corridor
from tests.harness.tasks import task

RULES = """
- id: done-lately
  when: task.completed
  group: { by: "'the day'", wait: 30m, max: 2 }
  then: [{ notify: "slack:#office", text: "{{ group.tasks | map: 'title' | join: ', ' }}" }]
- id: nudge
  when: { schedule: "45 7 * * *" }
  accounts: [field]
  for_each: tasks.filter(t, !t.done)
  if: task.title != "secret"
  then: [{ notify: "slack:#office", text: "{{ task.title }}" }]
- id: morning-list
  when: { schedule: "45 7 * * *" }
  accounts: [field]
  for_each: tasks.filter(t, !t.done)
  group: { by: task.title }
  then: [{ notify: "slack:#office", text: "{{ group.key }}" }]
- id: good-morning
  when: { schedule: "45 7 * * *" }
  accounts: [field]
  then: [{ notify: "slack:#office", text: "Good morning" }]
- id: on-the-ninth
  when: { schedule: "45 7 * * *" }
  accounts: [field]
  if: now.getDate("America/New_York") == 8
  then: [{ notify: "slack:#office", text: "The ninth" }]
- id: quiet-day
  when: { schedule: "45 7 * * *" }
  accounts: [field]
  if: size(tasks.filter(t, t.done && t.title != "gate")) < 1
  then: [{ notify: "slack:#office", text: "Nothing was done" }]
- id: busy-day
  when: { schedule: "45 7 * * *" }
  accounts: [field]
  if: tasks.exists(t, t.done)
  then: [{ notify: "slack:#office", text: "Something was done" }]
- id: nothing-left
  when: { schedule: "45 7 * * *" }
  accounts: [field]
  for_each: tasks.filter(t, t.title == "nothing")
  group: { by: "'all'", empty: send }
  then: [{ notify: "slack:#office", text: "{{ group.size }}" }]
- id: hello
  when: { schedule: "15 8 * * *" }
  accounts: [field]
  then: [{ notify: "slack:#office", text: "Hello" }]
"""
BEGIN = datetime(2026, 3, 6, 12, tzinfo=UTC)


class RunningClock(VirtualClock):
    """Some time goes by between any two looks at it, as on a machine."""

    def now(self) -> datetime:
        self.advance(timedelta(microseconds=10))
        return super().now()


@pytest.fixture
def clock() -> VirtualClock:
    return RunningClock(BEGIN)


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell that has three days of history: five visits, three of them done, three slots."""
    async with corridor(folder, pool, clock, RULES) as made:
        await made.begin()
        for name in ("roof", "gate", "fence", "secret", "shed"):
            visit = made.visit(name=name)
            await made.webhook(visit)
            await made.tick(minutes=1)
            if name in {"roof", "gate", "fence"}:
                await made.webhook(made.sandbox.kickserv.finish(str(visit["id"])))
        for _ in range(3 * 24 * 2):
            await made.tick(minutes=30)
            await made.deliver()
        yield made


async def replayed(taskbell: Corridor, since: datetime = BEGIN) -> Replayed:
    until = taskbell.clock.now() + timedelta(days=1)
    sketch = config.sketch(taskbell.folder / "taskbell.yaml", {})
    async with taskbell.pool.acquire() as connection, connection.transaction(readonly=True):
        texts = await history.rulesets(connection, since, until)
        replay = Replay(
            {version: past_rules(text, sketch) for version, text in texts.items()},
            sketch.zones,
            ways(sketch.kinds),
            await history.decisions(connection, since, until),
            await history.placed_before(connection, since),
            (),
        )
        known = history.tasks_at(connection, since)
        recorded = batches(history.events(connection, since, until))
        return await replay.run(known, recorded, lambda _: None)


async def rewrite(taskbell: Corridor, rule: str, reason: str) -> None:
    """Spoil what is on record of a rule: this is not the reason that it had."""
    await taskbell.pool.execute(
        """
        UPDATE decisions SET reason = $2 WHERE id = (
            SELECT max(id) FROM decisions WHERE rule = $1 AND reason LIKE '%digest of%'
               OR rule = $1 AND outcome = 'matched')
        """,
        rule,
        reason,
    )


async def test_it_all_comes_out_again(taskbell: Corridor) -> None:
    """Digests, one of them full, lists by schedule, and a slot that says nothing."""
    again = await replayed(taskbell)
    assert (again.missing, again.new, again.unproven) == ([], [], [])
    assert again.decisions == await taskbell.pool.fetchval("SELECT count(*) FROM decisions")
    told = await taskbell.pool.fetchval(
        "SELECT count(*) FROM decisions WHERE rule = 'done-lately' AND outcome = 'matched'"
    )
    assert told == 2


@pytest.mark.parametrize("minutes", range(6))
async def test_from_the_midst_of_an_open_digest(taskbell: Corridor, minutes: int) -> None:
    """What had begun before is left alone; nothing of it is said to come out otherwise."""
    again = await replayed(taskbell, BEGIN + timedelta(minutes=minutes))
    assert (again.missing, again.new, again.unproven) == ([], [], [])


async def test_a_digest_that_told_something_else(taskbell: Corridor) -> None:
    """A difference is a difference, also in what was told of several tasks."""
    await rewrite(taskbell, "done-lately", "combined message for the day: 7 tasks")
    again = await replayed(taskbell)
    assert [one.reason for one in again.missing] == ["combined message for the day: 7 tasks"]
    assert [one.reason for one in again.new] == ["combined message for the day: 1 task"]


async def test_a_schedule_that_chose_otherwise_is_without_proof(taskbell: Corridor) -> None:
    """A task that was taken up in silence counts as if it had always been there."""
    await happened.know(taskbell.pool, task("T9", account="field"), at=taskbell.clock.now())
    again = await replayed(taskbell)
    assert (again.missing, again.new) == ([], [])
    reading_all = {"nudge", "morning-list", "quiet-day", "busy-day", "nothing-left"}
    assert {one.rule for one in again.unproven} == reading_all
    said = [one.reason.rpartition(": ")[2] for one in again.unproven]
    assert {"2 of 5 tasks chosen", "3 of 6 tasks chosen"} <= set(said)


async def test_a_slot_that_should_have_had_something_to_say(taskbell: Corridor) -> None:
    """Nothing is on record of it, and the only rule that it can be of always speaks."""
    gone = await taskbell.pool.fetch("DELETE FROM decisions WHERE rule = 'hello' RETURNING event")
    again = await replayed(taskbell)
    assert {(one.rule, one.event) for one in again.new} == {("hello", row[0]) for row in gone}
    assert len(again.new) == len(gone)
