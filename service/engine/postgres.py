"""The engine's transaction in PostgreSQL: each call goes to the module with its noun's SQL."""

from collections.abc import Container, Iterable, Sequence
from datetime import datetime

from service.domain.model import Event
from service.outbox import (
    DeliveryRequest,
    Identity,
    Lanes,
    cancellation,
    placing,
)
from service.outbox.provenance import PostgresProvenance
from service.store import Connection
from service.store.accounts import PostgresAccounts
from service.store.announcements import PostgresAnnouncements
from service.store.decisions import PostgresDecisions
from service.store.digests import PostgresDigests
from service.store.events import PostgresEvents
from service.store.lookups import PostgresLookups
from service.store.schedules import PostgresSchedules
from service.store.tasks import Key, PostgresTasks
from service.store.waits import PostgresWaits


class PostgresTransaction:
    """Reads and writes within the transaction that the caller has opened on `connection`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.accounts = PostgresAccounts(connection)
        self.tasks = PostgresTasks(connection)
        self.announcements = PostgresAnnouncements(connection)
        self.lookups = PostgresLookups(connection)
        self.events = PostgresEvents(connection)
        self.waits = PostgresWaits(connection)
        self.digests = PostgresDigests(connection)
        self.schedules = PostgresSchedules(connection)
        self.decisions = PostgresDecisions(connection)
        self.provenance = PostgresProvenance(connection)

    async def place(self, orders: Sequence[DeliveryRequest], now: datetime) -> set[Identity]:
        return await placing.place(self.connection, orders, now)

    async def placed_before(self, orders: Sequence[DeliveryRequest]) -> set[Identity]:
        return await placing.placed_before(self.connection, orders)

    async def limited(
        self, rule: str, begin: datetime, end: datetime, *, shadow: bool
    ) -> list[datetime]:
        return await placing.limited(self.connection, rule, begin, end, shadow=shadow)

    async def withdraw(self, happened: Sequence[Event], now: datetime) -> None:
        await cancellation.withdraw(self.connection, happened, now)

    async def pending(
        self, keys: Iterable[Key], rules: Container[str]
    ) -> list[tuple[int, str, str, str]]:
        return await cancellation.pending(self.connection, keys, rules)

    async def cancel(self, deliveries: Sequence[int], reason: str, now: datetime) -> None:
        await cancellation.cancel_all(self.connection, deliveries, reason, now)

    async def take_back(self, happened: Sequence[Event], now: datetime) -> Lanes:
        return await placing.take_back(self.connection, happened, now)
