"""Handles data of an account's system that cannot be read: skipped, counted and reported."""

from collections.abc import Collection

import asyncpg
import structlog

from service import metrics
from service.clock import Clock
from service.errors import PayloadError, SourceBroken
from service.sources import Source
from service.store import Pool, unreadable
from service.store.accounts import AccountState

log = structlog.get_logger()

# What the content of one task or webhook can bring about: no other one must suffer for it.
UNREADABLE = (
    PayloadError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What reading it may raise; anything else is not its fault."""

POISONOUS = (*UNREADABLE, asyncpg.DataError, asyncpg.ProgramLimitExceededError)
"""What taking it in may raise."""


def reason(error: BaseException) -> str:
    """The text for an error; some errors have no message of their own."""
    return str(error) or type(error).__name__


class Unreadable:
    """The data that one poll could not read. `set_aside` has the id of each such row, and why."""

    def __init__(self, pool: Pool, source: Source, clock: Clock) -> None:
        self._pool = pool
        self._source = source
        self._account = source.account
        self._clock = clock
        self.set_aside: list[str] = []

    def leave_out(self, task_id: str, error: BaseException) -> None:
        """Skip a task, and count it."""
        self.set_aside.append(f"task {task_id}: {reason(error)}")
        metrics.poll_errors.labels(self._account.name).inc()
        log.warning(
            "task.unreadable", account=self._account.name, task=task_id, error=reason(error)
        )

    async def demand_known_forms(self, listed: Collection[str]) -> None:
        """Raise SourceBroken if hardly any value of a field can be read.

        Then the system writes the values in another format, and no change of them would be noticed.
        Tasks that were not `listed`, as they only came by webhook, do not count.
        """
        for field in await unreadable.fields(self._pool, self._account.name, listed):
            form = self._source.forms.get(field.name)
            if (
                form
                and form.fills
                and await unreadable.is_mostly_unreadable(
                    self._pool, self._account.name, field, form.fills[0]
                )
            ):
                raise SourceBroken(
                    f"{self._account.name}: Taskbell cannot read {field.count} values of"
                    f" {field.name}, for example {field.value} (task {field.task}). The format is"
                    " not known. Taskbell keeps the earlier values. Update Taskbell, or report"
                    " this example."
                )

    async def note(self, state: AccountState, *, is_scan: bool) -> None:
        """Show with the account how much could not be read; only a complete scan resets it."""
        fields = await unreadable.fields(self._pool, state.name)
        found = len(self.set_aside)
        rows = found if is_scan else max(found, state.unread_rows)
        count = rows + sum(field.count for field in fields)
        if count or state.unread:
            examples = [field.example for field in fields] + self.set_aside
            await unreadable.note(
                self._pool,
                state.name,
                rows=rows,
                count=count,
                example=next(iter(examples), None),
                now=self._clock.now(),
            )
