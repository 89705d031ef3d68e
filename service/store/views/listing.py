"""Lists in pages, and how they are read.

A filter that no index answers is checked row by row, in windows of the list, until the page is full
or the time for it is over: so a page takes no longer, however few rows match among millions.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, TypeAlias

import asyncpg
import orjson

from service.store import Pool

Row: TypeAlias = dict[str, Any]
Mark: TypeAlias = tuple[str | int, ...]
"""Where a page ends: the key of its last row."""

_PATIENCE = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Listing:
    """One kind of row. `filters` are conditions with {} for the value, by the filter's name.

    `key` orders the rows of the `table` and is unique, its columns with their types. `indexed` are
    the filters that an index answers; `rare` are values of others that one finds if they stand in
    the statement. `choices` are the possible values of a filter; `hides` is a condition that
    applies unless a state is requested. `window` is how many rows are checked at once.
    """

    table: str
    select: str
    key: Mapping[str, type[int] | type[str]]
    filters: Mapping[str, str]
    indexed: frozenset[str] = frozenset({"task", "since"})
    rare: Mapping[str, frozenset[str]] = field(default_factory=dict)
    choices: Mapping[str, frozenset[str]] = field(default_factory=dict)
    descending: bool = True
    window: int = 10_000
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
        [shape(row) for row in shown],
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
        f" ORDER BY {_order(listing)} OFFSET {listing.window - 1} LIMIT 1",
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
    return None if row is None else shape(row)


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


def shape(row: asyncpg.Record) -> Row:
    """A row as the API shows it. Snapshots are stored in the API's format already."""
    if "snapshot" in row:
        task: Row = orjson.loads(row["snapshot"])
        return task
    return {
        name: orjson.Fragment(value) if name in {"before", "after"} and value else value
        for name, value in row.items()
    }
