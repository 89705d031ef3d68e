"""Actions of a person on a delivery: retry it, send it now, cancel it, or record its outcome.

Failed deliveries, and others that were not sent, can be retried or dismissed many at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

import asyncpg

from service.clock import Clock
from service.domain.actors import Actor, with_reason
from service.domain.model import State
from service.outbox import Lanes, NoSuchDelivery, NotPossible, fallback
from service.outbox.repository import PostgresOutbox
from service.store import Connection, Pool
from service.store.deliveries import ON_HOLD
from service.store.operators import changes
from service.store.operators.changes import Action
from service.store.views import message_search
from service.store.views.message_search import Search

MOST_AT_ONCE = 500
_AT_ONCE = timedelta()


class BulkAction(StrEnum):
    """What can be done to many deliveries at once."""

    RETRY = "retry"
    DISMISS = "dismiss"


# By action: the states that it is for. What may have arrived has to be checked one by one.
BULK_STATES: Mapping[BulkAction, tuple[State, ...]] = {
    BulkAction.RETRY: (State.FAILED, State.CANCELLED, State.EXPIRED),
    BulkAction.DISMISS: (State.FAILED,),
}
_AS_RECORDED = {
    BulkAction.RETRY: Action.MESSAGES_RETRIED,
    BulkAction.DISMISS: Action.MESSAGES_DISMISSED,
}


async def retry(
    pool: Pool,
    clock: Clock,
    delivery: int,
    attempts: int | None = None,
    *,
    by: Actor,
    pause: timedelta = _AT_ONCE,
) -> str:
    """Plan another attempt of a delivery that failed, expired, was cancelled or is unknown.

    Returns its lane. The attempt is made after the `pause`. `attempts` is the number of attempts
    that the person saw: if there was another one since, the action was taken already. Raises
    NoSuchDelivery or NotPossible.
    """
    allowed = (State.FAILED, State.UNKNOWN, State.CANCELLED, State.EXPIRED)
    async with pool.acquire() as connection, connection.transaction():
        await _demand(connection, delivery, allowed, "tried again")
        await _demand_unchanged(connection, delivery, attempts)
        await changes.record(connection, by, Action.MESSAGE_RETRIED, delivery, clock.now())
        try:
            [lane] = await _plan_again(connection, [delivery], by, clock.now() + pause)
        except asyncpg.UniqueViolationError:
            raise NotPossible(
                f"delivery {delivery} was replaced:"
                " the rule has already created the same message again"
            ) from None
        return lane


async def _demand_unchanged(connection: Connection, delivery: int, attempts: int | None) -> None:
    made = await connection.fetchval("SELECT attempts FROM deliveries WHERE id = $1", delivery)
    if attempts is not None and made != attempts:
        raise NotPossible(
            f"delivery {delivery} was already retried by someone else; check the result first"
        )


async def _plan_again(
    connection: Connection, deliveries: Sequence[int], by: Actor, at: datetime
) -> list[str]:
    rows = await connection.fetch(
        """
        UPDATE deliveries SET state = 'planned', reason = $3, asked_for = true,
            next_attempt_at = $2, settled_at = NULL, expires_at = NULL,
            acknowledged_at = NULL, operator_told_at = NULL,
            approved_by = CASE WHEN approver IS NOT NULL THEN coalesce(approved_by, $4) END
        WHERE id = ANY ($1) RETURNING lane
        """,
        deliveries,
        at,
        f"{by} asked for another attempt",
        f"{by}, who sent it without approval",
    )
    return [row["lane"] for row in rows]


async def send_now(
    pool: Pool, clock: Clock, delivery: int, *, by: Actor, pause: timedelta = _AT_ONCE
) -> str:
    """Have a delivery sent now that waits for its time or for opening hours; returns its lane.

    It is sent after the `pause`, or at its time if that is earlier.
    Everything else that may stop it is checked as usual. Raises NoSuchDelivery or NotPossible.
    """
    now = clock.now()
    async with pool.acquire() as connection, connection.transaction():
        await _demand(connection, delivery, (State.PLANNED, State.HELD), "sent now")
        await _demand_waiting(connection, delivery, now)
        lane: str = await connection.fetchval(
            """
            UPDATE deliveries SET state = 'planned', at_once = true,
                next_attempt_at = least(next_attempt_at, $2), reason = $3
            WHERE id = $1 RETURNING lane
            """,
            delivery,
            now + pause,
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
            dismissed = with_reason(f"dismissed by {by}", reason)
            await _dismiss(connection, [delivery], dismissed, now)
            await changes.record(connection, by, Action.MESSAGE_DISMISSED, delivery, now, said)
            return State.FAILED
        cancelled = with_reason(f"cancelled by {by}", reason)
        await PostgresOutbox(connection).cancel([delivery], cancelled, now)
        await changes.record(connection, by, Action.MESSAGE_CANCELLED, delivery, now, said)
        return State.CANCELLED


async def _dismiss(
    connection: Connection, deliveries: Sequence[int], says: str, now: datetime
) -> None:
    await connection.execute(
        """
        UPDATE deliveries SET acknowledged_at = $2, reason = concat_ws('; ', reason, $3::text)
        WHERE id = ANY ($1)
        """,
        deliveries,
        now,
        says,
    )


async def resolve(
    pool: Pool, clock: Clock, delivery: int, *, by: Actor, arrived: bool, reason: str | None = None
) -> None:
    """Record the outcome of an `unknown` delivery: `sent` if it arrived, `failed` if it did not.

    Raises as `cancel`.
    """
    found = with_reason("it arrived" if arrived else "it did not arrive", reason)
    now = clock.now()
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


async def matching(pool: Pool, action: BulkAction, search: Search) -> list[int]:
    """The deliveries of a search to which this can be done, the newest first.

    Left out are those of rules on trial, those that a person has dismissed, and for a retry those
    that their rules have created again. Raises NotPossible if the search is for another state,
    or for too many.
    """
    found = await _found(pool, action, search)
    async with pool.acquire() as connection, connection.transaction():
        return await _lock_possible(connection, action, found)


async def act_on_all(
    pool: Pool, clock: Clock, action: BulkAction, search: Search, count: int, *, by: Actor
) -> Lanes:
    """Retry or dismiss the deliveries of a search; returns the lanes to wake up.

    `count` is the number of them that the person was shown. Raises NotPossible, and then nothing is
    done: as `matching`, or if it is another number now.
    """
    now, found = clock.now(), await _found(pool, action, search)
    async with pool.acquire() as connection, connection.transaction():
        numbers = await _lock_possible(connection, action, found)
        if len(numbers) != count:
            raise NotPossible(f"the number of messages is now {len(numbers)}, not {count}")
        await changes.record(connection, by, _AS_RECORDED[action], count, now, _said(search))
        if action is BulkAction.DISMISS:
            await _dismiss(connection, numbers, f"dismissed by {by}", now)
            return frozenset()
        try:
            return frozenset(await _plan_again(connection, numbers, by, now))
        except asyncpg.UniqueViolationError:
            raise NotPossible("a rule has just created one of these messages again") from None


def _said(search: Search) -> str:
    """What a search asks for, such as `state failed, channel slack`."""
    texts = {
        "state": search.state,
        "rule": search.rule,
        "channel": search.channel,
        "account": search.account,
        "recipient": search.receiver,
        "words": search.words,
        "since": "" if search.since is None else f"{search.since:%Y-%m-%d %H:%M} UTC",
        "until": "" if search.until is None else f"{search.until:%Y-%m-%d %H:%M} UTC",
    }
    return ", ".join(f"{name} {text}" for name, text in texts.items() if text)


async def _found(pool: Pool, action: BulkAction, search: Search) -> list[int]:
    """What a search finds, if that is little enough to be done at once."""
    states = BULK_STATES[action]
    if search.state not in states:
        raise NotPossible(f"this can be done to messages that are {' or '.join(states)}")
    undismissed = replace(search, undismissed=True)
    found = await message_search.find(pool, undismissed, MOST_AT_ONCE)
    if found.looked_until is not None or found.older is not None:
        raise NotPossible(
            f"these may be more than {MOST_AT_ONCE} messages: narrow the search,"
            " for example to one day"
        )
    return [row["id"] for row in found.rows]


async def _lock_possible(
    connection: Connection, action: BulkAction, found: Sequence[int]
) -> list[int]:
    """Those of these deliveries to which it can be done, which nobody else changes meanwhile."""
    rows = await connection.fetch(
        """
        SELECT id, row_number() OVER (
                PARTITION BY rule, once_key, step, target ORDER BY id DESC) AS place
        FROM (
            SELECT id, rule, once_key, step, target FROM deliveries
            WHERE id = ANY ($1) AND state = ANY ($2) AND NOT shadow AND acknowledged_at IS NULL
              AND ($3 OR NOT EXISTS (
                SELECT FROM deliveries AS again
                WHERE (again.rule, again.once_key, again.step, again.target)
                    = (deliveries.rule, deliveries.once_key, deliveries.step, deliveries.target)
                  AND again.id <> deliveries.id AND NOT again.shadow
                  AND again.state NOT IN ('skipped', 'cancelled', 'expired')))
            ORDER BY id FOR UPDATE) AS possible
        ORDER BY id DESC
        """,
        found,
        BULK_STATES[action],
        action is BulkAction.DISMISS,
    )
    return [row["id"] for row in rows if row["place"] == 1]


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
