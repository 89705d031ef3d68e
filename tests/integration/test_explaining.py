"""Why a rule fired and why it did not, from what PostgreSQL has on record."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service import config
from service.clock import VirtualClock
from service.config import past_rules
from service.domain.model import State
from service.explain import Explanation, ExplanationStatus
from service.explain.explainer import explain
from service.explain.rule_versions import RuleVersions
from service.rules.language.trace import Trace, TraceStatus
from service.store import Pool
from service.store.tasks import Key
from service.store.views import task_history
from tests.harness.corridor import Corridor, corridor
from tests.harness.receivers import Answer

NEW_YORK = ZoneInfo("America/New_York")
RULES = """
- id: job-done
  when: task.completed
  if: [task.type == "job", task.title.contains("gutters")]
  then: [{ notify: "slack:#office", text: "{{ task.title }}", on_undo: update }]
- { id: late, when: { task.overdue: 2h }, hours: office, then: [{ notify: accounting }] }
- id: calm
  when: { task.changed: [title] }
  if: task.title.startsWith("Call")
  settle: 10m
  then: [{ notify: accounting }]
- { id: moved, when: { task.changed: [title, start, due] }, then: [{ notify: accounting }] }
- { id: off, when: task.created, enabled: false, then: [{ notify: accounting }] }
- { id: elsewhere, when: task.created, accounts: [london], then: [{ notify: accounting }] }
"""


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync, on a Friday at 7 in the morning in New York."""
    async with corridor(folder, pool, clock, RULES) as running:
        await running.begin()
        yield running


async def explained(
    taskbell: Corridor, raw: Any, rule: str, until: datetime | None = None
) -> Explanation:
    """What is said of this rule and this visit now, or of what happened until then."""
    key: Key = ("field", str(raw["id"]))
    async with taskbell.pool.acquire() as connection:
        papers = await task_history.read(connection, key)
    papers = papers if until is None else papers.until(until)
    sketch = config.sketch(taskbell.folder / "taskbell.yaml", {})
    then = {version: past_rules(text, sketch) for version, text in papers.texts.items()}
    rules, now = RuleVersions(sketch.rules, then), taskbell.clock.now()
    found = explain(rules, papers, NEW_YORK, now, papers.added_at)
    return next(one for one in found if one.rule == rule)


def told(one: Explanation) -> tuple[ExplanationStatus, str]:
    return one.standing, one.says


def values(trace: Trace) -> dict[str, Any]:
    """Each part by its text with what it came out as."""
    own = trace.value if trace.finding is TraceStatus.KNOWN else trace.finding
    return {trace.text: own} | {
        text: value for part in trace.parts for text, value in values(part).items()
    }


async def change(taskbell: Corridor, raw: Any, minutes: float = 1, **fields: Any) -> None:
    """Some minutes later the visit is changed, and a webhook tells so."""
    taskbell.clock.advance(timedelta(minutes=minutes))
    await taskbell.webhook(taskbell.sandbox.kickserv.change(str(raw["id"]), **fields))


async def test_from_nothing_to_sent_and_taken_back(taskbell: Corridor) -> None:
    """Nothing happened; it was planned; it is out; it was rewritten when the visit was reopened."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    assert told(await explained(taskbell, visit, "job-done")) == (
        ExplanationStatus.UNHEARD,
        "there was no task.completed since Fri 6 Mar 2026, 07:00; the task is open",
    )
    await change(taskbell, visit, completed_on="2026-03-06")
    found = await explained(taskbell, visit, "job-done")
    assert found.standing is ExplanationStatus.FIRED
    assert found.decision is not None
    assert found.decision.rules_version == taskbell.config.rules.version
    assert values(found.conditions[0]) == {'task.type == "job"': True, "task.type": "job"}
    assert [one.state for one in found.deliveries] == [State.PLANNED]
    await taskbell.deliver()
    await change(taskbell, visit, completed_on=None)
    await taskbell.deliver()
    after = (await explained(taskbell, visit, "job-done")).deliveries
    assert [(one.state, one.rewrites) for one in after] == [
        (State.SENT, None),
        (State.SENT, after[0].id),
    ]


async def test_what_did_not_match_is_decided_again(taskbell: Corridor) -> None:
    """It is on no record; the first condition that does not hold, with its parts, is the reason."""
    visit = taskbell.visit(task_type_id=2)
    await taskbell.webhook(visit)
    await change(taskbell, visit, completed_on="2026-03-06")
    found = await explained(taskbell, visit, "job-done")
    assert told(found) == (ExplanationStatus.NOT_MATCHED, 'task.type == "job" is not true')
    assert values(found.conditions[0])["task.type"] == "invoice"
    assert found.conditions[1].finding is TraceStatus.NOT_NEEDED
    assert (found.decision, found.deliveries) == (None, ())


async def test_the_last_event_is_the_one_that_is_explained(taskbell: Corridor) -> None:
    """Finished under another name it did not fire, finished once more it did."""
    visit = taskbell.visit(name="Clean the windows")
    await taskbell.webhook(visit)
    await change(taskbell, visit, completed_on="2026-03-06")
    first = await explained(taskbell, visit, "job-done")
    assert told(first)[0] is ExplanationStatus.NOT_MATCHED
    await change(taskbell, visit, completed_on=None)
    await change(taskbell, visit, name="Clean the gutters", completed_on="2026-03-06")
    second = await explained(taskbell, visit, "job-done")
    assert told(second)[0] is ExplanationStatus.FIRED
    assert second.heard == (first.event, second.event)


async def test_the_clock_before_and_after_it_rings(taskbell: Corridor) -> None:
    """When it will ring; that it rang and what it brought; that a done task has no alarms."""
    due = datetime(2026, 3, 6, 16, tzinfo=NEW_YORK)
    visit = taskbell.visit(scheduled_at=due - timedelta(hours=1), ends_at=due)
    await taskbell.webhook(visit)
    assert told(await explained(taskbell, visit, "late")) == (
        ExplanationStatus.UNHEARD,
        "acts Fri 6 Mar 2026, 18:00 if the task is still open and its due date has not changed",
    )
    taskbell.clock.set((due + timedelta(hours=2)).astimezone(UTC))
    assert "it will act at the next check" in (await explained(taskbell, visit, "late")).says
    await taskbell.tick(seconds=1)
    rang = await explained(taskbell, visit, "late")
    assert told(rang) == (ExplanationStatus.FIRED, "task.overdue")
    assert rang.clock == (
        "it was due Fri 6 Mar 2026, 18:00 and has already acted for this due date"
    )
    [held] = rang.deliveries
    assert (held.state, held.reason) == (
        State.HELD,
        "outside office hours: waiting until Mon 9 Mar 2026, 08:00",
    )
    await change(taskbell, visit, completed_on="2026-03-06")
    done = await explained(taskbell, visit, "late")
    assert done.clock == "the task is done; time-based rules apply to open tasks only"
    assert [one.reason for one in done.deliveries] == ["cancelled: the task was completed"]


async def test_the_clock_has_no_date_to_ring_by(taskbell: Corridor) -> None:
    """A visit that is due at no time."""
    visit = taskbell.visit(scheduled_at=None, ends_at=None)
    await taskbell.webhook(visit)
    assert (await explained(taskbell, visit, "late")).says == (
        "this rule needs the date due, which the task does not have"
    )


async def test_a_rule_that_settles(taskbell: Corridor) -> None:
    """It waits; what is left does not match; nothing is left; what is left matches."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    await change(taskbell, visit, name="Clean")
    await change(taskbell, visit, name="Clean all")
    assert told(await explained(taskbell, visit, "calm")) == (
        ExplanationStatus.SETTLING,
        "the rule decides at Fri 6 Mar 2026, 07:13, or later if the task changes again",
    )
    await taskbell.tick(minutes=11)
    left = await explained(taskbell, visit, "calm")
    assert told(left) == (
        ExplanationStatus.NOT_MATCHED,
        'task.title.startsWith("Call") is not true',
    )
    assert values(left.conditions[0])["task.title"] == "Clean all"
    assert left.event == left.heard[0]
    await change(taskbell, visit, name="Call Ida")
    await change(taskbell, visit, name="Clean all")
    await taskbell.tick(minutes=11)
    nothing = await explained(taskbell, visit, "calm")
    assert nothing.says == "the change was undone before the quiet period ended"
    assert nothing.decision is not None
    before = taskbell.clock.now()
    await change(taskbell, visit, minutes=60, name="Call Ida")
    await change(taskbell, visit, name="Call Ida Smith")
    await taskbell.tick(minutes=11)
    matched = await explained(taskbell, visit, "calm")
    assert matched.standing is ExplanationStatus.FIRED
    assert values(matched.conditions[0])["task.title"] == "Call Ida Smith"
    assert len(matched.deliveries) == 1
    assert await explained(taskbell, visit, "calm", until=before) == nothing


async def test_a_rule_that_waited_longer_than_it_had_to(taskbell: Corridor) -> None:
    """Workers were away when its time had come: what counts is when it was asked."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    await change(taskbell, visit, name="Call Ida")
    await change(taskbell, visit, minutes=30, name="Call Bo")
    await taskbell.tick(minutes=11)
    found = await explained(taskbell, visit, "calm")
    assert found.standing is ExplanationStatus.FIRED
    assert values(found.conditions[0])["task.title"] == "Call Bo"
    assert found.event == found.heard[0]


async def test_one_look_with_several_events(taskbell: Corridor) -> None:
    """Renamed and moved at once: the rule hears of both and speaks once."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    moved = taskbell.clock.now() + timedelta(days=9)
    await change(taskbell, visit, name="Other", scheduled_at=moved, ends_at=moved)
    found = await explained(taskbell, visit, "moved")
    assert found.standing is ExplanationStatus.FIRED
    assert len(found.heard) == 2
    assert found.decision is not None
    assert found.event == found.decision.event == found.heard[0]
    assert len(found.deliveries) == 1


async def test_rules_that_are_not_asked(taskbell: Corridor) -> None:
    """Switched off, or for others."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    assert (await explained(taskbell, visit, "off")).standing is ExplanationStatus.OFF
    assert told(await explained(taskbell, visit, "elsewhere")) == (
        ExplanationStatus.ELSEWHERE,
        "the rule is only for london",
    )


async def test_what_taskbell_has_written_itself(
    pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Of its own writing a rule does not hear, and that is said."""
    rules = """
    - { id: bump, when: task.created, then: [{ update_task: { title: Bumped } }] }
    - { id: renamed, when: { task.changed: [title] }, then: [{ notify: accounting }] }
    """
    async with corridor(folder, pool, clock, rules) as taskbell:
        await taskbell.begin()
        visit = taskbell.visit()
        await taskbell.webhook(visit)
        await taskbell.deliver()
        await taskbell.look_up()
        found = await explained(taskbell, visit, "renamed")
        assert found.standing is ExplanationStatus.UNHEARD
        assert found.notes == (
            (
                "one change was made by Taskbell itself. The rule ignores such changes"
                " (it would need own_writes: true)"
            ),
        )


async def test_a_rule_that_was_changed_since(taskbell: Corridor) -> None:
    """It is explained as it was when it was asked, and a reader is told that it is another now."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    await change(taskbell, visit, completed_on="2026-03-06")
    await taskbell.restart(RULES.replace('"gutters"', '"windows"'))
    found = await explained(taskbell, visit, "job-done")
    assert found.standing is ExplanationStatus.FIRED
    assert found.notes == ("the rule has changed since then; this shows the earlier version",)
    assert values(found.conditions[1])['task.title.contains("gutters")'] is True
    await taskbell.restart(RULES + "# ours")
    assert (await explained(taskbell, visit, "job-done")).notes == ()
    new = "- { id: new, when: task.created, then: [{ notify: accounting }] }"
    await taskbell.restart(RULES + new)
    assert (await explained(taskbell, visit, "job-done")).notes == ()


async def test_a_rule_that_came_later(taskbell: Corridor) -> None:
    """It would match what happened before it was there, and nobody says that it had fired."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    new = "- { id: new, when: task.created, then: [{ notify: accounting }] }"
    await taskbell.restart(RULES + new)
    assert told(await explained(taskbell, visit, "new")) == (
        ExplanationStatus.NOT_MATCHED,
        "when that happened, the rule did not exist yet or was triggered by something else",
    )


async def test_what_failed_says_why(taskbell: Corridor) -> None:
    """The other side's refusal is the delivery's reason."""
    taskbell.accounting.reply(Answer(410))
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    await change(taskbell, visit, name="Other")
    await taskbell.deliver()
    [failed] = (await explained(taskbell, visit, "moved")).deliveries
    assert failed.state is State.FAILED
    assert "410" in str(failed.reason)
