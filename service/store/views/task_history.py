"""The recorded history of one task: events, decisions, deliveries."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Self

import asyncpg

from service.domain.model import Cause, Event, Task
from service.store import Connection, absences, decisions, deliveries
from service.store.decisions import RecordedDecision
from service.store.deliveries import RecordedDelivery
from service.store.history import RecordedEvent, events_of
from service.store.tasks import Key, TaskState, read_state
from service.store.views import digest_history
from service.store.views.digest_history import DigestHistory
from service.store.views.task_search import prefix_query

_MOST_NAMESAKES = 1_000
_NO_CHANGE = frozenset({Cause.CLOCK, Cause.SIGNAL})


@dataclass(frozen=True, slots=True)
class RecordedWait:
    """A rule that waits (`settle`, `for`) because of an event, until `ends_at` (UTC)."""

    rule: str
    event: int
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class TaskHistory:
    """The recorded history of one task, each kind in chronological order.

    - `texts`: the rules (JSON) of every version that made decisions here
    - `later`: events after the time up to which rules are explained (`--at`)
    - `account_waits`: why the account's due messages are not sent yet
    - `absent_since`: since when the system has reported the task as missing while its deletion is
      held, because many are missing
    """

    key: Key
    known: TaskState
    added_at: datetime
    recorded: list[RecordedEvent] = field(default_factory=list)
    decisions: list[RecordedDecision] = field(default_factory=list)
    deliveries: list[RecordedDelivery] = field(default_factory=list)
    waits: list[RecordedWait] = field(default_factory=list)
    together: DigestHistory = field(default_factory=DigestHistory)
    texts: Mapping[str, str] = field(default_factory=dict)
    later: list[RecordedEvent] = field(default_factory=list)
    account_waits: str | None = None
    absent_since: datetime | None = None

    @property
    def events(self) -> list[Event]:
        """The events of the task."""
        return [one.event for one in self.recorded]

    def at(self, moment: datetime) -> Task | None:
        """The task as it was known then; None if it was deleted, or not known yet."""
        everything = [*self.recorded, *self.later]
        before = [one for one in everything if one.decided_at <= moment]
        if before:
            return before[-1].event.after
        changes = (one.event for one in everything if one.event.cause not in _NO_CHANGE)
        first = next(changes, None)
        return self.known.present if first is None else first.before

    def until(self, moment: datetime) -> Self:
        """The history up to that time; the current outcome of deliveries is kept."""
        recorded = [one for one in self.recorded if one.event.at <= moment]
        numbers = {one.event.id for one in recorded}
        return replace(
            self,
            recorded=recorded,
            later=[one for one in self.recorded if one.event.id not in numbers],
            decisions=[one for one in self.decisions if one.event in numbers],
            waits=[one for one in self.waits if one.event in numbers],
        )


async def find(
    connection: Connection, named: str, account: str | None
) -> list[tuple[str, str, str]]:
    """The tasks with this id, or else with this title: (account, id, title); deleted ones too.

    Of a title that very many tasks have, the first `_MOST_NAMESAKES`.
    """
    rows = await connection.fetch(
        """
        SELECT account, id, snapshot ->> 'title' AS title FROM tasks
        WHERE account = ANY (CASE WHEN $2::text IS NULL THEN ARRAY(SELECT name FROM accounts)
                                  ELSE ARRAY[$2] END)
          AND id = $1 AND snapshot IS NOT NULL
        ORDER BY account, id
        """,
        named,
        account,
    )
    return [tuple(row) for row in rows or await _titled(connection, named, account)]


async def _titled(connection: Connection, title: str, account: str | None) -> list[asyncpg.Record]:
    """The tasks with this title, found by its words and not among all tasks."""
    words = prefix_query(title)
    if words is None:
        return []
    return await connection.fetch(
        f"""
        SELECT account, id, title
        FROM (SELECT account, task FROM task_words
              WHERE words @@ to_tsquery('simple', $1) OFFSET 0) AS found,
        LATERAL (SELECT id, snapshot ->> 'title' AS title FROM tasks
                 WHERE tasks.account = found.account AND id = found.task OFFSET 0) AS known
        WHERE lower(title) = lower($2) AND ($3::text IS NULL OR account = $3)
        ORDER BY account, id LIMIT {_MOST_NAMESAKES}
        """,
        words,
        title,
        account,
    )


async def read(
    connection: Connection,
    key: Key,
    crons: Mapping[str, str] = MappingProxyType({}),
    until: datetime | None = None,
    leads: Mapping[str, str] = MappingProxyType({}),
) -> TaskHistory:
    """The history of a task that is known.

    `crons` are the schedules of rules by their ids; of each the last slot up to `until` is read.
    `leads` has the account in which a rule with `together` acts for its others.
    """
    recorded = await events_of(connection, key)
    numbers = [one.event.id for one in recorded]
    made = await decisions.about(connection, numbers)
    sent = await deliveries.because_of(connection, numbers)
    gathering = {one.rule for one in made if one.outcome == "gathered"}
    shared = await digest_history.read(connection, key, gathering, crons, leads, until)
    decided = {one.rules_version for one in recorded} | {one.rules_version for one in made}
    return TaskHistory(
        key=key,
        known=await read_state(connection, key),
        added_at=await connection.fetchval("SELECT added_at FROM accounts WHERE name = $1", key[0]),
        recorded=recorded,
        decisions=made,
        deliveries=sorted((one for each in sent.values() for one in each), key=lambda one: one.id),
        waits=await _waits(connection, key),
        together=shared,
        absent_since=await absences.held_since(connection, key),
        texts=await _texts(connection, decided | shared.versions),
    )


async def _waits(connection: Connection, key: Key) -> list[RecordedWait]:
    rows = await connection.fetch(
        "SELECT rule, event, ends_at FROM waits WHERE account = $1 AND task = $2", *key
    )
    return [RecordedWait(**row) for row in rows]


async def _texts(connection: Connection, versions: set[str]) -> dict[str, str]:
    rows = await connection.fetch(
        "SELECT version, text FROM rulesets WHERE version = ANY ($1)", list(versions)
    )
    return {row["version"]: row["text"] for row in rows}
