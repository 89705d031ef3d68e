"""The operator is told of accounts that fail, when they work again, and of outages."""

from collections.abc import Iterable

from service.clock import Clock
from service.outbox import Lanes, alerts, failure_alerts
from service.outbox.alerts import OperatorAddress
from service.store import Pool


class Alerts:
    """Tells one operator, if there is one, of these accounts."""

    def __init__(
        self, pool: Pool, clock: Clock, names: Iterable[str], address: OperatorAddress | None
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._names = list(names)
        self._address = address

    async def batch(self) -> Lanes:
        """Plan what is to be told by now; returns the lanes to ring."""
        if self._address is None:
            return frozenset()
        now = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            told = await alerts.alert_failing(connection, self._names, self._address, now)
            told += await alerts.alert_working(connection, self._names, self._address, now)
            told += await alerts.alert_storms(connection, self._names, self._address, now)
            told += await alerts.alert_missing(connection, self._names, self._address, now)
            told += await alerts.alert_appeared(connection, self._names, self._address, now)
            told += await failure_alerts.alert_unsent(connection, self._names, self._address, now)
            told += await alerts.alert_outages(connection, self._address, now)
        return frozenset({self._address.channel} if told else ())
