"""Alerts to the operator: accounts and channels that fail, storms, outages, failed messages."""

from collections.abc import Iterable

from service.clock import Clock
from service.outbox import Lanes, alerts, failure_alerts
from service.outbox.alerts import OperatorAddress
from service.store import Pool


class Alerts:
    """Sends alerts about these accounts to the operator, if one is configured."""

    def __init__(
        self, pool: Pool, clock: Clock, names: Iterable[str], address: OperatorAddress | None
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._names = list(names)
        self._address = address

    async def batch(self) -> Lanes:
        """Plan the alerts that are due; returns the lanes to wake up."""
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
            told += await failure_alerts.alert_channels(connection, self._address, now)
            told += await failure_alerts.alert_working_channels(connection, self._address, now)
            told += await alerts.alert_outages(connection, self._address, now)
        return frozenset({self._address.channel} if told else ())
