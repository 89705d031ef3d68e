"""Deliveries are claimed, sent under a lease, and settled."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import orjson

from service.actions import CREATE, WRITES
from service.channels import JSON, Message
from service.clock import Clock
from service.model import State
from service.outbox import (
    LEASE,
    Claim,
    Settlement,
    ending,
    fallback,
    holding,
    muting,
    silences,
    storms,
)
from service.rules import Ruleset
from service.store import Connection, Pool, lookups
from service.store.tasks import Key


async def claim(pool: Pool, lane: str, clock: Clock, limit: int, rules: Ruleset) -> list[Claim]:
    """Take up to `limit` deliveries of a lane that are due, each for one attempt.

    What rewrites another message waits until that one has been sent or given up. Those whose
    `until` has become true by time alone, as `rules` have it, are withdrawn, those of rules on
    trial and those that are muted or silenced are skipped. What goes through an account's own
    system waits while that is paused, and then for what a full scan finds.
    """
    while True:
        claims, stopped = await _claim_or_stop(pool, lane, clock.now(), limit, rules)
        if claims or not stopped:
            return claims


async def _claim_or_stop(
    pool: Pool, lane: str, now: datetime, limit: int, rules: Ruleset
) -> tuple[list[Claim], frozenset[int]]:
    """What is to be sent, and the ids of what must not go out.

    The mark is on disk before a customer's message is sent or a task is made. For the others a
    lost mark costs at worst another attempt with the same key, so they do not wait for the disk.
    """
    async with pool.acquire() as connection, connection.transaction():
        await _expire(connection, lane, now)
        rows = await connection.fetch(
            rf"""
            WITH due AS (
                SELECT id FROM deliveries
                WHERE lane = $1 AND state IN ('planned', 'held') AND next_attempt_at <= $2
                  AND (approver IS NULL OR approved_by IS NOT NULL)
                  AND (updates IS NULL OR NOT EXISTS (
                    SELECT FROM deliveries AS original WHERE original.id = deliveries.updates
                      AND original.state IN ('planned', 'held', 'sending')))
                  AND NOT EXISTS (
                    SELECT FROM accounts WHERE 'account:' || name = $1
                      AND (paused OR scanned_at < resumed_at))
                ORDER BY next_attempt_at, id LIMIT $3 FOR UPDATE SKIP LOCKED),
            claimed AS (
                UPDATE deliveries SET state = 'sending', attempts = attempts + 1,
                    lease_until = $2::timestamptz + $4, next_attempt_at = NULL
                FROM due WHERE deliveries.id = due.id RETURNING deliveries.*)
            SELECT claimed.id, claimed.attempts, claimed.at_most_once, claimed.updates, claimed.key,
                   claimed.channel, claimed.target, claimed.text, claimed.subject, claimed.fields,
                   claimed.account, claimed.task, claimed.rule, claimed.event, claimed.reason,
                   claimed.created_at, claimed.shadow, claimed.approves, claimed.storm,
                   claimed.muted_by,
                   CASE WHEN claimed.approves IS NOT NULL THEN
                     (SELECT key::text FROM deliveries AS asked WHERE asked.id = claimed.approves
                        AND asked.state = 'held' AND asked.approved_by IS NULL)
                   END AS approves_key, {silences.IN_FORCE},
                   original.receipt, original.on_undo AS undo, original.state AS original,
                   events.kind, events.at, events.cause, events.before, events.after,
                   ARRAY(SELECT made.receipt ->> 'task' FROM deliveries AS made
                         WHERE claimed.channel = 'create_task' AND claimed.attempts > 1
                           AND made.channel = 'create_task' AND made.account = claimed.account
                           AND made.receipt IS NOT NULL AND made.id <> claimed.id
                           AND made.settled_at > events.at - interval '2 days'
                         UNION ALL
                         SELECT known.id FROM tasks AS known
                         WHERE claimed.channel = 'create_task' AND claimed.attempts > 1
                           AND known.account = claimed.account
                           AND regexp_replace(known.snapshot ->> 'title', '\s+', '', 'g')
                               = regexp_replace(claimed.fields ->> 'title', '\s+', '', 'g')
                           AND NOT EXISTS (
                             SELECT FROM events AS since
                             WHERE since.account = known.account AND since.task = known.id
                               AND since.kind = 'created' AND since.id > claimed.event)
                           AND claimed.created_at > (
                             SELECT baseline_at FROM accounts WHERE name = claimed.account)
                         ) AS others
            FROM claimed LEFT JOIN events ON events.id = claimed.event
            LEFT JOIN deliveries AS original ON original.id = claimed.updates
            ORDER BY claimed.id
            """,
            lane,
            now,
            limit,
            LEASE,
        )
        if not any(row["at_most_once"] or row["channel"] == CREATE for row in rows):
            await connection.execute("SET LOCAL synchronous_commit = off")
        stopped = await _stop(connection, rows, rules, now)
    return [_claim(row) for row in rows if row["id"] not in stopped], stopped


async def _stop(
    connection: Connection, claimed: Sequence[asyncpg.Record], rules: Ruleset, now: datetime
) -> frozenset[int]:
    """Stop what must not go out of the deliveries just claimed; returns their ids."""
    stopped = await ending.withdraw_claimed(connection, claimed, rules, now)
    stopped |= await ending.end_shadows(connection, _left(claimed, stopped), now)
    left = _left(claimed, stopped)
    refused = await muting.refusals(connection, left) | silences.refusals(left, now)
    await holding.skip(connection, refused, now)
    stopped |= refused.keys()
    left = _left(claimed, stopped)
    return stopped | await storms.hold_claimed(connection, left, rules.storm, now)


def _left(claimed: Sequence[asyncpg.Record], stopped: frozenset[int]) -> list[asyncpg.Record]:
    return [row for row in claimed if row["id"] not in stopped]


async def _expire(connection: Connection, lane: str, now: datetime) -> None:
    await connection.execute(
        """
        UPDATE deliveries SET state = 'expired', settled_at = $2, next_attempt_at = NULL,
            reason = CASE WHEN approver IS NOT NULL AND approved_by IS NULL
                          THEN 'nobody has approved it: ' || approver || ' was asked until '
                          ELSE 'it was too late: wanted by ' END
                     || to_char(coalesce(approve_by, expires_at) AT TIME ZONE 'UTC',
                                'YYYY-MM-DD HH24:MI "UTC"')
        WHERE id IN (
            SELECT id FROM deliveries
            WHERE lane = $1 AND state IN ('planned', 'held') AND next_attempt_at <= $2
              AND (expires_at <= $2 OR approve_by <= $2 AND approved_by IS NULL)
            ORDER BY id FOR UPDATE SKIP LOCKED)
        """,
        lane,
        now,
    )


def _claim(row: asyncpg.Record) -> Claim:
    kind, at, event = _happened(row)
    message = Message(
        key=str(row["key"]),
        channel=row["channel"],
        target=row["target"],
        text=row["text"],
        subject=row["subject"],
        fields=None if row["fields"] is None else orjson.loads(row["fields"]),
        account=row["account"],
        task_id=row["task"],
        rule=row["rule"],
        type=kind,
        at=at,
        event=event,
        task=_fragment(row["after"] or row["before"]) if row["task"] else None,
        before=_fragment(row["before"]) if row["task"] else None,
        receipt=None if row["receipt"] is None else orjson.loads(row["receipt"]),
        undo=row["undo"],
        others=frozenset(row["others"]),
    )
    original = None if row["original"] is None else State(row["original"])
    approves = None if row["approves"] is None else (row["approves"], row["approves_key"])
    return Claim(
        row["id"], row["attempts"], row["at_most_once"], row["updates"], original, message, approves
    )


def _happened(row: asyncpg.Record) -> tuple[str, datetime, JSON]:
    """What the message is about: its type, when it happened, and the event as in the API.

    What is about an account is told by the rule of its own that has its type's name.
    """
    if row["event"] is None:
        happened = {"account": row["account"], "kind": row["rule"], "at": row["created_at"]}
        return row["rule"], row["created_at"], happened
    names = ("account", "task", "kind", "at", "cause")
    event = {"id": row["event"], **{name: row[name] for name in names}}
    return f"task.{row['kind']}", row["at"], event


def _fragment(text: str | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)


async def renew(pool: Pool, deliveries: Sequence[int], clock: Clock) -> None:
    """Say that these attempts are still under way."""
    await pool.execute(
        "UPDATE deliveries SET lease_until = $2 WHERE id = ANY ($1) AND state = 'sending'",
        deliveries,
        clock.now() + LEASE,
    )


async def settle(pool: Pool, settlements: Sequence[Settlement], now: datetime) -> None:
    """Write down how attempts ended, plan what goes out instead, have what was written read back.

    An answer that comes after its lease ran out still counts, as long as nobody made another
    attempt: it is the evidence that an `unknown` delivery was waiting for.
    """
    guarded = any(one.claim.at_most_once for one in settlements)
    async with pool.acquire() as connection, connection.transaction():
        if not guarded:
            await connection.execute("SET LOCAL synchronous_commit = off")
        rows = await connection.fetch(
            """
            UPDATE deliveries SET state = new.state, reason = new.reason,
                receipt = coalesce(new.receipt, deliveries.receipt),
                next_attempt_at = new.again_at, lease_until = NULL,
                settled_at = CASE WHEN new.again_at IS NULL THEN $1::timestamptz END
            FROM unnest($2::bigint[], $3::int[], $4::text[], $5::text[], $6::jsonb[],
                        $7::timestamptz[])
              AS new (id, attempts, state, reason, receipt, again_at)
            WHERE deliveries.id = new.id AND deliveries.attempts = new.attempts
              AND (deliveries.state IN ('sending', 'unknown')
                   OR deliveries.state = 'planned' AND NOT deliveries.at_most_once)
            RETURNING deliveries.id, deliveries.state
            """,
            now,
            [one.claim.id for one in settlements],
            [one.claim.attempts for one in settlements],
            [one.state for one in settlements],
            [one.reason for one in settlements],
            [
                None if one.receipt is None else orjson.dumps(one.receipt).decode()
                for one in settlements
            ],
            [one.again_at for one in settlements],
        )
        failed = [row["id"] for row in rows if row["state"] == State.FAILED]
        await fallback.plan(connection, failed, now)
        await lookups.ask_back(connection, _written(settlements), now)


def _written(settlements: Sequence[Settlement]) -> dict[Key, frozenset[str]]:
    """The tasks that were written, and which of their fields: they are to be read back."""
    written: dict[Key, frozenset[str]] = {}
    for one in settlements:
        message = one.claim.message
        if message.channel in WRITES and one.receipt is not None:
            key = (message.account, str(one.receipt["task"]))
            written[key] = written.get(key, frozenset()) | _fields(message)
    return written


def _fields(message: Message) -> frozenset[str]:
    if message.channel == "update_task":
        return frozenset(message.fields or {})
    return frozenset({"done"} if message.channel == "complete_task" else ())


async def reclaim(pool: Pool, now: datetime) -> list[str]:
    """Deal with deliveries whose process died while sending; returns the lanes to ring.

    What reaches a customer becomes `unknown`; the rest is planned again with the same key.
    """
    rows = await pool.fetch(
        """
        UPDATE deliveries SET lease_until = NULL,
            state = CASE WHEN at_most_once THEN 'unknown' ELSE 'planned' END,
            next_attempt_at = CASE WHEN at_most_once THEN NULL ELSE $1::timestamptz END,
            settled_at = CASE WHEN at_most_once THEN $1::timestamptz END,
            reason = CASE WHEN at_most_once
                THEN 'the process stopped while sending: look whether it arrived, then resolve it'
                ELSE 'the process stopped while sending; sent again with the same key' END
        WHERE state = 'sending' AND lease_until < $1
        RETURNING lane
        """,
        now,
    )
    return sorted({row["lane"] for row in rows})


async def abandon(pool: Pool, lanes: Sequence[str], now: datetime, before: datetime) -> None:
    """Give up what was planned before then on lanes other than these: nobody will send it."""
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(
            """
            UPDATE deliveries SET state = CASE WHEN shadow THEN 'cancelled' ELSE 'failed' END,
                settled_at = $2, next_attempt_at = NULL,
                reason = lane || ' is not in the configuration any more'
            WHERE state IN ('planned', 'held') AND lane <> ALL ($1) AND created_at < $3
            RETURNING id
            """,
            lanes,
            now,
            before,
        )
        await fallback.plan(connection, [row["id"] for row in rows], now)


async def lanes_due(pool: Pool, lanes: Sequence[str], now: datetime) -> list[str]:
    """Those of these lanes on which something is waiting whose time has come."""
    rows = await pool.fetch(
        """
        SELECT lane FROM unnest($1::text[]) AS lane WHERE EXISTS (
            SELECT FROM deliveries WHERE deliveries.lane = lane.lane
              AND state IN ('planned', 'held') AND next_attempt_at <= $2)
        """,
        lanes,
        now,
    )
    return [row["lane"] for row in rows]
