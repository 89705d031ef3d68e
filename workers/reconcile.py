"""At the start: what the rules want the clock to watch now, against what it watched before.

An alarm that a new rule brings does not ring for the past: what the old alarms still owe is rung
first, then a line is drawn for every open task, then the new alarms are set. That is a pass over
the open tasks, made only when the set of alarms has changed.
"""

from collections.abc import Mapping
from datetime import datetime
from zoneinfo import ZoneInfo

import structlog

from service.alarms import Alarm
from service.clock import Clock
from service.deciding import Decider
from service.engine import Engine
from service.store import Connection, Pool, alarms, tasks
from service.store.tasks import Key, Known, Saved
from service.tracking import with_rung

log = structlog.get_logger()

_BATCH = 1000


async def reconcile(
    pool: Pool, decider: Decider, zones: Mapping[str, ZoneInfo], clock: Clock
) -> None:
    """Bring the tasks' next alarms in line with the rules in force."""
    async with pool.acquire() as connection, connection.transaction():
        before = await alarms.watched(connection)
        if before == decider.alarms:
            return
        await _ring_what_is_owed(connection, Engine(decider, zones, clock, watched=before))
        engine = Engine(decider, zones, clock)
        added = decider.alarms - before
        after: Key | None = ("", "")
        while after is not None:
            known = await tasks.lock_next(connection, zones, after, _BATCH)
            await _set_anew(connection, engine, known, added, clock.now())
            after = max(known, default=None)
        await alarms.watch(connection, decider.alarms)
        log.info("alarms.reconciled", watched=len(decider.alarms), added=len(added))


async def _ring_what_is_owed(connection: Connection, engine: Engine) -> None:
    count = _BATCH
    while count:
        count, _ = await engine.ring(connection, _BATCH)


async def _set_anew(
    connection: Connection,
    engine: Engine,
    known: Mapping[Key, Known],
    added: frozenset[Alarm],
    now: datetime,
) -> None:
    """Draw the line for the new alarms' dates, and set when the clock looks again."""
    dates = {alarm.field for alarm in added}
    lined = {key: with_rung(one, dates, now) for key, one in known.items()}
    await tasks.save(
        connection,
        [Saved(key, one, engine.next_alarm(key, one)) for key, one in lined.items()],
    )
