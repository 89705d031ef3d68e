"""What is particular to Rolodex."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Any

import orjson
import pytest

from service.clock import VirtualClock
from service.domain.model import Customer
from service.errors import SourceBroken, SourceRejected, SourceUnauthorized
from service.http.client import open_client
from service.sources.offsets import OVERLAP
from tests.contract.source_rig import Rig, connect, rigged, sample
from tests.harness.receivers import LOOPBACK, Answer, HttpReceiver

HOUR = timedelta(hours=1)
PAGE = 3


@pytest.fixture
async def rig(clock: VirtualClock) -> AsyncIterator[Rig]:
    """Three tasks to a page, of which one is on the page before as well."""
    async with rigged("rolodex", clock) as ready:
        yield ready


def hourly(rig: Rig, count: int) -> list[str]:
    """That many tasks, each due an hour after the one before; their ids."""
    due = rig.clock.now()
    return [rig.id_of(rig.system.make(due_date=due + n * HOUR)) for n in range(1, count + 1)]


async def listed_while(rig: Rig, *happens: Callable[[], object]) -> list[str]:
    """What a scan lists, while after each page one of these things happens."""
    acts, listed = iter(happens), list[str]()
    async for page in rig.source.scan():
        listed += page.raws
        next(acts, bool)()
    return listed


def test_the_documented_list_is_read(rig: Rig) -> None:
    """Each row of the vendor's sample is a task; the last one is done and nobody's."""
    rows = rig.source.items(sample("rolodex", "documented_list"))
    assert rows is not None
    first, last = map(rig.source.parse, rows)
    assert first.title == "Follow up with prospect about pricing"
    assert first.due == datetime(2025, 1, 20, 15, 0, tzinfo=UTC)
    assert (first.done, last.done) == (False, True)
    assert last.completed_at == datetime(2025, 1, 17, 11, 30, tzinfo=UTC)
    assert (last.assignee, last.customer) == (None, None)


def test_the_documented_list_with_tags_is_read(rig: Rig) -> None:
    """With `include=tags` a row has what a task needs; without it may have tags all the same."""
    (row,) = rig.source.items(sample("rolodex", "documented_list_with_tags")) or []
    assert rig.source.parse(row).tags == ("High Priority", "Sales")
    assert rig.source.is_whole(row)
    assert not rig.source.is_whole(sample("rolodex", "documented_item")["data"])


async def test_the_documented_item_is_read(clock: VirtualClock) -> None:
    """Its tags were asked for and are missing, which does not mean that it has none."""
    document = sample("rolodex", "documented_item")
    async with HttpReceiver() as receiver, open_client(LOOPBACK) as client:
        receiver.reply(Answer(200, document))
        source = connect("rolodex", clock, client, receiver.url)
        raw = await source.fetch("task_12345")
    assert raw is not None
    assert source.parse(raw).assignee == source.parse(raw).assignees[0]
    assert source.unknown_fields(raw) == {"tags"}


def test_the_brackets_around_addresses_reach_nobody(rig: Rig) -> None:
    """They are an artefact of the documentation; pictures are not kept, however written."""
    kept = rig.source.trim(sample("rolodex", "task"))
    assert b"<" not in orjson.dumps(kept)
    assert b"example.com" not in orjson.dumps(kept)


def test_the_order_of_tags_is_no_change(rig: Rig) -> None:
    """A list of tags has no order that a person gave it."""
    task = sample("rolodex", "task")
    assert rig.source.trim(task) == rig.source.trim({**task, "tags": task["tags"][::-1]})


async def test_a_list_that_holds_still_is_read_once(rig: Rig) -> None:
    """Seven tasks are three pages, each with the last row of the one before."""
    hourly(rig, 7)
    assert len(await rig.listed()) == 7
    assert len(rig.system.record.requests) == 3


async def test_tasks_removed_meanwhile_hide_no_others(rig: Rig) -> None:
    """All that was read is deleted, so that everything else moves up by a whole page."""
    made = hourly(rig, 8)

    def clear() -> None:
        for task_id in made[:PAGE]:
            rig.system.delete(task_id)

    assert sorted(await listed_while(rig, clear)) == sorted(made)


async def test_a_task_made_in_front_of_the_reader_is_found(rig: Rig) -> None:
    """It is due before all that was read, and moves the rest down."""
    made = hourly(rig, 8)
    late: list[str] = []
    listed = await listed_while(
        rig, bool, lambda: late.append(rig.id_of(rig.system.make(due_date=rig.clock.now())))
    )
    assert sorted(listed) == sorted(made + late)


async def test_a_task_that_moves_past_the_reader_is_found(rig: Rig) -> None:
    """From what was still to be read into what had been read, while the total stays the same."""
    made = hourly(rig, 8)
    listed = await listed_while(rig, lambda: rig.system.change(made[-1], due_date=rig.clock.now()))
    assert sorted(listed) == sorted(made)


async def test_two_tasks_that_change_places_past_the_reader_are_found(rig: Rig) -> None:
    """One moves up and one down: no count and no place gives it away, only the repeated row."""
    made = hourly(rig, 12)

    def swap() -> None:
        rig.system.change(made[-1], due_date=rig.clock.now())
        rig.system.change(made[0], due_date=rig.clock.now() + 8.5 * HOUR)

    assert sorted(await listed_while(rig, swap)) == sorted(made)


async def test_a_task_that_takes_the_place_of_a_deleted_one_is_found(rig: Rig) -> None:
    """It moves past the reader, who finds every row where it was: the total gives it away."""
    made = hourly(rig, 8)

    def replace() -> None:
        rig.system.delete(made[0])
        rig.system.change(made[-1], due_date=rig.clock.now())

    assert sorted(await listed_while(rig, replace)) == sorted(made)


async def test_a_task_that_slips_under_the_reader_is_found(rig: Rig) -> None:
    """One is deleted and one is made, so that the total is right: the row in common is missing."""
    made = hourly(rig, 8)
    new: list[str] = []

    def renew() -> None:
        rig.system.delete(made[0])
        new.append(rig.id_of(rig.system.make(due_date=rig.clock.now() + 99 * HOUR)))

    assert sorted(await listed_while(rig, renew)) == sorted(made + new)


async def test_a_list_that_never_holds_still_comes_to_an_end(rig: Rig) -> None:
    """It is read a few times, and no task is given twice."""
    made = hourly(rig, 8)
    listed = await listed_while(rig, *repeat(lambda: rig.system.make(due_date=rig.clock.now()), 99))
    assert len(listed) == len(set(listed))
    assert set(made) <= set(listed)
    assert len(rig.system.record.requests) < 99


async def test_dates_that_many_tasks_share_do_not_matter(rig: Rig) -> None:
    """A list of equals may come in another order at any time; nobody is left out."""
    made = [rig.id_of(rig.system.make(due_date=rig.clock.now())) for _ in range(8)]

    def turn() -> None:
        tasks = list(rig.system.tasks.items())
        rig.system.tasks = dict(tasks[-1:] + tasks[:-1])

    assert sorted(await listed_while(rig, turn)) == sorted(made)


async def test_a_page_may_be_shorter_than_asked(clock: VirtualClock) -> None:
    """The system gives a hundred rows at most, however many are asked for."""
    async with rigged("rolodex", clock, per_page=1000) as rig:
        hourly(rig, 230)
        assert len(await rig.listed()) == 230
        assert len(rig.system.record.requests) == 3
        assert OVERLAP * 2 < 100


async def test_an_empty_list_that_claims_to_have_tasks_is_not_believed(
    clock: VirtualClock,
) -> None:
    """No rows and a total of thousands: it proves nothing."""
    body = {"pagination": {"limit": 25, "offset": 0, "total": 4000}, "data": []}
    async with HttpReceiver() as receiver, open_client(LOOPBACK) as client:
        receiver.reply(Answer(200, body))
        source = connect("rolodex", clock, client, receiver.url)
        with pytest.raises(SourceBroken, match="empty and says that it has 4000"):
            await anext(source.scan())


async def test_each_way_to_log_in_is_an_option(clock: VirtualClock) -> None:
    """A key for the one address, a bearer token for the other, and not the other way round."""
    for options in ({}, {"auth": "bearer", "path": "/v1"}):
        async with rigged("rolodex", clock, **options) as rig:
            assert len(rig.make(1)) == len(await rig.listed())
    for options in ({"path": "/v1"}, {"auth": "bearer"}):
        async with rigged("rolodex", clock, **options) as rig:
            with pytest.raises(SourceUnauthorized):
                await rig.listed()


@pytest.mark.parametrize(("tags", "told"), [("always", True), ("lists", False), ("never", False)])
async def test_tags_that_are_missing_are_not_gone(rig: Rig, tags: str, *, told: bool) -> None:
    """They may be missing though they were asked for; then nothing is said about them."""
    task_id = rig.id_of(rig.system.make(tags=["tag_102"]))
    rig.system.set_quirks(tags=tags)
    raw = await rig.source.fetch(task_id)
    assert raw is not None
    assert rig.source.unknown_fields(raw) == (frozenset() if told else {"tags"})
    assert rig.source.parse(raw).tags == (("Sales",) if told else ())


async def test_a_write_leaves_relations_as_they_were(rig: Rig) -> None:
    """They are replaced whole, so all of them go along with every change."""
    relations = {"contacts": ["contact_123", "contact_456"], "tags": ["tag_102", "tag_101"]}
    task_id = rig.id_of(rig.system.make(**relations))
    await rig.source.update_task(task_id, {"title": "Call again"})
    await rig.source.complete_task(task_id)
    kept = {"contacts": ["contact_123", "contact_456"], "tags": ["tag_101", "tag_102"]}
    assert [write.body for write in rig.system.record.writes] == [
        {"body": "Call again", **kept},
        {"completed_at": "2026-03-06T12:00:00Z", **kept},
    ]
    task = rig.source.parse(rig.system.tasks[task_id])
    assert (task.title, task.done, task.tags) == ("Call again", True, ("High Priority", "Sales"))


async def test_relations_that_are_shown_by_their_ids_are_left_too(rig: Rig) -> None:
    """What the vendor takes as ids or as objects may come back as either."""
    task_id = rig.id_of(rig.system.make())
    rig.system.tasks[task_id] |= {"contacts": ["contact_456"], "tags": ["tag_102", "tag_101"]}
    known = await rig.source.fetch(task_id)
    assert known is not None
    assert rig.source.parse(known).customer == Customer(id="contact_456")
    await rig.source.update_task(task_id, {"title": "Call again"})
    assert rig.system.record.writes[0].body == {
        "body": "Call again",
        "contacts": ["contact_456"],
        "tags": ["tag_101", "tag_102"],
    }


async def test_relations_without_ids_are_not_wiped_out(rig: Rig) -> None:
    """They are left out of a change, and one that would replace them is refused with the reason."""
    task_id = rig.id_of(rig.system.make(tags=["tag_102"]))
    rig.system.tasks[task_id]["contacts"] = [{"id": "contact_123"}, {"full_name": "Jane Smith"}]
    await rig.source.update_task(task_id, {"title": "Call again"})
    assert rig.system.record.writes[0].body == {"body": "Call again", "tags": ["tag_102"]}
    with pytest.raises(SourceRejected, match=r"contacts of task .* have no id"):
        await rig.source.update_task(task_id, {"customer": "contact_456"})


async def test_a_customer_comes_first_among_the_contacts(rig: Rig) -> None:
    """Who else is on the task stays on it."""
    task_id = rig.id_of(rig.system.make(contacts=["contact_123", "contact_456"]))
    await rig.source.update_task(task_id, {"customer": "contact_456", "assignee": "user_789"})
    assert rig.system.record.writes[0].body == {
        "contacts": ["contact_456", "contact_123"],
        "assignee": "user_789",
        "tags": [],
    }


async def test_tags_that_were_not_shown_are_not_wiped_out(rig: Rig) -> None:
    """What is not known is not written back."""
    task_id = rig.id_of(rig.system.make(tags=["tag_102"]))
    rig.system.set_quirks(tags="never")
    await rig.source.update_task(task_id, {"title": "Call again"})
    assert "tags" not in rig.system.record.writes[0].body
    assert [tag["name"] for tag in rig.system.tasks[task_id]["tags"]] == ["Sales"]


async def test_a_task_that_is_done_is_not_done_again(rig: Rig) -> None:
    """Else it would look as if it had been finished later than it was."""
    (task_id,) = rig.make(1)
    done = rig.system.finish(task_id)["completed_at"]
    rig.clock.advance(HOUR)
    raw = await rig.source.complete_task(task_id)
    assert raw["completed_at"] == done
    assert rig.system.record.writes == []


async def test_a_new_task_is_in_rolodex_s_words(clock: VirtualClock) -> None:
    """With what the account gives to every new task; the due date is needed, and asked for."""
    async with rigged("rolodex", clock, create={"tags": ["tag_101"]}) as rig:
        due = datetime(2026, 7, 1, 16, 30, tzinfo=UTC)
        words = {"title": "Call", "due": due, "customer": "contact_456", "assignee": "user_789"}
        made = await rig.source.create_task(words)
        with pytest.raises(SourceRejected, match="due_date is required"):
            await rig.source.create_task({"title": "Call"})
    assert rig.system.record.writes[0].body == {
        "tags": ["tag_101"],
        "body": "Call",
        "due_date": "2026-07-01T16:30:00Z",
        "contacts": ["contact_456"],
        "assignee": "user_789",
    }
    assert rig.source.parse(made).customer is not None


def test_several_contacts_have_one_customer(rig: Rig) -> None:
    """The first one that is somebody."""
    raw: Any = {**sample("rolodex", "task"), "contacts": [None, {"id": "c-7", "full_name": ""}]}
    task = rig.source.parse(raw)
    assert task.customer is not None
    assert (task.customer.id, task.customer.name) == ("c-7", None)
