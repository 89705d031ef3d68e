"""Looks that tell less of a task, or in another form: what they leave out has not happened."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service.clock import VirtualClock
from service.domain.alarms import WatchedDates
from service.domain.model import Cause, Task
from service.engine.tracking import track, with_known_fields
from service.http.client import open_client
from service.sources import Source
from service.sources.payload import TaskRef, read
from service.sources.reader import Raw
from service.store.accounts import AccountState
from service.store.tasks import TaskState
from tests.contract.source_rig import connect, sample
from tests.harness.receivers import LOOPBACK

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
DATES = WatchedDates(frozenset({"due", "start"}), ZoneInfo("UTC"))
ACCOUNT = AccountState("a", NOW - timedelta(days=9), NOW - timedelta(days=8), NOW, NOW, 0)
LATER = {"updated_at": "2026-07-01T12:00:00Z"}
ALICE, AMIR = {"full_name": "Alice Smith"}, {"name": "Amir Khan"}
UUID = "30d23b50-4199-4e4e-b863-ee43b667bb1c"
CASE = "1180070e-6645-436d-b336-fdcd1f5e5087"
CONTACT = "123e4567-e89b-12d3-a456-426614174000"


async def source_of(system: str, clock: VirtualClock, **options: Any) -> Source:
    """Nothing is asked of it."""
    async with open_client(LOOPBACK) as client:
        return connect(system, clock, client, "http://127.0.0.1:9", **options)


def known_from(source: Source, raw: Raw) -> TaskState:
    look = source.observe(source.trim(raw), NOW, Cause.POLL)
    return TaskState(look.task, None, look.version, look.observed_at)


def seen_after(source: Source, known: TaskState, raw: Raw) -> tuple[list[str], Task]:
    """What another look says to have happened, and the task as it is known then."""
    look = source.observe(source.trim(raw), NOW + timedelta(minutes=1), Cause.POLL)
    after = track(known, with_known_fields(known, look), ACCOUNT, DATES, NOW + timedelta(minutes=1))
    assert after is not None
    assert after.known.task is not None
    return [str(one.kind) for one in after.transitions], after.known.task


def without(raw: Raw, *names: str) -> Raw:
    return {name: value for name, value in raw.items() if name not in names}


LEFT_OUT = {
    "plannr": (
        *("name", "description", "priority", "due_at", "assigned_to", "custom_fields", "taskable"),
        *("taskable_type", "author", "completed_by", "completed_at", "status"),
    ),
    "rolodex": ("body", "due_date", "completed_at", "contacts", "assignee", "tags", "creator"),
    "kickserv": (
        *("name", "description", "scheduled_at", "ends_at", "task_type_id"),
        *("job", "customer", "contact", "employees"),
    ),
}


@pytest.mark.parametrize(
    ("system", "name"), [(system, name) for system, names in LEFT_OUT.items() for name in names]
)
async def test_a_field_that_is_left_out_stays_as_it_was(
    clock: VirtualClock, system: str, name: str
) -> None:
    """Null clears a field; one that a list, response or webhook lacks keeps its known value."""
    source, raw = await source_of(system, clock), sample(system, "task") | LATER
    known = known_from(source, raw)
    happened, after = seen_after(source, known, without(raw, name))
    assert happened == []
    # Without the contact, the customer is reached at their own address.
    assert after == known.task or name == "contact"


async def test_a_status_and_a_date_that_are_both_left_out_leave_it_done(
    clock: VirtualClock,
) -> None:
    """Neither says that it was opened again."""
    source, raw = await source_of("plannr", clock), sample("plannr", "task") | LATER
    known = known_from(source, raw)
    assert seen_after(source, known, without(raw, "status", "completed_at"))[0] == []


@pytest.mark.parametrize(
    ("system", "name", "value"),
    [
        *(("plannr", "assigned_to", one) for one in (UUID, UUID.upper(), [UUID], {"3": UUID})),
        *(("plannr", "assigned_to", one) for one in ({"id": UUID}, [{"id": UUID}], AMIR, [AMIR])),
        ("plannr", "assigned_to", {"email": "Amir@Firm.test"}),
        *(("plannr", "taskable", one) for one in (CASE, CASE.upper(), {"uuid": CASE})),
        ("plannr", "priority", "MEDIUM"),
        *(("rolodex", "assignee", one) for one in ("user_456", ALICE, [ALICE], {"0": "user_456"})),
        ("rolodex", "assignee", {"id": None, **ALICE}),
        *(("rolodex", "contacts", one) for one in (["contact_456", "contact_123"],)),
        ("rolodex", "contacts", [{"full_name": "Jane Smith"}, {"full_name": "John Doe"}]),
        *(("rolodex", "tags", one) for one in (["tag_102", "tag_101"], [{"id": "tag_101"}], None)),
        ("rolodex", "tags", ["High Priority", "Sales"]),
        *(("rolodex", "creator", one) for one in ("user_789", {"id": "user_789"})),
        ("kickserv", "employees", ["846788", 846787.0]),
        ("kickserv", "employees", {"5": 846788, "9": {"id": 846787}}),
        (
            *("kickserv", "employees"),
            [{"name": "Kim Park"}, {"first_name": "Bo", "last_name": "Reed"}],
        ),
        *(("kickserv", "job", one) for one in (34769012, "34769012", [34769012])),
        ("kickserv", "job", {"id": 34769012, "name": "Gutters and roof"}),
        *(("kickserv", "customer", one) for one in (13579, [{"id": 13579}], {"name": "Ida Smith"})),
        *(("kickserv", "contact", one) for one in (24601, [24601])),
        *(("letsligo", "contact", one) for one in (CONTACT, f"/api/contacts/{CONTACT.upper()}/")),
        ("letsligo", "contact", {"@id": "/api/.well-known/genid/7", "id": CONTACT}),
    ],
)
async def test_who_or_what_is_told_in_another_form_is_the_same(
    clock: VirtualClock, system: str, name: str, value: Any
) -> None:
    """By the id or the name alone, in capitals, in a list of one or an object in place of one."""
    source, raw = await source_of(system, clock), sample(system, "task") | LATER
    happened, _ = seen_after(source, known_from(source, raw), raw | {name: value})
    assert happened == []


async def test_one_person_may_stand_without_a_list(clock: VirtualClock) -> None:
    """Kickserv's only employee, Rolodex's only contact: as an object, or the id."""
    field, raw = await source_of("kickserv", clock), sample("kickserv", "task") | LATER
    raw["employees"] = raw["employees"][:1]
    for one in (raw["employees"][0], raw["employees"][0]["id"]):
        assert seen_after(field, known_from(field, raw), raw | {"employees": one})[0] == []
    sales, raw = await source_of("rolodex", clock), sample("rolodex", "task") | LATER
    raw["contacts"] = raw["contacts"][:1]
    for one in (raw["contacts"][0], raw["contacts"][0]["id"]):
        assert seen_after(sales, known_from(sales, raw), raw | {"contacts": one})[0] == []


@pytest.mark.parametrize(
    ("system", "name"),
    [
        ("plannr", "assigned_to"),
        ("rolodex", "assignee"),
        ("kickserv", "employees"),
    ],
)
@pytest.mark.parametrize("none", [None, [], {}, ""])
async def test_nobody_is_somebody_less(
    clock: VirtualClock, system: str, name: str, none: Any
) -> None:
    """What is there and empty says that there is nobody any more."""
    source, raw = await source_of(system, clock), sample(system, "task") | LATER
    assert seen_after(source, known_from(source, raw), raw | {name: none})[0] == ["reassigned"]


async def test_of_another_case_and_job_nothing_is_kept(clock: VirtualClock) -> None:
    """Its worth is not known, and where it stands is not either."""
    for system, name, other in (("plannr", "taskable", "other"), ("kickserv", "job", 5)):
        source, raw = await source_of(system, clock), sample(system, "task") | LATER
        happened, after = seen_after(source, known_from(source, raw), raw | {name: other})
        assert happened == ["changed"]
        assert not after.fields.keys() & {"value", "value_currency", "job_number", "job_status"}


async def test_several_values_may_be_an_object_with_numbers_for_names(clock: VirtualClock) -> None:
    """A field of several choices, and what LetsLigo keeps with a task, as PHP writes lists."""
    source, raw = await source_of("plannr", clock), sample("plannr", "task") | LATER
    *others, regions = raw["custom_fields"]
    turned = [*others, regions | {"value": {"4": "South", "7": "North"}}]
    assert seen_after(source, known_from(source, raw), raw | {"custom_fields": turned})[0] == []
    source, raw = await source_of("letsligo", clock), sample("letsligo", "task")
    raw["payload"] = {"steps": ["a", "b"]}
    other = raw | {"payload": {"steps": {"1": "a", "3": "b"}}}
    assert seen_after(source, known_from(source, raw), other)[0] == []


@pytest.mark.parametrize("system", ["plannr", "kickserv"])
async def test_a_further_field_of_customers_is_read_of_every_task(
    clock: VirtualClock, system: str
) -> None:
    """Also of those that have not changed since; without such fields nothing is read again."""
    raw = sample(system, "task")
    prints = []
    for fields in ({}, {}, {"level": "custom_text2"}, {"level": "custom_text3"}):
        source = await source_of(system, clock, customer_fields=fields)
        prints.append(source.fingerprint(source.trim(raw)))
    assert prints[0] == prints[1]
    assert len({*prints}) == 3


CLIENT: Raw = {
    "uuid": UUID,
    "name": "Ida",
    "tags": [{"name": "vip"}],
    "groups": [{"name": "North"}],
    "custom_fields": [
        {"reference": "service_level", "value": "gold"},
        {"reference": "income", "value": 40_000},
    ],
}
IDA: Raw = {"id": 13579, "name": "Ida Smith", "tags": ["vip"], "custom_text1": "gold"}
CUSTOMERS: dict[str, tuple[Raw, Raw]] = {
    "plannr": ({"taskable_type": "client"}, CLIENT),
    "kickserv": ({}, IDA),
}
NAMES = {"plannr": "taskable", "kickserv": "customer"}
LEVELS = {"plannr": "service_level", "kickserv": "custom_text1"}


@pytest.mark.parametrize("system", CUSTOMERS)
async def test_another_tag_or_field_of_a_customer_is_no_event(
    clock: VirtualClock, system: str
) -> None:
    """It is stored: from then on, rules and messages use it."""
    source = await source_of(system, clock, customer_fields={"level": LEVELS[system]})
    about, one = CUSTOMERS[system]
    raw = sample(system, "task") | LATER | about
    known = known_from(source, raw | {NAMES[system]: one})
    assert known.task is not None
    assert known.task.customer is not None
    assert known.task.customer.tags == ("vip",)
    assert known.task.customer.fields == {"level": "gold"}
    none: Raw = {"tags": [], "groups": [], "custom_fields": [], "custom_text1": None}
    happened, after = seen_after(source, known, raw | {NAMES[system]: {**one, **none}})
    assert happened == []
    assert after.customer is not None
    assert (after.customer.tags, after.customer.groups, after.customer.fields) == ((), (), {})


@pytest.mark.parametrize("system", CUSTOMERS)
async def test_tags_and_fields_that_are_left_out_stay_with_their_customer(
    clock: VirtualClock, system: str
) -> None:
    """Of the same customer nothing is forgotten; of another one nothing is taken over."""
    source = await source_of(system, clock, customer_fields={"level": LEVELS[system]})
    about, one = CUSTOMERS[system]
    raw = sample(system, "task") | LATER | about
    known = known_from(source, raw | {NAMES[system]: one})
    assert known.task is not None
    bare = without(one, "tags", "groups", "custom_fields", "custom_text1")
    assert seen_after(source, known, raw | {NAMES[system]: bare})[1].customer == known.task.customer
    for name, odd in (("tags", "vip"), ("groups", 7), ("custom_fields", "x"), ("custom_text1", {})):
        if name in one:
            unread = raw | {NAMES[system]: {**one, name: odd}}
            assert seen_after(source, known, unread)[1].customer == known.task.customer
    other = {**bare, "id": 2, "uuid": CASE, "name": "Al"}
    customer = seen_after(source, known, raw | {NAMES[system]: other})[1].customer
    assert customer is not None
    assert (customer.tags, customer.groups, customer.fields) == ((), (), {})


@pytest.mark.parametrize(
    "who",
    [
        {"customer": {"name": "Ida Smith", "do_not_text": "t"}},
        {"customer": [{"id": 1, "do_not_text": "t"}]},
        {"customer": None, "contact": {"id": 2, "do_not_text": "t"}},
        {"customer": {}, "contact": {"name": "Her son", "do_not_text": "t"}},
    ],
)
async def test_who_has_opted_out_is_known_in_any_form(
    clock: VirtualClock, who: dict[str, Any]
) -> None:
    """Without an id, in a list of one, or as the contact of a task that has no customer."""
    source = await source_of("kickserv", clock, opted_out_field="do_not_text")
    task = source.parse(source.trim({**sample("kickserv", "task"), **who}))
    assert task.customer is not None
    assert task.customer.opted_out


async def test_who_has_opted_out_stays_so_where_nothing_is_said(clock: VirtualClock) -> None:
    """Until the flag is there and says otherwise; of another customer it says nothing."""
    source = await source_of("kickserv", clock, opted_out_field="do_not_text")
    raw = sample("kickserv", "task") | LATER
    known = known_from(source, raw | {"customer": {"id": 1, "do_not_text": "yes"}})
    told = {
        1: {"customer": {"id": 1, "name": "Ida Smith"}},
        2: {"customer": {"id": 1, "do_not_text": False}},
        3: {"customer": {"id": 2, "name": "Ida Jones"}},
    }
    after = {n: seen_after(source, known, raw | one)[1].customer for n, one in told.items()}
    assert {n: one and one.opted_out for n, one in after.items()} == {1: True, 2: False, 3: False}


@pytest.mark.parametrize(
    ("system", "body", "task_id"),
    [
        ("letsligo", {"@id": "/api/contact_tasks/5", "payload": {"id": "step-2"}}, "5"),
        ("letsligo", {"id": "5", "completed": True, "payload": {"id": "step-2"}}, "5"),
        ("letsligo", {"id": "5", "payload": {"step": 2}}, "5"),
        ("letsligo", {"@id": "/api/.well-known/genid/7", "id": "5", "completed": True}, "5"),
        ("kickserv", {"id": 7, "data": {"source": "zap"}}, "7"),
        ("plannr", {"uuid": None, "id": 7}, "7"),
        ("rolodex", {"id": "", "uuid": "task_7"}, "task_7"),
    ],
)
async def test_a_hint_is_at_the_task_whose_id_it_has(
    clock: VirtualClock, system: str, body: Raw, task_id: str
) -> None:
    """Not at something inside of it, nor at nothing because it has more or an empty id."""
    [found] = read(await source_of(system, clock), body)
    assert isinstance(found, TaskRef)
    assert found.task_id == task_id
