"""What an account's system wrote that could not be read: left out, counted, and told."""

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
    """What to tell of it; some errors have no words of their own."""
    return str(error) or type(error).__name__


class Unreadable:
    """What one poll could not read. `set_aside` says of each row which it was, and why."""

    def __init__(self, pool: Pool, source: Source, clock: Clock) -> None:
        self._pool = pool
        self._source = source
        self._account = source.account
        self._clock = clock
        self.set_aside: list[str] = []

    def leave_out(self, task_id: str, error: BaseException) -> None:
        """Go on without a task, and count it."""
        self.set_aside.append(f"task {task_id}: {reason(error)}")
        metrics.poll_errors.labels(self._account.name).inc()
        log.warning(
            "task.unreadable", account=self._account.name, task=task_id, error=reason(error)
        )

    async def demand_known_forms(self, listed: Collection[str]) -> None:
        """Raise SourceBroken where hardly any value of a field can be read.

        That is no bad row: the system writes them in another way, and nothing is seen any more.
        What was not `listed`, as it was only ever pushed, counts for nothing.
        """
        for field in await unreadable.fields(self._pool, self._account.name, listed):
            form = self._source.forms.get(field.name)
            if (
                form
                and form.tells
                and await unreadable.is_mostly_unreadable(
                    self._pool, self._account.name, field, form.tells[0]
                )
            ):
                raise SourceBroken(
                    f"{self._account.name}: Taskbell cannot read {field.count} values of"
                    f" {field.name}, for example {field.value} (task {field.task}). The format is"
                    " not known. Taskbell keeps the earlier values. Update Taskbell, or report"
                    " this example."
                )

    async def note(self, state: AccountState, *, is_scan: bool) -> None:
        """Show with the account how much could not be read; only a complete scan takes it back."""
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
