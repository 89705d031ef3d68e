"""Claims deliveries whose time has come, each for one attempt, and makes their messages."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import orjson

from service.channels import JSON, Message
from service.clock import Clock
from service.domain.model import Event, Group, State
from service.outbox import (
    LEASE,
    Claim,
    cancellation,
    mutes,
    off_hours,
    provenance,
    silences,
    storms,
    suppression,
    visits,
)
from service.rules import Ruleset, customers, employees
from service.rules.standing import Grounds
from service.store import Connection, Pool, outages, tasks
from service.store.events import event_from
from service.store.tasks import read_task
from service.system_actions import CREATE, WRITES


async def claim(
    pool: Pool,
    lane: str,
    clock: Clock,
    limit: int,
    rules: Ruleset,
    zones: Mapping[str, ZoneInfo],
    *,
    durable: bool = True,
    resting: Sequence[str] = (),
    one_by_one: bool = False,
) -> list[Claim]:
    """Take up to `limit` deliveries of a lane that are due, each for one attempt.

    What rewrites another message waits until that one has been sent or given up. Those whose
    `until` has become true by time alone, as `rules` have it, are withdrawn, those that are late
    wait for the hours of their rule (in the accounts' `zones`), those of rules on trial and those
    that are muted or silenced are skipped, and so is what tells a customer of a visit once more, or
    an employee of a task that nobody is assigned to any more.
    What goes through an account's own system waits while that is paused, and then for what a full
    scan finds, while there is hope for one. After an outage, what a task can make pointless waits
    for that as well, by any lane, but not for ever.

    Nothing is taken for targets that are `resting`; where messages go to each target `one_by_one`,
    only the first for each.

    Where it is `durable` that they are being sent is on disk before anything is. Else losing that
    costs at worst another attempt with the same key: so they do not wait for the disk.
    """
    while True:
        now = clock.now()
        claims, stopped = await _claim_or_stop(
            pool,
            lane,
            now,
            limit,
            rules,
            zones,
            durable=durable,
            resting=resting,
            one_by_one=one_by_one,
        )
        if claims or not stopped:
            return claims


async def _claim_or_stop(
    pool: Pool,
    lane: str,
    now: datetime,
    limit: int,
    rules: Ruleset,
    zones: Mapping[str, ZoneInfo],
    *,
    durable: bool,
    resting: Sequence[str],
    one_by_one: bool,
) -> tuple[list[Claim], frozenset[int]]:
    """The deliveries to send, and the ids of those that were claimed and must not go out."""
    async with pool.acquire() as connection, connection.transaction():
        await _expire(connection, lane, now)
        due = _FIRST_DUE if one_by_one else _DUE
        rows = await _take(connection, lane, now, limit, due, resting)
        if not durable:
            await connection.execute("SET LOCAL synchronous_commit = off")
        stopped = await _stop(connection, rows, rules, zones, now)
        left = _left(rows, stopped)
        others = await provenance.others(
            connection, [row["id"] for row in left if _is_repeated(row)]
        )
    return [_claim(row, others.get(row["id"], frozenset())) for row in left], stopped


def is_free(lane: str, failing_before: str) -> str:
    """Of a delivery whose time has come: that it waits for nothing but a process to send it.

    `lane` is its lane, in SQL; an account that was failing at `failing_before` is not waited for.
    """
    return f"""
        (approver IS NULL OR approved_by IS NOT NULL)
        AND (updates IS NULL OR NOT EXISTS (
          SELECT FROM deliveries AS original WHERE original.id = deliveries.updates
            AND original.state IN ('planned', 'held', 'sending')))
        AND NOT ({visits.IS_BEING_TOLD})
        AND NOT EXISTS (
          SELECT FROM accounts WHERE {lane} IN ('account:' || name, 'writes:' || name)
            AND (paused OR scanned_at < resumed_at
              AND (failing_since > {failing_before}) IS NOT FALSE))
        AND (withdraw_on = '{{}}' OR updates IS NOT NULL OR NOT EXISTS (
          SELECT FROM accounts WHERE name = deliveries.account AND NOT paused
            AND scanned_at < resumed_at AND stale_since > {failing_before}))
    """


_DUE = f"""
    SELECT id FROM deliveries
    WHERE lane = $1 AND state IN ('planned', 'held') AND next_attempt_at <= $2
      AND target <> ALL ($5::text[]) AND {is_free("$1", "$6")}
"""
_FIRST_DUE = f"""
    SELECT id FROM deliveries WHERE id IN (
        SELECT DISTINCT ON (target) id FROM deliveries
        WHERE id IN ({_DUE}) ORDER BY target, next_attempt_at, id)
"""


async def _take(
    connection: Connection,
    lane: str,
    now: datetime,
    limit: int,
    due: str,
    resting: Sequence[str],
) -> list[asyncpg.Record]:
    """Mark due deliveries as being sent; returns them with their events."""
    return await connection.fetch(
        f"""
        WITH due AS (
            {due}
            ORDER BY next_attempt_at, id LIMIT $3 FOR UPDATE SKIP LOCKED),
        claimed AS (
            UPDATE deliveries SET state = 'sending', attempts = attempts + 1,
                lease_until = $2::timestamptz + $4, next_attempt_at = NULL,
                asking = (channel = 'customer')
            FROM due WHERE deliveries.id = due.id RETURNING deliveries.*)
        SELECT claimed.id, claimed.attempts, claimed.unsent, claimed.at_most_once,
               claimed.updates, claimed.key, claimed.channel, claimed.target, claimed.text,
               claimed.subject, claimed.fields,
               claimed.account, claimed.task, claimed.rule, claimed.event, claimed.reason,
               claimed.created_at, claimed.expires_at, claimed.once_key, claimed.shadow,
               claimed.approves, claimed.storm, claimed.muted_by, claimed.visit,
               claimed.announced, claimed.even_if_told, claimed.unread_since,
               claimed.flood, claimed.step, claimed.tells_of, claimed.send_at,
               asked.key::text AS approves_key, {silences.IN_FORCE},
               original.receipt, original.on_undo AS undo,
               original.state AS original,
               events.kind, events.at, events.cause, events.before, events.after,
               events.changed, events.alarm, events.signal, events.trace
        FROM claimed LEFT JOIN events ON events.id = claimed.event
        LEFT JOIN deliveries AS original ON original.id = claimed.updates
        LEFT JOIN deliveries AS asked ON asked.id = claimed.approves
          AND asked.state = 'held' AND asked.approved_by IS NULL
        ORDER BY claimed.id
        """,
        lane,
        now,
        limit,
        LEASE,
        list(resting),
        now - outages.LONGEST_WAIT,
    )


def _may_reach_customer(row: asyncpg.Record) -> bool:
    """Whether it may reach the customer of its task, as far as can be told without reading that."""
    if row["updates"] is not None or row["approves"] is not None or row["channel"] in WRITES:
        return False
    return row["channel"] == "customer" or customers.is_address(row["target"])


def _is_repeated(row: asyncpg.Record) -> bool:
    """Whether an earlier attempt may have made the task that this one is to make."""
    return bool(row["channel"] == CREATE and row["attempts"] > 1)


async def _stop(
    connection: Connection,
    claimed: Sequence[asyncpg.Record],
    rules: Ruleset,
    zones: Mapping[str, ZoneInfo],
    now: datetime,
) -> frozenset[int]:
    """Stop what must not go out of the deliveries just claimed; returns their ids."""
    stopped = await cancellation.withdraw_claimed(connection, claimed, rules, now)
    stopped |= await off_hours.hold_claimed(connection, _left(claimed, stopped), rules, zones, now)
    stopped |= await cancellation.end_shadows(connection, _left(claimed, stopped), now)
    left = _left(claimed, stopped)
    refused = await _unassigned(connection, left)
    refused |= await mutes.refusals(connection, left) | silences.refusals(left, now)
    await suppression.skip(connection, refused, now)
    stopped |= refused.keys()
    left = _left(claimed, stopped)
    stopped |= await storms.hold_claimed(connection, left, rules.storm, now)
    stopped |= await visits.give_back(connection, _left(claimed, stopped), now)
    told = await visits.refusals(connection, _left(claimed, stopped))
    await suppression.skip(connection, told, now)
    return stopped | told.keys()


async def _unassigned(connection: Connection, claimed: Sequence[asyncpg.Record]) -> dict[int, str]:
    """Why some of the employees' messages just claimed must not go out: by their ids."""
    asked = [
        row
        for row in claimed
        if row["channel"] == employees.EMPLOYEE and suppression.may_be_held(row)
    ]
    if not asked:
        return {}
    present = await tasks.present(connection, [(row["account"], row["task"]) for row in asked])
    said = {
        row["id"]: employees.refusal(present.get((row["account"], row["task"])), row["channel"])
        for row in asked
    }
    return {claimed_id: reason for claimed_id, reason in said.items() if reason is not None}


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
                     || CASE WHEN unread_since IS NULL THEN '' ELSE '; ' || reason END
        WHERE id IN (
            SELECT id FROM deliveries
            WHERE lane = $1 AND state IN ('planned', 'held') AND next_attempt_at <= $2
              AND (expires_at <= $2 OR approve_by <= $2 AND approved_by IS NULL)
            ORDER BY id FOR UPDATE SKIP LOCKED)
        """,
        lane,
        now,
    )


def _claim(row: asyncpg.Record, others: frozenset[str]) -> Claim:
    kind, at, event = _happened(row)
    message = Message(
        key=str(row["key"]),
        channel=row["channel"],
        target=row["target"],
        text=row["text"],
        subject=row["subject"],
        fields=_parsed(row["fields"]),
        account=row["account"],
        task_id=row["task"],
        rule=row["rule"],
        type=kind,
        at=at,
        event=event,
        task=_fragment(row["after"] or row["before"]) if row["task"] else None,
        before=_fragment(row["before"]) if row["task"] else None,
        receipt=_parsed(row["receipt"]),
        undo=row["undo"],
        others=others,
    )
    original = None if row["original"] is None else State(row["original"])
    approves = None if row["approves"] is None else (row["approves"], row["approves_key"])
    return Claim(
        row["id"],
        row["attempts"],
        row["unsent"],
        row["at_most_once"],
        row["updates"],
        original,
        message,
        row["created_at"],
        approves,
        _grounds(row),
        row["unread_since"],
        row["trace"],
    )


def _grounds(row: asyncpg.Record) -> Grounds | None:
    """What a message rests on that reaches a customer; None for others.

    The task is taken apart only where it may be one: most messages are for colleagues.
    """
    if row["event"] is None or not _may_reach_customer(row):
        return None
    if row["tells_of"] is not None:
        return _grounds_of(row, event_from(row, None, None), Group.from_json(row["tells_of"]))
    if not row["task"]:
        return None
    event = event_from(row, read_task(row["before"]), read_task(row["after"]))
    if not customers.reaches_customer(event.after or event.before, row["channel"], row["target"]):
        return None
    return _grounds_of(row, event, None)


def _grounds_of(row: asyncpg.Record, event: Event, tells_of: Group | None) -> Grounds:
    return Grounds(
        event=event,
        rule=row["rule"],
        channel=row["channel"],
        target=row["target"],
        decided_at=row["created_at"],
        is_asked_for=suppression.is_asked_for(row),
        expires_at=row["expires_at"],
        unread_since=row["unread_since"],
        tells_of=tells_of,
        step=row["step"],
        once_key=row["once_key"],
        due_at=row["send_at"],
    )


def _happened(row: asyncpg.Record) -> tuple[str, datetime, JSON]:
    """What the message is about: its type, when it happened (UTC), and the event as in the API.

    A message to the operator has no event: its type is the name of Taskbell's own rule.
    """
    if row["event"] is None:
        happened = {"account": row["account"], "kind": row["rule"], "at": row["created_at"]}
        return row["rule"], row["created_at"], happened
    names = ("account", "task", "kind", "at", "cause")
    event = {"id": row["event"], **{name: row[name] for name in names}}
    return f"task.{row['kind']}", row["at"], event


def _fragment(text: str | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)


def _parsed(text: str | None) -> dict[str, Any] | None:
    return None if text is None else orjson.loads(text)
