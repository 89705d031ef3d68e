"""The outbox: every delivery from its plan to its end, and the promises about sending.

A delivery is claimed by marking it `sending` under a lease, sent, and settled. A lease that ran
out means that a process died in between: what reaches a customer is then `unknown` and waits for
a person, everything else is sent again with the same idempotency key.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg
import orjson

from service.channels import Message, Receipt
from service.clock import Clock
from service.errors import TaskbellError
from service.model import Event, State
from service.rules.verdict import Plan
from service.store import Connection, Pool

LEASE = timedelta(seconds=90)


class NoSuchDelivery(TaskbellError):
    """There is no delivery with this number."""


class NotPossible(TaskbellError):
    """The delivery's state does not allow it; the message says which state it is in."""


@dataclass(frozen=True, slots=True)
class Order:
    """A plan of a rule for an event, addressed to a lane.

    A lane is what is sent side by side and fails together: a configured channel, or an account.
    """

    event: Event
    rule: str
    plan: Plan
    lane: str
    customer: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this process is to send now; `updates` is the one it rewrites."""

    id: int
    attempts: int
    customer: bool
    updates: int | None
    message: Message


@dataclass(frozen=True, slots=True)
class Settlement:
    """How one attempt ended; `again_at` is when to try again, if that is how it ended."""

    claim: Claim
    state: State
    reason: str | None = None
    receipt: Receipt | None = None
    again_at: datetime | None = None


async def place(
    connection: Connection, orders: Sequence[Order], now: datetime
) -> set[tuple[str, int, str, str]]:
    """Store the orders; what the same rule already sent for the same reason is left out.

    Returns (rule, step, once_key, target) of what was really placed.
    """
    rows = await connection.fetch(
        """
        INSERT INTO deliveries (account, task, event, rule, once_key, step, channel, target, lane,
            customer, text, subject, fields, on_undo, withdraw_on, state, reason, created_at,
            next_attempt_at, expires_at, settled_at)
        SELECT account, task, event, rule, once_key, step, channel, target, lane, customer, text,
            subject, fields, on_undo, string_to_array(withdraw_on, ' '), state, reason, $1,
            CASE WHEN state <> 'skipped' THEN send_at END, expires_at,
            CASE WHEN state = 'skipped' THEN $1 END
        FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::int[],
                    $8::text[], $9::text[], $10::text[], $11::bool[], $12::text[], $13::text[],
                    $14::jsonb[], $15::text[], $16::text[], $17::text[], $18::text[],
                    $19::timestamptz[], $20::timestamptz[])
          AS new (account, task, event, rule, once_key, step, channel, target, lane, customer,
                  text, subject, fields, on_undo, withdraw_on, state, reason, send_at, expires_at)
        ON CONFLICT (rule, once_key, step, target) DO NOTHING
        RETURNING rule, step, once_key, target
        """,
        now,
        [order.event.account for order in orders],
        [order.event.task_id for order in orders],
        [order.event.id for order in orders],
        [order.rule for order in orders],
        [order.plan.once_key for order in orders],
        [order.plan.step for order in orders],
        [order.plan.channel for order in orders],
        [order.plan.target for order in orders],
        [order.lane for order in orders],
        [order.customer for order in orders],
        [order.plan.text for order in orders],
        [order.plan.subject for order in orders],
        [
            None if (f := order.plan.fields) is None else orjson.dumps(f).decode()
            for order in orders
        ],
        [order.plan.on_undo for order in orders],
        [" ".join(sorted(order.plan.withdraw_on)) for order in orders],
        [order.plan.state for order in orders],
        [order.plan.reason for order in orders],
        [order.plan.send_at for order in orders],
        [order.plan.expires_at for order in orders],
    )
    return {tuple(row) for row in rows}


async def withdraw(connection: Connection, events: Sequence[Event], now: datetime) -> None:
    """Cancel what is not sent yet and what one of these events has made pointless."""
    await connection.execute(
        """
        UPDATE deliveries SET state = 'cancelled', settled_at = $1, next_attempt_at = NULL,
            reason = 'withdrawn: the task was ' || news.kind
        FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[])
          AS news (account, task, id, kind)
        WHERE deliveries.account = news.account AND deliveries.task = news.task
          AND state IN ('planned', 'held') AND news.kind = ANY (withdraw_on)
          AND deliveries.event < news.id
        """,
        now,
        [event.account for event in events],
        [event.task_id for event in events],
        [event.id for event in events],
        [event.kind for event in events],
    )


async def pending(
    connection: Connection, keys: Iterable[tuple[str, str]], rules: Iterable[str]
) -> list[tuple[int, str, str, str]]:
    """What these rules have not sent yet about these tasks: (id, rule, account, task)."""
    wanted = list(keys)
    rows = await connection.fetch(
        """
        SELECT id, rule, account, task FROM deliveries
        JOIN unnest($1::text[], $2::text[]) AS wanted (account, task) USING (account, task)
        WHERE state IN ('planned', 'held') AND rule = ANY ($3)
        ORDER BY id FOR UPDATE OF deliveries
        """,
        [account for account, _ in wanted],
        [task for _, task in wanted],
        list(rules),
    )
    return [tuple(row) for row in rows]


async def cancel_all(
    connection: Connection, ids: Sequence[int], reason: str, now: datetime
) -> None:
    """Cancel deliveries that this transaction has locked."""
    await connection.execute(
        """
        UPDATE deliveries SET state = 'cancelled', reason = $2, settled_at = $3,
            next_attempt_at = NULL
        WHERE id = ANY ($1) AND state IN ('planned', 'held')
        """,
        ids,
        reason,
        now,
    )


async def take_back(connection: Connection, events: Sequence[Event], now: datetime) -> set[str]:
    """Plan the rewriting of messages whose cause one of these events undoes; returns the lanes.

    A completion is undone by a reopening, a creation by a deletion.
    """
    rows = await connection.fetch(
        """
        INSERT INTO deliveries (account, task, event, rule, once_key, step, channel, target, lane,
            customer, text, subject, updates, state, created_at, next_attempt_at)
        SELECT sent.account, sent.task, news.id, sent.rule, 'undo:' || sent.id, sent.step,
            sent.channel, sent.target, sent.lane, sent.customer,
            'Taken back (' || news.kind || '): ' || sent.text, sent.subject, sent.id, 'planned',
            $1, $1
        FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[])
               AS news (account, task, id, kind)
        JOIN deliveries AS sent ON sent.account = news.account AND sent.task = news.task
             AND sent.on_undo = 'update' AND sent.state IN ('sending', 'sent')
             AND sent.event < news.id
        JOIN events ON events.id = sent.event
        WHERE (events.kind, news.kind) IN (('completed', 'reopened'), ('created', 'deleted'))
        ON CONFLICT (rule, once_key, step, target) DO NOTHING
        RETURNING lane
        """,
        now,
        [event.account for event in events],
        [event.task_id for event in events],
        [event.id for event in events],
        [event.kind for event in events],
    )
    return {row["lane"] for row in rows}


async def claim(pool: Pool, lane: str, clock: Clock, limit: int) -> list[Claim]:
    """Take up to `limit` deliveries of a lane that are due, each for one attempt.

    The mark is on disk before a customer's message is sent. For the others a lost mark costs
    at worst another attempt with the same key, so they do not wait for the disk.
    """
    now = clock.now()
    async with pool.acquire() as connection, connection.transaction():
        await _expire(connection, lane, now)
        rows = await connection.fetch(
            """
            WITH due AS (
                SELECT id FROM deliveries
                WHERE lane = $1 AND state IN ('planned', 'held') AND next_attempt_at <= $2
                ORDER BY next_attempt_at, id LIMIT $3 FOR UPDATE SKIP LOCKED),
            claimed AS (
                UPDATE deliveries SET state = 'sending', attempts = attempts + 1,
                    lease_until = $2::timestamptz + $4, next_attempt_at = NULL
                FROM due WHERE deliveries.id = due.id RETURNING deliveries.*)
            SELECT claimed.id, claimed.attempts, claimed.customer, claimed.updates, claimed.key,
                   claimed.channel, claimed.target, claimed.text, claimed.subject, claimed.fields,
                   claimed.account, claimed.task, claimed.rule, claimed.event, original.receipt,
                   events.kind, events.at, events.cause, events.before, events.after
            FROM claimed JOIN events ON events.id = claimed.event
            LEFT JOIN deliveries AS original ON original.id = claimed.updates
            ORDER BY claimed.id
            """,
            lane,
            now,
            limit,
            LEASE,
        )
        if not any(row["customer"] for row in rows):
            await connection.execute("SET LOCAL synchronous_commit = off")
    return [_claim(row) for row in rows]


async def _expire(connection: Connection, lane: str, now: datetime) -> None:
    await connection.execute(
        """
        UPDATE deliveries SET state = 'expired', settled_at = $2, next_attempt_at = NULL,
            reason = 'it was too late: wanted by '
                     || to_char(expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')
        WHERE lane = $1 AND state IN ('planned', 'held') AND next_attempt_at <= $2
          AND expires_at <= $2
        """,
        lane,
        now,
    )


def _claim(row: asyncpg.Record) -> Claim:
    event = {
        "id": row["event"],
        "account": row["account"],
        "task": row["task"],
        "kind": row["kind"],
        "at": row["at"],
        "cause": row["cause"],
    }
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
        type=f"task.{row['kind']}",
        at=row["at"],
        event=event,
        task=_fragment(row["after"] or row["before"]),
        before=_fragment(row["before"]),
        receipt=None if row["receipt"] is None else orjson.loads(row["receipt"]),
    )
    return Claim(row["id"], row["attempts"], row["customer"], row["updates"], message)


def _fragment(text: str | None) -> orjson.Fragment | None:
    return None if text is None else orjson.Fragment(text)


async def settle(pool: Pool, settlements: Sequence[Settlement], now: datetime) -> None:
    """Write down how attempts ended.

    An answer that comes after its lease ran out still counts, as long as nobody made another
    attempt: it is the evidence that an `unknown` delivery was waiting for.
    """
    customers = any(one.claim.customer for one in settlements)
    async with pool.acquire() as connection, connection.transaction():
        if not customers:
            await connection.execute("SET LOCAL synchronous_commit = off")
        await connection.execute(
            """
            UPDATE deliveries SET state = new.state, reason = new.reason,
                receipt = coalesce(new.receipt, deliveries.receipt),
                next_attempt_at = new.again_at, lease_until = NULL,
                settled_at = CASE WHEN new.again_at IS NULL THEN $1 END
            FROM unnest($2::bigint[], $3::int[], $4::text[], $5::text[], $6::jsonb[],
                        $7::timestamptz[])
              AS new (id, attempts, state, reason, receipt, again_at)
            WHERE deliveries.id = new.id AND deliveries.attempts = new.attempts
              AND deliveries.state IN ('sending', 'unknown')
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


async def reclaim(pool: Pool, now: datetime) -> list[str]:
    """Deal with deliveries whose process died while sending; returns the lanes to ring.

    What reaches a customer becomes `unknown`; the rest is planned again with the same key.
    """
    rows = await pool.fetch(
        """
        UPDATE deliveries SET lease_until = NULL,
            state = CASE WHEN customer THEN 'unknown' ELSE 'planned' END,
            next_attempt_at = CASE WHEN customer THEN NULL ELSE $1::timestamptz END,
            settled_at = CASE WHEN customer THEN $1 END,
            reason = CASE WHEN customer
                THEN 'the process stopped while sending: look whether the customer was told, then'
                     ' resolve it'
                ELSE 'the process stopped while sending; sent again with the same key' END
        WHERE state = 'sending' AND lease_until < $1
        RETURNING lane
        """,
        now,
    )
    return sorted({row["lane"] for row in rows})


async def lanes_due(pool: Pool, now: datetime) -> list[str]:
    rows = await pool.fetch(
        """
        SELECT DISTINCT lane FROM deliveries
        WHERE state IN ('planned', 'held') AND next_attempt_at <= $1
        """,
        now,
    )
    return [row["lane"] for row in rows]


async def retry(pool: Pool, clock: Clock, delivery: int) -> str:
    """Send a delivery that failed, expired, was cancelled or is unknown once more; its lane.

    Raises NoSuchDelivery or NotPossible.
    """
    allowed = (State.FAILED, State.UNKNOWN, State.CANCELLED, State.EXPIRED)
    async with pool.acquire() as connection, connection.transaction():
        await _demand(connection, delivery, allowed, "tried again")
        lane = await connection.fetchval(
            """
            UPDATE deliveries SET state = 'planned', reason = 'a person asked for another attempt',
                next_attempt_at = $2, settled_at = NULL, expires_at = NULL
            WHERE id = $1 RETURNING lane
            """,
            delivery,
            clock.now(),
        )
    return str(lane)


async def cancel(pool: Pool, clock: Clock, delivery: int, reason: str) -> None:
    """Withdraw a delivery that is not sent yet. Raises NoSuchDelivery or NotPossible."""
    async with pool.acquire() as connection, connection.transaction():
        await _demand(connection, delivery, (State.PLANNED, State.HELD), "cancelled")
        await cancel_all(connection, [delivery], reason, clock.now())


async def resolve(pool: Pool, clock: Clock, delivery: int, *, arrived: bool) -> None:
    """Settle an unknown delivery by what a person found out. Raises as `cancel`."""
    async with pool.acquire() as connection, connection.transaction():
        await _demand(connection, delivery, (State.UNKNOWN,), "resolved")
        await connection.execute(
            "UPDATE deliveries SET state = $2, reason = $3, settled_at = $4 WHERE id = $1",
            delivery,
            State.SENT if arrived else State.FAILED,
            f"a person found that it {'arrived' if arrived else 'did not arrive'}",
            clock.now(),
        )


async def _demand(
    connection: Connection, delivery: int, allowed: tuple[State, ...], verb: str
) -> None:
    state = await connection.fetchval(
        "SELECT state FROM deliveries WHERE id = $1 FOR UPDATE", delivery
    )
    if state is None:
        raise NoSuchDelivery(f"there is no delivery {delivery}")
    if state not in allowed:
        raise NotPossible(
            f"delivery {delivery} is {state}; only one that is {' or '.join(allowed)} can be {verb}"
        )
