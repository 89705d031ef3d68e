"""What happened before a test begins: tasks, events and deliveries as the corridor stores them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from service.domain.actors import Actor
from service.domain.contacts import ContactKey, KeyKind
from service.domain.model import Cause, Event, Kind, State, Task
from service.outbox import DeliveryRequest
from service.outbox.repository import PostgresOutbox
from service.rules.verdict import Plan
from service.store import Pool
from service.store.events import PostgresEvents
from service.store.operators import contact_choices
from service.store.operators.contact_choices import Through
from service.store.tasks import Key, PostgresTasks, TaskState, TaskUpdate


async def know(pool: Pool, *known: Task, at: datetime, gone: bool = False) -> None:
    """These tasks were observed, or were found to be gone."""
    state = TaskState(deleted_at=at if gone else None, observed_at=at)
    await _save(
        pool, [TaskUpdate((one.account, one.id), replace(state, task=one)) for one in known]
    )


async def know_of_none(pool: Pool, key: Key, at: datetime) -> None:
    """A system said that there is no such task, and none was ever seen."""
    await _save(pool, [TaskUpdate(key, TaskState(deleted_at=at, observed_at=at))])


async def _save(pool: Pool, saved: Sequence[TaskUpdate]) -> None:
    async with pool.acquire() as connection, connection.transaction():
        tasks = PostgresTasks(connection)
        await tasks.lock(one.key for one in saved)
        await tasks.save(saved)


async def record(
    pool: Pool,
    after: Task,
    kind: Kind,
    *,
    at: datetime,
    cause: Cause = Cause.POLL,
    before: Task | None = None,
) -> Event:
    """Something happened to a task."""
    async with pool.acquire() as connection:
        events = PostgresEvents(connection)
        [number] = await events.allot_ids(1)
        event = Event(number, after.account, after.id, kind, at, cause, before, after)
        await events.insert([event], "none", at)
    return event


async def plan(pool: Pool, event: Event, state: State = State.PLANNED, **changed: Any) -> int:
    """A rule made a delivery of an event, which has come to `state`; returns its number."""
    wanted: dict[str, Any] = {
        "step": 0,
        "channel": "slack",
        "target": "#office",
        "once_key": str(event.id),
        "send_at": event.at,
        "state": State.PLANNED,
        "text": "Smith gutters finished",
    }
    order = DeliveryRequest(
        event, "job-done", Plan(**wanted | changed), "slack", at_most_once=False
    )
    async with pool.acquire() as connection:
        await PostgresOutbox(connection).place([order], event.at)
    number: int = await pool.fetchval(
        "UPDATE deliveries SET state = $2 WHERE event = $1 RETURNING id", event.id, state
    )
    return number


async def opted_out(pool: Pool, at: datetime) -> None:
    """A customer wants no more messages."""
    key = ContactKey(KeyKind.EMAIL, "ida@smith.test")
    ann, page = Actor("Ann"), Through.PAGE
    await contact_choices.choose(pool, [key], wants=False, by=ann, through=page, now=at)
