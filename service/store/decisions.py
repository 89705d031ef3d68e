"""The decisions of rules on events, with their reasons."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from service.store import Connection, Pool, column


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision of a rule on an event, or on the digest with the key `group`."""

    event: int
    rule: str
    outcome: str
    reason: str
    group: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class RecordedDecision:
    """A decision, made at `at` (UTC) by this version of the rules; see `Decision`."""

    at: datetime
    event: int
    rule: str
    rules_version: str
    outcome: str
    reason: str
    group: str | None = field(default=None, compare=False)


class PostgresDecisions:
    """`DecisionRepository` in the transaction that is open on `connection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def insert(
        self, decisions: Sequence[Decision], rules_version: str, now: datetime
    ) -> None:
        await self._connection.execute(
            """
            INSERT INTO decisions (event, rule, rules_version, outcome, reason, group_key, at)
            SELECT event, rule, $6, outcome, reason, group_key, $7
            FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[])
              AS new (event, rule, outcome, reason, group_key)
            """,
            [decision.event for decision in decisions],
            [decision.rule for decision in decisions],
            [decision.outcome for decision in decisions],
            column([decision.reason for decision in decisions]),
            column([decision.group for decision in decisions]),
            rules_version,
            now,
        )


async def about(connection: Connection, events: Sequence[int]) -> list[RecordedDecision]:
    """The decisions of all rules about these events, in the order in which they were made."""
    rows = await connection.fetch(
        """
        SELECT at, event, rule, rules_version, outcome, reason, group_key AS "group"
        FROM decisions WHERE event = ANY ($1) ORDER BY id
        """,
        events,
    )
    return [RecordedDecision(**row) for row in rows]


async def keep_rules(pool: Pool, version: str, text: str, now: datetime) -> None:
    """Store the text of the active rules, which decisions refer to from now on."""
    await pool.execute(
        "INSERT INTO rulesets (version, text, loaded_at) VALUES ($1, $2, $3)"
        " ON CONFLICT (version) DO UPDATE SET loaded_at = excluded.loaded_at",
        version,
        text,
        now,
    )


async def rules_in_force(pool: Pool) -> tuple[str, str] | None:
    """The version and the text of the rules that were loaded last; None if there were none."""
    row = await pool.fetchrow(
        "SELECT version, text FROM rulesets ORDER BY loaded_at DESC, version LIMIT 1"
    )
    return None if row is None else (row["version"], row["text"])


async def rules_text(pool: Pool, version: str) -> str | None:
    """The text of an earlier version of the rules; None if this version is unknown."""
    text: str | None = await pool.fetchval("SELECT text FROM rulesets WHERE version = $1", version)
    return text
