"""Reads a system's responses: one task, or a list page by page while the list changes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from itertools import islice
from typing import Any

import structlog

from service.errors import SourceBroken, SourceError, SourceRejected
from service.sources import Page, Source
from service.sources.reader import Raw
from service.sources.values import mapping, sequence

log = structlog.get_logger()

STALE_PAGES = 2
# With one, the request for the next page would wait until the page at hand has been hashed.
PAGES_AHEAD = 2
LARGEST_PIECE = 1000
WRAPPERS = ("data", "task")
GONE = frozenset({404, 410})


def enveloped(payload: Any) -> list[Raw] | None:
    """The rows of a list, bare or under `data`; None if it is not a list of objects."""
    rows = rows_of(payload)
    return rows_of(payload["data"]) if rows is None and "data" in mapping(payload) else rows


def rows_of(value: Any) -> list[Raw] | None:
    """The rows of a list, {} in place of a row that is not an object; None if no row is one."""
    rows = sequence(value)
    if rows is None or not (rows == [] or any(isinstance(row, dict) for row in rows)):
        return None
    return [row if isinstance(row, dict) else {} for row in rows]


async def by_id(
    source: Source, task_id: str, path: str, params: Mapping[str, str | int] | None = None
) -> Raw | None:
    """The task at its own address, trimmed; None if the system reports that it does not exist."""
    try:
        answer = await source.upstream.request("GET", path, params=params)
    except SourceRejected as error:
        if error.status in GONE:
            return None
        raise
    return single(source, answer, task_id)


def single(
    source: Source,
    answer: Any,
    task_id: str | None = None,
    *,
    otherwise: type[SourceError] = SourceBroken,
) -> Raw:
    """The only task of a response, bare or under `data` or `task`, trimmed.

    Raises `otherwise` if there is none, or if it is another task than `task_id`.
    """
    raw: Raw = answer if isinstance(answer, dict) else {}
    raw = next((raw[name] for name in WRAPPERS if isinstance(raw.get(name), dict)), raw)
    found = source.identify(raw)
    if found is None or task_id not in (None, found):
        wanted, got = f"task {task_id}" if task_id else "a new task", found or "no task"
        raise otherwise(f"{source.account.name}: expected {wanted}, the answer has {got}")
    return source.trim(raw)


async def read_ahead(pages: AsyncIterator[Page], ahead: int = PAGES_AHEAD) -> AsyncGenerator[Page]:
    """The same pages, with up to `ahead` further ones requested while one is being processed.

    A page of more than LARGEST_PIECE tasks is split into pieces, each of which can be one
    transaction.
    """
    async with AsyncExitStack() as stack:
        for _ in range(ahead):
            pages = await stack.enter_async_context(aclosing(_one_ahead(pages)))
        async for page in pages:
            for piece in _pieces(page):
                yield piece


def _pieces(page: Page) -> Iterator[Page]:
    if len(page.raws) <= LARGEST_PIECE:
        yield page
        return
    rows = iter(page.raws.items())
    while piece := dict(islice(rows, LARGEST_PIECE)):
        yield replace(page, raws=piece)


async def _one_ahead(pages: AsyncIterator[Page]) -> AsyncGenerator[Page]:
    async def ask() -> Page | None:
        return await anext(pages, None)

    coming = asyncio.create_task(ask())
    try:
        while (page := await coming) is not None:
            coming = asyncio.create_task(ask())
            yield page
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


class Reading:
    """One reading of a list: drops repeated rows, and stops endless lists.

    Rows that are inserted or removed meanwhile make later pages repeat rows, so that one page
    without anything new does not mean the end; two in a row do. `nameless` counts the rows without
    a usable id.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._account = source.account.name
        self._seen: set[str] = set()
        self._pages = 0
        self._stale = 0
        self._last: list[Raw] | None = None
        self.nameless = 0

    def rows(self, answer: Any) -> list[Raw]:
        """The tasks of a response; raises SourceBroken if it is not a list of tasks."""
        rows = self._source.items(answer)
        if rows is None:
            raise SourceBroken(f"{self._account}: the list of tasks is not a list of tasks")
        return rows

    def is_again(self, rows: list[Raw]) -> bool:
        """Whether a page repeats the one before; to be called once for each page.

        If it is shorter than requested, the list has ended: the system ignores the page parameter,
        or repeats the last page.
        """
        last, self._last = self._last, rows
        return rows == last

    async def tasks(self, rows: list[Raw]) -> dict[str, Raw]:
        """The rows of the next page, by id, that no earlier page had, trimmed.

        Many rows are parsed in a thread, so as not to block the event loop; raises SourceBroken.
        """
        if len(rows) <= LARGEST_PIECE:
            return self._trimmed(rows)
        return await asyncio.to_thread(self._trimmed, rows)

    def _trimmed(self, rows: list[Raw]) -> dict[str, Raw]:
        return {key: self._source.trim(row) for key, row in self._fresh(rows).items()}

    def _fresh(self, rows: list[Raw]) -> dict[str, Raw]:
        """The rows of the next page, by id, that no earlier page had; raises SourceBroken."""
        self._pages += 1
        if self._pages > self._source.account.max_pages:
            raise SourceBroken(
                f"{self._account}: the list of tasks has more than {self._pages - 1} pages; if it"
                " really is that long, raise the account's max_pages"
            )
        identify = self._source.identify
        fresh = {task_id: row for row in rows if (task_id := identify(row)) is not None}
        if len(fresh) < len(rows):
            self._count_nameless(rows)
        for task_id in fresh.keys() & self._seen:
            del fresh[task_id]
        self._seen.update(fresh)
        self._stale = 0 if fresh or not rows else self._stale + 1
        if self._stale == STALE_PAGES:
            raise SourceBroken(
                f"{self._account}: page {self._pages} of the tasks repeats earlier ones"
            )
        return fresh

    def _count_nameless(self, rows: list[Raw]) -> None:
        """Rows without a usable id must not prevent the others from being read."""
        nameless = sum(self._source.identify(row) is None for row in rows)
        self.nameless += nameless
        if nameless:
            log.warning("list.rows_without_id", account=self._account, rows=nameless)
