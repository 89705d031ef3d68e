"""Conditions: what may be read, how errors come out, and what stops a hostile one."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from service.model import Cause, Event, Kind, Task
from service.rules.expressions import EvaluationError, condition, key
from service.rules.reads import by_noun
from service.rules.scope import Scope
from tests.tasks import BO, SMITH, task

NOW = datetime(2026, 3, 7, 2, 0, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")


REGIONS = {"regions": ["north", "south"]}


def scope(text: str, after: Task, before: Task | None = None) -> Scope:
    event = Event(1, "london", "T1", Kind.CHANGED, NOW, Cause.POLL, before, after, ("due",))
    expression, _ = condition(text, ())
    return Scope(event, NOW, NEW_YORK, by_noun([expression.reads] if expression else []))


def holds(text: str, after: Task, before: Task | None = None) -> bool:
    expression, problems = condition(text, ())
    assert expression is not None, problems
    return expression.test(scope(text, after, before).activation, NEW_YORK)


@pytest.mark.parametrize(
    "text",
    [
        "has(task.due) && task.due < now",
        "task.due < now && has(task.due)",
        "!has(task.due) || task.due < now",
        "has(task.due) ? task.due < now : false",
        "task.?due.orValue(now) < now",
        "has(task.fields.gate) && task.fields.gate == 'x'",
        "'Gate code' in task.fields && task.fields['Gate code'] == 'x'",
        "has(before.start) && has(task.start) && task.start - before.start > duration('30m')",
        "[task].exists(t, has(t.due) && t.due < now)",
    ],
)
def test_guarded_reads(text: str) -> None:
    """A date or a custom field may be read wherever something makes sure that it is there."""
    assert condition(text, ())[1] == []


def test_a_field_may_hold_several() -> None:
    """Of a field with several choices a condition asks for one."""
    asked = "has(task.fields.regions) && '{}' in task.fields.regions"
    assert holds(asked.format("north"), task(fields=REGIONS))
    assert not holds(asked.format("east"), task(fields=REGIONS))


def test_who_did_it_and_whether_it_was_put_away() -> None:
    """Both are read like any other field."""
    done = task(done=True, archived=True, completed_by=BO)
    assert holds("task.archived && task.completed_by.email == 'bo@x.test'", done)
    assert not holds("task.archived || has(task.completed_by)", task())


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("task.due < now", "task.due"),
        ("has(task.due) || task.due < now", "task.due"),
        ("!has(task.due) && task.due < now", "task.due"),
        ("has(before.due) && task.due < now", "task.due"),
        ("has(task.due) ? false : task.due < now", "task.due"),
        ("task.fields.gate == 'x'", "task.fields.gate"),
        ("task.fields['gate'] == 'x'", "task.fields.gate"),
        ("[task].exists(t, t.due < now)", "t.due"),
        ("task.due.getHours() > 3", "task.due"),
    ],
)
def test_unguarded_reads(text: str, name: str) -> None:
    """One that nothing guards is refused: CEL would read 1970, or fail."""
    (problem,) = condition(text, ())[1]
    assert problem.message == f"{name} may be missing"


def test_what_the_trigger_guarantees() -> None:
    """A due date that the trigger is about needs no guard."""
    assert condition("task.due < now", (), {"task.due"})[1] == []


def test_missing_things_are_empty() -> None:
    """Texts, people and flags that are not there are empty and false, in the task before too."""
    assert holds("task.type == '' && !task.customer.opted_out && before.title == ''", task())
    assert not holds("has(task.assignee) || has(before.id)", task())
    assert holds("task.assignee.email == 'bo@x.test'", task(assignee=BO))


def test_lists_and_custom_fields() -> None:
    """Tags, people and custom fields can be searched."""
    one = task(tags=("vip",), assignees=(BO,), customer=SMITH, fields={"Gate": 7})
    assert holds("'vip' in task.tags && task.assignees.exists(p, p.name == 'Bo')", one)
    assert holds("'Gate' in task.fields && task.fields['Gate'] == 7", one)
    assert holds("event.kind == 'changed' && 'due' in event.changed", one)


def test_date_is_the_accounts_day() -> None:
    """`date` is the day on the account's calendar, not in UTC."""
    expression, _ = key("date(now)", ())
    assert expression is not None
    assert expression.key(scope("true", task()).activation, NEW_YORK) == "2026-03-06"


@pytest.mark.parametrize(
    "text",
    [
        "1 / size(task.tags) == 1",
        "dyn(task.title)",
        "task.assignees[0].name == 'Bo'",
        "duration(task.title) > duration('1s')",
    ],
)
def test_error_is_told(text: str) -> None:
    """An expression without a value for this task is an error with its text, never `true`."""
    expression, problems = condition(text, ())
    assert expression is not None, problems
    with pytest.raises(EvaluationError) as caught:
        expression.test(scope(text, task()).activation, NEW_YORK)
    assert str(caught.value).startswith(text)
