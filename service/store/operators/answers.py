"""What people answer to messages about tasks, from the page, the API or the message itself.

The process that a person talks to has no engine: it stores an acknowledgement, and a worker
processes it with the account's webhooks. What is said again later is a delivery of its own.
"""

from datetime import datetime, timedelta

import asyncpg

from service.domain.actors import Actor
from service.domain.model import Person, Task
from service.domain.operators.buttons import ANSWER_KEY, ESCALATION, acknowledged_by
from service.domain.signals import Acknowledgement
from service.errors import TaskbellError
from service.store import Connection, Pool
from service.store.operators import changes
from service.store.operators.changes import Action
from service.store.tasks import Key, read_task
from service.telemetry.visible import visible

SNOOZED_KEY = f"{ANSWER_KEY}snoozed:"
"""How the key of a message begins that is said again, before the number of the first one."""
# The words of events that make a message pointless that is to be said again.
_ENDS_SNOOZING = ["completed", "deleted", ESCALATION]


class NoSuchTask(TaskbellError):
    """There is no such task, or it was deleted."""


class NotAnswered(TaskbellError):
    """It comes too late, or somebody was faster; the message says which."""


async def acknowledge(pool: Pool, key: Key, person: Person, now: datetime, *, by: Actor) -> None:
    """Store that this person acknowledges a task.

    Raises NoSuchTask, or NotAnswered if it is done, or somebody else was faster.
    """
    async with pool.acquire() as connection, connection.transaction():
        await keep(connection, Acknowledgement(*key, person, now), by)
        await changes.record(connection, by, Action.TASK_ACKNOWLEDGED, "/".join(key), now)


async def keep(connection: Connection, said: Acknowledgement, by: Actor) -> None:
    """Store an acknowledgement for a worker, and stop the escalations about its task at once.

    Raises as `acknowledge`. If a worker is processing an earlier one, this waits for what it makes
    of that, so the task is looked at afterwards.
    """
    stored = await connection.fetchval(
        """
        INSERT INTO acknowledgements (account, task, name, email, at, person)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING id
        """,
        said.account,
        said.task_id,
        said.by.name or by.name,
        said.by.email,
        said.at,
        said.by.id,
    )
    if stored is None:
        raise NotAnswered("someone acknowledged the task a moment ago")
    # As the engine locks it, so that both cancel messages one after the other.
    await lock_task(connection, (said.account, said.task_id))
    await demand_open(connection, (said.account, said.task_id))
    why = acknowledged_by(visible(said.by.name or by.name))
    await end_escalations(connection, (said.account, said.task_id), said.at, why)


async def end_escalations(connection: Connection, key: Key, now: datetime, why: str) -> None:
    """Cancel what is not sent yet: the next message may be due before a worker makes the event."""
    await connection.execute(
        """
        UPDATE deliveries SET state = 'cancelled', settled_at = $3, next_attempt_at = NULL,
            reason = 'cancelled: ' || $4
        WHERE account = $1 AND task = $2 AND state IN ('planned', 'held')
          AND $5 = ANY (withdraw_on)
        """,
        *key,
        now,
        why,
        ESCALATION,
    )


async def snooze(pool: Pool, message: int, until: datetime, now: datetime, *, by: Actor) -> None:
    """Say a message again then (UTC), unless its task changes; its escalation waits as long.

    Raises as `acknowledge`; each message is snoozed once.
    """
    async with pool.acquire() as connection, connection.transaction():
        await demand_open(connection, await task_of(connection, message))
        await say_again(connection, message, until, now, by=by)


async def say_again(
    connection: Connection, message: int, until: datetime, now: datetime, *, by: Actor
) -> int:
    """As `snooze`, of a message whose task is open; returns the number of the new one."""
    again: int | None = await connection.fetchval(
        """
        INSERT INTO deliveries (account, task, event, rule, once_key, step, channel, target,
            lane, at_most_once, text, markup, subject, fields, attach, flood, buttons,
            withdraw_on, state, reason, created_at, next_attempt_at)
        SELECT account, task, event, rule, $2 || id, step, channel, target, lane, at_most_once,
            text, markup, subject, fields, attach, flood, buttons,
            ARRAY(SELECT DISTINCT unnest(withdraw_on || $3::text[])), 'planned',
            'snoozed by ' || $4, $5, $6
        FROM deliveries WHERE id = $1
        ON CONFLICT DO NOTHING RETURNING id
        """,
        message,
        SNOOZED_KEY,
        _ENDS_SNOOZING,
        by.name,
        now,
        until,
    )
    if again is None:
        raise NotAnswered("the message was snoozed already")
    await _postpone(connection, message, again, until - now)
    detail = f"snoozed until {until:%Y-%m-%d %H:%M} UTC"
    await changes.record(connection, by, Action.MESSAGE_ANSWERED, message, now, detail)
    return again


async def _postpone(connection: Connection, message: int, again: int, by: timedelta) -> None:
    """Let the further steps of the message's rule about the same event wait that much longer."""
    await connection.execute(
        """
        UPDATE deliveries AS further SET next_attempt_at = further.next_attempt_at + $3
        FROM deliveries AS said
        WHERE said.id = $1 AND further.id <> $2 AND further.event = said.event
          AND further.account = said.account AND further.task = said.task
          AND further.rule = said.rule AND further.state IN ('planned', 'held')
          AND $4 = ANY (further.withdraw_on)
        """,
        message,
        again,
        by,
        ESCALATION,
    )


async def task_of(connection: Connection, message: int) -> Key:
    """The task of a message; raises NoSuchTask."""
    row = await connection.fetchrow("SELECT account, task FROM deliveries WHERE id = $1", message)
    if row is None:
        raise NoSuchTask("there is no such message")
    return row["account"], row["task"]


async def are_waiting(pool: Pool, account: str) -> bool:
    """Whether there are acknowledgements for an account."""
    return bool(
        await pool.fetchval(
            "SELECT EXISTS (SELECT FROM acknowledgements WHERE account = $1)", account
        )
    )


async def take(connection: Connection, account: str, limit: int) -> list[Acknowledgement]:
    """Remove and return an account's acknowledgements, the oldest first, up to `limit`."""
    rows = await connection.fetch(
        """
        WITH taken AS (
            DELETE FROM acknowledgements WHERE id IN (
                SELECT id FROM acknowledgements WHERE account = $1
                ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
            RETURNING *)
        SELECT account, task, name, email, at, person FROM taken ORDER BY id
        """,
        account,
        limit,
    )
    return [
        Acknowledgement(account, task, Person(id=person, name=name, email=email), at)
        for account, task, name, email, at, person in rows
    ]


async def lock_task(connection: Connection, key: Key) -> None:
    """Keep others from changing a task, until this transaction ends."""
    await connection.execute("SELECT FROM tasks WHERE account = $1 AND id = $2 FOR UPDATE", *key)


async def asked_for(connection: Connection, key: Key, action: str) -> asyncpg.Record | None:
    """The last write of this kind to a task that a person has asked for, with its `assignee`.

    None if its result has been seen: what was written is seen once the task has been read back.
    """
    return await connection.fetchrow(
        """
        SELECT fields ->> 'assignee' AS assignee
        FROM deliveries LEFT JOIN lookups
            ON (lookups.account, lookups.task) = (deliveries.account, deliveries.task)
            AND lookups.cause = 'write'
        JOIN tasks ON (tasks.account, tasks.id) = (deliveries.account, deliveries.task)
        WHERE deliveries.account = $1 AND deliveries.task = $2 AND channel = $3
          AND starts_with(once_key, $4)
          AND (state IN ('planned', 'held', 'sending')
               OR state = 'sent' AND lookups.task IS NOT NULL
                  AND settled_at >= tasks.observed_at)
        ORDER BY deliveries.id DESC LIMIT 1
        """,
        *key,
        action,
        ANSWER_KEY,
    )


async def demand_not_done(connection: Connection, key: Key) -> Task:
    """The task; raises NoSuchTask, or NotAnswered if it is done."""
    text = await connection.fetchval(
        "SELECT snapshot FROM tasks WHERE account = $1 AND id = $2 AND deleted_at IS NULL", *key
    )
    task = read_task(text)
    if task is None:
        raise NoSuchTask("there is no such task")
    if task.done:
        raise NotAnswered("the task is already done")
    return task


async def demand_open(connection: Connection, key: Key) -> Task:
    """The task; raises NotAnswered also if somebody has acknowledged it."""
    task = await demand_not_done(connection, key)
    if task.acknowledged:
        who = task.acknowledged_by and task.acknowledged_by.name
        raise NotAnswered(f"{who or 'someone'} has already acknowledged the task")
    return task
