"""Checks the names in silences: whether the rule, account, person, customer or project exists.

A silence on a name that does not exist would suppress nothing, and nobody would notice.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

import asyncpg

from service.domain.operators.silences import SCOPES, Silence
from service.errors import TaskbellError
from service.store import Connection, Pool
from service.store.deliveries import ENDED, PENDING

# As they are written in the configuration; others are compared without regard to case.
_EXACT = frozenset({"rule", "account"})
_KNOWN = {
    "account": "SELECT name FROM accounts",
    # Those of ended deliveries one after the other, by an index: there are few rules.
    "rule": f"""
        WITH RECURSIVE ended AS (
            (SELECT rule AS name FROM deliveries WHERE {ENDED} ORDER BY rule LIMIT 1)
            UNION ALL
            SELECT (SELECT rule FROM deliveries WHERE {ENDED} AND rule > ended.name
                    ORDER BY rule LIMIT 1)
            FROM ended WHERE ended.name IS NOT NULL)
        SELECT name FROM ended WHERE name IS NOT NULL
        UNION SELECT rule FROM deliveries WHERE {PENDING}
    """,
    "person": """
        SELECT DISTINCT ltrim(target, '@') AS name FROM deliveries WHERE target <> ''
        UNION SELECT person ->> 'email' FROM tasks, json_array_elements(snapshot -> 'assignees')
              AS person WHERE deleted_at IS NULL AND person ->> 'email' IS NOT NULL
        UNION SELECT word FROM tasks, unnest(ARRAY[
                snapshot #>> '{customer,email}', snapshot #>> '{customer,phone}']) AS word
              WHERE word IS NOT NULL
    """,
}
_OF_TASKS = """
    SELECT DISTINCT word AS name FROM tasks,
        unnest(ARRAY[snapshot #>> ARRAY[$1, 'id'], snapshot #>> ARRAY[$1, 'name']]) AS word
    WHERE word IS NOT NULL AND (account = $2 OR $2::text IS NULL)
"""
# What follows finds most names that exist, by an index. All of a table is read only to be sure that
# a name does not exist, and to find what may have been meant.
_TO = """
    left(lower(target), 200) IN (left(lower($1), 200), left(lower('@' || $1), 200))
    AND lower($1) IN (lower(target), lower(ltrim(target, '@')))
"""
_IS_RECEIVER = f"""
    SELECT EXISTS (SELECT FROM deliveries WHERE {ENDED} AND {_TO})
        OR EXISTS (SELECT FROM deliveries WHERE {PENDING} AND {_TO})
"""
_IS_OF_LATEST_EVENTS = """
    SELECT EXISTS (
        SELECT FROM (SELECT account, coalesce(after, before) -> $1 AS one
                     FROM events ORDER BY id DESC LIMIT 2000) AS latest
        WHERE (account = $3 OR $3::text IS NULL)
          AND lower($2) IN (lower(one ->> 'id'), lower(one ->> 'name')))
"""
_IS_CUSTOMER = """
    SELECT EXISTS (
        SELECT FROM task_words JOIN tasks ON (tasks.account, tasks.id) = (task_words.account, task)
        WHERE words @@ plainto_tsquery('simple', $1)
          AND (tasks.account = $2 OR $2::text IS NULL)
          AND lower(snapshot #>> '{customer,name}') = lower($1))
"""


@dataclass(frozen=True, slots=True)
class UnknownName:
    """A name in a silence that does not exist; `meant` is a similar one that does, if any."""

    scope: str
    name: str
    account: str | None
    meant: str | None

    @property
    def may_come(self) -> bool:
        """Whether the next task may have it: then the silence may be meant for that."""
        return self.scope not in {"rule", "account", "person"}

    def __str__(self) -> str:
        where = f" in {self.account}" if self.may_come and self.account is not None else ""
        hint = "." if self.meant is None else f"; did you mean {self.meant}?"
        return f'Taskbell knows no {self.scope} "{self.name}"{where}{hint}'


class NothingKnown(TaskbellError):
    """A silence names something that does not exist."""


async def demand_known(
    pool: Pool, silence: Silence, written: Mapping[str, Collection[str]], remedy: str
) -> None:
    """Raise NothingKnown if a name does not exist; `remedy` says how to use the name anyway."""
    if found := await unknown(pool, silence, written):
        raise NothingKnown(f"{found[0]} {remedy}")


async def unknown(
    pool: Pool, silence: Silence, written: Mapping[str, Collection[str]]
) -> list[UnknownName]:
    """The names of a silence that do not exist.

    `written` are the rules, accounts and people of the configuration, by scope; empty if it cannot
    be read, and then any rule may be in it. Rules are also those that have sent something; people
    are also receivers, customers and assignees; customers and projects are those of tasks, in the
    silence's account if it has one.
    """
    found = []
    async with pool.acquire() as connection:
        for scope in SCOPES:
            name = getattr(silence, scope)
            if name is None or (scope == "rule" and not written):
                continue
            if _is_among(name, written.get(scope, ()), scope):
                continue
            if await _is_soon_found(connection, scope, name, silence.account):
                continue
            names = await _names(connection, scope, silence.account, written)
            if not _is_among(name, names, scope):
                found.append(UnknownName(scope, name, silence.account, _meant(name, names)))
    return found


async def _is_soon_found(
    connection: Connection, scope: str, name: str, account: str | None
) -> bool:
    if scope == "person":
        return bool(await connection.fetchval(_IS_RECEIVER, name))
    if scope in _KNOWN:
        return False
    if await connection.fetchval(_IS_OF_LATEST_EVENTS, scope, name, account):
        return True
    return scope == "customer" and bool(await connection.fetchval(_IS_CUSTOMER, name, account))


async def _names(
    connection: Connection,
    scope: str,
    account: str | None,
    written: Mapping[str, Collection[str]],
) -> set[str]:
    """The names that exist. Accounts are those of the configuration: others send nothing."""
    if scope == "account" and written:
        return set(written["account"])
    rows = await _stored(connection, scope, account)
    return {row["name"] for row in rows} | set(written.get(scope, ()))


async def _stored(connection: Connection, scope: str, account: str | None) -> list[asyncpg.Record]:
    if scope in _KNOWN:
        return await connection.fetch(_KNOWN[scope])
    return await connection.fetch(_OF_TASKS, scope, account)


def _is_among(name: str, names: Collection[str], scope: str) -> bool:
    if scope in _EXACT:
        return name in names
    return name.casefold() in {one.casefold() for one in names}


def _meant(wanted: str, names: Collection[str]) -> str | None:
    """The name that is probably meant: a similar one, or one that contains the word."""
    folded = {name.casefold(): name for name in sorted(names)}
    word = wanted.casefold()
    close = get_close_matches(word, folded, n=1) or [name for name in folded if word in name]
    return folded[close[0]] if close else None
