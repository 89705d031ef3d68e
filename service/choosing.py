"""The tasks for which a schedule has its rule asked."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from service.books import Books
from service.model import Task
from service.rules.expressions import EvaluationError
from service.rules.selection import Selection

_FEW = 3


@dataclass(frozen=True, slots=True)
class Chosen:
    """The chosen tasks, those that are due first in front; out of how many, and what failed.

    `together` says that the rule tells of them at once.
    """

    tasks: tuple[Task, ...]
    known: int
    failures: tuple[str, ...]
    together: bool

    @property
    def reason(self) -> str:
        """What a person reads of the choice."""
        said = f"{len(self.tasks)} of {self.known} tasks chosen"
        return "; ".join([said, *(f"left out: {one}" for one in self.failures[:_FEW])])


async def choose(
    books: Books,
    selection: Selection,
    account: str,
    now: datetime,
    zone: ZoneInfo,
    *,
    together: bool,
) -> Chosen:
    """Ask of every task of the account whether it is meant; only those that are, are read whole."""
    known, found, failures = 0, list[str](), list[str]()
    async for page in books.pages(account, selection.fields):
        known += len(page)
        for task in page:
            try:
                found += [task.id] if selection.takes(task, now, zone) else []
            except EvaluationError as error:
                failures.append(f"task {task.id}: {error}")
    tasks = await books.tasks((account, task_id) for task_id in found)
    in_order = tuple(sorted(tasks.values(), key=_order))
    return Chosen(in_order, known, tuple(sorted(failures)), together)


def _order(task: Task) -> tuple[bool, float, str]:
    date = task.due or task.start
    return date is None, 0 if date is None else date.timestamp(), task.id
