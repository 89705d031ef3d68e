"""Acknowledgements of tasks by people, from the page, the API or a message, until they are events.

The process that a person talks to has no engine: it stores what they said, and a worker processes
it with the account's webhooks.
"""

from datetime import datetime

from service.domain.actors import Actor
from service.domain.model import (
    Person,
)
from service.domain.signals import Acknowledgement
from service.errors import TaskbellError
from service.store import Connection, Pool
from service.store.operators import changes
from service.store.operators.changes import Action
from service.store.tasks import Key, read_task


class NoSuchTask(TaskbellError):
    """There is no such task, or it was deleted."""


class NotAcknowledged(TaskbellError):
    """The task cannot be acknowledged; the message says why."""


async def add(pool: Pool, key: Key, person: Person, now: datetime, *, by: Actor) -> None:
    """Store that this person acknowledges a task.

    Raises NoSuchTask, or NotAcknowledged if it is done, or somebody else was faster.
    """
    async with pool.acquire() as connection, connection.transaction():
        await _demand_open(connection, key)
        stored = await connection.fetchval(
            """
            INSERT INTO acknowledgements (account, task, name, email, at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING id
            """,
            *key,
            person.name or by.name,
            person.email,
            now,
        )
        if stored is None:
            raise NotAcknowledged("somebody has acknowledged the task a moment ago")
        await changes.record(connection, by, Action.TASK_ACKNOWLEDGED, "/".join(key), now)


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
        SELECT account, task, name, email, at FROM taken ORDER BY id
        """,
        account,
        limit,
    )
    return [
        Acknowledgement(account, task, Person(name=name, email=email), at)
        for account, task, name, email, at in rows
    ]


async def _demand_open(connection: Connection, key: Key) -> None:
    text = await connection.fetchval(
        "SELECT snapshot FROM tasks WHERE account = $1 AND id = $2 AND deleted_at IS NULL", *key
    )
    task = read_task(text)
    if task is None:
        raise NoSuchTask("there is no such task")
    if task.done:
        raise NotAcknowledged("the task is done already")
    if task.acknowledged:
        who = task.acknowledged_by and task.acknowledged_by.name
        raise NotAcknowledged(f"{who or 'somebody'} has acknowledged the task already")
