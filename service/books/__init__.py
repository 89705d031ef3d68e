"""What the engine and the rules remember: every read and write of one transaction.

Taskbell at work has it in PostgreSQL (`database`). A rehearsal, which tries rules on history or on
a made-up one and sends nothing, has it in memory (`memory`). Everything above is the same code.
"""

from collections.abc import AsyncIterator, Collection, Container, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

from service.digests import Digest, Join
from service.model import Event, Observation, Task
from service.outbox import Identity, Lanes, Order
from service.schedules import Slot
from service.store.accounts import AccountState
from service.store.decisions import Decision
from service.store.schedules import Schedules
from service.store.settling import Settled
from service.store.tasks import Key, Known, Saved

Rules: TypeAlias = frozenset[str]


class TaskBooks(Protocol):
    """What is known of accounts and tasks, and what happened to them."""

    async def accounts(self, names: Collection[str]) -> Mapping[str, AccountState]:
        """These accounts, as far as they have been read."""

    async def lock(self, keys: Iterable[Key]) -> dict[Key, Known]:
        """These tasks, known or not, which nobody else changes before this is over."""

    async def lock_ringing(
        self, watches: Mapping[str, str], now: datetime, limit: int
    ) -> dict[Key, Known]:
        """Tasks whose alarm has come, up to `limit` of each account (account -> its watch)."""

    async def tasks(self, keys: Iterable[Key]) -> Mapping[Key, Task]:
        """Those of these tasks that are known and not gone."""

    def pages(self, account: str, fields: Collection[str]) -> AsyncIterator[Sequence[Task]]:
        """Every known task of an account, with at least its id and these fields."""

    async def save(self, saved: Sequence[Saved]) -> None:
        """Keep the new states of tasks that were locked."""

    async def forget_unseen(self, keys: Sequence[Key]) -> None:
        """Take back what locking has left of tasks that were given no state."""

    async def doubt(self, keys: Sequence[Key], now: datetime) -> None:
        """Have the system itself asked for these tasks."""

    async def allot_ids(self, count: int) -> list[int]:
        """The numbers of the next events."""

    async def record(self, events: Sequence[Event], now: datetime, version: str) -> None:
        """Keep what happened, for good; the rules of this version decide on it now."""

    async def writes_under_way(self, seen: Sequence[Observation]) -> Mapping[Key, frozenset[str]]:
        """Those of the tasks seen that Taskbell itself is writing, and the fields it writes."""


class RuleBooks(Protocol):
    """What rules are waiting for, what they have decided, and what they want to have sent."""

    async def wait(
        self, rule: str, event: Event, now: datetime, quiet: timedelta, most: timedelta
    ) -> None:
        """Have the rule wait until the task was quiet; each change begins anew, up to `most`."""

    async def waits_over(self, accounts: Iterable[str], now: datetime, limit: int) -> Sequence[Key]:
        """Tasks for which some rule has waited long enough."""

    async def take_waits(self, keys: Sequence[Key], now: datetime) -> list[Settled]:
        """Take out the waits about these locked tasks that are over."""

    async def waiting(self, keys: Iterable[Key], rules: Container[str]) -> list[Settled]:
        """What these rules are waiting for about these locked tasks."""

    async def stop_waiting(self, waits: Sequence[Settled]) -> None:
        """Wait no longer."""

    async def join(self, joins: Sequence[Join], now: datetime) -> None:
        """Add events to the open digests that they belong to."""

    async def take_digests(
        self, accounts: Iterable[str], now: datetime, limit: int
    ) -> list[Digest]:
        """Take out digests that are over."""

    async def take_slot(self, schedules: Schedules, now: datetime) -> Slot | None:
        """The slot that is due, of the schedule that has waited longest; it does not come again."""

    async def decide(self, decisions: Sequence[Decision], version: str, now: datetime) -> None:
        """Keep why something is sent or is not, and by which version of the rules."""

    async def place(self, orders: Sequence[Order], now: datetime) -> set[Identity]:
        """Put orders into the outbox; returns those that the rule had not placed before."""

    async def placed_before(self, orders: Sequence[Order]) -> set[Identity]:
        """Those of the orders that their rule has placed already."""

    async def limited(
        self, rule: str, begin: datetime, end: datetime, *, shadow: bool
    ) -> list[datetime]:
        """When messages of this rule, which has a limit, go out in that time.

        Nobody else plans any for it before this is over.
        """

    async def withdraw(self, events: Sequence[Event], now: datetime) -> None:
        """Cancel what is not sent yet and what one of these events has made pointless."""

    async def pending(
        self, keys: Iterable[Key], rules: Container[str]
    ) -> list[tuple[int, str, str, str]]:
        """What these rules have not sent yet about these tasks: (id, rule, account, task)."""

    async def cancel(self, deliveries: Sequence[int], reason: str, now: datetime) -> None:
        """Cancel deliveries that were pending."""

    async def take_back(self, events: Sequence[Event], now: datetime) -> Lanes:
        """Plan the rewriting of messages whose cause one of these events undoes."""

    async def makers(self, keys: Iterable[Key]) -> Mapping[Key, Rules]:
        """The rules that made these tasks, and those that these were made for, and so on."""

    async def changers(self, events: Collection[int]) -> Mapping[int, Rules]:
        """The rules that wrote what these events are about, and so on."""


class Books(TaskBooks, RuleBooks, Protocol):
    """All of it."""
