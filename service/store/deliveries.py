"""The deliveries of events, as they are stored in the outbox."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.domain.model import State
from service.store import Connection

# Columns for a statement over `deliveries`. A message and its removal are two deliveries, the one
# marked, the other named after it (`service.outbox.repository`): both are found by an index.
TAKEN_BACK = """
    (deliveries.state = 'sent' AND (
        deliveries.on_undo = 'retract' AND deliveries.once_key LIKE '%/undone:%' AND EXISTS (
            SELECT FROM deliveries AS removal WHERE removal.rule = deliveries.rule
            AND removal.once_key = 'undo:' || deliveries.id AND removal.state = 'sent'
            AND NOT removal.shadow)
        OR EXISTS (
            SELECT FROM deliveries AS removed WHERE removed.id = deliveries.updates
            AND removed.on_undo = 'retract')))
"""
REASON = f"CASE WHEN {TAKEN_BACK} THEN 'withdrawn after sending' ELSE deliveries.reason END"
# As the indexes have it: pending ones are few, ended ones are found by what they are searched by.
PENDING = "state IN ('planned', 'held', 'sending')"
ENDED = "state NOT IN ('planned', 'held', 'sending')"
# In a storm they wait for a person; those that a person holds go out by themselves afterwards.
IN_STORM = "(storm IS NOT NULL AND hold IS NULL)"
ON_HOLD = "(state = 'held' AND (storm IS NOT NULL OR hold IS NOT NULL))"


@dataclass(frozen=True, slots=True)
class RecordedDelivery:
    """A delivery and its state. `rewrites` is the delivery whose message it updates."""

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


async def because_of(
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
