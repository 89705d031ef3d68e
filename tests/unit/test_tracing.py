"""Why a condition came out as it did: each part of it by itself, and none that did not count."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.model import Cause, Event, Kind, Task
from service.rules.language.expressions import EvaluationError, Expression, syntax
from service.rules.language.field_reads import by_noun, reads
from service.rules.language.scope import Scope
from service.rules.language.source_spans import Span, SpanFinder
from service.rules.language.syntax_tree import children, node_kind
from service.rules.language.trace import Trace, TraceStatus
from service.rules.language.tracing import trace
from tests.harness.tasks import BO, START, task, tasks

NEW_YORK = ZoneInfo("America/New_York")

TRUTHS = [
    "task.done",
    "has(task.due)",
    "(has(before.assignee))",
    'task.title == "a, (b"',
    "task.due < now + duration('24h')",
    'task.type in ["job", "visit"]',
    '"x" in task.fields && task.fields.x == "north"',
    'task.fields["x"] == 1',
    "1 / size(task.title) == 1",
    'task.tags.exists(t, t == "a)" || t.startsWith("("))',
    '(task.tags + ["x"]).all(t, size(t) > 2)',
    "date(task.due + duration('1h')) == date( now )",
    'task.title.contains("b")',
    "size(task.assignees.filter(a, has(a.email))) - 1 >= -(0)",
    "task.assignee.name.matches(task.title)",
    'task.?type.orValue("x") == "é"',
    "true",
    'size([task.title, "x"]) == 2',
    '{"k": task.title}["k"] != "(" // a remark: (\n',
]


def _joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(parts, st.sampled_from([" && ", "||", "\n  && ", " || "]), parts)
    return st.one_of(
        two.map("".join),
        parts.map("({})".format),
        parts.map("!( {} )".format),
        parts.map("!({}) == task.done".format),
        st.tuples(parts, parts, parts).map(lambda three: "({} ? {} : ({}))".format(*three)),
    )


conditions = st.recursive(st.sampled_from(TRUTHS), _joined, max_leaves=6)


def seen(text: str, now: Task, before: Task | None = None) -> tuple[Expression, Scope]:
    """A condition, and what it sees of a task that was changed."""
    expression = Expression(text, frozenset(reads(syntax(text).root)))
    event = Event(1, "london", "T1", Kind.CHANGED, START, Cause.POLL, before, now)
    return expression, Scope(event, START, NEW_YORK, by_noun([expression.reads]))


def every(one: Trace) -> Iterator[Trace]:
    yield one
    for part in one.parts:
        yield from every(part)


def written(one: Trace, depth: int = 0) -> list[str]:
    """A line for each part, indented, with what it came out as."""
    value = {TraceStatus.KNOWN: repr(one.value), TraceStatus.FAILED: one.reason}.get(one.finding)
    line = f"{'  ' * depth}{one.text} -> {value or one.finding}"
    return [line, *(line for part in one.parts for line in written(part, depth + 1))]


@given(text=conditions, now=tasks, before=st.none() | tasks)
def test_the_whole_comes_out_as_the_rule_had_it(text: str, now: Task, before: Task | None) -> None:
    """True, false, or no answer with the same reason: as `test`, which rules ask."""
    expression, scope = seen(text, now, before)
    found = trace(expression, scope)
    if found.finding is TraceStatus.FAILED:
        with pytest.raises(EvaluationError, match=re.escape(str(found.reason))):
            expression.test(scope.activation, scope.zone)
    else:
        assert found.value is expression.test(scope.activation, scope.zone)


@given(text=conditions, now=tasks, before=st.none() | tasks)
def test_what_was_not_needed_may_be_anything(text: str, now: Task, before: Task | None) -> None:
    """Whatever stands in its place, even what has no value, the whole comes out the same."""
    expression, scope = seen(text, now, before)
    found = trace(expression, scope)
    spare = [one.text for one in every(found) if one.finding is TraceStatus.NOT_NEEDED]
    for part in spare:
        if text.count(part) != 1:  # which of them it is cannot be told by its text
            continue
        for other in ("true", "false", "(1 / 0 == 1)"):
            changed, around = seen(text.replace(part, f"({other})"), now, before)
            again = trace(changed, around)
            assert (again.finding, again.value) == (found.finding, found.value)


@given(text=conditions)
def test_each_piece_of_the_text_is_what_the_tree_has_there(text: str) -> None:
    """Read by itself, a piece that was cut out is the very node it was cut out for."""
    tree = syntax(text)
    cutter = SpanFinder(text, tree)

    def hold(piece: Span) -> None:
        assert shape(syntax(cutter.text(piece)).root) == shape(piece.node)
        for one in cutter.inside(piece):
            if node_kind(one.node) != "comprehension":
                hold(one)

    hold(cutter.whole())


def shape(node: Any) -> Any:
    """A node without the numbers of its parts; of chains, what they join."""
    kind = node_kind(node)
    if kind == "call" and node.call.function in {"_&&_", "_||_"}:
        return node.call.function, [shape(one) for one in _links(node, node.call.function)]
    return kind, _own(node, kind), [shape(one) for one in children(node)]


def _own(node: Any, kind: str | None) -> Any:
    match kind:
        case "const":
            return str(node.const)
        case "ident":
            return node.ident.name
        case "select":
            return node.select.field, node.select.test_only
    return node.call.function


def _links(node: Any, function: str) -> list[Any]:
    if node_kind(node) != "call" or node.call.function != function:
        return [node]
    return [link for one in node.call.args for link in _links(one, function)]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            'task.type == "job" && has(task.due)',
            [
                'task.type == "job" && has(task.due) -> False',
                '  task.type == "job" -> False',
                "    task.type -> 'invoice'",
                "  has(task.due) -> not_needed",
            ],
        ),
        (
            "has(task.assignee) ? task.assignee.email == task.title : task.done",
            [
                "has(task.assignee) ? task.assignee.email == task.title : task.done -> False",
                "  has(task.assignee) -> True",
                "  task.assignee.email == task.title -> False",
                "    task.assignee.email -> 'bo@x.test'",
                "    task.title -> 'Smith gutters'",
                "  task.done -> not_needed",
            ],
        ),
        (
            'before.title == "" || task.fields.region == "north"',
            [
                'before.title == "" || task.fields.region == "north" -> True',
                '  before.title == "" -> True',
                "    before.title -> missing",
                '  task.fields.region == "north" -> not_needed',
            ],
        ),
        (
            'task.fields.region == "north"',
            [
                'task.fields.region == "north" -> the task has no region',
                "  task.fields.region -> the task has no region",
            ],
        ),
        (
            'task.tags.exists(t, t == "urgent") || date(now) == "2026-03-06"',
            [
                'task.tags.exists(t, t == "urgent") || date(now) == "2026-03-06" -> True',
                '  task.tags.exists(t, t == "urgent") -> False',
                "    task.tags -> ['new']",
                '  date(now) == "2026-03-06" -> True',
                "    date(now) -> '2026-03-06'",
                f"      now -> {START!r}",
            ],
        ),
    ],
)
def test_the_parts_and_their_values(text: str, lines: list[str]) -> None:
    """In the order of the text, what was not needed said so, what is not there called missing."""
    expression, scope = seen(text, task(type="invoice", assignee=BO, tags=("new",)))
    assert written(trace(expression, scope)) == lines


def test_dates_and_lengths_of_time_are_values() -> None:
    """Of a calculation with dates each step shows."""
    due = START + timedelta(hours=5)
    expression, scope = seen("task.due - now > duration('2h')", task(due=due))
    difference = trace(expression, scope).parts[0]
    assert (difference.text, difference.value) == ("task.due - now", timedelta(hours=5))
    assert [part.value for part in difference.parts] == [due, START]
