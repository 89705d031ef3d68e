"""Everything that was written down about one task: events, decisions, deliveries."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self

from service.model import Event, State
from service.store import Connection
from service.store.history import Recorded, events_of
from service.store.tasks import Key, Known, look


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a rule decided about an event when it came, and by which version of the rules."""

    event: int
    rule: str
    rules_version: str
    outcome: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Sending:
    """A delivery and where it stands; `next_attempt_at` is when it is to go out."""

    id: int
    event: int
    rule: str
    step: int
    channel: str
    target: str
    state: State
    reason: str | None
    attempts: int
    rewrites: int | None
    created_at: datetime
    next_attempt_at: datetime | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """That a rule waits until the task has been quiet."""

    rule: str
    event: int
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Dossier:
    """One task's papers, each kind in the order in which it came.

    `texts` are the rules, as JSON, of every version that decided something here.
    """

    key: Key
    known: Known
    added_at: datetime
    recorded: list[Recorded] = field(default_factory=list)
    rulings: list[Ruling] = field(default_factory=list)
    sendings: list[Sending] = field(default_factory=list)
    waits: list[Waiting] = field(default_factory=list)
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def events(self) -> list[Event]:
        """What happened to the task."""
        return [one.event for one in self.recorded]

    def until(self, moment: datetime) -> Self:
        """What had happened by then; what became of it is as it is now."""
        recorded = [one for one in self.recorded if one.event.at <= moment]
        numbers = {one.event.id for one in recorded}
        return replace(
            self,
            recorded=recorded,
            rulings=[one for one in self.rulings if one.event in numbers],
            waits=[one for one in self.waits if one.event in numbers],
        )


async def find(
    connection: Connection, named: str, account: str | None
) -> list[tuple[str, str, str]]:
    """The tasks of this id, or else of this title: (account, id, title); deleted ones too."""
    for condition in ("id = $1", "lower(snapshot ->> 'title') = lower($1)"):
        rows = await connection.fetch(
            f"""
            SELECT account, id, snapshot ->> 'title' AS title FROM tasks
            WHERE {condition} AND ($2::text IS NULL OR account = $2) AND snapshot IS NOT NULL
            ORDER BY account, id
            """,
            named,
            account,
        )
        if rows:
            return [tuple(row) for row in rows]
    return []


async def read(connection: Connection, key: Key) -> Dossier:
    """All papers of a task that is known."""
    recorded = await events_of(connection, key)
    rulings = await _rulings(connection, key)
    versions = {one.rules_version for one in recorded} | {one.rules_version for one in rulings}
    return Dossier(
        key=key,
        known=await look(connection, key),
        added_at=await connection.fetchval("SELECT added_at FROM accounts WHERE name = $1", key[0]),
        recorded=recorded,
        rulings=rulings,
        sendings=await _sendings(connection, key),
        waits=await _waits(connection, key),
        texts=await _texts(connection, versions),
    )


async def _rulings(connection: Connection, key: Key) -> list[Ruling]:
    rows = await connection.fetch(
        """
        SELECT event, rule, decisions.rules_version, outcome, reason, decisions.at
        FROM decisions JOIN events ON events.id = decisions.event
        WHERE account = $1 AND task = $2 ORDER BY decisions.id
        """,
        *key,
    )
    return [Ruling(**row) for row in rows]


async def _sendings(connection: Connection, key: Key) -> list[Sending]:
    rows = await connection.fetch(
        """
        SELECT deliveries.id, event, rule, step, channel, target, state, reason, attempts,
               updates AS rewrites, created_at, next_attempt_at, settled_at
        FROM deliveries JOIN events ON events.id = deliveries.event
        WHERE events.account = $1 AND events.task = $2 ORDER BY deliveries.id
        """,
        *key,
    )
    return [Sending(**{**row, "state": State(row["state"])}) for row in rows]


async def _waits(connection: Connection, key: Key) -> list[Waiting]:
    rows = await connection.fetch(
        "SELECT rule, event, ends_at FROM settling WHERE account = $1 AND task = $2", *key
    )
    return [Waiting(**row) for row in rows]


async def _texts(connection: Connection, versions: set[str]) -> dict[str, str]:
    rows = await connection.fetch(
        "SELECT version, text FROM rulesets WHERE version = ANY ($1)", list(versions)
    )
    return {row["version"]: row["text"] for row in rows}
