"""The storage that the engine and the rules work on: every read and write of one transaction.

There are two implementations. Taskbell at work uses PostgreSQL (`database`). A simulation, which
tries rules on recorded or made-up history and sends nothing, keeps everything in memory (`memory`).
The code above is the same for both. All times are UTC.
"""

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

from service.domain.model import Event, Observation
from service.engine.repositories import (
    AccountRepository,
    DecisionRepository,
    DigestRepository,
    EventRepository,
    ScheduleRepository,
    TaskRepository,
    WaitRepository,
)
from service.outbox import DeliveryRequest, Identity, Lanes
from service.store.announcements import Announcement
from service.store.tasks import Key

Rules: TypeAlias = frozenset[str]


class TaskTransaction(Protocol):
    """What is known of accounts and tasks, and what happened to them."""

    @property
    def accounts(self) -> AccountRepository:
        """How far accounts have been read."""

    @property
    def tasks(self) -> TaskRepository:
        """What is known of tasks."""

    async def doubt(self, keys: Sequence[Key], now: datetime) -> None:
        """Ask for these tasks to be read by id: what was pushed may be outdated."""

    async def look_again(self, older: Mapping[Key, datetime], now: datetime) -> None:
        """Ask for these tasks to be read then, after a pause: they were seen in older versions."""

    async def announced(self, keys: Iterable[Key]) -> Mapping[Key, Sequence[Announcement]]:
        """What webhooks said has happened to these tasks and their system did not show yet."""

    async def shown(self, over: Sequence[Announcement]) -> None:
        """Forget announcements about locked tasks that the system shows by now."""

    @property
    def events(self) -> EventRepository:
        """What has happened."""

    async def writes_under_way(self, seen: Sequence[Observation]) -> Mapping[Key, frozenset[str]]:
        """The fields that Taskbell itself is writing, for each of these tasks that it writes to."""


class RuleTransaction(Protocol):
    """What rules wait for and gather, what they have decided, and what they have sent."""

    @property
    def waits(self) -> WaitRepository:
        """The rules that wait."""

    @property
    def digests(self) -> DigestRepository:
        """What rules gather for one message."""

    @property
    def schedules(self) -> ScheduleRepository:
        """When the schedules of rules come next."""

    @property
    def decisions(self) -> DecisionRepository:
        """What rules have decided."""

    async def place(self, orders: Sequence[DeliveryRequest], now: datetime) -> set[Identity]:
        """Put orders into the outbox; returns those that are new by their rule's `once_per`."""

    async def placed_before(self, orders: Sequence[DeliveryRequest]) -> set[Identity]:
        """Those of the orders that their rule has placed already, by its `once_per`."""

    async def limited(
        self, rule: str, begin: datetime, end: datetime, *, shadow: bool
    ) -> list[datetime]:
        """When the messages that this rule has planned go out, from `begin` to `end`.

        No other transaction plans messages of this rule, which has a `limit`, before this one ends.
        """

    async def withdraw(self, events: Sequence[Event], now: datetime) -> None:
        """Cancel deliveries that are not sent yet and that one of these events makes pointless."""

    async def pending(
        self, keys: Iterable[Key], rules: Container[str]
    ) -> list[tuple[int, str, str, str]]:
        """Deliveries of these rules about these tasks that are not sent yet, locked.

        Each is (id, rule, account, task).
        """

    async def cancel(self, deliveries: Sequence[int], reason: str, now: datetime) -> None:
        """Cancel deliveries that `pending` has found."""

    async def take_back(self, events: Sequence[Event], now: datetime) -> Lanes:
        """Plan to rewrite sent messages whose cause one of these events undoes (`on_undo`)."""

    async def makers(self, keys: Iterable[Key]) -> Mapping[Key, Rules]:
        """The rules that made each of these tasks: itself, the task it was made for, and so on."""

    async def changers(self, events: Collection[int]) -> Mapping[int, Rules]:
        """The rules whose writing led to each of these events, directly or by one another."""


class Transaction(TaskTransaction, RuleTransaction, Protocol):
    """Everything that a transaction of the engine reads and writes."""
