"""Attempts to send: their leases, their results, and recovery after a process has died."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import asyncpg
import orjson

from service.channels import Message
from service.clock import Clock
from service.domain.actors import Actor
from service.domain.contacts import keys_in
from service.domain.model import State
from service.domain.operators.buttons import ANSWER_KEY
from service.domain.system_actions import BARE, CREATE, STILL_COMING, WRITES, written_to
from service.errors import OptedOut
from service.outbox import CHECK_ARRIVAL, LEASE, destinations, fallback
from service.outbox.claims import AttemptOutcome, AttemptResult, Claim
from service.rules.message_basis import MessageBasis
from service.rules.rewriting import NewText
from service.store import Connection, Pool, column, lookups
from service.store.operators import contact_choices
from service.store.operators.contact_choices import Through
from service.store.tasks import Key

_STOPPED = Actor("the customer, by answering STOP")


async def renew(pool: Pool, deliveries: Sequence[int], clock: Clock) -> None:
    """Renew the leases of these deliveries, which are still being sent."""
    await pool.execute(
        "UPDATE deliveries SET lease_until = $2 WHERE id = ANY ($1) AND state = 'sending'",
        deliveries,
        clock.now() + LEASE,
    )


async def settle(pool: Pool, settlements: Sequence[AttemptResult], now: datetime) -> None:
    """Record the results of attempts with what follows from them.

    Targets are paused, `on_fail` is planned, a read-back of written tasks is requested, and who has
    told a sending service that they want nothing gets no more messages.

    A result that arrives after the lease has expired still counts, unless another attempt was made:
    it resolves an `unknown` delivery. Recording the same result twice, for instance after the
    connection was lost during the commit, changes nothing the second time.
    """
    settlements = _one_of_each_attempt(settlements)
    guarded = any(one.claim.at_most_once for one in settlements)
    async with pool.acquire() as connection, connection.transaction():
        if not guarded:
            await connection.execute("SET LOCAL synchronous_commit = off")
        rows = await _record(connection, settlements, now)
        await _log(connection, settlements, {row["id"] for row in rows})
        pauses = {one.claim.id: one.pause_until for one in settlements if one.pause_until}
        await destinations.pause(connection, pauses)
        failed = [row["id"] for row in rows if row["state"] == State.FAILED]
        await fallback.plan(connection, failed, now)
        await lookups.request_read_back(connection, _written(settlements), now)
        await _keep_opt_outs(connection, settlements, now)


def _one_of_each_attempt(settlements: Sequence[AttemptResult]) -> list[AttemptResult]:
    """These results, of each attempt one: that by which it arrived, if there are several.

    If PostgreSQL crashes before a claim is on the disk, the same attempt is claimed again, perhaps
    by the process that is still making it.
    """
    found: dict[tuple[int, int], AttemptResult] = {}
    for one in settlements:
        attempt = one.claim.id, one.claim.number
        if attempt not in found or one.state is State.SENT:
            found[attempt] = one
    return list(found.values())


async def _record(
    connection: Connection, settlements: Sequence[AttemptResult], now: datetime
) -> list[asyncpg.Record]:
    """Write down how these attempts ended; returns the id and state of each that counts."""
    rows: list[asyncpg.Record] = await connection.fetch(
        """
        UPDATE deliveries SET state = new.state, reason = new.reason,
            receipt = coalesce(new.receipt, deliveries.receipt),
            next_attempt_at = new.again_at, lease_until = NULL, asking = false,
            settled_at = CASE WHEN new.again_at IS NULL THEN $1::timestamptz END,
            attempts = deliveries.attempts - new.is_unsent::int,
            unsent = deliveries.unsent + new.is_unsent::int,
            expires_at = coalesce(deliveries.expires_at, new.expires_at),
            unread_since = CASE WHEN new.is_unsent AND new.state IN ('planned', 'held')
                                THEN coalesce(deliveries.unread_since, $1) END
        FROM unnest($2::bigint[], $3::int[], $4::int[], $5::text[], $6::text[], $7::jsonb[],
                    $8::timestamptz[], $9::boolean[], $10::timestamptz[])
          AS new (id, attempts, unsent, state, reason, receipt, again_at, is_unsent, expires_at)
        WHERE deliveries.id = new.id
          AND (deliveries.attempts, deliveries.unsent) = (new.attempts, new.unsent)
          AND (deliveries.state IN ('sending', 'unknown')
               OR deliveries.state IN ('planned', 'held') AND NOT deliveries.at_most_once)
        RETURNING deliveries.id, deliveries.state
        """,
        now,
        [one.claim.id for one in settlements],
        [one.claim.attempts for one in settlements],
        [one.claim.unsent for one in settlements],
        [one.state for one in settlements],
        column([one.reason for one in settlements]),
        [
            None if one.receipt is None else orjson.dumps(one.receipt).decode()
            for one in settlements
        ],
        column([one.again_at for one in settlements]),
        [one.is_unsent for one in settlements],
        column([one.expires_at for one in settlements]),
    )
    return rows


async def _log(
    connection: Connection, settlements: Sequence[AttemptResult], counted: Collection[int]
) -> None:
    """Add what was tried, for those deliveries whose result counts, to the attempts of each.

    A late result replaces what `reclaim` has written.
    """
    made = [
        (one.claim, one.attempt)
        for one in settlements
        if one.attempt is not None and one.claim.id in counted
    ]
    if not made:
        return
    errors = [attempt.error for _, attempt in made]
    await connection.execute(
        """
        INSERT INTO attempts (delivery, number, began_at, took_ms, outcome, status, error)
        SELECT * FROM unnest($1::bigint[], $2::int[], $3::timestamptz[], $4::int[], $5::text[],
                             $6::int[], $7::text[])
        ON CONFLICT (delivery, number) DO UPDATE SET began_at = excluded.began_at,
            took_ms = excluded.took_ms, outcome = excluded.outcome, status = excluded.status,
            error = excluded.error
        """,
        [claim.id for claim, _ in made],
        [claim.number for claim, _ in made],
        [attempt.began_at for _, attempt in made],
        [attempt.took // timedelta(milliseconds=1) for _, attempt in made],
        [attempt.outcome for _, attempt in made],
        column([error and error.status for error in errors]),
        column([error and str(error) for error in errors]),
    )


async def _keep_opt_outs(
    connection: Connection, settlements: Sequence[AttemptResult], now: datetime
) -> None:
    """Store who wants no messages; colleagues are not among the receivers that can choose.

    In one order, so that two processes never wait for each other.
    """
    refusals = [(one.claim, one.attempt and one.attempt.error) for one in settlements]
    found = [(claim, error) for claim, error in refusals if isinstance(error, OptedOut)]
    for claim, error in sorted(found, key=lambda one: one[1].address):
        receivers = claim.candidate.receivers.keys
        keys = [one for one in keys_in(error.address) if any(map(one.means, receivers))]
        await contact_choices.keep(
            connection,
            keys,
            wants=False,
            by=_STOPPED,
            through=Through.REPLY,
            now=now,
            note=str(error),
        )


async def begin(connection: Connection, claim: Claim) -> bool:
    """Mark the delivery as being sent, after the final check.

    Before this, nothing can have been sent. False if this process no longer has the lease.
    """
    done = await connection.execute(
        """
        UPDATE deliveries SET asking = false
        WHERE id = $1 AND (attempts, unsent) = ($2, $3) AND state = 'sending'
        """,
        claim.id,
        claim.attempts,
        claim.unsent,
    )
    return done == "UPDATE 1"


async def rewrite(connection: Connection, delivery: int, news: NewText) -> None:
    """Store the text with which a delivery is being sent, and why it is not as planned."""
    await connection.execute(
        "UPDATE deliveries SET text = $2, subject = $3, reason = $4, markup = $5 WHERE id = $1",
        delivery,
        news.text,
        news.subject,
        news.reason,
        list(news.markup),
    )


async def withdraw(
    connection: Connection, claim: Claim, state: State, reason: str, now: datetime
) -> bool:
    """Cancel a claimed delivery before it is sent; False if this process no longer has the lease.

    To be called in the transaction that plans the replacement: otherwise a crash in between would
    lose the message.
    """
    done = await connection.execute(
        """
        UPDATE deliveries SET state = $4, reason = $5, settled_at = $6, lease_until = NULL,
            asking = false, attempts = attempts - 1, unsent = unsent + 1, unread_since = NULL
        WHERE id = $1 AND (attempts, unsent) = ($2, $3) AND state = 'sending'
        """,
        claim.id,
        claim.attempts,
        claim.unsent,
        state,
        reason,
        now,
    )
    return done == "UPDATE 1"


async def is_followed(connection: Connection, grounds: MessageBasis) -> bool:
    """Whether the step of its rule tells the same receiver of a later event of its task."""
    found: bool = await connection.fetchval(
        """
        SELECT EXISTS (
            SELECT FROM deliveries
            WHERE account = $1 AND task = $2 AND rule = $3 AND step = $4 AND channel = $5
              AND target = $6 AND event > $7 AND updates IS NULL AND NOT shadow
              AND state IN ('planned', 'held', 'sending', 'sent'))
        """,
        grounds.event.account,
        grounds.event.task_id,
        grounds.rule,
        grounds.step,
        grounds.channel,
        grounds.target,
        grounds.event.id,
    )
    return found


def _written(settlements: Sequence[AttemptResult]) -> dict[Key, frozenset[str]]:
    """The tasks that were written, with the written fields; they have to be read back."""
    written: dict[Key, frozenset[str]] = {}
    for one in settlements:
        message = one.claim.message
        if message.channel in WRITES and one.receipt is not None:
            account = written_to(message.account, message.channel, message.target)
            key = (account, str(one.receipt["task"]))
            written[key] = written.get(key, frozenset()) | _own_fields(one.claim)
    return written


def _own_fields(claim: Claim) -> frozenset[str]:
    """The fields that Taskbell has written by itself, and not because a person wanted it."""
    is_answer = claim.candidate.once_key.startswith(ANSWER_KEY)
    return frozenset() if is_answer else _fields(claim.message)


def _fields(message: Message) -> frozenset[str]:
    if message.channel == "update_task":
        return frozenset(message.fields or {})
    return frozenset({BARE[message.channel]} if message.channel in BARE else ())


async def reclaim(pool: Pool, now: datetime) -> list[str]:
    """Release deliveries whose process died while sending; returns the lanes to wake up.

    Messages to customers become `unknown`, unless the system was still being asked about them. The
    others are planned again with the same key; those that create a task, only once it would be
    visible. The attempt of a process that died counts as begun when it was last seen at work.
    """
    rows = await pool.fetch(
        """
        WITH dead AS MATERIALIZED (
            SELECT id, attempts + unsent AS number, lease_until - $6::interval AS seen_at, asking
            FROM deliveries WHERE state = 'sending' AND lease_until < $1 FOR UPDATE
        ), logged AS (
            INSERT INTO attempts (delivery, number, began_at, outcome, error)
            SELECT id, number, seen_at, $5, 'Taskbell was stopped while it sent this'
            FROM dead WHERE NOT asking ON CONFLICT DO NOTHING)
        UPDATE deliveries SET lease_until = NULL,
            state = CASE WHEN at_most_once AND NOT asking THEN 'unknown' ELSE 'planned' END,
            next_attempt_at = CASE WHEN at_most_once AND NOT asking THEN NULL
                WHEN channel = $2 THEN $1 + $3::interval ELSE $1::timestamptz END,
            settled_at = CASE WHEN at_most_once AND NOT asking THEN $1::timestamptz END,
            reason = CASE WHEN asking
                THEN 'Taskbell was stopped before it sent this'
                WHEN at_most_once
                THEN 'Taskbell was stopped while it sent this. ' || $4
                ELSE 'Taskbell was stopped while it sent this; it sends it again, so it may come'
                    || ' twice' END
        WHERE id IN (SELECT id FROM dead)
        RETURNING lane
        """,
        now,
        CREATE,
        STILL_COMING,
        CHECK_ARRIVAL,
        AttemptOutcome.UNKNOWN,
        LEASE,
    )
    return sorted({row["lane"] for row in rows})


async def lanes_due(pool: Pool, lanes: Sequence[str], now: datetime) -> list[str]:
    """Those of these lanes that have a delivery that is due."""
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
