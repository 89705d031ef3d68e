"""What is particular to Plannr."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.clock import VirtualClock
from service.domain.model import Cause
from service.errors import SourceBroken
from service.sandbox.plannr import DONE, FILED, OPEN
from service.sources.plannr import RECENT_PER_PAGE
from tests.contract.source_rig import Rig, rigged, sample


@pytest.fixture
async def rig(clock: VirtualClock) -> AsyncIterator[Rig]:
    async with rigged("plannr", clock) as ready:
        yield ready


def due(rig: Rig, text: str) -> datetime | None:
    return rig.source.parse({**sample("plannr", "task"), "due_at": text}).due


def test_the_documented_sample_does_no_harm(rig: Rig) -> None:
    """The generator's objects and class names are no data; what is plain beside them is."""
    rows = rig.source.items(sample("plannr", "documented_list"))
    assert rows is not None
    task = rig.source.parse(rows[0])
    assert (task.title, task.done, task.priority) == ("Document the transaction", False, "high")
    assert task.assignee is None
    assert task.completed_at is None
    assert task.fields == {"favourite_drink": "Coffee"}
    assert b"App" not in task.to_json()
    assert b"example" not in task.to_json()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-15 09:00:00", datetime(2026, 1, 15, 9, 0, tzinfo=UTC)),
        ("2026-07-15 09:00:00", datetime(2026, 7, 15, 8, 0, tzinfo=UTC)),
        ("2026-03-29 01:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("2026-10-25 01:30:00", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-07-15", datetime(2026, 7, 15, 22, 59, 59, tzinfo=UTC)),
        ("2026-07-15T09:00:00+02:00", datetime(2026, 7, 15, 7, 0, tzinfo=UTC)),
        ("", None),
    ],
)
def test_due_dates_are_london_time(rig: Rig, text: str, moment: datetime | None) -> None:
    """Also in the hour that is skipped, the hour that comes twice, and without a time."""
    assert due(rig, text) == moment


async def test_the_second_of_two_hours_is_an_option(clock: VirtualClock) -> None:
    """When the clocks go back, 01:30 may as well mean the later one."""
    async with rigged("plannr", clock, fold=1) as rig:
        assert due(rig, "2026-10-25 01:30:00") == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


async def test_another_zone_is_an_option(clock: VirtualClock) -> None:
    """A firm whose account keeps other hours."""
    async with rigged("plannr", clock, timezone="Europe/Paris") as rig:
        assert due(rig, "2026-01-15 09:00:00") == datetime(2026, 1, 15, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize("text", ["tomorrow", "2026-13-01", "9" * 5000, ["2026-01-01"], True])
def test_a_date_of_unknown_form_leaves_its_field_open(rig: Rig, text: Any) -> None:
    """The field is named with its value, cut; the task's other fields are read."""
    raw = {**sample("plannr", "task"), "due_at": text}
    seen = rig.source.observe(raw, rig.clock.now(), Cause.POLL)
    assert seen.untold == {"due"}
    assert list(seen.unread) == ["due_at"]
    assert len(seen.unread["due_at"]) < 50
    assert seen.task is not None
    assert seen.task.title == sample("plannr", "task")["name"]


def test_fields_of_the_wrong_form_are_left_open(rig: Rig) -> None:
    """A title or custom fields that are a number: the other fields are read."""
    raw = {**sample("plannr", "task"), "name": 7, "custom_fields": 5, "status": "open"}
    seen = rig.source.observe(raw, rig.clock.now(), Cause.POLL)
    assert seen.unread == {"name": "7", "custom_fields": "5", "status": "'open'"}
    assert seen.untold == {"title", "fields", "status", "done"}


def test_a_list_may_be_an_object_with_numbers_for_names(rig: Rig) -> None:
    """PHP writes one where the numbers of a list have gaps."""
    raw = sample("plannr", "task")
    raw["assigned_to"] = [raw["assigned_to"]]
    gaps = {
        name: {str(n): one for n, one in enumerate(raw[name], 1)}
        for name in ("assigned_to", "custom_fields")
    }
    assert rig.source.parse(raw | gaps) == rig.source.parse(raw)
    assert rig.source.items({"data": {"3": raw, "10": {}}}) == [raw, {}]


async def test_flags_tell_what_is_done_and_names_do_not(rig: Rig) -> None:
    """The firm's statuses have names of its own; archived is not completed."""
    made = [rig.system.make(status=status) for status in (OPEN, DONE, FILED)]
    tasks = [rig.source.parse(raw) for raw in made]
    assert [task.done for task in tasks] == [False, True, False]
    assert [task.status for task in tasks] == ["To be looked at", "Sorted", "Filed away"]


@pytest.mark.parametrize(
    ("flag", "done"),
    [
        *((word, True) for word in (None, 1, "1", 1.0, "1.0", "true", "True", "t", "Yes", " on ")),
        *((word, False) for word in (0, "0", "false", "False", "f", "no", "off", "maybe", 7)),
        ({}, False),
    ],
)
def test_a_flag_may_be_a_number_or_a_word(rig: Rig, flag: Any, *, done: bool) -> None:
    """As databases and people have it; where there is none, the date of completion tells."""
    raw = {**sample("plannr", "task"), "completed_at": "2026-03-01 10:00:00"}
    raw["status"] = {"name": "Sorted", "is_type_completed": flag}
    assert rig.source.parse(raw).done is done


@pytest.mark.parametrize("flag", ["erledigt", 7, ["done"]])
def test_a_flag_that_nobody_knows_leaves_it_open_and_is_counted(rig: Rig, flag: Any) -> None:
    """So that a system that says it in another way from now on does not go blind in silence."""
    raw = {**sample("plannr", "task"), "status": {"name": "Sorted", "is_type_completed": flag}}
    seen = rig.source.observe(raw, rig.clock.now(), Cause.POLL)
    assert seen.unread.keys() == {"status"}
    assert "done" in seen.untold


def test_a_client_is_a_customer_and_a_case_a_project(rig: Rig) -> None:
    """What a task hangs on goes by its type."""
    taskable = {"uuid": "c-1", "name": "Ida Smith", "email": "ida@smith.test"}
    raw: Any = {**sample("plannr", "task"), "taskable": taskable, "taskable_type": "client"}
    task = rig.source.parse(raw)
    assert task.customer is not None
    assert (task.customer.name, task.project) == ("Ida Smith", None)


async def test_recent_reads_down_to_the_last_time(rig: Rig) -> None:
    """Of many tasks only the page that holds the changed ones is read."""
    made = rig.make(RECENT_PER_PAGE * 3)
    rig.clock.advance(timedelta(hours=1))
    since = rig.clock.now()
    rig.clock.advance(timedelta(minutes=1))
    rig.system.change(made[7], name="Changed")
    rig.system.record.requests.clear()
    pages = [page async for page in rig.source.recent(since)]
    assert next(iter(pages[0].raws)) == made[7]
    assert len(rig.system.record.requests) == 1


async def test_recent_goes_on_while_a_page_is_all_new(rig: Rig) -> None:
    """A hundred changes since the last time take more than one page."""
    since = rig.clock.now()
    rig.clock.advance(timedelta(minutes=1))
    made = rig.make(RECENT_PER_PAGE * 2 + 1)
    found = [task_id async for page in rig.source.recent(since) for task_id in page.raws]
    assert sorted(found) == sorted(made)


async def test_subtasks_are_tasks_too(rig: Rig) -> None:
    """Plannr hides them unless asked; hidden they would look deleted."""
    (parent,) = rig.make(1)
    child = rig.id_of(rig.system.make(parent_task_uuid=parent))
    assert {rig.id_of(raw) for raw in await rig.listed()} == {parent, child}


async def test_another_task_than_the_one_asked_for_is_not_taken(rig: Rig) -> None:
    """A proxy or a cache that mixes up answers must not mix up tasks."""
    asked, other = rig.make(2)
    rig.sandbox.plannr.tasks[asked] = rig.sandbox.plannr.tasks[other]
    with pytest.raises(SourceBroken, match="expected task"):
        await rig.source.fetch(asked)


async def test_writes_use_plannrs_words(rig: Rig) -> None:
    """Due dates go out as London time, priorities and people by Plannr's names."""
    due_at = datetime(2026, 7, 1, 16, 30, tzinfo=UTC)
    words = {"title": "Call", "due": due_at, "priority": "normal", "assignee": "a-1"}
    await rig.source.create_task(words)
    assert [write.body for write in rig.system.record.writes] == [
        {
            "name": "Call",
            "due_at": "2026-07-01 17:30:00",
            "priority": "medium",
            "assigned_to_uuids": ["a-1"],
        }
    ]
