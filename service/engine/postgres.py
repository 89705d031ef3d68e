"""The engine's transaction in PostgreSQL: each call goes to the module with its noun's SQL."""

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from datetime import datetime

from service.domain.model import Cause, Event, Observation
from service.engine.transaction import Rules
from service.outbox import (
    DeliveryRequest,
    Identity,
    Lanes,
    cancellation,
    placing,
    provenance,
)
from service.store import (
    Connection,
    announcements,
    lookups,
)
from service.store.accounts import PostgresAccounts
from service.store.announcements import Announcement
from service.store.decisions import PostgresDecisions
from service.store.digests import PostgresDigests
from service.store.events import PostgresEvents
from service.store.schedules import PostgresSchedules
from service.store.tasks import Key, PostgresTasks
from service.store.waits import PostgresWaits


class PostgresTransaction:
    """Reads and writes within the transaction that the caller has opened on `connection`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.accounts = PostgresAccounts(connection)
        self.tasks = PostgresTasks(connection)
        self.events = PostgresEvents(connection)
        self.waits = PostgresWaits(connection)
        self.digests = PostgresDigests(connection)
        self.schedules = PostgresSchedules(connection)
        self.decisions = PostgresDecisions(connection)

    async def doubt(self, keys: Sequence[Key], now: datetime) -> None:
        await lookups.ask(self.connection, keys, Cause.WEBHOOK, now)

    async def look_again(self, older: Mapping[Key, datetime], now: datetime) -> None:
        await lookups.ask_again(self.connection, older, now)

    async def announced(self, keys: Iterable[Key]) -> Mapping[Key, Sequence[Announcement]]:
        return await announcements.by_task(self.connection, keys)

    async def shown(self, over: Sequence[Announcement]) -> None:
        await announcements.forget(self.connection, over)

    async def writes_under_way(self, seen: Sequence[Observation]) -> Mapping[Key, frozenset[str]]:
        return await provenance.writes_under_way(self.connection, seen)

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

    async def makers(self, keys: Iterable[Key]) -> Mapping[Key, Rules]:
        return await provenance.makers(self.connection, keys)

    async def changers(self, happened: Collection[int]) -> Mapping[int, Rules]:
        return await provenance.changers(self.connection, happened)
