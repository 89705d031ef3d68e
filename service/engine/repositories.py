"""The repositories of a transaction: what engine and rules read and write, one noun each.

Each is implemented twice, by the same names: in PostgreSQL beside the noun's other statements
(`service.store`, `service.outbox`), and in memory for simulations (`service.simulator.memory`).
`tests/conformance` holds both to what is written here. All times are UTC.
"""

from collections.abc import AsyncIterator, Collection, Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from service.domain.digests import Digest, Join
from service.domain.model import Event, Task
from service.domain.schedules import Slot
from service.store.accounts import AccountState
from service.store.decisions import Decision
from service.store.schedules import Schedules
from service.store.tasks import Key, TaskState, TaskUpdate
from service.store.waits import Wait


class AccountRepository(Protocol):
    """The accounts, as far as the clock and the looks at their tasks depend on them."""

    async def read(self, names: Collection[str]) -> Mapping[str, AccountState]:
        """How far each of these accounts has been read, those left out that are not known."""

    async def stale(self, names: Collection[str], now: datetime) -> frozenset[str]:
        """Those of these accounts of which the clock says nothing until they were read anew.

        Nobody looked after them until just now, or they have not been read since; or they cannot be
        read.
        """


class TaskRepository(Protocol):
    """The last known state of each task, and when the clock has to look at it next."""

    async def lock(self, keys: Iterable[Key]) -> dict[Key, TaskState]:
        """The states of these tasks, known or not; locked until the transaction ends."""

    async def lock_due(
        self, watches: Mapping[str, str], now: datetime, limit: int
    ) -> dict[Key, TaskState]:
        """Lock tasks whose alarm has come, up to `limit` of each account: none waits for another.

        The longest waiting come first, those of one moment in the order of their ids. `watches` has
        the watch of each account whose alarms this process rings (`alarm_sets`): what another watch
        has set is not among them. A task that is about to be read by its id waits for that, if it
        does not take long, and one that may be gone until that is decided.
        """

    async def present(self, keys: Iterable[Key]) -> Mapping[Key, Task]:
        """Those of these tasks that are known and not deleted, as they were last seen."""

    def pages(self, account: str, fields: Collection[str]) -> AsyncIterator[Sequence[Task]]:
        """Every task of an account that is known and not deleted, with its id and these fields.

        Page by page, so that neither memory nor the event loop is taken up by all of them at once.
        """

    async def save(self, updates: Sequence[TaskUpdate]) -> None:
        """Keep the new states of tasks that were locked."""

    async def forget_unseen(self, keys: Sequence[Key]) -> None:
        """Remove what `lock` has left of tasks that were not known and are not saved."""


class EventRepository(Protocol):
    """What has happened: typed transitions, never changed once written."""

    async def allot_ids(self, count: int) -> list[int]:
        """The ids of the next events, in ascending order, so that decisions can name them."""

    async def insert(self, events: Sequence[Event], rules_version: str, now: datetime) -> None:
        """Store events, and by which version of the rules they are decided on now."""

    async def rescheduled(
        self, keys: Iterable[Key], since: datetime
    ) -> Mapping[Key, Sequence[Event]]:
        """When these tasks were seen with other dates since then, in that order."""


class WaitRepository(Protocol):
    """The waits of rules with `settle` or `for`: one at most of each rule about a task."""

    async def start(
        self, rule: str, event: Event, now: datetime, quiet: timedelta, most: timedelta
    ) -> None:
        """Let the rule wait until the event's task has been `quiet` for so long.

        If it waits already, the time starts again, up to `most` after the wait began.
        """

    async def over(self, accounts: Iterable[str], now: datetime, limit: int) -> Sequence[Key]:
        """Tasks of these accounts for which some rule has waited long enough, up to `limit`."""

    async def take(self, keys: Sequence[Key], now: datetime) -> list[Wait]:
        """Remove and return the waits about these locked tasks that are over.

        In the order of the events with which they began.
        """

    async def about(self, keys: Iterable[Key], rules: Container[str]) -> list[Wait]:
        """The waits of these rules about these locked tasks."""

    async def stop(self, waits: Sequence[Wait]) -> None:
        """Remove waits; their rules decide nothing."""


class DigestRepository(Protocol):
    """The open digests: what rules with `group` gather in an account under a key."""

    async def join(self, joins: Sequence[Join], now: datetime) -> None:
        """Add events to the open digests that they belong to, or open new ones.

        A task that joins once more counts once, with its later event. A full digest is over; the
        next event opens another one.
        """

    async def take(self, accounts: Iterable[str], now: datetime, limit: int) -> list[Digest]:
        """Remove and return digests of these accounts that are to be told now, up to `limit`.

        The one that was over first comes first.
        """


class ScheduleRepository(Protocol):
    """When the schedule of each rule comes next in each account."""

    async def take(self, wanted: Schedules, now: datetime) -> Slot | None:
        """Take the slot, of the `wanted` schedules, that has been due for longest.

        It does not come again: the schedule goes on with its first slot after `now`. None comes
        before its account has been read as a whole, as half of the tasks make no list.
        """


class DecisionRepository(Protocol):
    """What each rule made of an event, and why."""

    async def insert(
        self, decisions: Sequence[Decision], rules_version: str, now: datetime
    ) -> None:
        """Store decisions and the version of the rules that made them."""
