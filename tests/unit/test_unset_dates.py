"""Dates that a rule takes for sure and a task does not have: it does not fire, and says why."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.domain.model import Cause, Event, Kind, Task
from service.rules.selection import selection
from service.rules.verdict import Outcome, Verdict
from tests.harness.rule_files import configured
from tests.harness.tasks import task

NOW = datetime(2026, 3, 7, 2, 0, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
OVERDUE = "when: task.overdue"
RULE = """\
- id: r
  {when}
  {rest}
  then: [{{ notify: slack:#office, text: x }}]
"""
UNSURE = {
    "a condition": "if: task.due < now",
    "one of several conditions": "if: ['!task.done', task.due < now]",
    "once_per": "once_per: [task.id, date(task.due)]",
    "group": "group: { by: date(task.due), wait: 1h }",
    "a duration": 'if: now - task.due > duration("1h")',
}


def decided(folder: Path, rest: str, after: Task) -> Verdict:
    """What an overdue rule makes of a task that has lost its date since the alarm was set."""
    config = configured(folder, RULE.format(when=OVERDUE, rest=rest))
    rule = next(iter(config.rules))
    event = Event(
        1,
        "london",
        "T1",
        Kind.OVERDUE,
        NOW,
        Cause.CLOCK,
        after,
        after,
        alarm=str(rule.trigger.alarm),
    )
    (verdict,) = config.rules.decide(event, NOW, UTC_ZONE)
    return verdict


@pytest.mark.parametrize("name", UNSURE)
def test_it_does_not_fire(name: str, tmp_path: Path) -> None:
    """Wherever the date is read, nothing is planned, and the decision names what is not there."""
    verdict = decided(tmp_path, UNSURE[name], task())
    assert verdict.outcome is Outcome.FAILED
    assert verdict.plans == ()
    assert verdict.reason.endswith("task.due is not set")


@pytest.mark.parametrize("name", UNSURE)
def test_it_fires_where_the_date_is_there(name: str, tmp_path: Path) -> None:
    """What is asked of a date that is there comes out as before."""
    verdict = decided(tmp_path, UNSURE[name], task(due=NOW - timedelta(days=1)))
    assert verdict.outcome in {Outcome.MATCHED, Outcome.GATHERED}


def test_a_condition_behind_it_decides(tmp_path: Path) -> None:
    """Whether the date is there may be asked in a later condition: that is no failure."""
    rest = "if: [task.start < now, has(task.start)]"
    verdict = decided(tmp_path, rest, task(due=NOW))
    assert verdict == Verdict("r", Outcome.NOT_MATCHED, "has(task.start) is not true")


def test_until_does_not_end_by_1970(tmp_path: Path) -> None:
    """What cannot be told does not withdraw anything."""
    rules = configured(
        tmp_path, RULE.format(when=OVERDUE, rest='until: task.due < now - duration("240h")')
    ).rules
    assert not rules.until("r", task(), NOW)
    assert rules.until("r", task(due=NOW - timedelta(days=11)), NOW)


def test_for_each_must_ask() -> None:
    """A filter over tasks knows nothing of any of them."""
    chosen, problems = selection("tasks.filter(t, t.due < now)", ("for_each",))
    assert chosen is None
    assert [one.message for one in problems] == ["t.due may be missing"]


TEXTS = {
    "shown": ("{{ task.due | local }}.", "."),
    "compared": ("{% if task.due < now %}late{% else %}in time{% endif %}", "in time"),
    "asked for": (
        "{% if task.due and task.due < now %}late{% else %}no date{% endif %}",
        "no date",
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_does_not_say_1970(name: str, tmp_path: Path) -> None:
    """A date that is not there renders as nothing, and is never taken for an early one."""
    text, expected = TEXTS[name]
    rules = f"- id: r\n  when: task.created\n  then: [{{ notify: accounting, text: '{text}' }}]\n"
    event = Event(1, "london", "T1", Kind.CREATED, NOW, Cause.POLL, None, task())
    (verdict,) = configured(tmp_path, rules).rules.decide(event, NOW, UTC_ZONE)
    assert [plan.text for plan in verdict.plans] == [expected]
