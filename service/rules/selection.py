"""`for_each`: a filter `tasks.filter(t, …)`, evaluated for one task after another.

A list of all tasks is never built: whether a filter selects a task does not depend on other tasks.
Only the fields that the filter reads are converted.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from service.diagnostics import Issue, Path
from service.domain.model import Task
from service.rules.language.expressions import Expression, checked, environment, syntax
from service.rules.language.named_lists import NO_LISTS, NamedLists
from service.rules.language.partial_evaluation import StaticCondition
from service.rules.language.presence_checks import proven
from service.rules.language.syntax_tree import Tree, dotted, node_kind, walk
from service.rules.language.task_counts import fields_of
from service.rules.language.variables import ALL_TASKS
from service.rules.language.vocabulary import as_message

_HINT = "write tasks.filter(t, !t.done && …)"


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter over tasks: the `fields` that it reads, and those that selected tasks surely have.

    The latter (`sure`), such as `task.due`, need no `has(…)` in the rule's conditions.
    """

    expression: Expression
    fields: frozenset[str]
    sure: frozenset[str]

    def asked(self, path: Path) -> StaticCondition:
        """The condition inside the filter, with its place in the document."""
        tree = syntax(self.expression.text)
        return StaticCondition(tree, _condition(tree), path, tree.root.comprehension.iter_var)

    def takes(self, task: Task, now: datetime, zone: ZoneInfo) -> bool:
        """Whether the filter selects the task; raises EvaluationError if it cannot be evaluated."""
        alone = {"tasks": [as_message(task, self.fields)], "now": now}
        return self.expression.finds(environment(zone).Activation(alone), zone)


def selection(
    text: Any, path: Path, lists: NamedLists = NO_LISTS
) -> tuple[Selection | None, list[Issue]]:
    """Check the text of a filter; returns the filter or None, and the problems."""
    wanted = "for_each must be a filter over tasks"
    expression, tree, problems = checked(
        text, path, (), ALL_TASKS, ("LIST<taskbell.Task>",), wanted, lists
    )
    if expression is None or tree is None:
        return None, problems
    condition = _condition(tree)
    if condition is None:
        return None, [Issue(path, "for_each must be one filter over tasks", _HINT)]
    variable = tree.root.comprehension.iter_var
    sure = (name.partition(".") for name in proven(condition, truth=True))
    return Selection(
        expression,
        frozenset(fields_of(condition, variable)),
        frozenset(f"task.{rest}" for first, _, rest in sure if first == variable and rest),
    ), []


def _condition(tree: Tree) -> Any:
    """The condition inside the filter; None if the expression is not one filter over `tasks`."""
    if node_kind(tree.root) != "comprehension":
        return None
    loop = tree.root.comprehension
    is_filter = dotted(loop.iter_range) == "tasks" and loop.loop_step.call.function == "_?_:_"
    if not is_filter or dotted(loop.result) is None:
        return None
    condition = loop.loop_step.call.args[0]
    looks_around = any(dotted(node) == "tasks" for node in walk(condition))
    return None if looks_around else condition
