"""What cannot be read of a task costs nothing but itself, and shows at the account."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.clock import VirtualClock
from service.store import Pool
from service.store.views import api_lists
from tests.harness.corridor import Corridor, begun, corridor, kinds

HEALING = Path(__file__).parents[2] / "service/store/migrations/0026_unread.sql"
RULES = "- { id: done, when: task.completed, then: [{ notify: accounting }] }"


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with begun(folder, pool, clock, RULES) as running:
        yield running


async def shown(taskbell: Corridor, name: str = "field") -> dict[str, Any]:
    """The account as the API and the page show it."""
    [account] = await api_lists.read_accounts(taskbell.pool, taskbell.clock.now(), [name])
    return account


def rewritten(task: dict[str, Any], *names: str) -> None:
    """Write the task's dates as its system did not write them before."""
    for name in names:
        if task.get(name):
            year, month, day = str(task[name])[:10].split("-")
            task[name] = f"{day}.{month}.{year} 10.00"


async def test_a_zero_date_is_none(taskbell: Corridor) -> None:
    """Known or new, the task is told of; a zero completion is none."""
    known = taskbell.sandbox.plannr.make()
    await taskbell.poll("london")
    taskbell.clock.advance(timedelta(minutes=1))
    known["due_at"] = "-0001-11-30 00:00:00"
    taskbell.sandbox.plannr.finish(known["uuid"])
    new = taskbell.sandbox.plannr.make()
    new["due_at"], new["completed_at"] = "0000-00-00 00:00:00", "0001-01-01 00:00:00"
    await taskbell.poll("london")
    assert "completed" in kinds(await taskbell.events(known["uuid"]))
    assert kinds(await taskbell.events(new["uuid"])) == ["created"]
    assert ((await shown(taskbell, "london"))["state"], await unread(taskbell, "london")) == (
        "ok",
        0,
    )


async def unread(taskbell: Corridor, name: str = "field") -> int:
    return int((await shown(taskbell, name))["unread"])


@pytest.mark.parametrize(
    "odd", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "-0001-11-30 00:00:00", "soon"]
)
async def test_an_odd_version_makes_no_odd_task(taskbell: Corridor, odd: str) -> None:
    """Such a task is one like others, by webhook and by poll, and the account goes on."""
    new = taskbell.sandbox.plannr.make(updated_at=odd)
    await taskbell.webhook({"data": taskbell.sandbox.plannr.whole(new["uuid"])}, "london")
    await taskbell.poll("london", full=True)
    taskbell.clock.advance(timedelta(minutes=1))
    taskbell.sandbox.plannr.finish(new["uuid"])
    new["updated_at"] = odd
    await taskbell.poll("london", full=True)
    assert kinds(await taskbell.events(new["uuid"]))[:2] == ["created", "completed"]
    assert (await shown(taskbell, "london"))["state"] == "ok"


async def test_a_value_that_cannot_be_read_leaves_its_field_as_it_was(taskbell: Corridor) -> None:
    """The others of the task are taken over, and the account shows an example until it is gone."""
    visit = taskbell.visit(name="Mend the fence")
    await taskbell.poll()
    before = await taskbell.snapshot(visit["id"])
    end, visit["ends_at"], visit["description"] = visit["ends_at"], "next week", "bring nails"
    await taskbell.poll()
    known = await taskbell.snapshot(visit["id"])
    assert before is not None
    assert known is not None
    assert (known["end"], known["description"]) == (before["end"], "bring nails")
    account = await shown(taskbell)
    assert (account["state"], account["unread"]) == ("ok", 1)
    assert account["error"] == (
        f"1 value could not be read, for example ends_at of task {visit['id']} (value: 'next"
        " week'). Taskbell keeps the earlier values."
    )
    assert account["unread_at"] == taskbell.clock.now()
    await taskbell.poll(full=True)
    assert await unread(taskbell) == 1
    visit["ends_at"] = end
    await taskbell.poll(full=True)
    account = await shown(taskbell)
    assert (account["unread"], account["unread_at"], account["error"]) == (0, None, None)


@pytest.mark.parametrize(
    ("account", "field", "person"),
    [
        ("field", "customer", {"id": 7, "name": "Ida"}),
        ("field", "contact", {"id": 8, "name": "Al"}),
        ("london", "assigned_to", {"uuid": "a-1", "name": "Alice"}),
        ("london", "taskable", {"uuid": "c-1", "name": "Ida"}),
        ("sales", "assignee", {"id": "u-1", "full_name": "Alice"}),
        ("sales", "contacts", {"id": "c-1", "full_name": "Ida"}),
    ],
)
async def test_people_in_an_unknown_form_are_not_gone(
    taskbell: Corridor, account: str, field: str, person: dict[str, Any]
) -> None:
    """After an upgrade there is an object around each: who it was stays, and the account fails."""
    system = taskbell.sandbox.systems[taskbell.config.accounts[account].system]
    made = [system.make(**{field: person}) for _ in range(4)]
    ids = [str(raw.get("uuid", raw.get("id"))) for raw in made]
    await taskbell.poll(account)
    before = [await taskbell.snapshot(one) for one in ids]
    taskbell.clock.advance(timedelta(minutes=1))
    for one in ids:
        system.change(one)[field] = {"data": person}
    await taskbell.poll(account, full=True)
    after = [await taskbell.snapshot(one) for one in ids]
    for name in ("assignee", "assignees", "customer", "contacts"):
        assert [one and one[name] for one in after] == [one and one[name] for one in before]
    assert {kind for one in ids for kind in kinds(await taskbell.events(one))} == {"created"}
    assert await unread(taskbell, account) == len(ids)
    assert f"cannot read 4 values of {field}" in (await shown(taskbell, account))["error"]


@pytest.mark.parametrize("odd", [True, [None], [[]], {"data": []}])
async def test_one_whose_people_cannot_be_read_keeps_them(taskbell: Corridor, odd: Any) -> None:
    """A webhook shows employees of an unknown form; an empty list says that there are none."""
    visit = taskbell.visit()
    await taskbell.webhook(visit)
    known = await taskbell.snapshot(visit["id"])
    for employees, assignee in ((odd, known and known["assignee"]), ([], None)):
        taskbell.clock.advance(timedelta(minutes=1))
        changed = taskbell.sandbox.kickserv.change(str(visit["id"]))
        await taskbell.webhook({**changed, "employees": employees})
        now = await taskbell.snapshot(visit["id"])
        assert now is not None
        assert now["assignee"] == assignee


async def test_hidden_tasks_break_no_system_between_scans(taskbell: Corridor) -> None:
    """They were pushed, and no list shows them: what comes by change is read all the same."""
    plannr = taskbell.sandbox.plannr
    hidden = [plannr.make(completed_at="soon") for _ in range(4)]
    for one in hidden:
        del plannr.tasks[one["uuid"]]
    await taskbell.webhook([{"data": one} for one in hidden], "london")
    assert await unread(taskbell, "london") == 0  # nobody has counted yet
    for _ in range(3):
        taskbell.clock.advance(timedelta(minutes=1))
        plannr.make()
        await taskbell.poll("london")
        account = await shown(taskbell, "london")
        assert (account["state"], account["unread"]) == ("ok", 4)


@pytest.mark.parametrize("is_new", [True, False])
async def test_what_only_webhooks_tell_of_breaks_no_system(
    *, is_new: bool, pool: Pool, clock: VirtualClock, folder: Path
) -> None:
    """Some tasks that no list has, and of which a date cannot be read: the account is read."""
    async with corridor(folder, pool, clock, RULES) as taskbell:
        if not is_new:
            await taskbell.begin()
        ghosts = [taskbell.sandbox.plannr.make(completed_at="soon") for _ in range(4)]
        for ghost in ghosts:
            del taskbell.sandbox.plannr.tasks[ghost["uuid"]]
        await taskbell.webhook([{"data": one} for one in ghosts], "london")
        for _ in range(2):
            clock.advance(timedelta(minutes=10))
            await taskbell.poll("london", full=True)
            assert (await shown(taskbell, "london"))["state"] == "ok"
            await taskbell.look_up("london")
        assert "deleted" in kinds(await taskbell.events(ghosts[0]["uuid"]))
        await taskbell.poll("london", full=True)
        assert await unread(taskbell, "london") == 0


async def test_a_broken_form_does_not_hide_what_is_gone(taskbell: Corridor) -> None:
    """An account that fails over its dates is read to the end all the same."""
    rolodex = taskbell.sandbox.rolodex
    made = [rolodex.make(due_date=taskbell.clock.now()) for _ in range(20)]
    await taskbell.poll("sales", full=True)
    for task in made:
        rewritten(task, "due_date")
    rolodex.delete(made[0]["id"])
    for _ in range(2):
        taskbell.clock.advance(timedelta(minutes=1))
        await taskbell.poll("sales", full=True)
    assert (await shown(taskbell, "sales"))["state"] == "failing"
    await taskbell.look_up("sales")
    assert "deleted" in kinds(await taskbell.events(made[0]["id"]))


async def test_a_system_that_writes_its_dates_anew_fails_and_says_so(taskbell: Corridor) -> None:
    """Its account must not say that all is well while nothing is seen any more."""
    rolodex = taskbell.sandbox.rolodex
    made = [rolodex.make(due_date=taskbell.clock.now()) for _ in range(20)]
    await taskbell.poll("sales")
    for task in made[:5]:
        rolodex.finish(task["id"])
    for task in made:
        rewritten(task, "due_date", "completed_at", "created_at", "updated_at")
    for _ in range(2):
        taskbell.clock.advance(timedelta(minutes=1))
        await taskbell.poll("sales")
        account = await shown(taskbell, "sales")
        assert account["state"] == "failing"
        assert "cannot read 20 values of created_at, for example '" in account["error"]
        assert account["unread"] == 65


async def test_a_few_bad_rows_are_not_a_failure(taskbell: Corridor) -> None:
    """Three of twenty tasks have dates of their own: the account is ok, and counts them."""
    made = [taskbell.sandbox.rolodex.make(due_date=taskbell.clock.now()) for _ in range(20)]
    for task in made[:3]:
        rewritten(task, "due_date")
    await taskbell.poll("sales", full=True)
    account = await shown(taskbell, "sales")
    assert (account["state"], account["unread"]) == ("ok", 3)


async def test_a_row_of_a_webhook_that_is_no_task_keeps_no_other_from_being_read(
    taskbell: Corridor,
) -> None:
    """The receipt says what was left out; one of which nothing can be read is set aside."""
    whole = taskbell.sandbox.plannr.whole(taskbell.sandbox.plannr.make()["uuid"])
    receipt = await taskbell.receive({"data": [{"name": "x"}, whole, None]}, "london")
    nothing = await taskbell.receive({"data": [{"name": "x"}, None, 7]}, "london")
    await taskbell.ingest()
    assert kinds(await taskbell.events(whole["uuid"])) == ["created"]
    rows = await taskbell.pool.fetch("SELECT id, state, reason FROM receipts ORDER BY id")
    assert [(row["id"], row["state"]) for row in rows] == [(receipt, "done"), (nothing, "poison")]
    assert rows[0]["reason"].startswith(
        "2 of its tasks could not be read: the body has no task's id"
    )


async def test_what_an_odd_date_left_in_the_database_is_healed(taskbell: Corridor) -> None:
    """An account that had failed on infinity since goes on, and its task is told of."""
    made = taskbell.sandbox.plannr.make()
    await taskbell.poll("london")
    taskbell.clock.advance(timedelta(minutes=1))
    await taskbell.pool.execute(
        """
        UPDATE tasks SET version = 'infinity', next_alarm = '-infinity', snapshot = replace(
            snapshot::text, '"due":"2', '"due":"9999-12-31T23:59:59Z","x":"2')::json
        """
    )
    healing = HEALING.read_text().partition("-- 9999")[2]
    await taskbell.pool.execute(f"-- 9999{healing}")
    known = await taskbell.snapshot(made["uuid"])
    assert known is not None
    assert (known["due"], known["title"]) == (None, made["name"])
    taskbell.sandbox.plannr.finish(made["uuid"])
    await taskbell.poll("london")
    assert "completed" in kinds(await taskbell.events(made["uuid"]))
    assert (await shown(taskbell, "london"))["state"] == "ok"


async def test_a_task_that_cannot_be_taken_in_is_left_out_alone(
    taskbell: Corridor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect that one task's content brings about, in reading it or behind."""
    for number in range(5):
        taskbell.visit(name=f"Visit {number}")
    parse = type(taskbell.sources["field"]).parse

    def broken(self: Any, raw: Any) -> Any:
        task = parse(self, raw)
        if raw["name"] == "Visit 1":
            return 1 // 0
        return replace(task, title="\ud800") if raw["name"] == "Visit 3" else task

    monkeypatch.setattr(type(taskbell.sources["field"]), "parse", broken)
    await taskbell.poll(full=True)
    assert kinds(await taskbell.events()) == ["created"] * 3
    account = await shown(taskbell)
    assert (account["state"], account["unread"]) == ("ok", 2)
    assert "integer division or modulo by zero" in account["error"]
