"""The two storages of the engine's transaction: PostgreSQL, and memory for simulations."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from service.domain.contacts import Choice, Choices
from service.domain.model import Cause, Event, Kind, State, Task
from service.domain.operators.holds import Hold
from service.domain.operators.silences import Silence
from service.engine.postgres import PostgresTransaction
from service.engine.transaction import Transaction
from service.outbox import claiming
from service.rules.contacts.policy import ContactsPolicy
from service.rules.ruleset import Ruleset
from service.simulator.memory.transaction import MemoryTransaction
from service.store import Connection, schedules
from service.store.accounts import AccountState
from service.store.decisions import RecordedDecision
from service.store.schedules import Schedules
from service.store.tasks import Key, TaskState, TaskUpdate
from tests.harness.tasks import START
from tests.harness.tasks import task as task_of

LONDON, PARIS = "london", "paris"
ZONES = {LONDON: ZoneInfo("Europe/London"), PARIS: ZoneInfo("Europe/Paris")}
_ALL = 1_000  # deliveries
WATCH = "the watch of this process"
RULES = "the version of the rules"
_STATES = {name: AccountState(name, START, START, None, None, 0) for name in ZONES}


@dataclass(frozen=True, slots=True)
class Kept:
    """A delivery as a storage keeps it.

    `event` is what it is about. It may rewrite the message of another delivery, or ask somebody to
    approve one.
    """

    id: int
    event: int
    rule: str
    state: State
    reason: str | None
    text: str
    rewrites: int | None
    asks: int | None


class Storage(ABC):
    """A storage with two accounts that have been read as a whole, and one transaction `tx` on it.

    What others do beside the engine is here; what it does itself is asked of `tx`.
    """

    tx: Transaction
    contacts: ContactsPolicy = ContactsPolicy()

    @property
    def rules(self) -> Ruleset:
        """No rules, and the policy for customers."""
        return Ruleset((), "", contacts=self.contacts)

    async def know(
        self, *tasks: Task, alarm: datetime | None = None, alarm_set: str | None = WATCH
    ) -> None:
        """These tasks are seen as they are here; `alarm_set` has set their next alarm."""
        await self.tx.tasks.lock(key_of(one) for one in tasks)
        states = {key_of(one): TaskState(one, observed_at=START) for one in tasks}
        set_by = None if alarm is None else alarm_set
        await self.tx.tasks.save(
            [TaskUpdate(key, state, alarm, set_by) for key, state in states.items()]
        )

    async def happen(
        self,
        kind: Kind,
        task_id: str = "T1",
        account: str = LONDON,
        at: datetime = START,
        **fields: Any,
    ) -> Event:
        """Something happens to a task, and is stored at once."""
        [number] = await self.tx.events.allot_ids(1)
        task = task_of(task_id, account)
        told: dict[str, Any] = {"cause": Cause.POLL, "before": task, "after": task} | fields
        event = Event(number, account, task_id, kind, at, **told)
        await self.tx.events.insert([event], RULES, at)
        return event

    @abstractmethod
    async def put_in_force(self, wanted: Schedules, now: datetime) -> None:
        """A process starts with these schedules."""

    @abstractmethod
    async def silence(self, silence: Silence) -> None:
        """An operator sets up a silence, before anything else happens."""

    @abstractmethod
    async def hold(self, *holds: Hold) -> None:
        """A person holds customer messages; with none: releases them all."""

    @abstractmethod
    async def choose(self, *choices: Choice) -> None:
        """Customers say whether they want messages; nobody else has."""

    @abstractmethod
    async def send(self, now: datetime) -> None:
        """All messages go out that are due."""

    @abstractmethod
    async def deliveries(self) -> Sequence[Kept]:
        """Every delivery, in the order in which they were placed."""

    @abstractmethod
    async def decisions(self) -> Sequence[RecordedDecision]:
        """Every decision, in the order in which they were made."""


def key_of(task: Task) -> Key:
    return task.account, task.id


class MemoryStorage(Storage):
    """Everything in memory, where nothing is left of it afterwards."""

    def __init__(self) -> None:
        self.tx: MemoryTransaction = MemoryTransaction(_STATES)

    async def put_in_force(self, wanted: Schedules, now: datetime) -> None:
        self.tx.schedules.put_in_force(wanted, now)

    async def silence(self, silence: Silence) -> None:
        self.tx = MemoryTransaction(_STATES, [silence])

    async def hold(self, *holds: Hold) -> None:
        self.tx.outbox.contacts.holds = holds

    async def choose(self, *choices: Choice) -> None:
        self.tx.outbox.contacts.choices = Choices(choices)

    async def send(self, now: datetime) -> None:
        await self.tx.send(self.rules, ZONES, now)

    async def deliveries(self) -> Sequence[Kept]:
        return [
            Kept(
                one.id,
                one.event,
                one.request.rule,
                one.state,
                one.reason,
                one.text,
                one.updates,
                one.approves,
            )
            for one in self.tx.outbox.deliveries
        ]

    async def decisions(self) -> Sequence[RecordedDecision]:
        return self.tx.decisions.recorded


class PostgresStorage(Storage):
    """PostgreSQL, in a transaction that has to be open on `connection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.tx: PostgresTransaction = PostgresTransaction(connection)

    async def begin(self) -> None:
        """Add the accounts."""
        await self._connection.execute(
            """
            INSERT INTO accounts (name, system, added_at, baseline_at, next_poll_at)
            SELECT name, 'plannr', $2, $2, $2 FROM unnest($1::text[]) AS name
            """,
            list(ZONES),
            START,
        )

    async def put_in_force(self, wanted: Schedules, now: datetime) -> None:
        await schedules.put_in_force(self._connection, list(ZONES), wanted, now)

    async def silence(self, silence: Silence) -> None:
        await self._connection.execute(
            """
            INSERT INTO silences (id, created_at, ends_at, reason, rule, person, customer, project,
                account, created_by)
            OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'Ann')
            """,
            *astuple(silence),
        )

    async def hold(self, *holds: Hold) -> None:
        await self._connection.execute("DELETE FROM holds")
        await self._connection.executemany(
            """
            INSERT INTO holds (id, created_at, ends_at, reason, created_by)
            OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5)
            """,
            [astuple(one) for one in holds],
        )

    async def choose(self, *choices: Choice) -> None:
        await self._connection.executemany(
            """
            INSERT INTO contact_choices (kind, account, value, lookup, wants, at, made_by,
                made_through, note)
            VALUES ($1, $2, $3, $4, $5, $6, 'Ann', 'page', '')
            """,
            [
                (key.kind, key.account, key.value, key.lookup, one.wants, one.at)
                for one in choices
                for key in (one.key,)
            ],
        )

    async def send(self, now: datetime) -> None:
        rows = await self._connection.fetch("SELECT DISTINCT lane FROM deliveries")
        for row in rows:
            due = claiming._Due(row["lane"], now, _ALL)
            await claiming._claim_or_stop(self._connection, due, self.rules, ZONES, durable=True)
        await self._connection.execute(
            """
            UPDATE deliveries SET state = 'sent', settled_at = $1, lease_until = NULL
            WHERE state = 'sending'
            """,
            now,
        )

    async def deliveries(self) -> Sequence[Kept]:
        rows = await self._connection.fetch(
            """
            SELECT id, event, rule, state, reason, text, updates, approves
            FROM deliveries ORDER BY id
            """
        )
        return [
            Kept(
                row["id"],
                row["event"],
                row["rule"],
                State(row["state"]),
                row["reason"],
                row["text"],
                row["updates"],
                row["approves"],
            )
            for row in rows
        ]

    async def decisions(self) -> Sequence[RecordedDecision]:
        rows = await self._connection.fetch(
            """
            SELECT at, event, rule, rules_version, outcome, reason, group_key AS "group"
            FROM decisions ORDER BY id
            """
        )
        return [RecordedDecision(**row) for row in rows]
