"""Messages to look through, the newest first.

A message is a delivery. Those that have ended have indexes for each thing one may ask for, written
once, at the end. Those that are pending are few, and have one in the order of the list. So a search
reads both, each by one condition that an index answers in the order of the list; the others are
checked on at most `_WINDOW` rows of that, so that a search takes no longer, however few messages it
matches. If a page is not full then, it says how far it has looked.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from service.store import Connection, Pool
from service.store.deliveries import ENDED, ON_HOLD, PENDING
from service.store.views import dashboard
from service.store.views.task_search import prefix_query

_WINDOW = 10_000
_FEW_TASKS = 2_000  # so many are looked up one by one; a word that more of them have is common
_WINDOW_OF_WORDS = 2_000  # messages whose tasks are read to look for a common word
_LONGEST_RECEIVER = 200
_RECEIVER = "left(lower(target), 200)"  # as in the index deliveries_to
_KEY = ("created_at", "id")
_PREFIXES = ("", "#", "@")  # a receiver may be named without it
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# An index in the order of the list is read, and only as far as needed: never all, to be sorted.
_ONLY_IN_ORDER = """
    SELECT set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true),
           set_config('enable_incremental_sort', 'off', true)
"""
_UNSENT = "state NOT IN ('sent', 'planned', 'held', 'sending')"
_ASKS = "(approver IS NOT NULL AND approved_by IS NULL)"
STATES: Mapping[str, str] = {
    "waiting": f"{PENDING} AND NOT ({ON_HOLD} OR state = 'held' AND {_ASKS})",
    "on_hold": ON_HOLD,
    "approval": f"state = 'held' AND storm IS NULL AND {_ASKS}",
    "sent": "state = 'sent'",
    "failed": "state = 'failed'",
    "unknown": "state = 'unknown'",
    "skipped": "state = 'skipped'",
    "cancelled": "state = 'cancelled'",
    "expired": "state = 'expired'",
}
"""Conditions by the state that a person may ask for."""
PENDING_STATES = frozenset({"waiting", "on_hold", "approval"})


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in the list: when the message there was planned (UTC), and its number."""

    at: datetime
    id: int

    @property
    def parts(self) -> tuple[int, int]:
        return (self.at - _EPOCH) // timedelta(microseconds=1), self.id

    @classmethod
    def of(cls, microseconds: int, number: int) -> "Mark":
        """Raises OverflowError if there is no such time."""
        return cls(_EPOCH + timedelta(microseconds=microseconds), number)


@dataclass(frozen=True, slots=True)
class Search:
    """The search criteria; an empty one does not restrict.

    `words` are beginnings of words of the task, or its id. The list begins at `since`, and ends
    before `until` (UTC). With `undismissed` it leaves out what a person has dismissed.
    """

    words: str = ""
    receiver: str = ""
    rule: str = ""
    state: str = ""
    channel: str = ""
    account: str = ""
    since: datetime | None = None
    until: datetime | None = None
    undismissed: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A page of messages. `newer` and `older` are where the next pages begin, None if none do.

    `looked_until` is how far back Taskbell has looked, where a page is not full for that reason.
    """

    rows: Sequence[asyncpg.Record] = ()
    newer: Mark | None = None
    older: Mark | None = None
    looked_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Condition:
    """A condition with {} for each of its values."""

    sql: str
    values: Sequence[object] = ()


@dataclass(frozen=True, slots=True)
class _Query:
    """`driving` are answered by an index with this `key`, `others` are checked row by row.

    Rows that are found have the same in all of the key before `created_at`.
    """

    driving: Sequence[_Condition]
    others: Sequence[_Condition]
    limit: int
    forward: bool = False
    window: int = _WINDOW
    key: Sequence[str] = _KEY

    def order(self, *key: str) -> str:
        return ", ".join(f"{column} {'ASC' if self.forward else 'DESC'}" for column in key)


def _put(conditions: Iterable[_Condition], values: list[Any]) -> str:
    """The conditions as SQL; their values are added to the others."""
    parts = ["true"]
    for condition in conditions:
        sql = condition.sql
        for value in condition.values:
            values.append(value)
            sql = sql.replace("{}", f"${len(values)}", 1)
        parts.append(sql)
    return " AND ".join(parts)


async def find(
    pool: Pool, search: Search, limit: int, mark: Mark | None = None, *, forward: bool = False
) -> Found:
    """The next messages that match, older than the mark, or newer ones if `forward`."""
    equal = await _equal(pool, search)
    exact = [_Condition(STATES[search.state])] if search.state else []
    if search.undismissed:
        exact.append(_Condition("acknowledged_at IS NULL"))
    tasks = await _tasks(pool, search.words) if search.words else None
    if tasks is not None:
        others = [*map(_condition, equal.items()), *exact]
        query = _Query(_bounds(search, mark, forward=forward), others, limit, forward)
        return await _page(pool, query, await _of_tasks(pool, query, tasks), mark)
    queries = list(_queries(search, equal, exact, limit, mark, forward=forward))
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        await connection.execute(_ONLY_IN_ORDER)
        marks, end = _merged([await _in_window(connection, one) for one in queries], queries[0])
    return await _page(pool, queries[0], marks, mark, end)


def _queries(
    search: Search,
    equal: Mapping[str, str],
    exact: Sequence[_Condition],
    limit: int,
    mark: Mark | None,
    *,
    forward: bool,
) -> Iterator[_Query]:
    """One for the messages that are pending, one for those that have ended, or both."""
    words = [_has_words(search.words)] if search.words else []
    window = _WINDOW_OF_WORDS if search.words else _WINDOW
    if search.state in {"", *PENDING_STATES}:
        driving = [*_bounds(search, mark, forward=forward), _Condition(PENDING)]
        others = [*map(_condition, equal.items()), *exact, *words]
        yield _Query(driving, others, limit, forward, window)
    if search.state not in PENDING_STATES:
        driver = next(iter(equal.items()), None)
        ended = _UNSENT if driver is not None and driver[0] == "state" else ENDED
        driving = [*_bounds(search, mark, driver, forward=forward), _Condition(ended)]
        others = [*(_condition(one) for one in equal.items() if one != driver), *exact, *words]
        key = _KEY if driver is None else (driver[0], *_KEY)
        yield _Query(driving, others, limit, forward, window, key)


def _merged(
    looks: Sequence[tuple[Sequence[Mark], Mark | None]], query: _Query
) -> tuple[list[Mark], Mark | None]:
    """What was found, as far as all have looked; and how far that is if it does not fill a page."""
    nearest = min if query.forward else max
    end = nearest((end for _, end in looks if end is not None), default=None)
    found = sorted((mark for marks, _ in looks for mark in marks), reverse=not query.forward)
    near = [mark for mark in found if end is None or nearest(mark, end) == mark]
    return near, None if len(near) > query.limit else end


def _bounds(
    search: Search, mark: Mark | None, driver: tuple[str, str] | None = None, *, forward: bool
) -> list[_Condition]:
    """The part of an index to read: of one value of the driving column, and of these times.

    They are bounds of the whole key, and no equality: PostgreSQL could answer that by the index of
    all times, and read a great many rows if this value is an old one.
    """
    columns, values = ("", ()) if driver is None else (f"{driver[0]}, ", (driver[1],))

    def bound(operator: str, named: str, *ends: object) -> _Condition:
        places = ", ".join(["{}"] * (len(values) + len(ends)))
        return _Condition(f"({columns}{named}) {operator} ({places})", (*values, *ends))

    found = []
    if driver is not None:
        found.append(_Condition(f"{driver[0]} BETWEEN {{}} AND {{}}", (driver[1], driver[1])))
    if mark is not None:
        found.append(bound(">" if forward else "<", "created_at, id", mark.at, mark.id))
    if search.since is not None:
        found.append(bound(">=", "created_at", search.since))
    if search.until is not None:
        found.append(bound("<", "created_at", search.until))
    return found


async def _equal(pool: Pool, search: Search) -> dict[str, str]:
    """Values by the columns of indexes, the one with the fewest rows first."""
    asked = {
        _RECEIVER: await _receiver(pool, search.receiver) if search.receiver else "",
        "state": search.state if search.state not in {*PENDING_STATES, "sent"} else "",
        "rule": search.rule,
        "account": search.account,
        "channel": search.channel,
    }
    return {column: value for column, value in asked.items() if value}


def _condition(equal: tuple[str, str]) -> _Condition:
    column, value = equal
    return _Condition(f"{column} = {{}}", (value,))


async def _receiver(pool: Pool, named: str) -> str:
    """The receiver of this name, which may lack the first character, such as `office`."""
    names = [f"{prefix}{named.lower()}"[:_LONGEST_RECEIVER] for prefix in _PREFIXES]
    found: str | None = await pool.fetchval(
        f"""
        SELECT name FROM unnest($1::text[]) WITH ORDINALITY AS names (name, place)
        WHERE EXISTS (SELECT FROM deliveries WHERE {_RECEIVER} = name AND {ENDED})
           OR EXISTS (SELECT FROM deliveries WHERE {_RECEIVER} = name AND {PENDING})
        ORDER BY place LIMIT 1
        """,
        names,
    )
    return names[0] if found is None else found


async def _tasks(pool: Pool, words: str) -> list[tuple[str, str]] | None:
    """The tasks with this id or with all of these words; None if they are too many."""
    rows = await pool.fetch(
        """
        SELECT account, id FROM tasks
        WHERE account = ANY (ARRAY(SELECT name FROM accounts)) AND id = $1
        UNION ALL
        (SELECT account, task FROM task_words WHERE words @@ to_tsquery('simple', $2) LIMIT $3)
        """,
        words,
        prefix_query(words),
        _FEW_TASKS + 1,
    )
    return None if len(rows) > _FEW_TASKS else list({(row["account"], row["id"]) for row in rows})


def _has_words(words: str) -> _Condition:
    """Asked row by row: a join might read all tasks that have a common word."""
    return _Condition(
        """
        (SELECT words @@ to_tsquery('simple', {}) FROM task_words
         WHERE task_words.account = deliveries.account AND task_words.task = deliveries.task)
        """,
        (prefix_query(words),),
    )


async def _of_tasks(pool: Pool, query: _Query, tasks: Sequence[tuple[str, str]]) -> list[Mark]:
    values: list[Any] = [[account for account, _ in tasks], [number for _, number in tasks]]
    within = _put([*query.driving, *query.others], values)
    first = f"ORDER BY {query.order(*_KEY)} LIMIT {query.limit + 1}"
    of_task = (
        f"SELECT {', '.join(_KEY)} FROM deliveries WHERE account = of_account AND task = of_task"
    )
    rows = await pool.fetch(
        f"""
        SELECT found.created_at, found.id
        FROM unnest($1::text[], $2::text[]) AS named (of_account, of_task), LATERAL (
            ({of_task} AND {PENDING} AND {within} {first}) UNION ALL
            ({of_task} AND {ENDED} AND {within} {first})) AS found
        {first}
        """,
        *values,
    )
    return [Mark(*row) for row in rows]


async def _in_window(connection: Connection, query: _Query) -> tuple[list[Mark], Mark | None]:
    """The messages in the window; and where that ends, if it does and they do not fill a page."""
    values: list[Any] = []
    within, checked = _put(query.driving, values), _put(query.others, values)
    rows = await connection.fetch(
        f"""
        SELECT created_at, id FROM (
            SELECT *, {query.key[0]} AS first FROM deliveries WHERE {within}
            ORDER BY {query.order(*query.key)} LIMIT {query.window}) AS deliveries
        WHERE {checked}
        ORDER BY {query.order("first", *query.key[1:])} LIMIT {query.limit + 1}
        """,
        *values,
    )
    is_full = len(rows) > query.limit or not query.others
    end = None if is_full else await _end_of_window(connection, query)
    return [Mark(*row) for row in rows], end


async def _end_of_window(connection: Connection, query: _Query) -> Mark | None:
    """Where the looking has ended; None if there was no more to look at."""
    values: list[Any] = []
    row = await connection.fetchrow(
        f"""
        SELECT created_at, id FROM deliveries WHERE {_put(query.driving, values)}
        ORDER BY {query.order(*query.key)} OFFSET {query.window - 1} LIMIT 1
        """,
        *values,
    )
    return None if row is None else Mark(*row)


async def _page(
    pool: Pool, query: _Query, marks: Sequence[Mark], came: Mark | None, end: Mark | None = None
) -> Found:
    """The page of these messages, which was reached from the mark `came`."""
    shown = list(marks[: query.limit])
    beyond = shown[-1] if len(marks) > query.limit else end
    back = None if came is None else shown[0] if shown else _just_at(came, query)
    rows = await dashboard.numbered(pool, [mark.id for mark in shown])
    newer, older = (beyond, back) if query.forward else (back, beyond)
    ordered = rows[::-1] if query.forward else rows
    return Found(ordered, newer, older, looked_until=None if end is None else end.at)


def _just_at(came: Mark, query: _Query) -> Mark:
    """The mark from which the way back begins with the message at `came` itself."""
    return Mark(came.at, came.id + (1 if query.forward else -1))
