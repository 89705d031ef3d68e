"""The recorded decisions about events, and the deliveries that came of them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.model import State
from service.store import Connection


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """A recorded decision of a rule about an event, made at `at` (UTC)."""

    event: int
    rule: str
    rules_version: str
    outcome: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RecordedDelivery:
    """A delivery and its state. `rewrites` is the delivery whose message it rewrites."""

    id: int
    event: int
    rule: str
    step: int
    once_key: str
    channel: str
    target: str
    state: State
    reason: str | None
    attempts: int
    rewrites: int | None
    created_at: datetime
    next_attempt_at: datetime | None
    settled_at: datetime | None


async def decisions(connection: Connection, events: Sequence[int]) -> list[RecordedDecision]:
    """The decisions of all rules about these events, in the order in which they were made."""
    rows = await connection.fetch(
        """
        SELECT event, rule, rules_version, outcome, reason, at
        FROM decisions WHERE event = ANY ($1) ORDER BY id
        """,
        events,
    )
    return [RecordedDecision(**row) for row in rows]


async def deliveries(
    connection: Connection, events: Sequence[int]
) -> dict[int, list[RecordedDelivery]]:
    """The deliveries that were planned because of these events, by event id."""
    rows = await connection.fetch(
        """
        SELECT id, event, rule, step, once_key, channel, target, state, reason, attempts,
               updates AS rewrites, created_at, next_attempt_at, settled_at
        FROM deliveries WHERE event = ANY ($1) ORDER BY id
        """,
        events,
    )
    found: dict[int, list[RecordedDelivery]] = defaultdict(list)
    for row in rows:
        found[row["event"]].append(RecordedDelivery(**{**row, "state": State(row["state"])}))
    return found
