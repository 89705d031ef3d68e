"""What is planned or held, as the orders that it came of; and what counts for limits."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import orjson

from service.model import State
from service.outbox import Order
from service.outbox.holding import may_be_held
from service.rules.verdict import Plan
from service.store import Connection
from service.store.events import event_from
from service.store.tasks import read_task

_LONGEST_PERIOD = timedelta(days=1)  # that a limit is for


@dataclass(frozen=True, slots=True)
class Coming:
    """An order, what has become of it, and when it is to go out; None where it has.

    None also where it waits for a person's word. What has had that `is_excused` from being held.
    """

    order: Order
    state: State
    due: datetime | None
    reason: str | None
    is_excused: bool


async def before(connection: Connection, now: datetime, until: datetime) -> list[Coming]:
    """Everything about tasks that is to go out by then, and what takes room of a limit until then.

    The rewriting of a message that is out, what goes to the operator, and what waits for a
    person's word is not among it.
    """
    rows = await connection.fetch(
        """
        SELECT deliveries.*, kind, at, cause, changed, alarm, signal, before, after
        FROM deliveries JOIN events ON events.id = deliveries.event
        WHERE updates IS NULL AND deliveries.state NOT IN ('cancelled', 'expired')
          AND (deliveries.state IN ('planned', 'held') AND next_attempt_at <= $1
               OR limited_at > $2)
        ORDER BY next_attempt_at, deliveries.id
        """,
        until,
        now - _LONGEST_PERIOD,
    )
    return [
        Coming(
            _order(row),
            State(row["state"]),
            None if _waits_for_a_person(row) else row["next_attempt_at"],
            row["reason"],
            not may_be_held(row) or row["storm"] is not None,
        )
        for row in rows
    ]


def _waits_for_a_person(row: asyncpg.Record) -> bool:
    is_asked = row["approver"] is not None and row["approved_by"] is None
    return is_asked or (row["state"] == State.HELD and row["storm"] is not None)


def _order(row: asyncpg.Record) -> Order:
    plan = Plan(
        step=row["step"],
        channel=row["channel"],
        target=row["target"],
        once_key=row["once_key"],
        send_at=row["limited_at"] or row["next_attempt_at"],
        state=State(row["state"]),
        text=row["text"],
        subject=row["subject"],
        fields=None if row["fields"] is None else orjson.loads(row["fields"]),
        reason=row["reason"],
        expires_at=row["expires_at"],
        withdraw_on=frozenset(row["withdraw_on"]),
        on_undo=row["on_undo"],
        shadow=row["shadow"],
        muted_by=row["muted_by"],
    )
    is_limited = row["limited_at"] is not None
    event = event_from(row, read_task(row["before"]), read_task(row["after"]))
    return Order(event, row["rule"], plan, row["lane"], row["at_most_once"], is_limited)
