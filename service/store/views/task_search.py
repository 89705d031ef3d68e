"""Search for tasks by words, account and state; the last observed come first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from service.domain.model import Task
from service.store import Connection, Pool, task_words
from service.store.tasks import Key
from service.store.views.listing import Listing, Mark

STANDINGS = ("open", "done", "archived", "deleted")

TASKS = Listing(
    "tasks",
    "SELECT account, id, standing, observed_at, snapshot FROM tasks",
    key={"observed_at": int, "id": str, "account": str},
    filters={"q": "words @@ {}", "account": "account = {}", "state": "standing = {}"},
    choices={"state": frozenset(STANDINGS)},
)
"""Its filters and cursor; `observed_at` is in microseconds since 1970."""

# By themselves the plans read all words or all tasks to find a few of them.
_ONE_BY_ONE = """
    SELECT set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)
"""
_ALL_AT_ONCE = "SELECT set_config('enable_hashjoin', 'on', true)"
_RARE = 5_000  # so many tasks with the words are looked up one by one
_LOOKED_THROUGH = 2_000  # of the tasks last observed, before the index of words is used
_LOOKED_THROUGH_IN_PARTS = 24_000
_MOST_WORDS, _LONGEST_WORD = 10, 100
_BEGINNING = 3  # characters
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FoundTask:
    """The last snapshot of a task, and its state."""

    task: Task
    standing: str
    seen_at: datetime

    @property
    def summary(self) -> dict[str, Any]:
        """The fields by which a person recognises it, and its state."""
        task = self.task
        return {
            "account": task.account,
            "id": task.id,
            "title": task.title,
            "state": self.standing,
            "customer": task.customer,
            "assignee": task.assignee,
            "due": task.due,
            "url": task.url,
            "seen_at": self.seen_at,
        }


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """The beginnings of words to search for; optionally one account and one state.

    `after` is the end of the previous page.
    """

    text: str = ""
    account: str | None = None
    standing: str | None = None
    after: Mark | None = None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Some tasks, and the mark after which the next ones begin; None if these are the last."""

    tasks: Sequence[FoundTask]
    next: Mark | None


async def find(pool: Pool, query: TaskQuery, limit: int) -> TaskPage:
    """The next `limit` tasks; none if the text has no word in it.

    Raises OverflowError if the mark is out of the range of dates.
    """
    words = prefix_query(query.text)
    if query.text and not words:
        return TaskPage((), None)
    mark = None if query.after is None else _moment(query.after)
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(_ONE_BY_ONE)
        accounts = await _accounts(connection, query.account)
        search = _Search(connection, accounts, _standings(query.standing), words, mark)
        keys = await search.keys(limit + 1)
        found = await _tasks(connection, keys[:limit])
    return TaskPage(found, _mark(keys[limit - 1]) if len(keys) > limit else None)


def prefix_query(text: str) -> str | None:
    """The text for `to_tsquery`: every word must occur, or a word that begins with it.

    Too many words begin with the same one or two characters, so words as short as that have to be
    whole, except the last.
    """
    found = [word[:_LONGEST_WORD] for word in task_words.split(text)[:_MOST_WORDS]]
    whole = [one if len(one) < _BEGINNING else f"{one}:*" for one in found[:-1]]
    return " & ".join([*whole, *(f"{one}:*" for one in found[-1:])]) or None


def _standings(wanted: str | None) -> list[str]:
    """Deleted tasks are listed only on request."""
    return [one for one in STANDINGS if one != "deleted"] if wanted is None else [wanted]


def _moment(mark: Mark) -> tuple[datetime, str, str]:
    microseconds, task, account = mark
    return _EPOCH + timedelta(microseconds=int(microseconds)), str(task), str(account)


def _mark(row: asyncpg.Record) -> Mark:
    return (row["observed_at"] - _EPOCH) // timedelta(microseconds=1), row["id"], row["account"]


async def _accounts(connection: Connection, wanted: str | None) -> list[str]:
    if wanted is not None:
        return [wanted]
    return [row["name"] for row in await connection.fetch("SELECT name FROM accounts")]


@dataclass(frozen=True, slots=True)
class _Search:
    """One search. It tries the last observed tasks first, and the index of words for rare words."""

    connection: Connection
    accounts: Sequence[str]
    standings: Sequence[str]
    words: str | None
    after: tuple[datetime, str, str] | None

    async def keys(self, limit: int) -> list[asyncpg.Record]:
        """The keys of the next tasks, in order."""
        if self.words is None:
            return await self._last_seen(limit)
        most = self._looked_through(limit)
        seen = await self._last_seen(most)
        found = [row for row in seen if row["fits"]]
        if len(found) >= limit or len(seen) < most:
            return found[:limit]
        return await self._by_words(limit)

    def _looked_through(self, limit: int) -> int:
        """How many tasks to read of each account and state, as all may have the same ones."""
        parts = max(1, len(self.accounts) * len(self.standings))
        return max(limit, min(_LOOKED_THROUGH, _LOOKED_THROUGH_IN_PARTS // parts))

    async def _last_seen(self, limit: int) -> list[asyncpg.Record]:
        """The keys of the tasks last observed, and whether each has the words."""
        arguments: list[Any] = [self.accounts, self.standings, self.words, *(self.after or ())]
        beyond = "true"
        if self.after is not None:
            beyond = "(observed_at, id) <= ($4, $5) AND (observed_at, id, account) < ($4, $5, $6)"
        return await self.connection.fetch(
            f"""
            SELECT keys.account, id, observed_at,
                   $3::text IS NULL OR coalesce(words @@ to_tsquery('simple', $3), false) AS fits
            FROM (
                SELECT last.* FROM unnest($1::text[]) AS one, unnest($2::text[]) AS stands,
                LATERAL (
                    SELECT account, id, observed_at FROM tasks
                    WHERE account = one AND standing = stands AND {beyond}
                    ORDER BY observed_at DESC, id DESC LIMIT {limit}) AS last
                ORDER BY observed_at DESC, id DESC, account DESC LIMIT {limit}) AS keys
            LEFT JOIN task_words
              ON $3::text IS NOT NULL AND task_words.account = keys.account AND task = id
            ORDER BY observed_at DESC, id DESC, keys.account DESC
            """,
            *arguments,
        )

    async def _by_words(self, limit: int) -> list[asyncpg.Record]:
        """The keys of the next tasks that have the words."""
        arguments: list[Any] = [self.accounts, self.standings, self.words, *(self.after or ())]
        beyond = "true"
        if self.after is not None:
            beyond = "(observed_at, id, tasks.account) < ($4, $5, $6)"
        # With less memory the bitmap of a common word is lossy: all rows of its pages are checked.
        await self.connection.execute("SET LOCAL work_mem = '32MB'")
        if not await self._is_rare():
            await self.connection.execute(_ALL_AT_ONCE)
        return await self.connection.fetch(
            f"""
            SELECT tasks.account, id, observed_at FROM (
                SELECT account, task FROM task_words
                WHERE words @@ to_tsquery('simple', $3) OFFSET 0) AS found
            JOIN tasks ON tasks.account = found.account AND id = task
            WHERE tasks.account = ANY ($1) AND standing = ANY ($2) AND {beyond}
            ORDER BY observed_at DESC, id DESC, tasks.account DESC LIMIT {limit}
            """,
            *arguments,
        )

    async def _is_rare(self) -> bool:
        """Whether few tasks have the words."""
        count: int = await self.connection.fetchval(
            f"""
            SELECT count(*) FROM (SELECT FROM task_words WHERE words @@ to_tsquery('simple', $1)
                                  LIMIT {_RARE + 1}) AS found
            """,
            self.words,
        )
        return count <= _RARE


async def _tasks(connection: Connection, keys: Sequence[asyncpg.Record]) -> list[FoundTask]:
    rows = await connection.fetch(
        """
        SELECT snapshot, standing, observed_at
        FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (account, id, place)
        JOIN tasks USING (account, id) ORDER BY place
        """,
        [row["account"] for row in keys],
        [row["id"] for row in keys],
    )
    return [
        FoundTask(Task.from_json(row["snapshot"]), row["standing"], row["observed_at"])
        for row in rows
    ]


async def is_known(connection: Connection, key: Key) -> bool:
    """Whether the task was ever observed."""
    known: bool = await connection.fetchval(
        """
        SELECT EXISTS (SELECT FROM tasks JOIN accounts ON name = account
                       WHERE account = $1 AND id = $2 AND observed_at IS NOT NULL)
        """,
        *key,
    )
    return known
