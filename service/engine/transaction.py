"""The storage interface of engine and rules: every read and write of one transaction.

There are two implementations. In operation Taskbell uses PostgreSQL (`service.engine.postgres`). A
simulation, which tries rules on recorded or invented history and sends nothing, keeps everything in
memory (`service.simulator.memory.transaction`). The code above is the same for both.
"""

from typing import Protocol

from service.engine.repositories import (
    AccountRepository,
    AnnouncementRepository,
    DecisionRepository,
    DigestRepository,
    EventRepository,
    LookupRepository,
    OutboxRepository,
    ProvenanceRepository,
    ScheduleRepository,
    TaskRepository,
    WaitRepository,
)


class Transaction(Protocol):
    """Everything that a transaction of the engine reads and writes, one repository per entity."""

    @property
    def accounts(self) -> AccountRepository:
        """The sync states of accounts."""

    @property
    def tasks(self) -> TaskRepository:
        """The known states of tasks."""

    @property
    def announcements(self) -> AnnouncementRepository:
        """Announced changes of tasks that are not confirmed yet."""

    @property
    def lookups(self) -> LookupRepository:
        """Pending requests to read tasks by their ids."""

    @property
    def events(self) -> EventRepository:
        """The events."""

    @property
    def waits(self) -> WaitRepository:
        """The rules that wait."""

    @property
    def digests(self) -> DigestRepository:
        """The open digests."""

    @property
    def schedules(self) -> ScheduleRepository:
        """When the schedules of rules are due next."""

    @property
    def decisions(self) -> DecisionRepository:
        """The decisions of rules."""

    @property
    def outbox(self) -> OutboxRepository:
        """The deliveries."""

    @property
    def provenance(self) -> ProvenanceRepository:
        """The tasks and changes that Taskbell made."""
