"""Why something was sent or was not: what each rule made of an event."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.store import Connection, Pool


@dataclass(frozen=True, slots=True)
class Decision:
    """One rule's recorded decision on one event."""

    event: int
    rule: str
    outcome: str
    reason: str


async def insert(
    connection: Connection, decisions: Sequence[Decision], rules_version: str, now: datetime
) -> None:
    await connection.execute(
        """
        INSERT INTO decisions (event, rule, rules_version, outcome, reason, at)
        SELECT event, rule, $5, outcome, reason, $6
        FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[])
          AS new (event, rule, outcome, reason)
        """,
        [decision.event for decision in decisions],
        [decision.rule for decision in decisions],
        [decision.outcome for decision in decisions],
        [decision.reason for decision in decisions],
        rules_version,
        now,
    )


async def keep_rules(pool: Pool, version: str, text: str, now: datetime) -> None:
    """Keep the text that decisions made from now on refer to."""
    await pool.execute(
        "INSERT INTO rulesets (version, text, loaded_at) VALUES ($1, $2, $3)"
        " ON CONFLICT (version) DO NOTHING",
        version,
        text,
        now,
    )
