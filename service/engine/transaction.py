"""The storage that the engine and the rules work on: every read and write of one transaction.

There are two implementations. Taskbell at work uses PostgreSQL (`service.engine.postgres`). A
simulation, which tries rules on recorded or made-up history and sends nothing, keeps everything in
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
    """Everything that a transaction of the engine reads and writes, by its noun."""

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

    @property
    def outbox(self) -> OutboxRepository:
        """What is to be sent."""

    @property
    def provenance(self) -> ProvenanceRepository:
        """What is Taskbell's own doing."""
