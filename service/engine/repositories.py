"""The repositories of a transaction: what engine and rules read and write, one per entity.

Each is implemented twice, with the same names: in PostgreSQL, beside the entity's other statements
(`service.store`, `service.outbox`), and in memory for simulations (`service.simulator.memory`).
`tests/conformance` tests both against these docstrings. All times are UTC.
"""

from collections.abc import AsyncIterator, Collection, Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from service.domain.digests import Digest, Join
from service.domain.model import Cause, Event, Observation, Task
from service.domain.schedules import NONE_TOGETHER, Slot
from service.outbox import DeliveryRequest, Identity, Lanes, Placed
from service.outbox.provenance import Rules
from service.rules.cancellation import EscalationEnd
from service.store.accounts import AccountState
from service.store.announcements import Announcement
from service.store.decisions import Decision
from service.store.schedules import Schedules
from service.store.tasks import Key, TaskState, TaskUpdate
from service.store.waits import Wait


class AccountRepository(Protocol):
    """The accounts: the sync states that timers and observations depend on."""

    async def read(self, names: Collection[str]) -> Mapping[str, AccountState]:
        """The sync state of each of these accounts; unknown accounts are left out."""

    async def stale(self, names: Collection[str], now: datetime) -> frozenset[str]:
        """Those of these accounts whose timers wait for a full sync.

        No worker has handled them until now, or they have not been read since; or they cannot be
        read.
        """

    async def outdated(self, names: Collection[str], now: datetime) -> frozenset[str]:
        """Those of these accounts whose known tasks may be out of date, however long already.

        They are paused, were never read as a whole, or wait to be read as those in `stale` do.
        """


class TaskRepository(Protocol):
    """The last known state of each task, and the time of its next alarm."""

    async def lock(self, keys: Iterable[Key]) -> dict[Key, TaskState]:
        """The states of these tasks, known or not; locked until the transaction ends."""

    async def lock_due(
        self, alarm_sets: Mapping[str, str], now: datetime, limit: int
    ) -> dict[Key, TaskState]:
        """Lock tasks whose alarm is due, up to `limit` of each account, so that none blocks others.

        The longest overdue come first, those of the same time in the order of their ids.
        `alarm_sets` has the alarm set of each account whose alarms this process fires; tasks of
        other alarm sets are skipped. A task that is about to be read by its id waits for that, if
        it does not take long, and a task that may have been deleted waits until that is decided.
        """

    async def present(self, keys: Iterable[Key]) -> Mapping[Key, Task]:
        """Those of these tasks that are known and not deleted, as last observed."""

    def pages(self, account: str, fields: Collection[str]) -> AsyncIterator[Sequence[Task]]:
        """Every known, undeleted task of an account, with its id and these fields.

        In pages, so that a large account fills neither the memory nor the event loop.
        """

    async def save(self, updates: Sequence[TaskUpdate]) -> None:
        """Store the new states of locked tasks, with their next alarms and alarm sets."""

    async def forget_placeholders(self, keys: Sequence[Key]) -> None:
        """Remove the rows that `lock` inserted for unknown tasks that are not saved."""


class AnnouncementRepository(Protocol):
    """Changes that webhooks announced and the system does not show yet."""

    async def by_task(self, keys: Iterable[Key]) -> Mapping[Key, Sequence[Announcement]]:
        """The announcements for each of these tasks, without signals and contents."""

    async def forget(self, over: Sequence[Announcement]) -> None:
        """Delete announcements for locked tasks that are confirmed or no longer expected."""


class LookupRepository(Protocol):
    """The pending requests to read tasks by their ids."""

    async def ask(self, keys: Sequence[Key], cause: Cause, now: datetime) -> None:
        """Request a read of these tasks; the mark of a task that Taskbell has written is kept."""

    async def ask_again(self, older: Mapping[Key, datetime], now: datetime) -> None:
        """Request a later read of tasks that were shown in an older version than the stored one.

        The pause starts with the first request, and ends at the earliest when the older version is
        accepted; `older` has that time for each task.
        """


class EventRepository(Protocol):
    """The events; they never change once stored."""

    async def allot_ids(self, count: int) -> list[int]:
        """The ids of the next events, in ascending order, so that decisions can refer to them.

        An id is never assigned twice.
        """

    async def insert(self, events: Sequence[Event], rules_version: str, now: datetime) -> None:
        """Store events, with the version of the rules that decides on them."""

    async def rescheduled(
        self, keys: Iterable[Key], since: datetime
    ) -> Mapping[Key, Sequence[Event]]:
        """When these tasks were observed with changed dates since then, in chronological order.

        Tasks without such a change are left out.
        """


class WaitRepository(Protocol):
    """The waits of rules with `settle` or `for`: at most one for each rule and task."""

    async def start(
        self, rule: str, event: Event, now: datetime, quiet: timedelta, most: timedelta
    ) -> None:
        """Let the rule wait until the event's task has been `quiet` for this long.

        If it waits already, the wait is restarted, up to `most` after it began.
        """

    async def over(self, accounts: Iterable[str], now: datetime, limit: int) -> Sequence[Key]:
        """Tasks of these accounts with a wait that is over, up to `limit`.

        The longest overdue come first. The waits are not removed.
        """

    async def take(self, keys: Sequence[Key], now: datetime) -> list[Wait]:
        """Remove and return the waits about these locked tasks that are over.

        They are in the order of their first events, and then of their rules.
        """

    async def about(self, keys: Iterable[Key], rules: Container[str]) -> list[Wait]:
        """The waits of these rules about these locked tasks, in the same order."""

    async def stop(self, waits: Sequence[Wait]) -> None:
        """Remove waits without a decision of their rules."""


class DigestRepository(Protocol):
    """The open digests: events that rules with `group` collect by account and key.

    That of a rule with `together` has tasks of several accounts.
    """

    async def join(self, joins: Sequence[Join], now: datetime) -> None:
        """Add events to their open digests, or open new ones.

        Digests are opened in the order of their rules, accounts and keys. A task that joins again
        counts once, with its later event. A full digest is closed; the next event opens another
        one.
        """

    async def take(
        self,
        accounts: Iterable[str],
        now: datetime,
        limit: int,
        together: Mapping[str, datetime] = NONE_TOGETHER,
    ) -> list[Digest]:
        """Remove and return digests of these accounts that are due, up to `limit`.

        The longest overdue come first, those of the same time in the order in which they were
        opened. Digests of the rules in `together` are taken if they were due by the time there,
        whatever their account is.
        """


class ScheduleRepository(Protocol):
    """When the schedule of each rule is due next in each account."""

    async def take(
        self, wanted: Schedules, now: datetime, together: Mapping[str, datetime] = NONE_TOGETHER
    ) -> Slot | None:
        """Take the longest overdue slot of the `wanted` schedules.

        A slot is taken once: the schedule continues with its first slot after `now`. A schedule
        that is active with another cron expression or time zone is skipped. No slot is due before
        the first full sync of its account, as an incomplete account would give incomplete lists.
        Slots of the rules in `together` are taken if they were due by the time there, whether or
        not their account was read.
        """


class DecisionRepository(Protocol):
    """The decisions of rules on events, with their reasons."""

    async def insert(
        self, decisions: Sequence[Decision], rules_version: str, now: datetime
    ) -> None:
        """Store decisions, with the version of the rules that made them."""


class OutboxRepository(Protocol):
    """The deliveries, as far as events and rules create and cancel them."""

    async def place(self, requests: Sequence[DeliveryRequest], now: datetime) -> Placed:
        """Put requests into the outbox.

        A delivery that was skipped, cancelled or came too late was not sent, and does not count.
        Shadow rules are counted separately. A request that is silenced now is skipped.
        """

    async def placed_before(self, requests: Sequence[DeliveryRequest]) -> set[Identity]:
        """Those of the requests that their rule has created already, by its `once_per`."""

    async def limited(
        self, rule: str, begin: datetime, end: datetime, *, shadow: bool
    ) -> list[datetime]:
        """Send times of the messages that this rule has planned, from `begin` to `end`.

        Until this transaction ends, no other one can plan messages of this rule, which has a
        `limit`.
        """

    async def withdraw(self, events: Sequence[Event], now: datetime) -> None:
        """Cancel unsent deliveries that one of these events makes pointless.

        A reopening cancels no message about an earlier completion of a recurring task.
        """

    async def pending(
        self, keys: Iterable[Key], rules: Container[str]
    ) -> list[tuple[int, str, str, str]]:
        """Unsent deliveries of these rules about these tasks, locked.

        Each is (id, rule, account, task). Updates of sent messages are not included.
        """

    async def cancel(self, deliveries: Sequence[int], reason: str, now: datetime) -> None:
        """Cancel deliveries that `pending` returned."""

    async def end_escalations(
        self, over: Sequence[EscalationEnd], rewritable: Collection[str], now: datetime
    ) -> Lanes:
        """Cancel unsent messages of rules with `escalate` about these events' tasks.

        Sent ones by `rewritable` channels are planned to be rewritten with the reason; returns
        their lanes. Messages about the same event or a later one are left.
        """

    async def take_back(self, events: Sequence[Event], now: datetime) -> Lanes:
        """Plan undo deliveries for sent messages whose cause is undone by an event (`on_undo`).

        Returns their lanes. A completion is undone by a reopening, a creation by a deletion, and a
        deletion by a restoration. An undone message no longer counts for `once_per`: if the same
        thing happens again, it is announced again.
        """


class ProvenanceRepository(Protocol):
    """Which tasks and changes were made by Taskbell, and by which rules."""

    async def writes_under_way(self, seen: Sequence[Observation]) -> Mapping[Key, frozenset[str]]:
        """The fields that Taskbell is writing, for those of these tasks that it writes to.

        A write counts from its first attempt until the task was read back, a creation until the
        task was observed: a slow system may report at first that the task does not exist. A task
        that is being created has no known id yet: it is recognised by its title.
        """

    async def creator_rules(self, keys: Iterable[Key]) -> Mapping[Key, Rules]:
        """For each task, the rules that created it, the task it was created for, and so on."""

    async def writer_rules(self, events: Collection[int]) -> Mapping[int, Rules]:
        """The rules whose writes led to each of these events, directly or through other events.

        An event that Taskbell caused is traced to the last write before it to the same task and one
        of the changed fields; from there to the event that caused the write, and so on.
        """
