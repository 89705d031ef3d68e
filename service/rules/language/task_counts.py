"""Questions about all tasks in a condition: `tasks.exists(t, …)` or `size(tasks.filter(t, …))`.

Each is answered from the answers for single tasks, so that a list of all tasks is never built. The
condition is then evaluated with the answers in place of the questions.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from service.diagnostics import Issue, Path
from service.domain.model import Task
from service.rules.language.named_lists import NO_LISTS, NamedLists
from service.rules.language.source_spans import Span, SpanFinder
from service.rules.language.syntax_tree import Tree, children, dotted, node_kind, walk
from service.rules.language.vocabulary import names

Answer: TypeAlias = bool | int
Answers: TypeAlias = Mapping[str, Answer]
"""By the texts of the questions."""

TASKS = "tasks"
_SIZE = "size"
_LOOPS = {"_||_": "exists", "_&&_": "all"}
_MISUSED = "tasks can be used here only in a question about all of them"
_HINT = "write tasks.exists(t, …), tasks.all(t, …) or size(tasks.filter(t, …))"


@dataclass(frozen=True, slots=True)
class TaskCount:
    """A question, with its place in the text of the condition and the task fields that it reads.

    `how`: exists, all, or size. `lists` are those that it may name.
    """

    text: str
    begin: int
    end: int
    how: str
    fields: frozenset[str]
    lists: NamedLists = NO_LISTS

    @property
    def at_first(self) -> Answer:
        """The answer if there are no tasks."""
        return {"exists": False, "all": True}.get(self.how, 0)

    def with_one(self, answer: Answer, of_task: Answer) -> Answer:
        """The answer for some tasks and one more, which alone has the answer `of_task`."""
        if self.how == "exists":
            return answer or of_task
        return answer and of_task if self.how == "all" else answer + of_task


def task_counts(
    text: str, tree: Tree, path: Path, lists: NamedLists = NO_LISTS
) -> tuple[tuple[TaskCount, ...], list[Issue]]:
    """The questions of a condition, and the problems with other uses of `tasks`."""
    finder = SpanFinder(text, tree)
    found: list[TaskCount] = []
    problems: list[Issue] = []
    for span, how in _uses(finder, finder.whole()):
        within = [one for one in walk(span.node) if dotted(one) == TASKS]
        if how is None or len(within) > 1:
            problems.append(Issue(path, _MISUSED, _HINT, span.begin))
        else:
            fields = frozenset(_fields(span.node))
            found.append(TaskCount(finder.text(span), span.begin, span.end, how, fields, lists))
    return tuple(found), problems


def answered(text: str, counts: Iterable[TaskCount], answers: Answers) -> str:
    """The condition with the answers in place of the questions."""
    for one in sorted(counts, key=lambda one: one.begin, reverse=True):
        text = text[: one.begin] + str(answers[one.text]).lower() + text[one.end :]
    return text


def _uses(finder: SpanFinder, span: Span) -> Iterator[tuple[Span, str | None]]:
    """Each part that uses `tasks`, and how; None if that is no question with one answer."""
    how = question(span.node)
    inside = finder.inside(span)
    if how is None and inside:
        for one in inside:
            yield from _uses(finder, one)
    elif how is not None or any(dotted(one) == TASKS for one in walk(span.node)):
        yield span, how


def question(node: Any) -> str | None:
    """Which question about all tasks a node is: exists, all or size; None if it is none."""
    if node_kind(node) == "comprehension":
        loop = node.comprehension
        is_plain = loop.loop_condition.call.function == "@not_strictly_false"
        is_over_all = dotted(loop.iter_range) == TASKS
        return _LOOPS.get(loop.loop_step.call.function) if is_plain and is_over_all else None
    if node_kind(node) != "call" or node.call.function != _SIZE:
        return None
    [counted] = children(node)
    return _SIZE if dotted(counted) == TASKS or _is_filter(counted) else None


def _is_filter(node: Any) -> bool:
    if node_kind(node) != "comprehension" or dotted(node.comprehension.iter_range) != TASKS:
        return False
    loop = node.comprehension
    # `map` adds something else to the list than the task itself.
    return loop.loop_step.call.function == "_?_:_" and any(
        dotted(one) == loop.iter_var for one in _added(loop.loop_step.call.args[1])
    )


def _added(step: Any) -> Iterator[Any]:
    """The elements of the list that a step of a loop appends."""
    for one in walk(step):
        if node_kind(one) == "list":
            yield from one.list.elements


def _fields(question: Any) -> Iterator[str]:
    """The fields of tasks that a question reads."""
    loops = [one.comprehension for one in walk(question) if node_kind(one) == "comprehension"]
    if loops:
        args, is_filter = loops[0].loop_step.call.args, node_kind(question) == "call"
        yield from fields_of(args[0] if is_filter else args[1], loops[0].iter_var)


def fields_of(node: Any, variable: str) -> Iterator[str]:
    """The fields that are read of a loop variable; all fields if it is used as a whole."""
    parts = (dotted(node) or "").split(".")
    if parts[0] == variable and node_kind(node) in {"select", "ident"}:
        yield from parts[1:2] or names(Task)
        return
    for child in children(node):
        yield from fields_of(child, variable)
