"""The overrides of rules. Every switch is kept; the last one of each rule counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import orjson

from service.domain.actors import Actor
from service.domain.operators.overrides import Mode, OffPeriods, Override, described
from service.store import Connection, Pool

# The mode of a switch by which a rule follows the configuration again.
AS_IN_FILE = "file"
# A column for a statement about `due` deliveries, so that overrides cost no query of their own: the
# last switch of a delivery's rule; null if there was none.
OF_RULE = """
    (SELECT row_to_json(last) FROM rule_overrides AS last WHERE last.rule = due.rule
     ORDER BY id DESC LIMIT 1) AS override
"""


@dataclass(frozen=True, slots=True)
class Switch:
    """What a person did with a rule `at` a time (UTC); `mode` None: it follows the file again."""

    mode: Mode | None
    by: Actor
    at: datetime
    reason: str | None = None

    @property
    def said(self) -> str:
        return described(self.mode, self.by.name, self.reason)


async def read(connection: Pool | Connection) -> dict[str, Override]:
    """The override of each rule that has one, also of rules that are no longer configured."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (rule) rule, row_to_json(rule_overrides) AS override
        FROM rule_overrides ORDER BY rule, id DESC
        """
    )
    return in_force(rows)


def in_force(rows: Sequence[asyncpg.Record]) -> dict[str, Override]:
    """The overrides in rows with a `rule` and a column such as `OF_RULE`, by rule."""
    texts = {row["rule"]: row["override"] for row in rows if row["override"] is not None}
    last = {rule: orjson.loads(text) for rule, text in texts.items()}
    return {
        rule: Override.from_json(raw) for rule, raw in last.items() if raw["mode"] != AS_IN_FILE
    }


async def off_periods(connection: Pool | Connection) -> OffPeriods:
    """The periods that are over in which people had switched rules off, by rule."""
    rows = await connection.fetch(
        """
        SELECT rule, at, ended_at
        FROM (SELECT rule, mode, at, lead(at) OVER (PARTITION BY rule ORDER BY id) AS ended_at
              FROM rule_overrides) AS switches
        WHERE mode = 'off' AND ended_at IS NOT NULL ORDER BY rule, at
        """
    )
    periods: dict[str, list[tuple[datetime, datetime]]] = {}
    for rule, start, end in rows:
        known = periods.setdefault(rule, [])
        # Who switches off a rule that is off goes on with the same period.
        is_longer = bool(known) and known[-1][1] == start
        known.append((known.pop()[0] if is_longer else start, end))
    return periods


async def add(connection: Connection, rule: str, switch: Switch) -> None:
    """Store a switch, which counts from now on."""
    await connection.execute(
        "INSERT INTO rule_overrides (rule, mode, by, at, reason) VALUES ($1, $2, $3, $4, $5)",
        rule,
        switch.mode or AS_IN_FILE,
        switch.by.name,
        switch.at,
        switch.reason,
    )


async def history(pool: Pool, rule: str, limit: int) -> list[Switch]:
    """The last switches of a rule, the newest first."""
    rows = await pool.fetch(
        """
        SELECT nullif(mode, 'file') AS mode, by, at, reason FROM rule_overrides
        WHERE rule = $1 ORDER BY id DESC LIMIT $2
        """,
        rule,
        limit,
    )
    return [
        Switch(row["mode"] and Mode(row["mode"]), Actor(row["by"]), row["at"], row["reason"])
        for row in rows
    ]
