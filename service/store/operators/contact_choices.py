"""What customers chose, by the keys that they are recognised by: no messages, or messages.

The last choice for a key that was stored is in force at once, whatever its time: the clock of a
machine may have been ahead.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import asyncpg

from service.domain.actors import Actor
from service.domain.addresses import mails, plain
from service.domain.contacts import Choice, ContactKey, KeyKind
from service.store import Connection, Pool
from service.store.account_actions import NoSuchAccount
from service.store.operators import changes
from service.store.operators.changes import Action


class Through(StrEnum):
    """How a choice came to Taskbell; `reply`: the service that sends text messages told it."""

    PAGE = "page"
    CLI = "cli"
    API = "api"
    LINK = "link"
    REPLY = "reply"


async def choose(
    pool: Pool,
    keys: Iterable[ContactKey],
    *,
    wants: bool,
    by: Actor,
    through: Through,
    now: datetime,
    note: str = "",
) -> list[ContactKey]:
    """Store that one person wants messages or none; returns the keys for which that is news."""
    async with pool.acquire() as connection, connection.transaction():
        return await keep(connection, keys, wants=wants, by=by, through=through, now=now, note=note)


async def keep(
    connection: Connection,
    keys: Iterable[ContactKey],
    *,
    wants: bool,
    by: Actor,
    through: Through,
    now: datetime,
    note: str = "",
) -> list[ContactKey]:
    """As `choose`, in the transaction of what has told of it."""
    wanted = sorted(keys, key=lambda one: (one.kind, one.account, one.value))
    rows = await connection.fetch(
        """
        INSERT INTO contact_choices AS known
            (kind, account, value, lookup, wants, at, made_by, made_through, note)
        SELECT kind, account, value, lookup, $5, $6, $7, $8, $9
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
            AS new (kind, account, value, lookup)
        ON CONFLICT (kind, account, value) DO UPDATE SET wants = excluded.wants,
            at = excluded.at, made_by = excluded.made_by, note = excluded.note,
            made_through = excluded.made_through
        WHERE known.wants <> excluded.wants
        RETURNING kind, account, value
        """,
        *_columns(wanted),
        wants,
        now,
        by.name,
        through,
        note,
    )
    changed = [_key(row) for row in rows]
    action = Action.CONTACT_ADMITTED if wants else Action.CONTACT_REFUSED
    for key in changed:
        detail = "; ".join(filter(None, (f"by {through}", note)))
        await changes.record(connection, by, action, str(key), now, detail)
    return changed


async def about(connection: Connection, keys: Iterable[ContactKey], now: datetime) -> list[Choice]:
    """The choices for these keys, and phone numbers that end alike; none is later than `now`."""
    wanted = list(keys)
    rows = await connection.fetch(
        """
        SELECT DISTINCT known.kind, known.account, known.value, wants, least(at, $4) AS at
        FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (kind, account, lookup)
        JOIN contact_choices AS known USING (lookup, kind, account)
        """,
        [one.kind for one in wanted],
        [one.account for one in wanted],
        [one.lookup for one in wanted],
        now,
    )
    return [_choice(row) for row in rows]


async def known(connection: Connection, now: datetime) -> list[Choice]:
    """All choices, for a simulation; none is later than `now`."""
    rows = await connection.fetch(
        "SELECT kind, account, value, wants, least(at, $1) AS at FROM contact_choices", now
    )
    return [_choice(row) for row in rows]


async def demand_account(pool: Pool, key: ContactKey) -> None:
    """Raise NoSuchAccount if the key is that of a customer in an account that does not exist."""
    known = await pool.fetchval("SELECT EXISTS (SELECT FROM accounts WHERE name = $1)", key.account)
    if key.account and not known:
        raise NoSuchAccount(f"there is no account {key.account}; see `taskbell accounts list`")


async def number_of(pool: Pool, key: ContactKey) -> int:
    """The id of the choice for this key, which has been made."""
    number: int = await pool.fetchval(
        "SELECT id FROM contact_choices WHERE (kind, account, value) = ($1, $2, $3)",
        key.kind,
        key.account,
        key.value,
    )
    return number


async def key_of_number(pool: Pool, number: int) -> ContactKey | None:
    """The key of the choice with this id; None if there is none."""
    row = await pool.fetchrow(
        "SELECT kind, account, value FROM contact_choices WHERE id = $1", number
    )
    return None if row is None else _key(row)


async def listed(
    pool: Pool, *, wants: bool, containing: str = "", limit: int | None = None
) -> list[dict[str, Any]]:
    """Who chose that, the newest first; `containing` is a part of an address, a number or an id."""
    rows = await pool.fetch(
        """
        SELECT id, kind, nullif(account, '') AS account, value, at, made_by, made_through, note
        FROM contact_choices WHERE wants = $1 AND position($2 IN lower(value)) > 0
        ORDER BY at DESC, id DESC LIMIT $3
        """,
        wants,
        _as_stored(containing),
        limit,
    )
    return [dict(row) for row in rows]


def _as_stored(search: str) -> str:
    """What people search for, in the notation of the keys."""
    read = plain(search)
    return next(mails(read), read)


def _columns(keys: Sequence[ContactKey]) -> tuple[list[str], list[str], list[str], list[str]]:
    return (
        [one.kind for one in keys],
        [one.account for one in keys],
        [one.value for one in keys],
        [one.lookup for one in keys],
    )


def _choice(row: asyncpg.Record) -> Choice:
    return Choice(_key(row), row["wants"], row["at"])


def _key(row: asyncpg.Record) -> ContactKey:
    return ContactKey(KeyKind(row["kind"]), row["value"], row["account"])
