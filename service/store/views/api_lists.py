"""Lists for reading: observations, decisions and deliveries, in pages, newest first.

A filter that no index answers is checked row by row, in windows of the list, until the page is full
or the time for it is over: so a page takes no longer, however few rows match among millions.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Any, TypeAlias

import asyncpg
import orjson

from service.domain.model import Kind, State
from service.store import Pool
from service.store.deliveries import REASON
from service.store.operators.changes import Action
from service.store.outages import LONGEST_WAIT, WAIT_SINCE

Row: TypeAlias = dict[str, Any]
Mark: TypeAlias = tuple[str | int, ...]
"""Where a page ends: the key of its last row."""

_WINDOW = 10_000  # rows
_PATIENCE = 0.05  # seconds
_NAMES = "ARRAY(SELECT name FROM accounts)"


@dataclass(frozen=True, slots=True)
class Listing:
    """One kind of row. `filters` are conditions with {} for the value, by the filter's name.

    `key` orders the rows of the `table` and is unique, its columns with their types. `indexed` are
    the filters that an index answers; `rare` are values of others that one finds if they stand in
    the statement. `choices` are the possible values of a filter; `hides` is a condition that
    applies unless a state is requested.
    """

    table: str
    select: str
    key: Mapping[str, type[int] | type[str]]
    filters: Mapping[str, str]
    indexed: frozenset[str] = frozenset({"task", "since"})
    rare: Mapping[str, frozenset[str]] = field(default_factory=dict)
    choices: Mapping[str, frozenset[str]] = field(default_factory=dict)
    descending: bool = True
    hides: str = "true"

    def is_checked_by_row(self, values: Mapping[str, Any]) -> bool:
        """Whether many rows may have to be read to find a few that match these filters."""
        if any(
            name in self.indexed or one in self.rare.get(name, ()) for name, one in values.items()
        ):
            return False
        return bool(values) or self.hides != "true"


@dataclass(frozen=True, slots=True)
class ListPage:
    """Some rows, and the mark after which the next ones begin; None if these are the last.

    There may be fewer rows than asked for, or none, although others follow.
    """

    rows: list[Row]
    next: Mark | None


# Looked up for each row: a join could read all events.
_OF_EVENT = "(SELECT {} FROM events WHERE events.id = event)"
_EVENTS_OF_TASK = f"""
    ARRAY(SELECT events.id FROM events WHERE account = ANY ({_NAMES}) AND task = {{}})
"""

TASKS = Listing(
    "tasks",
    "SELECT account, id, snapshot FROM tasks",
    key={"account": str, "id": str},
    descending=False,
    filters={
        "account": "account = {}",
        "task": f"account = ANY ({_NAMES}) AND id = {{}}",
        "state": "CASE standing WHEN 'archived' THEN 'open' ELSE standing END = {}",
        "since": "observed_at >= {}",
    },
    indexed=frozenset({"task"}),
    choices={"state": frozenset({"open", "done", "deleted"})},
    hides="snapshot IS NOT NULL AND deleted_at IS NULL",
)

EVENTS = Listing(
    "events",
    "SELECT id, account, task, kind, at, cause, before, after FROM events",
    key={"id": int},
    filters={
        "account": "account = {}",
        "task": f"id = ANY ({_EVENTS_OF_TASK})",
        "kind": "kind = {}",
        "since": "at >= {}",
    },
    choices={"kind": frozenset(Kind)},
)

DECISIONS = Listing(
    "decisions",
    "SELECT id, event, rule, rules_version, outcome, reason FROM decisions",
    key={"id": int},
    filters={
        "account": f"{_OF_EVENT.format('account')} = {{}}",
        "task": f"event = ANY ({_EVENTS_OF_TASK})",
        "kind": f"{_OF_EVENT.format('kind')} = {{}}",
        "rule": "rule = {}",
        "since": "at >= {}",
    },
    choices={"kind": frozenset(Kind)},
)

DELIVERIES = Listing(
    "deliveries",
    f"""
    SELECT id, account, task, event, rule, channel, target, state, {REASON} AS reason, attempts,
           text, created_at, next_attempt_at, settled_at
    FROM deliveries
    """,
    key={"id": int},
    filters={
        "account": "account = {}",
        "task": f"""
            id = ANY (ARRAY(
                SELECT id FROM deliveries WHERE account = ANY ({_NAMES}) AND task = {{0}}
                  AND state IN ('planned', 'held', 'sending')
                UNION ALL
                SELECT id FROM deliveries WHERE account = ANY ({_NAMES}) AND task = {{0}}
                  AND state NOT IN ('planned', 'held', 'sending')))
        """,
        "kind": f"{_OF_EVENT.format('kind')} = {{}}",
        "rule": "rule = {}",
        "channel": "channel = {}",
        "state": "state = {}",
        "since": "created_at >= {}",
    },
    rare={"state": frozenset(State) - {State.SENT}},
    choices={"kind": frozenset(Kind), "state": frozenset(State)},
)

ATTEMPTS = Listing(
    "attempts",
    "SELECT number, began_at, took_ms, outcome, status, error FROM attempts",
    key={"number": int},
    filters={"delivery": "delivery = {}"},
    indexed=frozenset({"delivery"}),
)

RECEIPTS = Listing(
    "receipts",
    """
    SELECT id, account, state, reason, repeats, octet_length(body) AS size, received_at, settled_at,
           acknowledged_at
    FROM receipts
    """,
    key={"id": int},
    filters={"account": "account = {}", "state": "state = {}", "since": "received_at >= {}"},
    choices={"state": frozenset({"pending", "done", "poison"})},
)

STORMS = Listing(
    "storms",
    """
    SELECT id, account, rule, receiver, reason, began_at, ended_at, ended_by,
           (SELECT count(*) FROM deliveries WHERE storm = storms.id AND state = 'held') AS held
    FROM storms
    """,
    key={"id": int},
    filters={"account": "account = {}", "since": "began_at >= {}"},
)

HOLDS = Listing(
    "holds",
    """
    SELECT id, created_at, ends_at, reason, created_by, ended_by,
           (SELECT count(*) FROM deliveries WHERE hold = holds.id AND state = 'held') AS held
    FROM holds
    """,
    key={"id": int},
    filters={"since": "ends_at >= {}"},
)

SILENCES = Listing(
    "silences",
    """
    SELECT id, rule, person, customer, project, account, created_at, ends_at, reason, created_by
    FROM silences
    """,
    key={"id": int},
    filters={"account": "account = {}", "rule": "rule = {}", "since": "ends_at >= {}"},
)

CHANGES = Listing(
    "changes",
    "SELECT id, at, by, from_address, action, subject, detail FROM changes",
    key={"id": int},
    filters={"by": "by = {}", "action": "action = {}", "since": "at >= {}"},
    choices={"action": frozenset(Action)},
)


_ACCOUNTS = f"""
    SELECT name AS id, system,
           CASE WHEN paused THEN 'paused' WHEN failing_since IS NOT NULL THEN 'failing'
                WHEN baseline_at IS NULL THEN 'baseline' ELSE 'ok' END AS state,
           failing_since, nullif(concat_ws(E'\n', error,
               CASE WHEN absent > 0 THEN absent || ' tasks disappeared from ' || system
                   || ' at once. Usually the access token has lost permissions. Taskbell sends'
                   || ' nothing about these tasks for one day. If they really were deleted,'
                   || ' run: taskbell accounts sync ' || name || ' --believe'
               END,
               CASE WHEN error IS NULL AND unread > 0
                   THEN unread || CASE unread WHEN 1 THEN ' value' ELSE ' values' END
                   || ' could not be read, for example ' || unread_example
                   || '. Taskbell keeps the earlier values.'
               END,
               CASE WHEN appeared > 0
                   THEN appeared || ' older tasks appeared in ' || system || ' at once. Usually'
                   || ' the access token has been given more permissions. Taskbell sent no'
                   || ' messages about them.'
               END), '') AS error,
           absent, absent_at, appeared, appeared_at, unread, unread_example, unread_at,
           polled_at,
           CASE WHEN NOT paused THEN next_poll_at END AS next_poll_at,
           baseline_at, webhook_at, missed, missed_at, scan_read, scan_total,
           CASE WHEN NOT paused AND alive_until < $2 THEN alive_at END AS alone_since,
           CASE WHEN NOT paused AND scanned_at < resumed_at THEN resumed_at END AS reread_since,
           (SELECT min(began_at) FROM outages WHERE NOT paused AND scanned_at < resumed_at
              AND ended_at = resumed_at AND accounts.name = ANY (outages.accounts)
           ) AS away_since,
           {WAIT_SINCE.format(since="$3")} + $4 AS alarms_wait_until
    FROM accounts, LATERAL (
        SELECT count(*) AS absent, min(absent_at) AS absent_at FROM lookups
        WHERE account = name AND absent_at IS NOT NULL) AS held
    WHERE $1::text[] IS NULL OR name = ANY ($1) ORDER BY name
"""
ACCOUNT_STATES = frozenset({"ok", "failing", "paused", "baseline"})


async def read_page(
    pool: Pool,
    listing: Listing,
    values: Mapping[str, Any],
    limit: int,
    after: Mark | None = None,
    largest: int | None = None,
    patience: float = _PATIENCE,
) -> ListPage:
    """The next `limit` rows that match every filter in `values`, looked for in `patience` seconds.

    With `largest` the page ends before its texts exceed that length together, but has at least one
    row.
    """
    time, rows, end = asyncio.get_running_loop().time, list[asyncpg.Record](), after
    ends_at = time() + patience
    while True:
        began, begin, end = time(), end, await _window_end(pool, listing, values, end)
        rows += await _matching(pool, listing, values, begin, end, limit + 1 - len(rows))
        is_over = time() + (time() - began) >= ends_at  # after another window as long as this one
        if len(rows) > limit or end is None or is_over:
            break
    shown = rows[:limit] if largest is None else _fitting(rows[:limit], largest)
    return ListPage(
        [_shape(row) for row in shown],
        _mark(listing, shown[-1]) if len(rows) > len(shown) else end,
    )


async def read_rows(
    pool: Pool, listing: Listing, values: Mapping[str, Any], limit: int
) -> list[Row]:
    """The first `limit` rows that match, however long it takes to find them."""
    return (await read_page(pool, listing, values, limit, patience=math.inf)).rows


async def _window_end(
    pool: Pool, listing: Listing, values: Mapping[str, Any], after: Mark | None
) -> Mark | None:
    """The last row of the next window; None if the window is the rest of the list."""
    if not listing.is_checked_by_row(values):
        return None
    beyond = "true" if after is None else _beyond(listing, 0)
    row = await pool.fetchrow(
        f"SELECT {', '.join(listing.key)} FROM {listing.table} WHERE {beyond}"
        f" ORDER BY {_order(listing)} OFFSET {_WINDOW - 1} LIMIT 1",
        *(after or ()),
    )
    return None if row is None else tuple(row)


async def _matching(
    pool: Pool,
    listing: Listing,
    values: Mapping[str, Any],
    after: Mark | None,
    end: Mark | None,
    limit: int,
) -> list[asyncpg.Record]:
    """The rows that match after one mark, up to and including another one."""
    arguments, conditions = list[Any](), list[str]()
    for name, value in values.items():
        if not (is_rare := value in listing.rare.get(name, ())):
            arguments.append(value)
        place = f"'{value}'" if is_rare else f"${len(arguments)}"
        conditions.append(listing.filters[name].format(place))
    if "state" not in values:
        conditions.append(listing.hides)
    if after is not None:
        conditions.append(_beyond(listing, len(arguments)))
        arguments += after
    if end is not None:
        conditions.append(_up_to(listing, len(arguments)))
        arguments += end
    return await pool.fetch(
        f"{listing.select} WHERE {' AND '.join(conditions or ['true'])}"
        f" ORDER BY {_order(listing)} LIMIT {limit}",
        *arguments,
    )


async def read_one(pool: Pool, listing: Listing, key: int) -> Row | None:
    """The row with this number, if there is one."""
    [column] = listing.key
    row = await pool.fetchrow(f"{listing.select} WHERE {column} = $1", key)
    return None if row is None else _shape(row)


async def read_task(pool: Pool, task: str, account: str | None) -> list[Row]:
    """The tasks with this id; there can be one in each account. Deleted ones are included."""
    rows = await pool.fetch(
        """
        SELECT account, id, snapshot FROM tasks
        WHERE id = $1 AND ($2::text IS NULL OR account = $2) AND snapshot IS NOT NULL
        """,
        task,
        account,
    )
    return [_shape(row) for row in rows]


async def read_accounts(pool: Pool, now: datetime, names: Sequence[str] | None = None) -> list[Row]:
    """The state of the accounts of these names (default: all).

    It is ok, failing, paused, or baseline (the first sync). A paused account has no next poll.

    - `absent`: the number of tasks whose deletion is held, because so many are missing at once
    - `appeared`: the number of tasks that appeared at once in the last day and were imported
      silently
    - `alone_since`: when a worker last handled the account, if none does
    - `reread_since`: since when it waits for a full scan after an outage (`away_since`), a pause or
      a long failure
    - `alarms_wait_until`: until when its alarms wait then, or until it can be read again
    """
    rows = await pool.fetch(
        _ACCOUNTS,
        None if names is None else list(names),
        now,
        now - LONGEST_WAIT,
        LONGEST_WAIT,
    )
    return [dict(row) for row in rows]


def _beyond(listing: Listing, taken: int) -> str:
    return _compared(listing, "<" if listing.descending else ">", taken)


def _up_to(listing: Listing, taken: int) -> str:
    return _compared(listing, ">=" if listing.descending else "<=", taken)


def _compared(listing: Listing, operator: str, taken: int) -> str:
    places = ", ".join(f"${taken + n}" for n, _ in enumerate(listing.key, 1))
    return f"({', '.join(listing.key)}) {operator} ({places})"


def _order(listing: Listing) -> str:
    direction = "DESC" if listing.descending else "ASC"
    return ", ".join(f"{column} {direction}" for column in listing.key)


def _mark(listing: Listing, row: asyncpg.Record) -> Mark:
    return tuple(row[column.rpartition(".")[2]] for column in listing.key)


def _fitting(rows: Sequence[asyncpg.Record], largest: int) -> Sequence[asyncpg.Record]:
    """The first of these rows, until their texts exceed that length."""
    sizes = accumulate(sum(len(one) for one in row if isinstance(one, str)) for row in rows)
    return rows[: max(1, sum(size <= largest for size in sizes))]


def _shape(row: asyncpg.Record) -> Row:
    """A row as the API shows it. Snapshots are stored in the API's format already."""
    if "snapshot" in row:
        task: Row = orjson.loads(row["snapshot"])
        return task
    return {
        name: orjson.Fragment(value) if name in {"before", "after"} and value else value
        for name, value in row.items()
    }
