"""`for_each`: selects the tasks for which a scheduled rule is evaluated."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from service.domain.model import Task
from service.engine.transaction import Transaction
from service.rules.language.expressions import EvaluationError
from service.rules.selection import Selection

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
    def reason(self) -> str:
        """The choice in words, such as `3 of 40 tasks chosen`."""
        said = f"{len(self.tasks)} of {self.known} tasks chosen"
        return "; ".join([said, *(f"left out: {one}" for one in self.failures[:_FEW])])


async def choose(
    tx: Transaction,
    selection: Selection,
    account: str,
    now: datetime,
    zone: ZoneInfo,
    *,
    together: bool,
) -> Selected:
    """Evaluate the filter for every task of the account; only chosen tasks are read completely.

    `now` is UTC, `zone` the account's.
    """
    known, found, failures = 0, list[str](), list[str]()
    async for page in tx.tasks.pages(account, selection.fields):
        known += len(page)
        for task in page:
            try:
                found += [task.id] if selection.takes(task, now, zone) else []
            except EvaluationError as error:
                failures.append(f"task {task.id}: {error}")
    tasks = await tx.tasks.present((account, task_id) for task_id in found)
    in_order = tuple(sorted(tasks.values(), key=_order))
    return Selected(in_order, known, tuple(sorted(failures)), together)


def _order(task: Task) -> tuple[bool, float, str]:
    date = task.due or task.start
    return date is None, 0 if date is None else date.timestamp(), task.id
