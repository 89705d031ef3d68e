"""Actions of a person on a delivery: retry it, send it now, cancel it, or record its outcome."""

from datetime import datetime

import asyncpg

from service.clock import Clock
from service.domain.actors import Actor
from service.domain.model import State
from service.outbox import NoSuchDelivery, NotPossible, fallback
from service.outbox.repository import PostgresOutbox
from service.store import Connection, Pool
from service.store.deliveries import ON_HOLD
from service.store.operators import changes
from service.store.operators.changes import Action


async def retry(
    pool: Pool, clock: Clock, delivery: int, attempts: int | None = None, *, by: Actor
) -> str:
    """Plan another attempt of a delivery that failed, expired, was cancelled or is unknown.

    Returns its lane. `attempts` is the number of attempts that the person saw: if there was another
    one since, the action was taken already. Raises NoSuchDelivery or NotPossible.
    """
    allowed = (State.FAILED, State.UNKNOWN, State.CANCELLED, State.EXPIRED)
    async with pool.acquire() as connection, connection.transaction():
        await _demand(connection, delivery, allowed, "tried again")
        await _demand_unchanged(connection, delivery, attempts)
        await changes.record(connection, by, Action.MESSAGE_RETRIED, delivery, clock.now())
        try:
            return await _plan_again(connection, delivery, by, clock.now())
        except asyncpg.UniqueViolationError:
            raise NotPossible(
                f"delivery {delivery} was replaced:"
                " the rule has already created the same message again"
            ) from None


async def _demand_unchanged(connection: Connection, delivery: int, attempts: int | None) -> None:
    made = await connection.fetchval("SELECT attempts FROM deliveries WHERE id = $1", delivery)
    if attempts is not None and made != attempts:
        raise NotPossible(
            f"delivery {delivery} was already retried by someone else; check the result first"
        )


async def _plan_again(connection: Connection, delivery: int, by: Actor, now: datetime) -> str:
    lane: str = await connection.fetchval(
        """
        UPDATE deliveries SET state = 'planned', reason = $3, asked_for = true,
            next_attempt_at = $2, settled_at = NULL, expires_at = NULL,
            acknowledged_at = NULL, operator_told_at = NULL,
            approved_by = CASE WHEN approver IS NOT NULL THEN coalesce(approved_by, $4) END
        WHERE id = $1 RETURNING lane
        """,
        delivery,
        now,
        f"{by} asked for another attempt",
        f"{by}, who sent it without approval",
    )
    return lane


async def send_now(pool: Pool, clock: Clock, delivery: int, *, by: Actor) -> str:
    """Have a delivery sent now that waits for its time or for opening hours; returns its lane.

    Everything else that may stop it is checked as usual. Raises NoSuchDelivery or NotPossible.
    """
    now = clock.now()
    async with pool.acquire() as connection, connection.transaction():
        await _demand(connection, delivery, (State.PLANNED, State.HELD), "sent now")
        await _demand_waiting(connection, delivery, now)
        lane: str = await connection.fetchval(
            """
            UPDATE deliveries SET state = 'planned', at_once = true, next_attempt_at = $2,
                reason = $3
            WHERE id = $1 RETURNING lane
            """,
            delivery,
            now,
            f"{by} asked to send it now",
        )
        await changes.record(connection, by, Action.MESSAGE_HURRIED, delivery, now)
    return lane


async def _demand_waiting(connection: Connection, delivery: int, now: datetime) -> None:
    """Raise unless the delivery waits for nothing but a time."""
    otherwise = await connection.fetchval(
        f"""
        SELECT CASE
            WHEN approver IS NOT NULL AND approved_by IS NULL
                THEN 'waits for approval: approve it first'
            WHEN {ON_HOLD} THEN 'is on hold together with others: release these first'
            WHEN shadow THEN 'is not really sent, as its rule is on trial'
            WHEN next_attempt_at <= $2 THEN 'is already due: it is sent as soon as possible' END
        FROM deliveries WHERE id = $1
        """,
        delivery,
        now,
    )
    if otherwise is not None:
        raise NotPossible(f"delivery {delivery} {otherwise}")


async def cancel(
    pool: Pool, clock: Clock, delivery: int, *, by: Actor, reason: str | None = None
) -> State:
    """Cancel a delivery that is not sent yet, or acknowledge a failed one; returns its state.

    An acknowledged failure stays `failed`, has the name of the person, and is no longer listed as
    needing attention. Raises NoSuchDelivery or NotPossible.
    """
    allowed, now, said = (State.PLANNED, State.HELD, State.FAILED), clock.now(), reason or ""
    async with pool.acquire() as connection, connection.transaction():
        if await _demand(connection, delivery, allowed, "cancelled") is State.FAILED:
            dismissed = f"dismissed by {by}: {reason}" if reason else f"dismissed by {by}"
            await _dismiss(connection, delivery, dismissed, now)
            await changes.record(connection, by, Action.MESSAGE_DISMISSED, delivery, now, said)
            return State.FAILED
        cancelled = f"cancelled by {by}: {reason}" if reason else f"cancelled by {by}"
        await PostgresOutbox(connection).cancel([delivery], cancelled, now)
        await changes.record(connection, by, Action.MESSAGE_CANCELLED, delivery, now, said)
        return State.CANCELLED


async def _dismiss(connection: Connection, delivery: int, says: str, now: datetime) -> None:
    await connection.execute(
        """
        UPDATE deliveries SET acknowledged_at = $2, reason = concat_ws('; ', reason, $3::text)
        WHERE id = $1
        """,
        delivery,
        now,
        says,
    )


async def resolve(pool: Pool, clock: Clock, delivery: int, *, by: Actor, arrived: bool) -> None:
    """Record the outcome of an `unknown` delivery: `sent` if it arrived, `failed` if it did not.

    Raises as `cancel`.
    """
    now, found = clock.now(), "it arrived" if arrived else "it did not arrive"
    async with pool.acquire() as connection, connection.transaction():
        await _demand(connection, delivery, (State.UNKNOWN,), "resolved")
        await connection.execute(
            "UPDATE deliveries SET state = $2, reason = $3, settled_at = $4 WHERE id = $1",
            delivery,
            State.SENT if arrived else State.FAILED,
            f"{by} found that {found}",
            now,
        )
        await fallback.plan(connection, [delivery], now)
        await changes.record(connection, by, Action.MESSAGE_RESOLVED, delivery, now, found)


async def _demand(
    connection: Connection, delivery: int, allowed: tuple[State, ...], verb: str
) -> State:
    state = await connection.fetchval(
        "SELECT state FROM deliveries WHERE id = $1 FOR UPDATE", delivery
    )
    if state is None:
        raise NoSuchDelivery(f"there is no delivery {delivery}")
    if state not in allowed:
        raise NotPossible(
            f"delivery {delivery} is {state}; only one that is {' or '.join(allowed)} can be {verb}"
        )
    return State(state)
