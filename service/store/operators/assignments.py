"""Tasks that people take, or assign to somebody: writes to the systems, in their name.

They count as the person's own, not as Taskbell's: rules act as if somebody had done it there.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from service.domain.actors import Actor
from service.domain.model import Person, Task
from service.domain.operators.buttons import ANSWER_KEY, ASSIGNED
from service.domain.people import picked
from service.domain.signals import Acknowledgement
from service.errors import TaskbellError
from service.store import Connection, Pool
from service.store.operators import answers, changes
from service.store.operators.answers import NotAnswered
from service.store.operators.changes import Action
from service.store.tasks import Key
from service.store.views import known_people


class NobodyMeant(TaskbellError):
    """No person is known by these words, or several are; or the system cannot assign tasks."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who takes a task: a person as they are shown, and the `words` by which systems may know them.

    `systems` are those in which tasks can be assigned.
    """

    person: Person
    words: Collection[str]
    systems: Collection[str]


@dataclass(frozen=True, slots=True)
class _Order:
    """Which task is assigned to whom, and the event and the rule that it has to do with."""

    account: str
    task: str
    assignee: Person
    event: int | None
    rule: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of taking a task: the lane of the write, if there is one, or why there is none."""

    lane: str | None = None
    why_not: str = ""


async def take(pool: Pool, message: int, who: Who, now: datetime, *, by: Actor) -> Taken:
    """Acknowledge the task of a message, and have it assigned to whoever takes it.

    If it cannot be assigned, it is acknowledged all the same, because somebody takes care of it.
    Raises as `answers.acknowledge`.
    """
    async with pool.acquire() as connection, connection.transaction():
        key = await answers.task_of(connection, message)
        task = await answers.demand_open(connection, key)
        try:
            assignee = await _meant(connection, task, who.words, who.systems)
        except NobodyMeant as error:
            await answers.keep(connection, Acknowledgement(*key, who.person, now), by)
            detail = f"acknowledged, but not assigned: {error}"
            await changes.record(connection, by, Action.MESSAGE_ANSWERED, message, now, detail)
            return Taken(why_not=str(error))
        taker = replace(who.person, id=assignee.id)
        await answers.keep(connection, Acknowledgement(*key, taker, now), by)
        await changes.record(connection, by, Action.MESSAGE_ANSWERED, message, now, "taken")
        if await _assignee(connection, task) == assignee.id:
            return Taken()
        [(event, rule)] = await connection.fetch(
            "SELECT event, rule FROM deliveries WHERE id = $1", message
        )
        return Taken(await _write(connection, _Order(*key, assignee, event, rule), now, by))


async def assign(
    pool: Pool, key: Key, word: str, systems: Collection[str], now: datetime, *, by: Actor
) -> tuple[str, Person]:
    """Have a task assigned to the person of this id, address or name in its system.

    Returns the lane of the write, and the person. Raises NobodyMeant, NoSuchTask, or NotAnswered
    if the task is done, or is theirs already, or will be.
    """
    async with pool.acquire() as connection, connection.transaction():
        await answers.lock_task(connection, key)
        task = await answers.demand_not_done(connection, key)
        assignee = await _meant(connection, task, [word], systems)
        if await _assignee(connection, task) == assignee.id:
            raise NotAnswered(f"the task is assigned to {shown(assignee)} already")
        event = await connection.fetchval(
            "SELECT max(id) FROM events WHERE account = $1 AND task = $2", *key
        )
        order = _Order(*key, assignee, event, ASSIGNED)
        lane = await _write(connection, order, now, by)
        subject, detail = "/".join(key), f"to {shown(assignee)}"
        await changes.record(connection, by, Action.TASK_ASSIGNED, subject, now, detail)
        return lane, assignee


async def _assignee(connection: Connection, task: Task) -> str | None:
    """The id of who has the task, or will have it because somebody has asked for that."""
    asked = await answers.asked_for(connection, (task.account, task.id), "update_task")
    if asked is not None:
        return str(asked["assignee"])
    return None if task.assignee is None else task.assignee.id


def shown(person: Person) -> str:
    """The person as people call them."""
    return person.name or person.email or person.id or "someone"


async def _meant(
    connection: Connection, task: Task, words: Collection[str], systems: Collection[str]
) -> Person:
    """The person whom these words mean in the task's account; raises NobodyMeant."""
    if task.system not in systems:
        raise NobodyMeant(f"Taskbell cannot assign tasks in {task.account}")
    people = await known_people.read(connection, task.account)
    person = picked(people, words)
    if person is not None:
        return person
    if not words:
        raise NobodyMeant("Taskbell does not know who you are")
    raise NobodyMeant(
        f"in {task.account}, nobody or more than one person is known as {' or '.join(words)}"
    )


async def _write(connection: Connection, order: _Order, now: datetime, by: Actor) -> str:
    """Plan the write; returns its lane."""
    lane: str = await connection.fetchval(
        """
        INSERT INTO deliveries (account, task, event, rule, once_key, step, channel, target, lane,
            at_most_once, fields, asked_for, state, reason, created_at, next_attempt_at)
        VALUES ($1, $2, $3, $4, $5 || gen_random_uuid(), 1, 'update_task', '', 'writes:' || $1,
            false, jsonb_build_object('assignee', $6::text), true, 'planned',
            'asked for by ' || $7, $8, $8)
        RETURNING lane
        """,
        order.account,
        order.task,
        order.event,
        order.rule,
        f"{ANSWER_KEY}assign:",
        order.assignee.id,
        by.name,
        now,
    )
    return lane
