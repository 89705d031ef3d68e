"""`for_each`: which filters are sound, what they read, and what they take."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from service.rules.language.expressions import EvaluationError
from service.rules.selection import selection
from tests.harness.tasks import BO, task

NOW = datetime(2026, 3, 7, 2, 0, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
DUE = 'tasks.filter(t, !t.done && has(t.due) && t.due < now + duration("24h"))'


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (DUE, {"done", "due"}),
        ("tasks.filter(one, has(one.assignee) && one.assignee.name == 'Bo')", {"assignee"}),
        ("tasks.filter(t, t.tags.exists(tag, tag == 'urgent'))", {"tags"}),
        ("tasks.filter(t, true)", set()),
        ("tasks.filter(t, has(t.start) && date(t.start) == date(now))", {"start"}),
    ],
)
def test_a_filter_knows_what_it_reads(text: str, fields: set[str]) -> None:
    """So that nothing else of a hundred thousand tasks need be converted."""
    chosen, problems = selection(text, ())
    assert problems == []
    assert chosen is not None
    assert chosen.fields == fields


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks.filter(t, t.due < now)", "t.due may be missing"),
        ("tasks.filter(t, t.titel == 'x')", "a task has no titel"),
        (
            "tasks.filter(t, t.title == 3)",
            "t.title is text and 3 is a number; they cannot be compared with ==",
        ),
        ("tasks.filter(t, t.title)", "not text"),
        ("size(tasks) > 3", "for_each must be a filter over tasks, not true or false"),
        ("tasks", "for_each must be one filter over tasks"),
        ("tasks.map(t, t)", "for_each must be one filter over tasks"),
        ("tasks.filter(t, t.done).filter(t, true)", "for_each must be one filter over tasks"),
        ("tasks.filter(t, size(tasks) > 3)", "for_each must be one filter over tasks"),
        ("tasks.filter(t, t.id == task.id)", "task cannot be used here"),
        ("[tasks[0]]", "for_each must be one filter over tasks"),
    ],
)
def test_what_is_no_filter_says_why(text: str, message: str) -> None:
    """A filter has to say the same of a task whatever stands beside it."""
    chosen, problems = selection(text, ())
    assert chosen is None
    assert message in problems[0].message


def test_a_filter_takes_what_it_is_true_of() -> None:
    """One task after the other, in the account's zone."""
    due, _ = selection(DUE, ())
    today, _ = selection("tasks.filter(t, has(t.start) && date(t.start) == '2026-03-06')", ())
    assert due is not None
    assert today is not None
    soon = task(due=NOW + timedelta(hours=3), start=NOW, assignee=BO)
    assert due.takes(soon, NOW, NEW_YORK)
    assert not due.takes(task(due=NOW + timedelta(days=3)), NOW, NEW_YORK)
    assert not due.takes(task(), NOW, NEW_YORK)
    assert today.takes(soon, NOW, NEW_YORK)


def test_a_filter_without_a_value_says_so() -> None:
    """A task for which the filter has no value is not chosen, and the reason names it."""
    chosen, _ = selection("tasks.filter(t, 1 / size(t.title) == 1)", ())
    assert chosen is not None
    with pytest.raises(EvaluationError, match="divides by zero"):
        chosen.takes(task(title=""), NOW, NEW_YORK)
