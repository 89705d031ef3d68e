"""What is particular to LetsLigo."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.clock import VirtualClock
from service.domain.model import Cause, Customer
from service.errors import SourceBroken, SourceUnauthorized
from service.http.client import open_client
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.letsligo import LetsLigo
from service.sources.fingerprints import fingerprint
from service.sources.letsligo import _asked_by
from service.sources.letsligo.contacts import CONTACTS_PAUSE, CONTACTS_TRIED
from service.sources.reader import Raw
from tests.contract.source_rig import LONG, Rig, connect, rigged, sample
from tests.harness.receivers import LOOPBACK, Answer, HttpReceiver

CONTACT = "/api/contacts/"


@pytest.fixture
async def rig(clock: VirtualClock) -> AsyncIterator[Rig]:
    async with rigged("letsligo", clock) as ready:
        yield ready


def office(rig: Rig) -> LetsLigo:
    return rig.sandbox.letsligo


def asked(rig: Rig, path: str) -> int:
    """How many calls had that in their path."""
    return sum(path in request for request in rig.system.record.requests)


def digest(rig: Rig, raw: Raw | None) -> bytes:
    assert raw is not None
    return fingerprint(rig.source.list_view(raw))


async def customer(rig: Rig, task_id: str) -> Customer | None:
    raw = await rig.source.fetch(task_id)
    assert raw is not None
    return rig.source.parse(raw).customer


def test_the_documented_list_is_read(rig: Rig) -> None:
    """With the prefix of its sample, and without it as in its table of attributes."""
    documented = sample("letsligo", "documented_list")
    plain = {name.removeprefix("hydra:"): value for name, value in documented.items()}
    for answer in (documented, plain):
        (row,) = rig.source.items(answer) or []
        task = rig.source.parse(rig.source.trim(row))
        assert task.id == "323e4567-e89b-12d3-a456-426614174000"
        assert (task.title, task.type, task.done) == ("Appeler pour suivi", "call", False)
        assert task.due == datetime(2025, 3, 20, 10, tzinfo=UTC)
        assert task.customer == Customer(id="123e4567-e89b-12d3-a456-426614174000")


@pytest.mark.parametrize("odd", [True, {"data": {"id": 7}}, [{"id": 7}], "/api/people/7"])
def test_a_contact_in_an_unknown_form_is_not_nobody(rig: Rig, odd: Any) -> None:
    """It leaves the customer as they were; if there is none, the system says so."""
    for contact, unread in ((odd, ["contact"]), (None, []), ([], [])):
        raw = rig.source.trim({"id": "T-1", "contact": contact})
        seen = rig.source.observe(raw, rig.clock.now(), Cause.FETCH)
        assert list(seen.unread) == unread
        assert ("customer" in seen.untold) == (contact is odd)
        assert digest(rig, raw)


def test_the_documented_task_has_what_its_list_leaves_out(rig: Rig) -> None:
    """Only the description is more; by what lists show, the two are alike."""
    alone = rig.source.trim(sample("letsligo", "documented_task"))
    (row,) = rig.source.items(sample("letsligo", "documented_list")) or []
    assert rig.source.parse(alone).description == "Relance après meeting salon"
    assert digest(rig, alone) == digest(rig, rig.source.trim(row))


@pytest.mark.parametrize(
    ("iri", "task_id"),
    [
        ("/api/contact_tasks/T-1", "T-1"),
        ("/crm/api/contact_tasks/T-1", "T-1"),
        ("https://www.letsligo.com/api/contact_tasks/T-1", "T-1"),
        ("T-1", "T-1"),
        ("/api/contacts/T-1", None),
        ("/api/contact_tasks/", None),
        ("/api/contact_tasks/T-1/notes", None),
    ],
)
def test_an_iri_is_an_id_if_it_is_a_tasks(rig: Rig, iri: str, task_id: str | None) -> None:
    """A contact's IRI in a webhook is no task."""
    assert rig.source.identify({"@id": iri}) == task_id


def test_what_is_null_and_what_is_left_out_are_the_same(rig: Rig) -> None:
    """API Platform can be set up either way."""
    raw = sample("letsligo", "documented_task")
    explicit = {**raw, "taskKind": None, "payload": None, "completedAt": None}
    assert rig.source.trim(explicit) == rig.source.trim(raw)


def test_an_open_task_has_no_time_of_completion(rig: Rig) -> None:
    """Not even a reopened one, whatever is left of the time before."""
    task = rig.source.parse({**sample("letsligo", "task"), "completed": False})
    assert (task.done, task.completed_at) == (False, None)


@pytest.mark.parametrize(
    "quirks",
    [
        {"prefixed": True},
        {"prefixed": False},
        {"totalled": False},
        {"bare": True},
        {"lean": False},
        {"prefixed": False, "totalled": False, "lean": False},
    ],
    ids=str,
)
async def test_every_shape_of_a_list_is_read_to_its_end(rig: Rig, quirks: dict[str, bool]) -> None:
    """Hydra before and after API Platform 4, without a total, and as a bare array."""
    rig.system.set_quirks(**quirks)
    for count in (0, 1, 2, 3, 1):
        rig.make(count)
        listed = [rig.id_of(raw) for raw in await rig.listed()]
        assert listed == list(rig.system.tasks)


@pytest.mark.parametrize(
    ("quirks", "total"), [({}, 2), ({"prefixed": False}, 2), ({"bare": True}, None)]
)
async def test_a_list_says_how_many_tasks_there_are(
    rig: Rig, quirks: dict[str, bool], total: int | None
) -> None:
    """Each page says it of the whole list, where the answer does."""
    rig.system.set_quirks(**quirks)
    rig.make(2)
    totals = {page.total async for page in rig.source.scan() if page.raws}
    assert totals == {total}


async def test_an_upgrade_that_drops_the_prefix_changes_nothing(rig: Rig) -> None:
    """A task looks the same before and after."""
    rig.make(1)
    before = await rig.listed()
    rig.system.set_quirks(prefixed=False)
    assert await rig.listed() == before


async def test_full_lists_and_lean_ones_are_alike(rig: Rig) -> None:
    """Else a list that turns full would make every task look changed, and back."""
    rig.make(1)
    (lean,) = await rig.listed()
    rig.system.set_quirks(lean=False)
    (full,) = await rig.listed()
    assert full != lean
    assert digest(rig, full) == digest(rig, lean)


async def test_what_a_lean_list_leaves_out_is_read_by_id(rig: Rig) -> None:
    """Description, kind and time of completion, and the contact's name."""
    (task_id,) = rig.make(1)
    rig.system.finish(task_id)
    (row,) = await rig.listed()
    assert rig.source.parse(row).description is None
    raw = await rig.source.enrich(row)
    assert raw is not None
    task = rig.source.parse(raw)
    assert (task.description, task.fields) == (
        "Relance après meeting salon",
        {"task_kind": "manual"},
    )
    assert task.completed_at == rig.clock.now().replace(microsecond=0)
    assert task.customer is not None
    assert task.customer.name == "Marie Dubois"


async def test_where_lists_are_full_no_task_is_read_by_id(clock: VirtualClock) -> None:
    """And a description that changes is seen in the list."""
    async with rigged("letsligo", clock, lean_lists=False) as rig:
        rig.system.set_quirks(lean=False)
        (task_id,) = rig.make(1)
        (row,) = await rig.listed()
        assert await rig.source.enrich(row) == await rig.source.fetch(task_id)
        rig.system.record.requests.clear()
        rig.system.change(task_id, description="Rappeler demain")
        (changed,) = await rig.listed()
        enriched = await rig.source.enrich(changed)
        assert digest(rig, changed) != digest(rig, row)
        assert asked(rig, task_id) == 0
        assert enriched is not None
        assert rig.source.parse(enriched).description == "Rappeler demain"


async def test_a_task_that_is_gone_since_it_was_listed_is_none(rig: Rig) -> None:
    """Whether it was deleted is for the next complete scan to say."""
    (task_id,) = rig.make(1)
    (row,) = await rig.listed()
    rig.system.delete(task_id)
    assert await rig.source.enrich(row) is None


async def test_next_is_followed_where_it_leads(rig: Rig) -> None:
    """With all that it asks for, and on the way that leads to the system."""
    rig.make(7)
    await rig.listed()
    assert asked(rig, "/letsligo/api/contact_tasks") == 3


async def test_a_next_page_on_another_origin_is_asked_for_on_ours(rig: Rig) -> None:
    """Behind a proxy a system may know neither its name nor its port: only the query counts."""
    made = rig.make(7)
    rig.system.set_quirks(foreign_next=True)
    assert [rig.id_of(raw) for raw in await rig.listed()] == made
    assert asked(rig, "/letsligo/api/contact_tasks") == 3


@pytest.mark.parametrize(
    ("link", "asks"),
    [
        ("https://www.letsligo.com:8443/api/contact_tasks?page=2", {"page": "2"}),
        ("http://www.letsligo.com/api/contact_tasks?page=2&itemsPerPage=5", None),
        ("/api/contact_tasks?page=2", {"page": "2"}),
        ("http://[", {}),
        (7, {}),
    ],
)
def test_of_a_link_only_its_query_counts(link: Any, asks: dict[str, str] | None) -> None:
    """Another port, another scheme, no link at all: never is another place asked."""
    assert _asked_by(link) == (asks if asks is not None else {"page": "2", "itemsPerPage": "5"})


@pytest.mark.parametrize("flag", ["True", "t", "yes", 1, 1.0, "1", None, ...])
def test_done_may_be_a_word_or_told_by_its_date_alone(rig: Rig, flag: Any) -> None:
    """Where nothing says whether it is done, it is if it says when."""
    raw = {**sample("letsligo", "task"), "completed": flag}
    task = rig.source.parse({name: value for name, value in raw.items() if value is not ...})
    assert task.done
    assert task.completed_at is not None


@pytest.mark.parametrize("totalled", [True, False])
async def test_a_list_that_ends_behind_a_full_page_is_held_against_its_total(
    clock: VirtualClock, *, totalled: bool
) -> None:
    """Where there is one: else the end is the end."""
    async with rigged("letsligo", clock, per_page=3) as rig:
        rig.make(7)
        rig.system.set_quirks(ends_early=True, totalled=totalled)
        if totalled:
            with pytest.raises(SourceBroken, match="ended after 3 of 7"):
                await rig.listed()
        else:
            assert len(await rig.listed()) == 3


@pytest.mark.parametrize(("total", "calls"), [(5, 3), (2, 3), (4000, 3)])
async def test_a_wrong_total_keeps_no_list_from_being_read(
    clock: VirtualClock, total: int, calls: int
) -> None:
    """It may count what the token does not see: the list ends where no more comes, asked twice."""
    row = {"id": 1, "title": "x", "dueDate": None, "completed": False}
    page = {"hydra:member": [row | {"id": n} for n in range(4)], "hydra:totalItems": total}
    empty = Answer(200, {"hydra:member": [], "hydra:totalItems": total})
    async with HttpReceiver() as receiver, open_client(LOOPBACK) as client:
        receiver.reply(Answer(200, page), *[empty] * 9)
        source = connect("letsligo", clock, client, receiver.url)
        listed = [one for found in [page async for page in source.scan()] for one in found.raws]
        assert listed == ["0", "1", "2", "3"]
        assert len(receiver.requests) == calls


async def test_an_empty_list_that_claims_to_have_tasks_is_not_believed(clock: VirtualClock) -> None:
    """It proves nothing, least of all that all are gone."""
    async with HttpReceiver() as receiver, open_client(LOOPBACK) as client:
        receiver.reply(*[Answer(200, {"hydra:member": [], "hydra:totalItems": 4})] * 9)
        source = connect("letsligo", clock, client, receiver.url)
        with pytest.raises(SourceBroken, match="ended after 0 of 4"):
            [page async for page in source.scan()]


async def test_a_bare_list_that_takes_no_notice_of_the_page_is_read_once(rig: Rig) -> None:
    """The whole list twice is the whole list."""
    made = rig.make(7)
    rig.system.set_quirks(bare=True, unpaged=True)
    assert [rig.id_of(raw) for raw in await rig.listed()] == made


async def test_a_contact_is_read_once_for_all_its_tasks(rig: Rig) -> None:
    """And again when an hour has passed."""
    marie = office(rig).meet(name="Marie Dubois", emails=["m@acme.test", "m@home.test"])
    made = [rig.id_of(rig.system.make(contact=marie)) for _ in range(3)]
    for task_id in made:
        found = await customer(rig, task_id)
        own = {"company": "Acme Corp"}
        assert found == Customer(id=marie, name="Marie Dubois", email="m@acme.test", fields=own)
    assert asked(rig, CONTACT) == 1
    office(rig).contacts[marie]["name"] = "Marie Martin"
    rig.clock.advance(timedelta(hours=1))
    renamed = await customer(rig, made[0])
    assert renamed is not None
    assert renamed.name == "Marie Martin"


@pytest.mark.parametrize("kind", [FaultKind.NOT_FOUND, FaultKind.UNAUTHORIZED])
async def test_a_contact_that_may_not_be_seen_is_not_asked_for_again(
    rig: Rig, kind: FaultKind
) -> None:
    """The task is there, its customer an id, and nothing is left to be read."""
    (task_id,) = rig.make(1)
    (row,) = await rig.listed()
    rig.system.faults.set(Fault(kind, path=CONTACT))
    for _ in range(3):
        enriched = await rig.source.enrich(row)
        assert digest(rig, enriched) == digest(rig, row)
    found = await customer(rig, task_id)
    assert found is not None
    assert found == Customer(id=found.id)
    assert asked(rig, CONTACT) == 1


@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.FAILED,
        FaultKind.SLOW,
        FaultKind.TRUNCATED,
        FaultKind.PAGE,
        FaultKind.RESET_BEFORE,
        FaultKind.THROTTLED,
    ],
)
async def test_a_contact_that_fails_does_not_lose_the_task(rig: Rig, kind: FaultKind) -> None:
    """It comes without the name and counts as changed, so that the next scan reads it again."""
    (task_id,) = rig.make(1)
    (row,) = await rig.listed()
    rig.system.faults.set(Fault(kind, times=2, path=CONTACT, seconds=LONG))
    enriched = await rig.source.enrich(row)
    assert digest(rig, enriched) != digest(rig, row)
    rig.system.faults.clear()
    rig.clock.advance(CONTACTS_PAUSE)
    found = await customer(rig, task_id)
    assert found is not None
    assert found.name == "Marie Dubois"
    assert digest(rig, await rig.source.enrich(row)) == digest(rig, row)


async def test_contacts_that_fail_are_left_alone_for_a_minute(rig: Rig) -> None:
    """Else each of a thousand tasks would wait for a contact that does not answer."""
    met = [office(rig).meet(name=f"Contact {n}") for n in range(9)]
    made = [rig.id_of(rig.system.make(contact=one)) for one in met]
    rig.system.faults.set(Fault(FaultKind.FAILED, times=99, path=CONTACT))
    for task_id in made:
        assert await rig.source.fetch(task_id) is not None
    assert asked(rig, CONTACT) == CONTACTS_TRIED
    rig.clock.advance(CONTACTS_PAUSE)
    await rig.source.fetch(made[0])
    assert asked(rig, CONTACT) == CONTACTS_TRIED + 1


async def test_a_contact_that_always_fails_keeps_no_other_from_being_read(rig: Rig) -> None:
    """Of four tasks the first one's is broken; the names of the others are known at once."""
    met = [office(rig).meet(name=f"Contact {n}") for n in range(4)]
    made = [rig.id_of(rig.system.make(contact=one)) for one in met]
    rig.system.faults.set(Fault(FaultKind.FAILED, times=99, path=f"{CONTACT}{met[0]}"))
    for _ in range(2):
        found = [await customer(rig, task_id) for task_id in made]
        assert [one.name for one in found if one] == [None, "Contact 1", "Contact 2", "Contact 3"]
    assert asked(rig, CONTACT) == 4


async def test_a_contact_known_from_before_is_better_than_none(rig: Rig) -> None:
    """While contacts fail, the name that was read an hour ago stands."""
    (task_id,) = rig.make(1)
    await customer(rig, task_id)
    rig.clock.advance(timedelta(hours=2))
    rig.system.faults.set(Fault(FaultKind.FAILED, times=9, path=CONTACT))
    found = await customer(rig, task_id)
    assert found is not None
    assert found.name == "Marie Dubois"


async def test_contacts_are_remembered_up_to_a_number(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was read longest ago makes room."""
    monkeypatch.setattr("service.sources.letsligo.contacts.CONTACTS_KEPT", 2)
    made = rig.make(3)
    for task_id in (*made, made[2], made[1], made[0]):
        await rig.source.fetch(task_id)
    assert asked(rig, CONTACT) == 4


async def test_a_workspace_is_named_in_every_call(rig: Rig, clock: VirtualClock) -> None:
    """A token for several workspaces says which one is meant; another is refused."""
    (task_id,) = rig.make(1)
    await rig.source.fetch(task_id)
    async with rigged("letsligo", clock, workspace="another") as stranger:
        with pytest.raises(SourceUnauthorized):
            await stranger.listed()
    async with rigged("letsligo", clock, workspace=None) as only_one:
        assert await only_one.listed() == []
        assert "X-Workspace-Slug" not in only_one.source.account.headers()


def test_json_ld_is_asked_for_before_plain_json(rig: Rig) -> None:
    """A bare array has no links, so it is the second choice."""
    accept = rig.source.account.headers()["Accept"]
    assert accept == "application/ld+json, application/json;q=0.5"
