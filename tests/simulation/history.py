"""One history: a firm's day with Taskbell, as its plan says."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.config import Config
from tests.simulation.day import Day, Past
from tests.simulation.event_loop import SimulatedLoop
from tests.simulation.plan import Step
from tests.simulation.processes import collect_tasks
from tests.simulation.storage import Endless, Storage

_BEGINS = 60.0  # seconds after the first poll of the firm
_TABLES = {
    "deliveries": "SELECT * FROM deliveries ORDER BY id",
    "events": "SELECT * FROM events ORDER BY id",
    "decisions": "SELECT event, rule, outcome, reason FROM decisions ORDER BY event, rule",
    "tasks": "SELECT id, snapshot, deleted_at FROM tasks ORDER BY id",
    "receipts": "SELECT key AS receipt, state, reason FROM receipts ORDER BY id",
}


def live(storage: Storage, config: Config, seed: int, steps: Sequence[Step]) -> Past:
    """Let a history take place; what is left in the database belongs to it."""
    loop = SimulatedLoop(_BEGINS)
    collect_tasks(loop)
    days: list[Day] = []

    async def history() -> None:
        day = Day(storage, config, seed)
        days.append(day)
        await day.begin(is_new=False)
        for step in steps:
            await day.do(step)
        await day.come_to_rest()
        day.end()

    endless = []
    try:
        loop.run(history())
    except Endless as error:
        storage.crash()
        endless.append(str(error))
    past = days[0].past
    past.crashes += [*endless, *map(repr, loop.faults)]
    past.rows = {name: storage.server.run(query) for name, query in _TABLES.items()}
    for rows in past.rows.values():
        past.journal.update(repr([_without_key(row) for row in rows]).encode())
    return past


def _without_key(row: Mapping[str, Any]) -> list[Any]:
    """A row without the idempotency key, which is PostgreSQL's own random number."""
    return [value for name, value in row.items() if name != "key"]
