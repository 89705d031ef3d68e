"""What is particular to Kickserv."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from service.clock import VirtualClock
from service.domain.model import Cause, Task
from service.errors import SourceRejected
from service.sandbox.kickserv import PLANTED, employee
from service.sources.fingerprints import fingerprint
from service.sources.reader import Raw
from service.store.lookups import Coverage
from tests.contract.source_rig import Rig, rigged, sample

DAY = timedelta(days=1)


@pytest.fixture
async def rig(clock: VirtualClock) -> AsyncIterator[Rig]:
    """A window of two days back and three days ahead, in New York."""
    async with rigged("kickserv", clock, days_back=2, days_ahead=3) as ready:
        yield ready


def parsed(rig: Rig, **fields: Any) -> Task:
    return rig.source.parse({**sample("kickserv", "task"), **fields})


async def between(rig: Rig) -> list[Raw]:
    """The window that every poll reads."""
    return [raw async for page in rig.source.between() for raw in page.raws.values()]


async def test_the_window_holds_its_last_day(rig: Rig) -> None:
    """`to` leaves out the day it names, so the day after the last is asked for."""
    starts = {days: rig.clock.now() + days * DAY for days in range(-4, 6)}
    made = {days: rig.id_of(rig.system.make(scheduled_at=at)) for days, at in starts.items()}
    listed = {rig.id_of(raw) for raw in await between(rig)}
    assert listed == {made[days] for days in (-2, -1, 0, 1, 2, 3)}


async def test_days_are_those_of_the_account(rig: Rig) -> None:
    """At 03:00 in UTC it is still the evening before in New York."""
    rig.clock.set(datetime(2026, 3, 7, 3, 0, tzinfo=UTC))
    rig.system.make(scheduled_at=datetime(2026, 3, 10, 3, 30, tzinfo=UTC))
    rig.system.make(scheduled_at=datetime(2026, 3, 10, 4, 30, tzinfo=UTC))
    assert len(await between(rig)) == 1


async def test_a_scan_reads_the_whole_account(rig: Rig) -> None:
    """Also what is long past or far ahead, and what has no date; all of it is to be found there."""
    starts = [rig.clock.now() + days * DAY for days in (-900, 0, 900)]
    made = {rig.id_of(rig.system.make(scheduled_at=at)) for at in (None, *starts)}
    assert {rig.id_of(raw) for raw in await rig.listed()} == made
    assert rig.source.covered(whole=True) == Coverage()


async def test_a_poll_vouches_only_for_what_is_well_inside_the_window(rig: Rig) -> None:
    """Outside, at the edge (midnight may have passed) and without a start, absence says nothing."""
    covered = rig.source.covered(whole=False)
    since, before = covered.since, covered.before
    assert since is not None
    assert before is not None
    days = [day for day in range(-3, 5) if since <= rig.clock.now() + day * DAY < before]
    assert days == [-1, 0, 1, 2]


async def test_a_system_that_ignores_the_page_is_read_once(rig: Rig) -> None:
    """The whole list twice is the whole list."""
    made = rig.make(7)
    rig.system.set_quirks(unpaged=True)
    assert [rig.id_of(raw) for raw in await rig.listed()] == made


@pytest.mark.parametrize(
    ("field", "value", "moment"),
    [
        ("completed_on", "2026-03-05", datetime(2026, 3, 6, 4, 59, 59, tzinfo=UTC)),
        ("completed_on", "2026-03-05T10:00:00-05:00", datetime(2026, 3, 5, 15, 0, tzinfo=UTC)),
        ("completed_at", "2026-03-05T10:00:00-05:00", datetime(2026, 3, 5, 15, 0, tzinfo=UTC)),
    ],
)
async def test_done_is_a_date_or_a_time_in_a_field_to_be_named(
    clock: VirtualClock, field: str, value: str, moment: datetime
) -> None:
    """Which field it is stands nowhere, so it is an option."""
    async with rigged("kickserv", clock, completed_field=field) as rig:
        task = parsed(rig, **{field: value})
    assert (task.done, task.completed_at) == (True, moment)


async def test_completing_writes_that_field(clock: VirtualClock) -> None:
    """A day for `completed_on`, a time for `completed_at`, in the account's zone."""
    written = {"completed_on": "2026-03-06", "completed_at": "2026-03-06T07:00:00-05:00"}
    for field, value in written.items():
        async with rigged("kickserv", clock, completed_field=field) as rig:
            rig.system.set_quirks(completed_field=field)
            (task_id,) = rig.make(1)
            await rig.source.complete_task(task_id)
            assert rig.system.record.writes[0].body == {"task": {field: value}}


async def test_a_task_that_is_done_is_not_done_again(rig: Rig) -> None:
    """Else it would look as if it had been finished days later than it was."""
    (task_id,) = rig.make(1)
    done = rig.system.finish(task_id)["completed_on"]
    rig.clock.advance(timedelta(days=3))
    raw = await rig.source.complete_task(task_id)
    assert raw["completed_on"] == done
    assert rig.system.record.writes == []


async def test_due_is_the_end_or_else_some_time_on_the_day_of_the_start(rig: Rig) -> None:
    """A visit of which nobody has said how long it takes is not late when it begins."""
    start, end = "2026-03-05T10:00:00-05:00", "2026-03-05T12:00:00-05:00"
    told = parsed(rig, scheduled_at=start, ends_at=end)
    assert (told.due, told.due_is_day) == (told.end, False)
    untold = parsed(rig, scheduled_at=start, ends_at=None)
    assert (untold.due, untold.due_is_day) == (datetime(2026, 3, 6, 4, 59, 59, tzinfo=UTC), True)
    assert (untold.start_is_day, untold.end) == (False, None)


async def test_a_visit_of_a_whole_day_begins_and_ends_with_it(clock: VirtualClock) -> None:
    """It is due at `due_by`, of its last day if it takes several."""
    async with rigged("kickserv", clock, due_by="17:00") as rig:
        visit = parsed(rig, scheduled_at="2026-03-07", ends_at="2026-03-08")
    assert (visit.start_is_day, visit.end_is_day, visit.due_is_day) == (True, True, True)
    assert visit.start == datetime(2026, 3, 7, 5, tzinfo=UTC)
    assert visit.end == datetime(2026, 3, 9, 3, 59, 59, tzinfo=UTC)  # summer time has begun
    assert visit.due == datetime(2026, 3, 8, 21, tzinfo=UTC)


async def test_a_change_shows_where_no_task_says_when_it_was_changed(rig: Rig) -> None:
    """`updated_at` may be absent: what the task looks like has to do."""
    (task_id,) = rig.make(1)
    rig.system.set_quirks(stamped=False)
    (before,) = await rig.listed()
    rig.system.change(task_id, name="Clean the windows")
    (after,) = await rig.listed()
    assert (rig.source.version(before), rig.source.version(after)) == (None, None)
    assert fingerprint(before) != fingerprint(after)


async def test_glue_may_be_missing(rig: Rig) -> None:
    """Without job, customer, contact and employees it is still a task."""
    rig.make(1)
    rig.system.set_quirks(glue=False)
    raw = (await rig.listed())[0]
    task = rig.source.parse(raw)
    assert (task.customer, task.project, task.assignee, task.assignees) == (None, None, None, ())
    left_open = {"customer", "contacts", "project", "fields", "assignee", "assignees"}
    assert rig.source.unknown_fields(raw) == left_open


def test_empty_glue_says_that_there_is_none(rig: Rig) -> None:
    """Nobody's task and a task without a customer are no tasks of which that was left out."""
    empty: dict[str, Any] = {"job": None, "customer": None, "contact": None, "employees": []}
    raw = rig.source.trim({**sample("kickserv", "task"), **empty})
    task = rig.source.parse(raw)
    assert (task.customer, task.project, task.assignee, task.assignees) == (None, None, None, ())
    assert rig.source.unknown_fields(raw) == frozenset()


@pytest.mark.parametrize("flag", [True, 1, "1", "true"])
async def test_a_customer_who_opted_out_is_known_by_a_field_to_be_named(
    clock: VirtualClock, flag: Any
) -> None:
    """However the system's database hands the flag on; a customer without it has not."""
    customer = {"id": 1, "do_not_text": flag}
    async with rigged("kickserv", clock, opted_out_field="do_not_text") as rig:
        raw = rig.source.trim({**sample("kickserv", "task"), "customer": customer})
        task, other = rig.source.parse(raw), parsed(rig)
    assert task.customer is not None
    assert other.customer is not None
    assert (task.customer.opted_out, other.customer.opted_out) == (True, False)


async def test_a_token_that_changes_is_no_change_of_the_task(rig: Rig) -> None:
    """What is not kept does not count into the fingerprint either."""
    raw = sample("kickserv", "task")
    assert rig.source.trim(raw) == rig.source.trim(_with_token(raw, "another"))
    assert set(PLANTED).isdisjoint(rig.source.trim(raw)["employees"][0])


async def test_an_unknown_task_is_an_invalid_job(rig: Rig) -> None:
    """Kickserv says 400 where others say 404; another 400 is no proof that a task is gone."""
    assert await rig.source.fetch("1") is None
    rig.make(1)
    with pytest.raises(SourceRejected, match="Invalid job"):
        await rig.source.notify("1", "details")


async def test_notifications_say_what_is_meant(rig: Rig) -> None:
    """No body tells the employee, a type tells the customer; nothing else goes out."""
    (task_id,) = rig.make(1)
    for notification in ("employee", "details", "on_the_way"):
        await rig.source.notify(task_id, notification)
    with pytest.raises(SourceRejected, match="no notification party"):
        await rig.source.notify(task_id, "party")
    told = [(one.task_id, one.notification) for one in rig.system.record.notifications]
    assert told == [(task_id, "employee"), (task_id, "details"), (task_id, "on_the_way")]


async def test_writes_are_wrapped_and_in_kickservs_words(rig: Rig) -> None:
    """As the document shows it: {task: {…}}, times with the local offset."""
    (task_id,) = rig.make(1)
    end = datetime(2021, 3, 5, 17, 15, tzinfo=UTC)
    await rig.source.update_task(task_id, {"description": "A new description", "end": end})
    (write,) = rig.system.record.writes
    assert (write.method, write.path) == ("PUT", f"/kickserv/acme/tasks/{task_id}.json")
    assert write.body == {
        "task": {"description": "A new description", "ends_at": "2021-03-05T12:15:00-05:00"}
    }


async def test_the_sandbox_answers_the_documented_calls(rig: Rig) -> None:
    """Jobs of a customer, tasks of a job or of an employee, and a deletion that shows the task."""
    (task_id,) = rig.make(1)
    call = rig.source.upstream.request
    jobs = await call("GET", "/acme/tasks/job_list.json", params={"customer_id": 13579})
    assert jobs == sample("kickserv", "job_list")
    for query, count in (
        ("job_id=34769012", 1),
        ("job_id=1", 0),
        ("mapping=true&employee_number=4", 1),
        ("employee_number=5", 0),
    ):
        assert len(await call("GET", f"/acme/tasks.json?{query}")) == count
    deleted = await call("DELETE", f"/acme/tasks/{task_id}.json", effect=True)
    assert str(deleted["id"]) == task_id
    assert await rig.source.fetch(task_id) is None


async def test_a_new_task_goes_to_the_open_job_of_its_customer(rig: Rig) -> None:
    """If there is just one: what is closed does not count, and nobody guesses among several."""
    closed = {"id": 5, "job_number": 1, "name": "Old", "status": "Completed"}
    rig.system.make(job=closed)
    rig.make(1)
    await rig.source.create_task({"title": "Call", "type": "job", "customer": "13579"})
    assert rig.system.record.writes[0].body["task"]["job_id"] == "34769012"
    rig.system.make(job={**closed, "id": 6, "status": "new"})
    with pytest.raises(SourceRejected, match="customer 13579 has 2 open jobs; set proj"):
        await rig.source.create_task({"title": "Call", "type": "job", "customer": "13579"})
    with pytest.raises(SourceRejected, match="customer 1 has no open job"):
        await rig.source.create_task({"title": "Call", "type": "job", "customer": "1"})
    assert len(rig.system.record.writes) == 1


async def test_an_account_can_be_narrowed(clock: VirtualClock) -> None:
    """To a job, or to what an employee has to do."""
    narrow = {"job_id": 7, "employee_number": 4}
    async with rigged("kickserv", clock, **narrow) as rig:
        job = {"id": 7, "job_number": 1, "name": "Roof", "status": "new"}
        mine = rig.id_of(rig.system.make(job=job))
        rig.system.make(job=job, employees=[employee("Kim Park", 5)])
        rig.system.make()
        assert [rig.id_of(raw) for raw in await rig.listed()] == [mine]
        assert [rig.id_of(raw) for raw in await between(rig)] == [mine]


async def test_a_name_that_is_a_secret_is_refused(clock: VirtualClock) -> None:
    """Whatever somebody writes there, it reaches no table and no page."""
    with pytest.raises(ValidationError, match="password_salt is a secret"):
        async with rigged("kickserv", clock, fields={"email": "password_salt"}):
            pass


@pytest.mark.parametrize(
    ("value", "is_out"),
    [
        *((word, True) for word in ("t", "True", "Yes", "on", "TRUE", "y", 1, "1.0", " yes ")),
        *((word, False) for word in ("f", "no", "off", "0", "", "False", None, 0, "0.0")),
        *((word, True) for word in ("do not call", {"text": True}, ["sms"], 2, "nan")),
    ],
)
async def test_who_has_opted_out_in_words(clock: VirtualClock, value: Any, *, is_out: bool) -> None:
    """As any database or person writes it; a word that nobody knows keeps messages back."""
    async with rigged("kickserv", clock, opted_out_field="do_not_text") as rig:
        task = parsed(rig, customer={"id": 1, "do_not_text": value})
    assert task.customer is not None
    assert task.customer.opted_out is is_out


async def test_a_contact_who_has_opted_out_is_not_reached_either(clock: VirtualClock) -> None:
    """The message would go to them."""
    async with rigged("kickserv", clock, opted_out_field="do_not_text") as rig:
        task = parsed(rig, customer={"id": 1}, contact={"id": 2, "do_not_text": "yes"})
    assert task.customer is not None
    assert task.customer.opted_out


async def test_of_a_customer_only_what_was_asked_for_is_kept(rig: Rig) -> None:
    """The names of tags, and the fields in `customer_fields`; nothing else of an object."""
    raw = sample("kickserv", "task")
    planted = [{"id": 1, "name": "vip", **PLANTED}]
    trimmed = rig.source.trim(
        {**raw, "customer": {**raw["customer"], "tags": planted, "custom_text1": dict(PLANTED)}}
    )
    assert trimmed["customer"]["tags"] == ["vip"]
    written = str(trimmed)
    assert not any(secret in written for secret in PLANTED.values())
    assert "4321" not in written  # custom_text2


async def test_a_custom_field_that_is_a_secret_is_refused(clock: VirtualClock) -> None:
    """It would reach tables and pages under another name."""
    with pytest.raises(ValidationError, match="remember_token is a secret"):
        async with rigged("kickserv", clock, customer_fields={"level": "remember_token"}):
            pass


@pytest.mark.parametrize("tags", [["b", "a"], [{"name": "b"}, {"name": "a"}], {"4": "b", "7": "a"}])
async def test_tags_of_a_customer_in_any_form(rig: Rig, tags: Any) -> None:
    """As objects or names, in any order: the same tags, and the same fingerprint."""
    raw = sample("kickserv", "task")
    trimmed = rig.source.trim({**raw, "customer": {**raw["customer"], "tags": tags}})
    sorted_ones = rig.source.trim({**raw, "customer": {**raw["customer"], "tags": ["a", "b"]}})
    assert rig.source.fingerprint(trimmed) == rig.source.fingerprint(sorted_ones)
    customer = rig.source.parse(trimmed).customer
    assert customer is not None
    assert customer.tags == ("a", "b")


@pytest.mark.parametrize(
    ("name", "value"),
    [("tags", 7), ("tags", "vip"), ("tags", [7]), ("tags", {"a": 1}), ("custom_text1", {"a": 1})],
)
async def test_what_cannot_be_read_of_a_customer_is_said(rig: Rig, name: str, value: Any) -> None:
    """It is counted with the unreadable values, and the rest of the customer is as it is."""
    raw = sample("kickserv", "task")
    trimmed = rig.source.trim({**raw, "customer": {**raw["customer"], name: value}})
    look = rig.source.observe(trimmed, rig.clock.now(), Cause.POLL)
    field = "tags" if name == "tags" else "fields"
    assert look.unread.keys() == {f"customer.{name}"}
    assert f"customer.{field}" in look.untold
    assert "customer" not in look.untold


@pytest.mark.parametrize("value", [True, 1, "2026-03-05", "2026-03-05T10:00:00-05:00"])
async def test_done_may_be_a_truth_value(clock: VirtualClock, value: Any) -> None:
    """Where the account has a tick for it, and no date."""
    async with rigged("kickserv", clock, fields={"done": "finished"}) as rig:
        assert parsed(rig, finished=value).done
        assert not parsed(rig, finished=False).done
        task_id = rig.id_of(rig.system.make(finished=False))
        await rig.source.complete_task(task_id)
        assert rig.system.record.writes[0].body == {"task": {"finished": True}}


@pytest.mark.parametrize("value", ["infinity", "-infinity", "nan", -62135596800, 2, "done at last"])
def test_what_is_neither_a_date_nor_a_truth_value_is_not_done(rig: Rig, value: Any) -> None:
    """A date that stands for none, as databases and Unix time write it, is no tick either."""
    assert not parsed(rig, completed_on=value).done


async def test_a_type_may_be_given_by_its_word(rig: Rig) -> None:
    """The rule says "job", the system hears 77."""
    await rig.source.create_task({"title": "Call", "type": "job", "project": "5"})
    assert rig.system.record.writes[0].body["task"]["task_type_id"] == "77"


def _with_token(raw: Any, token: str) -> Any:
    return {**raw, "employees": [{**one, "remember_token": token} for one in raw["employees"]]}
