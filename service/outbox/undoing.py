"""Messages that are no longer true: which events undo which others, and how escalations end."""

from collections.abc import Collection, Sequence
from datetime import datetime

import asyncpg

from service.domain.model import Kind
from service.domain.operators.buttons import ESCALATION
from service.outbox import Lanes
from service.rules.cancellation import EscalationEnd, end_of, ends_escalation
from service.store import Connection
from service.store.events import event_from
from service.store.tasks import read_task

# What each event takes back. A date that moves or a task that is assigned again takes nothing back:
# that is news of its own.
UNDONE = frozenset(
    {
        (Kind.COMPLETED, Kind.REOPENED),
        (Kind.CREATED, Kind.DELETED),
        (Kind.RESTORED, Kind.DELETED),
        (Kind.DELETED, Kind.RESTORED),
    }
)
UNDOING = frozenset(undoing for _, undoing in UNDONE)


def is_done_again(delivery: str, news: str) -> str:
    """Whether a recurring task was completed again between a delivery's event and the undoing one.

    A reopening then undoes the later completion only.
    """
    return f"""EXISTS (
        SELECT FROM events AS later
        WHERE later.account = {delivery}.account AND later.task = {delivery}.task
          AND later.kind = 'completed' AND later.id > {delivery}.event AND later.id < {news}.id)"""


async def cancel_escalations(
    connection: Connection, over: Sequence[EscalationEnd], now: datetime
) -> None:
    """Cancel the unsent messages of escalations that have ended."""
    await connection.execute(
        """
        UPDATE deliveries SET state = 'cancelled', settled_at = $1, next_attempt_at = NULL,
            reason = news.reason
        FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[])
               AS news (account, task, id, reason)
        WHERE deliveries.account = news.account AND deliveries.task = news.task
          AND state IN ('planned', 'held') AND event < news.id AND $6 = ANY (withdraw_on)
        """,
        now,
        *_columns(over),
        [one.reason for one in over],
        ESCALATION,
    )


async def overtaken(connection: Connection, deliveries: Sequence[int]) -> dict[int, str]:
    """Why some of these, which are tried again, must not be: by their ids.

    An event that would have cancelled them came while an attempt was made, and that has failed.
    """
    rows = await connection.fetch(
        f"""
        SELECT deliveries.id AS delivery, withdraw_on, news.id AS event, news.account, news.task,
               news.kind, news.at, news.cause, changed, alarm, signal, before, after
        FROM deliveries JOIN events AS news
          ON news.account = deliveries.account AND news.task = deliveries.task
             AND news.id > deliveries.event AND news.decided_at > deliveries.created_at
        WHERE deliveries.id = ANY ($1) AND withdraw_on <> '{{}}' AND on_undo IS NULL
          AND NOT (news.kind = 'reopened' AND {is_done_again("deliveries", "news")})
        ORDER BY news.id DESC
        """,
        deliveries,
    )
    found = ((row["delivery"], _end(row, frozenset(row["withdraw_on"]))) for row in rows)
    return {delivery: why for delivery, why in found if why is not None}


def _end(row: asyncpg.Record, words: frozenset[str]) -> str | None:
    """Why this event cancels a delivery with these words; None if it does not."""
    event = event_from(row, read_task(row["before"]), read_task(row["after"]))
    if not event.words.isdisjoint(words):
        return f"cancelled: the task was {event.kind}"
    is_end = ESCALATION in words and ends_escalation(event)
    return f"cancelled: {end_of(event)}" if is_end else None


async def close_escalated(
    connection: Connection,
    over: Sequence[EscalationEnd],
    rewritable: Collection[str],
    now: datetime,
) -> Lanes:
    """Plan that the sent messages of these channels say how their escalation has ended.

    One that is being sent meanwhile is left as it is: its receipt is not known yet.
    """
    rows = await connection.fetch(
        """
        INSERT INTO deliveries (account, task, event, rule, once_key, step, channel, target, lane,
            at_most_once, text, markup, subject, updates, on_undo, state, created_at,
            next_attempt_at)
        SELECT sent.account, sent.task, news.id, sent.rule, 'ended:' || sent.id, sent.step,
            sent.channel, sent.target, sent.lane, sent.at_most_once,
            sent.text || E'\\n' || news.line, sent.markup, sent.subject, sent.id, 'update',
            'planned', $1, $1
        FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[])
               AS news (account, task, id, line)
        JOIN deliveries AS sent ON sent.account = news.account AND sent.task = news.task
        WHERE sent.state = 'sent' AND sent.event < news.id AND $6 = ANY (sent.withdraw_on)
          AND sent.channel = ANY ($7) AND sent.receipt <> '{}'
        ON CONFLICT DO NOTHING
        RETURNING lane
        """,
        now,
        *_columns(over),
        [one.line for one in over],
        ESCALATION,
        rewritable,
    )
    return frozenset(row["lane"] for row in rows)


async def close_questions(
    connection: Connection, delivery: int, said: str, rewritable: Collection[str], now: datetime
) -> Lanes:
    """Plan that the questions about a delivery, sent by these channels, say who has decided."""
    rows = await connection.fetch(
        """
        INSERT INTO deliveries (account, task, event, rule, once_key, step, channel, target, lane,
            at_most_once, text, markup, subject, updates, on_undo, state, created_at,
            next_attempt_at)
        SELECT account, task, event, rule, 'ended:' || id, step, channel, target, lane,
            at_most_once, text || E'\\n' || $2, markup, subject, id, 'update', 'planned', $3, $3
        FROM deliveries
        WHERE approves = $1 AND state = 'sent' AND channel = ANY ($4) AND receipt <> '{}'
        ON CONFLICT DO NOTHING
        RETURNING lane
        """,
        delivery,
        said,
        now,
        rewritable,
    )
    return frozenset(row["lane"] for row in rows)


def _columns(over: Sequence[EscalationEnd]) -> tuple[list[str], list[str], list[int]]:
    events = [one.event for one in over]
    accounts = [event.account for event in events]
    return accounts, [event.task_id for event in events], [event.id for event in events]
