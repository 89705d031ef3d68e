"""Applies the decisions of gates to deliveries that are placed, claimed or about to be sent."""

from collections.abc import Sequence
from datetime import datetime

from service.domain.model import Kind, State
from service.outbox.gates import Stops
from service.rules.cancellation import ends_waiting
from service.store import Connection, Row


def is_exempt(row: Row) -> bool:
    """Whether the delivery is exempt from most gates.

    It updates a sent message, requests an approval, goes to the operator, or was requested by a
    person.
    """
    is_a_rules_own = row["updates"] is None and row["approves"] is None and row["event"] is not None
    return not is_a_rules_own or row["asked_for"]


async def stop(connection: Connection, stops: Stops, now: datetime) -> None:
    """Store the stops. An attempt that was already begun has sent nothing, and does not count."""
    if not stops:
        return
    await connection.execute(
        """
        UPDATE deliveries SET state = new.state, reason = coalesce(new.reason, deliveries.reason),
            next_attempt_at = new.again_at, hold = new.hold, silence = new.silence,
            lease_until = NULL, asking = false,
            settled_at = CASE WHEN new.state NOT IN ('planned', 'held') THEN $1::timestamptz END,
            unread_since = CASE WHEN new.state <> 'held' THEN unread_since END,
            attempts = attempts - (deliveries.state = 'sending')::int,
            unsent = unsent + (deliveries.state = 'sending')::int
        FROM unnest($2::bigint[], $3::text[], $4::text[], $5::timestamptz[],
            $6::bigint[], $7::bigint[]) AS new (id, state, reason, again_at, hold, silence)
        WHERE deliveries.id = new.id AND deliveries.state IN ('planned', 'held', 'sending')
        """,
        now,
        list(stops),
        [one.state for one in stops.values()],
        [one.reason for one in stops.values()],
        [one.again_at for one in stops.values()],
        [one.hold for one in stops.values()],
        [one.silence for one in stops.values()],
    )
    held = [number for number, one in stops.items() if one.state is State.HELD]
    if held:
        await cancel_with_task(connection, held)


async def cancel_with_task(connection: Connection, held: Sequence[int]) -> None:
    """Cancel these deliveries if their task changes, because they now have to wait."""
    rows = await connection.fetch(
        """
        SELECT deliveries.id, events.kind, alarm
        FROM deliveries JOIN events ON events.id = deliveries.event
        WHERE deliveries.id = ANY ($1) AND deliveries.task <> '' AND withdraw_on = '{}'
        """,
        held,
    )
    if not rows:
        return
    await connection.execute(
        """
        UPDATE deliveries SET withdraw_on = string_to_array(new.words, E'\\n')
        FROM unnest($1::bigint[], $2::text[]) AS new (id, words) WHERE deliveries.id = new.id
        """,
        [row["id"] for row in rows],
        ["\n".join(sorted(ends_waiting(Kind(row["kind"]), row["alarm"]))) for row in rows],
    )
