"""The pending deliveries of the outbox as requests, for simulations.

Included are sent messages that still count for the `limit` of their rule.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import orjson

from service.domain.digests import Group
from service.domain.model import State
from service.domain.storms import StormScope
from service.outbox import DeliveryRequest
from service.outbox.suppression import is_exempt
from service.rules.verdict import Plan
from service.rules.visits import Visit
from service.store import Connection
from service.store.events import event_from
from service.store.tasks import read_task

_LONGEST_PERIOD = timedelta(days=1)  # a limit is per minute, hour or day


@dataclass(frozen=True, slots=True)
class PendingOrder:
    """A request as it is stored in the outbox.

    - `id`: the id of the delivery
    - `due`: when it is sent, or expires because nobody has approved or released it (UTC); None if
      it was sent
    - `is_exempt`: exempt from most gates: a question to an approver, or a retry that a person
      requested
    - `is_past_storm`: it was held by a storm before
    - `is_approved`: a person approved it
    - `at_once`: a person wants it sent now, outside its rule's hours too
    """

    id: int
    request: DeliveryRequest
    state: State
    due: datetime | None
    reason: str | None
    is_exempt: bool
    is_past_storm: bool
    is_approved: bool
    at_once: bool


async def read(connection: Connection, now: datetime, until: datetime) -> list[PendingOrder]:
    """Every message about a task that is due up to `until`, and those that count for a limit.

    Updates of sent messages, and messages to the operator, are left out.
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
        PendingOrder(
            row["id"],
            _order(row),
            State(row["state"]),
            row["next_attempt_at"],
            row["reason"],
            is_exempt(row),
            row["storm"] is not None,
            row["approved_by"] is not None,
            row["at_once"],
        )
        for row in rows
    ]


def _order(row: asyncpg.Record) -> DeliveryRequest:
    plan = Plan(
        step=row["step"],
        channel=row["channel"],
        target=row["target"],
        once_key=row["once_key"],
        send_at=row["limited_at"] or row["send_at"] or row["next_attempt_at"],
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
        visit=row["visit"] and Visit(row["visit"], row["announced"]),
        even_if_told=row["even_if_told"],
        reaches_customer=row["tells_of"] is not None,
        tells_of=None if row["tells_of"] is None else Group.from_json(row["tells_of"]),
        asks=_question(row),
    )
    is_limited = row["limited_at"] is not None
    event = event_from(row, read_task(row["before"]), read_task(row["after"]))
    flood = None if row["flood"] is None else StormScope.from_key(row["flood"])
    return DeliveryRequest(
        event, row["rule"], plan, row["lane"], row["at_most_once"], is_limited, flood=flood
    )


def _question(row: asyncpg.Record) -> Plan | None:
    """The question that is open: to whom, and until when."""
    if row["approver"] is None or row["approved_by"] is not None:
        return None
    channel, _, target = row["approver"].partition(":")
    return Plan(
        step=row["step"],
        channel=channel,
        target=target,
        once_key="",
        send_at=row["created_at"],
        state=State.SENT,
        expires_at=row["approve_by"],
    )
