"""Why a task was told of with others, and why it was not, from what PostgreSQL has on record."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service import config
from service.clock import VirtualClock
from service.config import past_rules
from service.domain.model import State
from service.explain import Explanation, ExplanationStatus
from service.explain.explainer import explain
from service.explain.rule_versions import RuleVersions
from service.store import Pool
from service.store.views import task_history
from tests.harness.corridor import Corridor, begun

NEW_YORK = ZoneInfo("America/New_York")
# It is Friday, a minute past seven in New York, when the first of the tests' visits is told of.
DONE = """
- id: done-lately
  when: task.completed
  if: task.title != "secret"
  group: { by: "'the day'", wait: 30m, max: 3 }
  then: [{ notify: "slack:#office", text: "{{ group.tasks | map: 'title' | join: ', ' }}" }]
- id: late
  when: task.overdue
  group: { by: "'all'", wait: 1h }
  then: [{ notify: "slack:#office", text: "{{ group.size }} late" }]
- id: calm
  when: { task.changed: [title] }
  settle: 10m
  group: { by: task.title, wait: 30m }
  then: [{ notify: "slack:#office", text: "{{ group.size }} called {{ group.key }}" }]
"""
SCHEDULES = """
- id: daily
  when: { schedule: "30 7 * * 1-5" }
  accounts: [field]
  then: [{ notify: "slack:#office", text: "Good morning" }]
- id: nudge
  when: { schedule: "30 7 * * 1-5" }
  accounts: [field]
  for_each: tasks.filter(t, !t.done && has(t.due) && t.due < now + duration("24h"))
  if: task.title != "secret"
  then: [{ notify: "slack:#office", text: "Today: {{ task.title }}" }]
- id: morning-list
  when: { schedule: "30 7 * * 1-5" }
  accounts: [field]
  for_each: tasks.filter(t, !t.done && has(t.due) && t.due < now + duration("24h"))
  if: task.title != "secret"
  group: { by: task.title }
  then: [{ notify: "slack:#office", text: "{{ group.key }}" }]
- id: quiet
  when: { schedule: "30 7 * * 1-5" }
  accounts: [field]
  if: "!tasks.exists(t, t.done)"
  then: [{ notify: "slack:#office", text: "Nothing done yet" }]
"""


@pytest.fixture
async def digests(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, DONE) as made:
        yield made


@pytest.fixture
async def mornings(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    async with begun(folder, pool, clock, SCHEDULES) as made:
        yield made


async def explained(
    taskbell: Corridor, number: str, rule: str, until: datetime | None = None
) -> Explanation:
    """What is said of this rule and this visit now, or of what happened until then."""
    sketch = config.sketch(taskbell.folder / "taskbell.yaml", {})
    async with taskbell.pool.acquire() as connection:
        papers = await task_history.read(connection, ("field", number), sketch.rules.crons, until)
    papers = papers if until is None else papers.until(until)
    then = {version: past_rules(text, sketch) for version, text in papers.texts.items()}
    now = taskbell.clock.now()
    found = explain(RuleVersions(sketch.rules, then), papers, NEW_YORK, now, papers.added_at)
    return next(one for one in found if one.rule == rule)


def told(one: Explanation) -> tuple[ExplanationStatus, str]:
    return one.standing, one.says


def names(one: Explanation) -> list[str]:
    """The titles of what is in its open digest."""
    return [] if one.digest is None else [task.title for task in one.digest.tasks]


async def visit(taskbell: Corridor, name: str, **until: float) -> str:
    """A visit of this name that is due in so long; its number."""
    end = taskbell.clock.now() + timedelta(**until)
    made = taskbell.visit(name=name, scheduled_at=end - timedelta(hours=1), ends_at=end)
    await taskbell.webhook(made)
    return str(made["id"])


async def finish(taskbell: Corridor, name: str) -> str:
    number = await visit(taskbell, name, days=1)
    await taskbell.tick(minutes=1)
    await taskbell.webhook(taskbell.sandbox.kickserv.finish(number))
    return number


async def pass_by(taskbell: Corridor, **time: float) -> None:
    await taskbell.tick(**time)
    await taskbell.deliver()


async def test_gathered_and_then_told(digests: Corridor) -> None:
    """While the digest is open: what it holds, and until when; then what told it, and when."""
    first, second = await finish(digests, "roof"), await finish(digests, "gate")
    for number in (first, second):
        waits = await explained(digests, number, "done-lately")
        assert waits.standing is ExplanationStatus.GATHERED
        assert waits.says.endswith("; added to the combined message for the day")
        assert waits.digest is not None
        assert waits.digest.closes_at == datetime(2026, 3, 6, 7, 32, tzinfo=NEW_YORK)
        assert names(waits) == ["roof", "gate"]
        assert waits.deliveries == ()
    await pass_by(digests, minutes=30)
    for number in (first, second):
        out = await explained(digests, number, "done-lately")
        assert told(out) == (ExplanationStatus.FIRED, "combined message for the day: 2 tasks")
        assert out.digest is not None
        assert out.digest.told_at == digests.clock.now()
        assert [one.state for one in out.deliveries] == [State.SENT]


async def test_reasons_of_an_earlier_version_are_understood(digests: Corridor) -> None:
    """It named digests otherwise; a task is found in its digest all the same, old or new."""
    first = await finish(digests, "roof")
    await digests.pool.execute(
        "UPDATE decisions SET reason ="
        " replace(reason, 'added to the combined message for', 'told with others of')"
    )
    second = await finish(digests, "gate")
    for number in (first, second):
        assert names(await explained(digests, number, "done-lately")) == ["roof", "gate"]


async def test_what_is_not_gathered(digests: Corridor) -> None:
    """The rule's condition refused it, as it would without a digest."""
    number = await finish(digests, "secret")
    found = await explained(digests, number, "done-lately")
    assert told(found) == (ExplanationStatus.NOT_MATCHED, 'task.title != "secret" is not true')
    assert found.digest is None


async def test_a_full_digest_and_the_one_after_it(digests: Corridor) -> None:
    """Three are told of; the fourth waits in a digest of its own."""
    numbers = [await finish(digests, name) for name in ("a", "b", "c", "d")]
    await pass_by(digests)
    third, fourth = [await explained(digests, one, "done-lately") for one in numbers[2:]]
    assert told(third) == (ExplanationStatus.FIRED, "combined message for the day: 3 tasks")
    assert (fourth.standing, names(fourth)) == (ExplanationStatus.GATHERED, ["d"])
    await pass_by(digests, minutes=30)
    third, fourth = [await explained(digests, one, "done-lately") for one in numbers[2:]]
    assert told(third) == (ExplanationStatus.FIRED, "combined message for the day: 3 tasks")
    assert told(fourth) == (ExplanationStatus.FIRED, "combined message for the day: 1 task")
    assert third.deliveries != fourth.deliveries


async def test_left_out_of_a_digest(digests: Corridor) -> None:
    """Late, and done before the digest was told: it says so beforehand, and afterwards why."""
    number = await visit(digests, "roof", hours=1)
    other = await visit(digests, "gate", hours=1)
    await pass_by(digests, hours=1, minutes=1)
    await digests.webhook(digests.sandbox.kickserv.finish(number))
    before = await explained(digests, number, "late")
    assert before.standing is ExplanationStatus.GATHERED
    assert before.notes == (f"as the task is now, it would be left out: {number} is done",)
    await pass_by(digests, hours=1)
    left_out = await explained(digests, number, "late")
    assert told(left_out) == (
        ExplanationStatus.NOT_MATCHED,
        (
            "the task was left out of the combined message for all, Fri 6 Mar 2026, 09:02:"
            f" {number} is done"
        ),
    )
    assert (await explained(digests, other, "late")).says.startswith(
        "combined message for all: 1 task; left"
    )


async def test_a_rule_that_settles_before_it_gathers(digests: Corridor) -> None:
    """It waits until it is quiet; then it is gathered by what is left of the change."""
    number = await visit(digests, "roof", days=1)
    await digests.tick(minutes=1)
    await digests.webhook(digests.sandbox.kickserv.change(number, name="gate"))
    assert (await explained(digests, number, "calm")).standing is ExplanationStatus.SETTLING
    await pass_by(digests, minutes=11)
    gathered = await explained(digests, number, "calm")
    assert (gathered.standing, names(gathered)) == (ExplanationStatus.GATHERED, ["gate"])
    await pass_by(digests, minutes=31)
    assert told(await explained(digests, number, "calm")) == (
        ExplanationStatus.FIRED,
        "combined message for gate: 1 task",
    )


async def test_what_came_earlier_is_explained_as_it_went_on(digests: Corridor) -> None:
    """Asked about the first completion, it is the first digest; about the last, the last."""
    number = await finish(digests, "roof")
    first = digests.clock.now()
    await pass_by(digests, minutes=31)
    await digests.webhook(digests.sandbox.kickserv.change(number, completed_on=None))
    await digests.tick(minutes=1)
    await digests.webhook(digests.sandbox.kickserv.finish(number))
    assert (await explained(digests, number, "done-lately")).standing is ExplanationStatus.GATHERED
    earlier = await explained(digests, number, "done-lately", first)
    assert told(earlier) == (ExplanationStatus.FIRED, "combined message for the day: 1 task")


async def test_a_schedule_about_no_task(mornings: Corridor) -> None:
    """When it came and comes, and what it sent."""
    number = await visit(mornings, "roof", hours=5)
    before = await explained(mornings, number, "daily")
    assert told(before) == (
        ExplanationStatus.UNHEARD,
        "the schedule has no recorded run yet",
    )
    assert before.clock == "has not run yet; next run Fri 6 Mar 2026, 07:30"
    await pass_by(mornings, minutes=29)
    after = await explained(mornings, number, "daily")
    assert told(after) == (ExplanationStatus.NO_TASK, "schedule 30 7 * * 1-5")
    assert after.clock == "last run Fri 6 Mar 2026, 07:30; next run Mon 9 Mar 2026, 07:30"
    assert [one.state for one in after.deliveries] == [State.SENT]


async def test_a_schedule_that_asks_about_all_tasks(mornings: Corridor) -> None:
    """The answers and the number of tasks are in the reason, whether it fired or not."""
    number = await visit(mornings, "roof", hours=5)
    await pass_by(mornings, minutes=29)
    asked = "tasks.exists(t, t.done)"
    fired = await explained(mornings, number, "quiet")
    assert fired.says == f"schedule 30 7 * * 1-5, and !{asked}; {asked} is false (1 task)"
    assert [one.state for one in fired.deliveries] == [State.SENT]
    await finish(mornings, "gate")
    await pass_by(mornings, days=3)
    after = await explained(mornings, number, "quiet")
    assert after.says == f"!{asked} is not true; {asked} is true (2 tasks)"
    assert after.deliveries == ()


async def test_a_schedule_for_each_of_some_tasks(mornings: Corridor) -> None:
    """Chosen and told; chosen and refused by `if`; not chosen; not there yet."""
    numbers = [await visit(mornings, name, hours=5) for name in ("roof", "secret")]
    far = await visit(mornings, "gate", days=5)
    await pass_by(mornings, minutes=29)
    await mornings.tick(minutes=1)
    late = await visit(mornings, "fence", hours=5)
    roof, secret, gate, fence = [
        await explained(mornings, one, "nudge") for one in (*numbers, far, late)
    ]
    assert roof.standing is ExplanationStatus.FIRED
    assert [one.state for one in roof.deliveries] == [State.SENT]
    assert told(secret) == (ExplanationStatus.NOT_MATCHED, 'task.title != "secret" is not true')
    assert told(gate) == (
        ExplanationStatus.NOT_MATCHED,
        "the task was not among those that the rule selects (for_each)",
    )
    assert told(fence) == (ExplanationStatus.NOT_MATCHED, "the task did not exist")
    assert gate.schedule is not None
    assert [one.title for one in gate.schedule.chosen] == ["roof", "secret"]
    assert gate.schedule.said == ("schedule 30 7 * * 1-5: 2 of 3 tasks chosen",)


async def test_a_list_by_schedule(mornings: Corridor) -> None:
    """In the digest of its key, with what that sent; the others by the reason for each."""
    numbers = [await visit(mornings, name, hours=5) for name in ("roof", "gate", "secret")]
    far = await visit(mornings, "fence", days=5)
    await pass_by(mornings, minutes=29)
    await mornings.tick(minutes=1)
    await mornings.webhook(mornings.sandbox.kickserv.finish(numbers[0]))
    roof, gate, secret, fence = [
        await explained(mornings, one, "morning-list") for one in (*numbers, far)
    ]
    assert told(roof) == (ExplanationStatus.FIRED, "combined message for roof: 1 task")
    assert told(gate) == (ExplanationStatus.FIRED, "combined message for gate: 1 task")
    assert [len(one.deliveries) for one in (roof, gate)] == [1, 1]
    assert roof.deliveries != gate.deliveries
    assert told(secret) == (ExplanationStatus.NOT_MATCHED, 'task.title != "secret" is not true')
    assert told(fence) == (
        ExplanationStatus.NOT_MATCHED,
        "the task was not among those that the rule selects (for_each)",
    )
    # As earlier versions wrote it.
    await mornings.pool.execute(
        "UPDATE decisions SET reason = replace(reason, 'combined message for', 'digest of')"
    )
    earlier = await explained(mornings, numbers[0], "morning-list")
    assert told(earlier) == (ExplanationStatus.FIRED, "digest of roof: 1 task")
