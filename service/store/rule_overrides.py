"""The overrides of rules. Every switch is kept; the last one of each rule counts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import orjson

from service.domain.overrides import Mode, Override, described
from service.store import Connection, Pool

# The mode of a switch by which a rule follows the configuration again.
AS_IN_FILE = "file"
_LAST = """
    SELECT DISTINCT ON (rule) rule, mode, by, at, reason FROM rule_overrides
    ORDER BY rule, id DESC
"""
# A column for statements that are made anyway, so that overrides cost no query of their own. The
# value is null if there are none.
IN_FORCE = f"(SELECT json_agg(last) FROM ({_LAST}) AS last WHERE mode <> 'file') AS overrides"


@dataclass(frozen=True, slots=True)
class Switch:
    """What a person did with a rule `at` a time (UTC); `mode` None: it follows the file again."""

    mode: Mode | None
    by: str
    at: datetime
    reason: str | None = None

    @property
    def said(self) -> str:
        return described(self.mode, self.by, self.reason)


async def read(connection: Pool | Connection) -> dict[str, Override]:
    """The override of each rule that has one, also of rules that are no longer configured."""
    return in_force(await connection.fetch(f"SELECT {IN_FORCE}"))


def in_force(rows: Sequence[asyncpg.Record]) -> dict[str, Override]:
    """The overrides in the rows of a statement with the column `IN_FORCE`, by rule."""
    found = rows[0]["overrides"] if rows else None
    return {raw["rule"]: Override.from_json(raw) for raw in orjson.loads(found or "[]")}


async def add(connection: Connection, rule: str, switch: Switch) -> None:
    """Store a switch, which counts from now on."""
    await connection.execute(
        "INSERT INTO rule_overrides (rule, mode, by, at, reason) VALUES ($1, $2, $3, $4, $5)",
        rule,
        switch.mode or AS_IN_FILE,
        switch.by,
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
        Switch(row["mode"] and Mode(row["mode"]), row["by"], row["at"], row["reason"])
        for row in rows
    ]
