"""Reads all tasks of accounts for a schedule: to select some (`for_each`), or to count them."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from service.domain.model import Event, Task
from service.engine.transaction import Transaction
from service.rules.language.expressions import EvaluationError, Expression, environment
from service.rules.language.task_counts import Answers, TaskCount
from service.rules.language.vocabulary import as_message, names
from service.rules.selection import Selection
from service.store.tasks import Key

_FEW = 3


@dataclass(frozen=True, slots=True)
class Selected:
    """The selected tasks, those that are due first in front.

    `known` is the number of tasks that were examined. `failures` says for which of them the filter
    could not be evaluated. `together` is set if the rule has `group`, and reports all of them in
    one digest.
    """

    tasks: tuple[Task, ...]
    known: int
    failures: tuple[str, ...]
    together: bool

    @property
    def each(self) -> Sequence[Task]:
        """The tasks for which the rule decides one by one."""
        return () if self.together else self.tasks

    @property
    def reason(self) -> str:
        """The choice in words, such as `3 of 40 tasks chosen`."""
        return _with(f"{len(self.tasks)} of {self.known} tasks chosen", self.failures)


@dataclass(frozen=True, slots=True)
class Counted:
    """The answers to a rule's questions about all `known` tasks; see `Selected` for `failures`."""

    answers: Answers
    known: int
    failures: tuple[str, ...]
    each: Sequence[Task] = ()

    @property
    def reason(self) -> str:
        """The answers in words, such as `size(tasks) is 40 (40 tasks)`."""
        said = [f"{text} is {str(answer).lower()}" for text, answer in self.answers.items()]
        plural = "" if self.known == 1 else "s"
        return _with(f"{', '.join(said)} ({self.known} task{plural})", self.failures)


def _with(said: str, failures: Sequence[str]) -> str:
    return "; ".join([said, *(f"left out: {one}" for one in failures[:_FEW])])


async def choose(
    tx: Transaction,
    selection: Selection,
    zones: Mapping[str, ZoneInfo],
    now: datetime,
    *,
    together: bool,
) -> Selected:
    """Evaluate the filter for every task of some accounts; only chosen ones are read completely.

    `now` is UTC, `zones` are those of the accounts.
    """
    known, found, failures = 0, list[Key](), list[str]()
    async for page, account in _pages(tx, zones, selection.fields):
        known += len(page)
        for task in page:
            try:
                is_taken = selection.takes(task, now, zones[account])
                found += [(account, task.id)] if is_taken else []
            except EvaluationError as error:
                failures.append(f"task {task.id}: {error}")
    tasks = await tx.tasks.present(found)
    in_order = tuple(sorted(tasks.values(), key=_order))
    return Selected(in_order, known, tuple(sorted(failures)), together)


async def _pages(
    tx: Transaction, accounts: Iterable[str], fields: Collection[str]
) -> AsyncIterator[tuple[Sequence[Task], str]]:
    """The tasks of these accounts, in pages, each with its account."""
    for account in accounts:
        async for page in tx.tasks.pages(account, fields):
            yield page, account


async def count(
    tx: Transaction,
    questions: Sequence[TaskCount],
    event: Event,
    now: datetime,
    zones: Mapping[str, ZoneInfo],
) -> Counted:
    """Answer a rule's questions about all tasks of some accounts, with one reading of them.

    One that is asked in several places is answered once. A task for which a question cannot be
    answered does not count for it. `zones` are those of the accounts.
    """
    asked = {one.text: one for one in questions}.values()
    answers = {one.text: one.at_first for one in asked}
    fields = frozenset[str]().union(*(one.fields for one in asked))
    said = as_message(event, frozenset(names(Event)))
    known, failures = 0, list[str]()
    async for page, account in _pages(tx, zones, fields):
        zone = zones[account]
        known += len(page)
        for task in page:
            alone = {"tasks": [as_message(task, fields)], "event": said, "now": now}
            activation = environment(zone).Activation(alone)
            for one in asked:
                try:
                    question = Expression(one.text, frozenset(), lists=one.lists)
                    of_task = question.value(activation, zone)
                    answers[one.text] = one.with_one(answers[one.text], of_task)
                except EvaluationError as error:
                    failures.append(f"task {task.id}: {error}")
    return Counted(answers, known, tuple(sorted(failures)))


def _order(task: Task) -> tuple[bool, float, str, str]:
    date = task.due or task.start
    return date is None, 0 if date is None else date.timestamp(), task.id, task.account
