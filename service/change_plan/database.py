"""Database reads for `taskbell plan`."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TypeAlias

from service.change_plan import ChangePlan, Side, pending_counts
from service.change_plan.forecast import Forecast
from service.config import RulesConfig, past_rules
from service.engine import IN_FORCE
from service.store import Pool, decisions
from service.store.operators import rule_overrides

Counting: TypeAlias = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Opens a progress bar, by a title and the approximate total; gives the function that moves it."""


async def foresee(pool: Pool, sketch: RulesConfig, now: datetime, counting: Counting) -> ChangePlan:
    """Compare a configuration with the active one; reads every task only if that can matter.

    Overrides apply to both of them, and the result lists them.
    """
    overrides = await rule_overrides.read(pool)
    sketch = sketch.switched(overrides)
    planned = Side(sketch.rules, sketch.zones, frozenset(sketch.kinds))
    forecast = Forecast(await _running(pool, sketch), planned)
    forecast.add_waits(await pending_counts.waits(pool))
    forecast.add_digests(await pending_counts.digests(pool))
    forecast.add_silences(await pending_counts.silences(pool, now))
    forecast.add_deliveries(await pending_counts.deliveries(pool))
    if forecast.concerns_tasks:
        total = await pending_counts.count_tasks(pool)
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            with counting("reading tasks", total) as progress:
                await forecast.add_tasks(pending_counts.tasks(connection), now, progress)
    forecast.plan.overrides = overrides
    return forecast.plan


async def _running(pool: Pool, sketch: RulesConfig) -> Side | None:
    loaded = await decisions.rules_in_force(pool)
    if loaded is None:
        return None
    watched = await pending_counts.watched(pool, IN_FORCE)
    zones = {name: zone or sketch.timezone for name, zone in watched.items()}
    return Side(past_rules(loaded[1], sketch), zones)
