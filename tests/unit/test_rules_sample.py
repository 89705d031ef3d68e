"""What a rule would send about a task, as if its event came now."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.domain.model import Cause, Event, Kind, Task
from service.rules.rule import Rule
from service.rules.sample import Sample, sample
from tests.harness.rule_files import configured
from tests.harness.tasks import START, task

HOUR = timedelta(hours=1)
LONDON = ZoneInfo("Europe/London")


def rule(folder: Path, when: str, *more: str, text: str = "hi {{ task.title }}") -> Rule:
    lines = ("- id: r", f"when: {when}", *more, f'then: [{{ notify: "slack:#o", text: "{text}" }}]')
    found = configured(folder, "\n  ".join(lines)).rules.get("r")
    assert found is not None
    return found


def shown(one: Rule, about: Task | None = None, *happened: Event) -> Sample:
    return sample(one, about or task("T1", title="Paint"), happened, START, LONDON)


def event(kind: Kind, at: datetime, **changed: Any) -> Event:
    then = task("T1", title="Then")
    given: dict[str, Any] = {"before": then, "after": then, **changed}
    return Event(5, "london", "T1", kind, at, Cause.POLL, **given)


def test_the_last_event_that_triggers_it_is_taken(tmp_path: Path) -> None:
    """With what was before it, and with the task as it is now."""
    one = rule(tmp_path, "task.rescheduled", text="{{ before.title }}, {{ task.title }}")
    early = event(Kind.RESCHEDULED, START - 3 * HOUR, before=task("T1", title="First"))
    last = event(Kind.RESCHEDULED, START - 2 * HOUR)
    other = event(Kind.REASSIGNED, START - HOUR)
    found = shown(one, None, early, last, other)
    assert (found.event.id, found.event.at, found.refusal) == (5, START, None)
    assert [plan.text for plan in found.plans] == ["Then, Paint"]


@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        (("accounts: [field]",), "the rule is only for field"),
        (('if: task.title == "x"',), 'task.title == "x" is not true'),
        (('if: task.title == "Paint"',), None),
    ],
)
def test_why_it_would_not_act_is_told_and_it_is_rendered(
    tmp_path: Path, more: tuple[str, ...], refusal: str | None
) -> None:
    """Its accounts and its conditions are no reason to show nothing."""
    found = shown(rule(tmp_path, "task.completed", *more))
    assert found.refusal == refusal
    assert [plan.text for plan in found.plans] == ["hi Paint"]


def test_a_task_that_for_each_leaves_out_is_told(tmp_path: Path) -> None:
    """At the next time of its schedule, for this task alone."""
    one = rule(tmp_path, '{ schedule: "0 18 * * *" }', "for_each: tasks.filter(t, !t.done)")
    assert shown(one).refusal is None
    found = shown(one, task("T1", title="Paint", done=True))
    assert found.refusal == "its for_each does not choose the task"
    assert [plan.send_at for plan in found.plans] == [START + 6 * HOUR]


@pytest.mark.parametrize(
    ("when", "more", "hours"),
    [
        ("task.completed", (), 0),
        ("task.completed", ("settle: 2h",), 2),
        ("task.changed", ('if: task.title == "Paint"', "for: 3h"), 3),
        ("{ task.due_soon: 1h }", (), 7),
        ("task.overdue", (), 8),
    ],
)
def test_waits_and_alarms_count_from_now(
    tmp_path: Path, when: str, more: tuple[str, ...], hours: int
) -> None:
    """An alarm that is to come is taken when it comes, one that is past comes now."""
    one = rule(tmp_path, when, *more)
    due = task("T1", title="Paint", due=START + 8 * HOUR)
    assert [plan.send_at for plan in shown(one, due).plans] == [START + hours * HOUR]
    late = task("T1", title="Paint", due=START - 8 * HOUR)
    expected = START + hours * HOUR if one.trigger.alarm is None else START
    assert [plan.send_at for plan in shown(one, late).plans] == [expected]


def test_what_cannot_be_rendered_says_why(tmp_path: Path) -> None:
    """No message is made up."""
    found = shown(rule(tmp_path, "task.created", text="{{ task.title | divided_by: 0 }}"))
    assert found.plans == ()
    assert found.failure
