"""Many tasks that go, or come into sight, at once: rights that were lost or gained, not news."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from service.clock import VirtualClock
from service.outbox.alerts import OperatorAddress
from service.store import Pool, accounts, canaries
from service.store.views import api_lists
from service.store.views.listing import Row
from tests.harness.corridor import Corridor, begun, kinds
from workers.alerts import Alerts

RULES = """\
- { id: gone, when: task.deleted, then: [{ notify: accounting }] }
- { id: late, when: task.overdue, then: [{ notify: accounting }] }
- { id: soon, accounts: [field], when: { task.starting_soon: 2h }, expires: 4h,
    then: [{ notify: "customer:on_the_way" }] }
"""
SYSTEMS = {"field": "kickserv", "london": "plannr", "sales": "rolodex"}


@pytest.fixture
async def taskbell(pool: Pool, clock: VirtualClock, folder: Path) -> AsyncIterator[Corridor]:
    """A Taskbell after its first sync."""
    async with begun(folder, pool, clock, RULES) as running:
        yield running


def make(taskbell: Corridor, account: str, count: int, **due: float) -> list[str]:
    """So many tasks, by their ids, that are due after that time."""
    system = taskbell.sandbox.systems[SYSTEMS[account]]
    at = taskbell.clock.now() + timedelta(**due or {"days": 2})
    dates = {system.when: at} | ({"ends_at": at} if account == "field" else {})
    made = [system.make(**dates) for _ in range(count)]
    return [str(one.get("id") or one["uuid"]) for one in made]


def forbid(taskbell: Corridor, account: str, tasks: Sequence[str]) -> None:
    """The token may see all but these."""
    taskbell.sandbox.systems[SYSTEMS[account]].forbidden = set(tasks)


async def pass_by(taskbell: Corridor, account: str, *, full: bool = False, **time: float) -> None:
    """Time passes, and the account is read."""
    await taskbell.tick(**time or {"minutes": 1})
    await taskbell.poll(account, full=full)
    await taskbell.look_up(account)
    await taskbell.tick(seconds=0)


async def shown(taskbell: Corridor, account: str) -> Row:
    [row] = await api_lists.read_accounts(taskbell.pool, taskbell.clock.now(), [account])
    return row


@pytest.mark.parametrize("account", SYSTEMS)
async def test_rights_that_are_lost_on_some_tasks_tell_nothing(
    taskbell: Corridor, account: str
) -> None:
    """Of 60 tasks 40 are not to be seen for an hour: the account says so, and no event comes."""
    made = make(taskbell, account, 60, minutes=30)
    await pass_by(taskbell, account, full=True)
    await taskbell.pool.execute("DELETE FROM events")
    forbid(taskbell, account, made[:40])
    await pass_by(taskbell, account, full=True)
    found = await shown(taskbell, account)
    assert (found["state"], found["absent"]) == ("ok", 40)
    assert f"taskbell accounts sync {account} --believe" in found["error"]
    for _ in range(3):
        await pass_by(taskbell, account, minutes=20)
    assert set(await taskbell.events()) == {"overdue by clock"}
    assert len(await taskbell.events()) == 20, "of what is not to be seen nothing is told"

    forbid(taskbell, account, [])
    await pass_by(taskbell, account, full=True)
    found = await shown(taskbell, account)
    assert (found["absent"], found["error"]) == (0, None)
    assert set(await taskbell.events()) == {"overdue by clock"}
    assert await taskbell.snapshot(made[0])


async def test_what_a_person_believes_is_told(taskbell: Corridor) -> None:
    """They are really deleted: `accounts sync --believe` tells of each at once, and only of now."""
    made = make(taskbell, "sales", 60)
    await pass_by(taskbell, "sales")
    forbid(taskbell, "sales", made[:20])
    await pass_by(taskbell, "sales")
    await canaries.believe(taskbell.pool, "sales")
    await accounts.poll_now(taskbell.pool, "sales", taskbell.clock.now())
    await pass_by(taskbell, "sales")
    assert kinds(await taskbell.events()).count("deleted") == 20
    await pass_by(taskbell, "sales")
    forbid(taskbell, "sales", made[:30])
    await pass_by(taskbell, "sales")
    assert kinds(await taskbell.events()).count("deleted") == 20


async def test_a_person_may_say_so_beforehand(taskbell: Corridor) -> None:
    """Somebody has cleared up, and says so before the list has shown it."""
    made = make(taskbell, "field", 60)
    await pass_by(taskbell, "field", full=True)
    for task in made[:40]:
        taskbell.sandbox.kickserv.delete(task)
    await canaries.believe(taskbell.pool, "field")
    await pass_by(taskbell, "field", full=True)
    assert kinds(await taskbell.events()).count("deleted") == 40


async def test_after_a_day_they_are_deleted(taskbell: Corridor) -> None:
    """Nobody says anything: time decides."""
    made = make(taskbell, "sales", 60, days=9)
    await pass_by(taskbell, "sales")
    forbid(taskbell, "sales", made[:40])
    for _ in range(23):
        await pass_by(taskbell, "sales", hours=1)
    assert "deleted" not in kinds(await taskbell.events())
    for _ in range(2):
        await pass_by(taskbell, "sales", hours=1)
    assert kinds(await taskbell.events()).count("deleted") == 40
    assert (await shown(taskbell, "sales"))["absent"] == 0


async def test_a_few_among_many_that_are_only_hidden_are_told_at_once(taskbell: Corridor) -> None:
    """A list lost 40, of which 37 are there by id: the other three are gone at once."""
    made = make(taskbell, "field", 60)
    await pass_by(taskbell, "field", full=True)
    taskbell.sandbox.kickserv.hidden.update(made[:40])
    forbid(taskbell, "field", made[:3])
    await pass_by(taskbell, "field")
    assert kinds(await taskbell.events()).count("deleted") == 3


async def test_open_tasks_on_no_list_are_lost_at_once_too(taskbell: Corridor) -> None:
    """Kickserv shows old open tasks by id only, ten a poll: with the rights on them gone, none."""
    made = make(taskbell, "field", 40, days=400)
    make(taskbell, "field", 20)
    await pass_by(taskbell, "field", full=True)
    forbid(taskbell, "field", made)
    for _ in range(6):
        await pass_by(taskbell, "field")
    assert "deleted" not in kinds(await taskbell.events())
    assert (await shown(taskbell, "field"))["absent"] == 40


async def test_no_customer_hears_of_a_task_that_may_be_gone(taskbell: Corridor) -> None:
    """The message waits, and looks again; no event comes of its look."""
    visits = [str(taskbell.visit()["id"]) for _ in range(4)]
    others = make(taskbell, "field", 56, days=3)
    await pass_by(taskbell, "field", full=True)
    await taskbell.tick(hours=22)
    assert await taskbell.states("soon") == ["planned"] * 4
    forbid(taskbell, "field", [*visits, *others[:36]])
    await pass_by(taskbell, "field", full=True)
    await taskbell.deliver()
    assert taskbell.told == []
    assert await taskbell.states("soon") == ["held"] * 4
    assert "deleted" not in kinds(await taskbell.events())


async def test_what_webhooks_announce_is_told_as_it_comes(taskbell: Corridor) -> None:
    """Forty deletions that the system itself announces are no loss of rights."""
    made = make(taskbell, "field", 60)
    await pass_by(taskbell, "field", full=True)
    for task in made[:40]:
        taskbell.sandbox.kickserv.delete(task)
        await taskbell.receive({"event": "task.deleted", "data": {"id": task}})
    await taskbell.ingest()
    await taskbell.look_up("field")
    assert kinds(await taskbell.events()).count("deleted") == 40


async def test_the_operator_hears_of_it_once(taskbell: Corridor) -> None:
    """Not of what is cleared up within seconds; once of what stays; anew when it happens again."""
    ear = OperatorAddress("accounting", "", at_most_once=False, zone=taskbell.config.zones["sales"])
    alerts = Alerts(taskbell.pool, taskbell.clock, ["sales"], ear)
    made = make(taskbell, "sales", 60)
    await pass_by(taskbell, "sales")
    for told in (1, 2):
        forbid(taskbell, "sales", made[:40])
        await pass_by(taskbell, "sales")
        await alerts.batch()
        assert len(await taskbell.deliveries("tasks.held")) == told - 1
        for _ in range(3):
            await taskbell.tick(minutes=2)
            await alerts.batch()
        texts = [row["text"] for row in await taskbell.deliveries("tasks.held")]
        assert len(texts) == told
        assert "40 tasks disappeared from" in texts[-1]
        forbid(taskbell, "sales", [])
        await pass_by(taskbell, "sales")
        await alerts.batch()


@pytest.mark.parametrize("account", SYSTEMS)
async def test_rights_that_are_gained_on_many_tasks_tell_nothing(
    taskbell: Corridor, account: str
) -> None:
    """Forty tasks that were made unseen show an hour later, overdue: what follows is told."""
    make(taskbell, account, 20)
    await pass_by(taskbell, account, full=True)
    made = make(taskbell, account, 40, minutes=30)
    forbid(taskbell, account, made)
    for _ in range(3):
        await pass_by(taskbell, account, full=True, minutes=20)
    await taskbell.pool.execute("DELETE FROM events")

    forbid(taskbell, account, [])
    await pass_by(taskbell, account, full=True)
    assert await taskbell.events() == []
    found = await shown(taskbell, account)
    assert (found["state"], found["appeared"]) == ("ok", 40)
    assert f"40 older tasks appeared in {SYSTEMS[account]} at once" in found["error"]
    taskbell.sandbox.systems[SYSTEMS[account]].finish(made[0])
    await pass_by(taskbell, account, full=True)
    assert await taskbell.events() == ["completed by poll"]
    await pass_by(taskbell, account, full=True, hours=25)
    assert ((await shown(taskbell, account))["appeared"]) == 0


async def test_rights_that_come_back_after_days_tell_nothing(taskbell: Corridor) -> None:
    """What counted as deleted is there again, without forty restored and forty overdue tasks."""
    made = make(taskbell, "sales", 60, hours=30)
    await pass_by(taskbell, "sales")
    forbid(taskbell, "sales", made[:40])
    for _ in range(26):
        await pass_by(taskbell, "sales", hours=1)
    assert kinds(await taskbell.events()).count("deleted") == 40
    await taskbell.tick(hours=5)
    await taskbell.pool.execute("DELETE FROM events")
    forbid(taskbell, "sales", [])
    await pass_by(taskbell, "sales")
    assert await taskbell.events() == []
    assert (await shown(taskbell, "sales"))["appeared"] == 40


async def test_few_old_tasks_that_appear_are_told(taskbell: Corridor) -> None:
    """One that was made an hour ago, three that are there again: as ever."""
    made = make(taskbell, "sales", 20)
    await pass_by(taskbell, "sales")
    late = make(taskbell, "sales", 1)
    forbid(taskbell, "sales", [*late, *made[:3]])
    for _ in range(3):
        await pass_by(taskbell, "sales", minutes=20)
    forbid(taskbell, "sales", [])
    await pass_by(taskbell, "sales")
    assert kinds(await taskbell.events(late[0])) == ["created"]
    assert kinds(await taskbell.events(made[0])) == ["created", "deleted", "restored"]
    assert (await shown(taskbell, "sales"))["appeared"] == 0


async def test_many_new_tasks_are_told(taskbell: Corridor) -> None:
    """An import of forty is news."""
    await pass_by(taskbell, "sales")
    make(taskbell, "sales", 40)
    await pass_by(taskbell, "sales")
    assert kinds(await taskbell.events()) == ["created"] * 40


async def test_the_operator_hears_of_what_came_into_sight(taskbell: Corridor) -> None:
    """Once, and how many."""
    ear = OperatorAddress("accounting", "", at_most_once=False, zone=taskbell.config.zones["sales"])
    alerts = Alerts(taskbell.pool, taskbell.clock, ["sales"], ear)
    forbid(taskbell, "sales", make(taskbell, "sales", 8))
    for _ in range(3):
        await pass_by(taskbell, "sales", minutes=20)
    forbid(taskbell, "sales", [])
    await pass_by(taskbell, "sales")
    for _ in range(2):
        await alerts.batch()
    [told] = await taskbell.deliveries("tasks.appeared")
    assert "8 older tasks appeared in" in told["text"]
