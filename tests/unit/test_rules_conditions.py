"""Conditions: what may be read, how errors come out, and what stops a hostile one."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from cel_expr_python.cel import Activation

from service.domain.model import Cause, Event, Kind, Task
from service.rules.language.expressions import EvaluationError, Expression, condition, key
from service.rules.language.field_reads import by_noun
from service.rules.language.scope import Scope
from tests.harness.tasks import BO, SMITH, VIP, task

NOW = datetime(2026, 3, 7, 2, 0, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")


REGIONS = {"regions": ["north", "south"]}


def scope(text: str, after: Task, before: Task | None = None) -> Scope:
    event = Event(1, "london", "T1", Kind.CHANGED, NOW, Cause.POLL, before, after, ("due",))
    expression, _ = condition(text, (), {"before"})
    return Scope(event, NOW, NEW_YORK, by_noun([expression.reads] if expression else []))


def holds(text: str, after: Task, before: Task | None = None) -> bool:
    expression, problems = condition(text, (), {"before"})
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
        "has(before.id) && before.status != task.status",
        "!has(before.id) || !before.done",
        "has(before.assignee) && before.assignee.name == 'Bo'",
        "!has(before.assignee) && has(task.assignee)",
        "before.?status.orValue('') == 'open'",
        "'gate' in before.fields && before.fields.gate == 'x'",
        "'level' in task.customer.fields && task.customer.fields.level == 'gold'",
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


def test_tags_groups_and_fields_of_a_customer() -> None:
    """Those of the customer, not of the task; without a customer there are none."""
    for text in (
        "'vip' in task.customer.tags && !('vip' in task.tags)",
        "'North' in task.customer.groups",
        "has(task.customer.fields.level) && task.customer.fields.level == 'gold'",
        "'visits' in task.customer.fields && task.customer.fields.visits == 0",
        "task.contacts.exists(c, 'vip' in c.tags)",
    ):
        assert holds(text, task(customer=VIP, contacts=(VIP,)))
        assert not holds(text, task(customer=SMITH, contacts=(SMITH,)))
        assert not holds(text, task())


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
        ("before.status == 'waiting'", "before.status"),
        ("!has(before.id) && before.done", "before.done"),
        ("before.assignee.name == 'Bo'", "before.assignee.name"),
        ("'vip' in before.tags", "before.tags"),
        ("before.assignees.exists(p, p.name == 'Bo')", "before.assignees"),
        ("before.due < now", "before.due"),
        ("before.fields.gate == 'x'", "before.fields.gate"),
        ("before == task", "before"),
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


UNSET = ("due", "start", "end", "created_at", "updated_at", "completed_at")
READINGS = (
    "{} < now",
    "{} <= timestamp('1999-01-01T00:00:00Z')",
    "now - {} > duration('1h')",
    "date({}) == '1970-01-01'",
    "{}.getFullYear() == 1970",
    "string({}) != ''",
    "int({}) == 0",
    "[{}].exists(d, d < now)",
    "task.done ? true : {} < now",
    "'😀' != '' && {} < now",
    "{} == before.due || {} < now",
)


@pytest.mark.parametrize("noun", ["task", "before"])
@pytest.mark.parametrize("name", UNSET)
@pytest.mark.parametrize("reading", READINGS)
def test_a_date_that_is_not_set_is_never_1970(reading: str, name: str, noun: str) -> None:
    """What was said to be sure and is not there leaves the expression undecided, and says so."""
    text = reading.replace("{}", f"{noun}.{name}")
    known = {f"{noun}.{one}" for noun in ("task", "before") for one in UNSET}
    expression, problems = condition(text, (), known)
    assert expression is not None, problems
    with pytest.raises(EvaluationError, match=f"{noun}.{name}.* is not set"):
        expression.test(scope_of(expression), NEW_YORK)


def scope_of(expression: Expression) -> Activation:
    """What an expression sees of a task that was not there before and of which nothing is known."""
    event = Event(1, "london", "T1", Kind.CREATED, NOW, Cause.POLL, None, task())
    return Scope(event, NOW, NEW_YORK, by_noun([expression.reads])).activation


FAILING = {
    "task.fields.n > 3": "the task has no n",
    "task.fields['a b'] > 3": "the task has no a b",
    "task.tags[0] == 'x'": "item 0 does not exist in a list of 0",
    "1 / size(task.tags) > 0": "it divides by zero",
    "9223372036854775807 + size(task.title) > 0": "a number or a date becomes too large",
    "int(task.title) > 3": "a text that it reads is not a number",
    "timestamp(task.title) > now": "a text that it reads is not a date",
    "duration(task.title) > duration('1h')": "a text that it reads is not a duration",
    "now.getHours(task.title) == 3": "a text that it reads is not a time zone",
    "dyn(task.title) > 3": "a value that it reads has the wrong kind",
    "optional.none().value() == 3": "a value that it needs is not set",
    "dyn(task.title).exists(t, true)": "a value that it reads has the wrong kind",
    "[1, 2].exists_one(t, t / 0 == 1)": "it divides by zero",
}


@pytest.mark.parametrize("text", FAILING)
def test_what_fails_is_said_in_plain_words(text: str) -> None:
    """Whatever CEL says of it, a person reads what is wrong with which expression."""
    expression, problems = condition(text, (), ["task.fields.n", "task.fields.a b"])
    assert expression is not None, problems
    with pytest.raises(EvaluationError) as raised:
        expression.test(scope_of(expression), NEW_YORK)
    assert str(raised.value) == f"{text}: {FAILING[text]}"


REFUSED = (
    "'abc",
    "task.title == “x”",
    "task.title\u00a0== 'x'",
    "-task.title == 'x'",
    "task.title in 'abc'",
    "task.foo()",
    "foo.bar",
    "task.title.size",
    "has(task)",
    "has(3)",
    "tasks.filter(3, true)",
    "tasks.map(t, t.title)",
    "Task{}",
    "taskbell.Task{titel: 'x'}.done",
    "google.protobuf.Foo{}",
    "task.?due",
    "task.?due.orValue('x')",
    "optional.of(3)",
    "task.title.startsWith()",
    "matches(task.title)",
    "if",
    "let x = 3",
    "99999999999999999999",
    "task[title]",
    "task['title']",
    "task.assignees[0.5].name == 'x'",
    "cel.bind(x, 3, x)",
    "task.title.exists(t, true)",
    "task.done ? 'a' : 2",
    "{1: 2, 'a': 3}",
    "b'x'",
    "type(task)",
    "duration('1h') * 2",
    "string(task.tags) == 'x'",
)
# Words of CEL's own messages, and of its types.
FOREIGN = re.compile(
    r"overload|undeclared|operand|google\.|ERROR|struct|<input>|optional|protobuf|_[a-z?:]*_"
    r"|comprehension|literal|identifier|argument|\[INVALID|list\(|dyn|token"
)


@pytest.mark.parametrize("text", REFUSED)
def test_no_word_of_cel_reaches_a_person(text: str) -> None:
    """Whatever is wrong with an expression is said in the words of rules."""
    _, problems = condition(text, ("if",))
    assert problems
    for one in problems:
        said = f"{one.message} {one.hint}"
        for part in re.findall(r"[\w.]+", text):
            said = said.replace(part, "")
        assert not FOREIGN.search(said), said
