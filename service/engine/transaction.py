"""The storage that the engine and the rules work on: every read and write of one transaction.

There are two implementations. Taskbell at work uses PostgreSQL (`database`). A simulation, which
tries rules on recorded or made-up history and sends nothing, keeps everything in memory (`memory`).
The code above is the same for both. All times are UTC.
"""

from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from service.domain.model import Event
from service.engine.repositories import (
    AccountRepository,
    AnnouncementRepository,
    DecisionRepository,
    DigestRepository,
    EventRepository,
    LookupRepository,
    ProvenanceRepository,
    ScheduleRepository,
    TaskRepository,
    WaitRepository,
)
from service.outbox import DeliveryRequest, Identity, Lanes
from service.store.tasks import Key


class TaskTransaction(Protocol):
    """What is known of accounts and tasks, and what happened to them."""

    @property
    def accounts(self) -> AccountRepository:
        """How far accounts have been read."""

    @property
    def tasks(self) -> TaskRepository:
        """What is known of tasks."""

    @property
    def announcements(self) -> AnnouncementRepository:
        """What is announced of tasks and does not show."""

    @property
    def lookups(self) -> LookupRepository:
        """Which tasks are to be read by their id."""

    @property
    def events(self) -> EventRepository:
        """What has happened."""

    @property
    def provenance(self) -> ProvenanceRepository:
        """What is Taskbell's own doing."""


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


class Transaction(TaskTransaction, RuleTransaction, Protocol):
    """Everything that a transaction of the engine reads and writes."""
