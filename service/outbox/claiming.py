"""Claims deliveries that are due, each for one attempt, and builds their messages."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from zoneinfo import ZoneInfo

import asyncpg

from service.channels.pace import Pace
from service.clock import Clock
from service.domain.contacts import NOBODY, Receivers
from service.domain.digests import Group
from service.domain.model import State, Task
from service.domain.storms import StormScope
from service.domain.system_actions import CREATE, WRITES
from service.outbox import (
    LEASE,
    contacted,
    destinations,
    gate_facts,
    gates,
    provenance,
    silences,
    storms,
    suppression,
    undoing,
    visits,
)
from service.outbox.claims import Claim, claim_of
from service.outbox.gates import Candidate, Stops
from service.rules import recipients
from service.rules.contacts.receivers import receivers
from service.rules.ruleset import Ruleset
from service.rules.visits import Visit
from service.store import Connection, Pool, Row, outages
from service.store.operators import rule_overrides
from service.store.tasks import read_task


async def claim(
    pool: Pool,
    lane: str,
    clock: Clock,
    limit: int,
    rules: Ruleset,
    zones: Mapping[str, ZoneInfo],
    *,
    durable: bool = True,
    pace: Pace | None = None,
) -> list[Claim]:
    """Claim up to `limit` deliveries of a lane that are due, each for one attempt.

    Not claimed are deliveries that wait for something (see `is_free`): an approval, the message
    that they update, a message about the same visit, a paused account, or a full sync after an
    outage.

    The gates (see `gates`) are asked about the others. They cancel, expire, skip, hold or postpone
    deliveries by the `rules`, whose opening hours are in the accounts' `zones`.

    - `pace`: of the messages to one target; only the first delivery for each target is claimed, and
      only when no other is being sent
    - `durable`: commit the claim to disk before anything is sent; otherwise the claim may be lost
      in a crash, which costs at worst another attempt with the same key
    """
    while True:
        due = _Due(lane, clock.now(), limit, pace)
        async with pool.acquire() as connection, connection.transaction():
            claims, stopped = await _claim_or_stop(connection, due, rules, zones, durable=durable)
        if claims or not stopped:
            return claims


@dataclass(frozen=True, slots=True)
class _Due:
    """Selects deliveries of a lane that are due at `now` (UTC)."""

    lane: str
    now: datetime
    limit: int
    pace: Pace | None = None


async def _claim_or_stop(
    connection: Connection,
    due: _Due,
    rules: Ruleset,
    zones: Mapping[str, ZoneInfo],
    *,
    durable: bool,
) -> tuple[list[Claim], Stops]:
    """The deliveries to send, and the stops of others that were due and must not be sent."""
    rows = await _lock_due(connection, due)
    if not durable:
        await connection.execute("SET LOCAL synchronous_commit = off")
    tried = [row["id"] for row in rows if row["attempts"] + row["unsent"] > 0]
    overtaken = await undoing.overtaken(connection, tried) if tried else {}
    candidates = [candidate(row, overtaken.get(row["id"])) for row in rows]
    silenced, switched = silences.in_force(rows), rule_overrides.in_force(rows)
    facts = await gate_facts.read(connection, candidates, rules, zones, silenced, switched, due.now)
    stopped = gates.stops(candidates, facts)
    left = [row for row in rows if row["id"] not in stopped]
    await _mark(connection, [row["id"] for row in left], due.now)
    sent = [one for one in candidates if one.id not in stopped]
    await contacted.note(connection, sent, rules.contacts, due.now)
    await suppression.stop(connection, stopped, due.now)
    await storms.hold(connection, stopped, due.now)
    others = await provenance.others(connection, [row["id"] for row in left if _is_repeated(row)])
    by_id = {one.id: one for one in candidates}
    turns = await _take_turns(connection, due, left)
    claims = [
        claim_of(
            row, by_id[row["id"]], others.get(row["id"], frozenset()), turns.get(row["target"])
        )
        for row in left
    ]
    return claims, stopped


async def _take_turns(
    connection: Connection, due: _Due, rows: Sequence[asyncpg.Record]
) -> Mapping[str, datetime]:
    """When each of their targets may be sent to next, after these; empty without a pace."""
    if due.pace is None or not rows:
        return {}
    targets = {row["target"] for row in rows}
    return await destinations.take(connection, due.lane, targets, due.pace, due.now)


def is_free(lane: str, failing_before: str) -> str:
    """SQL condition for a delivery that is due: it waits for nothing but a process to send it.

    It is false for a delivery that

    - waits for its approval
    - updates a message that is not sent yet
    - repeats a message about a visit that is being sent
    - goes through an account's own system (by its lane) while that is paused, or was not fully read
      since the last outage
    - can become pointless through a change of its task, while its account was not fully read since
      the last outage

    `lane` is its lane, in SQL. The wait for a full sync ends for an account that has been failing,
    or unread, since before `failing_before`.
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


_COMES_TOO_LATE = "(expires_at <= $2 OR approve_by <= $2 AND approved_by IS NULL)"
# Written like this, the lane stays in the order of what is claimed, so that PostgreSQL takes the
# index of the lane: that of all lanes would lead it past what waits for others.
_HAS_COME = "lane BETWEEN $1 AND $1 AND state IN ('planned', 'held') AND next_attempt_at <= $2"
_IS_DUE = f"""
    {_HAS_COME}
    AND ({_COMES_TOO_LATE}
      OR NOT {destinations.is_resting("$1", "$2")} AND {is_free("$1", "$4")})
"""
# What has come is asked for once more outside: by then another process may have taken it.
_IS_FIRST_DUE = f"""
    {_HAS_COME} AND NOT {destinations.is_busy("$1")} AND id IN (
        SELECT DISTINCT ON (target) id FROM deliveries
        WHERE {_IS_DUE} ORDER BY target, next_attempt_at, id)
"""


async def _lock_due(connection: Connection, due: _Due) -> list[asyncpg.Record]:
    """Lock deliveries that are due, in the order of their numbers; returns them with their events.

    Deliveries that another process has locked are skipped.
    """
    return await connection.fetch(
        f"""
        WITH due AS MATERIALIZED (
            SELECT * FROM deliveries WHERE {_IS_FIRST_DUE if due.pace else _IS_DUE}
            ORDER BY lane, next_attempt_at, id LIMIT $3 FOR UPDATE SKIP LOCKED)
        SELECT due.id, due.attempts, due.unsent, due.at_most_once,
               due.updates, due.key, due.channel, due.target, due.text, due.subject, due.fields,
               due.markup, due.attach, due.receipt AS progress,
               due.account, due.task, due.rule, due.event, due.reason, due.asked_for,
               due.created_at, due.expires_at, due.once_key, due.shadow,
               due.approves, due.approver, due.approve_by, due.approved_by,
               due.state, due.hold, due.storm, due.muted_by,
               due.visit, due.announced, due.even_if_told,
               due.unread_since, due.flood, due.step, due.tells_of, due.send_at, due.at_once,
               asked.key::text AS approves_key, {silences.IN_FORCE},
               {rule_overrides.OF_RULE},
               original.receipt,
               CASE WHEN due.updates IS NOT NULL
                 THEN coalesce(due.on_undo, original.on_undo) END AS undo,
               due.buttons,
               original.state AS original,
               events.kind, events.at, events.cause, events.before, events.after,
               events.changed, events.alarm, events.signal, events.trace
        FROM due LEFT JOIN events ON events.id = due.event
        LEFT JOIN deliveries AS original ON original.id = due.updates
        LEFT JOIN deliveries AS asked ON asked.id = due.approves
          AND asked.state = 'held' AND asked.approved_by IS NULL
        ORDER BY due.id
        """,
        due.lane,
        due.now,
        due.limit,
        due.now - outages.LONGEST_WAIT,
    )


async def _mark(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    """Mark deliveries that this transaction has locked as being sent."""
    if not ids:
        return
    await connection.execute(
        """
        UPDATE deliveries SET state = 'sending', attempts = attempts + 1,
            lease_until = $2, next_attempt_at = NULL, asking = (channel = 'customer'),
            hold = NULL
        WHERE id = ANY ($1)
        """,
        ids,
        now + LEASE,
    )


def candidate(row: Row, overtaken: str | None = None) -> Candidate:
    """A delivery as the gates see it, from its row as `claim` reads it.

    `overtaken`: why nobody is to be told of it any more, if it was tried before.
    """
    is_exempt = suppression.is_exempt(row)
    is_let_go = row["updates"] is not None or row["storm"] is not None or row["asked_for"]
    decided_task = cache(partial(_decided_task, row))
    digest = () if row["tells_of"] is None else Group.from_json(row["tells_of"]).tasks
    return Candidate(
        id=row["id"],
        key=(row["account"], row["task"]),
        rule=row["rule"],
        channel=row["channel"],
        target=row["target"],
        decided_task=decided_task,
        once_key=row["once_key"],
        expires_at=row["expires_at"],
        approver=row["approver"] if row["approved_by"] is None else None,
        approve_by=row["approve_by"],
        shadow=row["shadow"],
        is_exempt=is_exempt,
        muted_by=None if is_exempt else row["muted_by"],
        reaches_customer=_reaches_customer(row, decided_task),
        flood=None if is_let_go or row["flood"] is None else StormScope.from_key(row["flood"]),
        visit=None if row["visit"] is None else Visit(row["visit"], row["announced"]),
        even_if_told=row["even_if_told"],
        waited=row["reason"] if _was_kept_waiting(row) else None,
        at_once=row["at_once"],
        overtaken=overtaken,
        receivers=_receivers(row, decided_task, digest),
        told_of=[(task.account, task.id) for task in digest],
    )


def _was_kept_waiting(row: Row) -> bool:
    """Whether its reason says what kept it: an account that cannot be read, a hold or a storm."""
    is_held_back = row["hold"] is not None or row["storm"] is not None
    return row["unread_since"] is not None or (is_held_back and row["state"] == State.HELD)


def _decided_task(row: Row) -> Task | None:
    """The single task that a delivery is about, as it was at its event."""
    return read_task(row["after"] or row["before"]) if row["task"] else None


def _may_reach_customer(row: Row) -> bool:
    """Whether it may reach the customer of its task, as far as known without parsing the task."""
    if row["updates"] is not None or row["approves"] is not None or row["channel"] in WRITES:
        return False
    return row["channel"] == "customer" or recipients.is_address(row["target"])


def _reaches_customer(row: Row, decided_task: Callable[[], Task | None]) -> bool:
    """Whether it reaches the customer of its task, or tells a customer of several.

    The task is parsed only if the message may: most messages are for colleagues.
    """
    if row["event"] is None or not _may_reach_customer(row):
        return False
    if row["tells_of"] is not None or row["channel"] == "customer":
        return True
    return recipients.reaches_customer(decided_task(), row["channel"], row["target"])


def _receivers(
    row: Row, decided_task: Callable[[], Task | None], digest: Sequence[Task]
) -> Receivers:
    """Whom it reaches, or whose message it updates; nobody if it is for an approver or a system."""
    if row["event"] is None or row["approves"] is not None or row["channel"] in WRITES:
        return NOBODY
    return receivers(row["channel"], row["target"], digest or _single(decided_task))


def _single(decided_task: Callable[[], Task | None]) -> Iterator[Task]:
    """The task that a delivery is about, read only if somebody wants it."""
    if (task := decided_task()) is not None:
        yield task


def _is_repeated(row: Row) -> bool:
    """Whether an earlier attempt may have created the task that this one is to create."""
    return bool(row["channel"] == CREATE and row["attempts"] > 0)
