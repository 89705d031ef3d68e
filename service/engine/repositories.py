"""The repositories of a transaction: what engine and rules read and write, one noun each.

Each is implemented twice, by the same names: in PostgreSQL beside the noun's other statements
(`service.store`, `service.outbox`), and in memory for simulations (`service.simulator.memory`).
`tests/conformance` holds both to what is written here. All times are UTC.
"""

from collections.abc import AsyncIterator, Collection, Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from service.domain.digests import Digest, Join
from service.domain.model import Cause, Event, Observation, Task
from service.domain.schedules import Slot
from service.outbox import DeliveryRequest, Identity, Lanes
from service.outbox.provenance import Rules
from service.store.accounts import AccountState
from service.store.announcements import Announcement
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
        self, alarm_sets: Mapping[str, str], now: datetime, limit: int
    ) -> dict[Key, TaskState]:
        """Lock tasks whose alarm has come, up to `limit` of each account: none waits for another.

        The longest waiting come first, those of one moment in the order of their ids. `alarm_sets`
        has the one of each account whose alarms this process fires: what another one
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
        """Keep the new states of tasks that were locked, with their alarms and who set them."""

    async def forget_unseen(self, keys: Sequence[Key]) -> None:
        """Remove what `lock` has left of tasks that were not known and are not saved."""


class AnnouncementRepository(Protocol):
    """What webhooks said has happened to tasks and their system did not show yet."""

    async def by_task(self, keys: Iterable[Key]) -> Mapping[Key, Sequence[Announcement]]:
        """What is announced of each of these tasks, signals and contents aside."""

    async def forget(self, over: Sequence[Announcement]) -> None:
        """Forget announcements about locked tasks: they are shown, or waited for no longer."""


class LookupRepository(Protocol):
    """The tasks that are to be read by their id."""

    async def ask(self, keys: Sequence[Key], cause: Cause, now: datetime) -> None:
        """Ask for these tasks to be read; what was written by Taskbell stays marked so."""

    async def ask_again(self, older: Mapping[Key, datetime], now: datetime) -> None:
        """Ask for tasks, seen now in an older version than is known, to be read after a pause.

        It is counted from the first time that this was asked for, and is not over before it counts
        that they show it, which `older` has for each.
        """


class EventRepository(Protocol):
    """What has happened: typed transitions, never changed once written."""

    async def allot_ids(self, count: int) -> list[int]:
        """The ids of the next events, in ascending order, so that decisions can name them.

        None is given out twice.
        """

    async def insert(self, events: Sequence[Event], rules_version: str, now: datetime) -> None:
        """Store events, and by which version of the rules they are decided on now."""

    async def rescheduled(
        self, keys: Iterable[Key], since: datetime
    ) -> Mapping[Key, Sequence[Event]]:
        """When these tasks were seen with other dates since then, in that order.

        Those are left out of which there is nothing to tell.
        """


class WaitRepository(Protocol):
    """The waits of rules with `settle` or `for`: one at most of each rule about a task."""

    async def start(
        self, rule: str, event: Event, now: datetime, quiet: timedelta, most: timedelta
    ) -> None:
        """Let the rule wait until the event's task has been `quiet` for so long.

        If it waits already, the time starts again, up to `most` after the wait began.
        """

    async def over(self, accounts: Iterable[str], now: datetime, limit: int) -> Sequence[Key]:
        """Tasks of these accounts for which some rule has waited long enough, up to `limit`.

        The longest waiting come first. It takes none of the waits.
        """

    async def take(self, keys: Sequence[Key], now: datetime) -> list[Wait]:
        """Remove and return the waits about these locked tasks that are over.

        In the order of the events with which they began, and then of their rules.
        """

    async def about(self, keys: Iterable[Key], rules: Container[str]) -> list[Wait]:
        """The waits of these rules about these locked tasks, in the same order."""

    async def stop(self, waits: Sequence[Wait]) -> None:
        """Remove waits; their rules decide nothing."""


class DigestRepository(Protocol):
    """The open digests: what rules with `group` gather in an account under a key."""

    async def join(self, joins: Sequence[Join], now: datetime) -> None:
        """Add events to the open digests that they belong to, or open new ones.

        They are opened in the order of their rules, accounts and keys. A task that joins once more
        counts once, with its later event. A full digest is over; the next event opens another one.
        """

    async def take(self, accounts: Iterable[str], now: datetime, limit: int) -> list[Digest]:
        """Remove and return digests of these accounts that are to be told now, up to `limit`.

        The one that was over first comes first, of several the one that was opened first.
        """


class ScheduleRepository(Protocol):
    """When the schedule of each rule comes next in each account."""

    async def take(self, wanted: Schedules, now: datetime) -> Slot | None:
        """Take the slot, of the `wanted` schedules, that has been due for longest.

        It does not come again: the schedule goes on with its first slot after `now`. One that is in
        force with another cron or zone is not meant. None comes before its account has been read as
        a whole, as half of the tasks make no list.
        """


class DecisionRepository(Protocol):
    """What each rule made of an event, and why."""

    async def insert(
        self, decisions: Sequence[Decision], rules_version: str, now: datetime
    ) -> None:
        """Store decisions and the version of the rules that made them."""


class OutboxRepository(Protocol):
    """The deliveries, as far as events and rules plan and end them."""

    async def place(self, requests: Sequence[DeliveryRequest], now: datetime) -> set[Identity]:
        """Put requests into the outbox; returns those that are new by their rule's `once_per`.

        What was skipped, cancelled or came too late was not sent, and does not count. A rule on
        trial keeps count for itself. What is silenced now is skipped.
        """

    async def placed_before(self, requests: Sequence[DeliveryRequest]) -> set[Identity]:
        """Those of the requests that their rule has placed already, by its `once_per`."""

    async def limited(
        self, rule: str, begin: datetime, end: datetime, *, shadow: bool
    ) -> list[datetime]:
        """When the messages that this rule has planned go out, from `begin` to `end`.

        No other transaction plans messages of this rule, which has a `limit`, before this one ends.
        """

    async def withdraw(self, events: Sequence[Event], now: datetime) -> None:
        """Cancel deliveries that are not sent yet and that one of these events makes pointless.

        A reopening withdraws nothing that tells of an earlier completion of a recurring task.
        """

    async def pending(
        self, keys: Iterable[Key], rules: Container[str]
    ) -> list[tuple[int, str, str, str]]:
        """Deliveries of these rules about these tasks that are not sent yet, locked.

        Each is (id, rule, account, task). The rewriting of a message that is out is not among them.
        """

    async def cancel(self, deliveries: Sequence[int], reason: str, now: datetime) -> None:
        """Cancel deliveries that `pending` has found."""

    async def take_back(self, events: Sequence[Event], now: datetime) -> Lanes:
        """Plan to rewrite sent messages whose cause one of these events undoes (`on_undo`).

        Returns their lanes. A completion is undone by a reopening, a creation by a deletion, and
        that if the task is there again. What is taken back stands in nobody's way any more: when it
        happens again it is announced anew.
        """


class ProvenanceRepository(Protocol):
    """Which tasks and changes are Taskbell's own doing, and which rules wrote them."""

    async def writes_under_way(self, seen: Sequence[Observation]) -> Mapping[Key, frozenset[str]]:
        """The fields that Taskbell itself is writing, for those of these tasks that it writes to.

        A write counts from its first attempt until the task was read back, a creation until it was
        seen: a slow system may say first that there is no such task. One that is just being created
        has no known id yet: it is recognised by its title.
        """

    async def creator_rules(self, keys: Iterable[Key]) -> Mapping[Key, Rules]:
        """The rules that made each task, that made the task for which it was made, and so on."""

    async def writer_rules(self, events: Collection[int]) -> Mapping[int, Rules]:
        """The rules whose writing led to each of these events, directly or by way of other events.

        An event that Taskbell caused is traced to the last write before it to the same task and one
        of the changed fields; from there to the event because of which that was written, and so on.
        """
