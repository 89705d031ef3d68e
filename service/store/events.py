"""The recorded events; they never change once stored."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from service.domain.model import Cause, Event, Kind, Task
from service.store import Connection, Row, column
from service.store.tasks import Key, read_task, task_json
from service.telemetry import tracing


def event_from(row: Row, before: Task | None, after: Task | None) -> Event:
    """An event from its row, its id in the column `event`.

    The task before and after it are passed: not every caller has stored, or needs, both.
    """
    return Event(
        id=row["event"],
        account=row["account"],
        task_id=row["task"],
        kind=Kind(row["kind"]),
        at=row["at"],
        cause=Cause(row["cause"]),
        before=before,
        after=after,
        changed=tuple(row["changed"]),
        alarm=row["alarm"],
        signal=row["signal"],
        # Only what repeats or explains a schedule reads it.
        outdated=row.get("outdated"),
    )


class PostgresEvents:
    """`EventRepository` in the transaction that is open on `connection`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def allot_ids(self, count: int) -> list[int]:
        rows = await self._connection.fetch(
            "SELECT nextval('event_ids') AS id FROM generate_series(1, $1)", count
        )
        return [row["id"] for row in rows]

    async def insert(self, events: Sequence[Event], rules_version: str, now: datetime) -> None:
        await self._connection.execute(
            """
            INSERT INTO events (id, account, task, kind, at, cause, changed, alarm, signal, before,
                                after, decided_at, rules_version, trace, outdated)
            SELECT id, account, task, kind, at, cause, string_to_array(changed, ' '), alarm, signal,
                   before, after, $12, $13, trace, outdated
            FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::timestamptz[],
                        $6::text[], $7::text[], $8::text[], $9::text[], $10::json[], $11::json[],
                        $14::text[], $15::text[])
              AS new (id, account, task, kind, at, cause, changed, alarm, signal, before, after,
                      trace, outdated)
            """,
            [event.id for event in events],
            [event.account for event in events],
            [event.task_id for event in events],
            [event.kind for event in events],
            [event.at for event in events],
            [event.cause for event in events],
            [" ".join(event.changed) for event in events],
            column([event.alarm for event in events]),
            column([event.signal for event in events]),
            column([task_json(event.before) for event in events]),
            column([task_json(event.after) for event in events]),
            now,
            rules_version,
            column([trace_of(event) for event in events]),
            column([event.outdated for event in events]),
        )

    async def rescheduled(
        self, keys: Iterable[Key], since: datetime
    ) -> Mapping[Key, Sequence[Event]]:
        wanted = list(keys)
        rows = await self._connection.fetch(
            """
            SELECT id AS event, account, task, kind, at, cause, changed, alarm, signal, before,
                   after
            FROM events
            JOIN unnest($1::text[], $2::text[]) AS wanted (account, task) USING (account, task)
            WHERE kind = 'rescheduled' AND at >= $3 ORDER BY id
            """,
            [account for account, _ in wanted],
            [task for _, task in wanted],
            since,
        )
        found: dict[Key, list[Event]] = defaultdict(list)
        for row in rows:
            event = event_from(row, read_task(row["before"]), read_task(row["after"]))
            found[row["account"], row["task"]].append(event)
        return found


async def last_id(connection: Connection) -> int:
    """The number of the latest event; 0 where there is none."""
    found: int | None = await connection.fetchval("SELECT max(id) FROM events")
    return found or 0


async def was_reopened(connection: Connection, event: Event) -> bool:
    """Whether a completion was undone since: a later reopening undoes a later completion."""
    kind = await connection.fetchval(
        """
        SELECT kind FROM events
        WHERE account = $1 AND task = $2 AND kind IN ('completed', 'reopened') AND id > $3
        ORDER BY id LIMIT 1
        """,
        event.account,
        event.task_id,
        event.id,
    )
    return bool(kind == Kind.REOPENED)


def trace_of(event: Event) -> str | None:
    """The event's place in the trace of its cause."""
    return tracing.mark(
        "event",
        (event.account, event.task_id),
        account=event.account,
        event=event.id,
        kind=event.kind.value,
    )
