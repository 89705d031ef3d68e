"""Tries of rules on the past: the last one of each rule, how far it is, and what came of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.domain.actors import Actor
from service.store import Pool
from service.store.operators import changes
from service.store.operators.changes import Action

_SILENCE = timedelta(seconds=15)  # after which the process that works on it is taken for gone


@dataclass(frozen=True, slots=True)
class StoredTry:
    """A try that began at `began_at` (UTC), with the rules of a version.

    `share` is how much of it is done, from 0 to 100. When it has ended, it has a `result` (JSON) or
    says `why_not`; `is_lost`: the process that worked on it is gone.
    """

    version: str
    began_at: datetime
    share: int
    result: str | None
    why_not: str | None
    is_lost: bool


async def begin(pool: Pool, rule: str, version: str, by: Actor, now: datetime) -> bool:
    """Begin a try, which replaces the last one of the rule; False if that is still under way."""
    async with pool.acquire() as connection, connection.transaction():
        begun = await connection.fetchval(
            """
            INSERT INTO rule_tries AS last (rule, version, began_at, alive_at, share)
            VALUES ($1, $2, $3, $3, 0)
            ON CONFLICT (rule) DO UPDATE SET
                version = excluded.version, began_at = excluded.began_at,
                alive_at = excluded.alive_at, share = 0, result = NULL, why_not = NULL
            WHERE last.result IS NOT NULL OR last.why_not IS NOT NULL OR last.alive_at <= $4
            RETURNING true
            """,
            rule,
            version,
            now,
            now - _SILENCE,
        )
        if begun:
            await changes.record(connection, by, Action.RULE_TRIED, rule, now)
    return bool(begun)


async def go_on(pool: Pool, rule: str, began_at: datetime, share: int, now: datetime) -> None:
    """Say how far it is, and that somebody works on it."""
    await pool.execute(
        "UPDATE rule_tries SET share = $3, alive_at = $4 WHERE rule = $1 AND began_at = $2",
        rule,
        began_at,
        share,
        now,
    )


async def end(
    pool: Pool, rule: str, began_at: datetime, result: str | None, why_not: str | None
) -> None:
    """Store what came of it: the result, or why there is none."""
    await pool.execute(
        "UPDATE rule_tries SET result = $3, why_not = $4 WHERE rule = $1 AND began_at = $2",
        rule,
        began_at,
        result,
        why_not,
    )


async def read(pool: Pool, rule: str, now: datetime) -> StoredTry | None:
    """The last try of a rule."""
    row = await pool.fetchrow(
        """
        SELECT version, began_at, share, result, why_not,
               result IS NULL AND why_not IS NULL AND alive_at <= $2 AS is_lost
        FROM rule_tries WHERE rule = $1
        """,
        rule,
        now - _SILENCE,
    )
    return None if row is None else StoredTry(**row)
