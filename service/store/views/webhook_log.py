"""The log of webhooks: what came in, what became of it, and what changed because of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import asyncpg
import orjson

from service.store import Pool
from service.store.views.listing import Listing, ListPage, Row

_OPEN = "state = 'poison' AND acknowledged_at IS NULL"
_IGNORED = "state = 'poison' AND acknowledged_at IS NOT NULL"
# As the partial indexes have them: a state is written out, so that its index is found.
_STATES = {
    "done": "state = 'done'",
    "waiting": "state = 'pending'",
    "unread": _OPEN,
    "ignored": _IGNORED,
}
_COLUMNS = f"""
    id, account, left(reason, 2000) AS reason, repeats, octet_length(body) AS size, received_at,
    settled_at, CASE WHEN state = 'done' THEN 'done' WHEN state = 'pending' THEN 'waiting'
                     WHEN {_OPEN} THEN 'unread' ELSE 'ignored' END AS state
"""
# What it can be asked for, as `service.web.parameters` reads it.
LOG = Listing(
    "receipts",
    f"SELECT {_COLUMNS} FROM receipts",
    key={"id": int},
    filters={"account": "account = {}", "state": "state = {}"},
    choices={"state": frozenset(_STATES)},
)
# Ways to the newest of them. What waits is found by its account only.
_ALL = """
    SELECT {columns} FROM receipts WHERE {condition} AND id < $1 ORDER BY id DESC LIMIT {limit}
"""
_OF_ACCOUNT = """
    SELECT {columns} FROM receipts WHERE {condition} AND id < $1 AND account = $2
    ORDER BY id DESC LIMIT {limit}
"""
_IN_ACCOUNT = """
    SELECT {columns} FROM receipts
    WHERE {condition} AND (account, id) < ($2, $1) AND account >= $2
    ORDER BY receipts.account DESC, receipts.id DESC LIMIT {limit}
"""
_WAITING = """
    SELECT own.* FROM accounts, LATERAL (
        SELECT {columns} FROM receipts
        WHERE {condition} AND account = accounts.name AND id < $1
        ORDER BY id DESC LIMIT {limit}) AS own
    ORDER BY id DESC LIMIT {limit}
"""
LARGEST = 2**63 - 1
_LATER = timedelta(minutes=10)  # so long a task may take to be read that a webhook only named
_MOST_EVENTS = 100


async def page(
    pool: Pool, values: Mapping[str, str], limit: int, before: int = LARGEST
) -> ListPage:
    """The newest webhooks of an account and a state, if `values` names them; `before` a number."""
    account, state = values.get("account"), values.get("state")
    condition = _STATES.get(state or "", "true")
    if account is not None:
        # A range and not an equation: so the planner, which does not know how rare an account is,
        # cannot walk through the webhooks of the others. What was ignored is rare itself.
        way = _IN_ACCOUNT if state != "ignored" else _OF_ACCOUNT
    else:
        way = _WAITING if state == "waiting" else _ALL
    statement = way.format(columns=_COLUMNS, condition=condition, limit=limit + 1)
    arguments = [before] if account is None else [before, account]
    rows: list[Row] = [dict(row) for row in await pool.fetch(statement, *arguments)]
    return ListPage(rows[:limit], (rows[limit - 1]["id"],) if len(rows) > limit else None)


async def one(pool: Pool, number: int) -> Row | None:
    """A webhook with its `headers` (JSON) and its body, if there is one of this number."""
    row = await pool.fetchrow(
        f"SELECT {_COLUMNS}, headers, body FROM receipts WHERE id = $1",
        number,
    )
    return None if row is None else dict(row)


async def as_listed(pool: Pool, number: int) -> Row | None:
    """A webhook as the API lists it, with its `headers` (JSON) and its `body`."""
    row = await pool.fetchrow(
        """
        SELECT id, account, state, reason, repeats, octet_length(body) AS size, received_at,
               settled_at, acknowledged_at, headers, body
        FROM receipts WHERE id = $1
        """,
        number,
    )
    return None if row is None else {**row, "headers": orjson.Fragment(row["headers"])}


async def titles(pool: Pool, account: str, tasks: Sequence[str]) -> dict[str, str | None]:
    """The titles of those of these tasks that are known."""
    rows = await pool.fetch(
        """
        SELECT id, snapshot ->> 'title' AS title FROM tasks
        WHERE account = $1 AND id = ANY ($2) AND snapshot IS NOT NULL
        """,
        account,
        list(tasks),
    )
    return {row["id"]: row["title"] for row in rows}


async def changes(
    pool: Pool, account: str, tasks: Sequence[str], received_at: datetime, until: datetime
) -> list[asyncpg.Record]:
    """What happened to these tasks from when a webhook came until shortly after it was read."""
    return await pool.fetch(
        """
        SELECT id, task, kind, at, cause, signal,
               coalesce(after, before) ->> 'title' AS title
        FROM events
        WHERE account = $1 AND task = ANY ($2) AND decided_at BETWEEN $3 AND $4
          AND cause IN ('webhook', 'signal')
        ORDER BY id LIMIT $5
        """,
        account,
        list(tasks),
        received_at,
        until + _LATER,
        _MOST_EVENTS,
    )
