"""CEL expressions over `task`, `before`, `event` and `now`: type-checked and limited.

A program is compiled per time zone, because `date(…)` is a day in the account's own calendar; both
are cached. CEL limits loops by a budget and nesting by depth.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional

from service.diagnostics import Issue, Path
from service.document.messages import must_be, name_of
from service.domain.model import TIMES
from service.rules.language.cel_errors import KNOWN, explain, kind
from service.rules.language.cel_failures import failure
from service.rules.language.field_reads import Reads, reads
from service.rules.language.literals import flaws
from service.rules.language.named_lists import (
    FUNCTION,
    LISTS,
    NO_LISTS,
    NamedLists,
    is_listed,
    is_number_listed,
    misuses,
    single_lookups,
    with_lookups,
)
from service.rules.language.partial_evaluation import StaticCondition
from service.rules.language.presence_checks import BEFORE, Unguarded, proven, strict, unguarded
from service.rules.language.syntax_tree import Tree, dotted, walk
from service.rules.language.task_counts import TASKS, Answers, TaskCount, answered, task_counts
from service.rules.language.variables import CHANGED_TASK, misplaced
from service.rules.language.vocabulary import NOUNS, PACKAGE, POOL

LONGEST = 4000

_MAY_BE_MISSING = " may be missing"
UTC_ZONE = ZoneInfo("UTC")
_ASKED = re.compile(r"\bhas\(\s*([\w.]+)\s*\)")
_ONCE_TYPES = ("STRING", "TIMESTAMP", "INT", "BOOL", "DYN")


class EvaluationError(Exception):
    """An expression cannot be evaluated for this task; `reason` says why, and for which text."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text}: {reason}")
        self.reason = reason


_LISTED = tuple(
    cel.Overload(
        f"listed_{name}_string", cel.Type.BOOL, [kind, cel.Type.STRING], is_member=False, impl=impl
    )
    for name, kind, impl in (
        ("string", cel.Type.STRING, is_listed),
        ("int", cel.Type.INT, is_number_listed),
        ("double", cel.Type.DOUBLE, is_number_listed),
    )
)


@cache
def environment(zone: ZoneInfo) -> cel.Env:
    """The names and functions that expressions know, with `date` in this zone."""
    date = cel.Overload(
        "date_of_timestamp",
        cel.Type.STRING,
        [cel.Type.TIMESTAMP],
        is_member=False,
        impl=lambda moment: moment.astimezone(zone).date().isoformat(),
    )
    variables = {name: cel.Type(f"{PACKAGE}.{noun.__name__}") for name, noun in NOUNS.items()}
    return cel.NewEnv(
        POOL,
        variables={
            **variables,
            "tasks": cel.Type.List(variables["task"]),
            "now": cel.Type.TIMESTAMP,
            LISTS: cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
        },
        extensions=[ext_optional.ExtOptional()],
        functions=[cel.FunctionDecl("date", [date]), cel.FunctionDecl(FUNCTION, _LISTED)],
    )


@lru_cache(maxsize=10_000)
def _program(text: str, zone: ZoneInfo, lists: NamedLists) -> cel.Expression:
    """The expression as it is evaluated: a date that is not set is an error, not 1970."""
    return environment(zone).compile(with_lookups(strict(text, syntax(text)), lists))


@lru_cache(maxsize=1_000)
def _compiled(text: str) -> cel.Expression:
    """The expression as it was written."""
    return environment(UTC_ZONE).compile(text)


@lru_cache(maxsize=1_000)
def syntax(text: str) -> Tree:
    """The syntax tree of a valid expression."""
    return Tree(_compiled(text))


@dataclass(frozen=True, slots=True)
class Expression:
    """A valid expression. `reads` are the fields it reads, `counts` its questions about all tasks.

    `answered` is the text with the answers to these, which is evaluated in place of `text`. `lists`
    are those that it may name.
    """

    text: str
    reads: Reads
    counts: tuple[TaskCount, ...] = ()
    answered: str | None = None
    lists: NamedLists = NO_LISTS

    def with_answers(self, answers: Answers) -> "Expression":
        """The expression with the answers to its questions about all tasks."""
        if not self.counts:
            return self
        return replace(self, answered=answered(self.text, self.counts, answers))

    def asked(self, path: Path) -> StaticCondition:
        """The condition, with its place in the document."""
        tree = syntax(self.text)
        return StaticCondition(tree, tree.root, path)

    @property
    def refusal(self) -> str:
        """The reason shown when it was not true."""
        return f"{self.text} is not true"

    def test(self, activation: cel.Activation, zone: ZoneInfo) -> bool:
        """Whether it is true; raises EvaluationError if it cannot be evaluated."""
        value = self.value(activation, zone)
        if value is True or value is False:
            return value
        raise EvaluationError(self.text, f"it is neither true nor false: {value}")

    def key(self, activation: cel.Activation, zone: ZoneInfo) -> str:
        """Its value as text, dates in UTC; raises EvaluationError if there is none."""
        value = self.value(activation, zone)
        if isinstance(value, datetime):
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        return str(value)

    def finds(self, activation: cel.Activation, zone: ZoneInfo) -> bool:
        """Whether its list is not empty; raises EvaluationError if it cannot be evaluated."""
        return bool(self.value(activation, zone))

    def value(self, activation: cel.Activation, zone: ZoneInfo) -> Any:
        """Its value; raises EvaluationError if it has none."""
        if self.counts and self.answered is None:
            raise EvaluationError(self.text, "it is about all tasks, which are not known here")
        try:
            result = _program(self.answered or self.text, zone, self.lists).eval(activation)
            value = result.plain_value()
        except (RuntimeError, TypeError) as error:
            raise EvaluationError(self.text, failure(str(error))) from None
        if isinstance(value, str) and result.type() == cel.Type.ERROR:
            unset = " and ".join(self._unset(activation))
            said = f"{unset} is not set" if unset else failure(value)
            raise EvaluationError(self.text, said)
        return value

    def _unset(self, activation: cel.Activation) -> Iterator[str]:
        """The unset dates among those that it reads without a check of its own."""
        for name in dict.fromkeys(one.name for one in unguarded(syntax(self.text), ())):
            if name.rpartition(".")[2] in TIMES and name.partition(".")[0] in NOUNS:
                asked = _compiled(f"has({name})").eval(activation)
                if asked.plain_value() is False:
                    yield name


def condition(
    text: Any,
    path: Path,
    known: Iterable[str] = (),
    subjects: frozenset[str] = CHANGED_TASK,
    lists: NamedLists = NO_LISTS,
) -> tuple[Expression | None, list[Issue]]:
    """An expression that is true or false, or its problems.

    `known` are the names that surely exist when it is evaluated; `subjects` the names it may use,
    beside `lists`.
    """
    wanted = "a condition must be true or false"
    expression, tree, problems = checked(
        text, path, known, subjects, ("BOOL", "DYN"), wanted, lists
    )
    if expression is None or tree is None or TASKS not in subjects:
        return expression, problems
    counts, problems = task_counts(expression.text, tree, path, lists)
    return (None if problems else replace(expression, counts=counts)), problems


def key(
    text: Any, path: Path, known: Iterable[str] = (), subjects: frozenset[str] = CHANGED_TASK
) -> tuple[Expression | None, list[Issue]]:
    """An expression whose value can identify a message, or its problems."""
    wanted = f"{name_of(path)} must be text, a number or a date"
    expression, _, problems = checked(text, path, known, subjects, _ONCE_TYPES, wanted)
    return expression, [_elsewhere(problem) for problem in problems]


def proofs(text: Any) -> frozenset[str]:
    """The names that must exist if the condition is true.

    For an invalid condition, the names that it seems to check: its own error is reported, and that
    is enough.
    """
    if not isinstance(text, str):
        return frozenset()
    try:
        return proven(syntax(text).root, truth=True)
    except RuntimeError:
        return frozenset(_ASKED.findall(text))


def checked(
    text: Any,
    path: Path,
    known: Iterable[str],
    subjects: frozenset[str],
    types: tuple[str, ...],
    wanted: str,
    lists: NamedLists = NO_LISTS,
) -> tuple[Expression | None, Tree | None, list[Issue]]:
    """An expression of one of these CEL types with its tree, or its problems.

    `wanted` is the error message for an expression of another type.
    """
    if not isinstance(text, str):
        return None, None, [Issue(path, must_be(name_of(path), "an expression", text))]
    if len(text) > LONGEST:
        message = f"the expression is longer than {LONGEST} characters"
        return None, None, [Issue(path, message)]
    try:
        program = _compiled(text)
    except RuntimeError as error:
        return None, None, explain(text, str(error), path)
    tree = syntax(text)
    found = program.return_type().name()
    if found in types:
        # A name that cannot be used here is reported once.
        sure = {*known} if BEFORE in subjects else {*known, BEFORE}
        problems = [_lie(one, path) for one in unguarded(tree, sure)]
    else:
        problems = [Issue(path, f"{wanted}, not {kind(found)}")]
    problems += [*_flaws(tree, subjects, path), *misuses(text, tree, lists, path)]
    problems = problems or [*_unlisted(text, lists, path)]
    if problems:
        return None, None, problems
    return Expression(text, frozenset(reads(tree.root)), lists=lists), tree, []


def _flaws(tree: Tree, subjects: frozenset[str], path: Path) -> Iterator[Issue]:
    """The problems with constants, and with names that cannot be used here."""
    for one in flaws(tree, environment(UTC_ZONE)):
        yield Issue(path, one.message, one.hint, one.offset)
    used = KNOWN.intersection(node.call.function or dotted(node) for node in walk(tree.root))
    for name in sorted(used - subjects):
        yield misplaced(name, subjects, path)


def _unlisted(text: str, lists: NamedLists, path: Path) -> Iterator[Issue]:
    """The problems with what is looked up in a list and cannot be in one, such as all tags."""
    for offset, alone in single_lookups(text, lists):
        try:
            environment(UTC_ZONE).compile(alone)
        except RuntimeError:
            hint = "of several values ask for each: task.tags.exists(one, one in lists.NAME)"
            yield Issue(path, "only a text or a number can be in a list", hint, offset)


def _lie(read: Unguarded, path: Path) -> Issue:
    hint = f"write has({read.proof}) && … before it"
    if read.proof != read.name:
        hint += ", because a task can already be done when Taskbell first sees it"
    return Issue(path, f"{read.name}{_MAY_BE_MISSING}", hint, read.offset)


def _elsewhere(problem: Issue) -> Issue:
    """The problem with another hint: `once_per` cannot check a field, only a condition can."""
    if not problem.message.endswith(_MAY_BE_MISSING):
        return problem
    name = problem.message.removesuffix(_MAY_BE_MISSING)
    return replace(problem, hint=f"add if: has({name})")
