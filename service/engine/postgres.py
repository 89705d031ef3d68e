"""The engine's transaction in PostgreSQL: the repositories on one connection."""

from service.outbox.direct_claims import DirectClaims
from service.outbox.provenance import PostgresProvenance
from service.outbox.repository import PostgresOutbox
from service.store import Connection
from service.store.accounts import PostgresAccounts
from service.store.announcements import PostgresAnnouncements
from service.store.decisions import PostgresDecisions
from service.store.digests import PostgresDigests
from service.store.events import PostgresEvents
from service.store.lookups import PostgresLookups
from service.store.schedules import PostgresSchedules
from service.store.tasks import PostgresTasks
from service.store.waits import PostgresWaits


class PostgresTransaction:
    """Reads and writes in the transaction that the caller has opened on `connection`.

    With `direct`, deliveries that are due are claimed as they are placed, where that is possible.
    """

    def __init__(self, connection: Connection, direct: DirectClaims | None = None) -> None:
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
        self.outbox = PostgresOutbox(connection, direct)
        self.provenance = PostgresProvenance(connection)
