"""Creates and cancels deliveries, and plans undo deliveries, in the transaction of the event."""

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import asyncpg
import orjson

from service.domain.model import Event, State
from service.outbox import (
    DeliveryRequest,
    Identity,
    Lanes,
    Placed,
    question,
    silences,
    suppression,
    undoing,
)
from service.outbox.gates import Stop, Stops
from service.outbox.rows import row_of
from service.outbox.undoing import UNDOING, UNDONE, is_done_again
from service.rules.cancellation import EscalationEnd
from service.store import Connection
from service.store.tasks import Key

if TYPE_CHECKING:  # rules take longer to import than a command that acts on deliveries
    from service.outbox.direct_claims import DirectClaims


class PostgresOutbox:
    """`OutboxRepository` in the transaction that is open on `connection`."""

    def __init__(self, connection: Connection, direct: "DirectClaims | None" = None) -> None:
        self._connection = connection
        self._direct = direct

    async def place(self, requests: Sequence[DeliveryRequest], now: datetime) -> Placed:
        """The indexes `deliveries_once` and `deliveries_on_trial` find what was placed before."""
        wanted = [row_of(request, now) for request in requests]
        if self._direct is not None:
            await self._direct.begin(self._connection, requests, wanted, now)
        rows = await self._insert(wanted, now)
        begun = frozenset() if self._direct is None else self._direct.enter(rows)
        waiting = [row for row in rows if _identity(row) not in begun]
        silenced = _silenced(waiting, requests, now)
        await suppression.stop(self._connection, silenced, now)
        if any(request.asks for request in requests):
            placed = [row for row in waiting if row["id"] not in silenced]
            await self._ask(placed, requests, now)
        return Placed(frozenset(_identity(row) for row in rows), begun)

    async def placed_before(self, requests: Sequence[DeliveryRequest]) -> set[Identity]:
        # Two parts, so that each is found by its index: `deliveries_once` or `deliveries_on_trial`.
        rows = await self._connection.fetch(
            """
            WITH wanted AS (
                SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::boolean[])
                    AS wanted (rule, step, once_key, target, shadow))
            SELECT rule, step, once_key, target
            FROM wanted JOIN deliveries USING (rule, step, once_key, target)
            WHERE NOT wanted.shadow AND NOT deliveries.shadow
              AND state NOT IN ('skipped', 'cancelled', 'expired')
            UNION ALL
            SELECT rule, step, once_key, target
            FROM wanted JOIN deliveries USING (rule, step, once_key, target)
            WHERE wanted.shadow AND deliveries.shadow AND state NOT IN ('cancelled', 'expired')
            """,
            [one.rule for one in requests],
            [one.plan.step for one in requests],
            [one.plan.once_key for one in requests],
            [one.plan.target for one in requests],
            [one.shadow for one in requests],
        )
        return {tuple(row) for row in rows}

    async def limited(
        self, rule: str, begin: datetime, end: datetime, *, shadow: bool
    ) -> list[datetime]:
        """Callers process rules in the order of their names.

        Otherwise two transactions could deadlock.
        """
        await self._connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('limit of ' || $1, 0))", rule
        )
        rows = await self._connection.fetch(
            """
            SELECT limited_at FROM deliveries
            WHERE rule = $1 AND limited_at BETWEEN $2 AND $3 AND shadow = $4
              AND state NOT IN ('cancelled', 'expired') AND (shadow OR state <> 'skipped')
            """,
            rule,
            begin,
            end,
            shadow,
        )
        return [row["limited_at"] for row in rows]

    async def withdraw(self, events: Sequence[Event], now: datetime) -> None:
        """Skip deliveries that an unconfirmed attempt may have sent; `take_back` handles them."""
        told = [(event, word) for event in events for word in event.words]
        await self._connection.execute(
            f"""
            UPDATE deliveries SET state = 'cancelled', settled_at = $1, next_attempt_at = NULL,
                reason = 'cancelled: the task was ' || first.kind
            FROM (
                SELECT DISTINCT ON (deliveries.id) deliveries.id, news.kind
                FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[])
                       AS news (account, task, id, kind, word)
                JOIN deliveries ON deliveries.account = news.account AND deliveries.task = news.task
                WHERE state IN ('planned', 'held') AND news.word = ANY (withdraw_on)
                  AND deliveries.event < news.id AND (on_undo IS NULL OR attempts = 0)
                  AND NOT (news.kind = 'reopened' AND {is_done_again("deliveries", "news")})
                ORDER BY deliveries.id, news.id) AS first
            WHERE deliveries.id = first.id AND state IN ('planned', 'held')
              AND (on_undo IS NULL OR attempts = 0)
            """,
            now,
            [event.account for event, _ in told],
            [event.task_id for event, _ in told],
            [event.id for event, _ in told],
            [event.kind for event, _ in told],
            [word for _, word in told],
        )

    async def pending(
        self, keys: Iterable[Key], rules: Container[str]
    ) -> list[tuple[int, str, str, str]]:
        wanted = list(keys)
        columns = [account for account, _ in wanted], [task for _, task in wanted]
        found = await self._connection.fetch(
            """
            SELECT DISTINCT rule FROM deliveries
            JOIN unnest($1::text[], $2::text[]) AS wanted (account, task) USING (account, task)
            WHERE state IN ('planned', 'held') AND updates IS NULL
            """,
            *columns,
        )
        # Not asked for by all their names: there may be thousands, most of which wait for nothing.
        waiting = [row["rule"] for row in found if row["rule"] in rules]
        if not waiting:
            return []
        rows = await self._connection.fetch(
            """
            SELECT id, rule, account, task FROM deliveries
            JOIN unnest($1::text[], $2::text[]) AS wanted (account, task) USING (account, task)
            WHERE state IN ('planned', 'held') AND rule = ANY ($3) AND updates IS NULL
            ORDER BY id FOR UPDATE OF deliveries
            """,
            *columns,
            waiting,
        )
        return [tuple(row) for row in rows]

    async def cancel(self, deliveries: Sequence[int], reason: str, now: datetime) -> None:
        await self._connection.execute(
            """
            UPDATE deliveries SET state = 'cancelled', reason = $2, settled_at = $3,
                next_attempt_at = NULL
            WHERE id = ANY ($1) AND state IN ('planned', 'held')
            """,
            deliveries,
            reason,
            now,
        )

    async def end_escalations(
        self, over: Sequence[EscalationEnd], rewritable: Collection[str], now: datetime
    ) -> Lanes:
        await undoing.cancel_escalations(self._connection, over, now)
        return await undoing.close_escalated(self._connection, over, rewritable, now)

    async def take_back(self, events: Sequence[Event], now: datetime) -> Lanes:
        news = [event for event in events if event.kind in UNDOING]
        if not news:
            return frozenset()
        rows = await self._connection.fetch(
            f"""
            INSERT INTO deliveries (account, task, event, rule, once_key, step, channel, target,
                lane, at_most_once, text, subject, updates, state, created_at, next_attempt_at)
            SELECT sent.account, sent.task, news.id, sent.rule, 'undo:' || sent.id, sent.step,
                sent.channel, sent.target, sent.lane, sent.at_most_once,
                'No longer true (task was ' || news.kind || '): ' || sent.text, sent.subject,
                sent.id, 'planned', $1, $1
            FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[])
                   AS news (account, task, id, kind)
            JOIN deliveries AS sent ON sent.account = news.account AND sent.task = news.task
                 AND sent.on_undo IS NOT NULL AND sent.updates IS NULL AND sent.attempts > 0
                 AND sent.state IN ('planned', 'held', 'sending', 'sent')
                 AND sent.event < news.id
            JOIN events ON events.id = sent.event
            WHERE (events.kind, news.kind) IN (SELECT * FROM unnest($6::text[], $7::text[]))
              AND NOT (news.kind = 'reopened' AND {is_done_again("sent", "news")})
            ON CONFLICT DO NOTHING
            RETURNING lane, updates
            """,
            now,
            [event.account for event in news],
            [event.task_id for event in news],
            [event.id for event in news],
            [event.kind for event in news],
            *zip(*UNDONE, strict=True),
        )
        if rows:
            await self._connection.execute(
                "UPDATE deliveries SET once_key = once_key || '/undone:' || id WHERE id = ANY ($1)",
                [row["updates"] for row in rows],
            )
        return frozenset(row["lane"] for row in rows)

    async def _ask(
        self,
        placed: Sequence[asyncpg.Record],
        requests: Sequence[DeliveryRequest],
        now: datetime,
    ) -> None:
        """Place the questions to those who have to approve one of these."""
        by_identity = _by_identity(requests)
        questions = [
            row_of(asks, now) | {"approves": row["id"]}
            for row in placed
            if (asks := question(by_identity[row["event"], *_identity(row)], row["id"])) is not None
        ]
        await self._insert(questions, now)

    async def _insert(
        self, rows: Sequence[Mapping[str, Any]], now: datetime
    ) -> list[asyncpg.Record]:
        """Store deliveries, each by the columns of its table; returns those that are new."""
        return await self._connection.fetch(
            f"""
            INSERT INTO deliveries (account, task, event, rule, lane, at_most_once, once_key, step,
                channel, target, text, markup, subject, fields, attach, on_undo, withdraw_on,
                on_fail, shadow, limited_at, state, reason, created_at, next_attempt_at, expires_at,
                settled_at, approver, approve_by, send_at, approves, muted_by, mutes, visit,
                announced, even_if_told, flood, tells_of, buttons, attempts, lease_until)
            SELECT account, task, event, rule, lane, at_most_once, once_key, step,
                channel, target, text, markup, subject, fields, attach, on_undo, withdraw_on,
                on_fail, shadow, limited_at, state, reason, created_at, next_attempt_at, expires_at,
                settled_at, approver, approve_by, send_at, approves, muted_by, mutes, visit,
                announced, even_if_told, flood, tells_of, buttons, coalesce(attempts, 0),
                lease_until
            FROM json_populate_recordset(NULL::deliveries, $1)
            ORDER BY rule, once_key, step, target  -- so that two transactions meet in one order
            ON CONFLICT DO NOTHING
            RETURNING id, key::text, event, rule, step, once_key, target, {silences.IN_FORCE}
            """,
            orjson.dumps(rows).decode(),
            now,
        )


def _silenced(
    placed: Sequence[asyncpg.Record], requests: Sequence[DeliveryRequest], now: datetime
) -> Stops:
    """The deliveries that were just placed and are silenced."""
    found = silences.in_force(placed)
    if not found:
        return {}
    by_identity = _by_identity(requests)
    refused = {}
    for row in placed:
        request = by_identity[row["event"], *_identity(row)]
        if (silence := silences.silencing(found, request, now)) is not None:
            refused[row["id"]] = Stop(State.SKIPPED, silence.refusal, silence=silence.id)
    return refused


def _by_identity(
    requests: Sequence[DeliveryRequest],
) -> dict[tuple[int, *Identity], DeliveryRequest]:
    return {(request.event.id, *request.identity): request for request in requests}


def _identity(row: asyncpg.Record) -> Identity:
    return row["rule"], row["step"], row["once_key"], row["target"]
