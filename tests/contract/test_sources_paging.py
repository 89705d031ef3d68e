"""Lists that say the wrong thing of themselves: that hides no task, and none is read for ever."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from service.clock import VirtualClock
from service.errors import SourceBroken
from service.http.client import open_client
from service.sources import Source, systems
from service.sources.pagination import Reading
from service.sources.reader import Raw
from tests.contract.source_rig import connect, sample
from tests.harness.receivers import LOOPBACK, Answer, HttpReceiver, Request

PageOf: TypeAlias = Callable[[list[Raw], dict[str, str]], Any]
"""What is answered of these tasks to a query."""


class Lister(HttpReceiver):
    """A system of so many tasks, whose list is what `page_of` makes of it."""

    def __init__(self, system: str, count: int, page_of: PageOf) -> None:
        super().__init__()
        task = sample(system, "task")
        self.id = next(name for name in ("uuid", "@id", "id") if name in task)
        prefix = "/api/contact_tasks/" if self.id == "@id" else ""
        self.rows = [{**task, self.id: f"{prefix}{number}"} for number in range(count)]
        self.page_of = page_of

    def answer(self, request: Request) -> Answer:
        return Answer(200, self.page_of(self.rows, request.query))


async def listed(system: str, clock: VirtualClock, lister: Lister, **options: Any) -> list[str]:
    """The ids that two scans have found, the second after whatever the first has learnt."""
    async with lister, open_client(LOOPBACK) as client:
        source = connect(system, clock, client, lister.url, **options)
        try:
            return await _ids(source)
        except SourceBroken:
            return await _ids(source)


async def _ids(source: Source) -> list[str]:
    return [task_id async for page in source.scan() for task_id in page.raws]


def numbers(count: int) -> list[str]:
    return sorted(str(number) for number in range(count))


@pytest.mark.parametrize("total", ["page", 0, 120, 300, "250", None])
@pytest.mark.parametrize("most", [100, 25])
async def test_a_wrong_total_hides_no_task_of_rolodex(
    clock: VirtualClock, total: Any, most: int
) -> None:
    """It may count the page alone, or anything: behind a full page there may be more."""

    def page_of(rows: list[Raw], query: dict[str, str]) -> Any:
        first = int(query["offset"])
        page = rows[first : first + most]
        told = {"limit": most, "total": len(page) if total == "page" else total}
        return {"pagination": told, "data": page}

    found = await listed("rolodex", clock, Lister("rolodex", 250, page_of), per_page=100)
    assert sorted(found) == numbers(250)


@pytest.mark.parametrize(
    ("count", "total"), [(45, "page"), (45, 30), (45, 0), (45, 7), (30, 30), (30, 31), (60, 70)]
)
@pytest.mark.parametrize("links", ["none", "right", "always"])
async def test_a_wrong_total_hides_no_task_of_letsligo(
    clock: VirtualClock, count: int, total: Any, links: str
) -> None:
    """Nor does a link that leads behind the end. One that is too high is believed the second time.

    That is where it ends behind a full page: the first time it may have ended too early.
    """
    if links == "right" and total == "page":
        pytest.skip("who can count the pages can count the tasks")

    def page_of(rows: list[Raw], query: dict[str, str]) -> Any:
        number = int(query["page"])
        page = rows[30 * (number - 1) : 30 * number]
        view = {"hydra:next": f"/api/contact_tasks?page={number + 1}"}
        shown = links == "always" or (links == "right" and 30 * number < count)
        answer = {"hydra:member": page, "hydra:totalItems": len(page) if total == "page" else total}
        return {**answer, "hydra:view": view} if shown else answer

    lister = Lister("letsligo", count, page_of)
    found = await listed("letsligo", clock, lister, per_page=None)
    assert sorted(found) == numbers(count)
    assert len(lister.requests) < 10


@pytest.mark.parametrize(
    "meta", [{"last_page": 1}, {"last_page": 0}, {"last_page": "3"}, {"last_page": None}, {}]
)
async def test_a_link_to_the_next_page_counts_more_than_a_number_of_pages(
    clock: VirtualClock, meta: dict[str, Any]
) -> None:
    """Plannr says both; where they differ, what is behind the link is read."""

    def page_of(rows: list[Raw], query: dict[str, str]) -> Any:
        number = int(query["page"])
        page = rows[3 * (number - 1) : 3 * number]
        following = f"https://elsewhere.test?page={number + 1}" if 3 * number < 8 else None
        return {"data": page, "meta": meta, "links": {"next": following}}

    assert sorted(await listed("plannr", clock, Lister("plannr", 8, page_of))) == numbers(8)


@pytest.mark.parametrize("system", ["kickserv", "letsligo", "plannr", "rolodex"])
async def test_a_short_list_that_takes_no_notice_of_the_page_is_read_once(
    clock: VirtualClock, system: str
) -> None:
    """It comes again, whatever page is asked for, and is not as long as it could be."""
    lister = Lister(system, 7, lambda rows, _: rows)
    assert sorted(await listed(system, clock, lister, per_page=50)) == numbers(7)
    assert len(lister.requests) == 2


@pytest.mark.parametrize("system", ["kickserv", "letsligo", "plannr"])
async def test_a_last_page_that_is_given_for_all_behind_it_is_the_last(
    clock: VirtualClock, system: str
) -> None:
    """Some lists answer a page too far with the last one there is."""

    def page_of(rows: list[Raw], query: dict[str, str]) -> Any:
        number = min(int(query["page"]), 3)
        return rows[3 * (number - 1) : 3 * number]

    assert sorted(await listed(system, clock, Lister(system, 8, page_of))) == numbers(8)


@pytest.mark.parametrize("system", sorted(systems()))
async def test_the_loop_goes_on_beside_a_long_page(clock: VirtualClock, system: str) -> None:
    """Other accounts are polled while one answers with all its tasks at once."""
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    rows = Lister(system, 20_000, lambda rows, _: rows).rows
    async with open_client(LOOPBACK) as client:
        reading = Reading(connect(system, clock, client, "http://127.0.0.1:1"))
        beside = asyncio.create_task(others())
        await asyncio.sleep(0)
        before = turns
        found = await reading.tasks(rows)
        beside.cancel()
    assert len(found) == len(rows)
    assert turns - before > 1
